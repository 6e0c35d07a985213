"""Parallel coordinates: a line for each trial through its hyperparameters, its rung and its result.

Lines are coloured by place, on a logarithmic scale: the first, the best ten, the best hundred stand out of
any number. Trials stand by their result at their highest rung, those at a higher one before all at a lower.

Rule: plotly draws lines of a larger colour value over those of a smaller one, so the value is minus the
logarithm of the place.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ashtune.analysis.results import Results
from ashtune.analysis.sampling import best_and_sampled, scattered, thinned
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.numbers import number_text, plural, shortened
from ashtune.reports.figures.axes import View, label, log_ticks, metric_view, nothing, significant, small
from ashtune.reports.figures.columns import Configuration, Numbers, numbers
from ashtune.reports.looks import PLACES, blank, go

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LINES = 1000
HYPERPARAMETERS = 12
TICKS = 12
"""Most ticks of an axis of choices."""
STRAIGHT = 40
"""Labels of more characters, all axes together, are slanted, or they would run into each other."""
OFF = 0.12
"""Where inactive hyperparameters stand: so far below the axis' least value, as a share of its span."""
SPREAD = 0.12
"""How far from its choice, in choices, a line passes at most."""


def coordinates_figure(
    results: Results,
    configuration: Configuration,
    space: Mapping[str, object],
    *,
    important: Sequence[str] = (),
    unit: str,
    lines: int = LINES,
) -> "Figure":
    """Return the trials as parallel coordinates.

    Args:
        results: The observer.
        configuration: Answers with the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        important: Hyperparameters, the most important first: which to show where there are more than 12.
        unit: What the resource counts, in the singular.
        lines: How many trials to show; half of them are the best, the others sampled.

    Raises:
        SettingsError: If plotly is not installed.
        SpaceError: If the record of the space cannot be read.
    """
    ranked = results.standings()
    if not ranked:
        return nothing("no trial has a finite result")
    places = {trial: place for place, (_, _, trial) in enumerate(ranked, start=1)}
    shown = best_and_sampled(list(places), lines)
    standings = [ranked[places[trial] - 1] for trial in shown]
    table = [column for column in numbers(space, configuration, shown) if not column.is_constant]
    chosen = _most_important(table, important)
    axes = [_axis(column, shown) for column in chosen]
    if len({rung for rung, _, _ in standings}) > 1:
        resources = [f"{rung.resource:,}" for rung in results.rungs]
        rungs = [float(rung) for rung, _, _ in standings]
        axes.append(_choices_axis(f"{unit}s", rungs, resources[: standings[0][0] + 1], shown))
    values = [results.goal.value(loss) for _, loss, _ in standings]
    seen = metric_view(values, results.goal.mode)
    axes.append(_result_axis(values, seen, results.goal))
    beyond = seen.beyond if seen else 0
    figure = blank(height=460)
    figure.update_layout(margin={"l": 48, "r": 16, "t": 72, "b": 84})
    figure.add_trace(go().Parcoords(dimensions=axes, line=_colors([places[trial] for trial in shown], len(ranked))))
    if sum(len(axis["label"]) for axis in axes) > STRAIGHT:
        figure.update_traces(labelangle=-18)
    note = small(
        _how_many(len(shown), len(ranked)),
        f"{len(chosen)} of {plural(len(table), 'hyperparameter')}" if len(chosen) < len(table) else "",
        f"{plural(beyond, 'result')} worse than the axis shows stand at its end" if beyond else "",
        f"the axis of {shortened(results.goal.metric, 30)} is logarithmic" if seen and seen.is_log else "",
    )
    figure.add_annotation(
        text=note, showarrow=False, xref="paper", yref="paper", x=0, y=-0.1, yanchor="top", align="left"
    )
    return figure


def _how_many(shown: int, total: int) -> str:
    of = f"{shown:,} of {plural(total, 'trial')}: the best and a sample" if shown < total else plural(total, "trial")
    return f"{of}; a trial stands at its highest rung with a finite result"


