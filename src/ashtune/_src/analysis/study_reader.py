"""Reads a study from its journal, for reports and other views. No user code is run, and no lock is
needed.
"""

# Theory of operation
# -------------------
# All views of a study (the page, the report, figures, the terminal's display) get this reader. All
# that a view needs is an attribute of the reader, or one of its analyses. An analysis is an
# observer that has received the whole journal. There are two ways to read, and the first is several
# times faster:
#
#   way     what observers get               needs                  used for
#   ------  -------------------------------  ---------------------  -------------------------------
#   read()  events, and the verdicts that    nothing                tally, trials, results: tables
#           follow from events alone                                and figures
#   tell()  events, verdicts and orders      the study's scheduler  outcome, timeline, audit
#
# Orders are not in a journal: the controller computes them again (``study/controller.py``). So some
# values need the study's scheduler: whether the study is complete and why it stopped, how long a
# worker waited for an order, which jobs the workers have now, and the rules that the audit checks.
# Everything else can be read anywhere, for example on a laptop without the package in which the
# scheduler was written.
#
# There is one instance of each kind of analysis (``analysis``, ``read_for``). An analysis is made
# when a view first needs it, and then receives all events of the journal. A report names all kinds
# that its sections need in one call of ``read_for``, because each call may read the whole journal.
# After that, an analysis keeps its values even if the study continues, because all figures of a
# report must show the same moment. On the live page, ``dashboard/picture.py`` makes the analyses
# (``use``) and passes each new event to them, so their values grow.
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
#   a line is damaged                     an error names the line and what can be kept. A figure of
#                                         the events before this line would be possible, but a
#                                         report refuses it, since half of a study would look like a
#                                         whole study.
#   a configuration is not in the space   refused: a forged value would be shown as the best. This
#                                         is checked only once for each StudyReader, since it costs
#                                         10 us a trial: at the first reading of the whole journal
#                                         (_is_checked). start_of() and events() do not check it.
#   a session adds rungs                  a result at a new rung is a JournalError: the ladder was
#                                         read once. The page makes a new picture then.
#   line 1 has no valid scheduler or      SettingsError, from ``scheduler``, ``learns`` or tell().
#   search                                Another format of the journal is refused with its version.
#   a scheduler of a package raises       If it raises while it is built, it counts as not
#                                         installed. If it raises later, tell() raises its
#                                         exception. But a SettingsError is raised if it comes while
#                                         the scheduler is built. Later, it counts as a difference,
#                                         as if older rules had written the journal.
#   a reading fails                       read_for() keeps none of its analyses, and the next call
#                                         reads again. Observers of the caller have got all events
#                                         before the refused one; they cannot be used again.
#   a running study is read twice         the second reading may see more events, so two analyses
#                                         may show two moments unless one read_for() made both.
#   the journal's file is replaced        nothing: the new file has the same bytes, and each reading
#                                         opens the path (``study/journal.py``).
#   a reader is used by two threads       nothing guards it. The caller must see to it that only one
#                                         thread reads at a time.
#
# The journal is read in blocks, and is never in memory as a whole. The analyses stay in memory:
# about 300 bytes for each trial (Trials) and 50 for each job (Timeline).
#
# start_of() looks for one trial by a search of bytes, and decodes only the lines that name the
# trial.

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.expected import Estimate, Expected, estimate, expected_at_start
from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.trials import Trials, trials_of
from ashtune._src.core.events import Event, TrialStarted
from ashtune._src.core.jobs import Goal, TrialId
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

AnalysisT = TypeVar("AnalysisT", bound=Observer)
T = TypeVar("T")


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
            return "it is unknown whether the study is complete: its scheduler cannot be loaded"
        return f"stopped: {self.stopped}" if self.stopped else "not complete"

    def notes_with(self, tally: Tally) -> list[str]:
        """Return messages for the user about the outcome and the study, one
        line for each message.
        """
        return [*tally.notes(), *filter(None, [one_line(self.notes)])]


def outcome_of(settings: Settings, view: SchedulerView, replay: Replay | None) -> Outcome:
    """Return the outcome of a study after a replay of its whole journal."""
    if view.machine is None or replay is None:
        return Outcome(is_complete=False, is_known=False)
    stopped = "its journal fits another ashtune version" if replay.difference else replay.stopping
    notes = "; ".join(filter(None, [view.machine.notes(), caution_of(settings)]))
    return Outcome(is_complete=replay.is_complete, stopped=stopped, notes=notes)


