"""Folders among the machine's temporary files, with what is a user's own: a study, data, checkpoints."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ashtune.study.disk import DISK
from ashtune.study.folders import delete


class ScratchDirectory:
    """A process's own folder among the machine's temporary files: at most one at a time.

    It is made when it is needed. A process that is killed cannot delete its folder; the next one on the same machine
    does.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process = os.getpid()

    def folder(self) -> Path:
        """Return the folder."""
        if self._folder is None:
            ours = f"ashtune-{os.uname().nodename}-"
            _delete_those_of_the_dead(ours)
            self._folder = Path(tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-"))
        return self._folder

    def delete(self) -> None:
        """Delete the folder; a fork of its process does not."""
        if self._folder is not None and self._process == os.getpid():
            delete(DISK, str(self._folder))
            self._folder = None

    @contextmanager
    def deleted_at_sigterm(self) -> Iterator[None]:
        """Let SIGTERM delete the folder before it ends the process, unless it is handled otherwise."""

        def end(number: int, frame: FrameType | None) -> None:
            del frame
            self.delete()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone after the ``with`` block."""
    scratch = ScratchDirectory()
    try:
        with scratch.deleted_at_sigterm():
            yield scratch.folder()
    finally:
        scratch.delete()


def _delete_those_of_the_dead(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        with suppress(FileNotFoundError):
            if pid.isdecimal() and not _lives(int(pid)) and folder.lstat().st_uid == os.geteuid():
                delete(DISK, str(folder))  # another user's stays


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
