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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ashtune._src.analysis.expected import Expected
from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import ObserverT, Outcome, StudyInfo
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.trials import Trials, trials_of
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.reports.html import Block
from ashtune._src.study.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

Analysis = Literal["tally", "trials", "timeline", "results", "curves"]


class ReportedStudy:
    """A study with the data and analyses that the sections of its report read.

    Args:
        settings: The study's settings.
        ladder: The study's rungs, including the rungs that were added later.
        info: Further facts that views need.
        tally: The present counts of a study that is running or just ended. If the tally is given,
            no journal is read, and sections have no analysis except the tally.
        outcome: The study's end. By default the outcome is read from the journal.
    """

    def __init__(
        self,
        settings: Settings,
        ladder: Ladder,
        info: StudyInfo,
        *,
        tally: Tally | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        self.settings = settings
        self.ladder = ladder
        self.info = info
        self.outcome = outcome or Outcome()
        self.is_live = tally is not None
        """Whether the tally is the only analysis of the study."""
        self.observers: list[Observer] = []
        """The analyses that sections use."""
        self.is_replayed = False
        """Whether the journal has been read; an analysis created later would not see it."""
        if tally is not None:
            self.tally = tally
            self.is_replayed = True

    @property
    def goal(self) -> Goal:
        """The study's metrics, and for each metric whether larger or smaller values are better."""
        return self.settings.goal

    @property
    def unit(self) -> str:
        """The unit of the resource, in the singular."""
        return self.info.unit

    @property
    def directory(self) -> Path:
        """The study's directory."""
        return Path(self.info.directory)

    @property
    def expected(self) -> Sequence[Expected] | None:
        """The number of trials expected at each rung, or None. Uses the tally."""
        return self.info.expected(self.tally)

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        """Return the configuration of a trial. If the report reads a journal, this method uses
        ``trials``.
        """
        return self.info.configuration(trial) if self.is_live else self.trials.configuration(trial)

    @cached_property
    def tally(self) -> Tally:
        """The study's counts of trials, jobs, failures and workers."""
        return self._shared(Tally(self.ladder, self.goal))

    @cached_property
    def trials(self) -> Trials:
        """The records of all trials."""
        return self._shared(trials_of(self.settings, self.ladder))

    @cached_property
    def timeline(self) -> Timeline:
        """The work and the waiting of each worker over time."""
        return self._shared(Timeline(self.ladder))

    @cached_property
    def results(self) -> Results:
        """The results of all trials, grouped by rung."""
        return self._shared(Results(self.goal))

    @cached_property
    def curves(self) -> Curves:
        """The best learning curves, and a sample of the other learning curves."""
        return self._shared(Curves(self.goal))

    def _shared(self, observer: ObserverT) -> ObserverT:
        if self.is_replayed:
            raise RuntimeError(
                f"{type(observer).__name__} was not told this study: name it in `uses` of the "
                "section, which with `shows_live` can read the tally only"
            )
        self.observers.append(observer)
        return observer


class Section:
    """The base class of all sections. A derived class overrides ``blocks``, ``lines`` or ``data``.

    ``name`` is the section's key in JSON. It has lower-case letters, digits and hyphens. If another
    package adds a section, its name is the name of the entry point. ``title`` is the section's
    heading. ``uses`` lists the shared analyses that the section reads. If ``shows_live`` is True,
    the section's lines need only the tally, and the summary after a session shows these lines. If
    ``needs_result`` is True and the study has no result, a report leaves the section out.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    uses: ClassVar[Sequence[Analysis]] = ()
    shows_live: ClassVar[bool] = False
    needs_result: ClassVar[bool] = False

    def __init__(self, study: ReportedStudy) -> None:
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