def _most_important(table: Sequence[Numbers], important: Sequence[str]) -> Sequence[Numbers]:
    if len(table) <= HYPERPARAMETERS:
        return table
    names = [column.name for column in table]
    order = [*(name for name in important if name in names), *(name for name in names if name not in important)]
    return [column for column in table if column.name in order[:HYPERPARAMETERS]]


def _axis(column: Numbers, trials: Sequence[TrialId]) -> dict[str, Any]:
    """Return the axis of a hyperparameter, with a place below it where it is inactive in some trials."""
    if column.labels:
        return _choices_axis(column.name, column.values, column.labels, trials)
    values = [math.log10(value) if column.is_log else value for value in column.values]
    active = [value for value in values if not math.isnan(value)]
    low, high = min(active), max(active)
    axis: dict[str, Any] = {"label": label(column.name, 18), "tickformat": ".4~g"}
    ticks = {math.log10(tick): number_text(tick) for tick in _log_ticks(10**low, 10**high)} if column.is_log else {}
    if len(active) < len(values):
        off = low - OFF * ((high - low) or 1.0)
        ticks = {off: "off", **(ticks or {low: number_text(low), high: number_text(high)})}
        values = [off if math.isnan(value) else value for value in values]
    if ticks:
        axis |= {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    return axis | {"values": [significant(value) for value in values]}


def _choices_axis(
    name: str, places: Iterable[float], labels: Sequence[str], trials: Sequence[TrialId]
) -> dict[str, Any]:
    """Return an axis of choices. Lines pass a little above or below their choice, or all would be one."""
    ticks = {float(place): shortened(labels[place], 16) for place in thinned(len(labels), TICKS)}
    values = [-1.0 if math.isnan(place) else place for place in places]
    has_inactive = min(values) < 0
    if has_inactive:
        ticks = {-1.0: "off", **ticks}
    shifts = (SPREAD * (scattered(trial) / 2**63 - 1) for trial in trials)
    return {
        "label": label(name, 18),
        "values": [round(value + shift, 3) for value, shift in zip(values, shifts, strict=True)],
        "range": [-SPREAD - has_inactive, len(labels) - 1 + SPREAD],
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
    }


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten between two numbers; where there are fewer than two of them, the numbers themselves."""
    powers = [10.0**exponent for exponent in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return powers if len(powers) > 1 else [low, high]


def _result_axis(values: Sequence[float], seen: View | None, goal: Goal) -> dict[str, Any]:
    """Return the axis of the metric. Results that are far worse than most stand at its end."""
    axis: dict[str, Any] = {"label": label(goal.metric, 18), "tickformat": ".4~g"}
    if seen is not None:
        values = [seen.on_axis(value) for value in values]
    if seen is not None and seen.is_log:
        ticks = log_ticks(seen.low, seen.high)
        axis |= {
            "label": f"{label(goal.metric, 12)} (log)",
            "tickvals": [math.log10(tick) for tick in ticks],
            "ticktext": [number_text(tick) for tick in ticks],
        }
    return axis | {"values": [significant(value) for value in values]}


def _colors(places: Sequence[int], total: int) -> dict[str, Any]:
    """Return the lines' colours: by the logarithm of the place, from the top of the scale to grey."""
    ticks = [10**power for power in range(len(str(total)))]
    return {
        "color": [significant(-math.log10(place)) for place in places],
        "colorscale": list(PLACES),
        "cmin": -math.log10(max(total, 10)),
        "cmax": 0,
        "showscale": True,
        "colorbar": {
            "title": {"text": "place"},
            "tickvals": [-math.log10(tick) for tick in ticks],
            "ticktext": ["1st", *(f"{tick:,}th" for tick in ticks[1:])],
            "thickness": 10,
            "outlinewidth": 0,
        },
    }
