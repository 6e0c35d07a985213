"""What a figure is before anybody draws it: two axes, and series of points with their names, colours and words.

Plotly draws it in reports and notebooks (``reports/plot.py``), a canvas on the live page
(``dashboard/static/page/plot.js``). Neither computes anything that the other would not show.
"""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import number_text, seconds_text, share_text

Written = Literal["number", "count", "seconds", "share"]
"""How the values of an axis are written."""


class Axis(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an axis shows, from ``low`` to ``high``; the two may be swapped.

    ``title`` says beside ``name`` what unit or scale there is. ``ticks`` are the only ones, none: round numbers of
    steps of ``unit``. ``choices`` stand at their places, from 0 on. ``beyond`` is how many values lie outside of it.
    """

    name: str = ""
    title: str = ""
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    written: Written = "number"
    unit: float = 1.0
    ticks: Sequence[float] = ()
    choices: Sequence[str] = ()
    beyond: int = 0

    def write(self, value: float) -> str:
        """Return a value as a text."""
        if self.choices:
            return self.choices[max(0, min(len(self.choices) - 1, round(value)))]
        match self.written:
            case "seconds":
                return seconds_text(value)
            case "share":
                return share_text(value)
            case "count":
                return f"{value:,.0f}"
            case "number":
                return number_text(value)

    def within(self, value: float) -> float:
        """Return a value; the end of the axis for one that lies outside of it."""
        return min(max(value, self.low), self.high)

    def scaled(self, value: float) -> float:
        """Return where a value stands on a linear axis: within it, and its logarithm if the axis is logarithmic."""
        return math.log10(self.within(value)) if self.is_log else self.within(value)


class Series(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Points of one kind, and None where a line has a gap.

    A step goes across, then up or down. A bar goes from ``x`` to ``end``, ``thick`` of the room between two choices
    wide; so does a range, which is a thin line. A flow leads from a bar up to ``x`` to the one above it up to ``end``.
    ``name`` is that of the legend, none: it is not there. ``trials`` are those of the points, which open them, and
    ``words`` say more of each: several lines. A text is nothing but its words. ``is_rimmed``: it has a dark rim.
    ``is_silent``: nothing is said of it.
    """

    kind: Literal["line", "step", "area", "points", "bars", "ranges", "flows", "texts"]
    x: Sequence[float | None]
    y: Sequence[float | None]
    end: Sequence[float] = ()
    color: str
    pattern: str = ""
    name: str = ""
    trials: Sequence[TrialId | None] = ()
    words: Sequence[str] = ()
    symbol: Literal["circle", "cross", "star", "diamond"] = "circle"
    size: float = 6.0
    width: float = 2.0
    thick: float = 0.7
    alpha: float = 1.0
    is_rimmed: bool = False
    is_silent: bool = False


class Cells(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A picture below the series: a value, or None, for each of ``y`` and in it for each of ``x``.

    ``scale`` is the axis of the values, whose colour goes from ``colors[0]`` at its low end to ``colors[1]``.
    """

    x: Sequence[float]
    y: Sequence[float]
    rows: Sequence[Sequence[float | None]]
    scale: Axis
    colors: tuple[str, str]


class Figure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A figure. ``notes`` are sentences that a reader must know; where nothing is drawn, they say why."""

    x: Axis = Axis()
    y: Axis = Axis()
    series: Sequence[Series] = ()
    cells: Cells | None = None
    notes: Sequence[str] = ()
    height: int = 290


class Coordinates(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parallel coordinates: a line for each trial through all axes, the best first; None where a line has no value.

    The last axis is that of the metric. ``places`` are those of the trials among all ``total``, from 1.
    """

    axes: Sequence[Axis] = ()
    lines: Sequence[Sequence[float | None]] = ()
    trials: Sequence[TrialId] = ()
    places: Sequence[int] = ()
    colors: Sequence[str] = ()
    total: int = 0
    notes: Sequence[str] = ()


def words_of(figure: Figure, series: Series, point: int) -> list[str]:
    """Return what is said of a point, a line each; the page does it in the same way (``plot.js``)."""
    x, y, at, up = figure.x, figure.y, series.x[point], series.y[point]
    assert at is not None and up is not None, "nobody can point at a gap"
    if series.kind == "bars":
        lines = [y.write(up), f"{series.name} {x.write(series.end[point] - at)}"]
    else:
        lines = [f"{y.name} {y.write(up)}", f"{x.name} {x.write(at)}"]
    if series.trials and series.trials[point] is not None:
        lines.append(f"trial {series.trials[point]}")
    more = series.words[point].split("\n") if series.words else []
    return [line.strip() for line in (*lines, *more) if line.strip()]
