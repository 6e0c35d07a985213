"""The rung ladder as it fills: a bar for each rung, the top one first."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ashtune.core.numbers import number_text, seconds_text
from ashtune.dashboard.terminal.cells import Lines, bar, columns, cut, fitted, line
from ashtune.dashboard.terminal.colours import Colours

_LEAST_BAR, _GAP = 8, 2
_BOX_FROM, _BOX = 110, 28
"""From which width on there is room for how the results of a rung are spread, and the cells that this takes."""


def ladder_rows(ladder: Mapping[str, Any]) -> int:
    """Return how many lines the whole ladder takes."""
    return 1 + len(ladder["rungs"]) + bool(ladder["quota_text"])


def ladder_lines(ladder: Mapping[str, Any], unit: str, width: int, height: int, colours: Colours) -> Lines:
    """Return at most ``height`` lines; where there are more rungs the lowest ones are left out, and a line says so."""
    rungs = list(reversed(ladder["rungs"]))
    room = max(1, height - 1)
    shown = rungs if len(rungs) <= room else rungs[: max(1, room - 1)]
    resources = [line((f"{rung['resource']:,}", colours.ink)) for rung in shown]
    left = columns([[cell] for cell in (_head(unit, colours.ink), *resources)], left=())
    right = _numbers(shown, rungs[0] if rungs else None, width, colours)
    bar_width = width - left[0].cell_len - right[0].cell_len - 2 * _GAP
    most = max((rung["arrived"] + (rung["running"] or 0) for rung in rungs), default=0)
    bars = [line(" " * max(0, bar_width)), *(_bar(rung, rung is rungs[0], bar_width, most, colours) for rung in shown)]
    gap = " " * _GAP
    lines = [cut(line(a, gap, b, gap, c), width) for a, b, c in zip(left, bars, right, strict=True)]
    if len(shown) < len(rungs):
        lines.append(cut(line((f"and {len(rungs) - len(shown)} lower rungs", colours.quiet)), width))
    if (text := ladder["quota_text"]) and len(lines) < height:
        lines.append(line((fitted(str(text), width), colours.quiet)))
    return lines[:height]


def _bar(rung: Mapping[str, Any], is_top: bool, width: int, most: int, colours: Colours) -> Text:
    """Return what became of the trials of a rung; a rung of which nobody knows how many to expect beside the others."""
    if width < _LEAST_BAR:
        return line(" " * max(0, width))
    on = rung["arrived"] if is_top else rung["promoted"]
    parts = [
        (on, colours.good), (rung["arrived"] - on, colours.paused), (rung["failed"], colours.bad),
        (rung["running"] or 0, colours.accent),
    ]  # fmt: skip
    return bar(width, rung["expected"] or most, parts, colours.line)


def _numbers(rungs: Sequence[Mapping[str, Any]], top: Mapping[str, Any] | None, width: int, colours: Colours) -> Lines:
    """Return the columns of numbers below their names, which have the colours of the bar's parts."""
    knows_expected = any(rung["expected"] is not None for rung in rungs)
    head = [_head("trained", colours.ink)]
    rows = [[_count(rung["arrived"] + rung["failed"], colours.ink, colours)] for rung in rungs]

    def add(name: str, style: str, cells: Sequence[Text]) -> None:
        head.append(_head(name, style))
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)

    if knows_expected and width >= 64:
        add("of", colours.quiet, [line((fitted(str(rung["expected_text"]), 20), colours.quiet)) for rung in rungs])
    if any(rung["running"] is not None for rung in rungs):
        add("running", colours.accent, [_count(rung["running"] or 0, colours.accent, colours) for rung in rungs])
    if width >= 72:
        went_on = [line() if rung is top else _count(rung["promoted"], colours.good, colours) for rung in rungs]
        add("promoted", colours.good, went_on)
    if width >= 100:
        waiting = [rung["arrived"] - (rung["arrived"] if rung is top else rung["promoted"]) for rung in rungs]
        add("paused", colours.quiet, [_count(count, colours.quiet, colours) for count in waiting])
    if any(rung["failed"] for rung in rungs):
        add("failed", colours.bad, [_count(rung["failed"], colours.bad, colours) for rung in rungs])
    best = [line((number_text(rung["best"]) if rung["best"] is not None else "-", colours.best)) for rung in rungs]
    add("best", colours.best, best)
    if width >= _BOX_FROM:
        add("time", colours.quiet, [line((seconds_text(rung["seconds"] or 0.0), colours.quiet)) for rung in rungs])
        boxes = _boxes(rungs, colours)
        add(f"{'results':<{_BOX}}", colours.quiet, boxes)
    return columns([head, *rows], left=())


def _head(name: str, style: str) -> Text:
    return line((fitted(name, 20) if name.strip() == name else name, f"bold {style}"))


def _count(count: int, style: str, colours: Colours) -> Text:
    return line((f"{count:,}", style) if count else ("-", colours.quiet))


def _boxes(rungs: Sequence[Mapping[str, Any]], colours: Colours) -> Lines:
    """Return for each rung where its results lie, all on one scale: the middle half, the median, and the best."""
    known = [rung for rung in rungs if rung["quartiles"] is not None and rung["best"] is not None]
    values = [value for rung in known for value in (*rung["quartiles"], rung["best"])]
    low, high = min(values, default=0.0), max(values, default=0.0)
    boxes = []
    for rung in rungs:
        cells = [(" ", "")] * _BOX
        if rung["quartiles"] is not None and rung["best"] is not None and high > low:
            first, median, third, best = (
                round((value - low) / (high - low) * (_BOX - 1)) for value in (*rung["quartiles"], rung["best"])
            )
            for place in range(min(first, best), max(third, best) + 1):
                cells[place] = ("─", colours.line)
            for place in range(first, third + 1):
                cells[place] = ("━", colours.accent)
            cells[median] = ("┃", colours.ink)
            cells[best] = ("◆", colours.best)
        boxes.append(line(*cells))
    return boxes
