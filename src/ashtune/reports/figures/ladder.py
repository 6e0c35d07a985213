"""The ladder: a bar for each rung, the lowest at the bottom, of what became of its trials, and how many were expected.

Between two rungs a band leads from the trials that were promoted to the bar of the rung above, where they are trained.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ashtune.analysis.counts import RungTally
from ashtune.analysis.expected import Expected
from ashtune.analysis.tally import Tally
from ashtune.core.numbers import number_text
from ashtune.reports.figures.axes import label, nothing
from ashtune.reports.looks import DARK, TRIALS, blank, faded, go, mark

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_BAR = 0.56
_ROOM = 1.42
"""How many times as long as the longest bar the axis is, so that the words beside it have room."""
_TALL, _LOW, _MOST_TALL = 62, 34, 10
"""Pixels of a rung, and those of one of many, which are more than ten."""


def ladder_figure(tally: Tally, expected: Sequence[Expected] | None = None, *, unit: str) -> "Figure":
    """Return the rungs with the trials that arrived, were promoted, run and failed, beside the expected number.

    Args:
        tally: The study's counts.
        expected: How many trials are trained to each rung: ``StudyInfo.expected``; None where nobody knows.
        unit: What the resource counts, in the singular.

    Raises:
        SettingsError: If plotly is not installed.
    """
    rungs = tally.rungs
    if not any(_length(rung) for rung in rungs):
        return nothing("no trial has begun")
    tall = _TALL if len(rungs) <= _MOST_TALL else _LOW
    figure = blank(x="trials", y=f"trained to {unit}", barmode="stack", height=130 + tall * len(rungs))
    for number, (below, above) in enumerate(pairwise(rungs)):
        if below.promoted:
            figure.add_trace(_band(number, below.promoted, _length(above)))
    top = rungs[-1]
    parts = {
        "promoted": [rung.arrived if rung is top else rung.promoted for rung in rungs],
        "paused": [0 if rung is top else rung.paused for rung in rungs],
        "failed": [rung.failed for rung in rungs],
        "running": [rung.running for rung in rungs],
    }
    for part, counts in parts.items():
        if any(counts):
            figure.add_trace(
                go().Bar(
                    orientation="h",
                    x=counts,
                    y=list(range(len(rungs))),
                    width=_BAR,
                    name=TRIALS[part].name + (", or at the top" if part == "promoted" else ""),
                    marker=mark(TRIALS[part]),
                    hovertemplate="%{x:,}<extra>%{fullData.name}</extra>",
                )
            )
    if expected is not None:
        figure.add_trace(_expected(expected))
    longest = max(map(_length, rungs))
    figure.add_trace(_words(tally, expected))
    figure.update_xaxes(range=[0, _ROOM * max([longest, *(each.high for each in expected or ())])], zeroline=False)
    figure.update_layout(legend={"traceorder": "normal"})
    figure.update_yaxes(
        tickvals=list(range(len(rungs))),
        ticktext=[f"{rung.resource:,}" for rung in rungs],
        range=[-0.5, len(rungs) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure


def _length(rung: RungTally) -> int:
    """Return how many trials the bar of a rung stands for."""
    return rung.trained + rung.running


def _band(rung: int, promoted: int, trained: int) -> Any:
    """Return the way of the promoted trials from a rung to the next."""
    low, high = rung + _BAR / 2, rung + 1 - _BAR / 2
    return go().Scatter(
        x=[0, promoted, min(promoted, trained), 0],
        y=[low, low, high, high],
        mode="lines",
        fill="toself",
        fillcolor=faded(TRIALS["promoted"].color, 0.2),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _expected(expected: Sequence[Expected]) -> Any:
    """Return a mark in the middle of what was expected, and a line from the lowest to the highest number."""
    middles = [each.middle for each in expected]
    return go().Scatter(
        x=middles,
        error_x={
            "array": [each.high - each.middle for each in expected],
            "arrayminus": [each.middle - each.low for each in expected],
            "color": DARK,
        },
        text=[each.text for each in expected],
        y=list(range(len(expected))),
        mode="markers",
        name="expected",
        marker={"symbol": "diamond-tall", "size": 24, "color": "white", "line": {"width": 2, "color": DARK}},
        cliponaxis=False,
        hovertemplate="%{text}<extra>expected</extra>",
    )


def _words(tally: Tally, expected: Sequence[Expected] | None) -> Any:
    """Return what stands beside each bar: how many were trained, of how many expected, and the best result."""
    places, texts = [], []
    for number, rung in enumerate(tally.rungs):
        wanted = None if expected is None else expected[number]
        of = f"<b>{rung.trained:,}</b> trained" + ("" if wanted is None else f", {wanted.text} expected")
        best = "" if rung.best is None else number_text(rung.best.metrics.get(tally.goal.metric))
        places.append(max(_length(rung), wanted.high if wanted else 0))
        texts.append(f"    {of}" + (f"<br>    best {label(tally.goal.metric, 18)} {best}" if best else ""))
    return go().Scatter(
        x=places,
        y=list(range(len(places))),
        text=texts,
        mode="text",
        textposition="middle right",
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )
