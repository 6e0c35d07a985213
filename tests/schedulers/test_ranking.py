"""Ranking by several losses against brute force, and schedulers that rank by it."""

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune.core.jobs import Job, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.protocol import Machine, Scheduler
from ashtune.schedulers.quota import QuotaRule
from ashtune.schedulers.ranking import Losses, ManyLosses, ranked
from ashtune.schedulers.sh import SuccessiveHalving
from ashtune.schedulers.stopping import StoppingAsh

Entries = Sequence[tuple[Losses, TrialId]]

few = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, math.inf]) | st.floats(-9, 9)


def results(losses: int) -> st.SearchStrategy[list[tuple[float, ...]]]:
    return st.lists(st.tuples(*[few] * losses), max_size=25)


def numbered(losses: Sequence[tuple[float, ...]]) -> Entries:
    return [(each, TrialId(trial)) for trial, each in enumerate(losses)]


def by_brute_force(entries: Entries) -> list[TrialId]:
    """Deb et al., 2002: peel one front after another; in a front by the sum of the gaps between neighbours."""
    left = [entry for entry in entries if math.inf not in entry[0]]
    order: list[TrialId] = []
    while left:
        front = [entry for entry in left if not any(is_better(other[0], entry[0]) for other in left)]
        order += sorted((trial for _, trial in front), key=lambda trial: (-crowding(front, trial), trial))
        left = [entry for entry in left if entry not in front]
    return order + [trial for losses, trial in entries if math.inf in losses]


def is_better(one: Losses, other: Losses) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def crowding(front: Entries, trial: TrialId) -> float:
    distance = 0.0
    for loss in range(len(front[0][0])):
        order = sorted(front, key=lambda entry: (entry[0][loss], entry[1]))
        place = [number for _, number in order].index(trial)
        if place in (0, len(order) - 1):
            return math.inf
        extent = order[-1][0][loss] - order[0][0][loss]
        if extent > 0:
            distance += (order[place + 1][0][loss] - order[place - 1][0][loss]) / extent
    return distance


@pytest.mark.parametrize("losses", [2, 3])
def test_the_order_is_that_of_fronts_and_of_gaps_in_a_front(losses: int) -> None:
    @settings(max_examples=200, deadline=None)
    @given(results(losses))
    def check(of_trial: list[tuple[float, ...]]) -> None:
        entries = numbered(of_trial)
        assert [trial for _, trial in ranked(entries)] == by_brute_force(entries)

    check()


@given(results(1))
def test_with_one_loss_the_order_is_that_of_losses_and_then_of_trials(of_trial: list[tuple[float, ...]]) -> None:
    assert ranked(numbered(of_trial)) == sorted(numbered(of_trial))


@settings(max_examples=100, deadline=None)
@given(results(2), st.sampled_from([Fraction(1, 2), Fraction(1, 3)]), st.data())
def test_a_rung_of_several_losses_promotes_the_best_of_those_within_its_quota(
    of_trial: list[tuple[float, ...]], kept: Fraction, data: st.DataObject
) -> None:
    rung, arrived, promoted = ManyLosses(QuotaRule(kept)), list[tuple[Losses, TrialId]](), set[TrialId]()
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


def train(machine: Machine, losses: Sequence[tuple[float, ...]]) -> list[Job]:
    """Train on one worker; return the jobs in order."""
    jobs = []
    while (job := machine.next_job()) is not None:
        jobs.append(job)
        machine.record(Result.of(job, *losses[job.trial]))
    return jobs


LOSSES = [(1.0, 9.0), (9.0, 1.0), (5.0, 5.0), (6.0, 6.0), (9.0, 9.0), (math.inf, math.inf), (2.0, 8.0), (8.0, 8.0)]


@pytest.mark.parametrize("scheduler", [SuccessiveHalving(), Ash()])
def test_two_losses_promote_those_that_nobody_dominates(scheduler: Scheduler) -> None:
    machine = scheduler.build(Ladder(1, 2, 2), len(LOSSES))
    promoted = [job.trial for job in train(machine, LOSSES) if job.rung == 1]
    assert set(promoted) == {0, 1, 2, 6}
    if isinstance(scheduler, SuccessiveHalving):
        assert promoted == by_brute_force(numbered(LOSSES))[:4]


def test_of_two_losses_only_failures_are_hopeless_before_the_end() -> None:
    machine = Ash().build(Ladder(1, 4, 2), len(LOSSES))
    train(machine, LOSSES)
    assert machine.hopeless() == [5]


def test_stopping_decides_by_two_losses_as_well() -> None:
    machine = StoppingAsh().build(Ladder(1, 2, 2), len(LOSSES))
    went_on = [job.trial for job in train(machine, LOSSES) if job.rung == 1]
    assert 0 in went_on
    assert 4 not in went_on
    assert 5 not in went_on
