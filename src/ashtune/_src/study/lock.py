"""A lock of the operating system that allows only one driver at a time for a study. The lock ends
with the driver's process.
"""

import os
import socket
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from ashtune._src.core.errors import StudyError
from ashtune._src.study.disk import DISK, Disk, reason_of

NAME = "driver.lock"

_held: "weakref.WeakSet[StudyLock]" = weakref.WeakSet()
_changing = threading.RLock()
"""This lock is held while a study's lock file is open and its ``StudyLock`` is not yet in
``_held``, and during a release. A fork waits for this lock, so that the forked process finds every
open lock file in ``_held``.
"""


class StudyLock:
    """Locks a study's directory for this process, but not for forked processes, until
    :meth:`release`.

    Raises:
        StudyError: If another driver holds the lock; the message names that driver.
    """

    def __init__(self, directory: Path, disk: Disk = DISK) -> None:
        self._disk = disk
        with _changing:
            self._file = self._lock(directory)
            _held.add(self)

    def _lock(self, directory: Path) -> int:
        path = directory / NAME
        disk = self._disk
        try:
            file = disk.open(str(path), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StudyError(
                f"{path}: {reason_of(error)}; remove it, or choose a directory that can be written"
            ) from None
        try:
            disk.lock(file)
        except BlockingIOError:
            holder = self._holder(file) or "another process"
            disk.close(file)
            raise StudyError(
                f"{directory} is in use by {holder}; wait until this process ends, stop it, or "
                "give another directory"
            ) from None
        except OSError as error:
            disk.close(file)
            raise StudyError(
                f"{path}: {error.strerror}; choose a directory on a file system with locks"
            ) from None
        with suppress(OSError):  # the disk is full, but the lock works without the driver's name
            disk.truncate(file, 0)
            disk.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return file

    def _holder(self, file: int) -> str:
        with suppress(OSError):
            text = self._disk.read(file, 256).decode(errors="replace")
            return "".join(letter for letter in text if letter.isprintable()).strip()
        return ""

    def release(self) -> None:
        """Release the lock."""
        with _changing:
            if self in _held:
                _held.discard(self)
                self._disk.close(self._file)

    def __enter__(self) -> "StudyLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _let_go() -> None:
    """Close the files of all locks in a process that was just forked, since the locks belong to its
    parent process.
    """
    _changing.release()
    for lock in list(_held):
        with suppress(OSError):
            lock.release()


os.register_at_fork(
    before=_changing.acquire, after_in_parent=_changing.release, after_in_child=_let_go
)
