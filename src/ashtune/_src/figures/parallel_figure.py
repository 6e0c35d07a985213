"""Draws parallel coordinates: a line for each trial through its hyperparameters, its rung and its
result.

The colour of a line shows the trial's rank on a logarithmic scale: the best trial, the best ten
trials and the best hundred trials differ in colour. Trials are ranked by highest rung, and within a
rung by result.
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

# The page draws the lines again while somebody drags a filter, so there are fewer than a canvas
# could show once. With more than 12 axes, neighbours are so close that lines are too steep to
# follow.
LINES = 1000
HYPERPARAMETERS = 12
TICKS = 12
"""The largest number of ticks on an axis of choices."""
SPREAD = 0.12
"""The largest distance between a line and its choice or whole number, whose neighbours have the
distance 1.
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
    # The rung has an axis of its own: values of different rungs are on one axis of the metric,
    # where a longer training looks like a better configuration.
    reached = [rung for rung, _, _ in standings]
    if len(set(reached)) > 1:
        resources = [f"{rung.resource:,}" for rung in results.rungs[: reached[0] + 1]]
        drawn.append(_choices(f"{unit}s", reached, resources, shown))
    values = [results.goal.value(loss) for _, loss, _ in standings]
    metric = metric_axis(values, results.goal)
    # in full: the page's filter has the name from here
    metric = replace(metric, name=results.goal.metric)
    drawn.append((metric, [significant(metric.within(v)) for v in values]))
    notes = [
        sample_note(len(shown), len(ranked), "trial"),
        "each trial is shown with its result at its highest rung with a finite result",
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
    # Chosen by importance, but drawn in the user's order, which a reader knows.
    order = [
        *(name for name in important if name in names),
        *(name for name in names if name not in important),
    ]
    return [column for column in table if column.name in order[:HYPERPARAMETERS]]


def _column(column: Numbers, trials: Sequence[TrialId]) -> tuple[Axis, list[float | None]]:
    """Return a hyperparameter's axis, and each trial's place on this axis. A missing value has the
    place None.
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
    # No air at the ends, unlike in other figures: a line, unlike a mark, is not cut by the end.
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
    """Return an axis of choices, and each line's place. Lines with the same choice have different
    places.
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
