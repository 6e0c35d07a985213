"""Draws the predicted wall time of a study as a function of the number of workers."""

from collections.abc import Sequence

import msgspec

from ashtune._src.core.numbers import plural, seconds_text, share_text
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.figures.looks import CATEGORIES, RED
from ashtune._src.simulation.whatif import Prediction

# The ticks are round times: 1, 2, 3, 5 and 10 minutes and then hours, not 10, 100 and 1,000
# seconds.
_TICKS = (
    *(step * 10.0**power for power in (-2, -1, 0) for step in (1, 2, 3, 5)), 10, 20, 30,
    *(60 * minutes for minutes in (1, 2, 3, 5, 10, 20, 30)), *(3600 * hours for hours in (1, 2, 4,
    8, 16)),
    *(86400 * 2**power for power in range(12)),
)  # fmt: skip
"""Each tick is at most twice the previous tick, so that even a figure of one prediction has a tick.
"""


class AsRecorded(msgspec.Struct, frozen=True):
    """The recorded wall time of a study, and its number of workers."""

    workers: int
    wall_seconds: float


def whatif_figure(predictions: Sequence[Prediction], recorded: AsRecorded | None = None) -> Figure:
    """Return a figure of wall time over the number of workers, with a line for each scheduler and
    reduction factor, and the range of each prediction.

    Args:
        predictions: One or more predictions, in any order.
        recorded: The study's recorded wall time, which has a mark in the figure.
    """
    series = []
    for number, one in enumerate(by_scheduler(predictions).values()):
        x = [each.workers for each in one]
        y = [each.wall_seconds.likely for each in one]
        # The line of the study's own settings is thicker, since only this line has a measured
        # point. The reader looks at it first.
        color = CATEGORIES[number % len(CATEGORIES)]
        is_own = any(each.is_as_recorded for each in one)
        points = Series(
            kind="points",
            x=x,
            y=y,
            color=color,
            name=who(one[0]),
            size=9 if is_own else 7,
            words=[*map(_words, one)],
        )
        # The range of the replays is a thin vertical line at each point. None ends the line.
        at = [place for place in x for _ in range(3)]
        ends = [
            end for each in one for end in (each.wall_seconds.low, each.wall_seconds.high, None)
        ]
        series += [
            Series(kind="line", x=at, y=ends, color=color, width=1, is_silent=True),
            Series(kind="line", x=x, y=y, color=color, width=4.5 if is_own else 2, is_silent=True),
            points,
        ]
    walls = [end for one in predictions for end in (one.wall_seconds.low, one.wall_seconds.high)]
    counts = [one.workers for one in predictions]
    if recorded and recorded.workers and recorded.wall_seconds > 0:
        place = recorded.workers
        wall = recorded.wall_seconds
        series.append(
            Series(
                kind="points",
                x=[place],
                y=[wall],
                color=RED,
                size=14,
                symbol="diamond",
                name=f"recorded: {plural(place, 'worker')}, {seconds_text(wall)}",
            )
        )
        walls.append(wall)
        counts.append(place)
    # Both axes are logarithmic, so perfect scaling is a straight falling line. Where a curve
    # departs from this line, more workers save less time.
    low = max(1e-3, min(walls) / 1.5)
    high = max(1e-3, *walls) * 1.5
    return Figure(
        x=Axis(
            name="workers",
            low=0.85 * min(counts),
            high=1.18 * max(counts),
            is_log=True,
            written="count",
            ticks=sorted(set(counts)),
        ),
        y=Axis(name="wall time", low=low, high=high, is_log=True, written="seconds", ticks=_TICKS),
        series=series,
        height=350,
    )


def by_scheduler(predictions: Sequence[Prediction]) -> dict[tuple[str, str], list[Prediction]]:
    """Group the predictions by scheduler and reduction factor, and sort each group by number of
    workers.
    """
    series: dict[tuple[str, str], list[Prediction]] = {}
    for one in sorted(predictions, key=lambda one: one.workers):
        series.setdefault((one.scheduler, one.reduction_factor), []).append(one)
    return series


def who(one: Prediction) -> str:
    """Return the name of a prediction's scheduler, and its reduction factor."""
    # A scheduler that never stops a trial has no reduction factor, which ``Predictor`` writes as 1.
    if one.reduction_factor == "1":
        return one.scheduler
    return f"{one.scheduler} 1/{one.reduction_factor}"


def _words(one: Prediction) -> str:
    wall = one.wall_seconds
    span = f"{seconds_text(wall.low)} to {seconds_text(wall.high)}" if wall.low < wall.high else ""
    return (
        f"{span}\n{one.speed_up:.3g} times as fast as 1 worker, efficiency "
        f"{share_text(one.efficiency)}"
    )
