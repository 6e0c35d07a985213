"""The page's parts: what comes from a study is text, and figures cannot end their script."""

import json
import re

from rich.table import Table

from ashtune._src.reports.page import html
from ashtune._src.reports.plot import blank, go

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def whole_page() -> str:
    figure = blank(x=EVIL)
    figure.add_trace(go().Scatter(x=[1, 2], y=[3, 4], name=EVIL))
    table = Table(show_footer=True)
    table.add_column(EVIL, footer=EVIL)
    table.add_row(EVIL)
    blocks = [html.words(EVIL), html.cards({EVIL: EVIL}), html.pairs({EVIL: EVIL}), html.table(table)]
    blocks += [html.folded(EVIL, EVIL), html.figures(one=figure), html.legend({EVIL: '"><script>alert(3)</script>'})]
    return html.page(EVIL, [html.words(EVIL)], [html.section("s", EVIL, blocks)], footer=EVIL)


def test_nothing_of_a_study_becomes_markup() -> None:
    page = whole_page()
    assert "<img src=x" not in page
    assert "alert(1)</script>" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert len(re.findall("<script", page)) == 3, "data, plotly and the page's own"


def test_a_command_between_backticks_and_a_text_of_several_lines_look_so() -> None:
    assert html.words("Run `ashtune <x>`.").html == "<p>Run <code>ashtune &lt;x&gt;</code>.</p>"
    assert "<pre>a\n  b &lt;</pre>" in html.folded("why", "a\n  b <").html


def test_the_figures_data_reads_back_as_it_was() -> None:
    page = whole_page()
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    figure = json.loads(data)["figure-one"]
    assert figure["data"][0]["name"] == EVIL
    assert figure["data"][0]["y"] == [3, 4]
    assert 'id="figure-one"' in page


def test_a_table_of_the_terminal_keeps_its_cells_header_and_footer() -> None:
    table = Table(show_footer=True)
    table.add_column("to epoch", "in all")
    table.add_column("time", "3 s")
    table.add_row("1", "[bold]2 s[/bold]")
    block = html.table(table).html
    assert "<th>to epoch</th><th>time</th>" in block
    assert "<td>1</td><td>2 s</td>" in block
    assert "<th>in all</th><th>3 s</th>" in block


def test_what_nobody_sees_is_shown_as_its_escape_in_text_and_figures() -> None:
    named = "a\u202eb\x1b[31m\u2028 \\u202e \\ é"
    figure = blank(x=named)
    figure.add_trace(go().Scatter(x=[1], y=[2], name=named))
    page = html.page(named, [], [html.section("s", named, [html.figures(one=figure)])], footer=named)
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    drawn = json.loads(data)["figure-one"]
    assert drawn["data"][0]["name"] == "a\\u202eb\\u001b[31m\\u2028 \\u202e \\ é"
    assert "<h1>a\\u202eb\\x1b[31m\\u2028 \\u202e \\ é</h1>" in page
