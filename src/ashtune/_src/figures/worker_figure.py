"""Figures of the workers: the work of each worker in a lane, the workers' time by state, and sums
by rung.

Rule: a page can show a few thousand bars. If a study has more than ``MOST_BARS`` stretches of work
or ``MOST_LANES``
    lanes, the timeline is a heat map. The heat map shows the share of training.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from ashtune._src.analysis.timeline import (
    COMPILING,
    ENDINGS,
    FAILED,
    IN_VAIN,
    LOST,
    NO_TRIAL,
    PAUSED,
    SAVING,
    TRAINING,
    WITHDRAWN,
    Timeline,
    Work,
)
from ashtune._src.analysis.timeline_times import rung_times, seconds_within
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import plural, seconds_text
from ashtune._src.figures.axes import choice_axis, rung_names, time_axis
from ashtune._src.figures.figure import Axis, Cells, Figure, Series, stacked_bars
from ashtune._src.figures.looks import BLUE, GREY, STATES, Look, faded, rung_colors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

# A lane takes 22 pixels, so 40 lanes fill a screen. In a larger figure a single bar is not
# informative, and a reader asks which share of the workers trained. A heat map shows this share,
# and its size does not depend on the study. A reader can distinguish about 160 columns.
MOST_BARS = 3_000
MOST_LANES = 40
MOST_ROWS = 200
STRETCHES = 160
RUNNING = -1
"""The ending of work that is still running."""
_SAID = {ending: ENDINGS[ending] for ending in (FAILED, PAUSED, WITHDRAWN, LOST)} | {
    RUNNING: "running"
}
SHARE = Axis(written="share", ticks=(0, 0.25, 0.5, 0.75, 1))


class Span(NamedTuple):
    """A stretch of work in a lane, in seconds of the study's running time."""

    lane: int
    begin: float
    end: float
    kind: int
    ending: int
    rung: int
    trial: TrialId


