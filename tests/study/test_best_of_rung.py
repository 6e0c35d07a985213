"""The book of results, told random results and withdrawals, against a recomputation from the list
of what it was told: the best of each rung, the Pareto front, all losses in order, and the best over
time.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.analysis.results import Improvement, Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import JobFinished, TrialWithdrawn
from ashtune._src.core.jobs import Constraint, Goal, Objective, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.order import front_of, preferred
from ashtune._src.study import best_of_rung
from ashtune._src.study.best_of_rung import BestOfRung
from ashtune._src.study.checkpoint_index import RungBests
from tests.helpers.made_up import result

GOALS = {
    "one objective": Goal("loss", "min"),
    "a constraint": Goal("loss", "min", constraints=(Constraint("size", "<=", 2.0),)),
    "two objectives": Goal("loss", "min", others=(Objective("size", "max"),)),
    "three objectives and a constraint": Goal(
        "loss",
        "min",
        others=(Objective("size", "max"), Objective("time", "min")),
        constraints=(Constraint("size", ">=", 1.0),),
    ),
}
LADDER = Ladder(1, 9, 3)
VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, None])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 7), VALUES, VALUES, VALUES),  # one more result of a trial
        st.integers(0, 7),  # the withdrawal of a trial
    ),
    max_size=30,
)
Told = JobFinished | TrialWithdrawn


def told_by(steps: list[tuple[int, float | None, float | None, float | None] | int]) -> list[Told]:
    """Return events: a trial goes one rung up with each result, until it is withdrawn."""
    told: list[Told] = []
    reached: dict[int, int] = {}
    for time, step in enumerate(steps):
        trial = step if isinstance(step, int) else step[0]
        rung = reached.get(trial, 0)
        if rung > LADDER.top:
            continue
        if isinstance(step, int):
            told.append(
                TrialWithdrawn(
                    time, worker=WorkerId(0), trial=TrialId(trial), rung=rung, seconds=1.0
                )
            )
            reached[trial] = LADDER.top + 1
        else:
            metrics = dict(zip(["loss", "size", "time"], step[1:], strict=True))
            told.append(result(trial, rung, LADDER.rungs[rung], metrics, time=time))
            reached[trial] = rung + 1
    return told


class Recomputed:
    """What is true of a list of events, computed without any book."""

    def __init__(self, told: list[Told], goal: Goal) -> None:
        gone = {event.trial for event in told if isinstance(event, TrialWithdrawn)}
        finished = [event for event in told if isinstance(event, JobFinished)]
        self.goal = goal
        self.results = [event for event in finished if event.trial not in gone]
        self.before = {
            id(event): sum(each.resource for each in finished[: place + 1])
            for place, event in enumerate(finished)
        }

    def entries(self, rung: int) -> list[best_of_rung.Entry]:
        """Return the keys and trials of a rung's finite results, in order."""
        judged = [
            (self.goal.judged(event.metrics), event.trial)
            for event in self.results
            if event.rung == rung
        ]
        return sorted(
            ((violation or 0.0, *losses), trial)
            for (losses, violation), trial in judged
            if math.inf not in losses
        )

    def front(self, rung: int) -> list[best_of_rung.Entry]:
        """Return the Pareto front of a rung; the best result with one objective."""
        return front_of(self.entries(rung), key=lambda entry: entry)

    def steps(self, rung: int | None) -> list[Improvement]:
        """Return the feasible results that are better than all before them."""
        steps: list[Improvement] = []
        for event in self.results:
            loss = self.goal.loss(event.metrics)
            violation = 0 if self.goal.is_plain else self.goal.judged(event.metrics)[1]
            if rung not in (None, event.rung) or violation:
                continue
            if loss < min((step.loss for step in steps), default=math.inf):
                steps.append(
                    Improvement(
                        event.time, self.before[id(event)], event.trial, event.rung,
                        event.resource, loss,
                    )
                )  # fmt: skip
        return steps


