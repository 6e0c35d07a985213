"""The guard: what it compares, when it looks, and how often it is wrong, in simulated studies."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from ashtune.core.events import Event, JobFinished, TrialStarted, TrialWithdrawn
from ashtune.core.jobs import TrialId
from ashtune.core.verdicts import TrialFailed, TrialPromoted
from ashtune.search.guard import FIRST_LOOK, LEVEL, Guard
from ashtune.search.origins import Sort
from ashtune.search.promotions import STRETCH, Promotions
from ashtune.search.shares import Stretch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODEL = (Sort.MODEL,)


@pytest.fixture(scope="module")
def simulated() -> Iterator[Any]:
    """The simulated study of the benchmark."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("held_back", BENCHMARKS / "held_back.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))


def start(trial: int, origin: str) -> TrialStarted:
    return TrialStarted(0.0, TrialId(trial), {"x": 0.5}, origin)


def finish(trial: int, rung: int = 0) -> JobFinished:
    return JobFinished(0.0, worker=0, trial=trial, rung=rung, resource=1, metrics={"loss": 1.0}, seconds=1.0)  # type: ignore[arg-type]


def tell(observer: Any, *whats: Event | TrialPromoted | TrialFailed) -> None:
    for what in whats:
        (observer.followed if isinstance(what, TrialPromoted | TrialFailed) else observer.event)(what)


def test_random_trials_before_the_first_proposal_enqueued_and_withdrawn_ones_are_not_compared() -> None:
    promotions = Promotions()
    origins = [
        "random",
        "enqueued",
        "random",
        "gp, 3 results",
        "random",
        "mutation of 3",
        "gp, 4 results",
        "confirms 3",
    ]
    tell(promotions, *(start(trial, origin) for trial, origin in enumerate(origins)))
    tell(promotions, *(finish(trial) for trial in range(8)), start(8, "gp, 9 results"))  # trial 8 still trains
    assert promotions.compared(MODEL) == [[3, 4, 6]]
    assert promotions.compared((Sort.MODEL, Sort.MUTATION), since=4) == [[5, 6]]
    tell(promotions, TrialWithdrawn(0.0, worker=0, trial=6, rung=1, seconds=0.0))  # type: ignore[arg-type]
    assert promotions.compared(MODEL) == [[3, 4]]


def test_a_failure_was_not_promoted_and_a_failure_after_a_promotion_was() -> None:
    promotions = Promotions()
    tell(promotions, *(start(trial, "gp, 3 results") for trial in range(3)), start(3, "random"))
    tell(promotions, TrialFailed(TrialId(0), 0, "no"), finish(1), TrialPromoted(TrialId(1), 0, 1))
    tell(promotions, TrialFailed(TrialId(1), 1, "no"), finish(2), finish(3), TrialPromoted(TrialId(3), 0, 1))
    assert promotions.stretches(MODEL) == [Stretch(proposed=3, proposed_promoted=1, random=1, random_promoted=1)]
    assert list(promotions.failed) == [True, False, False, False]


def test_trials_that_entered_at_different_rungs_are_not_compared() -> None:
    promotions = Promotions()
    for trial in range(60):
        tell(promotions, start(trial, "random" if trial % 10 == 5 else "gp, 3 results"), finish(trial, trial % 2))
    assert promotions.compared(MODEL) == [
        list(range(0, 2 * STRETCH, 2)), list(range(1, 2 * STRETCH, 2)), list(range(40, 60, 2)), list(range(41, 60, 2)),
    ]  # fmt: skip


def played(trials: int, promoted: Any, guard: Guard | None = None, begin: int = 0) -> Guard:
    """A study in which every tenth trial is random, and it is known who is promoted."""
    guard = guard or Guard(0)
    for trial in range(begin, begin + trials):
        is_random = trial % 10 == 0 or guard.holds_back(trial)
        tell(guard, start(trial, "random" if is_random else "gp, 3 results"), finish(trial))
        if promoted(trial, is_random):
            tell(guard, TrialPromoted(TrialId(trial), 0, 1))
    return guard


