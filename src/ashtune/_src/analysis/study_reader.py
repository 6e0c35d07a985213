"""Reads a study from its journal, for reports and other views. No user code is run, and no lock is
needed.
"""

# Theory of operation
# -------------------
# A study is read by replaying its journal. There are two ways to read, and the first is several
# times faster:
#
#   way     what observers get               needs                  used for
#   ------  -------------------------------  ---------------------  -------------------------------
#   read()  events, and the verdicts that    nothing                tally, trials, results: tables
#           follow from events alone                                and figures
#   tell()  events, verdicts and orders      the study's scheduler  outcome, timeline, audit
#
# Orders are not in a journal: the controller computes them again (``study/controller.py``). So
# whether a study is complete, and how long a worker waited for an order, can be known only where
# its scheduler is installed. Everything else can be read anywhere, for example on a laptop
# without the package in which the scheduler was written.
#
# Nothing is read twice. tally, trials and results share one reading without orders (_loaded),
# outcome and timeline one with orders (_replayed). A property that was read keeps its value, also
# if the study continues: two figures of one report must speak of the same study. ``FollowedStudy``
# of the page reads on; its values grow.
#
# What happens when
#
#   the journal grows while it is read    complete turns are read, the rest is left for later. The
#                                         outcome is then that of a study which is not complete.
#   older rules wrote the journal         the controller's orders differ from the events at some
#                                         line. From this line on, verdicts are derived from the
#                                         events alone, and observers get no orders.
#   its scheduler is not installed        outcome.is_known is False, and the timeline counts waits
#                                         as Rule 3 there.
#   a line is damaged                     an error names the line and what can be kept. Observers
#                                         have had the events before it, so a figure of them would
#                                         be possible; a report refuses, since half of a study
#                                         looks like a study.
#   a configuration is not in the space   refused: a forged value would be shown as the best.
#                                         Checked once for each StudyReader, since it costs 10 us
#                                         a trial (_is_checked).
#
# start_of() looks for one trial by a search of bytes, and decodes only the lines that name the
# trial.

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ashtune._src.analysis.expected import Expected, expected_at_start
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.trials import Trials, trials_of
from ashtune._src.core.events import Event, TrialStarted
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import one_line
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.search.search_registry import SEARCHES, learns
from ashtune._src.study.controller import Controller
from ashtune._src.study.factory import build_controller, caution_of, scheduler_view
from ashtune._src.study.journal import NAME, ladder_in_force, read_events, read_settings
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import Settings, first_ladder

ObserverT = TypeVar("ObserverT", bound=Observer)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a study. ``stopped`` is the reason why the study stopped; ``notes`` are
    messages of the scheduler.

    ``is_known`` is False if the scheduler is not installed. Without the scheduler, the outcome is
    unknown, so ``is_complete`` is False.
    """

    is_complete: bool = True
    stopped: str = ""
    notes: str = ""
    is_known: bool = True

    @property
    def text(self) -> str:
        """The outcome in words."""
        if self.is_complete:
            return "complete"
        if not self.is_known:
            return "whether it is complete is not known here"
        return f"stopped: {self.stopped}" if self.stopped else "not complete"

    def notes_with(self, tally: Tally) -> list[str]:
        """Return messages for the user about the outcome and the study, one
        line for each message.
        """
        return [*tally.notes(), *([one_line(self.notes)] if self.notes else [])]


class StudyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A study's name and other facts that views need.

    ``learns`` is True if the search learns from results. ``workers`` is the wanted number of
    workers; 0 if unknown. ``unit`` is the unit of the resource, in the singular. ``deadline`` is
    the study's latest end, in seconds since its beginning. ``is_simulated`` means that nothing was
    trained. ``notes`` returns the scheduler's messages as one line. ``waited`` returns the seconds
    of this session in which trials waited for the search; 0 if unknown. ``missing`` returns one
    line about parts of the study that are not installed.
    """

    name: str
    scheduler: SchedulerView
    learns: bool
    directory: str
    configuration: Callable[[TrialId], Mapping[str, Any]]
    checkpoint_bytes: Callable[[], int] = int
    notes: Callable[[], str] = str
    waited: Callable[[], float] = float
    workers: int = 0
    unit: str
    deadline: float | None = None
    is_simulated: bool = False
    missing: Callable[[], str] = str

    def expected(self, tally: Tally) -> list[Expected] | None:
        """Return the number of trials at each rung, as forecast before the first result; None if
        unknown.
        """
        return expected_at_start(tally, self.scheduler, learns=self.learns)


def outcome_of(settings: Settings, view: SchedulerView, replay: Replay | None) -> Outcome:
    """Return the outcome of a study after a replay of its whole journal."""
    if view.machine is None or replay is None:
        return Outcome(is_complete=False, is_known=False)
    stopped = "its journal was written under other rules" if replay.difference else replay.stopping
    notes = "; ".join(filter(None, [view.machine.notes(), caution_of(settings)]))
    return Outcome(is_complete=replay.is_complete, stopped=stopped, notes=notes)


