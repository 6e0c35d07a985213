"""The workers' lanes: what each of them did in the last stretch of time, and how busy all of them were."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ashtune.core.numbers import plural, seconds_text, share_text
from ashtune.dashboard.terminal.cells import BLOCK, Lines, Piece, bar, cut, fitted, line, padded, sparkline, spread
from ashtune.dashboard.terminal.colours import Colours

TRAINING, SAVING, COMPILING = range(3)
IN_VAIN = ("failed", "withdrawn", "lost")
CHROME_ROWS = 3
"""Rows that are no lanes: what all workers did together, and what the lanes' colours mean."""
_IDLE, _HOST = "·", 14
_SHARES = ("training", "saving", "compiling", "driver", "barrier", "tail", "waiting")
_SHARE_NAMES = {"driver": "waiting for the driver", "barrier": "waiting for other trials", "tail": "nothing left to do"}


def workers_lines(
    workers: Mapping[str, Any], ladder: Mapping[str, Any], width: int, height: int, colours: Colours, *,
    unit: str, first: int = 0,
) -> Lines:  # fmt: skip
    """Return how busy the workers were, their lanes, and what the lanes' colours mean.

    Args:
        workers: The part.
        ladder: The part: a lane has the colours of the rungs trained for.
        width: In cells.
        height: In rows.
        colours: Those of the page.
        unit: What the resource counts.
        first: The lane to begin with, where there are more than rows.
    """
    lanes, resources = workers["lanes"], [rung["resource"] for rung in ladder["rungs"]]
    palette = colours.rungs(max(1, len(resources)))  # no rung is known where the ladder could not be made
    if not lanes:
        return [line(("no worker yet", colours.quiet))]
    above, enough = [busy_line(workers, width, colours)], CHROME_ROWS + len(lanes)
    if height >= min(8, enough):
        above.append(_shares(workers["shares"], width, colours))
    below = []
    if height >= min(5, enough):
        below.append(_legend(workers, dict(zip(resources, palette, strict=False)), unit, width, colours))
    room = max(1, height - len(above) - len(below))
    hosts = {lane["host"] for lane in lanes}
    name_width = len(f"{max(lane['worker'] for lane in lanes)}") + (1 + _HOST if len(hosts) > 1 else 0)
    unseen = len(lanes) + (workers["left_out"] or 0) - room
    shown = range(first, min(len(lanes), first + room - (unseen > 0)))
    drawn = _drawn_lanes(workers, shown, max(4, width - name_width - 7), palette, colours)
    lines = [
        line((f"{_name(lanes[lane], name_width, has_host=len(hosts) > 1)} ", _name_colour(lanes[lane], colours)), row)
        for lane, row in zip(shown, drawn, strict=True)
    ]
    if unseen > 0:
        others = len(lanes) + (workers["left_out"] or 0) - len(shown)
        words = f"and {plural(others, 'other worker')}, this is from lane {first + 1}"
        lines.append(cut(line((words, colours.quiet)), width))
    return [*above, *lines, *below][:height]


def busy_line(workers: Mapping[str, Any], width: int, colours: Colours) -> Text:
    """Return the workers' utilisation over time, as a row of blocks behind its mean."""
    shares = [share for share in workers["utilisation"]["share"] if share is not None]
    training = workers["shares"]["training"] if workers["shares"] else None
    there = sum(lane["is_there"] for lane in workers["lanes"]) + (workers["left_out"] or 0)
    words = line(
        (plural(there, "worker"), f"bold {colours.ink}"),
        ("   " if training is None else f", {share_text(training)} busy   ", f"bold {colours.ink}"),
    )
    return line(cut(words, width), (sparkline(shares, width - words.cell_len), colours.accent))


def _shares(shares: Mapping[str, float | None] | None, width: int, colours: Colours) -> Text:
    """Return where the workers' time went, the largest shares in words."""
    known = {name: share for name in _SHARES if shares is not None and (share := shares.get(name))}
    if not known:
        return line()
    palette = _share_colours(colours)
    words = line()
    for name, share in sorted(known.items(), key=lambda pair: -pair[1]):
        words.append("   " if words else "").append(BLOCK, palette[name])
        words.append(f" {_SHARE_NAMES.get(name, name)} {share_text(share)}", colours.quiet)
    room = width - words.cell_len - 3
    if room < 10:
        return cut(words, width)
    return line(bar(room, 1.0, [(share, palette[name]) for name, share in known.items()], colours.paper), "   ", words)


