"""The pages of a hostile study, opened in a real browser: nothing of the study runs there."""

import html
import re
import sys
from pathlib import Path

import pytest
from chromium import CHROMIUM, Visit

sys.path.append(str(Path(__file__).parents[1] / "reports"))

from test_hostile_study import EXPECTED_SCRIPTS, pages

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
__all__ = ["pages"]


@pytest.mark.parametrize("name", ["report", "whatif"])
def test_a_browser_runs_nothing_of_a_hostile_study_and_draws_its_figures(
    pages: dict[str, Path], name: str, tmp_path: Path
) -> None:
    ask = (
        "document.title = [document.pwned, document.scripts.length, document.querySelectorAll('img').length,"
        "document.querySelectorAll('.figure .main-svg').length > 0].join();"
    )
    visit = Visit(pages[name], tmp_path, script=ask)
    assert visit.complaints == []
    title = html.unescape(re.findall("<title>(.*?)</title>", visit.dom)[0])
    assert title == f",{EXPECTED_SCRIPTS + 1},0,true", "the fourth script is this test's question"
