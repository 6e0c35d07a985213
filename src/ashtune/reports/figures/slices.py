"""Slices: the result over one hyperparameter at a time, a small panel each, coloured by the rung a trial reached.

Trials stand by their result at their highest rung. Those without a finite result stand as crosses at the worse end.

Rule: a page carries a few thousand points: of more trials the best and a sample, the same in every panel.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.results import Results
from ashtune.analysis.sampling import best_and_sampled, sampled, scattered, thinned
from ashtune.core.jobs import TrialId
from ashtune.core.numbers import number_text, plural, shortened
from ashtune.reports.figures.axes import (
    Origin,
    View,
    label,
    log_ticks,
    metric_axis,
    metric_view,
    no_origin,
    significant,
    trial_label,
)
from ashtune.reports.figures.columns import Configuration, Numbers, numbers
from ashtune.reports.figures.plots import GREY, blank, go, rung_colors

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PANELS = 6
POINTS = 400
"""Trials in a panel, and as many crosses at most as a quarter of that."""
TICKS = 6
"""Most ticks of an axis of choices."""
SPREAD = 0.18
"""How far from its choice, in choices, a point stands at most."""
_AIR = 0.04
_WIDE = 5.0
"""How many times as large a range's end as its beginning for powers of ten to be good ticks."""


class Panel(msgspec.Struct, frozen=True):
    """A panel in numbers: the trials that have the hyperparameter, with its value, the metric, and the rung reached."""

    column: Numbers
    x: Sequence[float]
    y: Sequence[float]
    rungs: Sequence[int]
    trials: Sequence[TrialId]


