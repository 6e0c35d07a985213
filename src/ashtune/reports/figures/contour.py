"""The result over two hyperparameters at once: levels of a smoothed mean, and the trials that it was made of.

At each place of a grid stands the mean of the results nearby, each weighted by a Gaussian of its distance. Distances
are counted on the scales on which the values were drawn. The more results there are, the narrower the Gaussian.

Sources: Nadaraya, *On Estimating Regression*, Theory of Probability and its Applications 9(1), 1964, for the mean;
Scott, *Multivariate Density Estimation*, Wiley, 1992, for the width of the Gaussian: the standard deviation of the
values along an axis times ``n ** (-1 / (axes + 4))``.

Rule 1: like is compared with like: the results at one rung. It is the highest rung with at least ``ENOUGH`` finite
results; where no rung has so many, it is the one with the most.
Rule 2: where no result is near nothing is known, and nothing is drawn.
Rule 3: choices have no distance: a result counts for its own choice only.
Rule 4: a result far worse than most counts as one at the end of the metric's axis. Where that axis is logarithmic the
mean is the geometric one.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.results import Results
from ashtune.analysis.sampling import best_and_sampled, sampled
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.numbers import number_text, plural, shortened
from ashtune.reports.figures.axes import (
    Origin,
    View,
    column_axis,
    label,
    log_ticks,
    metric_view,
    no_origin,
    nothing,
    remark,
    significant,
    trial_label,
    value_label,
)
from ashtune.reports.figures.columns import Configuration, Numbers, numbers, spread_places
from ashtune.reports.looks import BLUE, DARK, GREY, INK, ORANGE, PALE, blank, faded, go

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from plotly.graph_objects import Figure

    Floats = npt.NDArray[np.float64]

ENOUGH = 40
FEWEST = 3
"""Fewer trials are no map."""
MOST = 2_000
"""Of more results a sample is smoothed."""
POINTS = 300
"""Trials that are drawn: half of them the best, the others sampled."""
STEPS, FINE = 41, 161
"""Places of the grid along an axis of numbers; where the other axis has choices there are more."""
LEAST_WIDTH = 0.05
"""Of the Gaussian, as a share of the axis."""
NEAR = 2.0
"""A place is known if some result is at most so many widths away."""
MOST_CELLS = 48
"""Cells of two axes of choices, up to which each has its value written in it."""
_UPPER, _CARD, _ON_CARD = 0.34, faded(PALE, 0.85), DARK
_SCALE = ((0.0, faded(BLUE, 0.06)), (0.5, faded(BLUE, 0.45)), (1.0, faded(BLUE, 1)))
"""From the worst to the best: the worst is hardly to be told from the paper, light or dark."""


class Contour(msgspec.Struct, frozen=True, kw_only=True):
    """The smoothed results over two hyperparameters.

    ``x`` and ``y`` hold the values of the ``trials``, the best first, and ``values`` their results at ``resource``, the
    rung with the number ``rung``. There are ``total`` finite results there, of which those of trials without one of the
    two hyperparameters are left out, and of very many all but a sample. ``grid`` is the smoothed metric, a row for each
    of ``y_places`` and a column for each of ``x_places``; None where nothing is known. ``view`` is the part of the
    metric's axis that the results were held to, None where it is all of it.
    """

    rung: int
    resource: int
    total: int
    trials: Sequence[TrialId]
    values: Sequence[float]
    x: Numbers
    y: Numbers
    x_places: Sequence[float]
    y_places: Sequence[float]
    grid: Sequence[Sequence[float | None]]
    view: View | None


def contour(
    results: Results,
    configuration: Configuration,
    space: Mapping[str, object],
    x: str,
    y: str,
    *,
    steps: int | None = None,
) -> Contour | str:
    """Smooth the results over two hyperparameters. It takes some milliseconds, whatever the number of trials.

    Args:
        results: The observer.
        configuration: Answers with the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        x: The name of a hyperparameter of the space.
        y: The name of another one.
        steps: Places of the grid along an axis of numbers, at least 2; by default as many as a figure shows well.

    Returns:
        What to draw; a text that says why there is nothing.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """
    rungs = [_finite(rung.by_trial()) for rung in results.rungs]
    if not any(rungs):
        return "no trial has a finite result"
    fullest = max(range(len(rungs)), key=lambda number: len(rungs[number]))
    number = next((number for number in reversed(range(len(rungs))) if len(rungs[number]) >= ENOUGH), fullest)
    losses, rung = rungs[number], results.rungs[number]
    ranks: Mapping[TrialId, Any] = rung.keys or losses
    trials = sorted(sampled(sorted(losses), MOST), key=ranks.__getitem__)
    columns = {column.name: column for column in numbers(space, configuration, trials)}
    both = [n for n in range(len(trials)) if not math.isnan(columns[x].values[n] + columns[y].values[n])]
    along_x, along_y = (_part(columns[name], both) for name in (x, y))
    if len(both) < FEWEST or not (along_x.varies and along_y.varies):
        return f"too few trials with different values of {shortened(x, 30)} and of {shortened(y, 30)}"
    trials = [trials[n] for n in both]
    values = [results.goal.value(losses[trial]) for trial in trials]
    seen = metric_view(values, results.goal.mode)
    x_places, y_places, grid = _smoothed(along_x, along_y, values, seen, steps)
    return Contour(
        rung=number,
        resource=rung.resource,
        total=len(losses),
        trials=trials,
        values=values,
        x=along_x,
        y=along_y,
        x_places=x_places,
        y_places=y_places,
        grid=grid,
        view=seen,
    )


def contour_figure(drawn: Contour | str, goal: Goal, *, unit: str, origin: Origin = no_origin) -> "Figure":
    """Return the levels, and the trials on them; the best trial is a star.

    Args:
        drawn: What to draw; a text that says why there is nothing.
        goal: The metric, and which way is better.
        unit: What the resource counts, in the singular.
        origin: Answers with where the configuration of a trial comes from: ``Trials.origin``.

    Raises:
        SettingsError: If plotly is not installed.
    """
    if isinstance(drawn, str):
        return nothing(drawn)
    figure = blank(height=460)
    figure.add_trace(_levels(drawn, goal))
    numbered = {trial: n for n, trial in enumerate(drawn.trials)}
    places = [numbered[trial] for trial in best_and_sampled(drawn.trials, POINTS)]
    best = f"best: trial {drawn.trials[0]}, {number_text(drawn.values[0])}"
    others = {"color": _CARD, "size": 6, "line": {"color": INK, "width": 1}}
    star = {"color": ORANGE, "size": 17, "symbol": "star", "line": {"color": "white", "width": 1}}
    figure.add_trace(_points(drawn, places[1:], origin, name="trials", marker=others))
    figure.add_trace(_points(drawn, places[:1], origin, name=best, marker=star))
    if drawn.x.labels and drawn.y.labels and len(drawn.x_places) * len(drawn.y_places) <= MOST_CELLS:
        _write_values(figure, drawn)
    figure.update_xaxes(**column_axis(drawn.x))
    figure.update_yaxes(**column_axis(drawn.y))
    remark(figure, *_remarks(drawn, goal, unit))
    return figure


def _remarks(drawn: Contour, goal: Goal, unit: str) -> list[str]:
    """Say what the levels are."""
    few = f"{len(drawn.trials):,} of " if len(drawn.trials) < drawn.total else ""
    of = f"{few}{plural(drawn.total, 'result')} at {unit} {drawn.resource:,}"
    sentences = [f"The smoothed mean of {of}. Where it is blank, no trial is near."]
    if drawn.view is not None and drawn.view.is_log:
        sentences.append(f"The scale of {shortened(goal.metric, 30)} is logarithmic.")
    if drawn.view is not None and drawn.view.beyond:
        count, verb = plural(drawn.view.beyond, "result"), "counts" if drawn.view.beyond == 1 else "count"
        sentences.append(f"{count} far worse than the others {verb} as the worst of these.")
    return sentences


def _finite(losses: Mapping[TrialId, float]) -> dict[TrialId, float]:
    return {trial: loss for trial, loss in losses.items() if loss < math.inf}


def _part(column: Numbers, places: Sequence[int]) -> Numbers:
    """Return a column of some of its trials."""
    return msgspec.structs.replace(column, values=array("d", (column.values[place] for place in places)))


def _smoothed(
    x: Numbers, y: Numbers, values: Sequence[float], seen: View | None, steps: int | None
) -> tuple[list[float], list[float], list[list[float | None]]]:
    """Return the places of the grid along both axes, and the smoothed metric on it."""
    import numpy as np

    heights = np.array(values if seen is None else [seen.on_axis(value) for value in values])
    cells = math.prod(len(column.labels) or 1 for column in (x, y))
    narrowing = max(1.0, len(values) / cells) ** (-1 / (4 + sum(not column.labels for column in (x, y))))
    steps = steps or (FINE if x.labels or y.labels else STEPS)
    (x_places, near_x), (y_places, near_y) = (_nearness(column, narrowing, steps) for column in (x, y))
    weights = near_y @ near_x.T
    known = weights >= math.exp(-(NEAR**2) / 2)
    means = np.divide((near_y * heights) @ near_x.T, weights, out=np.zeros_like(weights), where=known)
    if seen is not None and seen.is_log:
        means = 10**means
    grid = [
        [significant(mean) if is_known else None for mean, is_known in zip(*row, strict=True)]
        for row in zip(means.tolist(), known.tolist(), strict=True)
    ]
    return x_places, y_places, grid


def _nearness(column: Numbers, narrowing: float, steps: int) -> "tuple[list[float], Floats]":
    """Return the places of the grid along a hyperparameter, and how near each result is to each, from 0 to 1.

    The nearness has the shape ``(places, results)``.
    """
    import numpy as np

    values = np.array(column.values)
    if column.labels:
        choices = np.arange(len(column.labels), dtype=np.float64)
        return choices.tolist(), (choices[:, None] == values).astype(np.float64)
    is_log = column.is_log and values.min() > 0
    scaled = np.log10(values) if is_log else values
    low, high = scaled.min(), scaled.max()
    width = max(LEAST_WIDTH * (high - low), scaled.std() * narrowing)
    places = np.linspace(low, high, steps)
    near = np.exp(-0.5 * ((places[:, None] - scaled) / width) ** 2)
    return [significant(place) for place in (10**places if is_log else places).tolist()], near


def _levels(drawn: Contour, goal: Goal) -> Any:
    """Return the trace of the smoothed metric: levels between numbers, cells where there are choices."""
    grid = drawn.grid
    bar: dict[str, Any] = {"title": {"text": label(goal.metric, 18)}, "thickness": 12, "outlinewidth": 0}
    is_log = drawn.view is not None and drawn.view.is_log
    if is_log:
        known = [value for row in grid for value in row if value is not None]
        ticks = log_ticks(min(known), max(known))
        ticks = ticks if len(ticks) > 1 else [min(known), max(known)]
        bar |= {"tickvals": [math.log10(tick) for tick in ticks], "ticktext": [number_text(tick) for tick in ticks]}
        grid = [[None if value is None else math.log10(value) for value in row] for row in grid]
    common: dict[str, Any] = {
        "x": drawn.x_places,
        "y": drawn.y_places,
        "z": grid,
        "text": [["" if value is None else number_text(value) for value in row] for row in drawn.grid],
        "colorscale": _SCALE,
        "reversescale": goal.mode == "min",
        "colorbar": bar,
        "hovertemplate": "%{text}<extra>smoothed</extra>",
    }
    if drawn.x.labels or drawn.y.labels:
        return go().Heatmap(**common, xgap=3 if drawn.x.labels else 0, ygap=3 if drawn.y.labels else 0)
    levels = {"coloring": "heatmap", "showlabels": False}
    line = {"width": 1, "color": faded(GREY, 0.5)}
    return go().Contour(**common, connectgaps=False, ncontours=9, contours=levels, line=line)


def _write_values(figure: "Figure", drawn: Contour) -> None:
    """Write the mean into the upper part of each cell, where both axes have choices."""
    for y, row in zip(drawn.y_places, drawn.grid, strict=True):
        for x, value in zip(drawn.x_places, row, strict=True):
            if value is not None:
                figure.add_annotation(
                    x=x, y=y + _UPPER, text=number_text(value), showarrow=False, bgcolor=_CARD, font={"color": _ON_CARD}
                )


def _points(drawn: Contour, places: Sequence[int], origin: Origin, *, name: str, marker: dict[str, Any]) -> Any:
    """Return a trace of some of the trials."""
    x, y = spread_places(drawn.x, drawn.trials), spread_places(drawn.y, drawn.trials, salt=1)
    return go().Scatter(
        x=[significant(x[place]) for place in places],
        y=[significant(y[place]) for place in places],
        customdata=[
            [
                trial_label(drawn.trials[place], origin),
                value_label(drawn.x, place),
                value_label(drawn.y, place),
                number_text(drawn.values[place]),
            ]
            for place in places
        ],
        mode="markers",
        marker=marker,
        name=name,
        cliponaxis=False,
        hovertemplate="%{customdata[3]} at %{customdata[1]}, %{customdata[2]}<br>%{customdata[0]}<extra></extra>",
    )