def _share_colours(colours: Colours) -> dict[str, str]:
    return {
        "training": colours.good, "saving": colours.accent, "compiling": colours.compiling, "driver": colours.bad,
        "barrier": colours.warning, "tail": colours.line, "waiting": colours.quiet,
    }  # fmt: skip


class _Lane:
    """One lane as cells: how long its worker was busy in each, and the colour of what took longest there."""

    def __init__(self, width: int) -> None:
        self.busy = [0.0] * width
        self._longest = [0.0] * width
        self._colours = [""] * width
        self._failed: set[int] = set()
        self.trained = 0.0

    def fill(self, begin: float, end: float, cell: float, colour: str) -> None:
        """Take in a stretch of work, in seconds since the window's begin."""
        for place in range(int(begin / cell), min(len(self.busy), int(end / cell) + 1)):
            within = min(end, (place + 1) * cell) - max(begin, place * cell)
            self.busy[place] += max(0.0, within)
            if within > self._longest[place]:
                self._longest[place], self._colours[place] = within, colour

    def fail(self, time: float, cell: float) -> None:
        """Note that a job came to nothing at a time."""
        self._failed.add(min(len(self.busy) - 1, int(time / cell)))

    def drawn(self, cell: float, colours: Colours) -> Text:
        """Return the cells. One in which the worker waited most of the time is empty."""
        pieces: list[Piece] = []
        for place, busy in enumerate(self.busy):
            if place in self._failed:
                pieces.append(("✗", f"bold {colours.bad}"))
            else:
                pieces.append((BLOCK, self._colours[place]) if busy >= cell / 2 else (_IDLE, colours.line))
        share = min(1.0, self.trained / (cell * len(self.busy)))
        return line(*pieces, (f" {share_text(share):>5}", colours.quiet))


def _drawn_lanes(
    workers: Mapping[str, Any], shown: Sequence[int], width: int, palette: Sequence[str], colours: Colours
) -> Lines:
    """Return the lanes, and behind each its share of training in the window."""
    since, now = workers["window"]
    cell = (now - since) / width or 1.0
    lanes = {number: _Lane(width) for number in shown}
    spans = workers["spans"]
    columns = (spans[name] for name in ("lane", "begin", "end", "kind", "rung", "ending"))
    for number, begin, end, kind, rung, ending in zip(*columns, strict=True):
        if number not in lanes or end <= since:
            continue
        lane, first, last = lanes[number], max(0.0, begin - since), min(end, now) - since
        if kind == TRAINING:
            lane.trained += last - first
        lane.fill(first, last, cell, _colour(kind, rung, palette, colours))
        if ending in IN_VAIN:
            lane.fail(last, cell)
    return [lane.drawn(cell, colours) for lane in lanes.values()]


def _colour(kind: int, rung: int | None, palette: Sequence[str], colours: Colours) -> str:
    if kind == TRAINING:
        return palette[min(rung or 0, len(palette) - 1)]
    return colours.quiet if kind == SAVING else colours.compiling


def _name(lane: Mapping[str, Any], width: int, *, has_host: bool) -> str:
    if not has_host:
        return f"{lane['worker']:>{width}}"
    return f"{lane['worker']:>{width - 1 - _HOST}} {padded(str(lane['host']), _HOST)}"


def _name_colour(lane: Mapping[str, Any], colours: Colours) -> str:
    return colours.ink if lane["is_there"] else colours.quiet


def _legend(workers: Mapping[str, Any], rungs: Mapping[int, str], unit: str, width: int, colours: Colours) -> Text:
    """Return what the colours of the lanes mean, and which time they show."""
    begin, end = workers["window"]
    words = line((f"{fitted(unit, 20)}s ", colours.quiet))
    for resource, colour in rungs.items():
        words.append(BLOCK, colour).append(f" {resource:,} ", colours.quiet)
    kinds = set(workers["spans"]["kind"])
    if SAVING in kinds:
        words.append(f" {BLOCK}", colours.quiet).append(" saving ", colours.quiet)
    if COMPILING in kinds:
        words.append(f" {BLOCK}", colours.compiling).append(" compiling ", colours.quiet)
    words.append(f" {_IDLE} waiting  ✗ failed", colours.quiet)
    return spread(words, line((f"the last {seconds_text(max(0.0, end - begin))}", colours.quiet)), width)
