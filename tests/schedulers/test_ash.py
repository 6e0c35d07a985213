"""Ash against the paper's pseudo-code, and what follows from it."""

import math
import random
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers import ranking as rung_module
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.ranking import Entry, OneLoss, QuotaRule
from ashtune.testing import oracles
from ashtune.testing.oracles import Fact, Given, RecordedResult
from ashtune.testing.scheduler_suite import LADDERS, check_scheduler

losses = st.sampled_from([-1.0, 0.0, 0.5, 1.0, math.inf]) | st.floats(-9, 9)


@pytest.fixture(params=["a window of one rank", "the window as it is"])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short histories never leave a window as wide as it is; one of one rank moves all the time."""
    if request.param == "a window of one rank":
        monkeypatch.setattr(rung_module, "_NEAR", 1)
        monkeypatch.setattr(rung_module, "_WIDEST", 4)


@pytest.mark.usefixtures("window")
def test_ash_gives_the_same_jobs_as_algorithm_2_for_any_worker_order() -> None:
    check_scheduler(AshMachine, oracles.ash)


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("kept", [Fraction(1, 2), Fraction(1, 4), Fraction(2, 3), Fraction(10, 11)])
@pytest.mark.parametrize(
    "order", ["better and better", "worse and worse", "all equal", "to and fro"]
)
def test_a_rung_finds_its_best_results_in_any_order_of_arrival(kept: Fraction, order: str) -> None:
    losses_in: dict[str, Callable[[int], float]] = {
        "better and better": lambda number: -float(number),
        "worse and worse": float,
        "all equal": lambda number: 0.0,
        "to and fro": lambda number: float(number * 619 % 1000 // 3),
    }
    loss_of = losses_in[order]
    rung = OneLoss(QuotaRule(kept))
    arrived: list[Entry] = []
    promoted: set[TrialId] = set()
    for number in range(1000):
        entry = (loss_of(number), TrialId(number))
        rung.add(entry)
        arrived.append(entry)
        quota = math.floor(len(arrived) * kept)
        best = sorted(arrived)[:quota]
        assert rung.quota == quota
        for probe in (best[-1:], sorted(arrived)[quota : quota + 1]):
            assert all(rung.is_within_quota(probed) == (probed in best) for probed in probe)
        if number % 7 == 0:
            due = [trial for _, trial in best if trial not in promoted]
            assert [rung.promote() for _ in due] == due
            promoted.update(due)
            assert rung.promote() is None


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(LADDERS),
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 9), losses), max_size=60),
)
def test_ash_leaves_no_promotable_trial_waiting_in_a_lower_rung(
    ladder: Ladder, workers: int, reports: list[tuple[int, float]]
) -> None:
    """The lemma of papers.md 1.2: every rung but the one that reported is exhausted already."""
    scheduler = AshMachine(ladder)
    history: list[Fact] = []
    running: list[Job] = []

    def ask() -> None:
        job = scheduler.next_job()
        assert job is not None
        history.append(Given(job))
        running.append(job)

    for _ in range(workers):
        ask()
    for pick, loss in reports:
        job = running.pop(pick % len(running))
        scheduler.record(Result.of(job, loss))
        history.append(RecordedResult(job, loss))
        assert len(oracles.promotable(ladder, history)) <= 1
        ask()
        assert oracles.promotable(ladder, history) == []


@given(st.sampled_from(LADDERS), st.lists(losses, min_size=30, max_size=30))
def test_each_trial_that_misses_the_top_rung_is_reported_hopeless_once(
    ladder: Ladder, of_trial: list[float]
) -> None:
    scheduler = AshMachine(ladder, len(of_trial))
    last: dict[TrialId, Job] = {}
    named: list[TrialId] = []
    while (job := scheduler.next_job()) is not None:
        last[job.trial] = job
        scheduler.record(Result.of(job, of_trial[job.trial]))
        named += scheduler.hopeless()
    assert sorted(named) == [trial for trial, job in last.items() if job.rung < ladder.top]


@pytest.mark.parametrize("replace", [True, False])
def test_trials_that_miss_the_top_rung_are_hopeless_even_after_withdrawals(replace: bool) -> None:
    scheduler = AshMachine(Ladder(1, 64, 2), 40)
    last: dict[TrialId, Job] = {}
    named: list[TrialId] = []
    while (job := scheduler.next_job()) is not None:
        if job.rung == 0 and job.trial % 5 == 3:
            scheduler.withdraw(job, replace=replace)
            continue
        last[job.trial] = job
        scheduler.record(Result.of(job, float(job.trial * 17 % 40)))
    named = scheduler.hopeless()
    assert sorted(named) == [trial for trial, job in last.items() if job.rung < 6]


def test_a_failed_trial_is_hopeless_even_in_an_endless_study() -> None:
    scheduler = AshMachine(Ladder(1, 4, 2))
    for loss in (1.0, math.inf, 2.0):
        job = scheduler.next_job()
        assert job is not None
        if job.rung == 0:
            scheduler.record(Result.of(job, loss))
    assert scheduler.hopeless() == [1]


def test_a_trial_reported_hopeless_gets_no_further_job() -> None:
    """400 sequential studies; a seeded draw, as it takes a long history to go wrong here."""
    for seed in range(400):
        draw = random.Random(seed)
        scheduler = AshMachine(Ladder(1, 8, 2), 6)
        named: set[TrialId] = set()
        for trials in (draw.randint(7, 12), draw.randint(12, 40)):
            while (job := scheduler.next_job()) is not None:
                assert job.trial not in named
                scheduler.record(Result.of(job, draw.random() * draw.choice([1, 10])))
                if draw.random() < 0.5:
                    named.update(scheduler.hopeless())
            scheduler.extend(trials)
            named.clear()


def test_a_paused_trial_is_hopeless_once_too_many_other_trials_are_better() -> None:
    scheduler = AshMachine(Ladder(1, 4, 4), 8)  # two of eight continue
    named = []
    for loss in (3.0, 2.0, 1.0):
        job = scheduler.next_job()
        assert job is not None
        scheduler.record(Result.of(job, loss))
        named.append(scheduler.hopeless())
    assert named == [[], [], [0]]


def test_extending_a_study_lets_a_hopeless_trial_be_promoted_again() -> None:
    scheduler = AshMachine(Ladder(1, 2, 2), 2)
    for _ in range(2):
        job = scheduler.next_job()
        assert job is not None
        scheduler.record(Result.of(job, float(job.trial)))
    assert scheduler.next_job() == Job(TrialId(0), 1)
    assert scheduler.hopeless() == [1]
    scheduler.extend(4)
    for _ in range(2):
        job = scheduler.next_job()
        assert job is not None
        scheduler.record(Result.of(job, 9.0))
    assert scheduler.next_job() == Job(TrialId(1), 1)


def test_a_withdrawn_trial_is_removed_from_all_rungs_and_replaced() -> None:
    scheduler = AshMachine(Ladder(1, 2, 2), 2)
    first, second = scheduler.next_job(), scheduler.next_job()
    assert first is not None
    assert second is not None
    scheduler.record(Result.of(first, 1.0))
    scheduler.record(Result.of(second, 2.0))
    promoted = scheduler.next_job()
    assert promoted == Job(TrialId(0), 1)
    scheduler.withdraw(promoted)
    third = scheduler.next_job()  # one result is left below, so nothing continues
    assert third == Job(TrialId(2), 0)
    scheduler.record(Result.of(third, 3.0))
    assert scheduler.next_job() == Job(TrialId(1), 1)


def test_an_endless_study_starts_new_trials_while_nothing_is_promotable() -> None:
    scheduler = AshMachine(Ladder(1, 9, 3))
    assert [scheduler.next_job() for _ in range(100)] == [
        Job(TrialId(number), 0) for number in range(100)
    ]


def test_a_promotion_is_valid_if_the_quota_ever_included_its_trial() -> None:
    ladder = Ladder(1, 2, 2)
    below = [
        RecordedResult(Job(TrialId(trial), 0), loss)
        for trial, loss in ((0, 2.0), (1, 3.0), (2, 1.0))
    ]
    above = [RecordedResult(Job(TrialId(trial), 1), 0.0) for trial in range(3)]
    assert oracles.unexplained_results(ladder, [*below, above[0]]) == []  # the second best by now
    assert oracles.unexplained_results(ladder, [*below, above[2]]) == []
    assert len(oracles.unexplained_results(ladder, [*below, above[1]])) == 1
    assert len(oracles.unexplained_results(ladder, [below[0], above[0], *below[1:]])) == 1
