"""Draws learning curves. A curve has the colour of its trial's highest rung, and the best curve is
on top.

All curves of a rung are one series with gaps, since a page with few series is faster.
"""

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ashtune._src.analysis.learning_curves import Curve, Curves
from ashtune._src.analysis.sampling import thinned
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.numbers import plural
from ashtune._src.figures.axes import (
    Origin,
    best_of,
    metric_axis,
    no_origin,
    origins,
    outside,
    resource_axis,
    rung_names,
    sample_note,
    significant,
)
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.figures.looks import BLUE, GREY, rung_colors

POINTS = 6_000
"""The largest total number of points of all curves. If there are more points, every n-th point of a
curve is drawn.
"""
# A page with more points is slow. The number was twice as large before each point had its own text
# (decision 56, docs/decisions/0056-figures-have-one-home.md).


def curves_figure(
    curves: Curves,
    rungs: Sequence[int] = (),
    *,
    unit: str,
    origin: Origin = no_origin,
    points: int = POINTS,
) -> Figure:
    """Return a figure of the learning curves.

    Args:
        curves: The observer of learning curves.
        rungs: The resources of all rungs. If it is empty, the figure has the rungs that trials have
            reached.
        unit: What the resource counts, in the singular.
        origin: Returns the origin of a trial's configuration: ``Trials.origin``.
        points: The largest number of points to show, over all curves.
    """
    all_curves = curves.shown()
    shown = [curve for curve in all_curves if any(map(math.isfinite, curve.values))]
    if not shown:
        return Figure(notes=["no trial has reported a finite result"])
    goal = curves.goal
    # All curves get the same number of points. The best curve is drawn twice, so it counts as two
    # curves. A line needs at least two points.
    best = shown[-1]
    rungs = rungs or [rung.resource for rung in curves.results.rungs]
    most = max(2, points // (len(shown) + 1))
    # A trial before its first result has the rung -1.
    styles = zip(
        [*range(len(rungs)), -1],
        [*rung_names(rungs, unit), "no result yet"],
        [*rung_colors(len(rungs)), GREY],
        strict=True,
    )
    x, y = _axes(shown, goal, rungs, unit)
    series: list[Series] = []
    for rung, name, color in styles:
        group = [curve for curve in shown if curve.rung == rung]
        if group:
            line = _line(group, most, name, color, origin)
            series += [line, _dots(line)]
    if best.rung >= 0:
        name = f"{best_of(goal)}: trial {best.trial}, {y.write(goal.value(best.loss))}"
        line = replace(
            _line([best], most, name, rung_colors(len(rungs))[best.rung], origin), width=4, alpha=1
        )
        series += [line, _dots(line, size=10)]
    empty = len(all_curves) - len(shown)
    notes = []
    if len(all_curves) < curves.total:
        notes.append(sample_note(len(shown), curves.total, "curve"))
    if empty:
        notes.append(f"not drawn: {plural(empty, 'curve')} without a finite value")
    notes.append(outside(y, "value"))
    return Figure(x=x, y=y, series=series, notes=list(filter(None, notes)), height=350)


def trial_figures(
    curves: Mapping[str, Curve],
    best: Mapping[str, Curve],
    goal: Goal,
    rungs: Sequence[int],
    *,
    unit: str,
) -> dict[str, Figure]:
    """Return a figure for each metric, with the curves of one trial and of the best trial."""
    modes = {each.metric: each.mode for each in goal.objectives}
    figures = {}
    for metric, own in curves.items():
        lines = [replace(_line([own], POINTS, f"trial {own.trial}", BLUE, no_origin), alpha=1)]
        both = [own]
        if metric in best and best[metric].trial != own.trial:
            both.append(best[metric])
            lines.insert(
                0, _line(both[1:], POINTS, f"the best: trial {best[metric].trial}", GREY, no_origin)
            )
        # Only the study's own metrics have a mode. For other metrics, such as a gradient norm, it
        # is unknown whether low or high values are good. "min" is used for them, since it leaves
        # out high values, and these are the usual outliers.
        x, y = _axes(both, Goal(metric, modes.get(metric, "min")), rungs, unit)
        figures[metric] = Figure(
            x=x,
            y=y,
            series=[*lines, _dots(lines[-1], size=6)],
            notes=list(filter(None, [outside(y, "value")])),
            height=270,
        )
    return figures


def _axes(
    curves: Sequence[Curve], goal: Goal, rungs: Sequence[int], unit: str
) -> tuple[Axis, Axis]:
    """Return the axis of the resource, and the axis of the metric for the curves' finite values."""
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    first = min(curve.resources[0] for curve in curves)
    last = max(curve.resources[-1] for curve in curves)
    return resource_axis(rungs, unit, first, last), metric_axis(values, goal)


def _line(curves: Sequence[Curve], most: int, name: str, color: str, origin: Origin) -> Series:
    """Return curves as one series, with a gap after each curve and at each value that is not
    finite.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    trials: list[TrialId | None] = []
    for curve in curves:
        for place in thinned(len(curve.resources), most):
            value = curve.values[place]
            x.append(curve.resources[place])
            y.append(significant(value) if math.isfinite(value) else None)
            trials.append(curve.trial)
        x.append(None)
        y.append(None)
        trials.append(None)
    # All points of a curve have the same text, so the text is computed once for each trial. If no
    # trial has an origin, ``origins`` is empty, and no point gets a text. This keeps a page of
    # 6,000 points short.
    own = [curve.trial for curve in curves]
    of: dict[TrialId | None, str] = dict(zip(own, origins(own, origin), strict=False))
    words = [of.get(trial, "") for trial in trials if of]
    return Series(
        kind="line",
        x=x,
        y=y,
        color=color,
        name=name,
        trials=trials,
        words=words,
        width=1.2,
        alpha=0.8,
    )


def _dots(line: Series, size: float = 4) -> Series:
    """Return a series with a dot at the end of each curve, and with a dot at each value that has a
    gap on both sides.
    """
    # A line needs two points. A value between two gaps would be invisible, for example where a
    # trial reported NaN before and after. A dot at the end of a curve shows where its training
    # stopped.
    y = [None, *line.y, None]
    places = []
    is_last = True
    for at in reversed(range(len(line.y))):
        is_last = is_last or line.x[at] is None
        is_alone = y[at] is None and y[at + 2] is None
        if line.y[at] is not None and (is_last or is_alone):
            places.append(at)
            is_last = False
    places.reverse()
    return Series(
        kind="points", x=[line.x[at] for at in places], y=[line.y[at] for at in places],
        color=line.color, size=size,
        is_silent=True,
    )  # fmt: skip
