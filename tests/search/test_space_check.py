"""A user's own configuration is checked before it is tried."""

import math

import numpy as np
import pytest

from ashtune._src.core.errors import SpaceError
from ashtune._src.search.arranged import Enqueued, Grouped
from ashtune._src.search.grid import GridDesign
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from tests.search.spaces import conditional

SPACE = Space.parse({"lr": (1e-4, 1.0), "n": (1, 8), "c": [None, "a", (1, 2), 3], "k": 9})
GOOD = {"lr": 0.5, "n": 3, "c": "a", "k": 9}
TREE = Space.parse(conditional())
LEAF = {"opt": "adam", "layers": 2, "momentum": 0.1}


def test_a_checked_configuration_has_plain_values_in_the_order_of_the_space() -> None:
    checked = SPACE.check({"k": np.int64(9), "c": (1, 2), "n": 3.0, "lr": np.float32(0.5)})
    assert repr(checked) == "{'lr': 0.5, 'n': 3, 'c': [1, 2], 'k': 9}"
    assert repr(SPACE.check(GOOD | {"lr": 1})) == "{'lr': 1.0, 'n': 3, 'c': 'a', 'k': 9}"


@pytest.mark.parametrize(
    ("space", "given", "says"),
    [
        (SPACE, [1], "[1] is not a configuration; give a dict of lr, n, c, k"),
        (SPACE, GOOD | {"rl": 3}, "rl=3 is not in the space; give one of lr, n, c, k"),
        (SPACE, {"lr": 0.5, "n": 3, "c": "a"}, "k is missing"),
        (SPACE, GOOD | {"lr": 2.0}, "lr=2.0 is out of range; give a value in 0.0001 .. 1"),
        (SPACE, GOOD | {"lr": math.nan}, "lr=nan is out of range"),
        (SPACE, GOOD | {"lr": "0.5"}, "lr='0.5' is out of range"),
        (SPACE, GOOD | {"lr": True}, "lr=True is out of range"),
        (SPACE, GOOD | {"n": 2.5}, "n=2.5 is out of range; give a value in 1 .. 8"),
        (SPACE, GOOD | {"n": 9}, "n=9 is out of range"),
        (SPACE, GOOD | {"n": None}, "n=None is out of range"),
        (SPACE, GOOD | {"c": "b"}, "c='b' is out of range; give a value in None, a, [1, 2], 3"),
        (SPACE, GOOD | {"c": len}, "c=<built-in function len> is out of range"),
        (SPACE, GOOD | {"k": 8}, "k=8 is out of range; give a value in 9"),
        (TREE, {"opt": "adam", "layers": 2}, "momentum is missing in {'opt': 'adam', 'layers': 2}"),
        (
            TREE,
            LEAF | {"dropout": 0.1},
            "dropout=0.1 is inactive in this configuration, because dropout is used only if layers > 2",
        ),
        (TREE, LEAF | {"nesterov": True}, "nesterov=True is inactive in this configuration"),
        (TREE, {"opt": "none", "layers": 2}, "{'opt': 'none', 'layers': 2} is forbidden by"),
    ],
)
def test_an_invalid_configuration_is_refused_in_one_line(
    space: Space, given: object, says: str
) -> None:
    with pytest.raises(SpaceError) as refusal:
        space.check(given)
    message = str(refusal.value)
    assert says in message
    assert "\n" not in message
    assert "; " in message, "it says what would do"


def test_the_search_starts_after_the_enqueued_configurations() -> None:
    first = [SPACE.check(GOOD), SPACE.check(GOOD | {"c": (1, 2)})]
    then = Random().build(SPACE, 0)
    both = Enqueued(first, then)
    assert [both.configuration(i) for i in range(2)] == first
    assert both.configuration(2) == then.configuration(0)
    assert both.configuration(9) == then.configuration(7)
    assert both.size is None
    both.configuration(1)["c"].append(3)
    assert both.configuration(1)["c"] == [1, 2]


def test_a_finite_search_does_not_repeat_enqueued_configurations() -> None:
    grid = GridDesign(Space.parse({"a": (1, 6)}))
    both = Enqueued([{"a": 2}, {"a": 5}], grid)
    assert both.size == 6
    assert [both.configuration(trial)["a"] for trial in range(6)] == [2, 5, 1, 3, 4, 6]
    for trial in (-1, 6):
        with pytest.raises(IndexError, match=f"trial {trial}"):
            both.configuration(trial)


@pytest.mark.parametrize("kind", ["grid", "random", "grouped"])
@pytest.mark.parametrize(
    "space", [Space.parse({"a": (1, 40), "b": [[1, 2], "x"]}), TREE], ids=["plain", "conditional"]
)
def test_the_method_find_returns_the_trial_number_of_each_configuration(
    space: Space, kind: str
) -> None:
    search = Random().build(space, 1) if kind == "random" else GridDesign(space, 3)
    if kind == "grouped":
        search = Grouped(search, (space.names[-1],))
    if search.size is not None:
        assert [search.find(search.configuration(trial)) for trial in range(search.size)] == list(
            range(search.size)
        )
