"""Jobs so short that waiting for the next one takes longer than doing it: a worker gets several at a time.

Rule 1: only jobs up to a rung whose jobs were short at this worker wait at it, and only behind such jobs.
Rule 2: only while results end a job, as those of a function that returns a number. A worker that holds its
trial to hear whether it goes on waits for that answer anyway.
"""

import msgspec

from ashtune.events import Event, JobFinished, PlacesChanged, WorkerLost
from ashtune.jobs import WorkerId

PLACES = 16
SHORT_SECONDS = 0.0002
LONG_SECONDS = 0.002
SHORT_JOBS_IN_A_ROW = 64


class Row(msgspec.Struct, gc=False):
    """A worker's short jobs in a row, and the highest rung among them."""

    length: int = 0
    rung: int = 0
    is_offered: bool = False


class Haste:
    """Watches how long jobs take, and says how many at a time a worker should have."""

    def __init__(self) -> None:
        self._rows: dict[WorkerId, Row] = {}

    def saw(self, event: Event) -> PlacesChanged | None:
        """Take in an event; return the one that follows from it, if any. O(1)."""
        if type(event) is not JobFinished:
            if isinstance(event, WorkerLost):
                self._rows.pop(event.worker, None)
            return None
        row = self._rows.get(event.worker)
        if row is None:
            row = self._rows[event.worker] = Row()
        if event.held or event.seconds > (LONG_SECONDS if row.is_offered else SHORT_SECONDS):
            return self._end(row, event)
        row.length += 1
        is_new = not row.is_offered
        if event.rung > row.rung and event.seconds <= SHORT_SECONDS:
            row.rung, is_new = event.rung, True
        if not is_new or row.length < SHORT_JOBS_IN_A_ROW:
            return None
        row.is_offered = True
        return PlacesChanged(event.time, event.worker, PLACES, row.rung)

    def _end(self, row: Row, event: JobFinished) -> PlacesChanged | None:
        """A job was not short: take the offer back, unless it was for lower rungs only."""
        if row.is_offered and event.rung > row.rung and not event.held:
            return None
        was_offered = row.is_offered
        row.length, row.rung, row.is_offered = 0, 0, False
        return PlacesChanged(event.time, event.worker, 1) if was_offered else None
