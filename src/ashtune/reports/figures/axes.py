"""What several figures need around their traces: axes of the metric and of hyperparameters, remarks, short numbers.

Rule 1: one bad value does not spoil an axis. What is far worse than most lies outside of it, and the figure says so.
Rule 2: an axis of losses is logarithmic where the good ones would be one line otherwise, and its title says so:
all values are above 0, the worst is ``DECADE`` times the best, and the best tenth takes a twentieth of a linear axis
at most. The three numbers were chosen on studies of two networks on handwritten digits, and hold for a linear
classifier and a quadratic function too.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.sampling import thinned
from ashtune.core.jobs import Goal, Mode, TrialId
from ashtune.core.numbers import number_text, shortened
from ashtune.reports.figures.columns import Numbers
from ashtune.reports.looks import blank

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Origin = Callable[[TrialId], str]
"""Answers with where the configuration of a trial comes from: ``Trials.origin``."""
FAR = 30.0
"""Values more than so many times farther from the best than the middle one are left out of an axis."""
DECADE = 10.0
THIN = 0.05
BEST_SHARE = 0.1
BEYOND_LOG = 1000.0
"""On a logarithmic axis, values more than so many times the middle one are left out."""
ORIGIN = 60
"""Characters of an origin that are shown."""
LINE = 56
"""Characters in a line of small print."""
_AIR = 0.06
_EDGE = 0.002
_MANY = 300.0
_TICKS = 12
COLUMN_TICKS = 6
"""Most ticks of the axis of a hyperparameter."""
_COLUMN_AIR = 0.04
_WIDE = 5.0
"""How many times as large a range's end as its beginning for powers of ten to be good ticks."""


class View(msgspec.Struct, frozen=True):
    """The part of an axis to show, and how many of the values lie outside of it.

    ``is_log``: the axis is logarithmic; ``low`` and ``high`` are values all the same.
    """

    low: float
    high: float
    beyond: int
    is_log: bool = False

    def on_axis(self, value: float) -> float:
        """Return where a value stands: at the end of the axis if it lies outside of it."""
        inside = min(max(value, self.low), self.high)
        return math.log10(inside) if self.is_log else inside


def metric_view(values: Sequence[float], mode: Mode) -> View | None:
    """Return what to show of the metric's axis, and whether it is logarithmic (rule 2).

    Args:
        values: Finite ones.
        mode: Which way is better.

    Returns:
        The range, or None where the values are all the same or there are none.
    """
    ordered = sorted(values)
    if mode == "min" and ordered and ordered[0] > 0:
        limit = BEYOND_LOG * ordered[(len(ordered) - 1) // 2]
        shown = [value for value in ordered if value <= limit]
        low, high = shown[0], shown[-1]
        good = shown[min(len(shown) - 1, max(1, int(BEST_SHARE * len(shown))))]
        if high >= DECADE * low and good - low <= THIN * (high - low):
            air = (high / low) ** _AIR
            if low / air > 0 and high * air < math.inf:  # neither end is beyond what a float can be
                return View(low / air, high * air, len(ordered) - len(shown), is_log=True)
    return view(values, mode)


def metric_axis(figure: "Figure", seen: View | None, goal: Goal) -> str:
    """Name a figure's y axis by the metric and let it show what is to be seen; return what a reader must know."""
    name = label(goal.metric)
    if seen is None:
        figure.update_yaxes(title={"text": name})
        return ""
    if seen.is_log:
        ticks = log_ticks(seen.low, seen.high)
        figure.update_yaxes(
            type="log",
            title={"text": f"{name} (logarithmic)"},
            range=_with_edges(math.log10(seen.low), math.log10(seen.high)),
            tickvals=ticks,
            ticktext=[number_text(tick) for tick in ticks],
        )
    else:
        figure.update_yaxes(title={"text": name}, range=_with_edges(seen.low, seen.high))
    return "outside of the view; a double click shows all" if seen.beyond else ""


def _with_edges(low: float, high: float) -> list[float]:
    """Return a range a little wider: plotly does not draw what rounding puts beyond the end that it stands at."""
    edge = _EDGE * (high - low)
    return [low - edge, high + edge]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two numbers; over many of these only the powers."""
    steps = (1, 2, 5) if high / low < _MANY else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [significant(step * 10.0**power) for power in powers for step in steps]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside[:: 1 + len(inside) // _TICKS]


def column_axis(column: Numbers) -> dict[str, Any]:
    """Return the axis of a hyperparameter: choices by name, numbers on the scale on which they were drawn.

    Args:
        column: At least one of its values is a number.
    """
    title = {"text": label(column.name), "standoff": 6}
    if column.labels:
        places = list(thinned(len(column.labels), COLUMN_TICKS))
        return {
            "title": title,
            "tickvals": places,
            "ticktext": [label(column.labels[place], 12) for place in places],
            "range": [-0.5, len(column.labels) - 0.5],
            "showgrid": False,
            "zeroline": False,
        }
    active = [value for value in column.values if not math.isnan(value)]
    low, high = min(active), max(active)
    if not column.is_log or low <= 0:
        air = _COLUMN_AIR * (high - low)
        return {"title": title, "range": [low - air, high + air], "nticks": COLUMN_TICKS, "zeroline": False}
    air = (high / low) ** _COLUMN_AIR
    ticks = log_ticks(low / air, high * air) if high > _WIDE * low else [low, high]
    return {
        "title": {**title, "text": f"{label(column.name)} (logarithmic)"},
        "type": "log",
        "range": [math.log10(low / air), math.log10(high * air)],
        "tickvals": ticks,
        "ticktext": [number_text(tick) for tick in ticks],
    }


def view(values: Sequence[float], mode: Mode) -> View | None:
    """Return the range that shows all values but those far worse than most.

    A loss of 1e9 after the first epoch would press everything else into a line. Distances are counted
    from the best value: those of more than ``FAR`` times the median of the distances above zero are left out.

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
    lines = wrap(shortened(why, 200), 76)
    text = "<br>".join(escape(line, quote=False) for line in lines)
    figure.add_annotation(text=text, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return figure


def no_origin(_: TrialId) -> str:
    """Answer that nothing is known of where a configuration comes from."""
    return ""


def trial_label(trial: TrialId, origin: Origin) -> str:
    """Return a trial as a figure names it where the mouse points: its number, and where it comes from."""
    return f"trial {trial}" + (f"<br>{label(words, ORIGIN)}" if (words := origin(trial)) else "")


def value_label(column: Numbers, place: int) -> str:
    """Return the value of a hyperparameter in one trial as a figure names it where the mouse points."""
    value = column.values[place]
    return label(column.labels[int(value)], 40) if column.labels else number_text(value)


def label(text: str, width: int = 30) -> str:
    """Return a text of the user as one that plotly shows as it is: short, and no markup."""
    return escape(shortened(text, width), quote=False)


def significant(value: float) -> float:
    """Return a number with ten digits: seventeen make a page long, and with six large seeds would be one."""
    return float(f"{value:.10g}")


def running_time(unit: str, sessions: int) -> str:
    """Return the title of an axis of the time that the study ran."""
    return f"{unit} that the study ran" + (f" (in {sessions} sessions)" if sessions > 1 else "")


def unit_of_time(seconds: float) -> tuple[float, str]:
    """Return the unit that a study's time is best told in: its seconds and its name."""
    if seconds < 180:
        return 1.0, "seconds"
    if seconds < 3 * 3600:
        return 60.0, "minutes"
    return (3600.0, "hours") if seconds < 72 * 3600 else (86400.0, "days")
