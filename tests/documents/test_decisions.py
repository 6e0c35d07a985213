"""The records of decisions and their index agree with each other."""

import re

from tests.helpers import pages

FOLDER = pages.ROOT / "docs" / "decisions"
NAMES = sorted(path.name for path in FOLDER.glob("*.md") if path.name != "README.md")


def ends(text: str) -> list[str]:
    """Return what a status line, or a line of the index, says of the end of a decision."""
    said = re.findall(
        r"no longer true|partly|replaced by\s[^:.*]+", re.sub(r"\[(\d+)\]\(.+?\)", r"\1", text)
    )
    return [" ".join(part.split()) for part in said]


def test_the_index_of_decisions_has_each_record_once() -> None:
    index = re.findall(
        r"^- \[(\d+)\]\((.+?)\): .+\.$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(name for _, name in index) == NAMES
    assert [number for number, name in index if int(name[:4]) != int(number)] == []


def test_the_index_and_the_status_lines_name_the_same_replaced_decisions() -> None:
    lines = dict(
        re.findall(r"^- \[\d+\]\((.+?)\): (.+)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    )
    status = {
        name: re.search(
            r"\n\n(\*Accepted, [\d-]{10}.*?\*)\n", (FOLDER / name).read_text(), re.DOTALL
        )
        for name in NAMES
    }
    assert [name for name, found in status.items() if found is None] == []
    assert {name: ends(found[1]) for name, found in status.items() if found} == {
        name: ends(lines[name]) for name in NAMES
    }


def test_each_decision_mentioned_in_src_has_a_record() -> None:
    text = "\n".join(path.read_text() for path in sorted((pages.ROOT / "src").rglob("*.py")))
    numbered = re.findall(r"decision (\d+)(?: \(docs/decisions/(.+?)\))?", text, re.IGNORECASE)
    assert len(numbered) > 50
    assert set(re.findall(r"docs/decisions/([\w-]+\.md)", text)) - set(NAMES) == set()
    records = {int(name[:4]): name for name in NAMES}
    for number, name in numbered:
        assert int(number) in records, number
        assert name in {"", records[int(number)]}, number