class Slices:
    """What the panels show, chosen once for all of them.

    Args:
        results: The observer.
        configuration: Answers with the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        important: Hyperparameters, the most important first; without, the first ones of the space are shown.
        names: The only hyperparameters to show; none to choose by importance.
        rungs: How many rungs the ladder has, for the colours; 0: those reached.
        points: How many trials to show in a panel.
        unit: What the resource counts, in the singular.
        origin: Answers with where the configuration of a trial comes from: ``Trials.origin``.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """

    def __init__(
        self,
        results: Results,
        configuration: Configuration,
        space: Mapping[str, object],
        *,
        important: Sequence[str] = (),
        names: Sequence[str] = (),
        rungs: int = 0,
        points: int = POINTS,
        unit: str,
        origin: Origin = no_origin,
    ) -> None:
        ranked = results.standings()
        standing = {trial: (rung, loss) for rung, loss, trial in ranked}
        self._goal, self._unit, self._origin = results.goal, unit, origin
        self._total = len(ranked)
        self._shown = best_and_sampled(list(standing), points)
        lost = sorted({TrialId(trial) for rung in results.rungs for trial in rung.by_trial()} - standing.keys())
        self._without, self._lost = len(lost), sampled(lost, points // 4)
        self._rungs = [standing[trial][0] for trial in self._shown]
        self._values = [results.goal.value(standing[trial][1]) for trial in self._shown]
        self._resources = [rung.resource for rung in results.rungs]
        self._colors = rung_colors(max(rungs, len(results.rungs)))
        self._view = metric_view(self._values, results.goal.mode)
        table = [column for column in numbers(space, configuration, [*self._shown, *self._lost]) if _varies(column)]
        order = {name: place for place, name in enumerate(important)}
        self._hyperparameters = len(table)
        chosen = [column for column in table if not names or column.name in names]
        self._columns = sorted(chosen, key=lambda column: order.get(column.name, len(order)))[:PANELS]

    def colors(self) -> dict[str, str]:
        """Return what each colour means, the lowest rung first."""
        if not self._columns or not self._shown:
            return {}
        return {f"to {self._unit} {self._resources[rung]:,}": self._colors[rung] for rung in sorted(set(self._rungs))}

    def figures(self) -> "dict[str, Figure]":
        """Return a panel for each hyperparameter shown, the most important first; none of a study without results.

        Raises:
            SettingsError: If plotly is not installed.
        """
        return {f"slice{place}": figure for place, figure in enumerate(self.by_name().values())}

    def by_name(self) -> "dict[str, Figure]":
        """Return the same panels by the name of the hyperparameter.

        Raises:
            SettingsError: If plotly is not installed.
        """
        return {column.name: self._panel(column) for column in self._columns} if self._shown else {}

    def panels(self) -> list[Panel]:
        """Return what the panels show as numbers; of a choice its place among the labels."""
        shown = len(self._shown)
        panels = []
        for column in self._columns:
            chosen = [place for place in range(shown) if not math.isnan(column.values[place])]
            panels.append(
                Panel(
                    column,
                    [column.values[place] for place in chosen],
                    [self._values[place] for place in chosen],
                    [self._rungs[place] for place in chosen],
                    [self._shown[place] for place in chosen],
                )
            )
        return panels

    def words(self) -> list[str]:
        """Say what is shown and what is left out."""
        if not self._columns or not self._shown:
            return []
        few = f"{len(self._shown):,} of " if len(self._shown) < self._total else ""
        which = ": the best and a sample" if few else ""
        sentences = [
            f"{few}{plural(self._total, 'trial')}{which}; a trial stands at its highest rung with a finite result."
        ]
        if self._view is not None and self._view.is_log:
            sentences.append(f"The axis of {shortened(self._goal.metric, 30)} is logarithmic.")
        if self._view is not None and self._view.beyond:
            sentences.append(f"{plural(self._view.beyond, 'result')} worse than the axis shows stand at its end.")
        if self._without:
            of = f"{len(self._lost):,} of " if len(self._lost) < self._without else ""
            sentences.append(f"Crosses are {of}{plural(self._without, 'trial')} without a finite result.")
        if len(self._columns) < self._hyperparameters:
            sentences.append(f"{len(self._columns)} of {self._hyperparameters} hyperparameters are shown.")
        return sentences

    def _panel(self, column: Numbers) -> "Figure":
        figure = blank(height=250)
        figure.update_layout(showlegend=False, margin={"l": 48, "r": 8, "t": 10, "b": 44})
        places = self._places(column)
        for rung in sorted(set(self._rungs)):
            chosen = [
                place
                for place, reached in enumerate(self._rungs)
                if reached == rung and not math.isnan(column.values[place])
            ]
            figure.add_trace(
                go().Scatter(
                    x=[significant(places[place]) for place in chosen],
                    y=[significant(_inside(self._values[place], self._view)) for place in chosen],
                    customdata=[self._hover(column, place, self._shown[place]) for place in chosen],
                    mode="markers",
                    marker={"color": self._colors[rung], "size": 6, "opacity": 0.75},
                    name=f"to {self._unit} {self._resources[rung]:,}",
                    hovertemplate="%{y} at %{customdata[1]}<br>%{customdata[0]}",
                )
            )
        self._add_lost(figure, column, places)
        metric_axis(figure, self._view, self._goal)
        figure.update_yaxes(title={"standoff": 6})
        figure.update_xaxes(**_axis(column))
        return figure

    def _add_lost(self, figure: "Figure", column: Numbers, places: Sequence[float]) -> None:
        """Draw the trials without a finite result at the worse end of the axis."""
        first, values = len(self._shown), column.values
        chosen = [n for n in range(first, first + len(self._lost)) if not math.isnan(values[n])]
        if not chosen:
            return
        seen = self._view
        worse = None if seen is None else seen.high if self._goal.mode == "min" else seen.low
        end = self._values[0] if worse is None else worse
        figure.add_trace(
            go().Scatter(
                x=[significant(places[place]) for place in chosen],
                y=[significant(end)] * len(chosen),
                customdata=[self._hover(column, place, self._lost[place - first]) for place in chosen],
                mode="markers",
                marker={"color": GREY, "size": 6, "symbol": "x-thin", "line": {"color": GREY, "width": 1.5}},
                cliponaxis=False,
                name="without a finite result",
                hovertemplate="no finite result at %{customdata[1]}<br>%{customdata[0]}",
            )
        )

    def _places(self, column: Numbers) -> Sequence[float]:
        """Return where each trial stands; beside its choice, or all of a choice would be one line."""
        if not column.labels:
            return column.values
        trials = [*self._shown, *self._lost]
        return [
            value + SPREAD * (scattered(trial) / 2**63 - 1) for value, trial in zip(column.values, trials, strict=True)
        ]

    def _hover(self, column: Numbers, place: int, trial: TrialId) -> list[str]:
        return [trial_label(trial, self._origin), self._text(column, place)]

    def _text(self, column: Numbers, place: int) -> str:
        value = column.values[place]
        return label(column.labels[int(value)], 40) if column.labels else number_text(value)


def _varies(column: Numbers) -> bool:
    """Whether the trials that have this hyperparameter have different values of it."""
    return len({value for value in column.values if not math.isnan(value)}) > 1


def _inside(value: float, seen: View | None) -> float:
    return value if seen is None else min(max(value, seen.low), seen.high)


def _axis(column: Numbers) -> dict[str, Any]:
    """Return the x axis: choices by name, numbers on the scale on which they were drawn."""
    title = {"text": label(column.name), "standoff": 6}
    if column.labels:
        places = list(thinned(len(column.labels), TICKS))
        return {
            "title": title,
            "tickvals": places,
            "ticktext": [label(column.labels[place], 12) for place in places],
            "range": [-0.5, len(column.labels) - 0.5],
            "showgrid": False,
        }
    active = [value for value in column.values if not math.isnan(value)]
    low, high = min(active), max(active)
    if not column.is_log or low <= 0:
        air = _AIR * (high - low)
        return {"title": title, "range": [low - air, high + air], "nticks": TICKS, "zeroline": False}
    air = (high / low) ** _AIR
    ticks = log_ticks(low / air, high * air) if high > _WIDE * low else [low, high]
    return {
        "title": {**title, "text": f"{label(column.name)} (logarithmic)"},
        "type": "log",
        "range": [math.log10(low / air), math.log10(high * air)],
        "tickvals": ticks,
        "ticktext": [number_text(tick) for tick in ticks],
    }
