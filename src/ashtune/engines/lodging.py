"""A rank's own folder for what is not shared: made when it is needed, gone when the study is over.

A rank that is killed cannot delete its folder; the next one on the same machine does.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ashtune.study.checkpoints import delete
from ashtune.study.disk import DISK


class Lodging:
    """At most one folder at a time, in the machine's folder for temporary files."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def folder(self) -> Path:
        """Return the folder."""
        if self._folder is None:
            ours = f"ashtune-{os.uname().nodename}-"
            _delete_those_of_the_dead(ours)
            self._folder = Path(tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-"))
        return self._folder

    def leave(self) -> None:
        """Delete the folder."""
        if self._folder is not None:
            delete(DISK, str(self._folder))
            self._folder = None


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
