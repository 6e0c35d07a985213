"""The records of decisions and their index agree with each other."""

import re

from tests.helpers import pages

FOLDER = pages.ROOT / "docs" / "decisions"
NAMES = sorted(path.name for path in FOLDER.glob("*.md") if path.name != "README.md")


def test_the_index_of_decisions_has_each_record_once() -> None:
    index = re.findall(r"^- \[(\d+)\]\((.+?)\): .+\.$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for _, name in index) == NAMES
    assert [number for number, name in index if int(name[:4]) != int(number)] == []
