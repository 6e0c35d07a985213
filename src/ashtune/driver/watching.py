"""The live page of a study that is driven here: ``ashtune watch``, as a process of its own.

Rule 1: the page ends by itself a moment after this process has ended, not with the study: in a notebook one looks at it
when the study is done.
Rule 2: whatever goes wrong with the page costs one line on stderr, never the study.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

from ashtune.core.plaintext import one_line
from ashtune.processes.child import ChildProcess, module_command, module_environment
from ashtune.reports.terminal.live import in_a_notebook
from ashtune.reports.terminal.text import show_link, write

START_SECONDS = 30.0
_ENDING_SECONDS = 2.0
"""For the page's own way to its end. After that it is killed."""

_pages: dict[tuple[Path, bool], "Page"] = {}


class Page:
    """A page of one study, which is being started.

    Args:
        directory: The study's.
        control: Whether commands may be sent from it.
    """

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
        """Print its address on stderr, which takes up to a second after its start; or why there is none.

        In a notebook the address is a link in the cell.
        """
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
