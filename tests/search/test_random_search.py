"""Random search: a pure function of seed and number, plain, valid, and truly random."""

import math
from collections import Counter
from functools import cache
from typing import Any

import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenGreaterThanClause,
    ForbiddenLessThanEqualsClause,
    Integer,
    NormalIntegerHyperparameter,
)
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.errors import SpaceError
from ashtune._src.search.random import BLOCK, Random
from ashtune._src.space.space import Space
from tests.search.spaces import (
    PLAIN,
    conditional,
    finite_conditional,
    fits_conditional,
    of_every_kind,
)

ENDLESS = of_every_kind()
FINITE = Space.parse(finite_conditional())
TRIALS = 3 * BLOCK


@cache
def in_order() -> list[dict[str, Any]]:
    search = Random().build(ENDLESS, 7)
    return [search.configuration(i) for i in range(TRIALS)]


def plain_to_the_leaves(value: object) -> bool:
    return type(value) in PLAIN and (
        type(value) is not list or all(plain_to_the_leaves(v) for v in value)
    )


@given(st.lists(st.integers(0, TRIALS - 1), max_size=8))
def test_random_configurations_do_not_depend_on_the_order_of_calls(trials: list[int]) -> None:
    search = Random().build(ENDLESS, 7)
    assert [search.configuration(i) for i in trials] == [in_order()[i] for i in trials]


@given(st.permutations(range(7)))
def test_draws_from_finite_spaces_do_not_depend_on_the_order_of_calls(trials: list[int]) -> None:
    in_order = [Random().build(FINITE, 7).configuration(i) for i in range(7)]
    search = Random().build(FINITE, 7)
    assert [search.configuration(i) for i in trials] == [in_order[i] for i in trials]


def test_changing_a_drawn_configuration_does_not_change_later_configurations() -> None:
    search = Random().build(Space.parse({"widths": [[1, [2]]], "x": (0.0, 1.0)}), 0)
    given = search.configuration(0)
    given["widths"][1].append("!")
    del given["x"]
    assert search.configuration(0)["widths"] == [1, [2]]
    assert search.configuration(1)["widths"] == [1, [2]]
    assert "x" in search.configuration(0)


def test_all_values_of_a_configuration_have_plain_python_types() -> None:
    for space in (ENDLESS, Space.parse(conditional()), FINITE):
        search = Random().build(space, 3)
        for trial in range(search.size or 300):
            for name, value in search.configuration(trial).items():
                assert plain_to_the_leaves(value), (name, value, type(value))


def test_draws_omit_inactive_hyperparameters_and_forbidden_configurations() -> None:
    search = Random().build(Space.parse(conditional()), 0)
    drawn = [search.configuration(i) for i in range(2 * BLOCK)]
    assert all(fits_conditional(configuration) for configuration in drawn)
    assert len({frozenset(configuration) for configuration in drawn}) == 5


def test_random_configurations_meet_conditions_on_integers_with_a_log_scale() -> None:
    """ConfigSpace's normal log integers lie between the integers, where ``==`` misses them."""
    space = ConfigurationSpace()
    n = NormalIntegerHyperparameter("n", 3, 2, 1, 9, log=True)
    m, x, y = Integer("m", (1, 999), log=True), Float("x", (0, 1)), Float("y", (0, 1))
    space.add(n, m, x, y)
    space.add(EqualsCondition(x, n, 3), EqualsCondition(y, m, 7))
    search = Random().build(Space.parse(space), 0)
    drawn = [search.configuration(i) for i in range(3 * BLOCK)]
    assert all(("x" in c) == (c["n"] == 3) and ("y" in c) == (c["m"] == 7) for c in drawn)
    assert any("x" in c for c in drawn)
    assert any("y" in c for c in drawn)


def test_a_forbidden_less_than_or_equal_clause_is_respected() -> None:
    """ConfigSpace 1.2.2 compares ForbiddenLessThanEqualsClause the wrong
    way round when it samples.
    """
    space = ConfigurationSpace({"n": Integer("n", (1, 8), default=6), "x": (0.0, 1.0)})
    space.add(ForbiddenLessThanEqualsClause(space["n"], 4))
    search = Random().build(Space.parse(space), 0)
    assert {search.configuration(i)["n"] for i in range(500)} == {5, 6, 7, 8}


def test_a_space_with_almost_all_configurations_forbidden_is_refused() -> None:
    space = ConfigurationSpace()
    space.add(Float("x", (0, 1), default=1e-7))
    space.add(ForbiddenGreaterThanClause(space["x"], 1e-6))
    with pytest.raises(SpaceError):
        Random().build(Space.parse(space), 0).configuration(0)


def test_a_very_large_finite_space_is_treated_as_endless() -> None:
    search = Random().build(Space.parse({"a": (1, 1000), "b": (1, 101)}), 0)
    assert search.size is None
    assert len({tuple(search.configuration(i).values()) for i in range(100)}) > 95


@pytest.mark.parametrize("seed", range(5))
def test_a_finite_space_gives_each_of_its_configurations_exactly_once(seed: int) -> None:
    search = Random().build(FINITE, seed)
    drawn = Counter(tuple(search.configuration(i).items()) for i in range(search.size or 0))
    with_b = {
        (("a", "x"), ("c", c), ("b", b)) for b in (1, 2, 3) for c in "pqr" if (b, c) != (2, "q")
    }
    assert drawn == dict.fromkeys(with_b | {(("a", "y"), ("c", c)) for c in "pqr"}, 1)


def test_the_first_draws_of_a_finite_space_follow_its_weights_and_distributions() -> None:
    """First draws follow the prior; 400 seeds, four standard errors."""
    space = Space.parse(
        {
            "n": Integer("n", (1, 64), log=True),
            "c": Categorical("c", ["a", "b", "z"], weights=[9, 1, 0]),
        }
    )
    first = [Random().build(space, seed).configuration(0) for seed in range(400)]
    low = sum(c["n"] <= 8 for c in first) / 400
    assert abs(sum(c["c"] == "a" for c in first) / 400 - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 400)
    # The range is cut into 64 equal steps, as by ConfigSpace: P(n <= 8) = log(1 + 8 * 63 / 64) /
    # log 64.
    expected = math.log(1 + 8 * 63 / 64) / math.log(64)
    assert abs(low - expected) < 4 * math.sqrt(expected * (1 - expected) / 400)
    assert Random().build(space, 0).size == 128, "a choice of weight 0 is no member"


def test_different_seeds_and_blocks_give_different_draws() -> None:
    space = Space.parse({"x": (0.0, 1.0)})
    starts = [
        Random().build(space, seed).configuration(block * BLOCK)["x"]
        for seed in (0, 1, 2, 2**32, 2**32 + 1, 2**64)
        for block in range(4)
    ]
    assert len(set(starts)) == len(starts)


def test_random_draws_are_unchanged_since_the_first_release() -> None:
    """A resumed study must continue with the same trials; a failure here is a
    change of file format.
    """
    space = Space.parse({"x": (0.0, 1.0), "n": (1, 100), "c": ["a", "b"]})
    search = Random().build(space, 42)
    assert [search.configuration(i) for i in (0, 5000)] == [
        {"x": 0.4248343541051035, "n": 40, "c": "b"},
        {"x": 0.4895465410034294, "n": 78, "c": "a"},
    ]
    finite = Random().build(Space.parse({"n": (1, 100), "c": ["a", "b"]}), 42)
    assert [finite.configuration(i) for i in (0, 199)] == [{"n": 43, "c": "a"}, {"n": 42, "c": "b"}]
