"""The live page of a study that is driven here, and what the user asks of the study from it.

The page is ``ashtune watch`` in a process of its own, which ends a moment after this process, not with the study: in a
notebook one looks at it when the study is done. Whatever goes wrong with it costs one line on stderr.

A command is checked here, then taken by the controller and written to the journal as any other event, and answered. So
a resumed study knows of it; a pause and another number of workers end with the session.

Rule 1: a command that is refused leaves nothing behind but one line, for its sender and on stderr.
Rule 2: a command that is fulfilled already, as to pause what is paused, is answered and is no event.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import assert_never

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.checks import check_whole
from ashtune._src.core.errors import AshtuneError, SettingsError, StudyError
from ashtune._src.core.events import (
    ConfigurationEnqueued,
    Event,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialsExtended,
    WorkersChanged,
)
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import one_line
from ashtune._src.engines.options import MOST_WORKERS
from ashtune._src.engines.protocol import Resizable, Workers
from ashtune._src.processes.child import ChildProcess, module_command, module_environment
from ashtune._src.reports.terminal.live import in_a_notebook
from ashtune._src.reports.terminal.text import show_link, write
from ashtune._src.study.commands import (
    AddTrials,
    ChangeWorkers,
    Command,
    CommandFolder,
    ContinueStudy,
    EnqueueConfiguration,
    PauseStudy,
    StopStudy,
)
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller
from ashtune._src.study.settings import Settings

STOPPED = "asked for on the live page"
START_SECONDS = 30.0
_ENDING_SECONDS = 2.0
"""For the page's own way to its end. After that it is killed."""

_pages: dict[tuple[Path, bool], "Page"] = {}


class Control:
    """Takes commands while a study runs: see ``Requests``.

    Args:
        count: How many workers there are to be at first.
        complain: Called with one line for each command that is refused.
    """

    def __init__(
        self,
        inbox: CommandFolder,
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

    def take(self, now: float) -> Iterator[tuple[str, Event]]:
        """Yield what was asked since the last call and fits the study: its name, and what it is in the journal."""
        for name, command in self._inbox.take():
            try:
                event = self._event(command, now)
            except AshtuneError as error:
                self.refuse(name, str(error))
                continue
            if event is None:
                self._inbox.answer(name)
            else:
                yield name, event

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
        """Return what a command is in the journal; None where there is nothing to do."""
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


class Page:
    """A page of one study, which is being started; ``control``: commands may be sent from it."""

    def __init__(self, directory: Path, *, control: bool = False) -> None:
        self._owner = os.getpid()
        self._address = ""
        self._problem = ""
        more = ["--control"] if control else []
        command = module_command("ashtune", "watch", "--until-exit", self._owner, *more, "--", directory)
        self._process: ChildProcess | None = None
        try:
            self._process = ChildProcess(command, module_environment(), stderr=subprocess.STDOUT)
        except OSError as error:
            self._problem = str(error.strerror)

    @property
    def is_there(self) -> bool:
        """Whether its process runs, and is one of this process: a fork has none."""
        return self._owner == os.getpid() and self._process is not None and not self._process.is_dead

    def say_where(self) -> None:
        """Print its address on stderr, in a notebook as a link, or why there is none; it may take a second."""
        if not self._address and not self._problem:
            self._read_address()
        if self._address and in_a_notebook():
            show_link("live page", self._address)
        elif self._address:
            host, port = one_line(socket.gethostname(), 100), self._address.split("/")[2].rpartition(":")[2]
            write(f"live page: {self._address} (elsewhere: ssh -L {port}:127.0.0.1:{port} {host})\n", sys.stderr)
        else:
            write(f"no live page: {self._problem}; the study goes on\n", sys.stderr)

    def end(self) -> None:
        """End its process, if it is one of this process: first as it wants to, then by a kill."""
        if self._process is not None and self._owner == os.getpid():
            self._process.terminate()
            self._process.end(_ENDING_SECONDS)

    def _read_address(self) -> None:
        assert self._process is not None, "else there is a problem"
        line = self._process.read_line(START_SECONDS)
        self._process.hang_up()
        if line.startswith("http://"):
            self._address = line
        else:
            self._problem = one_line(line) or f"it did not start within {START_SECONDS:g} s"
            self.end()


def page_of(directory: Path, *, control: bool = False) -> Page:
    """Return the page of a study, that is there or is started now: one for each study that this process drives."""
    if (page := _pages.get((directory, control))) is None or not page.is_there:
        page = _pages[directory, control] = Page(directory, control=control)
    return page
