"""The brackets of Hyperband, rule by rule; ``test_hyperband.py`` holds them
against their oracle.
"""

import random

import pytest

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.brackets import Bracket, BracketsMachine


def brackets(ladder: Ladder, models: int, trials: int | None = None) -> BracketsMachine:
    return BracketsMachine(ladder, [Bracket(0, models)], trials)


def begin(scheduler: BracketsMachine, jobs: int) -> list[Job]:
    """Ask so many times."""
    given = [scheduler.next_job() for _ in range(jobs)]
    return [job for job in given if job is not None]


def test_promotions_of_the_first_bracket_come_before_later_brackets() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 2)
    jobs = begin(scheduler, 3)
    assert jobs == [Job(TrialId(0), 0), Job(TrialId(1), 0), Job(TrialId(2), 0)]
    scheduler.record(Result.of(jobs[0], 2.0))
    scheduler.record(Result.of(jobs[1], 1.0))
    assert begin(scheduler, 2) == [Job(TrialId(1), 1), Job(TrialId(3), 0)]


def test_the_last_bracket_uses_the_remaining_trials() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 4, 6)
    jobs = begin(scheduler, 10)
    assert len(jobs) == 6
    for job in jobs[4:]:
        scheduler.record(Result.of(job, -float(job.trial)))
    assert begin(scheduler, 2) == [Job(TrialId(5), 1)]


def test_a_new_trial_replaces_a_withdrawn_trial_in_the_same_bracket() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 2, 4)
    scheduler.withdraw(begin(scheduler, 1)[0])
    assert [job.trial for job in begin(scheduler, 9)] == [1, 2, 3, 4]
    assert [scheduler.bracket(TrialId(trial)) for trial in range(5)] == [0, 0, 1, 1, 2]


def test_the_next_trial_is_promoted_after_a_withdrawal_from_a_closed_rung() -> None:
    scheduler = brackets(Ladder(1, 4, 2), 5)
    for job in begin(scheduler, 5):
        scheduler.record(Result.of(job, float(job.trial)))
    first, second = begin(scheduler, 2)
    assert (first, second) == (Job(TrialId(0), 1), Job(TrialId(1), 1))
    scheduler.withdraw(first)
    assert scheduler.next_job() == Job(TrialId(2), 1)


def test_extending_a_study_reopens_the_rungs_of_the_last_bracket() -> None:
    scheduler = brackets(Ladder(1, 4, 4), 4, 2)
    for job in begin(scheduler, 9):
        scheduler.record(Result.of(job, float(job.trial)))
    assert scheduler.next_job() is None
    assert scheduler.hopeless() == [0, 1]
    scheduler.extend(4)
    for job in begin(scheduler, 9):
        scheduler.record(Result.of(job, 5.0))
    assert scheduler.next_job() == Job(TrialId(0), 1)


def test_reducing_the_number_of_trials_closes_the_rung_of_a_bracket() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 8)
    for job in begin(scheduler, 2):
        scheduler.record(Result.of(job, float(job.trial)))
    scheduler.extend(2)
    assert begin(scheduler, 2) == [Job(TrialId(0), 1)]


@pytest.mark.parametrize("seed", range(20))
def test_all_trials_that_miss_the_top_rung_and_no_others_become_hopeless(seed: int) -> None:
    chance = random.Random(seed)
    scheduler, last = (
        brackets(Ladder(1, 9, 3), chance.choice([1, 2, 4, 9]), 30),
        dict[TrialId, int](),
    )
    running, named = begin(scheduler, 5), list[TrialId]()
    while running:
        job = running.pop(chance.randrange(len(running)))
        scheduler.record(Result.of(job, chance.random()))
        last[job.trial] = job.rung
        running += begin(scheduler, 5 - len(running))
        if chance.random() < 0.1:
            named += scheduler.hopeless()
    named += scheduler.hopeless()
    assert sorted(named) == [trial for trial in sorted(last) if last[trial] < 2]


def test_no_trial_is_reported_hopeless_again_after_a_late_withdrawal() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 2, 4)
    jobs = begin(scheduler, 4)
    for job in jobs[1:]:
        scheduler.record(Result.of(job, float(job.trial)))
    assert scheduler.hopeless() == [3]
    scheduler.withdraw(jobs[0], replace=False)
    assert 3 not in scheduler.hopeless()


def test_the_expected_trials_of_each_rung_follow_the_quotas_of_the_brackets() -> None:
    assert brackets(Ladder(1, 9, 3), 9).expected(30) == [30, 10, 3]


def test_a_bracket_does_not_wait_for_a_trial_withdrawn_before_its_result() -> None:
    """A bracket that never fills settles when each of its trials has a result or is withdrawn."""
    scheduler = brackets(Ladder(1, 2, 2), 8, 4)
    jobs = begin(scheduler, 4)
    for job in jobs[:3]:
        scheduler.record(Result.of(job, float(job.trial)))
    assert scheduler.hopeless() == []
    scheduler.withdraw(jobs[3], replace=False)
    assert scheduler.next_job() == Job(TrialId(0), 1)
    assert scheduler.hopeless() == [1, 2]


def test_withdrawing_a_promoted_trial_does_not_keep_its_bracket_open() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 8, 4)
    jobs = begin(scheduler, 4)
    for job in jobs:
        scheduler.record(Result.of(job, float(job.trial)))
    promoted = begin(scheduler, 2)
    assert promoted == [Job(TrialId(0), 1), Job(TrialId(1), 1)]
    scheduler.withdraw(promoted[1], replace=False)
    assert scheduler.hopeless() == [2, 3]
