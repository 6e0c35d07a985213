"""Hyperband, synchronous and asynchronous: the published tables, the oracles, trials that enter
above the rest.
"""

import math
from functools import cache, partial

import pytest
from hypothesis import settings

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.plan_of_rungs import plan
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband, hyperband_brackets
from ashtune._src.schedulers.scheduler_protocol import Machine, Scheduler
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune.testing.scheduler_suite import SETTINGS, check_scheduler
from tests.helpers import oracles

FEW = settings(SETTINGS, max_examples=min(40, SETTINGS.max_examples), stateful_step_count=25)
SMALL = (Ladder(1, 4, 2), Ladder(1, 9, 3), Ladder.explicit([1, 3, 4]), Ladder(7, 7))
PAPER = Ladder(1, 81, 3)


def of_the_paper(ladder: Ladder) -> list[tuple[int, int]]:
    """Return Algorithm 1's brackets: n = ceil(B / R * eta^s / (s + 1)) with B = (s_max + 1) R."""
    highest = ladder.top
    rounds = []
    for s in range(highest, -1, -1):
        ratio = 1 / math.prod(ladder.kept[highest - s :])
        rounds.append((highest - s, math.ceil(ratio * (highest + 1) / (s + 1))))
    return rounds


def test_the_trials_that_enter_at_all_rungs_sum_to_all_trials() -> None:
    machine = AsyncHyperband().build(PAPER, None)
    assert sum(machine.entering(10**15)) == 10**15
    exact, expected = machine.entering(100_000), machine.entering(100_001)
    assert all(abs(one - other) <= 1_000 for one, other in zip(exact, expected, strict=True))


def test_a_ladder_of_301_rungs_has_301_brackets() -> None:
    kept = tuple(((1 << 64) - 2 * rung - 3, (1 << 64) - 1) for rung in range(300))
    ladder = Ladder.from_record((tuple(range(1, 302)), kept))
    assert len(hyperband_brackets(ladder)) == 301


def trained(machine: Machine) -> list[Job]:
    """Train on one worker, every next trial a little worse; return the jobs in order."""
    jobs = []
    while (job := machine.next_job()) is not None:
        jobs.append(job)
        machine.record(Result.of(job, float(job.trial)))
    return jobs


def test_brackets_have_the_sizes_of_the_example_in_the_paper() -> None:
    brackets = hyperband_brackets(PAPER)
    assert [bracket.trials for bracket in brackets] == [81, 34, 15, 8, 5]
    assert [PAPER.rungs[bracket.entry] for bracket in brackets] == [1, 3, 9, 27, 81]
    assert [(bracket.entry, bracket.trials) for bracket in brackets] == of_the_paper(PAPER)


def test_hyperband_trains_the_same_number_of_epochs_as_dask_ml() -> None:
    machine = Hyperband().build(PAPER, 143)
    assert machine.expected(143) == [81, 27 + 34, 9 + 11 + 15, 3 + 3 + 5 + 8, 1 + 1 + 1 + 2 + 5]
    planned = plan(SchedulerView("hyperband", Hyperband.rule, machine), PAPER, 143)
    assert planned.epochs == 1581
    jobs = trained(machine)
    reached: dict[TrialId, int] = {}
    calls = 0
    for job in jobs:
        calls += PAPER.rungs[job.rung] - reached.get(job.trial, 0)
        reached[job.trial] = PAPER.rungs[job.rung]
    assert (len(reached), calls) == (143, 1581)
    assert [sum(job.rung == rung for job in jobs) for rung in range(5)] == machine.expected(143)


def test_after_the_last_bracket_hyperband_starts_with_the_first_bracket_again() -> None:
    machine = Hyperband().build(PAPER, None)
    assert [machine.entry(TrialId(trial)) for trial in (0, 80, 81, 142, 143)] == [0, 0, 1, 4, 0]
    assert [machine.bracket(TrialId(trial)) for trial in (0, 80, 81, 142, 143)] == [0, 0, 1, 4, 5]
    few = Hyperband(brackets=2).build(PAPER, None)
    assert few.entering(230) == [81 + 81, 34 + 34, 0, 0, 0]
    assert Hyperband(brackets=99).build(PAPER, None).entering(143) == [81, 34, 15, 8, 5]


