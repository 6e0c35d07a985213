"""Delayed promotion against its rule, and what it is there for."""

import math
import random

import pytest

from ashtune.core.jobs import Job, Result
from ashtune.core.ladder import Ladder
from ashtune.schedulers.ash import AshMachine
from ashtune.schedulers.delayed import DelayedAsh, DelayedMachine
from ashtune.testing import oracles
from ashtune.testing.schedulers import check_scheduler

LADDER = Ladder(1, 27, 3)


def test_it_gives_the_jobs_of_its_oracle_in_any_order_of_workers() -> None:
    check_scheduler(DelayedAsh(), oracles.delayed_ash)


def promoted(machine: AshMachine, trials: int, seed: int) -> int:
    """Return how many of so many results of the lowest rung were promoted, one worker after the other."""
    draws, count = random.Random(seed), 0
    while (job := machine.next_job()) is not None:
        count += job.rung == 1
        machine.record(Result.of(job, draws.random()))
    return count


def test_it_promotes_the_quota_and_no_more_where_ash_promotes_more() -> None:
    """The expected excess of ash is about sqrt(n): of 243 results 81 are the quota."""
    for seed in range(5):
        assert promoted(DelayedMachine(LADDER, 243), 243, seed) == 81
        assert promoted(AshMachine(LADDER, 243), 243, seed) > 81


@pytest.mark.parametrize("workers", [1, 7])
def test_a_promotion_finds_as_many_results_for_each_that_went_on_as_the_factor_says(workers: int) -> None:
    """The paper's condition: with the promoted one the next rung has at most a part of ``1 / factor`` of this one."""
    draws, machine = random.Random(workers), DelayedMachine(LADDER, 300)
    results, gone_on = [0] * 4, [0] * 4
    running: list[Job] = []
    while True:
        while len(running) < workers and (job := machine.next_job()) is not None:
            running.append(job)
            if job.rung > 0:
                gone_on[job.rung] += 1
                assert results[job.rung - 1] >= 3 * gone_on[job.rung]
        if not running:
            break
        job = running.pop(draws.randrange(len(running)))
        machine.record(Result.of(job, math.inf if draws.random() < 0.05 else draws.random()))
        results[job.rung] += 1
    assert results == [300, 100, 33, 11]
