"""Starts the live page of a study that this process drives, and handles the commands that users
send from the page.

The live page is ``ashtune watch`` in its own process. The page's process ends shortly after the
driver's process. If the driver's process still runs after the end of the study, as in a notebook,
the page stays, because users still look at the page. If the live page fails, the driver writes one
line to stderr and continues.

A command is checked by this module, handled by the controller, written to the journal as an event,
and answered. Trials and configurations that a command added therefore remain in a resumed study. A
pause and a changed number of workers end with the session.

Rule 1: a refused command has no effect except one line of text, which is sent to the user and
written to stderr.
Rule 2: a command that changes nothing, such as a pause of a paused study, is answered but not
written to the journal.
"""

# Decision 42 (docs/decisions/0042-control-from-the-page.md).

import atexit
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
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
from ashtune._src.core.plaintext import one_line, say
from ashtune._src.engines.engine_protocol import Resizable, Workers
from ashtune._src.engines.session_options import check_workers
from ashtune._src.processes.child import ChildProcess, module_command, module_environment
from ashtune._src.reports.terminal.live import in_a_notebook
from ashtune._src.reports.terminal.text import show_link
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
from ashtune._src.study.factory import BuiltStudy

STOPPED = "asked for on the live page"
START_SECONDS = 30.0
_ENDING_SECONDS = 2.0
"""The longest time that the live page's process gets to end by itself; after this time, the process
is killed.
"""

_pages: dict[tuple[Path, bool], "Page"] = {}


class Control:
    """Receives the user's commands while a study runs. The class implements ``Requests``.

    Args:
        count: The number of workers at the start.
    """

    def __init__(
        self,
        inbox: CommandFolder,
        *,
        study: BuiltStudy,
        tally: Tally,
        workers: Workers,
        count: int,
    ) -> None:
        self._inbox = inbox
        self._study = study
        self._tally = tally
        self._workers = workers
        self._count: int | None = count  # None if the last change has failed

    def take(self, now: float) -> Iterator[tuple[str, Event]]:
        """Yield the name and the event of each new command. Commands that are refused or change
        nothing are omitted.
        """
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
        """Answer a command. A command about the enqueued configurations or the number of workers is
        applied before it is answered.
        """
        # The event is in the journal already. If this driver is killed here, nothing is lost: the
        # next session reads the event from the journal.
        try:
            match event:
                case ConfigurationEnqueued(configuration=configuration):
                    self._study.configurations.enqueue(configuration)
                case WorkersChanged(workers=workers) if isinstance(self._workers, Resizable):
                    self._count = None
                    self._workers.resize(workers)
                    self._count = workers
                case _:
                    pass
        except (
            AshtuneError
        ) as error:  # no room for more processes: the study continues with the present processes
            self.refuse(name, str(error))
        else:
            self._inbox.answer(name)

    def refuse(self, name: str, why: str) -> None:
        """Write one line which says that a command is refused, and send the reason to the user."""
        say(f"a command was refused: {why}")
        self._inbox.answer(name, why)

    def _event(self, command: Command | StudyError, now: float) -> Event | None:
        if isinstance(command, StudyError):
            raise command
        controller = self._study.controller
        # A study that is ending gives no job any more, so other commands would have no effect.
        if controller.stopping and not isinstance(command, StopStudy):
            raise SettingsError(
                f"the study is ending: {controller.stopping}; resume it when it has ended"
            )
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
        check_whole("trials", more)
        before = self._tally.most_trials
        most = self._study.settings.configurations
        if before is None:
            raise SettingsError(
                f"trials={more:,} cannot be added: the study has no limit of trials, and starts "
                "new ones until you stop it or another limit is reached"
            )
        if most is not None and before + more > most:
            raise SettingsError(
                f"trials={before:,} and {more:,} more are too many: the search has "
                f"{plural(most, 'configuration')}; {most - before:,} more can be added"
            )
        return check_whole("trials", before + more)

    def _workers_changed(self, workers: int, now: float) -> Event | None:
        check_workers("workers", workers)
        # Only the local engine starts and ends workers while a study runs.
        if not isinstance(self._workers, Resizable):
            raise SettingsError(
                f"workers={workers}: this engine cannot change the number of workers while the "
                f"study runs; stop the study, and resume it with workers={workers}"
            )
        self._workers.check_size(workers)
        return None if workers == self._count else WorkersChanged(now, workers)

    def _checked(self, configuration: dict[str, object]) -> dict[str, object]:
        checked = self._study.configurations.check_enqueued(configuration)
        if self._study.controller.trials_left <= self._study.configurations.waiting:
            raise SettingsError(
                "no trial is left for this configuration: all "
                f"{self._tally.most_trials or self._tally.started:,} trials have begun or have a "
                "configuration; add trials first"
            )
        return checked


class Page:
    """The live page of one study. If ``control``, users can send commands from the page.

    If ``keep``, this process does not exit before the user presses Ctrl-C, so that the page stays
    after the study.
    """

    def __init__(self, directory: Path, *, control: bool = False, keep: bool = False) -> None:
        self._owner = os.getpid()
        self._address = ""
        self._problem = ""
        more = ["--control"] if control else []
        command = module_command(
            "ashtune", "watch", "--until-exit", self._owner, *more, "--", directory
        )
        self._process: ChildProcess | None = None
        try:
            self._process = ChildProcess(command, module_environment(), stderr=subprocess.STDOUT)
        except OSError as error:
            self._problem = str(error.strerror)
        if keep and not in_a_notebook():  # a notebook's process stays anyway
            atexit.register(self._stay)

    def _stay(self) -> None:
        if self.is_there and self._process is not None:
            say(f"the live page stays until Ctrl-C: {self._address}")
            with suppress(KeyboardInterrupt):
                self._process.wait()

    @property
    def is_there(self) -> bool:
        """Whether the page's process runs and was started by this process."""
        return (
            self._owner == os.getpid() and self._process is not None and not self._process.is_dead
        )

    def say_where(self) -> None:
        """Print the address of the live page (as a link in a notebook), or print why there is no
        page.

        The first call waits for the page's address, which may take a second.
        """
        if not self._address and not self._problem:
            self._read_address()
        if self._address and in_a_notebook():
            show_link("live page", self._address)
        elif self._address:
            host = one_line(socket.gethostname(), 100)
            port = self._address.split("/")[2].rpartition(":")[2]
            say(f"live page: {self._address} (elsewhere: ssh -L {port}:127.0.0.1:{port} {host})")
        else:
            say(f"no live page: {self._problem}; the study continues")

    def end(self) -> None:
        """Ask the page's process to end, and kill it if necessary. If another process started the
        page, do nothing.
        """
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


def page_of(directory: Path, *, control: bool = False, keep: bool = False) -> Page:
    """Return the live page of a study that this process drives. If the page does not run, start the
    page.
    """
    page = _pages.get((directory, control))
    if page is None or not page.is_there:
        page = _pages[directory, control] = Page(directory, control=control, keep=keep)
    return page
