"""Jobs so short that waiting for the next one takes longer than doing it: a worker gets several at a time.

Rule 1: only while jobs are short, so that none waits at one worker, for longer than it takes to send it,
while another worker is idle.
Rule 2: only while results end a job, as those of a function that returns a number. A worker that holds its
trial to hear whether it goes on waits for that answer anyway.
"""

from ashtune.events import Event, JobFinished, PlacesChanged, WorkerLost
from ashtune.jobs import WorkerId

PLACES = 16
SHORT_SECONDS = 0.0002
LONG_SECONDS = 0.002
SHORT_JOBS_IN_A_ROW = 64


class Haste:
    """Watches how long jobs take, and says how many at a time a worker should have."""

    def __init__(self) -> None:
        self._short_in_a_row: dict[WorkerId, int] = {}
        self._hasty: set[WorkerId] = set()

    def saw(self, event: Event) -> PlacesChanged | None:
        """Take in an event; return the one that follows from it, if any."""
        if type(event) is not JobFinished:
            if isinstance(event, WorkerLost):
                self._short_in_a_row.pop(event.worker, None)
                self._hasty.discard(event.worker)
            return None
        worker = event.worker
        if worker in self._hasty:
            if event.seconds < LONG_SECONDS and not event.held:
                return None
            self._hasty.discard(worker)
            self._short_in_a_row[worker] = 0
            return PlacesChanged(event.time, worker, 1)
        if event.seconds > SHORT_SECONDS or event.held:
            self._short_in_a_row[worker] = 0
            return None
        short = self._short_in_a_row.get(worker, 0) + 1
        self._short_in_a_row[worker] = short
        if short < SHORT_JOBS_IN_A_ROW:
            return None
        self._hasty.add(worker)
        return PlacesChanged(event.time, worker, PLACES)
