"""The page ``docs/how-to/add-a-report-section.md`` is carried out: its files are written, tested
and used.
"""

import json
from pathlib import Path

import pytest

from tests.helpers.how_to import Page
from tests.helpers.saved_page import sections

pytestmark = pytest.mark.thorough

SIMULATE = (
    "simulate",
    "--trials",
    "16",
    "--rungs",
    "1,2,4",
    "--workers",
    "2",
    "--directory",
    "study",
)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    page = Page("add-a-report-section", tmp_path)
    assert page.files() == ["test_waits.py", "waits.py"]
    return page


@pytest.mark.slow
def test_the_example_report_section_of_the_guide_passes_its_tests(page: Page) -> None:
    assert "2 passed" in page.test("test_waits.py")


def test_the_example_report_section_appears_in_every_report(page: Page) -> None:
    page.run("-m", "ashtune", *SIMULATE)
    report = ("-m", "ashtune", "report", "study")
    assert "How long trials waited" not in page.run(*report)
    assert page.install() == "waits"
    assert "\n\nHow long trials waited to continue\n  The median wait of" in page.run(*report)
    data = json.loads(page.run(*report, "--json"))
    assert data["sections"]["waits"].keys() == {"1", "2"}
    assert all(wait >= 0 for wait in data["sections"]["waits"].values())
    page.run(*report, "--html", "page.html")
    assert "How long trials waited to continue" in sections(page.folder / "page.html")
