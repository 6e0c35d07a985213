"""Runs ``ashtune watch``: the followed studies, the answer processes, the
server and the browser.
"""

# Theory of operation
# -------------------
# "ashtune watch" runs one LivePage in its own process. With watch=True the tuning process starts
# this command itself, with --until-exit and its process number (``driver/control.py``). The two
# processes share only the journal, so the page cannot block the study, and can show how the study
# died.
#
#   thread or process              made by        ends with
#   -----------------------------  -------------  ------------------------------------
#   a thread for each study        _follow_new()  FollowedStudy.close()
#   three processes for answers    Questions      Questions.close()
#   the server, and a thread for   PageServer     PageServer.close()
#   each connection
#
# __exit__ closes in this order: studies first, since open pages then get their last message; then
# the processes, which may be in the middle of an answer; the server last.
#
# New studies are found when a page asks for the list (_find), so a folder costs nothing while
# nobody looks. A directory is followed before it exists, as people start the page first. Once a
# study was left out (MOST_FOUND), nothing is searched: each later study would be left out too.
#
# save() leaves page.html in directories that were named, not in those found below a folder: the
# user did not ask for files there. The file is written whole and renamed (write_new), with the
# process's number in the temporary name, since two pages may end at once.

import gc
import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

from ashtune._src.core.errors import AshtuneError
from ashtune._src.dashboard.admission import Admission
from ashtune._src.dashboard.followed_study import FollowedStudy
from ashtune._src.dashboard.questions import Questions
from ashtune._src.dashboard.routes import Found, Routes
from ashtune._src.dashboard.server import PageServer
from ashtune._src.study.disk import DISK, write_new
from ashtune._src.study.journal import NAME as JOURNAL
from ashtune._src.study.journal import studies_in

LOOK_SECONDS = 0.5
READ_SECONDS = 60.0
"""The longest time in seconds to read the rest of a journal before its page is saved."""
FIND_SECONDS = 5.0
"""The shortest time in seconds between two searches of folders for studies."""
MOST_FOUND = 100
"""Studies that are found in folders are followed only up to this total number of studies.

Each study has a thread and a picture.
"""
FEW_COLLECTIONS = (50_000, 20, 50)
"""The thresholds of the garbage collector.

Events and numbers are never part of cycles, so the collector finds little.
"""


class LivePage:
    """A page that shows studies, which may be missing at first, and the newest studies below
    folders.

    The page is served within this object's ``with`` block. See :class:`PageServer` for ``port`` and
    ``socket_path``. See :class:`Admission` for ``host_names`` and ``token``.

    Raises:
        SettingsError: If the port or socket cannot be used, or a name is not a host name.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        *,
        port: int = 0,
        socket_path: Path | None = None,
        host_names: Sequence[str] = (),
        token: str = "",
        control: bool = False,
    ) -> None:
        self.studies: list[FollowedStudy] = []
        self._given = {directory.absolute(): directory for directory in directories}
        self._control = control
        self._finding = threading.Lock()
        self._found = Found()
        self._find_at = 0.0
        self._questions = Questions()
        self._server = PageServer(
            Routes(self.studies, self._questions.ask, self._find), Admission(host_names, token),
            takes_commands=control, port=port, socket_path=socket_path,
        )  # fmt: skip

    @property
    def address(self) -> str:
        """The address of the page, or its path if the page uses a Unix socket."""
        return self._server.address

    @property
    def port(self) -> int | None:
        """The page's port, or None if the page uses a Unix socket."""
        return self._server.port

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until ``is_over`` returns True. The function is called twice a second. The default
        waits forever.
        """
        while not is_over():
            time.sleep(LOOK_SECONDS)

    def save(self) -> None:
        """Write the page of each study whose directory was given. If a page cannot be written,
        leave it out.
        """
        from ashtune._src.dashboard.saved import NAME, study_page

        for study in self.studies:
            if study.directory not in self._given:
                continue
            file = str(study.directory / NAME)
            with suppress(AshtuneError, OSError):
                study.wait_until_read(READ_SECONDS)
                _ = study.position  # raises if there is no study
                write_new(
                    DISK,
                    file,
                    study_page(study, self._questions.ask).encode(),
                    mark=f"{os.getpid()}",
                )
                study.saved_as = file

    def _find(self) -> Found:
        """Follow new studies of the directories, at most every ``FIND_SECONDS``.

        Once a study was left out, search no more.
        """
        with self._finding:
            if time.monotonic() >= self._find_at and not self._found.note:
                self._found = self._follow_new()
                self._find_at = time.monotonic() + FIND_SECONDS
            return self._found

    def _follow_new(self) -> Found:
        found = {
            each.absolute(): each
            for one in self._given.values()
            for each in studies_in(one) or [one]
        }
        new = found.keys() - {study.directory for study in self.studies}
        newest = sorted(new - self._given.keys(), key=_written_at, reverse=True)
        left_out = newest[max(0, MOST_FOUND - len(self.studies)) :]
        new.difference_update(left_out)
        for directory, given in found.items():
            if directory in new:
                study = FollowedStudy(given, control=self._control)
                study.start()
                self.studies.append(study)
        note = ""
        if left_out:
            note = f"Studies that this page does not show: {len(left_out):,}. "
            note += "To see one, run ashtune watch with its directory."
        return Found(is_folder=not found.keys() <= self._given.keys(), note=note)

    def __enter__(self) -> Self:
        self._find()
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for study in self.studies:
            study.close()
        self._questions.close()
        self._server.close()


def _written_at(directory: Path) -> int:
    """Return the time at which a study was last written to, for comparisons with other studies."""
    try:
        return DISK.status(str(directory / JOURNAL)).changed_ns
    except OSError:
        return 0


@contextmanager
def opened_in_browser(address: str) -> Iterator[None]:
    """Open an address in this machine's browser, and hide the address from other users of the
    machine.

    Other users can see the arguments of every process. Therefore the browser opens a file that only
    the user can read. The file redirects to the address, and exists only within the ``with`` block.
    """
    with NamedTemporaryFile(
        "w", prefix="ashtune-watch-", suffix=".html", encoding="utf-8", delete=False
    ) as file:
        file.write(
            f'<!doctype html><meta http-equiv="refresh" '
            f'content="0;url={address}"><title>ashtune</title>'
        )
    try:
        if not webbrowser.open(Path(file.name).as_uri()):
            sys.stderr.write("there is no browser here; open the address yourself\n")
        yield
    finally:
        Path(file.name).unlink(missing_ok=True)


def collect_seldom() -> None:
    """Make Python's garbage collector run less often in a process that only shows studies."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*FEW_COLLECTIONS)
