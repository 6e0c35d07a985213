"""Makes the blocks of a report section for a page: sentences, tables and figures.

A block contains only data. The script of the page draws blocks
(``dashboard/static/views/report.js``) and shows any text as text. The functions ``escaped`` and
``table_html`` write HTML for a notebook.

Rule: any data of a study are shown as text, never as markup, since a journal may come from another
person. Control characters, and marks that change the direction of text, are shown as escapes, as in
a Python string literal.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.core.plaintext import visible
from ashtune._src.figures.figure import Figure

if TYPE_CHECKING:
    from rich.table import Table


class Block(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a section: a paragraph for each of its texts, a table, or figures by name.

    The table has titles and rows of texts. ``bold`` has the indices of its bold rows.
    """

    texts: Sequence[str] = ()
    is_bad: bool = False
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    bold: Sequence[int] = ()
    figures: Mapping[str, Figure] = {}


class PageSection(msgspec.Struct, frozen=True):
    """A section of a page: its heading and its blocks. A page leaves empty sections out."""

    title: str
    blocks: Sequence[Block]

    @property
    def is_empty(self) -> bool:
        """Whether no block has anything to show."""
        return not any(block.texts or block.rows or block.figures for block in self.blocks)


def words(*sentences: str, is_bad: bool = False) -> Block:
    """Return a block with a paragraph for each sentence that is not empty. If ``is_bad`` is True,
    the paragraphs look like an error.
    """
    return Block(texts=[visible(sentence) for sentence in sentences if sentence], is_bad=is_bad)


def figures(**named: Figure) -> Block:
    """Return a block of figures. The name of a figure is its description for readers who cannot see
    the figure.
    """
    return Block(figures=named)


def table(rich_table: "Table") -> Block:
    """Return a rich table as a block, with its header, footer and bold rows. The footer is the last
    row.
    """
    columns = rich_table.columns
    titles = [_plain(column.header) for column in columns]
    rows = list(zip(*([_plain(cell) for cell in column._cells] for column in columns), strict=True))
    bold = [place for place, row in enumerate(rich_table.rows) if row.style == "bold"]
    if rich_table.show_footer:
        bold.append(len(rows))
        rows.append(tuple(_plain(column.footer) for column in columns))
    return Block(columns=titles, rows=rows, bold=bold)


def pairs(named: Mapping[str, str]) -> Block:
    """Return a block with a table of names and values."""
    return Block(rows=[(visible(name), visible(value)) for name, value in named.items()])


def escaped(text: str) -> str:
    """Return a text as HTML that shows markup and control characters as visible text."""
    return escape(visible(text))


def table_html(rich_table: "Table") -> str:
    """Return a rich table as HTML for a notebook."""
    block = table(rich_table)
    head = "".join(f"<th>{escape(title)}</th>" for title in block.columns)
    rows = [
        "".join(
            f"<td>{f'<b>{escape(cell)}</b>' if place in block.bold else escape(cell)}</td>"
            for cell in row
        )
        for place, row in enumerate(block.rows)
    ]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _plain(cell: object) -> str:
    from rich.text import Text

    if not isinstance(cell, Text):
        cell = Text.from_markup(str(cell))
    # a page has space for only one line
    return visible(cell.plain.replace("-\n", "").replace("\n", " "))
