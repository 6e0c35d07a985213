"""The best result so far, over time or over resource, and the results of all trials behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from ashtune.core.numbers import number_text, seconds_text
from ashtune.dashboard.terminal.cells import Lines, fitted, line, spread
from ashtune.dashboard.terminal.chart import Axis, Layer, Point, axis_of_values, chart
from ashtune.dashboard.terminal.colours import Colours
from ashtune.reports.figures.axes import View, unit_of_time

_MOMENT = 1e-6
"""A study that has run for less is shown as if it had run so long, in seconds or units of resource."""


def best_lines(
    best: Mapping[str, Any], head: Mapping[str, Any], width: int, height: int, colours: Colours, *,
    is_over_resource: bool = False, rungs: int = 1,
) -> Lines:  # fmt: skip
    """Return a line of words and below it the chart.

    Args:
        best: The part.
        head: The part: it says what the study is after, and how long it has run.
        width: In cells.
        height: In rows.
        colours: Those of the page.
        is_over_resource: Whether the chart is over the resource that all trials together were trained.
        rungs: How many rungs the ladder has: the results have the colours of their rungs.
    """
    objective, unit = head["objectives"][0], fitted(str(head["unit"]), 20)
    what, along = ("over_resource", "resource") if is_over_resource else ("over_time", "time")
    highest, anywhere = (_points(best[f"{what}{where}"], along) for where in ("_at_highest", ""))
    if not (known := [*highest, *anywhere]):
        return [line(("no result yet", colours.quiet))]
    end = max(head["epochs" if is_over_resource else "wall_seconds"] or 0.0, _MOMENT, *(place for place, _ in known))
    scale, name = (1.0, f"{unit}s trained by all trials") if is_over_resource else unit_of_time(end)
    y = axis_of_values([value for _, value in known], objective["mode"])
    layers = [] if is_over_resource else _results(best["results"], y, scale, rungs, colours)
    at = f"at {unit} {head['best']['resource']:,}" if head["best"] else "at the highest rung"
    words = line(
        (fitted(str(objective["metric"]), 30), f"bold {colours.ink}"),
        (" (logarithmic)" if y.seen.is_log else "", colours.quiet),
        (f" over {name}", colours.quiet),
    )
    legend: list[tuple[str, str]] = []
    for points, colour, which in ((anywhere, colours.accent, "at any rung"), (highest, colours.best, at)):
        if points and not (points is anywhere and points == highest):
            steps = [(place / scale, value) for place, value in (*points, (end, points[-1][1]))]
            layers.append(Layer(steps, colour, is_step=True))
            legend.insert(0, (f"   ▬ {number_text(points[-1][1])} {which}", f"bold {colour}"))
    x = Axis(View(0.0, end / scale, 0))
    ago = line((_how_long_ago(best["over_time"], head), colours.ink))
    for text, style in legend:
        if words.cell_len + cell_len(text) + 2 + ago.cell_len <= width:
            words.append(text, style)
    lines = chart(layers, x=x, y=y, width=width, height=height - 1, colours=colours)
    return [spread(words, ago, width), *lines]


def _points(steps: Mapping[str, Any], along: str) -> list[tuple[float, float]]:
    """Return the steps of the first metric, which is the only one that they have."""
    values: Sequence[float | None] = next(iter(steps["values"].values()), ())
    return [(place, value) for place, value in zip(steps[along], values, strict=False) if value is not None]


def _results(results: Mapping[str, Sequence[Any]], y: Axis, scale: float, rungs: int, colours: Colours) -> list[Layer]:
    """Return the results that the axis shows as dots, a layer for each rung."""
    by_rung: dict[int, list[Point]] = {}
    for time, value, rung in zip(results["time"], results["value"], results["rung"], strict=True):
        if value is not None and y.shows(value):
            by_rung.setdefault(rung, []).append((time / scale, value))
    palette = colours.rungs(max(rungs, 1 + max(by_rung, default=0)))
    return [Layer(points, palette[rung], is_line=False) for rung, points in sorted(by_rung.items())]


def _how_long_ago(over_time: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """Return how long ago the best got better: whether the study still finds something."""
    if head["state"] != "running" or head["wall_seconds"] is None or not over_time["time"]:
        return ""
    return f"got better {seconds_text(max(0.0, head['wall_seconds'] - over_time['time'][-1]))} ago"
