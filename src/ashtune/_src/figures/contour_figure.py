"""Draws the result as a function of two hyperparameters: a contour plot of the smoothed results,
and the trials as points.

The value at each point of a grid is the weighted mean of all results. The weight of a result is a
Gaussian function of its distance from the grid point, measured on the hyperparameters' sampling
scales. The more results there are, the narrower the Gaussian is.

Source of the weighted mean: Nadaraya, *On Estimating Regression*, Theory of Probability and its
Applications 9(1), 1964. Source of the Gaussian's width: Scott, *Multivariate Density Estimation*,
Wiley, 1992. The width is the standard deviation of the values along an axis, multiplied by ``n **
(-1 / (axes + 4))``.

Rule 1: the mean uses the results of one rung: the highest rung that has at least ``ENOUGH`` finite
results. If every rung has fewer results, the mean uses the rung with the most results.
Rule 2: a grid point is blank if no result is near it.
Rule 3: if a hyperparameter has choices, a result affects only the grid points with the same choice.
Rule 4: a result far worse than most results is replaced by the value at the end of the metric's
axis. If this axis is logarithmic, the mean is the geometric mean.
"""

# Why a smoothed mean, at one rung, and blank places: decision 39
# (docs/decisions/0039-figures-in-notebooks.md). A figure that interpolates through each result
# would show the noise of single trainings as hills. A figure of several rungs would show how long
# the trials were trained.
#
# The figure cannot show the hyperparameters that are on neither axis. Each value is a mean over the
# values that these hyperparameters had in the trials near the grid point. A search that learns
# combines good values of all hyperparameters, so a region may look good because of a third
# hyperparameter.

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.sampling import best_and_sampled, sampled
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.numbers import number_text, plural, shortened
from ashtune._src.figures.axes import (
    Origin,
    column_axis,
    metric_axis,
    no_origin,
    scale_note,
    significant,
)
from ashtune._src.figures.figure import Axis, Cells, Figure, Series
from ashtune._src.figures.figure_columns import Configuration, Numbers, numbers, spread_places
from ashtune._src.figures.looks import BLUE, ORANGE, PALE, faded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

# Results at a high rung are the most reliable, but a high rung has few trials. These trials were
# selected, so their most important hyperparameters hardly differ, and a figure of them would show
# only one small region.
ENOUGH = 40
FEWEST = 3
"""The smallest number of trials for a figure."""
MOST = 2_000
"""The largest number of results to smooth. If a rung has more results, a sample of them is
smoothed.
"""
POINTS = 300
"""The largest number of drawn trials: half of them are the best trials, the other trials are
sampled.
"""
# With an odd number of grid points, one point is in the middle. If the other axis has choices, the
# grid has few rows, so MOST_CELLS allows finer steps along this axis. Grids of 81 by 34 choices and
# of 20 by 140 choices have about MOST_CELLS cells.
STEPS = 41
FINE = 81
COARSE = 20
"""The number of grid points along a numeric axis is STEPS. If the other axis has choices, the
number is between COARSE and FINE.
"""
MOST_CELLS = 2_800
# Trials of a search that learns lie close together, so their standard deviation is small. A width
# that depends only on the standard deviation would be too small for the few other trials: each of
# them would be a dot.
LEAST_WIDTH = 0.05
"""The least width of the Gaussian, as a share of the axis."""
NEAR = 2.0
"""A grid point is blank if no result lies within this many widths of the Gaussian."""
# At a distance of two widths, the weight of a result is e^-2 = 14 % of its weight at distance 0. At
# greater distances, the mean would be the result of the nearest trial alone, in a part of the space
# that no trial has tried.


