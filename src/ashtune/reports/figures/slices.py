"""Slices: the result over one hyperparameter at a time, a small panel each, coloured by the rung a trial reached.

Trials stand by their result at their highest rung. Those without a finite result stand as crosses at the worse end.

Rule: a page carries a few thousand points: of more trials the best and a sample, the same in every panel.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune.analysis.results import Results
from ashtune.analysis.sampling import best_and_sampled, sampled
from ashtune.core.jobs import TrialId
from ashtune.core.numbers import plural, shortened
from ashtune.reports.figures.axes import (
    Origin,
    View,
    column_axis,
    metric_axis,
    metric_view,
    no_origin,
    nothing,
    remark,
    significant,
    trial_label,
    value_label,
)
from ashtune.reports.figures.columns import Configuration, Numbers, numbers, spread_places
from ashtune.reports.looks import GREY, HEIGHT, blank, go, rung_colors

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PANELS = 6
POINTS = 400
"""Trials in a panel, and as many crosses at most as a quarter of that."""


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
        order = {name: place for place, name in enumerate(important)}
        table = [column for column in numbers(space, configuration, [*self._shown, *self._lost]) if column.varies]
        chosen = [column for column in table if not names or column.name in names]
        self._columns = sorted(chosen, key=lambda column: order.get(column.name, len(order)))
        self._drawn = self._columns if names else self._columns[:PANELS]

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
        shown = self._drawn if self._shown else ()
        return {f"slice{place}": self._panel(column) for place, column in enumerate(shown)}

    def figure(self, name: str | None = None) -> "Figure":
        """Return one panel as a figure of its own, which says what its colours mean.

        Args:
            name: Of a hyperparameter; by default the most important one.

        Raises:
            SettingsError: If plotly is not installed.
        """
        if not self._shown:
            return nothing("no trial has a finite result")
        column = next((column for column in self._columns if name in (None, column.name)), None)
        if column is None:
            same = "all hyperparameters are" if name is None else f"{name} is"
            return nothing(f"{same} the same in all trials")
        figure = self._panel(column)
        figure.update_layout(height=HEIGHT, showlegend=True, margin={"l": 56, "r": 16, "t": 16, "b": 48})
        remark(figure, *self._remarks())
        return figure

    def panels(self) -> list[Panel]:
        """Return what the panels show as numbers, of a choice its place: of all named ones, else the first few."""
        shown = len(self._shown)
        panels = []
        for column in self._drawn:
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
        if len(self._columns) == len(self._drawn):
            return self._remarks()
        return [*self._remarks(), f"{len(self._drawn)} of {len(self._columns)} hyperparameters are shown."]

    def _remarks(self) -> list[str]:
        """Say what every panel shows and leaves out."""
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
        return sentences

    def _panel(self, column: Numbers) -> "Figure":
        figure = blank(height=250)
        figure.update_layout(showlegend=False, margin={"l": 48, "r": 8, "t": 10, "b": 44})
        places = spread_places(column, [*self._shown, *self._lost])
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
        figure.update_xaxes(**column_axis(column))
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

    def _hover(self, column: Numbers, place: int, trial: TrialId) -> list[str]:
        return [trial_label(trial, self._origin), value_label(column, place)]


def _inside(value: float, seen: View | None) -> float:
    return value if seen is None else min(max(value, seen.low), seen.high)
