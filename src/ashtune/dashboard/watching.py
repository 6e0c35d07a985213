"""All of ``ashtune watch``: studies that are followed, answers that are worked out, the server that shows both, and the
browser that opens it.
"""

import gc
import os
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ashtune.dashboard.admission import Admission
from ashtune.dashboard.control import Commands
from ashtune.dashboard.following import FollowedStudy
from ashtune.dashboard.questions import Questions
from ashtune.dashboard.routes import Routes, page_files
from ashtune.dashboard.server import PageServer, Site

LOOK_SECONDS = 0.5
FEW_COLLECTIONS = (50_000, 20, 50)
"""Events and numbers refer to nothing that refers to them, so the collector has little to find."""


class LivePage:
    """A page that shows studies, within its ``with`` block.

    Args:
        directories: The studies', whether or not they are there yet.
        port: On loopback; 0 for one that is free.
        socket_path: A socket of the file system in place of a port.
        host_names: More names by which the page may be asked for.
        token: The secret part of the address; by default a new one.
        control: Whether commands may be sent to the drivers.

    Raises:
        SettingsError: If the port or socket cannot be had, or a name is none.
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
        admission = Admission(host_names, token)
        self.studies = [FollowedStudy(directory, control=control) for directory in directories]
        self._questions = Questions()
        commands = Commands(self.studies, admission) if control else None
        site = Site(Routes(self.studies, self._questions), page_files(), admission, commands)
        self._server = PageServer(site, port=port, socket_path=socket_path)

    @property
    def address(self) -> str:
        """The address of the page; of a socket its path."""
        return self._server.address

    @property
    def port(self) -> int | None:
        """The port; None of a socket."""
        return self._server.port

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until it is over, which is asked twice a second; for ever by default."""
        while not is_over():
            time.sleep(LOOK_SECONDS)

    def __enter__(self) -> Self:
        for study in self.studies:
            study.start()
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for study in self.studies:
            study.close()
        self._questions.close()
        self._server.close()


class OpenedInBrowser:
    """Opens an address in the browser of this machine, without telling it to other users of the machine.

    They see the arguments of every process, so the browser is given a file that only its owner can read, and that
    leads to the address. The file is there within the ``with`` block.

    Args:
        address: Of the page.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._file: Path | None = None

    def __enter__(self) -> None:
        try:
            self._open()
        except BaseException:  # Ctrl-C, too, while the browser starts
            self._delete()
            raise

    def __exit__(self, *_: object) -> None:
        self._delete()

    def _open(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="ashtune-watch-", suffix=".html")  # for its owner alone
        self._file = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(
                f'<!doctype html><meta http-equiv="refresh" content="0;url={self._address}"><title>ashtune</title>'
            )
        if not webbrowser.open(self._file.as_uri()):
            sys.stderr.write("there is no browser here; open the address yourself\n")

    def _delete(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def collect_seldom() -> None:
    """Have Python look for cycles of objects less often: for a process that does nothing but show studies."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*FEW_COLLECTIONS)
