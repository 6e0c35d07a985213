"""StoppingMachine against its oracle, and its two rules one by one."""

import math

import pytest

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers import ranking as rung_module
from ashtune._src.schedulers.stopping import StoppingMachine
from ashtune.testing.scheduler_suite import check_scheduler
from tests.helpers import oracles


def begin(scheduler: StoppingMachine, trials: int) -> list[Job]:
    jobs = [scheduler.next_job() for _ in range(trials)]
    return [job for job in jobs if job is not None]


@pytest.mark.parametrize(("near", "widest"), [(1, 4), (16, 64)])
def test_stopping_ash_makes_the_same_decisions_as_its_oracle(
    near: int, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rung_module, "_NEAR", near)
    monkeypatch.setattr(rung_module, "_WIDEST", widest)
    check_scheduler(StoppingMachine, oracles.stopping)


def test_no_trial_is_stopped_while_its_rung_has_too_few_results() -> None:
    scheduler = StoppingMachine(Ladder(1, 3, 3))
    for job, loss in zip(begin(scheduler, 2), (1.0, 9.0), strict=True):
        scheduler.record(Result.of(job, loss))
    assert [scheduler.next_job(), scheduler.next_job()] == [Job(TrialId(0), 1), Job(TrialId(1), 1)]
    assert scheduler.hopeless() == []


def test_a_failed_trial_stops_even_if_its_rung_has_no_other_result() -> None:
    scheduler = StoppingMachine(Ladder(1, 3, 3), 1)
    [job] = begin(scheduler, 1)
    scheduler.record(Result.of(job, math.inf))
    assert scheduler.next_job() is None
    assert scheduler.hopeless() == [0]
    assert scheduler.hopeless() == []


def test_a_trial_stops_forever_if_it_is_not_in_the_best_third() -> None:
    scheduler = StoppingMachine(Ladder(1, 3, 3), 4)
    jobs = begin(scheduler, 4)
    for job, loss in zip(jobs[:3], (1.0, 2.0, 3.0), strict=True):
        scheduler.record(Result.of(job, loss))
    scheduler.record(Result.of(jobs[3], 0.5))
    assert [scheduler.next_job() for _ in range(4)] == [
        *(Job(TrialId(trial), 1) for trial in (0, 1, 3)),
        None,
    ]
    assert scheduler.hopeless() == [2]


def test_a_withdrawal_does_not_revive_a_stopped_trial() -> None:
    scheduler = StoppingMachine(Ladder(1, 2, 2), 3)
    jobs = begin(scheduler, 3)
    scheduler.record(Result.of(jobs[0], 1.0))
    scheduler.record(Result.of(jobs[1], 2.0))  # stopped, being the worse of two
    going_on = scheduler.next_job()
    assert going_on == Job(TrialId(0), 1)
    scheduler.withdraw(going_on, replace=False)
    assert scheduler.next_job() is None
    assert scheduler.hopeless() == [1]
