"""Draws the ladder: each rung is a bar of its trials by state, and the lowest rung is at the
bottom.

A band leads from the promoted trials of a rung to the rung above.
"""

from collections.abc import Sequence
from itertools import zip_longest

from msgspec.structs import replace

from ashtune._src.analysis.counts import RungTally
from ashtune._src.analysis.expected import Expected
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.jobs import Goal
from ashtune._src.core.numbers import number_text, shortened
from ashtune._src.figures.axes import choice_axis
from ashtune._src.figures.figure import Axis, Figure, Series, stacked_bars
from ashtune._src.figures.looks import INK, PALE, TRIALS

# A user may define a rung at each epoch. With 34 pixels for each rung, 60 rungs need about 2,000
# pixels, which is two screens.
MOST_RUNGS = 60
"""The largest number of rungs to show. A ladder may have a thousand rungs."""
_ROOM = 1.42
"""The length of the axis as a multiple of the longest bar, so that texts fit beside the bars."""
FAR = 4
"""An expected number is shown only if it is at most this multiple of the longest bar. Otherwise the
bars of a young study would be invisible.
"""
_TALL = 62
_LOW = 34
_MOST_TALL = 10
"""A rung is ``_TALL`` pixels high if the ladder has at most ``_MOST_TALL`` rungs, and ``_LOW``
pixels otherwise.
"""


def ladder_figure(
    tally: Tally,
    expected: Sequence[Expected] | None = None,
    *,
    unit: str,
    running: Sequence[int] | None = None,
) -> Figure:
    """Return a figure of the rungs: promoted, paused, failed and running trials, and the expected
    numbers of trials.

    Args:
        tally: The study's counts.
        expected: The expected number of trials at each rung: ``StudyReader.expected``; None if
            unknown.
        unit: What the resource counts, in the singular.
        running: The number of running trials at each rung, by default from the tally; empty if
            unknown.
    """
    rungs = tally.rungs[:MOST_RUNGS]
    expected = (expected or ())[: len(rungs)]
    if running is None:
        running = [rung.running for rung in rungs]
    # In a view of a running study, these numbers may be older than the topmost rung.
    running = [*running, *[0] * len(rungs)][: len(rungs)]
    lengths = [rung.trained + under_way for rung, under_way in zip(rungs, running, strict=True)]
    if not any(lengths):
        return Figure(notes=["no trial has begun"])
    places = list(range(len(rungs)))
    longest = max(lengths)
    # No trial is promoted from the top rung, and no trial waits there. Its trials are finished, so
    # they are counted as promoted: "paused" would look like unfinished work.
    promoted = [rung.promoted for rung in rungs]
    if len(rungs) == len(tally.rungs):
        promoted[-1] = rungs[-1].arrived
    ends: dict[str, Sequence[int]] = {
        "promoted": promoted,
        "paused": [rung.arrived - went for rung, went in zip(rungs, promoted, strict=True)],
        "failed": [rung.failed for rung in rungs],
        "running": running,
    }
    look = TRIALS["promoted"]
    # The two sides of a band may have different lengths: a promoted trial may be withdrawn, and new
    # trials may enter at the higher rung (decision 83, docs/decisions/0083-rungs-that-mislead.md).
    series = [
        Series(
            kind="flows", x=promoted[:-1], y=places[:-1], end=lengths[1:], color=look.color,
            alpha=0.2,
        )
    ]  # fmt: skip
    looks = TRIALS | {"promoted": replace(look, name=f"{look.name}, or at the top")}
    series += stacked_bars(
        [(looks[part], counts) for part, counts in ends.items() if any(counts)], places
    )
    beside = lengths
    if expected:
        longest = max(longest, min(FAR * longest, max(each.high for each in expected)))
        low, high = (
            [min(longest, getattr(each, end)) for each in expected] for end in ("low", "high")
        )
        beside = [max(pair) for pair in zip(lengths, high, strict=True)]
        series += [
            Series(kind="ranges", x=low, end=high, y=places, color=INK, is_silent=True),
            Series(
                kind="points", x=[min(longest, each.middle) for each in expected], y=places,
                color=PALE, size=14,
                name="expected", symbol="diamond", is_rimmed=True,
                words=[f"{each.text} expected" for each in expected],
            ),
        ]  # fmt: skip
    digits = tally.digits(tally.goal.metric)
    words = [_words(rung, tally.goal, each, digits) for rung, each in zip_longest(rungs, expected)]
    return Figure(
        x=Axis(name="trials", high=_ROOM * longest, written="count"),
        y=choice_axis(f"trained to {unit}", [f"{rung.resource:,}" for rung in rungs]),
        series=[*series, Series(kind="texts", x=beside, y=places, words=words, color=INK)],
        height=60 + (_TALL if len(rungs) <= _MOST_TALL else _LOW) * len(rungs),
    )


def _words(rung: RungTally, goal: Goal, expected: Expected | None, digits: int) -> str:
    trained = f"{rung.trained:,} trained"
    if expected is not None:
        trained += f", {expected.text} expected"
    best = None if rung.best is None else rung.best.metrics.get(goal.metric)
    if best is None:
        return trained
    value = f"{shortened(goal.metric, 18)} {number_text(best, digits)}"
    if goal.chosen:
        return f"{trained}\n{value}, {goal.chosen}"
    return f"{trained}\nbest {value}"
