"""All sections of this package pass the suite that any section has to pass; broken ones do not."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from rich.text import Text

from ashtune._src.core.plaintext import visible
from ashtune._src.reports import html
from ashtune._src.reports.profile import ProfileSection
from ashtune._src.reports.report import BUILT_IN
from ashtune._src.reports.roofline_section import RooflineSection
from ashtune._src.reports.tables import bare_table
from ashtune._src.reports.view import Section
from ashtune.testing.section_suite import check_section


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [kind for kind in BUILT_IN if kind not in (RooflineSection, ProfileSection)],
    ids=lambda kind: str(kind.name),
)
def test_each_built_in_report_section_passes_the_section_suite(kind: type[Section]) -> None:
    check_section(kind)


class Small(Section):
    """Passes; each broken one below differs in one thing."""

    name, title = "small", "Small"
    uses = ("tally", "trials")
    shows_live = True

    def text(self) -> str:
        return ", ".join(
            f"{group.count} x {group.reason}" for group in self.study.tally.failures.groups()
        )

    def blocks(self) -> Iterable[html.Block]:
        return [html.words(self.text() or f"No {self.study.unit} failed.")]

    def lines(self) -> Iterable[Any]:
        return [self.text()]

    def value(self) -> Mapping[str, Any]:
        return {"failures": self.text()}


class BadName(Small):
    name = "Not an anchor"


class Markup(Small):
    def blocks(self) -> Iterable[html.Block]:
        table = bare_table()
        table.add_column(visible(self.text()))
        return [html.table(table)]


class TerminalMarkup(Small):
    def lines(self) -> Iterable[Any]:
        return [Text.from_markup(self.text())]


class Invisible(Small):
    def blocks(self) -> Iterable[html.Block]:
        return [html.Block(texts=[self.text()])]


class NeedsAResult(Small):
    def lines(self) -> Iterable[Any]:
        return [str(self.study.tally.best.loss)]  # type: ignore[union-attr]  # what is broken of it


class NeedsOrders(Small):
    def lines(self) -> Iterable[Any]:
        return [str(self.study.scheduler.machine.ladder)]  # type: ignore[union-attr]  # what is broken of it


class Unnamed(Small):
    shows_live = False

    def lines(self) -> Iterable[Any]:
        return [str(self.study.curves.total)]


class NotLive(Small):
    def lines(self) -> Iterable[Any]:
        return [str(len(self.study.trials))]


class Epochs(Small):
    def lines(self) -> Iterable[Any]:
        return [f"{self.study.tally.epochs} epochs"]


class Changes(Small):
    def lines(self) -> Iterable[Any]:
        self.asked = getattr(self, "asked", 0) + 1
        return [f"asked {self.asked} times"]


class NoData(Small):
    def value(self) -> Mapping[str, Any]:
        return {"tally": self.study.tally}


class Writes(Small):
    def value(self) -> Mapping[str, Any]:
        (self.study.directory / "small.txt").touch()
        return {}


class Empty(Section):
    name, title = "empty", "Empty"


def test_a_minimal_report_section_passes_the_section_suite() -> None:
    check_section(Small)


def test_a_section_may_use_an_analysis_that_it_did_not_declare() -> None:
    check_section(Unnamed)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (BadName, "a name may have only"),
        (Markup, "the markup in a user's text was not escaped"),
        (TerminalMarkup, "the markup in a user's text was not escaped"),
        (Invisible, "an invisible character"),
        (NeedsAResult, "'NoneType' object has no attribute 'loss'"),
        (NeedsOrders, "'NoneType' object has no attribute 'ladder'"),
        (NotLive, "a section with shows_live=True may use only study.tally, not Trials"),
        (Epochs, "the study counts trees, not epochs"),
        (Changes, "a second call returns different lines"),
        (NoData, "Encoding objects of type Tally is unsupported"),
        (Writes, "a section must not write a file into the study"),
        (Empty, "the section shows nothing of any study"),
    ],
)
def test_the_section_suite_detects_each_broken_section(kind: type[Section], message: str) -> None:
    with pytest.raises((AssertionError, AttributeError, RuntimeError, TypeError), match=message):
        check_section(kind)
