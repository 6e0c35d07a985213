"""Draws parallel coordinates: a line for each trial through its hyperparameters, its rung and its
result.

The colour of a line shows the trial's rank on a logarithmic scale: rank 1, rank 10 and rank 100
have clearly different colours. Trials are ranked by highest rung, and within a rung by result.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.sampling import best_and_sampled, scattered, thinned
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import plural, shortened
from ashtune._src.figures.axes import (
    choice_axis,
    metric_axis,
    sample_note,
    scale_note,
    significant,
    with_gaps,
)
from ashtune._src.figures.figure import Axis, Coordinates
from ashtune._src.figures.figure_columns import Configuration, Numbers, numbers
from ashtune._src.figures.looks import place_color

# While a reader drags a filter, the page draws all lines again and again. Therefore the figure has
# fewer lines than a canvas could draw once. With more than 12 axes, neighbouring axes are so close
# that lines are too steep to follow.
LINES = 1000
HYPERPARAMETERS = 12
TICKS = 12
"""The largest number of ticks on an axis of choices."""
SPREAD = 0.12
"""The largest distance between a line and the position of its choice or whole number. The distance
between two neighbouring choices or whole numbers is 1.
"""


def coordinates_figure(
    results: Results,
    configuration: Configuration,
    space: Mapping[str, object],
    *,
    important: Sequence[str] = (),
    unit: str,
    lines: int = LINES,
) -> Coordinates:
    """Return a figure with the trials as parallel coordinates.

    Args:
        results: The observer of all results.
        configuration: Returns the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        important: The hyperparameters, the most important first. At most 12 hyperparameters are
            shown.
        unit: What the resource counts, in the singular.
        lines: The largest number of trials to show: half of them are the best trials, the other
            trials are sampled.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """
    ranked = results.standings()
    if not ranked:
        return Coordinates(notes=["no trial has a finite result"])
    places = {trial: place for place, (_, _, trial) in enumerate(ranked, start=1)}
    shown = best_and_sampled(list(places), lines)
    standings = [ranked[places[trial] - 1] for trial in shown]
    table = [column for column in numbers(space, configuration, shown) if not column.is_constant]
    chosen = _most_important(table, important)
    drawn = [_column(column, shown) for column in chosen]
    # The rung has its own axis. The metric's axis has values of different rungs, so without the
    # rung a longer training would look like a better configuration.
    reached = [rung for rung, _, _ in standings]
    if len(set(reached)) > 1:
        resources = [f"{rung.resource:,}" for rung in results.rungs[: reached[0] + 1]]
        drawn.append(_choices(f"{unit}s", reached, resources, shown))
    values = [results.goal.value(loss) for _, loss, _ in standings]
    metric = metric_axis(values, results.goal)
    # the full name, since the page's filter uses it
    metric = replace(metric, name=results.goal.metric)
    drawn.append((metric, [significant(metric.within(v)) for v in values]))
    notes = [
        sample_note(len(shown), len(ranked), "trial"),
        "each trial is shown with its result at the highest rung where that result is finite",
    ]
    if len(chosen) < len(table):
        notes.append(f"{len(chosen)} of {plural(len(table), 'hyperparameter')}")
    notes += scale_note(metric, "result")
    return Coordinates(
        axes=[axis for axis, _ in drawn],
        lines=list(zip(*(column for _, column in drawn), strict=True)),
        trials=shown,
        places=[places[trial] for trial in shown],
        colors=[place_color(places[trial], len(ranked)) for trial in shown],
        total=len(ranked),
        notes=notes,
    )


def _most_important(table: Sequence[Numbers], important: Sequence[str]) -> Sequence[Numbers]:
    if len(table) <= HYPERPARAMETERS:
        return table
    names = [column.name for column in table]
    # The hyperparameters are chosen by importance, but drawn in the order of the user's space,
    # which the reader knows.
    order = [
        *(name for name in important if name in names),
        *(name for name in names if name not in important),
    ]
    return [column for column in table if column.name in order[:HYPERPARAMETERS]]


def _column(column: Numbers, trials: Sequence[TrialId]) -> tuple[Axis, list[float | None]]:
    """Return a hyperparameter's axis, and each trial's position on this axis. The position of a
    missing value is None.
    """
    if column.labels:
        return _choices(column.name, column.values, column.labels, trials)
    few = column.few
    if few:
        axis = Axis(
            name=column.name, low=few[0] - SPREAD, high=few[-1] + SPREAD, written="count", ticks=few
        )
        return axis, _spread(column.values, trials)
    values = with_gaps(column.values)
    active = [value for value in values if value is not None]
    low = min(active)
    high = max(active)
    # The axis has no margin at its ends, unlike in other figures, since the end of an axis cuts
    # marks but not lines.
    axis = Axis(name=column.name, low=low, high=high if high > low else low + 1)
    if column.is_log and low > 0:
        first = math.ceil(math.log10(low))
        ticks = [10.0**power for power in range(first, math.floor(math.log10(high)) + 1)]
        if len(ticks) < 2:
            ticks = [low, high]
        axis = replace(axis, is_log=True, ticks=ticks)
    return axis, values


def _choices(
    name: str, places: Iterable[float], labels: Sequence[str], trials: Sequence[TrialId]
) -> tuple[Axis, list[float | None]]:
    """Return an axis of choices, and each line's position on it. Lines with the same choice have
    slightly different positions.
    """
    axis = choice_axis(name, [shortened(each, 16) for each in labels])
    axis = replace(
        axis, low=-SPREAD, high=len(labels) - 1 + SPREAD, ticks=list(thinned(len(labels), TICKS))
    )
    return axis, _spread(places, trials)


def _spread(places: Iterable[float], trials: Sequence[TrialId]) -> list[float | None]:
    shifts = (SPREAD * (scattered(trial) / 2**63 - 1) for trial in trials)
    pairs = zip(places, shifts, strict=True)
    return [None if math.isnan(place) else round(place + shift, 3) for place, shift in pairs]
