"""Charts of braille dots: two across and four down in each cell, with axes.

A cell has one colour. Of several layers that meet in a cell, the last one that was drawn there shows alone.
"""

import math
from collections.abc import Sequence

import msgspec
from rich.text import Text

from ashtune.core.jobs import Mode
from ashtune.core.numbers import number_text
from ashtune.dashboard.terminal.cells import Lines, line
from ashtune.dashboard.terminal.colours import Colours
from ashtune.reports.figures.axes import View, log_ticks, metric_view

ACROSS, DOWN = 2, 4
LEAST_WIDTH, LEAST_HEIGHT = 16, 4
"""A smaller chart would show nothing but its axes."""
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a cell, by column and row."""
_BLANK = 0x2800
_ROWS_A_MARK, _CELLS_A_MARK = 3, 14
_LEAST_RANGE = 1e-300
Point = tuple[float, float | None]
"""A place along the x axis and a value; None is a gap."""


class Layer(msgspec.Struct, frozen=True):
    """Points of one colour: dots, or a line through them. ``is_step``: the line is level until the next point."""

    points: Sequence[Point]
    colour: str
    is_line: bool = True
    is_step: bool = False


class Axis(msgspec.Struct, frozen=True):
    """The range that an axis shows."""

    seen: View

    def place(self, value: float) -> float:
        """Return where a value stands, from 0 to 1; one outside stands at the end."""
        low, high = self.seen.on_axis(self.seen.low), self.seen.on_axis(self.seen.high)
        return (self.seen.on_axis(value) - low) / (high - low) if high > low else 0.5

    def shows(self, value: float) -> bool:
        """Return whether a value is within the range."""
        return self.seen.low <= value <= self.seen.high

    def marks(self, most: int) -> list[tuple[float, str]]:
        """Return at most ``most`` round values on the axis, ascending: their places, and their texts, all different."""
        low, high = self.seen.low, self.seen.high
        values = _decades(low, high, most) if self.seen.is_log else _round_values(low, high, most)
        digits = 4
        if not self.seen.is_log and high > low:  # as many as tell one end from the other
            digits = min(12, max(digits, 2 + math.ceil(math.log10(max(abs(low), abs(high)) / (high - low)))))
        texts = [_mark(value, digits) for value in values]
        return [(self.place(value), text) for value, text in zip(values, texts, strict=True)]


def axis_of_values(values: Sequence[float], mode: Mode) -> Axis:
    """Return an axis that shows the values of a metric but those far worse than most, as the figures of a report do."""
    seen = metric_view(values, mode)
    if seen is None:
        middle = values[0] if values else 0.0
        half = abs(middle) / 10 or 1.0
        seen = View(middle - half, middle + half, 0)
    return Axis(seen)


def chart(layers: Sequence[Layer], *, x: Axis, y: Axis, width: int, height: int, colours: Colours) -> Lines:
    """Return a chart with its axes as ``height`` lines of ``width`` cells; no lines where there is no room.

    Args:
        layers: The first one is drawn first: the others cover it.
        x: The axis at the bottom.
        y: The axis at the left.
        width: In cells.
        height: In rows.
        colours: Those of the page.
    """
    rows = height - 1
    marks = {round((1 - place) * (rows - 1)): text for place, text in y.marks(max(2, rows // _ROWS_A_MARK))}
    margin = max((len(mark) for mark in marks.values()), default=0)
    across = width - margin - 2
    if height < LEAST_HEIGHT or across < LEAST_WIDTH:
        return []
    canvas = _Canvas(across, rows)
    for layer in layers:
        canvas.draw(layer, x, y)
    lines = []
    for number, drawn in enumerate(canvas.rows()):
        mark = marks.get(number, "")
        lines.append(line((f"{mark:>{margin}} ", colours.quiet), ("┤" if mark else "│", colours.line), drawn))
    lines.append(line(" " * (margin + 1), ("└", colours.line), _below(x, across, colours)))
    return lines


def _below(x: Axis, width: int, colours: Colours) -> Text:
    """Return the x axis with its numbers, each at its place, as many as have room."""
    axis, end = line(), 0
    for place, text in x.marks(max(2, width // _CELLS_A_MARK)):
        mark = f" {text} "
        begin = min(max(0, round(place * (width - 1)) - len(mark) // 2), width - len(mark))
        if begin < end:
            continue
        axis.append("─" * (begin - end), colours.line).append(mark, colours.quiet)
        end = begin + len(mark)
    return axis.append("─" * (width - end), colours.line)


def _mark(value: float, digits: int) -> str:
    return f"{value:,.0f}" if value == round(value) and 1_000 <= abs(value) < 1e7 else number_text(value, digits)


def _decades(low: float, high: float, most: int) -> list[float]:
    """Return round values between the ends of a logarithmic axis."""
    values = log_ticks(low, high)
    return values[:: max(1, -(-len(values) // most))]


def _round_values(low: float, high: float, most: int) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten between two numbers, at most ``most`` of them."""
    if not _LEAST_RANGE < high - low < math.inf:
        return []
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
        if len(numbers) <= most:
            return [number * step for number in numbers]
    return []


class _Canvas:
    """Dots on cells."""

    def __init__(self, width: int, height: int) -> None:
        self._across, self._down = ACROSS * width, DOWN * height
        self._bits = [bytearray(width) for _ in range(height)]
        self._layers = [[0] * width for _ in range(height)]
        self._colours = [""]

    def draw(self, layer: Layer, x: Axis, y: Axis) -> None:
        """Draw a layer over what is there."""
        self._colours.append(layer.colour)
        before: tuple[int, int] | None = None
        for along, value in layer.points:
            if value is None or not math.isfinite(value):
                before = None
                continue
            here = round(x.place(along) * (self._across - 1)), round((1 - y.place(value)) * (self._down - 1))
            if before is None or not layer.is_line:
                self._dot(*here)
            elif layer.is_step:
                self._segment(before, (here[0], before[1]))
                self._segment((here[0], before[1]), here)
            else:
                self._segment(before, here)
            before = here

    def rows(self) -> Lines:
        """Return the cells as lines."""
        lines = []
        for bits, layers in zip(self._bits, self._layers, strict=True):
            pieces: list[tuple[str, str]] = []
            for dots, layer in zip(bits, layers, strict=True):
                cell, colour = (chr(_BLANK + dots) if dots else " "), self._colours[layer]
                if pieces and pieces[-1][1] == colour:
                    pieces[-1] = pieces[-1][0] + cell, colour
                else:
                    pieces.append((cell, colour))
            lines.append(line(*pieces))
        return lines

    def _segment(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        steps = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
        for step in range(steps + 1):
            share = step / steps
            self._dot(round(begin[0] + share * (end[0] - begin[0])), round(begin[1] + share * (end[1] - begin[1])))

    def _dot(self, across: int, down: int) -> None:
        row, cell, layer = down // DOWN, across // ACROSS, len(self._colours) - 1
        if self._layers[row][cell] != layer:
            self._bits[row][cell] = 0
            self._layers[row][cell] = layer
        self._bits[row][cell] |= _DOTS[across % ACROSS][down % DOWN]
