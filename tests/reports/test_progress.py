"""The best so far, against a plain recomputation."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import Event, JobFinished, JobPaused, SessionStarted, TrialWithdrawn
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.figures import best_figure as module
from ashtune._src.reports.plot import plot
from tests.helpers import made_up
from tests.helpers.made_up import ACCURACY, MadeUpStudy
from tests.reports.crowd import LOSS

LADDER = Ladder(1, 9, 3)


def result(
    time: float, trial: int, value: float | None, *, rung: int = 0, start: int = 0
) -> JobFinished:
    metrics = {"loss": value, "accuracy": value}
    return made_up.result(trial, rung, LADDER.rungs[rung], metrics, time=time, start=start)


def best_over_time_figure(best: Results, *, unit: str) -> Any:
    return plot(module.best_over_time_figure(best, LADDER.rungs, unit=unit))


def best_over_resource_figure(best: Results, *, unit: str) -> Any:
    return plot(module.best_over_resource_figure(best, LADDER.rungs, unit=unit))


def lines_of(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.mode == "lines"]


def ends_of(figure: Any) -> list[tuple[float, float]]:
    """Return the marks at the last steps of the lines."""
    return [(*trace.x, *trace.y) for trace in figure.data if trace.marker.size == 9]


def folded(events: list[Event], goal: Goal = LOSS) -> Results:
    best = Results(goal)
    for event in events:
        best.event(event)
    return best


def bests(events: list[Event], goal: Goal, rung: int | None) -> list[tuple[float, int, int, float]]:
    """Recompute the steps the slow way: each result against all before it, but those of withdrawn
    trials.
    """
    bests: list[tuple[float, int, int, float]] = []
    losses: list[float] = []
    gone = {event.trial for event in events if isinstance(event, TrialWithdrawn)}
    for number, event in enumerate(events):
        if (
            not isinstance(event, JobFinished)
            or rung not in (None, event.rung)
            or event.trial in gone
        ):
            continue
        loss = goal.loss(event.metrics)
        if loss < min(losses, default=math.inf):
            past = events[: number + 1]
            epochs = sum(
                e.resource - e.start for e in past if isinstance(e, JobFinished | JobPaused)
            )
            gaps = sum(
                e.time - max((before.time for before in past[:i]), default=0.0)
                for i, e in enumerate(past)
                if isinstance(e, SessionStarted)
            )
            bests.append((round(event.time - gaps, 6), epochs, event.trial, loss))
        losses.append(loss)
    return bests


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), stop_after=st.sampled_from([0, 7, 20]))
def test_the_progress_curve_contains_each_result_that_beats_all_earlier_results(
    seed: int, stop_after: int
) -> None:
    study = MadeUpStudy(LADDER, 20, 3, seed=seed, trouble=0.1, stop_after=stop_after)
    events: list[Any] = [what for kind, what in study if kind == "event"]
    best, tally = folded(events, ACCURACY), Tally(LADDER, ACCURACY)
    for event in events:
        tally.event(event)
    at_rungs = [rung.steps for rung in best.rungs]
    for rung, steps in [(None, best.steps), *enumerate(at_rungs)]:
        plain = [(round(step.seconds, 6), step.epochs, step.trial, step.loss) for step in steps]
        assert plain == bests(events, ACCURACY, rung)
    assert best.epochs == tally.epochs
    assert best.seconds == pytest.approx(tally.wall_seconds)
    assert tally.best is not None
    assert best.steps_at_the_highest[-1].loss == tally.best.loss
    assert best.steps_at_the_highest[-1].rung == tally.best.rung


def test_the_progress_curve_counts_the_epochs_of_paused_jobs() -> None:
    paused = JobPaused(
        1.0, worker=WorkerId(0), trial=TrialId(1), rung=1, resource=8, start=3, seconds=1.0
    )
    assert [step.epochs for step in folded([paused, result(2, 0, 0.5)]).steps] == [6]


def test_a_result_that_is_not_finite_is_never_the_best_so_far() -> None:
    best = folded(
        [
            result(1, 0, 0.5),
            result(2, 1, math.nan),
            result(3, 2, -math.inf),
            result(4, 0, None, rung=1),
        ]
    )
    assert [step.trial for step in best.steps] == [0]
    assert [step.rung for step in best.steps_at_the_highest] == [0]


def test_the_progress_figure_shows_each_improvement() -> None:
    best = folded(
        [
            result(1, 0, 0.5),
            result(2, 1, 0.7),
            result(3, 2, 0.4),
            result(5, 2, 0.3, rung=1, start=1),
            result(8, 3, 0.9),
        ]
    )
    over_time, over_epochs = (
        best_over_time_figure(best, unit="epoch"),
        best_over_resource_figure(best, unit="epoch"),
    )
    highest, anywhere = lines_of(over_time)
    assert (list(anywhere.x), list(anywhere.y)) == ([1, 3, 5, 8], [0.5, 0.4, 0.3, 0.3])
    assert (list(highest.x), list(highest.y)) == ([5, 8], [0.3, 0.3])
    assert anywhere.line.shape == highest.line.shape == "hv"
    assert list(anywhere.hovertext) == [
        "loss 0.5<br>after 1.0 s<br>trial 0<br>at epoch 1",
        "loss 0.4<br>after 3.0 s<br>trial 2<br>at epoch 1",
        "loss 0.3<br>after 5.0 s<br>trial 2<br>at epoch 3",
        "loss 0.3<br>after 8.0 s<br>trial 2<br>at epoch 3",
    ]  # fmt: skip
    assert ends_of(over_time) == [(5, 0.3), (5, 0.3)]
    assert list(lines_of(over_epochs)[1].x) == [1, 3, 5, 6]
    assert over_time.layout.xaxis.title.text.startswith("seconds that the study ran")
    assert [line.name for line in (highest, anywhere)] == [
        "best at epoch 3: 0.3 (trial 2)", "best at any rung: 0.3 (trial 2)",
    ]  # fmt: skip
    points = {trace.name: list(trace.y) for trace in over_time.data if trace.marker.size == 6}
    assert points == {"to epoch 1": [0.5, 0.7, 0.4, 0.9], "to epoch 3": [0.3]}, (
        "all results are there"
    )


def test_the_progress_figure_marks_the_best_results_at_top_and_any_rung() -> None:
    best = folded([result(1, 0, 0.5), result(2, 0, 0.6, rung=1, start=1), result(3, 1, 0.4)])
    figure = best_over_time_figure(best, unit="epoch")
    assert ends_of(figure) == [(2, 0.6), (3, 0.4)]
    assert [line.name for line in lines_of(figure)] == [
        "best at epoch 3: 0.6 (trial 0)", "best at any rung: 0.4 (trial 1)",
    ]  # fmt: skip


def test_the_progress_figure_of_a_study_with_one_rung_has_one_line() -> None:
    figure = best_over_time_figure(
        folded([result(1, 0, 0.5), result(2, 1, 0.4), result(3, 2, 0.8)], ACCURACY), unit="epoch"
    )
    (line,) = lines_of(figure)
    assert list(line.y) == [0.5, 0.8, 0.8]
    assert line.name == "best at any rung: 0.8 (trial 2)"


def test_a_logarithmic_time_axis_contains_all_points() -> None:
    times = [5.0, 10.0, 20.0, 60.0, 3600.0]
    figure = best_over_time_figure(
        folded([result(at, n, 0.9 - n / 10) for n, at in enumerate(times)]), unit="epoch"
    )
    axis = figure.layout.xaxis
    assert axis.type == "log"
    assert list(figure.data[0].x) == times
    assert 10 ** axis.range[0] < min(times)
    assert 10 ** axis.range[1] > max(times)


def test_the_comparison_figure_draws_each_study_by_its_own_goal() -> None:
    losses = folded([result(1, 0, 0.5)]).steps
    accuracies = folded([result(1, 0, 0.9)], ACCURACY).steps
    over_time, _ = module.compared_figures([(LOSS, losses), (ACCURACY, accuracies)], unit="epoch")
    assert over_time.y.name == "loss (min), accuracy (max)"
    assert [series.name for series in over_time.series] == ["loss (min)", "accuracy (max)"]
    assert (over_time.y.low < 0.5, over_time.y.high > 0.9) == (True, True)
    assert [{y for y in series.y if y is not None} for series in over_time.series] == [{0.5}, {0.9}]