NEW: Mapping[type[Observer], Callable[["StudyReader"], Observer]] = {
    Tally: lambda study: Tally(study.ladder, study.goal),
    Trials: lambda study: trials_of(study.settings, study.ladder),
    Results: lambda study: Results(study.goal),
    Curves: lambda study: Curves(study.goal),
    Timeline: lambda study: Timeline(study.ladder),
    Audit: lambda study: Audit(study.ladder, study.goal, study.scheduler),
}
"""The analyses that all views of a study share, each with the function that makes it.

An analysis that this package must not import has a class method ``of`` that makes it.
"""
_NEED_NO_ORDERS = {Tally, Trials, Results, Curves}
_TABLES = (Tally, Trials, Results)
"""The analyses that one reading without orders makes together: most views need more than one."""


class StudyReader:
    """Reads a study, which may be finished, stopped or running. All views of a study get a reader.

    Args:
        directory: The study's directory.
        settings: The first line of the journal; by default it is read.
        ladder: The rungs of the study, including rungs that were added at the top later; by default
            they are read.
        tally: The present counts of a study that is running or just ended. If the tally is given,
            it is the only analysis, and the journal is not read for it. :meth:`start_of`,
            :meth:`configuration` and :meth:`events` still read the journal, and so do ``settings``
            and ``ladder`` if they are not given.
        outcome: The study's outcome; by default it is read when it is needed. With a tally, the
            default is a complete study.

    Raises:
        JournalError: From any property or method, if there is no journal, or a line of the journal
            cannot be read.
    """

    workers = 0
    """The wanted number of workers of a running study; 0 if unknown."""
    deadline: float | None = None
    """The latest end of a running study, in seconds since its beginning."""
    missing_parts: Sequence[str] = ()
    """A line for each engine or observer of the last session that is not installed here.

    If the owner of the reader has not looked for them, there is no line.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Settings | None = None,
        ladder: Ladder | None = None,
        tally: Tally | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        self.directory = directory
        self.journal = directory / NAME
        self.settings: Settings = settings or read_settings(self.journal)
        if ladder is not None:
            self.ladder = ladder
        self.is_live = tally is not None
        """Whether the tally is the only analysis of the study."""
        self._analyses: dict[type[Observer], Observer] = {}
        if tally is not None:
            self.use(tally)
            outcome = outcome or Outcome()
        self._outcome = outcome
        self._computed: dict[object, Any] = {}
        self._is_checked = False  # whether all configurations are known to be in the space

    @property
    def name(self) -> str:
        """The study's name."""
        return self.settings.name

    @property
    def goal(self) -> Goal:
        """The study's metrics, and for each metric whether larger or smaller values are better."""
        return self.settings.goal

    @property
    def unit(self) -> str:
        """The unit of the resource, in the singular."""
        return self.settings.resource

    @cached_property
    def ladder(self) -> Ladder:
        """The rungs of the study, including rungs that were added at the top later."""
        return ladder_in_force(self.journal)

    @cached_property
    def scheduler(self) -> SchedulerView:
        """The name, the rule and the machine of the study's scheduler, with the present ladder."""
        return scheduler_view(self.settings, self.ladder)

    @cached_property
    def learns(self) -> bool:
        """Whether the search learns from results."""
        return learns(self.settings.search)

    @property
    def expected(self) -> Sequence[Expected] | None:
        """The number of trials at each rung, as forecast before the first result; None if unknown.
        Uses the tally.
        """
        return expected_at_start(self.tally, self.scheduler, learns=self.learns)

    @property
    def progress(self) -> Estimate:
        """The finished share of the study, and the time left. Uses the tally."""
        return estimate(
            self.tally, self.scheduler, learns=self.learns, unit=self.unit, deadline=self.deadline
        )

    @property
    def missing(self) -> str:
        """One line about the packages that must be installed before the study can continue; "" if
        there are none.
        """
        search = SEARCHES.missing_of(self.settings.search)
        return one_line(
            "; ".join(filter(None, [self.scheduler.missing, search, *self.missing_parts]))
        )

    @property
    def notes(self) -> str:
        """The messages of the scheduler of a running study, as one line."""
        return ""

    @property
    def waited(self) -> float:
        """The seconds of this session in which trials waited for the search; 0 if unknown."""
        return 0.0

    @property
    def checkpoint_bytes(self) -> int:
        """The size of the checkpoints of a running study; 0 if unknown."""
        return 0

    def analysis(self, kind: type[AnalysisT]) -> AnalysisT:
        """Return the study's analysis of a kind. The first call for a kind reads the journal."""
        self.read_for([kind])
        return cast(AnalysisT, self._analyses[kind])

    def use(self, *analyses: Observer) -> None:
        """Use analyses that receive the study's events elsewhere, so that the journal is not read
        for them.
        """
        self._analyses.update((type(each), each) for each in analyses)

    def read_for(self, kinds: Iterable[type[Observer]], observers: Sequence[Observer] = ()) -> None:
        """Make the analyses of these kinds that do not exist yet.

        Read the journal once for them and for the other observers.

        Raises:
            RuntimeError: If the tally is the only analysis.
        """
        new = {kind: self.new(kind) for kind in kinds if kind not in self._analyses}
        told = [*new.values(), *observers]
        if not told:
            return
        if self.is_live:
            raise RuntimeError(
                "a section with shows_live=True may use only study.tally, not "
                f"{type(told[0]).__name__}; set shows_live=False"
            )
        if observers or not _NEED_NO_ORDERS.issuperset(new):
            outcome = self.tell(told)
            self._outcome = self._outcome or outcome
        else:
            self.read(told)
        self._analyses |= new

    def new(self, kind: type[Observer]) -> Observer:
        """Return a new analysis of a kind, which has received no events."""
        if kind in NEW:
            return NEW[kind](self)
        made: Observer = kind.of(self)  # type: ignore[attr-defined]  # see NEW
        return made

    def computed(self, compute: Callable[["StudyReader"], T]) -> T:
        """Return the result of a function of this study. The result is computed only once."""
        if compute not in self._computed:
            self._computed[compute] = compute(self)
        value: T = self._computed[compute]
        return value

    @property
    def tally(self) -> Tally:
        """The study's counts of trials, jobs, failures and workers."""
        return self.analysis(Tally)

    @property
    def trials(self) -> Trials:
        """The study's trials, with one record for each trial."""
        if Trials not in self._analyses:
            self.read_for(_TABLES)
        return self.analysis(Trials)

    @property
    def results(self) -> Results:
        """All results of the study at all rungs."""
        if Results not in self._analyses:
            self.read_for(_TABLES)
        return self.analysis(Results)

    @property
    def timeline(self) -> Timeline:
        """The timeline of the study: the work and the waits of each worker."""
        return self.analysis(Timeline)

    @property
    def curves(self) -> Curves:
        """The best learning curves, and a sample of the other learning curves."""
        return self.analysis(Curves)

    @property
    def outcome(self) -> Outcome:
        """The study's outcome: whether the study is complete, or why the study stopped."""
        if self._outcome is None:
            self.read_for([Timeline])
        assert self._outcome is not None, "a reading with orders sets it"
        return self._outcome

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        """Return the configuration of a trial."""
        return self.start_of(trial)[0]

    def start_of(self, trial: TrialId) -> tuple[dict[str, Any], str]:
        """Return the configuration of a trial, and the origin of the configuration."""
        if Trials not in self._analyses:
            started = read_events(self.journal, only=(b'"trial":%d,' % trial,))
            own = [
                event for event in started if type(event) is TrialStarted and event.trial == trial
            ]
            if own:
                return own[-1].configuration, own[-1].origin or self.settings.search_name
        return self.trials.configuration(trial), self.trials.origin(trial)

    @property
    def configured(self) -> tuple[Results, Callable[[TrialId], dict[str, Any]], dict[str, Any]]:
        """The results, the configurations and the record of the search space, for figures of
        hyperparameters.
        """
        return self.results, self.trials.configuration, self.settings.space

    def events(self) -> Iterator[Event]:
        """Yield all events of the journal."""
        return read_events(self.journal)

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
        """Replay the journal for observers.

        If there is no controller, they get no orders. Return the replay.
        """
        replay = Replay(controller, rungs=len(self.ladder.rungs))
        replay.read(self.journal, observers, is_checked=self._is_checked)
        self._is_checked = True
        return replay

    def told(self, observer: AnalysisT) -> AnalysisT:
        """Replay the journal for an observer, as :meth:`tell` does, and return the observer."""
        self.tell([observer])
        return observer
