"""Promotion by rank and price against its rule, and what the rule means in small examples."""

import math
import random
from functools import partial

import pytest
from hypothesis import settings

from ashtune.core.jobs import Job, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.ash import Ash, AshMachine
from ashtune.schedulers.cost_aware import CostAwareAsh, CostAwareMachine
from ashtune.testing import oracles
from ashtune.testing.schedulers import SETTINGS, check_scheduler

LADDER = Ladder(1, 9, 3)


def test_it_gives_the_jobs_of_its_oracle_in_any_order_of_workers() -> None:
    check_scheduler(CostAwareAsh(), oracles.cost_aware)


@pytest.mark.parametrize(("losses", "has_constraints"), [(1, True), (2, False), (3, True)])
def test_of_several_losses_or_constraints_it_gives_the_jobs_of_its_oracle(losses: int, has_constraints: bool) -> None:
    options = settings(SETTINGS, max_examples=25)
    check_scheduler(CostAwareAsh(), oracles.cost_aware, losses=losses, has_constraints=has_constraints, options=options)


def test_with_the_quota_of_the_default_it_gives_the_jobs_of_its_oracle() -> None:
    oracle = partial(oracles.cost_aware, quota=oracles.early_and_slow)
    check_scheduler(CostAwareAsh().where_rungs_are_chosen(), oracle)


def promoted(seconds: list[float], losses: list[float] | None = None) -> list[int]:
    """Return which of the trials of the lowest rung go on, once all have arrived; trial 0 is the best unless told."""
    machine = CostAwareMachine(LADDER, len(seconds))
    for trial, cost in enumerate(seconds):
        loss = float(trial) if losses is None else losses[trial]
        machine.record(Result(TrialId(trial), 0, 1, (loss,), cost))
    machine._budget.extend(0)
    given = []
    while (job := machine.next_job()) is not None:
        given.append(job.trial)
    return given


def test_where_all_cost_the_same_the_quota_goes_on() -> None:
    assert promoted([2.5] * 9) == [0, 1, 2]


def test_a_trial_of_twice_the_price_goes_on_up_to_half_the_rank_and_a_cheap_one_up_to_twice() -> None:
    """The quota is 4 of 12: the dear ones at ranks 2 and 3 go on up to rank 2, the cheap ones at 8 and 9 up to 8."""
    seconds = [1.0] * 12
    seconds[1] = seconds[2] = 2.0
    seconds[7] = seconds[8] = 0.5
    assert promoted(seconds) == [0, 1, 3, 7]


def test_a_trial_that_hangs_for_hours_changes_nothing_for_the_others() -> None:
    seconds = [1.0] * 12
    seconds[11] = 36_000.0
    assert promoted(seconds) == [0, 1, 2, 3]


def test_failures_never_go_on_and_their_seconds_do_not_count() -> None:
    assert promoted([1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, *[math.inf] * 3]) == [0, 1]
    assert promoted([0.0] * 3, [math.inf] * 3) == []


def test_a_trial_that_went_on_in_the_middle_of_its_rung_is_priced_by_what_it_trained() -> None:
    """A job that was broken off at 2 of 3 and took 1 s for the rest is as dear as one that took 3 s for all."""
    machine = CostAwareMachine(Ladder(3, 9, 3), 3)
    machine.record(Result(TrialId(0), 0, 3, (1.0,), 1.0, 2))
    machine.record(Result(TrialId(1), 0, 3, (2.0,), 3.0, 0))
    assert machine._prices[0] == {0: 10**9, 1: 10**9}


def test_where_nobody_tells_the_seconds_it_gives_the_jobs_of_ash() -> None:
    for seed in range(20):
        draws = random.Random(seed)
        ash, aware = AshMachine(LADDER, 60), CostAwareMachine(LADDER, 60)
        running: list[Job] = []
        while True:
            while len(running) < 5 and (job := ash.next_job()) == aware.next_job() and job is not None:
                running.append(job)
            if not running:
                break
            result = Result.of(running.pop(draws.randrange(len(running))), draws.random())
            ash.record(result)
            aware.record(result)


def spent(scheduler: Ash, *, seed: int) -> float:
    """Return the part of the seconds above the lowest rung that the dear half of 300 trials took, ten times as dear."""
    draws, machine = random.Random(seed), scheduler.build(LADDER, 300)
    seconds, dear = [0.0, 0.0], [draws.random() < 0.5 for _ in range(300)]
    while (job := machine.next_job()) is not None:
        start = LADDER.rungs[job.rung - 1] if job.rung else 0
        took = (LADDER.rungs[job.rung] - start) * (10.0 if dear[job.trial] else 1.0)
        seconds[dear[job.trial]] += took if job.rung else 0.0
        machine.record(Result(job.trial, job.rung, LADDER.rungs[job.rung], (draws.random(),), took, start))
    return seconds[1] / sum(seconds)


def test_the_dear_half_of_the_trials_takes_much_less_of_the_seconds_than_with_ash() -> None:
    """Ten times as dear they take ten of eleven parts with ``ash``; by rank and price six of ten."""
    assert sum(spent(Ash(), seed=seed) for seed in range(5)) / 5 > 0.85
    assert sum(spent(CostAwareAsh(), seed=seed) for seed in range(5)) / 5 < 0.7


def test_it_says_how_much_prices_differ() -> None:
    machine = CostAwareMachine(LADDER, 9)
    assert machine.notes() == ""
    for trial, seconds in enumerate([0.5, 2.0, 8.0]):
        machine.record(Result(TrialId(trial), 0, 1, (1.0,), seconds))
    assert machine.notes().startswith("up to 1 a unit of the resource took 0.5 to 8 seconds, the middle trial 2: ")


@pytest.mark.parametrize("losses", [(1.0, 2.0), (2.0, 1.0)])
def test_of_several_losses_the_front_ranks_first(losses: tuple[float, float]) -> None:
    machine = CostAwareMachine(LADDER, 3)
    for trial, of_trial in enumerate([(3.0, 3.0), (4.0, 4.0), losses]):
        machine.record(Result(TrialId(trial), 0, 1, of_trial, 1.0))
    assert machine.next_job() == Job(TrialId(2), 1)