def test_a_model_that_is_never_promoted_is_held_back_at_the_first_look_that_can_tell() -> None:
    guard = played(300, lambda trial, is_random: is_random or trial % 4 == 0)
    assert guard.alarms == [(2 * FIRST_LOOK + 1, None)]
    assert guard.note() == "from trial 81 on half are random: random draws were promoted more often than proposals"
    assert 0.4 < mean(guard.holds_back(trial) for trial in range(300, 600)) < 0.6
    assert played(300, lambda trial, is_random: not is_random).alarms == []
    assert played(300, lambda trial, is_random: trial % 3 == 0).note() == ""


def test_one_that_recovers_is_held_back_no_more_and_may_be_again() -> None:
    def is_promoted(trial: int, is_random: bool) -> bool:
        return trial % 3 == 0 if 150 <= trial < 500 else is_random or trial % 4 == 0

    guard = played(1000, is_promoted)
    (first, end), (second, still) = guard.alarms
    assert (first, still) == (81, None)
    assert end is not None and 150 < end < 300
    assert 500 < second < 1000


def test_before_the_first_look_and_without_random_draws_there_is_no_alarm() -> None:
    assert not played(FIRST_LOOK, lambda trial, is_random: is_random).alarms
    guard = Guard(0)
    for trial in range(400):
        tell(guard, start(trial, "gp, 3 results" if trial >= 10 else "random"), finish(trial))
        if trial < 10:
            tell(guard, TrialPromoted(TrialId(trial), 0, 1))
    assert not guard.alarms


def test_a_study_that_is_replayed_is_guarded_in_the_same_way(simulated: Any) -> None:
    study = simulated.SimulatedStudy(1, "bad")
    again = simulated.SimulatedStudy(1, "bad")
    assert study.guard.alarms and again.guard.alarms == study.guard.alarms
    assert [study.guard.holds_back(n) for n in range(99)] == [again.guard.holds_back(n) for n in range(99)]


@pytest.mark.slow
def test_where_the_model_is_no_better_than_random_draws_alarms_are_as_rare_as_is_said(simulated: Any) -> None:
    """Of 300 studies at most the level and three standard errors of it; 1,000 are in the benchmark."""
    alarms = sum(bool(simulated.SimulatedStudy(seed, "random").guard.alarms) for seed in range(300))
    assert alarms <= 300 * LEVEL + 3 * (300 * LEVEL * (1 - LEVEL)) ** 0.5
    assert not any(simulated.SimulatedStudy(seed, "good").guard.alarms for seed in range(30))


@pytest.mark.slow
def test_a_bad_model_costs_less_with_the_guard_and_little_in_the_end(simulated: Any) -> None:
    """60 studies of each; the differences are of four standard errors and more in 1,000."""

    def ends(model: str, **how: Any) -> float:
        return mean(simulated.SimulatedStudy(seed, model, fulls=32, **how).best[2] for seed in range(60))

    unguarded, guarded, none = ends("bad", is_guarded=False), ends("bad"), ends("random")
    assert guarded < unguarded
    assert abs(guarded - none) < 0.5 * (unguarded - none) + 0.01


def test_shares_of_each_sort_count_trials_once_and_those_that_went_on() -> None:
    promotions = Promotions()
    assert set(promotions.shares().values()) == {(0, 0)}
    for trial, origin in enumerate(["random", "gp, 9 results", "gp, 9 results", "random", "mutation of 1"]):
        tell(promotions, start(trial, origin))
    tell(promotions, finish(0), finish(1), TrialPromoted(TrialId(1), 0, 1), finish(1, rung=1), finish(2))
    tell(promotions, TrialFailed(TrialId(4), 0, "no"))
    shares = promotions.shares()
    assert shares[Sort.RANDOM] == (1, 0)
    assert shares[Sort.MODEL] == (2, 1)
    assert shares[Sort.MUTATION] == (1, 0)
    assert shares[Sort.OTHER] == (0, 0)
