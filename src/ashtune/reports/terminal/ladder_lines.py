"""The ladder in the live display: a line a rung, the top one first."""

from collections.abc import Sequence

import msgspec
from rich.text import Text

from ashtune.analysis.counts import RungTally
from ashtune.analysis.tally import Tally
from ashtune.reports.terminal.palette import FAILED, MARGIN, PAUSED, PROMOTED, QUIET, RUNNING, STRONG, Pen

DROPPED_FIRST = ("expected", "paused", "promoted", "running", "failed")
SHORTEST_BAR = 6
_GAP = "  "


class _Column(msgspec.Struct):
    """One column of numbers, a number a rung; None is left out."""

    name: str
    colour: str
    numbers: Sequence[int | None]
    is_strong: bool = False

    @property
    def width(self) -> int:
        return max(len(self.name), len(f"{max(number or 0 for number in self.numbers):,}"))

    def write_name(self, line: Text) -> None:
        line.append(f"{_GAP}{self.name:>{self.width}}", self.colour)

    def write(self, line: Text, rung: int) -> None:
        number = self.numbers[rung]
        shown = "" if number is None else f"{number:,}" if number else "-"
        colour = STRONG if self.is_strong else self.colour
        line.append(f"{_GAP}{shown:>{self.width}}", colour if number else QUIET)


def ladder_lines(tally: Tally, expected: Sequence[int] | None, *, unit: str, width: int, pen: Pen) -> list[Text]:
    """Return the header, whose words have the colours of the bars' parts, and a line for each rung."""
    rungs, top = tally.rungs, len(tally.rungs) - 1
    first = max(len(unit), len(f"{rungs[-1].resource:,}"))
    columns = [_Column("trained", QUIET, [rung.trained for rung in rungs], is_strong=True)]
    if expected:
        columns.append(_Column("expected", QUIET, expected))
    columns += [
        _Column("running", RUNNING, [rung.running for rung in rungs]),
        _Column("paused", PAUSED, [*(rung.paused for rung in rungs[:top]), None]),
        _Column("promoted", PROMOTED, [*(rung.promoted for rung in rungs[:top]), None]),
        _Column("failed", FAILED, [rung.failed for rung in rungs]),
    ]
    bar = _fit(columns, width - len(MARGIN) - first)
    header = Text(MARGIN).append(f"{unit:>{first}}", QUIET).append(" " * bar)
    for column in columns:
        column.write_name(header)
    lines = [header]
    for number in range(top, -1, -1):
        line = Text(MARGIN).append(f"{rungs[number].resource:>{first},}", STRONG)
        if bar:
            line.append(_GAP)
            wanted = expected[number] if expected else 0
            _draw(line, _parts(rungs[number], wanted, bar - len(_GAP), is_top=number == top), pen)
        for column in columns:
            column.write(line, number)
        lines.append(line)
    return lines


def _fit(columns: list[_Column], width: int) -> int:
    """Return what room is left for the bars, 0 for too little; drop columns until the others fit."""
    for name in ("", *DROPPED_FIRST):
        columns[:] = [column for column in columns if column.name != name]
        room = width - sum(column.width + len(_GAP) for column in columns)
        if room >= 0:
            break
    return room if room >= SHORTEST_BAR + len(_GAP) else 0


def _draw(line: Text, parts: Sequence[tuple[int, str]], pen: Pen) -> None:
    for cells, style in parts:
        line.append((pen.to_do if style == QUIET else pen.done) * cells, style)


def _parts(rung: RungTally, expected: int, length: int, *, is_top: bool) -> Sequence[tuple[int, str]]:
    """Return how many cells of a rung's bar have which colour; together they are ``length``."""
    counts = (
        (rung.arrived if is_top else rung.promoted, PROMOTED),
        (0 if is_top else rung.paused, PAUSED),
        (rung.failed, FAILED),
        (rung.running, RUNNING),
    )
    whole = max(expected, sum(count for count, _ in counts), 1)
    parts, before, drawn = [], 0, 0
    for count, style in counts:
        before += count
        upto = max(drawn, round(before * length / whole))
        if count and upto == drawn < length:
            upto += 1  # few are not none
        parts.append((upto - drawn, style))
        drawn = upto
    return [*parts, (length - drawn, QUIET)]
