"""A section of a report: one subject, with blocks for the page, lines for the terminal, and data for JSON.

A report creates each section for one study. A section names in ``uses`` the analyses that it shares with others, and
may add its own observers (``observe``). All observers see the whole journal first; then the report asks the section for
its content.

Rule 1: an analysis used by several sections sees the journal once.
Rule 2: a section that raises is left out, and one line of the report says that it was left out. No other section
depends on it.
Rule 3: anything from a study is text. The functions of ``reports/page/html.py`` escape such text, and a ``str`` among
the lines is shown without markup.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from ashtune._src.analysis.curves import Curves
from ashtune._src.analysis.expected import Expected
from ashtune._src.analysis.loading import Outcome, StudyInfo
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.trials import Trials, trials_of
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.reports.page.html import Block
from ashtune._src.study.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

Analysis = Literal["tally", "trials", "timeline", "results", "curves"]
ObserverT = TypeVar("ObserverT", bound=Observer)


class ReportedStudy:
    """A study, as seen by the sections of its report.

    Args:
        settings: The study's settings.
        ladder: The study's rungs, including those added later.
        info: Further facts that views need.
        tally: The present counts of a study that is running or just ended. If the tally is given, no journal is read,
            and sections have no other analysis.
        outcome: How the study ended; by default the journal says so.
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
        """Whether the tally is the only analysis."""
        self.observers: list[Observer] = []
        """The analyses that sections use."""
        self.is_replayed = False
        """Whether the journal has been read; an analysis created later would not see it."""
        if tally is not None:
            self.tally, self.is_replayed = tally, True

    @property
    def goal(self) -> Goal:
        """The metric, and which way is better."""
        return self.settings.goal

    @property
    def unit(self) -> str:
        """What the resource counts, in the singular."""
        return self.info.unit

    @property
    def directory(self) -> Path:
        """The study's directory."""
        return Path(self.info.directory)

    @property
    def expected(self) -> Sequence[Expected] | None:
        """How many trials were expected at each rung before the first result, or None. Uses the tally."""
        return self.info.expected(self.tally)

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        """Return the configuration of a trial. Uses the trials if a journal is read."""
        return self.info.configuration(trial) if self.is_live else self.trials.configuration(trial)

    @cached_property
    def tally(self) -> Tally:
        """The counts of what happened."""
        return self._shared(Tally(self.ladder, self.goal))

    @cached_property
    def trials(self) -> Trials:
        """A record of each trial."""
        return self._shared(trials_of(self.settings, self.ladder))

    @cached_property
    def timeline(self) -> Timeline:
        """The work and the waits of each worker over time."""
        return self._shared(Timeline(self.ladder))

    @cached_property
    def results(self) -> Results:
        """Every result at every rung."""
        return self._shared(Results(self.goal))

    @cached_property
    def curves(self) -> Curves:
        """The best learning curves, and a sample of the others."""
        return self._shared(Curves(self.goal))

    def _shared(self, observer: ObserverT) -> ObserverT:
        if self.is_replayed:
            raise RuntimeError(
                f"{type(observer).__name__} was not told this study: name it in `uses` of the section, which with "
                "`shows_live` can read the tally only"
            )
        self.observers.append(observer)
        return observer


class Section:
    """The base class of all sections. The base class shows nothing; override what you need.

    ``name`` is its anchor in the page and its key in JSON. The name has lower-case letters, digits and hyphens; a
    section of another package has the name of its entry point. ``title`` is its heading, ``uses`` are the shared
    analyses that the section reads. ``shows_live``: the section's lines need only the tally. Such lines also appear in
    the summary after a session, for which no journal is read. ``needs_result``: the section is left out if no trial has
    a result.
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
        """Add an observer for this section only, and return it. The observer is told all events of the study."""
        self.observers.append(observer)
        return observer

    def blocks(self) -> Iterable[Block]:
        """Return the blocks for the page. Without blocks the section is left out."""
        return ()

    def lines(self) -> Iterable["str | RenderableType"]:
        """Return the lines for the terminal's summary: text, or anything that rich can render."""
        return ()

    def data(self) -> Mapping[str, Any]:
        """Return the data for JSON."""
        return {}
