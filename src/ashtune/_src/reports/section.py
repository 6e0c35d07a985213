"""Sections of a report. A section shows one subject: blocks for the page, lines for the terminal,
and data for JSON.

A report creates each section for one study. A section names in ``uses`` the analyses that it shares
with other sections. A section may add its own observers (``observe``). All observers see the whole
journal before the report calls ``blocks``, ``lines`` or ``data``.

Rule 1: an analysis sees the journal only once, even if several sections use the analysis.
Rule 2: if the code of a section raises, the report shows one line about the error in place of this
section.
Rule 3: any data of a study are shown as text, without markup. The page shows the texts of blocks as
text, and the summary shows a ``str`` without markup.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.observer import Observer
from ashtune._src.reports.html import Block

if TYPE_CHECKING:
    from rich.console import RenderableType

ANALYSES: Mapping[str, type[Observer]] = {
    "tally": Tally, "trials": Trials, "timeline": Timeline, "results": Results, "curves": Curves,
}  # fmt: skip
"""The analyses that sections share, by the names of the study's attributes."""
ObserverT = TypeVar("ObserverT", bound=Observer)


class Section:
    """The base class of all sections. A derived class overrides ``blocks``, ``lines`` or ``data``.

    ``name`` is the section's key in JSON. It has lower-case letters, digits and hyphens. If another
    package adds a section, its name is the name of the entry point. ``title`` is the section's
    heading. ``uses`` names the shared analyses that the section reads, so that one reading of the
    journal tells them all. If ``shows_live`` is True,
    the section's lines need only the tally, and the summary after a session shows these lines. If
    ``needs_result`` is True and the study has no result, a report leaves the section out.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    uses: ClassVar[Sequence[str]] = ()
    shows_live: ClassVar[bool] = False
    needs_result: ClassVar[bool] = False

    def __init__(self, study: StudyReader) -> None:
        self.study = study
        self.observers: list[Observer] = []

    def observe(self, observer: ObserverT) -> ObserverT:
        """Add an observer of this section, and return the observer. The observer sees all events of
        the study.
        """
        self.observers.append(observer)
        return observer

    def blocks(self) -> Iterable[Block]:
        """Return the section's blocks for the live page. A section without blocks is left out of
        the page.
        """
        return ()

    def lines(self) -> Iterable["str | RenderableType"]:
        """Return the section's lines for the summary. A line is a text, or any object that rich can
        render.
        """
        return ()

    def data(self) -> Mapping[str, Any]:
        """Return the section's data for the JSON report."""
        return {}
