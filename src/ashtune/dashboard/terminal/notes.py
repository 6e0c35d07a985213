"""What the scheduler and the search say of themselves, where configurations come from, and why trials went on."""

from collections.abc import Mapping
from typing import Any

from ashtune.core.numbers import seconds_text, share_text
from ashtune.dashboard.terminal.cells import Lines, bar, columns, cut, fitted, line, wrapped
from ashtune.dashboard.terminal.colours import Colours

_SOURCES = ("model", "mutation", "random", "enqueued", "other")
_BAR = 30


def notes_lines(notes: Mapping[str, Any], width: int, height: int, colours: Colours, *, skipped: int = 0) -> Lines:
    """Return at most ``height`` lines: notes, sources, and decisions, the latest first, without ``skipped`` of them."""
    lines: Lines = []
    for name in ("scheduler", "search"):
        if text := str(notes[name] or ""):
            lines += [line((row, colours.ink)) for row in wrapped(f"{name}: {text}", width, 3)]
    lines += _sources(notes, width, colours)
    decisions = list(reversed(notes["why"]))[skipped:]
    if decisions and len(lines) < height - 1:
        lines.append(line(("why", f"bold {colours.ink}")))
    for why in decisions:
        when = f"{seconds_text(why['time']):>12}  "
        lines.append(cut(line((when, colours.quiet), (fitted(str(why["text"]), width), colours.ink)), width))
    return lines[:height] or [cut(line(("nothing to say yet", colours.quiet)), width)]


def _sources(notes: Mapping[str, Any], width: int, colours: Colours) -> Lines:
    """Return where configurations come from: a line for each source, with its share and how many of them went on."""
    counts = {name: count for name in _SOURCES if (count := notes["sources"].get(name, 0))}
    total, rows = sum(counts.values()), []
    for name, count in counts.items():
        promoted = notes["promoted_share"].get(name)
        rows.append(
            [
                line((name, colours.quiet)),
                line((f"{count:,}", colours.ink)),
                bar(_BAR, total, [(count, colours.accent)], colours.line),
                line(("" if promoted is None else f"{share_text(promoted)} went on", colours.ink)),
            ]
        )
    return [cut(row, width) for row in columns(rows, left=(0, 2, 3))]
