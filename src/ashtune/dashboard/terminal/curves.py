"""Learning curves: the best trials' in colour, a sample of the others behind them."""

from collections.abc import Mapping
from typing import Any

from ashtune.core.jobs import Mode
from ashtune.core.numbers import number_text
from ashtune.dashboard.terminal.cells import Lines, cut, fitted, line
from ashtune.dashboard.terminal.chart import Axis, Layer, axis_of_values, chart
from ashtune.dashboard.terminal.colours import Colours
from ashtune.reports.figures.axes import View
from ashtune.reports.figures.curves import WIDE


def curves_lines(
    curves: Mapping[str, Any], head: Mapping[str, Any], width: int, height: int, colours: Colours
) -> Lines:
    """Return a line of words and below it the chart."""
    shown = [curve for curve in curves["curves"] if any(value is not None for value in curve["value"])]
    if not shown:
        return [line(("no learning curve yet: no trial has reported a finite result", colours.quiet))]
    winner = head["best"]["trial"] if head["best"] else None
    sampled = [curve for curve in shown if curve["kind"] == "sampled" and curve["trial"] != winner]
    best = [curve for curve in shown if curve["kind"] != "sampled" and curve["trial"] != winner]
    winning = [curve for curve in shown if curve["trial"] == winner]
    layers = [
        Layer(list(zip(curve["resource"], curve["value"], strict=True)), colour)
        for group, colour in ((sampled, colours.paused), (best, colours.accent), (winning, colours.best))
        for curve in group
    ]
    words = line(
        (fitted(str(curves["metric"]), 30), f"bold {colours.ink}"),
        (f" over {fitted(str(head['unit']), 20)}   ", colours.quiet),
        (f"▬ best, trial {winner}{_last(winning)}   " if winning else "", f"bold {colours.best}"),
        (f"▬ {len(best)} of the best   " if best else "", colours.accent),
        (f"▬ {len(sampled)} others" if sampled else "", colours.paused),
    )
    return [cut(words, width), *two_axes(layers, mode_of(head), width, height - 1, colours)]


def mode_of(head: Mapping[str, Any]) -> Mode:
    """Return which way is better for the first metric."""
    return "min" if head["objectives"][0]["mode"] == "min" else "max"


def two_axes(layers: list[Layer], mode: Mode, width: int, height: int, colours: Colours) -> Lines:
    """Return the chart of curves over their resource, which is logarithmic where it spans more than a few steps."""
    places = [place for layer in layers for place, value in layer.points if value is not None]
    values = [value for layer in layers for _, value in layer.points if value is not None]
    if not values:
        return []
    low, high = min(places), max(places)
    x = Axis(View(low, max(high, low + 1e-9), 0, is_log=high > WIDE * low > 0))
    return chart(layers, x=x, y=axis_of_values(values, mode), width=width, height=height, colours=colours)


def _last(winning: list[Any]) -> str:
    value = next((value for value in reversed(winning[0]["value"]) if value is not None), None)
    return "" if value is None else f": {number_text(value)}"
