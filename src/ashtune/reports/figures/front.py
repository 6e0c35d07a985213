"""The front of a study with several objectives as a figure: what no other result dominates, among the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ashtune.analysis.counts import BestResult
from ashtune.analysis.results import Results
from ashtune.core.errors import SettingsError
from ashtune.core.jobs import Goal
from ashtune.core.numbers import result_text
from ashtune.reports.figures.axes import label
from ashtune.reports.looks import BLUE, GREY, ORANGE, RED, blank, go

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_OTHERS = 2_000
"""Points of results that others dominate: those of the first trials."""


def in_a_row(front: Sequence[BestResult]) -> list[BestResult]:
    """Return a front from its best result in the first objective to its worst."""
    return sorted(front, key=lambda best: (best.losses, best.trial))


def front_figure(front: Sequence[BestResult], results: Results, *, unit: str) -> "Figure":
    """Return the front and the other results of its rung over the first two objectives.

    Args:
        front: The preferred result first.
        results: All results.
        unit: What the resource counts, in the singular.

    Raises:
        SettingsError: If the study has one objective, or plotly is not installed.
    """
    goal = results.goal
    if not goal.others:
        raise SettingsError(f"{goal.metric} is the only metric: a front needs several; see plot_best")
    first, second = goal.objectives[:2]
    figure = blank(x=label(first.metric), y=label(second.metric))
    if not front:
        return figure
    on_it = {best.trial for best in front}
    keys = [(trial, key) for trial, key in results.rungs[front[0].rung].keys.items() if trial not in on_it]
    for name, is_feasible, color, symbol in (("dominated", True, GREY, "circle"), ("infeasible", False, RED, "x")):
        shown = [(trial, key) for trial, key in keys if (not key[0]) == is_feasible and max(key) < float("inf")]
        if shown := shown[:MOST_OTHERS]:
            figure.add_trace(
                go().Scatter(
                    x=[first.value(key[1]) for _, key in shown],
                    y=[second.value(key[2]) for _, key in shown],
                    text=[f"trial {trial}" for trial, _ in shown],
                    name=name,
                    mode="markers",
                    marker={"color": color, "size": 6, "symbol": symbol, "opacity": 0.6},
                    hovertemplate="%{text}: %{x:.4~g}, %{y:.4~g}<extra></extra>",
                )
            )
    row = in_a_row(front)
    figure.add_trace(
        _marks("front", row, goal, {"color": BLUE, "size": 9}, "lines+markers" if len(row) > 1 else "markers")
    )
    figure.add_trace(_marks("best", front[:1], goal, {"color": ORANGE, "size": 14, "symbol": "star"}, "markers"))
    figure.update_layout(title={"text": f"at {unit} {front[0].resource:,}", "font": {"size": 15}}, margin={"t": 64})
    return figure


def _marks(name: str, shown: Sequence[BestResult], goal: Goal, marker: dict[str, object], mode: str) -> object:
    """Return a trace of results; with more than two objectives a line through them would say nothing."""
    first, second = goal.objectives[:2]
    return go().Scatter(
        x=[best.metrics.get(first.metric) for best in shown],
        y=[best.metrics.get(second.metric) for best in shown],
        text=[f"trial {best.trial}: {label(result_text(goal, best.metrics), 100)}" for best in shown],
        name=name,
        mode=mode if len(goal.others) == 1 else "markers",
        marker=marker,
        hovertemplate="%{text}<extra></extra>",
    )
