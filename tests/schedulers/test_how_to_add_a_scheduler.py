"""The page ``docs/how-to/add-a-scheduler.md`` is carried out as it stands: its files are written,
tested and used.
"""

from pathlib import Path

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from tests.helpers.how_to import Page

pytestmark = [pytest.mark.thorough, pytest.mark.slow]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    page = Page("add-a-scheduler", tmp_path)
    assert page.files() == ["delayed.py", "test_delayed.py", "tune.py"]
    return page


def test_the_example_scheduler_in_the_guide_passes_the_test_in_the_guide(page: Page) -> None:
    assert "1 passed" in page.test("test_delayed.py")


def test_the_example_scheduler_in_the_guide_works_in_tune_and_plan(page: Page) -> None:
    page.run("tune.py")
    [study] = (page.folder / "runs").iterdir()
    loaded = ashtune.Study.load(study)
    assert StudyReader(study).settings.scheduler == {"kind": "delayed:Delayed", "slack": 1}
    missing = "the scheduler 'delayed:Delayed' is not installed here"
    assert missing in loaded.report_data()["missing"]
    whole = (
        f"import delayed, ashtune; "
        f"print(ashtune.Study.load({str(study)!r}).report_data()['missing'])"
    )
    assert page.run("-c", whole) == "None\n"
    plan = ("-m", "ashtune", "plan", "--trials", "12", "--max-resource", "4", "--scheduler")
    assert "delayed:Delayed:slack=1, 12 trials" in page.run(*plan, "delayed:Delayed:slack=1")

    assert "delayed, 12 trials" in page.run(*plan, page.install())
