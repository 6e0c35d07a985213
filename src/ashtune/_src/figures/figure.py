"""Describes a figure as data: two axes, and series of points with names, colours and texts.

Plotly draws figures in notebooks (``reports/plot.py``). A canvas draws figures on the page
(``dashboard/static/page/plot.js``). Both programs draw the values of this module and compute no
other values.
"""

# Decision 56 (docs/decisions/0056-figures-have-one-home.md). Before, the page and the report drew
# the same study by different rules, so their colours, order, axes and texts differed. Now the two
# renderers compute nothing: the content of a figure is decided and tested here. Only the text at a
# point is made twice, in Python and in JavaScript, since a page with a text for each point would be
# long. A test compares the two texts.

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import LEAST_DIGITS, number_text, seconds_text, share_text
from ashtune._src.figures.looks import Look

Written = Literal["number", "count", "seconds", "share"]
"""The formats in which an axis writes its values."""


class Axis(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An axis from ``low`` to ``high``. ``low`` may be greater than ``high``.

    ``title`` is ``name`` with a unit or scale. ``ticks`` has all ticks of the axis. If ``ticks`` is
    empty, the ticks are round multiples of ``unit``. ``choices`` has the names at the positions 0,
    1, 2, and so on. ``digits`` are the significant digits of a number. ``beyond`` is the number of
    values outside of the axis's range.
    """

    name: str = ""
    title: str = ""
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    written: Written = "number"
    unit: float = 1.0
    digits: int = LEAST_DIGITS
    ticks: Sequence[float] = ()
    choices: Sequence[str] = ()
    beyond: int = 0

    def write(self, value: float) -> str:
        """Return a value of the axis as a text."""
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
                return number_text(value, self.digits)

    def within(self, value: float) -> float:
        """Return a value, limited to the range of the axis."""
        return min(max(value, self.low), self.high)

    def scaled(self, value: float) -> float:
        """Return a value, limited to the axis range. If the axis is logarithmic, return the value's
        logarithm.
        """
        limited = self.within(value)
        if self.is_log:
            return math.log10(limited)
        return limited


class Series(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Points of one kind. The value None makes a gap in a line.

    A step line goes right to the next point's ``x``, and then up or down. A bar is drawn from ``x``
    to ``end``. The thickness of a bar is ``thick`` times the distance between two choices. A range
    is a thin line from ``x`` to ``end``. A flow is a band between two bars: the band's lower side
    has the length ``x``, and its upper side has the length ``end``. A series without a ``name`` is
    not in the legend. ``words`` has additional lines of text for each point. If ``is_rimmed`` is
    True, points have a dark rim. If ``is_silent`` is True, points show no text.
    """

    kind: Literal["line", "step", "points", "bars", "ranges", "flows", "texts"]
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


def stacked_bars(
    parts: Iterable[tuple[Look, Sequence[float]]], places: Sequence[int]
) -> list[Series]:
    """Return a series of bars for each part. At each position, the bar of a part begins where the
    bar of the previous part ends.
    """
    series: list[Series] = []
    begin: Sequence[float] = [0] * len(places)
    for look, lengths in parts:
        end = [before + length for before, length in zip(begin, lengths, strict=True)]
        name = look.name
        color = look.color
        pattern = look.pattern
        series.append(
            Series(kind="bars", x=begin, end=end, y=places, name=name, color=color, pattern=pattern)
        )
        begin = end
    return series


class Cells(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Coloured cells below the series. ``rows`` has a row for each ``y``. A row has a value or None
    for each ``x``.

    ``scale`` is the axis of the values. Low values have the colour ``colors[0]``, and high values
    have ``colors[1]``.
    """

    x: Sequence[float]
    y: Sequence[float]
    rows: Sequence[Sequence[float | None]]
    scale: Axis
    colors: tuple[str, str]


class Figure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A figure. ``notes`` has sentences for the reader. In an empty figure, ``notes`` says why."""

    x: Axis = Axis()
    y: Axis = Axis()
    series: Sequence[Series] = ()
    cells: Cells | None = None
    notes: Sequence[str] = ()
    height: int = 290


class Coordinates(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parallel coordinates: each trial is a line through all axes. The best trial is first. A
    missing value is None.

    The last axis is the metric. ``places`` has each trial's rank (from 1) among all ``total``
    trials.
    """

    axes: Sequence[Axis] = ()
    lines: Sequence[Sequence[float | None]] = ()
    trials: Sequence[TrialId] = ()
    places: Sequence[int] = ()
    colors: Sequence[str] = ()
    total: int = 0
    notes: Sequence[str] = ()


def words_of(figure: Figure, series: Series, point: int) -> list[str]:
    """Return the lines of text of a point. The corresponding function in ``plot.js`` must return
    the same lines.
    """
    x = figure.x
    y = figure.y
    at = series.x[point]
    up = series.y[point]
    assert at is not None and up is not None, "a gap in a series has no text"
    if series.kind == "bars":
        lines = [y.write(up), f"{series.name} {x.write(series.end[point] - at)}"]
    else:
        lines = [f"{y.name} {y.write(up)}", f"{x.name} {x.write(at)}"]
    if series.trials and series.trials[point] is not None:
        lines.append(f"trial {series.trials[point]}")
    if series.words:
        lines += series.words[point].split("\n")
    return [line.strip() for line in lines if line.strip()]
