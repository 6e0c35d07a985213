"""The audit: of Ash it agrees with the oracle, of a wrong scheduler it shows the fault."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ashtune._src.analysis.audit import Audit, false_promotions, rank_correlation
from ashtune._src.core.events import JobFinished, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import Constraint, Goal, Job, Objective, Result, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Train
from ashtune._src.reports.audit_view import audit_findings
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS, SchedulerView, view_of
from ashtune._src.schedulers.stopping import StoppingMachine
from ashtune.testing import oracles
from ashtune.testing.oracles import Fact, Given, RecordedResult, Withdrawn
from tests.helpers.made_up import ACCURACY, MadeUpStudy, result, show, tell

LOSS = Goal("loss", "min")
SIZE = Objective("size", "max")
SMALL = Constraint("size", "<=", 20)
GOALS = [
    LOSS,
    Goal("loss", "min", others=(SIZE,)),
    Goal("loss", "min", constraints=(SMALL,)),
    Goal("loss", "min", others=(SIZE,), constraints=(SMALL,)),
]


class Greedy:
    """Wrong on purpose: drops promoted trials before it works out the quota, so that nearly all continue
    .
    """

    def __init__(self, ladder: Ladder, trials: int) -> None:
        self.ladder, self.trials, self.born = ladder, trials, 0
        self.rungs: list[list[tuple[float, TrialId]]] = [[] for _ in ladder.rungs]

    def next_job(self) -> Job | None:
        for number in reversed(range(self.ladder.top)):
            rung = self.rungs[number]
            if self.ladder.quota(number, len(rung)):
                return Job(rung.pop(rung.index(min(rung)))[1], number + 1)
        if self.born == self.trials:
            return None
        self.born += 1
        return Job(TrialId(self.born - 1), 0)

    def record(self, result: Result) -> None:
        self.rungs[result.rung].append((result.losses[0], result.trial))


def view(ladder: Ladder, name: str = "ash") -> SchedulerView:
    is_there = SCHEDULERS.is_known(name.partition(":")[0])
    record = SCHEDULERS.record(SCHEDULERS.part(name)) if is_there else {"kind": name}
    return view_of(record, ladder, ladder, 0)


def audited(
    scheduler: object,
    name: str,
    ladder: Ladder,
    seed: int,
    workers: int,
    *,
    orders: bool = True,
    goal: Goal = LOSS,
) -> tuple[Audit, list[Fact]]:
    """Run a scheduler over random losses, results in random order; return its audit and the
    history.
    """
    chance, audit = random.Random(seed), Audit(ladder, goal, view(ladder, name))
    history: list[Fact] = []
    running: list[Job] = []
    withdraws = isinstance(scheduler, AshMachine)
    while True:
        while len(running) < workers and (job := scheduler.next_job()) is not None:  # type: ignore[attr-defined]
            running.append(job)
            history.append(Given(job))
            if orders:
                audit.followed(Train(WorkerId(0), job.trial, job.rung, 0, ladder.rungs[job.rung]))
        if not running:
            return audit, history
        job = running.pop(chance.randrange(len(running)))
        if withdraws and chance.random() < 0.03:
            history.append(Withdrawn(job, replace=False))
            audit.event(
                TrialWithdrawn(0, worker=WorkerId(0), trial=job.trial, rung=job.rung, seconds=1.0)
            )
            scheduler.withdraw(job, replace=False)  # type: ignore[attr-defined]
            continue
        # ties are likely
        loss = math.inf if chance.random() < 0.05 else float(chance.randrange(40))
        metrics = {"loss": None if math.isinf(loss) else loss, "size": float(chance.randrange(40))}
        losses, violation = goal.judged(metrics)
        history.append(RecordedResult(job, losses[0], more=losses[1:], violation=violation))
        audit.event(finished(job, metrics, ladder))
        scheduler.record(Result.of(job, *losses, violation=violation))  # type: ignore[attr-defined]


def finished(job: Job, metrics: dict[str, float | None], ladder: Ladder) -> JobFinished:
    return result(job.trial, job.rung, ladder.rungs[job.rung], metrics)


def unexplained(audit: Audit) -> set[tuple[int, int]]:
    return {(trial, record.rung) for record in audit.records() for trial in record.unexplained}


def by_the_oracle(ladder: Ladder, history: list[Fact]) -> set[tuple[int, int]]:
    """Return the promotions that were never due, recomputed from the whole history before each."""
    wrong = set()
    gone = {fact.job.trial for fact in history if isinstance(fact, Withdrawn)}
    for moment, fact in enumerate(history):
        if isinstance(fact, Given) and fact.job.rung > 0 and fact.job.trial not in gone:
            below = fact.job.rung - 1
            moments = [
                oracles.within_quota(ladder, history[:at], below) for at in range(moment + 1)
            ]
            if all(
                fact.job.trial not in [one.job.trial for one in best if not one.is_failure]
                for best in moments
            ):
                wrong.add((fact.job.trial, below))
    return wrong


@given(
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.sampled_from([2, 3]),
    st.integers(1, 40),
    st.booleans(),
)
def test_the_audit_explains_each_promotion_of_ash(
    seed: int, workers: int, eta: int, trials: int, orders: bool
) -> None:
    ladder = Ladder(1, eta**3, eta)
    audit, history = audited(
        AshMachine(ladder, trials), "ash", ladder, seed, workers, orders=orders
    )
    assert unexplained(audit) == by_the_oracle(ladder, history) == set()


@pytest.mark.parametrize("goal", GOALS[1:], ids=str)
def test_the_audit_explains_each_promotion_of_ash_with_any_kind_of_goal(goal: Goal) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 25), st.booleans())
    def check(seed: int, workers: int, trials: int, orders: bool) -> None:
        ladder = Ladder(1, 4, 2)
        audit, history = audited(
            AshMachine(ladder, trials), "ash", ladder, seed, workers, orders=orders, goal=goal
        )
        assert unexplained(audit) == by_the_oracle(ladder, history) == set()

    check()


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 30), st.sampled_from(GOALS))
def test_the_audit_finds_the_same_unexplained_promotions_as_the_oracle(
    seed: int, workers: int, trials: int, goal: Goal
) -> None:
    ladder = Ladder(1, 9, 3)
    audit, history = audited(Greedy(ladder, trials), "ash", ladder, seed, workers, goal=goal)
    assert unexplained(audit) == by_the_oracle(ladder, history)


BY_RULES = [
    "sh",
    "stopping",
    "ash",
    "ash:ahead=1:exponent=0.8",
    "pasha",
    "hyperband",
    "async_hyperband",
]


@pytest.mark.parametrize("name", BY_RULES)
def test_the_audit_finds_no_fault_in_schedulers_that_follow_their_rule(name: str) -> None:
    ladder = Ladder(1, 27, 3)
    for seed in range(5):
        audit, history = audited(SCHEDULERS.part(name).build(ladder, 60), name, ladder, seed, 5)
        assert unexplained(audit) == set()
        assert sum(record.promoted for record in audit.records()) > 10
        assert audit_findings(audit, unit="epoch")[0].startswith("All ")
        assert len(history) > 60


def test_the_audit_reports_promotions_made_by_a_different_rule() -> None:
    ladder = Ladder(1, 27, 3)
    stopping, _ = audited(StoppingMachine(ladder, 60), "ash", ladder, 0, 5)
    assert unexplained(stopping), (
        "of the first two results none may be promoted, and the stopping rule lets both continue"
    )
    brackets, _ = audited(SuccessiveHalving().build(ladder, 60), "hyperband", ladder, 0, 5)
    assert unexplained(brackets), "the best of all are not the best of each bracket"
    early, _ = audited(AshMachine(ladder, 60), "stopping", ladder, 0, 5)
    assert unexplained(early), (
        "some are promoted after others came, and the stopping rule decides at the own report"
    )


def test_the_audit_reports_a_skipped_lowest_rung_unless_the_scheduler_allows_skipping() -> None:
    ladder = Ladder(1, 9, 3)
    for name, faults in (("ash", {(7, 1)}), ("ash:skip_above=0.4", set()), ("full", set())):
        audit = Audit(ladder, LOSS, view(ladder, name))
        audit.event(finished(Job(TrialId(7), 2), {"loss": 0.5}, ladder))
        assert unexplained(audit) == faults


def test_the_audit_does_not_check_promotions_of_an_unknown_scheduler() -> None:
    ladder = Ladder(1, 9, 3)
    audit, _ = audited(Greedy(ladder, 81), "magic", ladder, 3, 4)
    assert unexplained(audit) == set()
    assert (
        audit_findings(audit, unit="epoch")[0]
        == "The promotion rule of magic is unknown, so its promotions were not checked."
    )


def test_the_audit_omits_the_law_of_false_promotions_for_proposed_trials() -> None:
    ladder = Ladder(1, 9, 3)
    audit, _ = audited(AshMachine(ladder, 60), "ash", ladder, 0, 5)
    assert any(
        "proved wrong; for many random trials" in sentence
        for sentence in audit_findings(audit, unit="epoch")
    )
    for trial, origin in enumerate(
        ["random", "enqueued", "gp, 9 results", "mutation of 2, no proposal was ready"]
    ):
        audit.event(TrialStarted(0.0, TrialId(trial), {"x": 1}, origin))
    assert {record.law for record in audit.records()} == {None}
    assert audit_findings(audit, unit="epoch")[1] == (
        "The expected number of early promotions is not shown: it is correct only for random "
        "trials, but 2 trials were chosen from earlier results."
    )
    assert "for many random trials" not in " ".join(audit_findings(audit, unit="epoch"))


def test_wrong_and_missed_promotions_are_counted_from_the_final_results() -> None:
    ladder = Ladder(1, 8, 2)
    audit, history = audited(Greedy(ladder, 200), "ash", ladder, 11, 6)
    results = [fact for fact in history if isinstance(fact, RecordedResult)]
    for record in audit.records()[:-1]:
        at = sorted((fact.loss, fact.job.trial) for fact in results if fact.job.rung == record.rung)
        best = {trial for loss, trial in at[: len(at) // 2] if loss < math.inf}
        gone = {fact.job.trial for fact in results if fact.job.rung == record.rung + 1}
        assert (record.arrived, record.quota) == (len(at), len(at) // 2)
        assert record.promoted == len(gone)
        assert record.wrong == len(gone - best) > 0
        assert record.missed == len(best - gone)
        assert record.law == pytest.approx(math.sqrt(math.pi * len(at) / 8))


@pytest.mark.parametrize(
    ("name", "is_shown"),
    [("ash", True), ("ash:exponent=0.8", False), ("adaptive", False), ("stopping", False)],
)
def test_the_audit_shows_the_law_of_false_promotions_only_for_matching_schedulers(
    name: str, is_shown: bool
) -> None:
    ladder = Ladder(1, 9, 3)
    audit, _ = audited(AshMachine(ladder, 60), name, ladder, 3, 4)
    assert [record.law is not None for record in audit.records()] == [is_shown, is_shown, False]


def test_ash_follows_the_law_of_false_promotions_within_four_standard_errors() -> None:
    ladder, trials, runs = Ladder(1, 4, 4), 1000, 40
    wrong = []
    for seed in range(runs):
        chance, audit, ash = (
            random.Random(seed),
            Audit(ladder, LOSS, view(ladder)),
            AshMachine(ladder, trials),
        )
        while (job := ash.next_job()) is not None:
            loss = chance.random()
            ash.record(Result.of(job, loss))
            audit.followed(Train(WorkerId(0), job.trial, job.rung, 0, 1))
            audit.event(finished(job, {"loss": loss}, ladder))
        wrong.append(audit.records()[0].wrong)
    mean, error = sum(wrong) / runs, stats.sem(wrong)
    assert abs(mean - 0.891 * false_promotions(trials, 0.25)) < 4 * error, (
        "papers: 15.30 of 1,000 at eta 4"
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_the_rank_correlation_is_spearmans_correlation(pairs: list[tuple[int, int]]) -> None:
    left, right = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    correlation = rank_correlation(left, right)
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert correlation is None
    else:
        assert correlation == pytest.approx(stats.spearmanr(left, right).statistic)


@pytest.mark.parametrize("stop_after", [0, 60])
def test_the_audit_finds_no_fault_in_a_study_with_failures_and_sessions(stop_after: int) -> None:
    study = MadeUpStudy(Ladder(1, 27, 3), 81, 4, trouble=0.2, stop_after=stop_after)
    with_orders, without = (Audit(study.ladder, ACCURACY, study.scheduler) for _ in range(2))
    steps = list(study)
    tell(without, *(what for kind, what in steps if kind == "event"))  # type: ignore[misc]
    show(with_orders, steps)
    assert unexplained(with_orders) == unexplained(without) == set()
    assert with_orders.records() == without.records()
    assert sum(record.failed for record in with_orders.records()) > 0
