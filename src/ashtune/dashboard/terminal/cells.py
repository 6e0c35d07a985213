"""Lines of text that are as many cells wide as they should be, and bars.

Rule 1: a line is a ``rich.text.Text`` of one row. Whatever text of a study it holds came through :func:`fitted`, so
that no character of it does more than be read, and none is wider than it was counted.
Rule 2: a character may take two cells; what is counted is always cells.
"""

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ashtune.core.plaintext import visible

Piece = str | tuple[str, str] | Text
Lines = list[Text]
BLOCK, STEPS = "▇", "▁▂▃▄▅▆▇█"
_NO_WIDTH = re.compile("[\u200b-\u200d\u2060-\u2064\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0000-\U000e01ef]")
"""Joiners and variants of pictures, which terminals draw in one cell, two or more, each in its own way."""


def plain(text: str) -> str:
    """Return a text of a study on one line, fit to be shown."""
    return visible(_NO_WIDTH.sub("", " ".join(text.split())))


def fitted(text: str, width: int) -> str:
    """Return a text of a study on one line, in at most ``width`` cells; one that is cut ends in ``…``."""
    row = plain(text)
    if cell_len(row) <= width:
        return row
    return set_cell_size(row, width - 1).rstrip() + "…" if width > 0 else ""


def padded(text: str, width: int) -> str:
    """Return a text of a study in exactly ``width`` cells."""
    return set_cell_size(fitted(text, width), max(0, width))


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Return a text of a study in at most ``most`` rows of ``width`` cells, broken between words where that can be."""
    rows, left = list[str](), plain(text)
    while left and len(rows) < most - 1 and cell_len(left) > width:
        row = set_cell_size(left, width)
        end = row.rfind(" ") if " " in row.strip() else len(row.rstrip())
        rows.append(left[:end])
        left = left[end:].strip()
    return [*rows, fitted(left, width)] if left else rows


def line(*pieces: Piece) -> Text:
    """Return a line of pieces; a pair is a text and its style."""
    return Text.assemble(*pieces, no_wrap=True, end="")


def cut(text: Text, width: int) -> Text:
    """Return a line in at most ``width`` cells; one that is cut ends in ``…``."""
    text.truncate(max(0, width), overflow="ellipsis")
    return text


def spread(left: Text, right: Text, width: int) -> Text:
    """Return a line with one text at its left end and one at its right; where there is no room the left one is cut."""
    room = width - right.cell_len - 2
    if room < 1:
        return cut(left, width)
    left = cut(left, room)
    return line(left, " " * (width - left.cell_len - right.cell_len), right)


def columns(rows: Sequence[Sequence[Text]], *, gap: int = 2, left: Iterable[int] = (0,)) -> Lines:
    """Return rows of cells as lines, each column as wide as its widest cell.

    Args:
        rows: All of the same length.
        gap: Cells between two columns.
        left: The columns that are aligned to the left; the others are to the right.
    """
    if not rows:
        return []
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    to_the_left = set(left)
    lines = []
    for row in rows:
        pieces: list[Piece] = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell.cell_len)
            pieces += [cell, blanks] if number in to_the_left else [blanks, cell]
            pieces.append(" " * gap if number < len(row) - 1 else "")
        lines.append(line(*pieces))
    return lines


def bar(width: int, whole: float, parts: Sequence[tuple[float, str]], rest: str) -> Text:
    """Return a bar of several colours. What is not 0 shows, where there is room.

    Args:
        width: In cells.
        whole: What all of it stands for; parts whose sum is larger fill it.
        parts: How much has which colour.
        rest: The colour of what is left.
    """
    whole = max(whole, sum(part for part, _ in parts)) or 1
    drawn, total, pieces = 0, 0.0, list[Piece]()
    for part, colour in parts:
        total += part
        end = min(width, max(round(width * total / whole), drawn + (part > 0)))
        pieces.append((BLOCK * (end - drawn), colour))
        drawn = end
    return line(*pieces, (BLOCK * (width - drawn), rest))


def sparkline(shares: Sequence[float], width: int) -> str:
    """Return shares between 0 and 1 as a row of blocks, the latest at the right; each is the mean of a stretch."""
    if not shares or width < 1:
        return ""
    blocks = []
    for place in range(width):
        begin = place * len(shares) // width
        stretch = shares[begin : max(begin + 1, (place + 1) * len(shares) // width)]
        share = min(1.0, max(0.0, sum(stretch) / len(stretch)))
        blocks.append(STEPS[min(len(STEPS) - 1, int(share * len(STEPS)))])
    return "".join(blocks)