@pytest.mark.parametrize("name", GOALS)
@given(steps=STEPS, looks=st.booleans())
def test_the_best_trials_of_a_rung_match_an_independent_calculation(
    name: str, steps: list[tuple[int, float | None, float | None, float | None] | int], looks: bool
) -> None:
    goal = GOALS[name]
    told = told_by(steps)
    tally = Tally(LADDER, goal)
    results = Results(goal)
    bests = RungBests()
    kept: set[int] = set()
    for event in told:
        tally.event(event)
        results.event(event)
        if isinstance(event, TrialWithdrawn):
            bests.withdraw(event.trial)
        else:
            losses, violation = goal.judged(event.metrics)
            if math.inf not in losses:
                bests.arrive(event.trial, event.rung, (violation or 0.0, *losses))
        if looks:  # what was computed before must not stay when more is told
            assert results.steps is not None
            assert tally.front is not None
    true = Recomputed(told, goal)
    for rung, counts in enumerate(tally.rungs):
        front = true.front(rung)
        order = preferred([key[1:] for key, _ in front], goal.weights)
        assert [best.trial for best in counts.front] == [front[place][1] for place in order]
        assert set(counts.bests.results) == {trial for _, trial in true.entries(rung)}
        kept |= {trial for _, trial in front}
    assert {trial for trial in range(8) if trial in bests} == kept
    for rung, book in enumerate(results.rungs):
        here = {
            event.trial: goal.loss(event.metrics) for event in true.results if event.rung == rung
        }
        assert book.by_trial() == here
        assert book.steps == true.steps(rung)
    assert results.steps == true.steps(None)
    sample = sorted(results.sample()[0], key=lambda each: each.epochs)
    finite = [event for event in true.results if goal.loss(event.metrics) < math.inf]
    assert [(each.trial, each.rung) for each in sample] == [(e.trial, e.rung) for e in finite]


@given(steps=STEPS, count=st.integers(1, 4))
def test_the_best_trials_of_the_highest_rung_are_confirmed(
    steps: list[tuple[int, float | None, float | None, float | None] | int], count: int
) -> None:
    goal = GOALS["one objective"]
    told = told_by(steps)
    bests = RungBests()
    bests.confirm(count)
    for event in told:
        if isinstance(event, TrialWithdrawn):
            bests.withdraw(event.trial)
        elif (loss := goal.loss(event.metrics)) < math.inf:
            bests.arrive(event.trial, event.rung, (0.0, loss))
    true = Recomputed(told, goal)
    ranked = [(rung, true.entries(rung)) for rung in range(len(LADDER.rungs))]
    highest = [(rung, entries) for rung, entries in ranked if entries][-1:] or [(-1, [])]
    rung, entries = highest[0]
    assert bests.highest == (rung, [trial for _, trial in entries[:count]])


@given(
    losses=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40),
    is_one=st.booleans(),
)
def test_a_list_of_limited_length_keeps_the_best_results(
    losses: list[tuple[int, int]], is_one: bool
) -> None:
    book: BestOfRung[int] = BestOfRung()
    entries = [
        ((0.0, float(one)) if is_one else (0.0, float(one), float(other)), TrialId(trial))
        for trial, (one, other) in enumerate(losses)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best_of_rung, "KEPT", 12)
        for key, trial in entries:
            if book.wants(key):
                book.add(key, trial, trial)
    if is_one:
        assert book.leaders(12) == sorted(entries)[:12]
        assert set(book.results) == {trial for _, trial in sorted(entries)[:12]}
    else:  # of two losses from 0 to 9, a front has at most ten results, so none is dropped
        assert book.leaders() == front_of(entries, key=lambda entry: entry)
        assert len(book.results) < 24


def test_a_rung_keeps_every_undominated_result() -> None:
    count = 2 * best_of_rung.KEPT + 100
    entries = [
        ((0.0, float(trial), float(count - trial), 0.0), TrialId(trial)) for trial in range(count)
    ]
    book: BestOfRung[int] = BestOfRung()
    for key, trial in entries:
        book.add(key, trial, trial)
    assert book.leaders() == entries


@given(st.lists(st.tuples(*3 * [st.integers(0, 9)]), min_size=24, max_size=60))
def test_a_rung_keeps_the_whole_pareto_front_and_few_other_results(
    losses: list[tuple[int, ...]],
) -> None:
    book: BestOfRung[int] = BestOfRung()
    keys = [(0.0, *map(float, each)) for each in losses]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best_of_rung, "KEPT", 12)
        longest = 12
        for trial, key in enumerate(keys):
            book.add(key, TrialId(trial), trial)
            longest = max(longest, len(book.leaders()))
    front = front_of([(key, TrialId(trial)) for trial, key in enumerate(keys)], key=lambda e: e)
    assert book.leaders() == front
    assert len(book.results) <= 2 * longest


def test_withdrawing_one_trial_may_move_another_trial_onto_the_front() -> None:
    bests = RungBests()
    bests.arrive(TrialId(0), 0, (0.0, 1.0, 1.0))
    bests.arrive(TrialId(1), 0, (0.0, 2.0, 2.0))
    assert TrialId(1) not in bests
    bests.withdraw(TrialId(0))
    assert TrialId(1) in bests
    assert bests.highest == (0, [1])
    assert bests.has_as_good((2.0, 3.0))


def test_by_default_only_one_trial_of_a_rung_counts_as_best() -> None:
    bests = RungBests()
    for trial in range(3):
        bests.arrive(TrialId(trial), 0, (0.0, float(trial)))
    assert bests.highest == (0, [0])
    assert [trial for trial in range(3) if trial in bests] == [0]
