"""How many lanes a program has, and why, in words and as a figure of what was tried."""

from typing import TYPE_CHECKING

from ashtune.core.numbers import bytes_text, number_text, plural
from ashtune.reports.figures.plots import BLUE, GREEN, blank, go
from ashtune.training.fused.dry_run import Sizing

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def lanes_words(sizing: Sizing) -> str:
    """Say how many lanes were chosen and why."""
    alone, chosen = sizing.seconds[1], sizing.seconds[sizing.lanes]
    fits = sizing.cache_bytes // max(1, sizing.bytes_a_lane)
    if sizing.lanes == 1:
        gain = "no number of lanes that was tried is clearly faster than one model after another"
    else:
        ratio = f"{alone / chosen:.2g} times less"
        gain = f"a lane's epoch takes {_milliseconds(chosen)}, alone {_milliseconds(alone)}: {ratio}"
    return (
        f"{plural(sizing.lanes, 'lane')}: {gain}. A lane takes {bytes_text(sizing.bytes_a_lane)} while it is trained, "
        f"so about {fits:,} fit the second cache of {bytes_text(sizing.cache_bytes)}; "
        f"{', '.join(f'{lanes:,}' for lanes in sorted(sizing.seconds))} were tried."
    )


def lanes_figure(sizing: Sizing) -> "Figure":
    """Return what a lane's epoch took with each number of lanes."""
    figure = blank(x="lanes", y="milliseconds a lane's epoch")
    tried = sorted(sizing.seconds)
    figure.add_trace(
        go().Scatter(
            x=tried,
            y=[1000 * sizing.seconds[lanes] for lanes in tried],
            mode="lines+markers",
            line={"color": BLUE},
            hovertemplate="%{x} lanes: %{y:.3g} ms<extra></extra>",
        )
    )
    figure.add_trace(
        go().Scatter(
            x=[sizing.lanes],
            y=[1000 * sizing.seconds[sizing.lanes]],
            mode="markers+text",
            marker={"color": GREEN, "size": 11},
            text=["chosen"],
            textposition="bottom center",
            hoverinfo="skip",
        )
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(type="log", tickvals=tried)
    figure.update_yaxes(rangemode="tozero")
    return figure


def _milliseconds(seconds: float) -> str:
    return f"{number_text(1000 * seconds, 3)} ms"
