"""Seconds that workers trained and saved, by session: the whole that a profile divides among functions."""

from collections.abc import Iterable

from ashtune.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
)
from ashtune.core.jobs import WorkerId
from ashtune.core.observer import Observer


class WorkingSeconds(Observer):
    """Adds up the seconds of each session. O(1) an event, and a few bytes a worker."""

    def __init__(self) -> None:
        self._seconds = [0.0]
        self._session_of: dict[WorkerId, int] = {}

    def event(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case JobFinished() | JobFailed() | JobPaused() | TrialWithdrawn() | TrialReleased():
                self._seconds[-1] += event.seconds
            case WorkerJoined(worker=worker):
                self._session_of[worker] = len(self._seconds) - 1
            case SessionStarted():
                self._seconds.append(0.0)
            case _:
                pass

    def seconds_beside(self, workers: Iterable[WorkerId]) -> float:
        """Return the seconds of all workers in the sessions of these ones."""
        sessions = {self._session_of[worker] for worker in workers if worker in self._session_of}
        return sum(self._seconds[session] for session in sessions)
