"""What several figures need around their traces: remarks, ranges that one bad value cannot spoil, short numbers."""

import math
from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import msgspec

from ashtune.jobs import Mode
from ashtune.reports.figures import shortened
from ashtune.reports.plots import blank

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FAR = 30.0
"""Values more than so many times farther from the best than the middle one are left out of an axis."""
LINE = 56
"""Characters in a line of small print."""
_AIR = 0.06


class View(msgspec.Struct, frozen=True):
    """The part of an axis to show, and how many of the values lie outside of it."""

    low: float
    high: float
    beyond: int


def view(values: Sequence[float], mode: Mode) -> View | None:
    """Return the range that shows all values but those far worse than most.

    A loss of 1e9 after the first epoch would press everything else into a line. Distances are counted
    from the best value; the middle one of those above zero is the yardstick.

    Args:
        values: Finite ones.
        mode: Which way is better.

    Returns:
        The range, or None where the values are all the same or there are none.
    """
    if not values:
        return None
    best = min(values) if mode == "min" else max(values)
    distances = sorted(abs(value - best) for value in values)
    above_zero = [distance for distance in distances if distance > 0]
    if not above_zero or not math.isfinite(above_zero[-1]):
        return None
    limit = FAR * above_zero[(len(above_zero) - 1) // 2]
    shown = [distance for distance in distances if distance <= limit]
    span = shown[-1]
    worst = best + span if mode == "min" else best - span
    low, high = min(best, worst), max(best, worst)
    return View(low - _AIR * span, high + _AIR * span, len(distances) - len(shown))


def remark(figure: "Figure", *sentences: str) -> None:
    """Write what a reader must know below the x axis, where it covers nothing."""
    parts = [figure.layout.xaxis.title.text, small(*sentences)]
    figure.update_xaxes(title={"text": "<br>".join(filter(None, parts))})


def small(*sentences: str) -> str:
    """Return sentences as small print, in lines that a phone can show; empty ones are left out."""
    lines = [line for sentence in sentences for line in wrap(sentence, LINE)]
    return "<br>".join(f'<span style="font-size:11px">{escape(line, quote=False)}</span>' for line in lines)


def nothing(why: str) -> "Figure":
    """Return a figure that says why there is nothing to draw."""
    figure = blank(height=120)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=label(why, 200), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return figure


def label(text: str, width: int = 30) -> str:
    """Return a text of the user as one that plotly shows as it is: short, and no markup."""
    return escape(shortened(text, width), quote=False)


def significant(value: float, digits: int = 6) -> float:
    """Return a number with so many digits, so that a page need not carry seventeen."""
    return float(f"{value:.{digits}g}")
