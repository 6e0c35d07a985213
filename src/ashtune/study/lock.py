"""One driver at a time on a study: a lock of the operating system, gone with the driver that held it."""

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from ashtune.errors import StudyError

NAME = "driver.lock"


class StudyLock:
    """Hold a study's directory for this process, from construction to :meth:`release`.

    Raises:
        StudyError: If another driver holds it; the message names that driver.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / NAME
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StudyError(f"{path}: {error.strerror}; choose a directory that can be written") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 256).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise StudyError(
                f"{directory} is being driven by {holder}; wait for it to end, stop it, or give another directory"
            ) from None
        except OSError as error:
            os.close(self._file)
            raise StudyError(f"{path}: {error.strerror}; choose a directory on a file system with locks") from None
        with suppress(OSError):  # a full disk: the name is a courtesy, the lock holds
            os.ftruncate(self._file, 0)
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Give the study free."""
        os.close(self._file)

    def __enter__(self) -> "StudyLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
