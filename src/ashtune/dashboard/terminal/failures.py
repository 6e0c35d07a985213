"""What failed, was withdrawn or lost, grouped by reason; the chosen group with its traceback."""

from collections.abc import Mapping
from typing import Any

from ashtune.core.numbers import plural
from ashtune.core.plaintext import visible
from ashtune.dashboard.terminal.cells import Lines, cut, fitted, line
from ashtune.dashboard.terminal.colours import Colours

_INDENT, _LEAST_REASON = "    ", 20


def failures_lines(
    failures: Mapping[str, Any], width: int, height: int, colours: Colours, *, chosen: int | None = None
) -> Lines:
    """Return a line for each group, the largest first.

    Args:
        failures: The part.
        width: In cells.
        height: In rows.
        colours: Those of the page.
        chosen: The group below which the end of its traceback stands; None for none.
    """
    groups = failures["groups"]
    if not groups:
        return [cut(line(("nothing failed", colours.good)), width)]
    lines: Lines = []
    for number, group in enumerate(groups):
        is_bad = group["kind"] == "failed"
        where = "" if group["trial"] is None else f"   first: trial {group['trial']}, rung {group['rung']}"
        kind = "" if is_bad else f"{fitted(str(group['kind']), 12)}: "
        room = max(_LEAST_REASON, width - 10 - len(kind) - len(where))
        row = line(
            ("▸ " if number == chosen else "  ", colours.accent),
            (f"{group['count']:>5,} x ", f"bold {colours.bad if is_bad else colours.warning}"),
            (kind, colours.warning),
            (fitted(str(group["reason"]), room), colours.ink),
            (where, colours.quiet),
        )
        lines.append(cut(row, width))
        if number == chosen:
            if group["in_common"]:
                lines.append(line((fitted(f"{_INDENT}{group['in_common']}", width), colours.ink)))
            lines += _traceback(str(group["traceback"] or ""), width, max(3, height - len(groups)), colours)
    unseen = failures["total"] - sum(group["count"] for group in groups)
    if unseen > 0:
        lines.append(cut(line((f"  {plural(unseen, 'failure')} for other reasons", colours.quiet)), width))
    return lines[:height]


def _traceback(traceback: str, width: int, height: int, colours: Colours) -> Lines:
    """Return the last rows of a traceback, which say what went wrong."""
    rows = program_rows(traceback, width - len(_INDENT))[-height:]
    return [line((f"{_INDENT}{row}", colours.quiet)) for row in rows]


def program_rows(text: str, width: int) -> list[str]:
    """Return the rows of what a program printed, with their indentation, each in at most ``width`` cells."""
    rows = visible(text.expandtabs(4), keeps_newlines=True).rstrip().splitlines()
    indents = [" " * min(width // 2, len(row) - len(row.lstrip())) for row in rows]
    return [indent + fitted(row, width - len(indent)) for indent, row in zip(indents, rows, strict=True)]