@pytest.mark.parametrize("scheduler", [Hyperband(), Hyperband(brackets=2)])
def test_hyperband_gives_the_same_jobs_as_its_oracle_for_any_worker_order(
    scheduler: Hyperband,
) -> None:
    def rounds(ladder: Ladder) -> list[tuple[int, int]]:
        return of_the_paper(ladder)[: scheduler.brackets]

    check_scheduler(scheduler, partial(oracles.brackets, rounds), ladders=SMALL, options=FEW)


def test_async_hyperband_gives_the_same_jobs_as_its_oracle() -> None:
    entry_on = cache(lambda ladder: AsyncHyperband().build(ladder, None).entry)
    check_scheduler(
        AsyncHyperband(), partial(oracles.ash_entering, entry_on), ladders=SMALL, options=FEW
    )


def test_entry_rungs_are_drawn_with_the_probabilities_of_the_paper() -> None:
    """Each count is binomial; four standard deviations of 100,000 draws."""
    trials = 100_000
    counts = AsyncHyperband().build(PAPER, None, seed=3).entering(trials)
    assert sum(counts) == trials
    for count, size in zip(counts, (81, 34, 15, 8, 5), strict=True):
        share = size / 143
        assert abs(count - trials * share) < 4 * math.sqrt(trials * share * (1 - share))
    one, same = (AsyncHyperband().build(PAPER, 9, seed=3) for _ in range(2))
    other = AsyncHyperband().build(PAPER, 9, seed=4)
    entries = [
        machine.entry(TrialId(7 * trial % 500))
        for machine in (one, same, other)
        for trial in range(500)
    ]
    assert entries[:500] == entries[500:1000] != entries[1000:]


def test_the_entry_rungs_drawn_for_a_seed_never_change() -> None:
    for machine in (
        AsyncHyperband().build(PAPER, None, seed=0),
        AsyncHyperband().build(PAPER, None),
    ):
        assert (
            "".join(str(machine.entry(TrialId(trial))) for trial in range(40)) == ENTRIES_OF_SEED_0
        )


ENTRIES_OF_SEED_0 = "1004003004100100003211023000001020010021"


@pytest.mark.parametrize(
    ("scheduler", "withdraws"),
    [(Hyperband(), False), (AsyncHyperband(), False), (AsyncHyperband(), True)],
)
def test_hyperband_reports_each_trial_below_the_top_rung_as_hopeless_once(
    scheduler: Scheduler, withdraws: bool
) -> None:
    machine = scheduler.build(Ladder(1, 27, 3), 200, 1)
    last: dict[TrialId, int] = {}
    named: list[TrialId] = []
    while (job := machine.next_job()) is not None:
        if withdraws and job.rung > machine.entry(job.trial) and job.trial % 2:
            machine.withdraw(job, replace=False)
            del last[job.trial]
            named.clear()  # all are named afresh
        else:
            machine.record(Result.of(job, float(job.trial * 37 % 200)))
            last[job.trial] = job.rung
        named += machine.hopeless()
    assert sorted(named) == sorted(trial for trial, rung in last.items() if rung < 3)


@pytest.mark.parametrize("scheduler", [Hyperband(), AsyncHyperband()])
def test_adding_rungs_does_not_change_the_entry_rungs_of_trials(scheduler: Scheduler) -> None:
    machine = scheduler.build(Ladder(1, 9, 3), 60, 1)
    before = [machine.entry(TrialId(trial)) for trial in range(90)]
    jobs = trained(machine)
    longer = Ladder(1, 9, 3).lengthened(27)
    machine.lengthen(longer)
    machine.extend(90)
    assert [machine.entry(TrialId(trial)) for trial in range(90)] == before
    jobs += trained(machine)
    first = {job.trial: job.rung for job in reversed(jobs)}
    assert [first[TrialId(trial)] for trial in range(90)] == before
    assert any(job.rung == 3 for job in jobs)
    assert machine.hopeless()


def test_zero_brackets_are_refused() -> None:
    for scheduler in (Hyperband, AsyncHyperband):
        with pytest.raises(SettingsError, match="brackets=0"):
            scheduler(brackets=0)
