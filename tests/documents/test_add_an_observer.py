"""The page ``docs/how-to/add-an-observer.md`` is carried out as it stands: its files are written,
tested and used.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from ashtune._src.core.events import JobFinished
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.how_to import Page

pytestmark = pytest.mark.thorough


@pytest.fixture
def page(tmp_path: Path) -> Page:
    page = Page("add-an-observer", tmp_path)
    page.install()
    return page


def check(study: Path) -> None:
    """Compare the observer's file with the journal: who has a result above a rung was promoted from
    it.
    """
    results = [event for event in read_events(study / NAME) if isinstance(event, JobFinished)]
    promoted = Counter(event.rung - 1 for event in results if event.rung)
    assert json.loads((study / "promotions.json").read_text()) == {
        str(rung): count for rung, count in promoted.items()
    }


def test_the_example_observer_of_the_guide_passes_its_tests(page: Page) -> None:
    assert " passed" in page.test("test_promotions.py")


def test_the_example_observer_counts_all_promotions_of_a_resumed_study(page: Page) -> None:
    page.run("tune.py")
    [study] = (page.folder / "runs").iterdir()
    check(study)
    before = json.loads((study / "promotions.json").read_text())
    page.run(
        "-m",
        "ashtune",
        "resume",
        str(study),
        "--trials",
        "32",
        "--observers",
        "promotions",
        "--quiet",
    )
    check(study)
    after = json.loads((study / "promotions.json").read_text())
    assert sum(after.values()) > sum(before.values()) > 3
