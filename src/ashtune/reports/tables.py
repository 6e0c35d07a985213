"""The one look of all tables: no lines, bold titles."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def bare_table(*, gap: int = 2, has_footer: bool = False) -> "Table":
    """Return an empty table without lines.

    Args:
        gap: Characters between two columns.
        has_footer: Whether the columns' footers are shown, as sums are: bold, below the last row.
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
