"""Views of a study. All objects that show something about a study and have a name implement the
same protocol.

A view is made for one study, and its ``value`` is plain data. There are three kinds of views.

    kind         made                      told events   used by
    Section      for each report           if it asks    terminal, ``--json``, pages, notebook, MCP
    asked view   for each question         no            live page, saved page, MCP
    part         once, while page follows  yes           live page, saved page, MCP

The asked views are in ``dashboard/asked_views.py``, the parts in ``dashboard/parts``.

Rule 1: an analysis receives the events of the journal only once, even if several views use the
analysis.
Rule 2: if the code of a view raises, one line about the error is shown in place of this view. Other
views are shown as usual.
Rule 3: any data of a study are shown as text, without markup. The page shows the texts of blocks as
text, and the summary shows a ``str`` without markup.
"""

# Decision 27 (docs/decisions/0027-report-sections.md) and decision 87
# (docs/decisions/0087-one-protocol-of-views.md).

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
from ashtune._src.reports.tables import BAD, HEADING, block_table, indented, line

if TYPE_CHECKING:
    from rich.console import RenderableType

ANALYSES: Mapping[str, type[Observer]] = {
    "tally": Tally, "trials": Trials, "timeline": Timeline, "results": Results, "curves": Curves,
}  # fmt: skip
"""The analyses that views share, by the names of the study's attributes."""
Parameters = Mapping[str, Sequence[str]]
"""The parameters of a question, as a dict from each name to the texts that were given for it."""
ObserverT = TypeVar("ObserverT", bound=Observer)


class View:
    """The base class of all views.

    ``name`` is the key of the view: in JSON, in the page's messages and in questions.
    If ``needs_result`` is True, the view is left out as long as the study has no result.

    Args:
        study: The study to show.
    """

    name: ClassVar[str]
    needs_result: ClassVar[bool] = False

    def __init__(self, study: StudyReader) -> None:
        self.study = study

    def value(self) -> Mapping[str, Any]:
        """Return the view's data, in types that JSON can encode."""
        return {}


class Section(View):
    """The base class of all sections. A section shows one subject in a report: blocks for the page,
    lines for the terminal, and a value for JSON. A derived class overrides ``blocks``, ``lines`` or
    ``value``.

    ``name`` has lower-case letters, digits and hyphens. If a package adds a section by an entry
    point, the section has the name of the entry point. ``title`` is the section's heading. ``uses``
    has the names of the shared analyses that the section needs. Then one reading of the journal is
    enough for all analyses. All observers see the whole journal before the report calls ``blocks``,
    ``lines`` or ``value``. If ``shows_live`` is True, the section's lines need only the tally, and
    the summary after a session shows these lines.
    """

    title: ClassVar[str]
    uses: ClassVar[Sequence[str]] = ()
    shows_live: ClassVar[bool] = False

    def __init__(self, study: StudyReader) -> None:
        super().__init__(study)
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

        By default, the lines are the title, and the texts and tables of the blocks. A section whose
        blocks are too long for a terminal overrides this method.
        """
        blocks = [block for block in self.blocks() if block.texts or block.rows]
        if blocks:
            yield line(self.title, HEADING)
        for block in blocks:
            style = BAD if block.is_bad else ""
            yield from (indented(line(text, style)) for text in block.texts)
            if block.rows:
                yield indented(block_table(block))
