"""Tables and lines that several views of a study share.

Tables have bold titles and no borders. Lines have one of five styles.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ashtune._src.core.numbers import value_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from ashtune._src.analysis.trials import TrialRecord
    from ashtune._src.reports.html import Block

INDENT = "  "
HEADING = "bold"
QUIET = "bright_black"
GOOD = "bold green"
BAD = "red"
WARNING = "yellow"


def bare_table(*, gap: int = 2, has_footer: bool = False) -> "Table":
    """Return an empty table without borders.

    Args:
        gap: Characters between two columns.
        has_footer: Whether the columns' footers, for example sums, are shown in bold below the last
            row.
    """
    from rich.table import Table

    return Table(
        box=None,
        header_style="bold",
        footer_style="bold",
        show_footer=has_footer,
        pad_edge=False,
        padding=(0, gap, 0, 0),
    )


def numbers_table(*titles: str, texts: str = "", gap: int = 2, **options: Any) -> "Table":
    """Return an empty table of numbers. Its columns are aligned to the right.

    Args:
        titles: The titles of the columns.
        texts: The title of the only column with texts. This column is aligned to the left.
        gap: Characters between two columns.
        options: Additional options of rich for each column.
    """
    table = bare_table(gap=gap)
    for title in titles:
        justify: Literal["left", "right"] = "left" if title == texts else "right"
        table.add_column(title, justify=justify, **options)
    return table


def trials_table(
    records: "Sequence[TrialRecord]",
    columns: Mapping[str, Sequence[str]],
    resources: Sequence[int],
    *,
    unit: str,
) -> "Table":
    """Return a table of trials: number, the given ``columns``, resource, seconds, configuration and
    origin.

    Args:
        columns: The texts of additional columns, by title.
        resources: For each trial, the resource at which the values in ``columns`` were measured.
    """
    from rich.text import Text

    names = list(dict.fromkeys(name for record in records for name in record.configuration))
    table = bare_table()
    for column in ("trial", *columns, unit, "seconds", *names, "origin"):
        table.add_column(Text(column))
    for record, resource, *texts in zip(records, resources, *columns.values(), strict=True):
        values = [value_text(record.configuration.get(name, "")) for name in names]
        cells = [
            str(record.number),
            *texts,
            f"{resource:,}",
            f"{record.seconds:.2f}",
            *values,
            record.origin,
        ]
        table.add_row(*map(Text, cells))
    return table


def block_table(block: "Block") -> "Table":
    """Return the table of a block as a rich table. Columns of numbers are aligned to the right.

    A column counts as numbers if its first row has a number or is empty. The other rows do not
    count, because a later row may have sums, or a text in place of a number.
    """
    from rich.text import Text

    table = bare_table()
    table.show_header = bool(block.columns)
    titles = block.columns or [""] * len(block.rows[0])
    for title, cell in zip(titles, block.rows[0], strict=True):
        table.add_column(Text(title), justify="right" if cell[:1] in "-0123456789" else "left")
    for number, row in enumerate(block.rows):
        table.add_row(*map(Text, row), style="bold" if number in block.bold else "")
    return table


def line(text: str, style: str = "") -> "Text":
    """Return a line of text without markup."""
    from rich.text import Text

    return Text(text, style)


def indented(what: "RenderableType", times: int = 1) -> "RenderableType":
    """Return a rich object that shows ``what`` with all its lines indented."""
    from rich.padding import Padding

    return Padding(what, (0, 0, 0, times * len(INDENT)))
