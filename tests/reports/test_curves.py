"""The learning curves that are kept, against all of them, and how they are drawn."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.analysis.learning_curves import MOST, Curves
from ashtune._src.analysis.sampling import scattered
from ashtune._src.analysis.trials import curves_dataframe
from ashtune._src.core.events import JobFinished, JobPaused
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.figures.curve_figure import curves_figure
from ashtune._src.reports.plot import plot
from tests.helpers import made_up
from tests.helpers.made_up import ACCURACY, MadeUpStudy
from tests.reports.crowd import LOSS, MANY, RUNGS, crowd, crowd_loss

LADDER = Ladder(1, 9, 3)
W = WorkerId(0)


def result(trial: int, rung: int, values: dict[int, float | None], start: int = 0) -> JobFinished:
    """A job that reported these losses, by resource."""
    *curve, (resource, last) = [(at, {"loss": value}) for at, value in values.items()]
    return made_up.result(trial, rung, resource, last, start=start, curve=curve)


def folded(events: list[Any], *, most: int = MOST, goal: Goal = LOSS) -> Curves:
    curves = Curves(goal, most=most)
    for event in events:
        curves.event(event)
    return curves


def points(curves: Curves) -> dict[int, list[tuple[int, float]]]:
    return {
        curve.trial: list(zip(curve.resources, curve.values, strict=True))
        for curve in curves.shown()
    }


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), stop_after=st.sampled_from([0, 7]), saves=st.booleans())
def test_a_small_study_keeps_all_points_of_all_curves(
    seed: int, stop_after: int, saves: bool
) -> None:
    study = MadeUpStudy(LADDER, 20, 3, seed=seed, trouble=0.1, stop_after=stop_after, saves=saves)
    events: list[Any] = [what for kind, what in study if kind == "event"]
    frame = curves_dataframe(events)
    expected: dict[int, list[tuple[int, float]]] = {}
    for trial, resource, accuracy in zip(
        frame["trial"], frame["resource"], frame["accuracy"], strict=True
    ):
        expected.setdefault(trial, []).append((resource, accuracy))
    curves = folded(events, goal=ACCURACY)
    assert {trial: curve for trial, curve in points(curves).items() if curve} == expected
    assert curves.total == len({e.trial for e in events if isinstance(e, JobFinished | JobPaused)})


def test_points_of_a_repeated_training_replace_the_earlier_points_of_a_curve() -> None:
    first = result(0, 0, {1: 0.9, 2: 0.8, 3: 0.7})
    again = result(0, 1, {2: 0.85, 4: 0.5, 6: 0.4})
    assert points(folded([first, again])) == {0: [(2, 0.85), (4, 0.5), (6, 0.4)]}
    paused = JobPaused(
        1.0, worker=W, trial=TrialId(0), rung=1, resource=2, seconds=1, curve=[(1, {"loss": 0.95})]
    )
    assert points(folded([first, paused])) == {0: [(1, 0.95), (3, 0.7)]}


def test_a_curve_that_is_selected_late_has_early_points_only_at_rungs() -> None:
    late = max(range(1, 40), key=scattered)  # nobody is less likely to be in the sample
    early = [result(trial, 0, {1: 0.9, 2: 1.0 if trial == late else 0.1}) for trial in range(40)]
    curves = folded([*early, result(late, 1, {3: 0.06, 4: 0.05}, start=2)], most=6)
    assert points(curves)[late] == [(2, 1.0), (3, 0.06), (4, 0.05)]
    assert curves.shown()[-1].trial == late
    # from the start once more: now all of it is known
    curves.event(result(late, 1, {2: 0.95, 4: 0.04}))
    assert points(curves)[late] == [(2, 0.95), (4, 0.04)]
    curves.event(result(late, 1, {1: 0.97, 4: 0.03}))
    assert points(curves)[late] == [(1, 0.97), (4, 0.03)]


@pytest.mark.slow
def test_the_best_curves_and_a_fixed_random_sample_of_curves_are_kept() -> None:
    curves = Curves(LOSS)
    largest = 0
    for event in crowd():
        curves.event(event)
        largest = max(largest, len(curves._partials))
    assert largest <= MOST * 4 // 3
    assert curves.total == MANY
    shown = curves.shown()
    assert len(shown) == MOST
    survivors = [
        event
        for event in crowd()
        if isinstance(event, JobFinished) and event.rung == len(RUNGS) - 1
    ]
    best = sorted(survivors, key=lambda event: crowd_loss(event.trial, RUNGS[-1]))[: MOST // 3]
    assert [curve.trial for curve in reversed(shown)][: len(best)] == [
        event.trial for event in best
    ]
    others = {curve.trial for curve in shown} - {event.trial for event in best}
    assert others == set(sorted(range(MANY), key=scattered)[: len(others)]) - {
        event.trial for event in best
    }
    for curve in shown:
        assert all(
            value == crowd_loss(curve.trial, at)
            for at, value in zip(curve.resources, curve.values, strict=True)
        )
        assert curve.resources[-1] == RUNGS[curve.rung]


def test_the_curves_figure_draws_one_line_per_rung_before_the_best_trial() -> None:
    events = [
        *(result(trial, 0, {1: 0.9, 2: 0.8 + trial / 100}) for trial in range(4)),
        *(result(trial, 1, {3: 0.7, 4: 0.6 - trial / 100}, start=2) for trial in range(2)),
    ]
    figure = plot(
        curves_figure(
            folded(events), unit="epoch", origin=["<b>gp", "sobol", "random", ""].__getitem__
        )
    )
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines"}
    assert list(lines) == ["to epoch 2", "to epoch 4", "best: trial 1, 0.59"]
    assert list(lines["to epoch 2"].x) == [1, 2, None, 1, 2, None]
    assert list(lines["to epoch 2"].y) == [0.9, 0.83, None, 0.9, 0.82, None]
    assert list(lines["to epoch 2"].hovertext) == [
        "loss 0.9<br>epoch 1<br>trial 3", "loss 0.83<br>epoch 2<br>trial 3", None,
        "loss 0.9<br>epoch 1<br>trial 2<br>random", "loss 0.82<br>epoch 2<br>trial 2<br>random",
        None,
    ]  # fmt: skip
    assert lines["to epoch 4"].hovertext[0] == "loss 0.9<br>epoch 1<br>trial 0<br>&lt;b&gt;gp"
    assert list(lines["to epoch 4"].y) == [0.9, 0.8, 0.7, 0.6, None, 0.9, 0.81, 0.7, 0.59, None]
    assert lines["to epoch 2"].line.color != lines["to epoch 4"].line.color
    assert list(lines["best: trial 1, 0.59"].y) == [0.9, 0.81, 0.7, 0.59, None]
    assert lines["best: trial 1, 0.59"] == figure.data[-2], "on top of all but its own end"
    assert figure.layout.xaxis.title.text == "epoch"


def test_a_curve_has_a_gap_at_a_value_that_is_not_finite() -> None:
    curves = folded([result(0, 0, {1: 0.9, 2: None, 3: 0.7, 4: math.nan, 5: 0.5, 6: 0.4})])
    figure = plot(curves_figure(curves, unit="epoch"))
    line, dots, *_ = figure.data
    assert list(line.y) == [0.9, None, 0.7, None, 0.5, 0.4, None]
    assert not line.connectgaps
    assert list(zip(dots.x, dots.y, strict=True)) == [(1, 0.9), (3, 0.7), (6, 0.4)]
