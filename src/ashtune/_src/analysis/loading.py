"""A study read from its journal, and what its views have to know of it. Nothing of it is executed or locked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.counts import RungTally
from ashtune._src.analysis.expected import Expected, expected
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.trials import Trials, trials_of
from ashtune._src.core.events import Event
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import one_line
from ashtune._src.schedulers.registry import SchedulerView
from ashtune._src.search.registry import SEARCHES, learns
from ashtune._src.study.factory import build_controller, caution_of, scheduler_view
from ashtune._src.study.journal import NAME, ladder_in_force, read_events, read_settings
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import first_ladder


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a study ended. ``stopped`` is why, if it was; ``notes`` what its scheduler says of itself, if anything.

    ``is_known`` is False where the scheduler is not installed here: without it nobody knows whether the study is
    complete, and ``is_complete`` is False.
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
        """Return what the user should know, one line each."""
        return [*tally.notes(), *([one_line(self.notes)] if self.notes else [])]


def _no_bytes() -> int:
    return 0


class StudyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A study's name, and what else a view may ask of it.

    ``learns`` says whether its search does, ``workers`` how many there should be (0: unknown), ``unit`` what the
    resource counts, in the singular, ``deadline`` when the study ends, in seconds since it began. ``is_simulated``:
    nothing was trained. ``notes`` is what the scheduler says of itself now, one line or nothing; ``missing`` names
    in one line the parts of the study that are not installed here; "" for none.
    """

    name: str
    scheduler: SchedulerView
    learns: bool
    directory: str
    configuration: Callable[[TrialId], Mapping[str, Any]]
    checkpoint_bytes: Callable[[], int] = _no_bytes
    notes: Callable[[], str] = str
    workers: int = 0
    unit: str
    deadline: float | None = None
    is_simulated: bool = False
    missing: Callable[[], str] = str

    def expected(self, tally: Tally) -> list[Expected] | None:
        """Return how many trials are trained to each rung, as it was expected before any result; None: nobody knows."""
        return self._expected(tally, ())

    def in_the_end(self, tally: Tally) -> list[Expected] | None:
        """Return the same, as it is expected now."""
        return self._expected(tally, tally.rungs)

    def _expected(self, tally: Tally, rungs: Sequence[RungTally]) -> list[Expected] | None:
        trials = tally.most_trials
        return expected(self.scheduler, tally.ladder, trials, learns=self.learns, rungs=rungs) if trials else None


class StudyReader:
    """A study as its journal tells it, whether it is done, stopped or running.

    The journal is read when something of it is first asked for; of a study that runs, the answers stay as they were at
    that moment.

    Args:
        directory: The study's.

    Raises:
        JournalError: From any member, if there is no journal, or a line of it cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / NAME
        self.settings = read_settings(self.journal)

    @cached_property
    def ladder(self) -> Ladder:
        """The rungs, those included that were added above later."""
        return ladder_in_force(self.journal)

    @cached_property
    def scheduler(self) -> SchedulerView:
        """What can be asked of the scheduler, on the ladder in force."""
        return scheduler_view(self.settings, self.ladder)

    @property
    def missing(self) -> list[str]:
        """What has to be installed before the study can go on, one line each."""
        return [line for line in (self.scheduler.missing, SEARCHES.missing_of(self.settings.search)) if line]

    def info(self, also_missing: "Callable[[StudyReader], Sequence[str]]" = lambda _: ()) -> StudyInfo:
        """Return what its views have to know of it.

        Args:
            also_missing: What is not installed here besides its scheduler and its search, one line each.
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
        """Yield the events of the journal."""
        return read_events(self.journal)

    @property
    def tally(self) -> Tally:
        """Its counts."""
        return self._loaded[0]

    @property
    def trials(self) -> Trials:
        """Its trials, one record each."""
        return self._loaded[1]

    @property
    def results(self) -> Results:
        """Every result at every rung."""
        return self._loaded[2]

    @property
    def outcome(self) -> Outcome:
        """Whether the study is complete, or why it stopped."""
        return self._replayed[0]

    @property
    def timeline(self) -> Timeline:
        """Who did what when."""
        return self._replayed[1]

    def tell(self, observers: Sequence[Observer]) -> Outcome:
        """Tell observers all that happened, as the loop told it: every event, then what followed.

        Of a journal written under other rules there are no orders from the line on at which a replay differs.

        Returns:
            How the study ended.
        """
        view = scheduler_view(self.settings, first_ladder(self.settings))
        controller = None if view.machine is None else build_controller(self.settings, view.machine)
        replay = Replay(controller, rungs=len(self.ladder.rungs))
        replay.read(self.journal, observers)
        if view.machine is None:
            return Outcome(is_complete=False, is_known=False)
        stopped = "its journal was written under other rules" if replay.difference else replay.stopping
        notes = "; ".join(filter(None, [view.machine.notes(), caution_of(self.settings)]))
        return Outcome(is_complete=replay.is_complete, stopped=stopped, notes=notes)

    @cached_property
    def _loaded(self) -> tuple[Tally, Trials, Results]:
        """What needs no orders, so that no scheduler is asked."""
        goal = self.settings.goal
        loaded = Tally(self.ladder, goal), trials_of(self.settings, self.ladder), Results(goal)
        Replay(rungs=len(self.ladder.rungs)).read(self.journal, loaded)
        return loaded

    @cached_property
    def _replayed(self) -> tuple[Outcome, Timeline]:
        timeline = Timeline(self.ladder)
        return self.tell([timeline]), timeline
