"""The pages of a study whose names, values and exceptions are made to break them."""

import re
from pathlib import Path

import pytest

from ashtune._src.api.study import Study
from ashtune._src.cli.main import main
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.space.space import Space
from ashtune.testing.section_suite import HOSTILE, hostile
from tests.helpers.html_parts import Parts
from tests.helpers.made_up import MadeUpStudy, write_journal
from tests.helpers.saved_page import texts

EXPECTED_SCRIPTS = 3


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hostile")
    study = MadeUpStudy(Ladder(1, 4, 2), 60, 3, seed=3, trouble=0.3)
    steps = [(kind, hostile(what) if kind == "event" else what) for kind, what in study]  # type: ignore[arg-type]
    space = dict(Space.parse({"x": (0.0, 1.0), "kind": ["plain", HOSTILE]}).to_record())
    directory = write_journal(
        folder / "study",
        study,
        steps,
        ashtune=HOSTILE,
        name=HOSTILE,
        goal=Goal(HOSTILE, "min"),
        space=space,
    )
    Study.load(directory).report_html(folder / "report.html")
    asked = ("--workers", "1,2", "--draws", "0", "--html", str(folder / "whatif.html"))
    assert main(["whatif", str(directory), *asked]) == 0
    return {"report": folder / "report.html", "whatif": folder / "whatif.html"}


@pytest.mark.parametrize("name", ["report", "whatif"])
def test_html_in_the_texts_of_a_study_is_escaped_on_all_pages(
    pages: dict[str, Path], name: str
) -> None:
    page = pages[name].read_text()
    parts = Parts(page)
    assert parts.tags.count("script") == EXPECTED_SCRIPTS
    assert "img" not in parts.tags
    assert not parts.handlers
    assert HOSTILE in texts(pages[name]), "it is there, as text"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", page)
