"""Successive halving against its oracle, and its barrier."""

import math

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune.testing.scheduler_suite import BUDGETS, check_scheduler
from tests.helpers import oracles


def jobs_of(scheduler: Machine) -> list[Job]:
    """Ask until there is nothing to give."""
    jobs = []
    while (job := scheduler.next_job()) is not None:
        jobs.append(job)
    return jobs


def test_successive_halving_gives_the_same_jobs_as_its_oracle() -> None:
    known = [trials for trials in BUDGETS if trials is not None]
    check_scheduler(SuccessiveHalving(), oracles.sh, budgets=known)


def test_a_rung_with_nine_results_promotes_the_best_three_trials() -> None:
    scheduler = SuccessiveHalving().build(Ladder(1, 9, 3), 9)
    loss_of = [5.0, 3.0, 8.0, 1.0, 9.0, 2.0, 7.0, 4.0, 6.0]
    rungs = []
    while jobs := jobs_of(scheduler):
        rungs.append([job.trial for job in jobs])
        for job in reversed(jobs):
            scheduler.record(Result.of(job, loss_of[job.trial]))
    assert rungs == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [3, 5, 1], [3]]


def test_no_trial_is_promoted_before_a_rung_is_complete() -> None:
    scheduler = SuccessiveHalving().build(Ladder(1, 9, 3), 3)
    jobs = jobs_of(scheduler)
    for job in jobs[:-1]:
        scheduler.record(Result.of(job, 1.0))
        assert scheduler.next_job() is None
    scheduler.record(Result.of(jobs[-1], 2.0))
    assert scheduler.next_job() == Job(TrialId(0), 1)


def test_the_withdrawal_of_the_last_running_trial_closes_the_rung() -> None:
    scheduler = SuccessiveHalving().build(Ladder(1, 2, 2), 3)
    jobs = jobs_of(scheduler)
    scheduler.record(Result.of(jobs[0], 2.0))
    scheduler.record(Result.of(jobs[1], 1.0))
    scheduler.withdraw(jobs[2], replace=False)
    assert scheduler.next_job() == Job(TrialId(1), 1)


def test_reducing_the_number_of_trials_closes_a_complete_rung() -> None:
    scheduler = SuccessiveHalving().build(Ladder(1, 2, 2), 8)
    for _ in range(2):
        job = scheduler.next_job()
        assert job is not None
        scheduler.record(Result.of(job, float(job.trial)))
    scheduler.extend(2)
    assert scheduler.next_job() == Job(TrialId(0), 1)


def test_the_first_rung_accepts_more_trials_if_all_its_trials_were_withdrawn() -> None:
    scheduler = SuccessiveHalving().build(Ladder(1, 2, 2), 2)
    for job in jobs_of(scheduler):
        scheduler.withdraw(job, replace=False)
    scheduler.extend(4)
    assert jobs_of(scheduler) == [Job(TrialId(2), 0), Job(TrialId(3), 0)]


def test_failed_trials_count_towards_the_quota_and_are_never_promoted() -> None:
    scheduler = SuccessiveHalving().build(Ladder(1, 2, 2), 4)
    for job in jobs_of(scheduler):
        scheduler.record(Result.of(job, 1.0 if job.trial == 3 else math.inf))
    assert jobs_of(scheduler) == [Job(TrialId(3), 1)]
    assert scheduler.hopeless() == [0, 1, 2]
