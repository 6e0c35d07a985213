"""Time by rung of one study as a figure: what training to each rung took, and what saving and waiting added."""

from typing import TYPE_CHECKING

from ashtune.analysis.timeline import Timeline
from ashtune.analysis.timeline_times import rung_times
from ashtune.reports.figures.plots import blank, go
from ashtune.reports.figures.utilisation import COLORS, STATES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def rungs_figure(timeline: Timeline, *, unit: str) -> "Figure":
    """Return a bar for each rung, stacked of training, what of it failed, saving and waiting for the driver.

    Args:
        timeline: The observer.
        unit: What the resource counts, in the singular.
    """
    records = rung_times(timeline)
    figure = blank(x=f"trained to {unit}", y="seconds of all workers", barmode="stack")
    for state in ("training", "failed", "saving", "driver"):
        if state == "failed" and not any(record.failed for record in records):
            continue
        figure.add_trace(
            go().Bar(
                x=[f"{record.resource:,}" for record in records],
                y=[getattr(record, state) for record in records],
                name=STATES[state],
                marker={"color": COLORS[state]},
                hovertemplate=f"%{{y:.3~g}} s<extra>{STATES[state]}</extra>",
            )
        )
    figure.update_xaxes(type="category")
    return figure
