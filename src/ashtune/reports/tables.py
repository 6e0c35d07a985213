"""The one look of all tables and lines: tables have no rules and bold titles, lines one of five styles."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

INDENT = "  "
HEADING, QUIET, GOOD, BAD, WARNING = "bold", "bright_black", "bold green", "red", "yellow"


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


def line(text: str, style: str = "") -> "Text":
    """Return a line of text; nothing in it is markup."""
    from rich.text import Text

    return Text(text, style)


def indented(what: "RenderableType", times: int = 1) -> "RenderableType":
    """Return something that stays indented where it wraps."""
    from rich.padding import Padding

    return Padding(what, (0, 0, 0, times * len(INDENT)))
