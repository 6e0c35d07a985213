"""A report walks over its sections. One that fails is left out with a line that says so, and all
others come.
"""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Group

from ashtune._src.analysis.study_reader import Outcome, StudyReader
from ashtune._src.api.study import Study
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports import html
from ashtune._src.reports.report import BUILT_IN, sections, summary
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.reports.view import Section
from tests.helpers.made_up import MadeUpStudy, write_journal
from tests.helpers.saved_page import answer
from tests.helpers.saved_page import sections as sections_of

LADDER = Ladder(1, 8, 2)
MODULE = """
from ashtune.observers import Observer
from ashtune._src.reports import html
from ashtune._src.reports.view import Section


class Workers(Observer):
    def begin(self, study, position):
        self.study, self.joined, self.has_ended = study.name, 0, False

    def event(self, event):
        self.joined += type(event).__name__ == "WorkerJoined"

    def end(self):
        self.has_ended = True


class Good(Section):
    name, title = "good", "Workers of <b>others</b>"
    uses = ("tally",)

    def __init__(self, study):
        super().__init__(study)
        self._workers = self.observe(Workers())

    def text(self):
        assert self._workers.has_ended
        return (
            f"{self._workers.joined} [bold]workers[/bold] of {self._workers.study}, {self.study.tally.tried} trials"
        )

    def blocks(self):
        return [html.words(self.text())]

    def lines(self):
        yield self.text()

    def value(self):
        return {"joined": self._workers.joined}


class Bad(Section):
    title = "Not there"

    def blocks(self):
        return [html.words("never shown")]

    def lines(self):
        return ["never shown"]

    def value(self):
        return {"never": "shown"}


class Raises(Bad):
    def blocks(self):
        yield html.words("never shown")
        raise ValueError("no\\nblocks")

    def lines(self):
        raise ValueError("no lines")

    def value(self):
        raise ValueError("no data")


class Unmade(Bad):
    def __init__(self, study):
        raise KeyError("unmade")


class Deaf(Bad):
    def __init__(self, study):
        super().__init__(study)
        observer = self.observe(Observer())
        observer.event = lambda event: 1 / 0


class Odd(Bad):
    uses = ("weather",)


class Unknown(Bad):
    def blocks(self):
        return [object()]

    def lines(self):
        return [object()]

    def value(self):
        return {"object": object()}
"""
LEFT_OUT = {
    "raises": ("ValueError: no blocks", "ValueError: no lines", "ValueError: no data"),
    "unmade": ("KeyError: 'unmade'",) * 3,
    "deaf": ("ZeroDivisionError: division by zero",) * 3,
    "odd": ("KeyError: 'weather'",) * 3,
    "unknown": ("object", "object", "object"),
    "absent": ("it cannot be imported (ModuleNotFoundError: No module named 'nowhere')",) * 3,
    "best (sections_of_others:Good)": (
        "ashtune already has a section best; give this section another name",
    )
    * 3,
    "number": ("is not a section; derive its class from ashtune.sections.Section",) * 3,
}
"""What is said of each on the page, in the terminal and in JSON."""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.load(write_journal(tmp_path / "study", MadeUpStudy(LADDER, 24, 3, seed=2)))


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with a section that works, and many that do not."""
    (tmp_path / "sections_of_others.py").write_text(MODULE)
    information = tmp_path / "sections_of_others-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sections_of_others\nVersion: 1\n"
    )
    names = ["good", "raises", "unmade", "deaf", "odd", "unknown"]
    lines = [f"{name} = sections_of_others:{name.capitalize()}" for name in names]
    lines += ["absent = nowhere:Absent", "number = math:pi", "best = sections_of_others:Good"]
    (information / "entry_points.txt").write_text(
        "[ashtune.report_sections]\n" + "\n".join(lines) + "\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def page_of(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Return the blocks of each section of the page, by its heading, in its order."""
    file = study.directory / "page.html"
    study.report_html(file)
    return sections_of(file)


def text_of(study: Study) -> str:
    study.report(stream := io.StringIO())
    return stream.getvalue()


def test_built_in_report_sections_appear_in_a_fixed_order(study: Study) -> None:
    assert list(page_of(study)) == ["Time by rung", "What made training slow", "The run"]
    assert not study.report_data()["left_out"]
    assert "left out" not in text_of(study)


def test_a_section_of_another_package_precedes_the_last_built_in_section(
    study: Study, others: None
) -> None:
    page, text = page_of(study), text_of(study)
    expected = "3 [bold]workers[/bold] of digits, 24 trials"
    assert list(page)[-1] == "The run"
    assert page["Workers of <b>others</b>"] == [{"texts": [expected]}]
    assert f"\n\n{expected}\n\n" in text
    assert "saved in" in text.split(expected)[1]
    assert study.report_data()["sections"]["good"] == {"joined": 3}


def test_another_package_cannot_replace_a_built_in_section(study: Study, others: None) -> None:
    assert sections()["best"] is BUILT_IN[0]


def test_a_report_leaves_out_a_section_that_raises_an_error(
    study: Study, others: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, text, data = page_of(study), text_of(study), study.report_data()
    assert set(data["left_out"]) == set(LEFT_OUT)
    sections = answer(study.directory / "page.html", "report")["sections"]
    said = [
        text
        for section in sections
        for block in section["blocks"]
        for text in block.get("texts", ())
    ]
    left_out = [text for text in said if text.startswith("Left out: ")]
    assert len(left_out) == len(LEFT_OUT)
    for name, (on_page, in_terminal, in_json) in LEFT_OUT.items():
        assert any(on_page in line for line in left_out)
        (line,) = [part for part in text.split("\n\n") if part.startswith(f"{name} is left out")]
        assert in_terminal in " ".join(line.split())
        assert in_json in data["left_out"][name]
    for shown in (str(page), text, str(data["sections"])):
        assert "never shown" not in shown
    monkeypatch.undo()
    own = page_of(study)
    assert {name: page[name] for name in own} == own
    assert data["sections"]["cost"] == study.report_data()["sections"]["cost"]


def test_a_live_summary_shows_only_sections_that_need_only_the_tally(
    study: Study, others: None
) -> None:
    reader = StudyReader(study.directory)
    outcome = Outcome(is_complete=False, stopped="SIGTERM received")
    live = StudyReader(study.directory, tally=reader.tally, outcome=outcome)
    text = as_text(summary(live))
    assert "stopped: SIGTERM received" in text.splitlines()[0]
    for there in ("best  accuracy", "Time by rung", "continue with: ashtune resume"):
        assert there in text
    assert "left out" not in text and "workers of digits" not in text
    with pytest.raises(
        RuntimeError,
        match=r"a section with shows_live=True may use only study\.tally, not Curves",
    ):
        _ = live.curves


def test_a_section_without_its_own_terminal_text_prints_its_page_blocks(study: Study) -> None:
    class Plain(Section):
        name = "plain"
        title = "A plain [b]section[/b]"

        def blocks(self) -> list[html.Block]:
            table = html.Block(
                columns=["kind", "[b]count"], rows=[("one", "7"), ("three", "1,024")], bold=[1]
            )
            return [html.words("First."), html.words("Bad.", is_bad=True), table]

    class Empty(Section):
        name = title = "empty"

        def blocks(self) -> list[html.Block]:
            return [html.words("")]

    drawn = as_text(Group(*Plain(study._reader).lines()))
    assert drawn.splitlines() == [
        "A plain [b]section[/b]",
        "  First.",
        "  Bad.",
        "  kind   [b]count",
        "  one           7",
        "  three     1,024",
    ]
    assert list(Empty(study._reader).lines()) == []
