"""What the workers did: what share of them over time, and for how long by rung."""

from typing import TYPE_CHECKING

from ashtune.analysis.timeline import COMPILING, SAVING, Timeline, Work
from ashtune.analysis.timeline_times import rung_times, seconds_within, training_rows
from ashtune.reports.figures.axes import running_time, unit_of_time
from ashtune.reports.looks import STATES, blank, go, mark

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from plotly.graph_objects import Figure

    Floats = npt.NDArray[np.float64]

STRETCHES = 160


def utilisation_figure(timeline: Timeline) -> "Figure":
    """Return the shares of the workers' presence by what they did, over time."""
    import numpy as np

    work, now = timeline.work().without_pauses(), timeline.wall_seconds
    scale, unit = unit_of_time(now)
    figure = blank(x=running_time(unit, timeline.sessions), y="share of the workers")
    figure.update_layout(barmode="stack", bargap=0)
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    first = float(work.joined.min()) if len(work.joined) else 0.0
    if now <= first:
        return figure
    edges = np.linspace(first, now, STRETCHES + 1)
    presence = seconds_within(work.joined, work.left, edges)
    for name, (begin, end) in _states(work).items():
        if name in ("compiling", "failed") and not len(begin):
            continue
        seconds = seconds_within(begin, end, edges)
        share = np.divide(seconds, presence, out=np.zeros_like(seconds), where=presence > 0)
        figure.add_bar(
            x=((edges[:-1] + edges[1:]) / 2 / scale).tolist(),
            y=share.tolist(),
            width=(edges[1] - edges[0]) / scale,
            name=STATES[name].name,
            marker=mark(STATES[name]),
            hovertemplate="%{y:.1%} at %{x:.3~g} " + unit,
        )
    return figure


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
                name=STATES[state].name,
                marker=mark(STATES[state]),
                hovertemplate=f"%{{y:.3~g}} s<extra>{STATES[state].name}</extra>",
            )
        )
    figure.update_xaxes(type="category")
    return figure


def _states(work: Work) -> dict[str, tuple["Floats", "Floats"]]:
    """Return when each stretch of each state began and ended."""
    ordered = work.begin - work.driver
    training, failed = training_rows(work)
    kinds = {
        "training": training, "failed": failed, "saving": work.kind == SAVING, "compiling": work.kind == COMPILING,
    }  # fmt: skip
    return {
        **{name: (work.begin[chosen], work.end[chosen]) for name, chosen in kinds.items()},
        "driver": (ordered, work.begin),
        "barrier": (ordered - work.barrier, ordered),
        "tail": (work.left - work.tail, work.left),
    }
