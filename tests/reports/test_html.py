"""The blocks of a page, and the file that has them: what comes from a study is text, and cannot end
its element.
"""

import math
import re
from pathlib import Path

from rich.table import Table

from ashtune._src.dashboard.one_file import blocks_page
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.reports import html
from tests.helpers.html_parts import Parts
from tests.helpers.saved_page import saved

EVIL = "</script><!--<script>alert(1)</script><img src=x onerror=alert(2)>\u202e\u2028"


def test_text_of_a_study_cannot_end_the_script_of_a_saved_page(tmp_path: Path) -> None:
    figure = Figure(
        x=Axis(name=EVIL),
        series=[Series(kind="line", x=[1, 2], y=[3, math.nan], color="", name=EVIL)],
    )
    table = Table(EVIL)
    table.add_row(EVIL)
    blocks = [
        html.words(EVIL),
        html.pairs({EVIL: EVIL}),
        html.table(table),
        html.figures(**{EVIL: figure}),
    ]
    (tmp_path / "page.html").write_text(blocks_page(EVIL, [html.PageSection(EVIL, blocks)]))
    page = (tmp_path / "page.html").read_text()
    data = saved(tmp_path / "page.html")
    assert data["title"] == data["sections"][0]["title"] == EVIL
    line = data["sections"][0]["blocks"][3]["figures"][EVIL]["series"][0]
    assert (line["name"], line["y"]) == (EVIL, [3, None]), "a browser reads no NaN"
    assert page.isascii() or not re.search("[\u202e\u2028]", page)
    assert Parts(page).tags.count("script") == 3, "the modules, the data, and the first import"
    assert "img" not in Parts(page).tags
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", page), "the file asks for no other"


def test_a_terminal_table_converted_to_html_keeps_header_cells_and_footer() -> None:
    table = Table(show_footer=True)
    table.add_column("to epoch", "in all")
    table.add_column("time", "3 s")
    table.add_row("1", "[bold]2 s[/bold]")
    block = html.table(table)
    assert (block.columns, block.rows) == (["to epoch", "time"], [("1", "2 s"), ("in all", "3 s")])
    assert block.bold == [1]
    assert "<td><b>in all</b></td>" in html.table_html(table)


def test_invisible_characters_are_shown_as_escapes() -> None:
    block = html.words("a\u202eb\x1b[31m\u2028 \\u202e \\ é <b>", "")
    assert block.texts == ["a\\u202eb\\x1b[31m\\u2028 \\u202e \\ é <b>"]
    assert html.escaped("<b>\u202e") == "&lt;b&gt;\\u202e"