class Contour(msgspec.Struct, frozen=True, kw_only=True):
    """The smoothed results over two hyperparameters.

    ``trials`` are the trials that have both hyperparameters, the best trial first. ``x`` and ``y``
    have the trials' values of the two hyperparameters. ``values`` has the trials' results at the
    rung with index ``rung`` and resource ``resource``. ``total`` counts the finite results at this
    rung. ``grid`` is the smoothed metric, with a row for each of ``y_places`` and a column for each
    of ``x_places``. The value at a blank grid point is None. ``scale`` is the axis of the metric.
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
    scale: Axis


def contour(
    results: Results,
    configuration: Configuration,
    space: Mapping[str, object],
    x: str,
    y: str,
) -> Contour | str:
    """Smooth the results over two hyperparameters. The computation takes some milliseconds.

    Args:
        results: The observer of all results.
        configuration: Returns the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        x: The name of a hyperparameter.
        y: The name of another hyperparameter.

    Returns:
        The smoothed results, or a text with the reason why there are no smoothed results.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """
    rungs = [_finite(rung.by_trial()) for rung in results.rungs]
    if not any(rungs):
        return "no trial has a finite result"
    fullest = max(range(len(rungs)), key=lambda number: len(rungs[number]))
    number = next(
        (number for number in reversed(range(len(rungs))) if len(rungs[number]) >= ENOUGH), fullest
    )
    losses = rungs[number]
    rung = results.rungs[number]
    ranks: Mapping[TrialId, Any] = rung.keys or losses
    trials = sorted(sampled(sorted(losses), MOST), key=ranks.__getitem__)
    columns = {column.name: column for column in numbers(space, configuration, trials)}
    both = [
        n for n in range(len(trials)) if not math.isnan(columns[x].values[n] + columns[y].values[n])
    ]
    along_x, along_y = (_part(columns[name], both) for name in (x, y))
    if len(both) < FEWEST or not (along_x.varies and along_y.varies):
        return (
            f"too few trials with different values of {shortened(x, 30)} and of {shortened(y, 30)}"
        )
    trials = [trials[n] for n in both]
    values = [results.goal.value(losses[trial]) for trial in trials]
    scale = metric_axis(values, results.goal)
    x_places, y_places, grid = _smoothed(along_x, along_y, values, scale)
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
        scale=scale,
    )


def contour_figure(
    drawn: Contour | str, goal: Goal, *, unit: str, origin: Origin = no_origin
) -> Figure:
    """Return a figure with the levels of the smoothed metric, and with the trials as points. The
    best trial is a star.

    Args:
        drawn: The smoothed results, or a text with the reason why there are no smoothed results.
        goal: The metric, and whether smaller or larger values are better.
        unit: What the resource counts, in the singular.
        origin: Returns the origin of a trial's configuration: ``Trials.origin``.
    """
    if isinstance(drawn, str):
        return Figure(notes=[drawn])
    numbered = {trial: n for n, trial in enumerate(drawn.trials)}
    places = [numbered[trial] for trial in best_and_sampled(drawn.trials, POINTS)]
    strong = (faded(BLUE, 1), faded(BLUE, 0.06))
    best = (
        f"best at {unit} {drawn.resource:,}: trial {drawn.trials[0]}, "
        f"{number_text(drawn.values[0])}"
    )
    return Figure(
        x=column_axis(drawn.x),
        y=column_axis(drawn.y),
        cells=Cells(
            x=drawn.x_places,
            y=drawn.y_places,
            rows=drawn.grid,
            scale=drawn.scale,
            colors=strong if goal.mode == "min" else strong[::-1],
        ),
        series=[
            replace(_points(drawn, places[1:], origin), name="trials"),
            replace(
                _points(drawn, places[:1], origin), name=best, color=ORANGE, size=17, symbol="star"
            ),
        ],
        notes=_notes(drawn, unit),
        height=390,
    )


def _notes(drawn: Contour, unit: str) -> list[str]:
    few = f"{len(drawn.trials):,} of " if len(drawn.trials) < drawn.total else ""
    of = f"{few}{plural(drawn.total, 'result')} at {unit} {drawn.resource:,}"
    return [
        f"The map shows the smoothed mean of {of}. The map is blank where no trial is near.",
        *scale_note(drawn.scale, "result"),
    ]


def _points(drawn: Contour, places: Sequence[int], origin: Origin) -> Series:
    x = spread_places(drawn.x, drawn.trials)
    y = spread_places(drawn.y, drawn.trials, salt=1)
    return Series(
        kind="points",
        x=[significant(x[place]) for place in places],
        y=[significant(y[place]) for place in places],
        color=PALE,
        is_rimmed=True,
        trials=[drawn.trials[place] for place in places],
        words=[
            f"{drawn.scale.name} "
            f"{number_text(drawn.values[place])}\n{shortened(origin(drawn.trials[place]), 60)}"
            for place in places
        ],
    )


def _finite(losses: Mapping[TrialId, float]) -> dict[TrialId, float]:
    return {trial: loss for trial, loss in losses.items() if loss < math.inf}


def _part(column: Numbers, places: Sequence[int]) -> Numbers:
    return replace(column, values=array("d", (column.values[place] for place in places)))


def _smoothed(
    x: Numbers, y: Numbers, values: Sequence[float], scale: Axis
) -> tuple[list[float], list[float], list[list[float | None]]]:
    import numpy as np

    # Results are limited to the range of the metric's axis (rule 4). Otherwise a single loss of 1e9
    # would dominate the mean at each grid point near it.
    heights = np.array([scale.scaled(value) for value in values])
    # Scott's rule uses the number of results of one choice: results of different choices are not
    # smoothed together (rule 3), and a Gaussian has no width along an axis of choices.
    cells = math.prod(len(column.labels) or 1 for column in (x, y))
    narrowing = max(1.0, len(values) / cells) ** (
        -1 / (4 + sum(not column.labels for column in (x, y)))
    )
    choices = max(len(x.labels), len(y.labels))
    steps = min(FINE, max(COARSE, MOST_CELLS // choices)) if choices else STEPS
    (x_places, near_x), (y_places, near_y) = (
        _nearness(column, narrowing, steps) for column in (x, y)
    )
    weights = near_y @ near_x.T
    known = weights >= math.exp(-(NEAR**2) / 2)
    means = np.divide(
        (near_y * heights) @ near_x.T, weights, out=np.zeros_like(weights), where=known
    )
    if scale.is_log:
        means = 10**means
    grid = [
        [significant(mean) if is_known else None for mean, is_known in zip(*row, strict=True)]
        for row in zip(means.tolist(), known.tolist(), strict=True)
    ]
    return x_places, y_places, grid


def _nearness(column: Numbers, narrowing: float, steps: int) -> "tuple[list[float], Floats]":
    """Return the grid points along a hyperparameter, and the weight (0 to 1) of each result at each
    of these points.

    The array of weights has the shape ``(points, results)``.
    """
    import numpy as np

    values = np.array(column.values)
    if column.labels:
        choices = np.arange(len(column.labels), dtype=np.float64)
        return choices.tolist(), (choices[:, None] == values).astype(np.float64)
    is_log = column.is_log and values.min() > 0
    scaled = np.log10(values) if is_log else values
    low = scaled.min()
    high = scaled.max()
    width = max(LEAST_WIDTH * (high - low), scaled.std() * narrowing)
    places = np.linspace(low, high, steps)
    near = np.exp(-0.5 * ((places[:, None] - scaled) / width) ** 2)
    return [significant(place) for place in (10**places if is_log else places).tolist()], near
