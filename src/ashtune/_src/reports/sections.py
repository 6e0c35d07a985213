"""A section of a report: one subject, with its blocks for the page, its lines for the terminal, its data for JSON.

A report makes each section for one study. A section names in ``uses`` the analyses that it shares with others, and may
have observers of its own (``observe``). They see the whole journal; then the section is asked for what it shows.

Rule 1: an analysis that several sections use sees the journal once.
Rule 2: a section that raises is left out, and the report says so in one line. No other section depends on it.
Rule 3: what comes from a study is text. The functions of ``reports/page/html.py`` escape it, and a ``str``
among the lines has no markup.
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
    """A study as the sections of its report see it.

    Args:
        settings: The study's.
        ladder: Its rungs, with those that were added later.
        info: What its views have to know beside.
        tally: The counts so far of a study that still runs or just ended. With it no journal is read, and there is no
            other analysis.
        outcome: How it ended. Without it, the journal says so.
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
        """Whether there is a tally only."""
        self.observers: list[Observer] = []
        """The analyses that sections use."""
        self.is_replayed = False
        """Whether the journal has been read: an analysis made from now on would have missed it."""
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
        """Where it is on the disk."""
        return Path(self.info.directory)

    @property
    def expected(self) -> Sequence[Expected] | None:
        """How many trials are trained to each rung, as expected before any result, or None. Uses the tally."""
        return self.info.expected(self.tally)

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        """Return the configuration of a trial. Uses the trials, where a journal is read."""
        return self.info.configuration(trial) if self.is_live else self.trials.configuration(trial)

    @cached_property
    def tally(self) -> Tally:
        """What happened, counted."""
        return self._shared(Tally(self.ladder, self.goal))

    @cached_property
    def trials(self) -> Trials:
        """A record of each trial."""
        return self._shared(trials_of(self.settings, self.ladder))

    @cached_property
    def timeline(self) -> Timeline:
        """Who trained what when, and waited for what."""
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
    """The base class of all sections. It shows nothing: override what is of interest.

    ``name`` is its anchor in the page and its key in JSON: small letters, digits and hyphens; for a section of another
    package it is the name of the entry point. ``title`` is its heading, ``uses`` the shared analyses that it reads.
    ``shows_live``: its lines need the tally only, so they are also in the summary of a session that was stopped, for
    which no journal is read. ``needs_result``: where no trial has a result there is nothing to show.
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
        """Let an observer of this section alone see the study, from ``begin`` to ``end``; return it."""
        self.observers.append(observer)
        return observer

    def blocks(self) -> Iterable[Block]:
        """Return what stands in the page. Without blocks the section is not there."""
        return ()

    def lines(self) -> Iterable["str | RenderableType"]:
        """Return what stands in the terminal's summary: text, or whatever rich can draw."""
        return ()

    def data(self) -> Mapping[str, Any]:
        """Return what JSON should hold of it."""
        return {}
