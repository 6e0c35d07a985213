"""Builds a self-contained HTML page from sections: tables, sentences, and figures drawn by plotly's script.

Rule 1: any data of a study are shown as text, never as markup, since a journal may come from another person. Control
characters, and marks that change the direction of text, are shown as escapes, as in a Python string literal.
Rule 2: the page loads nothing from the network.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ashtune._src.core.errors import SettingsError, instead_of_os_error
from ashtune._src.core.plaintext import visible
from ashtune._src.core.version import __version__
from ashtune._src.figures.figure import Coordinates, Figure
from ashtune._src.figures.looks import style
from ashtune._src.reports.plot import go, plot

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as Plot
    from rich.table import Table

MADE_BY = f"ashtune {__version__}"
_COMMAND = re.compile("`([^`]+)`")
_INVISIBLE = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(00[01][0-9a-f]|007f|00[89][0-9a-f]|061c|200[ef]|202[89a-e]|206[6-9]|feff|fff[9ab])"
    "|([\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb])",
)
"""Invisible characters in JSON that affect other text: the characters themselves, and their escapes ``\\uXXXX``."""


class Block(msgspec.Struct, frozen=True):
    """A piece of a section: its HTML, and a dict of its figures. The key of a figure is the id of its HTML element."""

    html: str
    figures: dict[str, "Plot"] = {}


class PageSection(msgspec.Struct, frozen=True):
    """A section of a page. ``name`` is the section's id. ``figures`` maps a figure's HTML id to its JSON."""

    name: str
    title: str
    html: str
    figures: dict[str, str]


def section(name: str, title: str, blocks: Iterable[Block]) -> PageSection:
    """Return a section of a page, with its figures as JSON. An invalid figure raises an error."""
    drawn = list(blocks)
    figures = {place: _figure_json(figure) for block in drawn for place, figure in block.figures.items()}
    return PageSection(name, title, "".join(block.html for block in drawn), figures)


def words(*sentences: str, style: str = "") -> Block:
    """Return a block with a paragraph for each sentence that is not empty. ``style`` is a CSS class.

    A part between backticks is a command.
    """
    mark = f' class="{style}"' if style else ""
    shown = (_COMMAND.sub(r"<code>\1</code>", escaped(sentence)) for sentence in sentences if sentence)
    return Block("".join(f"<p{mark}>{sentence}</p>" for sentence in shown))


def folded(title: str, text: str) -> Block:
    """Return a block with a text of several lines, which the reader opens."""
    shown = escape(visible(text.expandtabs(), keeps_newlines=True))
    return Block(f"<details><summary>{escaped(title)}</summary><pre>{shown}</pre></details>")


def figures(*, layout: Literal["pair", "panels"] = "pair", **named: "Plot | Figure | Coordinates") -> Block:
    """Return a block of figures, two in a row on a wide page. The layout "panels" has three figures in a row."""
    places = "".join(f'<div class="figure" id="figure-{name}"></div>' for name in named)
    html = f'<div class="{layout}">{places}</div>' if len(named) > 1 else places
    drawn = {
        f"figure-{name}": plot(each, is_panel=layout == "panels") if isinstance(each, Figure | Coordinates) else each
        for name, each in named.items()
    }
    return Block(html, drawn)


def legend(colors: Mapping[str, str]) -> Block:
    """Return a block with the legend for the figures below the legend."""
    inner = "".join(
        f'<span><i style="background:{escaped(color)}"></i>{escaped(name)}</span>' for name, color in colors.items()
    )
    return Block(f'<p class="legend">{inner}</p>' if inner else "")


def table(rich_table: "Table") -> Block:
    """Return a rich table as HTML, with its header, footer and bold rows."""
    columns = rich_table.columns
    titles = [_plain(column.header).replace("-\n", "").replace("\n", " ") for column in columns]  # wide enough here
    header = "".join(f"<th>{escaped(title)}</th>" for title in titles)
    rows = zip(*([_plain(cell) for cell in column._cells] for column in columns), strict=True)
    body = "".join(_row(row, is_bold=row_of.style == "bold") for row, row_of in zip(rows, rich_table.rows, strict=True))
    footer = _row([_plain(column.footer) for column in columns], cell="th") if rich_table.show_footer else ""
    return Block(
        f'<div class="table"><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody>'
        f"<tfoot>{footer}</tfoot></table></div>"
    )


def pairs(named: Mapping[str, str]) -> Block:
    """Return a block with a table of names and values."""
    rows = "".join(f"<tr><td>{escaped(name)}</td><td>{escaped(value)}</td></tr>" for name, value in named.items())
    return Block(f'<div class="table"><table class="facts"><tbody>{rows}</tbody></table></div>')


def cards(named: Mapping[str, str]) -> Block:
    """Return a block with a card for each of the most important values: the value and its name."""
    inner = "".join(f'<div class="card"><b>{escaped(value)}</b><span>{escaped(name)}</span></div>' for name, value in named.items())  # fmt: skip  # noqa: E501
    return Block(f'<div class="cards">{inner}</div>')


def page(title: str, head: Iterable[Block], sections: Sequence[PageSection], *, footer: str = MADE_BY) -> str:
    """Return the page.

    Args:
        title: The heading of the page.
        head: The blocks above the first section.
        sections: The sections; empty sections are left out.
        footer: The text below the last section.

    Raises:
        SettingsError: If plotly is not installed.
    """
    top, shown = section("", "", head), [each for each in sections if each.html]
    links = "".join(f'<a href="#{escaped(each.name)}">{escaped(each.title)}</a>' for each in shown)
    body = "".join(
        f'<section id="{escaped(each.name)}"><h2>{escaped(each.title)}</h2>{each.html}</section>' for each in shown
    )
    figures = ",".join(f'"{place}":{text}' for each in (top, *shown) for place, text in each.figures.items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{style()}{_resource('page.css')}</style></head><body>"
        f"<h1>{escaped(title)}</h1>{top.html}<nav>{links}</nav>{body}"
        f"<footer>{escaped(footer)}</footer>"
        f'<script type="application/json" id="figures">{{{figures}}}</script>'
        f"<script>{_plotly_script()}</script><script>{_resource('page.js')}</script></body></html>\n"
    )


def write(text: str, file: Path) -> None:
    """Write a page.

    Raises:
        SettingsError: If the file cannot be written.
    """
    with instead_of_os_error(SettingsError, file, "give a file that can be written"):
        file.write_text(text, encoding="utf-8")


def _figure_json(figure: "Plot") -> str:
    """Return a figure as JSON. The JSON cannot end the HTML script element that contains it."""
    return _INVISIBLE.sub(_literal, figure.to_json()).replace("<", "\\u003c")


def _literal(match: re.Match[str]) -> str:
    """Return an escape of the invisible character that ``match`` found."""
    before, code, character = match.groups()
    return f"{before or ''}\\\\u{code or format(ord(character), '04x')}"


def escaped(text: str) -> str:
    """Return a text as HTML that shows markup and control characters as visible text."""
    return escape(visible(text))


def _plotly_script() -> str:
    go()  # raises with a hint to install plotly
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return re.sub("</(?=script)", r"<\\/", script, flags=re.IGNORECASE)  # equal in JavaScript's strings


def _resource(name: str) -> str:
    return files("ashtune._src.reports.page").joinpath(name).read_text(encoding="utf-8")


def _row(cells: Sequence[str], cell: str = "td", *, is_bold: bool = False) -> str:
    shown = [f"<b>{escaped(text)}</b>" if is_bold else escaped(text) for text in cells]
    return f"<tr>{''.join(f'<{cell}>{text}</{cell}>' for text in shown)}</tr>"


def _plain(cell: object) -> str:
    from rich.text import Text

    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain
