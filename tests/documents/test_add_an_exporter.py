"""The page ``docs/how-to/add-an-exporter.md`` is carried out as it stands: its files are written,
tested and used.
"""

from pathlib import Path

import pytest

import ashtune
from tests.helpers.how_to import Page
from tests.helpers.studies import finished, tuned

pytestmark = pytest.mark.thorough


@pytest.fixture
def page(tmp_path: Path) -> Page:
    page = Page("add-an-exporter", tmp_path)
    page.install()
    return page


def test_the_example_exporter_of_the_guide_passes_its_tests(page: Page) -> None:
    assert " passed" in page.test("test_results_page.py")


def test_the_example_exporter_writes_each_result_once_in_two_exports(page: Page) -> None:
    study: ashtune.Study = tuned(page.folder)
    for _ in range(2):
        printed = page.run("-m", "ashtune", "export", "study", "--to", "page", "--out", "copy.md")
        assert printed == "copy.md\n"
        rows = (page.folder / "copy.md").read_text().splitlines()
        assert rows[0] == "| trial | configuration | epoch | score |"
        assert [row.split(" | ")[0] for row in rows[2:]] == [
            f"| {event.trial}" for event in finished(study)
        ]
