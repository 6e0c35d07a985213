"""Halving under stragglers and dropped jobs: the engine and the controller against a plain simulator and arithmetic.

The plain one draws the same luck from the same seeds, so both are equal to the last bit, stragglers and dropped jobs
included.
"""

import math
import statistics
from itertools import takewhile

import pytest

from stragglers import run
from tests.engines.simulated.plain_stragglers import trained

SIGMAS = 4


def ours(scheduler: str, workers: int, *, until: float, deviation: float, drop: float, seed: int) -> list[float]:
    trained = run(scheduler, workers, deviation=deviation, drop=drop, seed=seed, until=until).trained
    return [
        time for time in trained if time <= until
    ]  # a driver looks at its clock now and then: a little more may come


def plain(scheduler: str, workers: int, *, until: float, deviation: float, drop: float, seed: int) -> list[float]:
    return list(
        takewhile(
            lambda time: time <= until,
            trained(scheduler, workers, deviation=deviation, drop=drop, seed=seed, dropped="put back"),
        )
    )


def is_near(numbers: list[float], expected: float) -> bool:
    """Whether the mean is within ``SIGMAS`` standard errors of what is expected."""
    return abs(statistics.mean(numbers) - expected) <= SIGMAS * statistics.stdev(numbers) / math.sqrt(len(numbers))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("workers", "until"), [(1, 1300), (5, 1300), (25, 1000), (60, 500)])
@pytest.mark.parametrize("scheduler", ["sh", "ash"])
def test_without_luck_each_configuration_is_trained_exactly_when_the_plain_simulator_says(
    scheduler: str, workers: int, until: float, seed: int
) -> None:
    mine = ours(scheduler, workers, until=until, deviation=0, drop=0, seed=seed)
    assert mine
    assert mine == plain(scheduler, workers, until=until, deviation=0, drop=0, seed=seed)


@pytest.mark.parametrize(("deviation", "drop"), [(0.1, 0.0), (0.1, 0.001), (0.56, 0.005), (1.33, 0.002)])
@pytest.mark.parametrize("scheduler", ["sh", "ash"])
def test_with_the_same_stragglers_and_dropped_jobs_each_is_trained_when_the_plain_simulator_says(
    scheduler: str, deviation: float, drop: float
) -> None:
    for seed in range(2):
        mine = ours(scheduler, 25, until=1500, deviation=deviation, drop=drop, seed=seed)
        assert mine
        assert mine == plain(scheduler, 25, until=1500, deviation=deviation, drop=drop, seed=seed)


def test_one_worker_s_first_bracket_takes_what_its_restarted_jobs_take_on_average() -> None:
    """A job that needs ``r`` units and is dropped in each with ``p`` takes ``((1 - p) ** -r - 1) / p`` in all."""
    drop = 0.004
    expected = sum(256 / rung * ((1 - drop) ** -rung - 1) / drop for rung in (1, 4, 16, 64, 256))
    numbers = [ours("sh", 1, until=9000, deviation=0, drop=drop, seed=seed)[0] for seed in range(40)]
    assert is_near(numbers, expected)


def test_one_worker_s_first_bracket_is_stretched_by_the_mean_of_the_half_normal_law() -> None:
    expected = 1280 * (1 + 0.56 * math.sqrt(2 / math.pi))
    numbers = [ours("sh", 1, until=3000, deviation=0.56, drop=0, seed=seed)[0] for seed in range(100)]
    assert is_near(numbers, expected)


@pytest.mark.parametrize(
    ("scheduler", "deviation", "mean", "spread"),
    [("sh", 0.1, 9.96, 1.88), ("sh", 0.56, 4.28, 1.59), ("ash", 0.56, 5.00, 1.80)],
)
def test_where_dropped_jobs_go_back_to_their_rule_the_plain_simulator_meets_the_reference_within_three_sigma(
    scheduler: str, deviation: float, mean: float, spread: float
) -> None:
    """Configurations trained to 256 by 2000: mean and deviation of 25 repetitions by somebody else's simulator."""
    numbers = []
    for seed in range(20):
        times = trained(scheduler, 25, deviation=deviation, drop=0.01, seed=seed, dropped="put back")
        numbers.append(sum(1 for _ in takewhile(lambda time: time <= 2000, times)))
    error = math.sqrt(statistics.variance(numbers) / len(numbers) + spread**2 / 25)
    assert abs(statistics.mean(numbers) - mean) <= 3 * error
