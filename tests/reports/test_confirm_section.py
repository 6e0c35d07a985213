"""The named winner of configurations that were trained once more, and the interval for its mean."""

import math
from random import Random
from statistics import fmean

import pytest

from ashtune._src.analysis.confirmed_winner import Confirmations, Confirmed, interval
from ashtune._src.analysis.counts import BestResult
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.jobs import Goal, TrialId
from tests.helpers.made_up import result


def test_repetitions_of_one_configuration_give_a_student_t_interval() -> None:
    mean, half = interval([1.5], [[2.0, 1.0, 3.0]], 0)
    assert mean == 2.0
    assert half == pytest.approx(2.92 * math.sqrt((0.0 + 1.0 + 1.0) / 2 / 3), rel=1e-3)


def test_a_noisy_mean_shrinks_toward_the_mean_of_other_configurations() -> None:
    means = [0.0, 1.0, 2.0, 3.0, 4.0]
    loud, _ = interval(means, [[mean - 9, mean + 9] for mean in means], 0)
    still, half = interval(means, [[mean - 1e-6, mean + 1e-6] for mean in means], 0)
    assert loud == pytest.approx(0.0 + 0.5 * 2.0)
    assert still == pytest.approx(0.0, abs=1e-6)
    assert half is not None
    assert half < 1e-5


@pytest.mark.parametrize(("count", "times"), [(1, 3), (2, 2), (3, 1), (5, 1), (5, 2), (8, 3)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_the_confidence_interval_has_its_nominal_coverage(
    count: int, times: int, spread: float
) -> None:
    """1,000 studies of 40 results each: 90 % are 900 with a deviation of 9.5. It is an
    approximation: 4 deviations less are allowed, and any number more.
    """
    random, held = Random(f"{count} {times} {spread}"), 0
    for _ in range(1_000):
        true = [random.gauss(0, spread) for _ in range(40)]
        first = {trial: mean + random.gauss(0, 1) for trial, mean in enumerate(true)}
        best = sorted(first, key=first.__getitem__)[:count]
        repeated = [[true[trial] + random.gauss(0, 1) for _ in range(times)] for trial in best]
        means = [
            fmean([first[trial], *values]) for trial, values in zip(best, repeated, strict=True)
        ]
        winner = means.index(min(means))
        mean, half = interval([first[trial] for trial in best], repeated, winner)
        assert half is not None
        held += abs(mean - true[best[winner]]) <= half
    assert held >= 862


def first_result(trial: int, value: float, goal: Goal, rung: int = 1) -> BestResult:
    return BestResult(TrialId(trial), rung, 9, goal.loss({"loss": value}), {"loss": value})


def results_of(confirmations: Confirmations, others: int = 0) -> dict[TrialId, BestResult]:
    """Return the results of the search at the highest rung: the confirmed ones, and some others."""
    more = [first_result(trial, 0.9, Goal("loss", "min")) for trial in range(50, 50 + others)]
    return {first.trial: first for first in [*confirmations.of.values(), *more]}


def confirmed(
    values: dict[int, tuple[float, list[float | None]]], mode: str = "min"
) -> Confirmations:
    """Return what confirms these trials: first value, repeated values; None for a failure."""
    goal = Goal("loss", mode)  # type: ignore[arg-type]  # the mode of a test
    confirmations, number = Confirmations(goal), 100
    for trial, (first, more) in values.items():
        best = first_result(trial, first, goal)
        for value in more:
            confirmations.start(TrialId(number), best)
            if value is None:
                confirmations.fail(TrialId(number))
            else:
                confirmations.finish(result(number, 1, 9, {"loss": value}))
            number += 1
    return confirmations


def named_among(
    confirmations: Confirmations, wanted: Confirm | None, others: int = 0
) -> Confirmed | None:
    return confirmations.named(wanted, results_of(confirmations, others))


def test_the_winner_has_the_best_mean_and_not_the_best_first_result() -> None:
    three = confirmed({3: (0.1, [0.9, 0.8]), 5: (0.2, [0.3, 0.1]), 8: (0.3, [0.5, 0.4])})
    named = named_among(three, Confirm(3, 2), others=6)
    assert named is not None
    assert (named.trial, named.first, named.values) == (5, 0.2, [0.3, 0.1])
    assert named.mean == pytest.approx(0.2)
    assert named.low is not None
    assert named.high is not None
    assert named.low < 0.2 < named.high
    assert [one.trial for one in named.all] == [5, 8, 3]
    assert not named.is_noiseless


def test_in_mode_max_the_configuration_with_the_largest_mean_wins() -> None:
    two = confirmed({3: (0.9, [0.1, 0.2]), 5: (0.8, [0.7, 0.9])}, "max")
    named = named_among(two, Confirm(2, 2))
    assert named is not None
    assert named.trial == 5
    assert named.low is not None
    assert named.high is not None
    assert named.low < named.mean < named.high


def test_a_configuration_with_a_failed_training_cannot_win() -> None:
    two = confirmed({3: (0.1, [0.1, None]), 5: (0.2, [0.2, 0.2])})
    named = named_among(two, Confirm(2, 2))
    assert named is not None
    assert named.trial == 5
    assert named.all[-1].values == [0.1, None]
    assert named.all[-1].mean is None
    assert named_among(confirmed({3: (0.1, [None])}), Confirm(1, 1)) is None


def test_no_winner_is_named_before_all_confirmations_are_finished() -> None:
    one = confirmed({3: (0.1, [0.9])})
    assert named_among(one, Confirm(2, 1), others=4) is None
    assert named_among(one, Confirm(2, 1)) is not None, "there is one result at the top"
    assert named_among(one, Confirm(1, 2), others=4) is None
    assert named_among(one, None, others=4) is None
    above = first_result(3, 0.1, Goal("loss", "min"), rung=2)
    assert one.named(Confirm(1, 1), {above.trial: above}) is None, "there are rungs above now"


def test_a_withdrawn_configuration_cannot_win() -> None:
    two = confirmed({3: (0.1, [0.1]), 5: (0.2, [0.2])})
    results = results_of(two)
    del results[TrialId(3)]
    named = two.named(Confirm(2, 1), results)
    assert named is not None
    assert named.trial == 5


def test_repetitions_with_identical_results_are_reported_as_noiseless() -> None:
    two = confirmed({3: (0.1, [0.1, 0.1]), 5: (0.2, [0.2, 0.2])})
    named = named_among(two, Confirm(2, 2))
    assert named is not None
    assert named.is_noiseless
    assert (named.mean, named.low, named.high) == (0.1, 0.1, 0.1)


def test_repetitions_trained_to_a_lower_rung_are_ignored() -> None:
    goal, confirmations = Goal("loss", "min"), Confirmations(Goal("loss", "min"))
    results = [(0, 5, 0.2), (1, 5, 0.1), (1, 6, 0.15)]
    for number, (rung, trial, loss) in enumerate(results, start=7):
        confirmations.start(TrialId(number), first_result(trial, loss, goal, rung))
        confirmations.finish(result(number, rung, rung + 1, {"loss": loss}))
    named = named_among(confirmations, Confirm(best=2, seeds=1))
    assert named is not None
    assert (named.trial, named.first) == (5, 0.1)
    assert confirmations.ended == 3
