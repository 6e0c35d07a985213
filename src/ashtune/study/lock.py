"""One driver at a time on a study: a lock of the operating system, gone with the driver that held it."""

import errno
import os
import socket
import weakref
from contextlib import suppress
from pathlib import Path

from ashtune.core.errors import StudyError
from ashtune.study.disk import DISK, Disk

NAME = "driver.lock"
WORDS = {
    errno.ELOOP: "a symbolic link, which is not followed; remove it",
    errno.EISDIR: "a folder stands in the lock's place; remove it",
    errno.EINVAL: "not a regular file; remove it",
    errno.ENXIO: "not a regular file; remove it",
}


_held: "weakref.WeakSet[StudyLock]" = weakref.WeakSet()


class StudyLock:
    """Hold a study's directory for this process, from construction to :meth:`release`.

    A process that is forked does not hold it: what outlives a driver that was killed must not keep others out.

    Args:
        directory: The study's directory.
        disk: Where it is.

    Raises:
        StudyError: If another driver holds it; the message names that driver.
    """

    def __init__(self, directory: Path, disk: Disk = DISK) -> None:
        path = directory / NAME
        self._disk = disk
        try:
            self._file = disk.open(str(path), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            advice = WORDS.get(error.errno or 0, f"{error.strerror}; choose a directory that can be written")
            raise StudyError(f"{path}: {advice}") from None
        try:
            disk.lock(self._file)
        except BlockingIOError:
            holder = self._holder() or "another process"
            disk.close(self._file)
            raise StudyError(
                f"{directory} is being driven by {holder}; wait for it to end, stop it, or give another directory"
            ) from None
        except OSError as error:
            disk.close(self._file)
            raise StudyError(f"{path}: {error.strerror}; choose a directory on a file system with locks") from None
        with suppress(OSError):  # a full disk: the name is a courtesy, the lock holds
            disk.truncate(self._file, 0)
            disk.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        _held.add(self)

    def _holder(self) -> str:
        with suppress(OSError):
            text = self._disk.read(self._file, 256).decode(errors="replace")
            return "".join(letter for letter in text if letter.isprintable()).strip()
        return ""

    def release(self) -> None:
        """Give the study free."""
        if self in _held:
            _held.discard(self)
            self._disk.close(self._file)

    def __enter__(self) -> "StudyLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _let_go() -> None:
    """In a process that was just forked: close what it has of the locks, which stay with the driver."""
    for lock in list(_held):
        with suppress(OSError):
            lock.release()


os.register_at_fork(after_in_child=_let_go)
