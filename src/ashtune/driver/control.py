"""What the user asks of a study that runs: commands become events, if they fit the study as it is now.

A command is checked here, then taken by the controller and written to the journal as any other event, and answered. So
a resumed study knows of it: more trials are allowed, and what was enqueued and not begun is tried; a pause and another
number of workers end with the session.

Rule 1: a command that is refused leaves nothing behind but one line, for whoever sent it and on stderr.
Rule 2: a command that is fulfilled already, as to pause what is paused, is answered and is no event.
"""

from collections.abc import Callable, Iterator
from typing import assert_never

import msgspec

from ashtune.analysis.tally import Tally
from ashtune.core.checks import check_whole
from ashtune.core.errors import AshtuneError, SettingsError, StudyError
from ashtune.core.events import (
    ConfigurationEnqueued,
    Event,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialsExtended,
    WorkersChanged,
)
from ashtune.core.numbers import plural
from ashtune.engines.options import MOST_WORKERS
from ashtune.engines.protocol import Resizable, Workers
from ashtune.study.commands import (
    AddTrials,
    ChangeWorkers,
    Command,
    ContinueStudy,
    EnqueueConfiguration,
    Inbox,
    PauseStudy,
    StopStudy,
)
from ashtune.study.configurations import Configurations
from ashtune.study.controller import Controller
from ashtune.study.settings import Settings

STOPPED = "asked for on the live page"


class Control:
    """Takes commands while a study runs: see :class:`~ashtune.engines.loop.Requests`.

    Args:
        inbox: Where they come from.
        settings: The study's.
        tally: Its counts.
        configurations: Its trials' configurations.
        controller: Is only asked how the study stands.
        workers: Of the session.
        count: How many workers there are to be at first.
        complain: Called with one line for each command that is refused.
    """

    def __init__(
        self,
        inbox: Inbox,
        *,
        settings: Settings,
        tally: Tally,
        configurations: Configurations,
        controller: Controller,
        workers: Workers,
        count: int,
        complain: Callable[[str], None],
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._tally = tally
        self._configurations = configurations
        self._controller = controller
        self._workers = workers
        self._count: int | None = count  # None where the machine had no room for as many as were wanted
        self._complain = complain

    def take(self, now: float) -> Iterator["PendingCommand"]:
        """Yield what was asked since the last call and fits the study. Each is settled before the next is looked at."""
        for name, command in self._inbox.take():
            try:
                event = self._event(command, now)
            except AshtuneError as error:
                self.refuse(name, str(error))
                continue
            if event is None:
                self._inbox.answer(name)
            else:
                yield PendingCommand(self, name, event)

    def accept(self, name: str, event: Event) -> None:
        """Do what does not follow from an event by itself, and answer the command."""
        try:
            match event:
                case ConfigurationEnqueued(configuration=configuration):
                    self._configurations.enqueue(configuration)
                case WorkersChanged(workers=workers) if isinstance(self._workers, Resizable):
                    self._count = None
                    self._workers.resize(workers)
                    self._count = workers
                case _:
                    pass
        except AshtuneError as error:  # no room for more processes: the study goes on with those it has
            self.refuse(name, str(error))
        else:
            self._inbox.answer(name)

    def refuse(self, name: str, why: str) -> None:
        """Say that a command is not carried out."""
        self._complain(f"a command was refused: {why}")
        self._inbox.answer(name, why)

    def _event(self, command: Command | StudyError, now: float) -> Event | None:
        """Return what a command is in the journal; None where there is nothing to do.

        Raises:
            AshtuneError: If it does not fit the study as it is now.
        """
        if isinstance(command, StudyError):
            raise command
        controller = self._controller
        if controller.stopping and not isinstance(command, StopStudy):
            raise SettingsError(f"the study is ending: {controller.stopping}; resume it when it has ended")
        match command:
            case StopStudy():
                return None if controller.is_over else StopRequested(now, STOPPED)
            case PauseStudy():
                return None if controller.is_paused else StudyPaused(now)
            case ContinueStudy():
                return StudyContinued(now) if controller.is_paused else None
            case AddTrials(trials=more):
                return TrialsExtended(now, self._trials_with(more))
            case ChangeWorkers(workers=workers):
                return self._workers_changed(workers, now)
            case EnqueueConfiguration(configuration=configuration):
                return ConfigurationEnqueued(now, self._checked(configuration))
            case _:
                assert_never(command)

    def _trials_with(self, more: int) -> int:
        """Return how many trials there are in all with some more."""
        check_whole("trials", more)
        before, most = self._tally.most_trials, self._settings.configurations
        if before is None:
            raise SettingsError(
                f"trials={more:,}: there is no number of trials to add to; the study goes on until another limit, or "
                "until it is stopped"
            )
        if most is not None and before + more > most:
            raise SettingsError(
                f"trials={before:,} and {more:,} more are too many: the search has {plural(most, 'configuration')}; "
                f"{most - before:,} more can be added"
            )
        return check_whole("trials", before + more)

    def _workers_changed(self, workers: int, now: float) -> Event | None:
        check_whole("workers", workers, at_most=MOST_WORKERS)
        if not isinstance(self._workers, Resizable):
            raise SettingsError(
                f"workers={workers}: this engine keeps the workers that it began with; stop the study, and resume it "
                f"with workers={workers}"
            )
        self._workers.check_size(workers)
        return None if workers == self._count else WorkersChanged(now, workers)

    def _checked(self, configuration: dict[str, object]) -> dict[str, object]:
        """Return a configuration in plain values that a further trial can have."""
        checked = self._configurations.check_enqueued(configuration)
        if self._controller.trials_left <= self._configurations.waiting:
            raise SettingsError(
                f"no trial is left for it: all {self._tally.most_trials or self._tally.started:,} have begun or have a "
                "configuration; add trials first"
            )
        return checked


class PendingCommand(msgspec.Struct, frozen=True):
    """A command that fits the study as it is now: see :class:`~ashtune.engines.loop.Request`."""

    control: Control
    name: str
    event: Event

    def accept(self) -> None:
        """It is in the journal."""
        self.control.accept(self.name, self.event)

    def refuse(self, why: str) -> None:
        """The scheduler does not take it."""
        self.control.refuse(self.name, why)
