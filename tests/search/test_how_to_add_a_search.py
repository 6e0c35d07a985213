"""The page ``docs/how-to/add-a-search.md`` is carried out as it stands: its files are written,
tested and used.
"""

from pathlib import Path

import pytest

from ashtune._src.analysis.study_reader import StudyReader
from tests.helpers.how_to import Page
from tests.helpers.studies import started

pytestmark = [pytest.mark.thorough, pytest.mark.slow]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    page = Page("add-a-search", tmp_path)
    assert page.files() == ["mirrored.py", "test_searches.py", "tune.py", "walking.py"]
    return page


def test_the_example_searches_in_the_guide_pass_the_tests_in_the_guide(page: Page) -> None:
    assert "3 passed" in page.test("test_searches.py")


def test_the_example_script_and_command_of_the_search_guide_work(page: Page) -> None:
    page.run("tune.py")
    [study] = (page.folder / "runs").iterdir()
    assert StudyReader(study).settings.search == {"kind": "mirrored:Mirrored"}
    widths = [each.configuration["width"] for each in started(study)]
    assert [first + second for first, second in zip(widths[::2], widths[1::2], strict=True)] == [
        10
    ] * 4

    (page.folder / "space.py").write_text(
        'import time\nfrom tune import train as fast\nspace = {"rate": (0.0, 1.0)}\n'
    )
    with (page.folder / "space.py").open("a") as file:
        file.write("def train(trial):\n    time.sleep(0.01)\n    fast(trial)\n")
    command = [
        "-m",
        "ashtune",
        "run",
        "space.py:train",
        "--search",
        "walking:Walking",
        "--metric",
        "loss",
        "--mode",
        "min",
    ]
    page.run(
        *command,
        "--trials",
        "60",
        "--max-resource",
        "1",
        "--workers",
        "1",
        "--directory",
        "walk",
        "--quiet",
    )
    assert any(each.origin.startswith("one step from ") for each in started(page.folder / "walk"))


def test_an_installed_search_is_known_by_the_name_of_its_entry_point(page: Page) -> None:
    name = page.install()
    code = (
        f"from ashtune._src.search.search_registry import SEARCHES; "
        f"print(SEARCHES.record(SEARCHES.part({name!r})))"
    )
    assert page.run("-c", code) == "{'kind': 'mirrored'}\n"
