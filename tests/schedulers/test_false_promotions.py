"""The law of false promotions (papers.md 1.5): few, about sqrt(n), and nothing is missed."""

import math
import random
import statistics

import pytest

from ashtune._src.core.jobs import Result
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import AshMachine

pytestmark = pytest.mark.slow


def promotions(losses: list[float], eta: int) -> tuple[int, int]:
    """Return how many trials of one rung were promoted, and how many of
    them falsely in hindsight.
    """
    scheduler = AshMachine(Ladder(1, eta, eta), len(losses))
    promoted = []
    while (job := scheduler.next_job()) is not None:
        if job.rung == 0:
            scheduler.record(Result.of(job, losses[job.trial]))
        else:
            promoted.append(job.trial)
    ranked = sorted((loss, trial) for trial, loss in enumerate(losses))
    best = {trial for _, trial in ranked[: len(losses) // eta]}
    return len(promoted), sum(trial not in best for trial in promoted)


@pytest.mark.parametrize(
    ("eta", "n", "repetitions", "expected", "sigma"),
    [
        (4, 10_000, 200, (51.26, 1.16), 28.5),
        (2, 1_000, 200, (17.26, 0.23), 10.1),
        (3, 100, 1_000, (4.24, 0.05), 2.9),
    ],
)
def test_the_number_of_false_promotions_follows_the_published_law(
    eta: int, n: int, repetitions: int, expected: tuple[float, float], sigma: float
) -> None:
    """Tolerance: 4 standard errors; of one repetition the standard deviation is ``sigma``.

    At eta 4 and n 10,000 that is 4 sqrt(28.5^2 / 200 + 1.16^2) = 9.3 about 51.3. The seed is fixed.
    """
    mean, mean_error = expected
    draw = random.Random(f"{eta} {n}").random
    false = [promotions([draw() for _ in range(n)], eta)[1] for _ in range(repetitions)]
    tolerance = 4 * math.hypot(sigma / math.sqrt(repetitions), mean_error)
    assert abs(statistics.mean(false) - mean) < tolerance
    assert 0.6 * sigma < statistics.stdev(false) < 1.4 * sigma


@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("n", [1, 7, 100, 1_001])
def test_the_number_of_promotions_is_the_quota_plus_false_promotions(eta: int, n: int) -> None:
    draw = random.Random(n).random
    for _ in range(10):
        promoted, false = promotions([draw() for _ in range(n)], eta)
        assert promoted == n // eta + false


def test_no_promotion_is_false_if_each_trial_is_worse_than_earlier_trials() -> None:
    assert promotions([float(number) for number in range(1_000)], 4) == (250, 0)


def test_most_promotions_are_false_if_each_trial_is_better_than_earlier_trials() -> None:
    promoted, false = promotions([-float(number) for number in range(1_000)], 4)
    assert (promoted, false) == (997, 747)
