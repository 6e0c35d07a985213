"""Synchronous brackets against their oracle, and their rules one by one."""

import random
from functools import partial

import pytest
from hypothesis import settings

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import Job, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.brackets import BracketedHalving, BracketsMachine
from ashtune.testing import oracles
from ashtune.testing.schedulers import SETTINGS, check_scheduler

FEW = settings(SETTINGS, max_examples=min(40, SETTINGS.max_examples), stateful_step_count=25)


def brackets(ladder: Ladder, models: int, trials: int | None = None) -> BracketsMachine:
    return BracketedHalving(models).build(ladder, trials)


def begin(scheduler: BracketsMachine, jobs: int) -> list[Job]:
    """Ask so many times."""
    given = [scheduler.next_job() for _ in range(jobs)]
    return [job for job in given if job is not None]


@pytest.mark.parametrize("models", [1, 2, 5])
def test_the_oldest_bracket_that_has_a_job_gives_it_in_any_order_of_workers(models: int) -> None:
    check_scheduler(BracketedHalving(models), partial(oracles.brackets, lambda _: [(0, models)]), options=FEW)


def test_by_default_a_bracket_has_as_many_trials_as_bring_one_to_the_top() -> None:
    for ladder, models in ((Ladder(1, 64, 2), 64), (Ladder(1, 81, 3), 81), (Ladder.explicit([1, 5, 20]), 20)):
        scheduler = BracketedHalving().build(ladder, None)
        assert [scheduler.bracket(TrialId(trial)) for trial in (0, models - 1, models)] == [0, 0, 1]
        assert scheduler.expected(models)[-1] == 1


def test_a_second_bracket_opens_while_the_first_waits_and_what_the_first_then_gives_comes_before_it() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 2)
    jobs = begin(scheduler, 3)
    assert jobs == [Job(TrialId(0), 0), Job(TrialId(1), 0), Job(TrialId(2), 0)]
    scheduler.record(Result.of(jobs[0], 2.0))
    scheduler.record(Result.of(jobs[1], 1.0))
    assert begin(scheduler, 2) == [Job(TrialId(1), 1), Job(TrialId(3), 0)]


def test_the_last_bracket_makes_do_with_the_trials_that_are_left() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 4, 6)
    jobs = begin(scheduler, 10)
    assert len(jobs) == 6
    for job in jobs[4:]:
        scheduler.record(Result.of(job, -float(job.trial)))
    assert begin(scheduler, 2) == [Job(TrialId(5), 1)]


def test_a_withdrawn_trial_is_left_out_of_its_bracket_and_the_next_number_replaces_it() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 2, 4)
    scheduler.withdraw(begin(scheduler, 1)[0])
    assert [job.trial for job in begin(scheduler, 9)] == [1, 2, 3, 4]
    assert [scheduler.bracket(TrialId(trial)) for trial in range(5)] == [0, 0, 1, 1, 2]


def test_more_trials_open_the_rungs_of_the_last_bracket_again() -> None:
    scheduler = brackets(Ladder(1, 4, 4), 4, 2)
    for job in begin(scheduler, 9):
        scheduler.record(Result.of(job, float(job.trial)))
    assert scheduler.next_job() is None
    assert scheduler.hopeless() == [0, 1]
    scheduler.extend(4)
    for job in begin(scheduler, 9):
        scheduler.record(Result.of(job, 5.0))
    assert scheduler.next_job() == Job(TrialId(0), 1)


def test_fewer_trials_than_a_bracket_has_begun_with_close_its_rung() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 8)
    for job in begin(scheduler, 2):
        scheduler.record(Result.of(job, float(job.trial)))
    scheduler.extend(2)
    assert begin(scheduler, 2) == [Job(TrialId(0), 1)]


def test_a_job_that_came_to_nothing_is_given_again_after_the_others_of_its_bracket() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 4)
    jobs = begin(scheduler, 4)
    scheduler.take_back(jobs[0])
    assert begin(scheduler, 1) == [jobs[0]]
    for job in jobs:
        scheduler.record(Result.of(job, float(job.trial)))
    assert [job.trial for job in begin(scheduler, 3)] == [0, 1, 4]


@pytest.mark.parametrize("seed", range(20))
def test_whoever_is_left_behind_is_named_hopeless_once_and_nobody_else(seed: int) -> None:
    chance = random.Random(seed)
    scheduler, last = brackets(Ladder(1, 9, 3), chance.choice([1, 2, 4, 9]), 30), dict[TrialId, int]()
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


def test_a_straggler_that_is_withdrawn_lets_nobody_of_a_later_bracket_be_named_again() -> None:
    scheduler = brackets(Ladder(1, 2, 2), 2, 4)
    jobs = begin(scheduler, 4)
    for job in jobs[1:]:
        scheduler.record(Result.of(job, float(job.trial)))
    assert scheduler.hopeless() == [3]
    scheduler.withdraw(jobs[0], replace=False)
    assert 3 not in scheduler.hopeless()


def test_all_brackets_together_are_expected_to_train_their_quotas() -> None:
    assert brackets(Ladder(1, 9, 3), 9).expected(30) == [30, 10, 3]


def test_a_bracket_without_models_is_refused() -> None:
    with pytest.raises(SettingsError, match="models=0"):
        BracketedHalving(0)
