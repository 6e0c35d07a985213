"""What worker threads print goes to their logs, as with worker processes; all else goes where it went.

Only what Python prints is caught, by ``print`` or ``sys.stdout``: threads of one process share the file descriptors.
"""

import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ashtune.core.jobs import TrialId, WorkerId
from ashtune.study.disk import append_to, folder_of_a_study
from ashtune.training.printed import mark_of

STREAMS = ("stdout", "stderr")


class ThreadLog:
    """The log of one worker, entered by its thread.

    Args:
        logs: Of all workers.
        path: The file; it is made when something is printed.
    """

    def __init__(self, logs: "ThreadLogs", path: Path) -> None:
        self._logs = logs
        self._path = path
        self._has_printed = False

    def write(self, text: str) -> int:
        """Append to the log. One that the disk refuses is no reason to fail a trial."""
        self._has_printed = self._has_printed or bool(text)
        with suppress(OSError):
            folder_of_a_study(self._path.parent)
            with append_to(self._path) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def mark(self, trial: TrialId, start: int) -> None:
        """Say that a trial, from resource ``start`` on, has printed what is above, if it has printed anything."""
        if self._has_printed:
            self.write(mark_of(trial, start))
            self._has_printed = False

    def __enter__(self) -> "ThreadLog":
        self._logs.here.log = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._logs.here.log = None


class ThreadLogs:
    """The logs of all workers of a study. While it is open it stands before ``sys.stdout`` and ``sys.stderr``.

    Args:
        folder: Where the logs are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.here = threading.local()
        self._streams = {name: _Stream(getattr(sys, name), self.here) for name in STREAMS}
        for name, stream in self._streams.items():
            setattr(sys, name, stream)

    def of(self, worker: WorkerId) -> ThreadLog:
        """Return a worker's log."""
        return ThreadLog(self, self._folder / f"worker-{worker}.log")

    def close(self) -> None:
        """Put the streams back that were there before, unless somebody else has put others in their place."""
        for name, stream in self._streams.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.before)


class _Stream:
    """A stream that leads worker threads to their logs.

    Args:
        before: The stream for everyone else.
        here: Has the log of the thread that asks.
    """

    def __init__(self, before: Any, here: threading.local) -> None:
        self.before = before
        self._here = here

    def write(self, text: str) -> int:
        """Write."""
        log = getattr(self._here, "log", None)
        return int((self.before if log is None else log).write(text))

    def flush(self) -> None:
        """Flush; logs are written at once."""
        if getattr(self._here, "log", None) is None:
            self.before.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)
