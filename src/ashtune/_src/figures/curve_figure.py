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
from ashtune._src.core.numbers import number_text, plural
from ashtune._src.figures.axes import (
    Origin,
    best_of,
    metric_axis,
    no_origin,
    origins,
    outside,
    resource_axis,
    rung_names,
    significant,
)
from ashtune._src.figures.figure import Figure, Series
from ashtune._src.figures.looks import BLUE, GREY, rung_colors

POINTS = 6_000
"""The largest number of points of all curves. Longer curves are thinned evenly."""


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
    best = shown[-1]
    rungs = rungs or [rung.resource for rung in curves.results.rungs]
    most = max(2, points // (len(shown) + 1))
    styles = zip(
        [*rung_names(rungs, unit), "no result yet"], [*rung_colors(len(rungs)), GREY], strict=True
    )
    series: list[Series] = []
    for rung, (name, color) in enumerate(styles):
        if group := [curve for curve in shown if curve.rung == (rung if rung < len(rungs) else -1)]:
            line = _line(group, most, name, color, origin)
            series += [line, _dots(line)]
    if best.rung >= 0:
        name = f"{best_of(goal)}: trial {best.trial}, {number_text(goal.value(best.loss))}"
        line = replace(
            _line([best], most, name, rung_colors(len(rungs))[best.rung], origin), width=4, alpha=1
        )
        series += [line, _dots(line, size=10)]
    y = metric_axis(
        [value for curve in shown for value in curve.values if math.isfinite(value)], goal
    )
    empty = len(all_curves) - len(shown)
    few = f"{len(shown):,} of {plural(curves.total, 'curve')}: the best and a sample"
    notes = [
        few if len(all_curves) < curves.total else "",
        f"{plural(empty, 'curve')} without a finite value, not drawn" if empty else "",
        outside(y, "value"),
    ]
    first = min(curve.resources[0] for curve in shown)
    last = max(curve.resources[-1] for curve in shown)
    x = resource_axis(rungs, unit, first, last)
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
        values = [value for curve in both for value in curve.values if math.isfinite(value)]
        y = metric_axis(values, Goal(metric, modes.get(metric, "min")))
        first = min(each.resources[0] for each in both)
        last = max(each.resources[-1] for each in both)
        figures[metric] = Figure(
            x=resource_axis(rungs, unit, first, last),
            y=y,
            series=[*lines, _dots(lines[-1], size=6)],
            notes=list(filter(None, [outside(y, "value")])),
            height=270,
        )
    return figures


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
    of = {
        curve.trial: text
        for curve, text in zip(curves, origins([c.trial for c in curves], origin), strict=False)
    }
    words = ["" if trial is None else of[trial] for trial in trials] if of else []
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
    """Return a series with a dot at the end of each curve, and with a dot at each value between two
    gaps.
    """
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
