"""Quasi-random search: even where random is not, and otherwise as pure and
as valid as any design.
"""

import math
import statistics
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    Beta,
    Categorical,
    Configuration,
    ConfigurationSpace,
    Float,
    ForbiddenLessThanRelation,
    Integer,
    Normal,
)
from scipy.stats import qmc

from ashtune._src.search.random import BLOCK, Random, Sobol
from ashtune._src.search.search_protocol import Search
from ashtune._src.space.space import Space
from tests.search.spaces import conditional, fits_conditional

SQUARE = Space.parse({"x": (0.0, 1.0), "y": (0.0, 1.0), "z": (0.0, 1.0)})


def drawn(search: Search, space: object, trials: int, seed: int = 0) -> list[dict[str, Any]]:
    design = search.build(Space.parse(space), seed)
    return [design.configuration(trial) for trial in range(trials)]


def discrepancy(search: Search, trials: int, seed: int) -> float:
    points = [list(configuration.values()) for configuration in drawn(search, SQUARE, trials, seed)]
    return float(qmc.discrepancy(np.array(points)))


@pytest.mark.parametrize("trials", [16, 64, 100, 512])
def test_sobol_points_are_spread_more_evenly_than_random_points(trials: int) -> None:
    """For each of 20 seeds its discrepancy is below the least of 20 random designs."""
    least = min(discrepancy(Random(), trials, seed) for seed in range(20))
    assert all(discrepancy(Sobol(), trials, seed) < least for seed in range(20))


@pytest.mark.parametrize("count", [8, 64, BLOCK, 4 * BLOCK])
def test_sobol_puts_one_trial_into_each_equal_part_of_a_range(count: int) -> None:
    space = {"x": (0.0, 1.0), "rate": (1e-4, 1.0, "log"), "n": (1, count), "c": list(range(count))}
    trials = drawn(Sobol(), space, count, seed=5)
    assert sorted(int(c["x"] * count) for c in trials) == list(range(count))
    assert sorted(
        math.floor(math.log(c["rate"] / 1e-4) / math.log(1e4) * count) for c in trials
    ) == list(range(count))
    assert sorted(c["n"] for c in trials) == list(range(1, count + 1))
    assert sorted(c["c"] for c in trials) == list(range(count))


def test_sobol_follows_weights_and_distributions_to_within_one_trial() -> None:
    space: dict[str, Any] = {
        "c": Categorical("c", ["a", "b", "z", "d"], weights=[4, 3, 0, 1]),
        "n": Integer("n", (1, 64), log=True),
        "normal": Float("normal", (0.0, 1.0), distribution=Normal(0.3, 0.2)),
        "beta": Float("beta", (0.0, 1.0), distribution=Beta(2, 3)),
        "x": (0.0, 1.0),
    }
    trials = drawn(Sobol(), space, 512)
    assert Counter(c["c"] for c in trials) == {"a": 256, "b": 192, "d": 64}
    # The range is cut into 64 equal steps, as by ConfigSpace: P(n <= 8) = log(1 + 8 * 63 / 64) /
    # log 64.
    assert (
        abs(sum(c["n"] <= 8 for c in trials) - 512 * math.log(1 + 8 * 63 / 64) / math.log(64)) <= 1
    )
    for name in ("normal", "beta"):
        random = np.random.RandomState(0)
        expected = space[name].sample_value(size=20_000, seed=random)
        ours = [c[name] for c in trials]
        assert statistics.fmean(ours) == pytest.approx(
            float(np.mean(expected)), abs=4 * float(np.std(expected)) / 141
        )
        assert statistics.stdev(ours) == pytest.approx(float(np.std(expected)), rel=0.03)


def test_sobol_respects_conditions_and_forbidden_clauses() -> None:
    trials = drawn(Sobol(), conditional(), 2 * BLOCK)
    assert all(fits_conditional(configuration) for configuration in trials)
    assert len({frozenset(configuration) for configuration in trials}) == 5
    space = conditional()
    for configuration in trials[:200]:
        Configuration(space, values=configuration).check_valid_configuration()


def test_sobol_skips_forbidden_points_and_keeps_the_order_of_other_points() -> None:
    space = ConfigurationSpace({"a": (0.0, 1.0), "b": (0.0, 1.0)})
    space.add(ForbiddenLessThanRelation(space["a"], space["b"]))
    allowed = [
        c for c in drawn(Sobol(), {"a": (0.0, 1.0), "b": (0.0, 1.0)}, 4 * BLOCK) if c["a"] >= c["b"]
    ]
    trials = drawn(Sobol(), space, BLOCK)
    assert trials == allowed[:BLOCK]
    cells = Counter((int(c["a"] * 4), int(c["b"] * 4)) for c in trials)
    for a, b in product(range(4), repeat=2):  # a cell below the diagonal is a sixteenth of a half
        if a > b:
            assert abs(cells[a, b] - BLOCK / 8) <= 5
        elif a < b:
            assert cells[a, b] == 0


def test_sobol_tries_a_finite_space_once_in_an_evenly_spread_order() -> None:
    space = {"a": (1, 16), "b": list("wxyz")}
    design = Sobol().build(Space.parse(space), 3)
    assert design.size == 64
    trials = [design.configuration(trial) for trial in range(64)]
    assert len({tuple(c.values()) for c in trials}) == 64
    assert Counter(c["b"] for c in trials[:8]) == dict.fromkeys("wxyz", 2)


def test_the_seed_determines_the_sobol_sequence() -> None:
    first = [drawn(Sobol(), SQUARE, 1, seed)[0]["x"] for seed in (0, 1, 2, 2**32, 2**62)]
    assert len(set(first)) == len(first)
    assert drawn(Sobol(), SQUARE, 5, 7) == drawn(Sobol(), SQUARE, 5, 7)
