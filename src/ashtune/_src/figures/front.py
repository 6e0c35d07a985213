"""A figure of the Pareto front of a study with several objectives, and of the other results."""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from ashtune._src.analysis.counts import BestResult
from ashtune._src.analysis.results import Results
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Goal, Objective
from ashtune._src.core.numbers import result_text, shortened
from ashtune._src.figures.axes import NAME, view
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.figures.looks import BLUE, GREY, ORANGE, RED

MOST_OTHERS = 2_000
"""The largest number of dominated results to draw. The results of the first trials are drawn."""


def in_a_row(front: Sequence[BestResult]) -> list[BestResult]:
    """Sort the results of a front by the first objective, the best result first."""
    return sorted(front, key=lambda best: (best.losses, best.trial))


def front_figure(front: Sequence[BestResult], results: Results, *, unit: str) -> Figure:
    """Return a figure over the first two objectives: the front, and the other results at the front's rung.

    Args:
        front: The results of the front, the preferred result first.
        results: All results.
        unit: What the resource counts, in the singular.

    Raises:
        SettingsError: If the study has only one objective.
    """
    goal = results.goal
    if not goal.others:
        raise SettingsError(f"{goal.metric} is the only metric: a front needs several; see plot_best")
    if not front:
        return Figure(notes=["no trial has a finite result"])
    objectives, on_it = goal.objectives[:2], {best.trial for best in front}
    keys = [(trial, key) for trial, key in results.rungs[front[0].rung].keys.items() if trial not in on_it]
    series = []
    for name, is_feasible in (("dominated", True), ("infeasible", False)):
        shown = [(trial, key) for trial, key in keys if (not key[0]) == is_feasible and max(key) < math.inf]
        if shown := shown[:MOST_OTHERS]:
            x, y = ([each.value(key[n]) for _, key in shown] for n, each in enumerate(objectives, start=1))
            series.append(
                Series(
                    kind="points", x=x, y=y, trials=[trial for trial, _ in shown], name=name, alpha=0.6,
                    color=GREY if is_feasible else RED, symbol="circle" if is_feasible else "cross",
                )
            )  # fmt: skip
    row = in_a_row(front)
    marks = _points("front", row, goal)
    if len(goal.others) == 1:  # with more objectives a line would mean nothing
        series.append(Series(kind="line", x=marks.x, y=marks.y, color=BLUE, is_silent=True))
    series += [marks, replace(_points("best", front[:1], goal), color=ORANGE, size=14, symbol="star", is_rimmed=True)]
    return Figure(
        x=_axis(objectives[0], [each.x for each in series]),
        y=_axis(objectives[1], [each.y for each in series]),
        series=series,
        notes=[f"at {unit} {front[0].resource:,}"],
    )


def _axis(objective: Objective, values: Sequence[Sequence[float | None]]) -> Axis:
    low, high, beyond = view([value for each in values for value in each if value is not None], objective.mode)
    return Axis(name=shortened(objective.metric, NAME), low=low, high=high, beyond=beyond)


def _points(name: str, shown: Sequence[BestResult], goal: Goal) -> Series:
    x, y = ([best.metrics.get(each.metric) for best in shown] for each in goal.objectives[:2])
    words = [shortened(result_text(goal, best.metrics), 100) if len(goal.others) > 1 else "" for best in shown]
    trials = [best.trial for best in shown]
    return Series(kind="points", x=x, y=y, name=name, color=BLUE, size=9, trials=trials, words=words)
