"""Sorts what workers say: events for the loop, progress for the display, and what ends a study."""

from collections.abc import Sequence
from pathlib import Path

from ashtune.core.errors import AshtuneError, ObjectiveError
from ashtune.core.events import Event, JobFinished, Progress, stamped
from ashtune.engines.workload import WorkerMessage
from ashtune.study.disk import append_to
from ashtune.training.messages import Alone, Broken


class Collector:
    """One for all workers of an engine.

    Args:
        logs: The study's folder of logs, where the traceback of a function that cannot be loaded goes.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._progress: list[Progress] = []
        self._has_a_result = False
        self.fatal_error: AshtuneError | None = None
        """Why the study cannot go on; the engine raises it when the events before it are handled."""

    def collect(self, messages: Sequence[WorkerMessage], moment: float) -> list[Event]:
        """Return messages as events of that moment."""
        return [event for message in messages if (event := self._take(message, moment)) is not None]

    def _take(self, message: WorkerMessage, moment: float) -> Event | None:
        """Return a message as an event of that moment, if it is one."""
        kind = type(message)
        if kind is JobFinished:
            self._has_a_result = True
        elif kind is Progress:
            self._progress.append(message)  # type: ignore[arg-type] # its type was just looked at
            return None
        elif kind is Alone:
            return None  # who has the worker's jobs has noted it
        elif isinstance(message, Broken):
            if message.failure is None or not self._has_a_result:
                self.fatal_error = self.fatal_error or self._broken(message)
                return None
            return stamped(message.failure, moment)
        return stamped(message, moment)  # type: ignore[arg-type] # those that are no events are gone

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        progress, self._progress = self._progress, []
        return progress

    def _broken(self, message: Broken) -> ObjectiveError:
        if not message.traceback:
            return ObjectiveError(message.reason)
        log = self._logs / f"worker-{message.worker}.log"
        with append_to(log) as file:
            file.write(message.traceback.encode("utf-8", "replace"))
        return ObjectiveError(f"{message.reason}; the traceback is in {log}")
