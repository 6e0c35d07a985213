"""Ranking by several losses and under constraints against brute force, and schedulers that rank by
it.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.core.jobs import Job, Key, Losses, Result, TrialId, as_one
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.order import front_of, preferred, ranked
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.ranking import ManyLosses, QuotaRule
from ashtune._src.schedulers.scheduler_protocol import Machine, Scheduler
from ashtune._src.schedulers.stopping import StoppingAsh
from ashtune.testing.oracles import Oracle, RecordedResult, ash
from ashtune.testing.oracles import ranked as ranked_plainly
from ashtune.testing.scheduler_suite import SETTINGS, check_scheduler
from tests.helpers import oracles

Entries = Sequence[tuple[Key, TrialId]]

few = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, math.inf]) | st.floats(-9, 9)
violations = st.sampled_from([0.0, 0.0, 0.5, 1.0]) | st.floats(0, 3)


def results(
    losses: int, violation: st.SearchStrategy[float] | None = None
) -> st.SearchStrategy[list[Key]]:
    return st.lists(
        st.tuples(st.just(0.0) if violation is None else violation, *[few] * losses), max_size=25
    )


def numbered(keys: Sequence[Key]) -> Entries:
    return [(key, TrialId(trial)) for trial, key in enumerate(keys)]


def by_brute_force(entries: Entries) -> list[TrialId]:
    facts = [
        RecordedResult(Job(trial, 0), key[1], more=key[2:], violation=key[0])
        for key, trial in entries
    ]
    return [fact.job.trial for fact in ranked_plainly(facts)]


@pytest.mark.parametrize("violation", [None, violations])
@pytest.mark.parametrize("losses", [2, 3])
def test_results_are_ranked_by_pareto_front_and_then_by_crowding_distance(
    losses: int, violation: st.SearchStrategy[float] | None
) -> None:
    @settings(max_examples=200, deadline=None)
    @given(results(losses, violation))
    def check(of_trial: list[Key]) -> None:
        entries = numbered(of_trial)
        assert [trial for _, trial in ranked(entries)] == by_brute_force(entries)

    check()


@pytest.mark.parametrize("violation", [None, violations])
@pytest.mark.parametrize("losses", [1, 2, 3])
def test_the_pareto_front_contains_all_undominated_results_and_no_others(
    losses: int, violation: st.SearchStrategy[float] | None
) -> None:
    @settings(max_examples=200, deadline=None)
    @given(results(losses, violation))
    def check(of_trial: list[Key]) -> None:
        facts = [
            RecordedResult(Job(TrialId(trial), 0), key[1], more=key[2:], violation=key[0])
            for trial, key in enumerate(of_trial)
        ]
        expected = sorted((fact.loss, *fact.more, fact.job.trial) for fact in oracles.front(facts))
        front = front_of(numbered(of_trial), key=lambda entry: entry)
        assert [(*key[1:], trial) for key, trial in front] == expected

    check()


def test_the_pareto_front_of_a_small_example_with_a_constraint_is_correct() -> None:
    keys = [
        (0.0, 1.0, 4.0),
        (0.0, 2.0, 2.0),
        (0.0, 3.0, 3.0),
        (0.5, 0.0, 0.0),
        (0.0, 4.0, 1.0),
        (0.2, -1.0, 0.0),
    ]
    assert [trial for _, trial in front_of(numbered(keys), key=lambda entry: entry)] == [0, 1, 4]
    assert [trial for _, trial in ranked(numbered(keys))] == [0, 4, 1, 2, 5, 3]


def test_the_preferred_result_is_the_knee_unless_weights_are_given() -> None:
    front = [(0.0, 10.0), (1.0, 2.0), (4.0, 1.0), (10.0, 0.0)]
    assert preferred(front) == [1, 2, 0, 3]
    assert preferred(front, (1.0, 0.0)) == [0, 1, 2, 3]
    assert preferred(front, (0.2, 0.8))[0] == 2
    assert preferred([(3.0, 3.0)]) == [0]


@given(results(1, violations))
def test_results_with_one_loss_are_ranked_by_violation_loss_and_trial_number(
    of_trial: list[Key],
) -> None:
    finite = [key for key in of_trial if key[1] < math.inf]
    assert [trial for _, trial in ranked(numbered(finite))] == by_brute_force(numbered(finite))
    assert ranked(numbered(finite)) == sorted(numbered(finite))


@given(
    st.lists(
        st.tuples(
            st.floats(0, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)
        ),
        min_size=2,
    )
)
def test_combining_violation_and_loss_into_one_number_keeps_the_order_of_results(
    pairs: list[tuple[float, float]],
) -> None:
    for one, other in pairwise(pairs):
        assert (as_one(*one) < as_one(*other)) == (one < other)
        assert (as_one(*one) == as_one(*other)) == (one == other)
        assert as_one(*one) < math.inf
    assert as_one(None, pairs[0][1]) == pairs[0][1]
    assert as_one(math.inf, math.inf) == math.inf


@settings(max_examples=100, deadline=None)
@given(results(2), st.sampled_from([Fraction(1, 2), Fraction(1, 3)]), st.data())
def test_a_rung_with_several_losses_promotes_as_many_trials_as_its_quota(
    of_trial: list[Key], kept: Fraction, data: st.DataObject
) -> None:
    rung, arrived, promoted = (
        ManyLosses(QuotaRule(kept)),
        list[tuple[Key, TrialId]](),
        set[TrialId](),
    )
    for entry in numbered(of_trial):
        rung.add(entry)
        arrived.append(entry)
        best = by_brute_force(arrived)[: math.floor(len(arrived) * kept)]
        assert rung.quota == math.floor(len(arrived) * kept)
        assert [rung.is_within_quota(one) for one in arrived] == [one[1] in best for one in arrived]
        due = [trial for trial in best if trial not in promoted and math.inf not in of_trial[trial]]
        if data.draw(st.booleans()):
            assert [rung.promote() for _ in due] == due
            promoted.update(due)
            assert rung.promote() is None
    if arrived:
        gone = data.draw(st.sampled_from(arrived))
        rung.remove(gone[1])
        rest = [one for one in arrived if one != gone]
        best = by_brute_force(rest)[: math.floor(len(rest) * kept)]
        assert [rung.is_within_quota(one) for one in rest] == [one[1] in best for one in rest]


@pytest.mark.parametrize(
    ("losses", "has_constraints"), [(2, False), (1, True), (2, True), (3, True)]
)
@pytest.mark.parametrize(
    ("scheduler", "oracle"),
    [(Ash(), ash), (StoppingAsh(), oracles.stopping), (SuccessiveHalving(), oracles.sh)],
)
def test_with_several_losses_schedulers_give_the_same_jobs_as_their_oracles(
    scheduler: Scheduler, oracle: Oracle, losses: int, has_constraints: bool
) -> None:
    check_scheduler(
        scheduler,
        oracle,
        ladders=(Ladder(1, 9, 3), Ladder(1, 8, 2)),
        budgets=(5, 9, 12),
        losses=losses,
        has_constraints=has_constraints,
        options=settings(SETTINGS, max_examples=15, stateful_step_count=20),
    )


def train(machine: Machine, losses: Sequence[Losses]) -> list[Job]:
    """Train on one worker; return the jobs in order."""
    jobs = []
    while (job := machine.next_job()) is not None:
        jobs.append(job)
        machine.record(Result.of(job, *losses[job.trial]))
    return jobs


LOSSES: list[Losses] = [
    (1.0, 9.0), (9.0, 1.0), (5.0, 5.0), (6.0, 6.0), (9.0, 9.0), (math.inf, math.inf), (2.0, 8.0),
    (8.0, 8.0),
]  # fmt: skip


@pytest.mark.parametrize("scheduler", [SuccessiveHalving(), Ash()])
def test_trials_on_the_pareto_front_of_two_losses_are_promoted(scheduler: Scheduler) -> None:
    machine = scheduler.build(Ladder(1, 2, 2), len(LOSSES))
    promoted = [job.trial for job in train(machine, LOSSES) if job.rung == 1]
    assert set(promoted) == {0, 1, 2, 6}
    if isinstance(scheduler, SuccessiveHalving):
        assert promoted == by_brute_force(numbered([(0.0, *losses) for losses in LOSSES]))[:4]


def test_with_two_losses_only_failed_trials_become_hopeless() -> None:
    machine = Ash().build(Ladder(1, 4, 2), len(LOSSES))
    train(machine, LOSSES)
    assert machine.hopeless() == [5]


def test_the_stopping_scheduler_can_rank_trials_by_two_losses() -> None:
    machine = StoppingAsh().build(Ladder(1, 2, 2), len(LOSSES))
    went_on = [job.trial for job in train(machine, LOSSES) if job.rung == 1]
    assert 0 in went_on
    assert 4 not in went_on
    assert 5 not in went_on
