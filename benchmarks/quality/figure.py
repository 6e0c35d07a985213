"""The figure of search_quality.py: what each tuner had named over time, one panel a task."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from ashtune._src.figures.looks import BLUE, FONT, GREY, GRID, INK, ORANGE

Named = Callable[[dict[str, Any], float], float]
"""(a run, a time) -> the loss of what it had named."""
COLUMNS, HEIGHT, WIDTH = (4, 3), 300, 1200
"""Of two numbers of columns, that which leaves fewer places empty."""
MOMENTS = 200


def figure(
    runs: Mapping[str, Mapping[str, Mapping[int, Any]]],
    titles: Mapping[str, str],
    lines: Mapping[str, Mapping[str, str]],
    *,
    loss_at: Mapping[str, Named],
    budget: float,
) -> Any:
    """Return the figure: the mean over seeds, with a band of one standard error.

    Args:
        runs: By task, tuner and seed.
        titles: Of the panels, by task.
        lines: By task: what a line is called, and its tuner.
        loss_at: By task.
        budget: Full trainings.
    """
    times = np.linspace(0, budget, MOMENTS + 1)[1:]
    columns = min(COLUMNS, key=lambda number: -len(runs) % number)
    rows = -(-len(runs) // columns)
    made = make_subplots(
        rows,
        columns,
        subplot_titles=[titles[task] for task in runs],
        horizontal_spacing=0.06,
        vertical_spacing=0.17,
    )
    colours = dict(zip(next(iter(lines.values())), (BLUE, GREY, ORANGE), strict=True))
    for place, (task, by_tuner) in enumerate(runs.items()):
        row, column = place // columns + 1, place % columns + 1
        ends = []
        for name, tuner in lines[task].items():
            losses = np.array(
                [[loss_at[task](run, time) for time in times] for run in by_tuner[tuner].values()]
            )
            mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=1) / len(losses) ** 0.5
            ends += [mean[-1], mean[MOMENTS // 3]]
            common: dict[str, Any] = {"row": row, "col": column}
            made.add_scatter(
                x=[*times, *times[::-1]], y=[*(mean + error), *(mean - error)[::-1]], fill="toself",
                fillcolor=colours[name], opacity=0.18, line={"width": 0}, hoverinfo="skip",
                showlegend=False, **common,
            )  # fmt: skip
            made.add_scatter(
                x=times, y=mean, name=name, legendgroup=name, showlegend=not place, mode="lines",
                line={"color": colours[name], "width": 2.5, "shape": "hv"}, **common,
            )  # fmt: skip
        air = 0.12 * (max(ends) - min(ends))
        made.update_yaxes(range=[min(ends) - air, max(ends) + air], row=row, col=column)
    made.update_xaxes(range=[0, budget], gridcolor=GRID, zeroline=False)
    made.update_xaxes(
        title={"text": "wall time, in full trainings", "font": {"size": 12}}, row=rows
    )
    made.update_yaxes(gridcolor=GRID, zeroline=False, tickfont={"size": 11}, nticks=5)
    made.update_annotations(font={"size": 13})
    made.update_layout(
        template="none", width=WIDTH, height=HEIGHT * rows, font={"family": FONT, "size": 12,
        "color": INK},
        paper_bgcolor="white", plot_bgcolor="white", margin={"l": 50, "r": 20, "t": 70, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.14, "font": {"size": 14}},
    )  # fmt: skip
    return made
