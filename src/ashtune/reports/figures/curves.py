"""Learning curves as a figure: lines coloured by the rung they reached, the best on top of all.

All lines of a rung are one trace, parted by gaps: a page carries a few traces better than a hundred.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ashtune.analysis.curves import Curve, Curves
from ashtune.analysis.sampling import thinned
from ashtune.core.numbers import number_text, plural
from ashtune.reports.figures.axes import (
    Origin,
    metric_axis,
    metric_view,
    no_origin,
    nothing,
    remark,
    significant,
    trial_label,
)
from ashtune.reports.looks import GREY, blank, go, rung_colors

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

POINTS = 12_000
"""Points in the figure, all curves together; curves that have more are thinned evenly."""
WIDE = 20
"""The axis of the resource is logarithmic where its last is so many times its first."""


def curves_figure(curves: Curves, *, rungs: int = 0, unit: str, origin: Origin = no_origin) -> "Figure":
    """Return the learning curves.

    Args:
        curves: The observer.
        rungs: How many rungs the ladder has, for the colours; 0: those reached.
        unit: What the resource counts, in the singular.
        origin: Answers with where the configuration of a trial comes from: ``Trials.origin``.

    Raises:
        SettingsError: If plotly is not installed.
    """
    all_curves = curves.shown()
    shown = [curve for curve in all_curves if any(map(math.isfinite, curve.values))]
    if not shown:
        return nothing("no trial has reported a finite result")
    goal, best = curves.goal, shown[-1]
    figure = blank(x=unit, height=420)
    first, last = min(curve.resources[0] for curve in shown), max(curve.resources[-1] for curve in shown)
    if last > WIDE * first > 0:
        figure.update_xaxes(type="log", tickvals=[rung.resource for rung in curves.results.rungs if rung.resource])
    most = max(2, POINTS // len(shown))
    colors = [*rung_colors(max(rungs, best.rung + 1)), GREY]  # the last one is that of rung -1
    for rung in range(-1, best.rung + 1):
        if group := [curve for curve in shown if curve.rung == rung]:
            name = f"to {unit} {curves.results.rungs[rung].resource:,}" if rung >= 0 else "no result yet"
            _draw(figure, group, most, name, colors[rung], origin=origin)
    if best.rung >= 0:
        _draw_best(figure, best, most, number_text(goal.value(best.loss)), colors[best.rung], origin=origin)
    seen = metric_view([value for curve in shown for value in curve.values if math.isfinite(value)], goal.mode)
    outside = metric_axis(figure, seen, goal)
    empty = len(all_curves) - len(shown)
    remark(
        figure,
        f"{len(shown):,} of {plural(curves.total, 'curve')}: the best and a sample"
        if len(all_curves) < curves.total
        else "",
        f"{plural(empty, 'curve')} without a finite value not drawn" if empty else "",
        f"{plural(seen.beyond, 'value')} {outside}" if seen and outside else "",
    )
    return figure


def _draw(figure: "Figure", curves: Sequence[Curve], most: int, name: str, color: str, *, origin: Origin) -> None:
    """Draw curves as one trace, and a dot where each ends or stands alone between two gaps."""
    line, dots = _Points(origin), _Points(origin)
    for curve in curves:
        places = thinned(len(curve.resources), most)
        values = [math.nan, *(curve.values[place] for place in places), math.nan]
        last = max((n for n, value in enumerate(values) if math.isfinite(value)), default=0)
        for number, place in enumerate(places, start=1):
            line.add(curve, place)
            is_alone = not math.isfinite(values[number - 1]) and not math.isfinite(values[number + 1])
            if number == last or (is_alone and math.isfinite(values[number])):
                dots.add(curve, place)
        line.part()
    style: dict[str, Any] = {
        "name": name,
        "legendgroup": name,
        "hovertemplate": "%{y} at %{x:,}<br>%{customdata}",
    }
    figure.add_trace(line.trace(mode="lines", line={"color": color, "width": 1.2}, opacity=0.8, **style))
    figure.add_trace(dots.trace(mode="markers", marker={"color": color, "size": 4}, showlegend=False, **style))


def _draw_best(figure: "Figure", curve: Curve, most: int, value: str, color: str, *, origin: Origin) -> None:
    points = _Points(origin)
    places = thinned(len(curve.resources), most)
    for place in places:
        points.add(curve, place)
    figure.add_trace(
        points.trace(
            mode="lines+markers",
            line={"color": color, "width": 4},
            marker={"color": color, "size": [*[0] * (len(places) - 1), 10]},
            name=f"best: trial {curve.trial}, {value}",
            hovertemplate="%{y} at %{x:,}<br>%{customdata}",
        )
    )


class _Points:
    """The points of a trace under construction."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._x: list[int | None] = []
        self._y: list[float | None] = []
        self._trials: list[str | None] = []

    def add(self, curve: Curve, place: int) -> None:
        """Add a point of a curve; one that is not finite is a gap."""
        value = curve.values[place]
        self._x.append(curve.resources[place])
        self._y.append(significant(value) if math.isfinite(value) else None)
        self._trials.append(trial_label(curve.trial, self._origin))

    def part(self) -> None:
        """End a curve."""
        self._x.append(None)
        self._y.append(None)
        self._trials.append(None)

    def trace(self, **style: Any) -> Any:
        """Return what was added as a trace."""
        return go().Scatter(x=self._x, y=self._y, customdata=self._trials, connectgaps=False, **style)