def timeline_figure(timeline: Timeline, *, unit: str) -> Figure:
    """Return a figure of the timeline: a lane for each worker, and a bar in the rung's colour for
    each job.

    A worker that replaces another worker uses the same lane. A gap in a lane is waiting time.
    """
    work = timeline.work().without_pauses()
    places = int(work.place.max(initial=-1)) + 1
    x = time_axis(0.0, timeline.wall_seconds, timeline.sessions)
    if not len(work.lane):
        return Figure(notes=["no worker has done anything"])
    if len(work.lane) > MOST_BARS or places > MOST_LANES:
        return _busy_map(work, places, x)
    columns = (
        work.place[work.lane],
        work.begin,
        work.end,
        work.kind,
        work.ending,
        work.rung,
        work.trial,
    )
    spans = [Span(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return lanes_figure(spans, _lane_names(work, places), timeline.ladder.rungs, x, unit=unit)


def lanes_figure(
    spans: Iterable[Span],
    lanes: Sequence[str],
    rungs: Sequence[int],
    x: Axis,
    *,
    unit: str,
    notes: Sequence[str] = (),
) -> Figure:
    """Return a figure of stretches of work in lanes.

    Args:
        spans: The stretches of work, in any order.
        lanes: The names of all lanes.
        rungs: The resources of all rungs.
        x: The axis of time.
        unit: What the resource counts, in the singular.
        notes: Sentences for the reader.
    """
    looks: dict[tuple[int, int], Look] = {}
    for rung, (name, color) in enumerate(
        zip(rung_names(rungs, unit), rung_colors(len(rungs)), strict=True)
    ):
        looks[TRAINING, rung] = Look(name, color)
        looks[FAILED, rung] = Look(f"{name}, failed", color, STATES["failed"].pattern)
    of_kind = {SAVING: STATES["saving"], COMPILING: STATES["compiling"]}
    parts: dict[Look, list[Span]] = {look: [] for look in (*looks.values(), *of_kind.values())}
    for span in spans:
        key = (FAILED if span.ending in IN_VAIN else TRAINING, span.rung)
        parts[of_kind.get(span.kind) or looks[key]].append(span)
    return Figure(
        x=x,
        y=choice_axis("", lanes, is_downward=True),
        series=[_bars(look, chosen) for look, chosen in parts.items() if chosen],
        notes=notes,
        height=min(60 + 22 * len(lanes), 830),
    )


def whole_shares_figure(shares: Mapping[str, float]) -> Figure:
    """Return a figure with one bar: the workers' time by state."""
    series = stacked_bars(
        [(STATES[state], [share]) for state, share in shares.items() if share > 0], [0]
    )
    return Figure(x=SHARE, y=choice_axis("", [""]), series=series, height=64)


def rungs_figure(timeline: Timeline, *, unit: str) -> Figure:
    """Return a figure with a bar for each rung: training, failed training, saving, and waiting for
    the driver.

    Args:
        timeline: The observer of the workers' time.
        unit: What the resource counts, in the singular.
    """
    records = rung_times(timeline)
    failed = ("failed",) if any(record.failed for record in records) else ()
    states = ("training", *failed, "saving", "driver")
    parts = [(STATES[state], [getattr(record, state) for record in records]) for state in states]
    series = stacked_bars(parts, list(range(len(records))))
    return Figure(
        x=Axis(name="seconds of all workers", high=max([1e-3, *series[-1].end]), written="seconds"),
        y=choice_axis(f"trained to {unit}", [f"{record.resource:,}" for record in records]),
        series=series,
        height=70 + 34 * len(records),
    )


def _bars(look: Look, spans: Sequence[Span]) -> Series:
    return Series(
        kind="bars", x=[span.begin for span in spans], end=[span.end for span in spans],
        y=[span.lane for span in spans], color=look.color, pattern=look.pattern, name=look.name,
        thick=0.85,
        trials=[None if span.trial == NO_TRIAL else span.trial for span in spans],
        words=[_SAID.get(span.ending, "") for span in spans],
    )  # fmt: skip


def _busy_map(work: Work, places: int, x: Axis) -> Figure:
    """Return a heat map that shows how much each place trained over time. Many places are merged
    into fewer rows.
    """
    import numpy as np

    together = -(-places // MOST_ROWS)
    rows = -(-places // together)
    edges = np.linspace(x.low, x.high, STRETCHES + 1)
    trains = work.kind == TRAINING
    row_of_lane = work.place // together
    # The share counts only workers that were present. The cells before a worker joins and after it
    # leaves are blank, since a pale cell would mean that the worker was idle.
    shares = np.full((rows, STRETCHES), np.nan)
    order = np.argsort(row_of_lane[work.lane[trains]], kind="stable")
    begin = work.begin[trains][order]
    end = work.end[trains][order]
    bounds = np.searchsorted(row_of_lane[work.lane[trains]][order], np.arange(rows + 1))
    for row in range(rows):
        here = row_of_lane == row
        presence = seconds_within(work.joined[here], work.left[here], edges)
        part = slice(bounds[row], bounds[row + 1])
        np.divide(
            seconds_within(begin[part], end[part], edges),
            presence,
            out=shares[row],
            where=presence > 0,
        )
    groups = _lane_names(work, places)
    each = ""
    if together > 1:
        groups = [
            f"places {low} to {min(low + together, places) - 1}"
            for low in range(0, places, together)
        ]
        each = f"; a row has up to {together} workers"
    stretch = seconds_text((x.high - x.low) / STRETCHES)
    return Figure(
        x=x,
        y=choice_axis("", groups, is_downward=True),
        cells=Cells(
            x=((edges[:-1] + edges[1:]) / 2).tolist(),
            y=list(range(rows)),
            rows=[
                [None if np.isnan(at) else round(min(float(at), 1.0), 3) for at in row]
                for row in shares
            ],
            scale=replace(SHARE, name="trained"),
            colors=(faded(GREY, 0.15), faded(BLUE, 1)),
        ),
        notes=[
            f"{plural(len(work.lane), 'bar')} are too many to draw; a cell shows which share of "
            f"{stretch} was spent in training{each}"
        ],
        height=min(60 + 22 * rows, 830),
    )


def _lane_names(work: Work, places: int) -> list[str]:
    """Return the name of each lane: the lane's first worker, and the number of later workers."""
    # Workers that replace each other share a lane. Otherwise a cluster that ends jobs after an hour
    # would have hundreds of lanes, each with one short stay.
    names: list[str] = [""] * places
    after = [-1] * places
    for worker, place in zip(work.worker.tolist(), work.place.tolist(), strict=True):
        names[place] = names[place] or f"worker {worker}"
        after[place] += 1
    return [
        name + (f" (+{more})" if more > 0 else "") for name, more in zip(names, after, strict=True)
    ]