class StudyReader:
    """Reads a study, which may be finished, stopped or running, from its journal.

    A property reads the journal at its first use. Later events of a running study do not change the
    property.

    Raises:
        JournalError: From any property or method, if there is no journal, or a line of the journal
            cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / NAME
        self.settings = read_settings(self.journal)
        self._is_checked = False  # whether a reading has found all configurations in the space

    @cached_property
    def ladder(self) -> Ladder:
        """The rungs of the study, including rungs that were added at the top later."""
        return ladder_in_force(self.journal)

    @cached_property
    def scheduler(self) -> SchedulerView:
        """The name, the rule and the machine of the study's scheduler, with the present ladder."""
        return scheduler_view(self.settings, self.ladder)

    @property
    def missing(self) -> list[str]:
        """One line for each package that must be installed before the study can continue."""
        return [
            line
            for line in (self.scheduler.missing, SEARCHES.missing_of(self.settings.search))
            if line
        ]

    def info(
        self, also_missing: "Callable[[StudyReader], Sequence[str]]" = lambda _: ()
    ) -> StudyInfo:
        """Return the facts about the study that views need.

        Args:
            also_missing: Returns a line for each further part that is not installed here.
        """
        return StudyInfo(
            name=self.settings.name,
            scheduler=self.scheduler,
            learns=learns(self.settings.search),
            directory=str(self.directory),
            configuration=lambda trial: self.trials.configuration(trial),  # noqa: PLW0108 - reads the journal when called
            unit=self.settings.resource,
            is_simulated=self.settings.simulated,
            missing=lambda: one_line("; ".join([*self.missing, *also_missing(self)])),
        )

    def events(self) -> Iterator[Event]:
        """Yield all events of the journal."""
        return read_events(self.journal)

    @cached_property
    def tally(self) -> Tally:
        """The study's counts."""
        if "_loaded" in vars(self):
            return self._loaded[0]
        tally = Tally(self.ladder, self.settings.goal)
        self.read([tally])
        return tally

    def start_of(self, trial: TrialId) -> tuple[dict[str, Any], str]:
        """Return the configuration of a trial, and the origin of the configuration."""
        if "_loaded" not in vars(self):
            started = read_events(self.journal, only=(b'"trial":%d,' % trial,))
            if own := [
                event for event in started if type(event) is TrialStarted and event.trial == trial
            ]:
                return own[-1].configuration, own[-1].origin or self.settings.search_name
        return self.trials.configuration(trial), self.trials.origin(trial)

    @property
    def trials(self) -> Trials:
        """The study's trials, with one record for each trial."""
        return self._loaded[1]

    @property
    def results(self) -> Results:
        """All results of the study at all rungs."""
        return self._loaded[2]

    @property
    def outcome(self) -> Outcome:
        """The study's outcome: whether the study is complete, or why the study stopped."""
        return self._replayed[0]

    @property
    def timeline(self) -> Timeline:
        """The timeline of the study: the work and the waits of each worker."""
        return self._replayed[1]

    def tell(self, observers: Sequence[Observer]) -> Outcome:
        """Replay the journal for observers, in the original order of events, verdicts and orders.

        If the replay differs from the journal at a line, the observers get no orders after this
        line.

        Returns:
            How the study ended.
        """
        view = scheduler_view(self.settings, first_ladder(self.settings))
        controller = None if view.machine is None else build_controller(self.settings, view.machine)
        return outcome_of(self.settings, view, self.read(observers, controller))

    def read(self, observers: Sequence[Observer], controller: Controller | None = None) -> Replay:
        """Replay the journal for observers, which get no orders without a controller. Return the
        replay.
        """
        replay = Replay(controller, rungs=len(self.ladder.rungs))
        replay.read(self.journal, observers, is_checked=self._is_checked)
        self._is_checked = True
        return replay

    def told(self, observer: ObserverT) -> ObserverT:
        """Replay the journal for an observer, as :meth:`tell` does, and return the observer."""
        self.tell([observer])
        return observer

    @property
    def configured(self) -> tuple[Results, Callable[[TrialId], dict[str, Any]], dict[str, Any]]:
        """The results, the configurations and the record of the search space, for figures of
        hyperparameters.
        """
        return self.results, self.trials.configuration, self.settings.space

    def load(self, tally: Tally, trials: Trials, results: Results) -> None:
        """Use observers that see the whole journal elsewhere, in place of a
        reading of the journal.
        """
        self._loaded = tally, trials, results
        self._is_checked = True

    @cached_property
    def _loaded(self) -> tuple[Tally, Trials, Results]:
        """The tally, the trials and the results, computed without orders and therefore without the
        scheduler.
        """
        goal = self.settings.goal
        loaded = Tally(self.ladder, goal), trials_of(self.settings, self.ladder), Results(goal)
        self.read(loaded)
        return loaded

    @cached_property
    def _replayed(self) -> tuple[Outcome, Timeline]:
        timeline = Timeline(self.ladder)
        return self.tell([timeline]), timeline
