"""The report of a real study, opened in a real browser."""

import html
import json
import re
from pathlib import Path

import pytest

import ashtune
from ashtune._src.demo import objective
from tests.helpers.chromium import CHROMIUM, Visit

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    study = ashtune.tune(
        objective.train, objective.space(), metric="accuracy", mode="max", trials=256, max_resource=16,
        search="random", directory=folder / "study", quiet=True,
        engine=ashtune.Local(threads=1, profile=True),
    )  # fmt: skip
    study.report_html(folder / "report.html")
    return folder / "report.html"


def figures_of(page: Path) -> dict[str, dict[str, object]]:
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page.read_text(), re.DOTALL)
    figures: dict[str, dict[str, object]] = json.loads(data)
    return figures


def test_a_page_of_256_trials_is_under_6_megabytes_and_asks_for_nothing_else(page: Path) -> None:
    text = page.read_text()
    assert page.stat().st_size < 6e6
    outside = re.findall(r"<(?:link|img|script|iframe)[^>]+(?:src|href)=", text.split("plotly.js v")[0])
    assert outside == []


def test_every_figure_is_drawn_without_a_complaint(page: Path, tmp_path: Path) -> None:
    count = (
        "document.title = JSON.stringify([...document.querySelectorAll('.figure')].map(function (f) {"
        "return [f.id, f.querySelectorAll('.trace, .bars .point, .parcoords, .hm image').length]}));"
    )
    visit = Visit(page, tmp_path, script=count)
    assert visit.complaints == []
    title = html.unescape(re.findall("<title>(.*?)</title>", visit.dom)[0])
    drawn = dict(json.loads(title))
    assert sorted(drawn) == sorted(figures_of(page))
    assert len(drawn) >= 10
    assert [name for name, traces in drawn.items() if not traces] == []


def test_nothing_is_wider_than_a_phone_and_tables_scroll_in_themselves(page: Path, tmp_path: Path) -> None:
    measure = "document.title = document.documentElement.scrollWidth + ' of ' + window.innerWidth;"
    visit = Visit(page, tmp_path, width=500, script=measure)  # the least that headless Chromium makes a window
    title = html.unescape(re.findall("<title>(.*?)</title>", visit.dom)[0])
    wide, window = map(int, title.split(" of "))
    assert wide <= window
