"""Delayed promotion against its rule, and what it is there for."""

import random

from ashtune.core.jobs import Result
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
