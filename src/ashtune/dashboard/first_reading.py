"""The first reading of a large journal: thousands of events at a time, so that there is something to see in seconds.

Starts, results and releases of trials are nine tenths and more of a journal. Where they stand together, each listener
takes them in as one batch; all else, and all that concerns confirmations, is told one event after another.

Rule: what comes out is what :class:`~ashtune.dashboard.reading.Reading` gives from events alone.
"""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from ashtune.core.events import JobFinished, TrialReleased, TrialStarted
from ashtune.core.jobs import Goal
from ashtune.core.ladder import Ladder
from ashtune.dashboard.reading import Batch, BatchListener, Cursor, Reading, Telling
from ashtune.study.journal import Lines, read_many
from ashtune.study.replay import Replay


class FirstReading:
    """Reads a journal from events alone, and then what is added to it.

    Args:
        path: The journal.
        goal: The study's.
        listeners: What hears of it, in this order.
        cursor: Is moved along; the listeners may look at it.
        ladder: The rungs that the listeners were made for.
    """

    def __init__(
        self, path: Path, goal: Goal, listeners: Sequence[BatchListener], cursor: Cursor, *, ladder: Ladder
    ) -> None:
        self._path = path
        self._goal = goal
        self._listeners = listeners
        self._telling = Telling(Replay(), listeners, cursor, ladder=ladder, journal=path)
        self._many = read_many(path)
        self._position = 0
        self._goes_on: Reading | None = None

    @property
    def position(self) -> int:
        """The byte up to which it has read."""
        return self._position if self._goes_on is None else self._goes_on.position

    def advance(self, seconds: float) -> bool:
        """Read on for about so many seconds; return whether all is read that was there.

        Raises:
            JournalError: If a line cannot be read, or the file is another one than before.
            LadderGrew: If a session has added rungs above those that the listeners were made for.
        """
        until = perf_counter() + seconds
        while self._goes_on is None:
            if perf_counter() > until:
                return False
            if (lines := next(self._many, None)) is not None:
                self._take(lines)
                self._position = lines.end
            else:
                self._goes_on = Reading(self._path, self._telling, self._position)
        return self._goes_on.advance(seconds)

    def _take(self, lines: Lines) -> None:
        """Take in lines: batches of what can be in one, and between them what cannot."""
        telling, rungs = self._telling, len(self._telling.ladder.rungs)
        batch = Batch([], [], [], [], [], [])
        for event, line in zip(lines.events, lines.begins, strict=True):
            if not telling.confirming:
                if isinstance(event, JobFinished):
                    if event.trial < telling.trials and event.rung < rungs:
                        batch.finished.append(event)
                        batch.finish_lines.append(line)
                        continue
                elif isinstance(event, TrialStarted):
                    if event.trial == telling.trials and event.confirms is None:
                        telling.trials += 1
                        batch.started.append(event)
                        batch.start_lines.append(line)
                        continue
                elif isinstance(event, TrialReleased) and event.trial < telling.trials:
                    batch.released.append(event)
                    continue
            self._give(batch)
            batch = Batch([], [], [], [], [], [])
            telling.cursor.line = line
            telling.tell(event)
        self._give(batch)

    def _give(self, batch: Batch) -> None:
        """Give a batch to the listeners, and tell them what followed from its results."""
        if not (batch.started or batch.finished or batch.released):
            return
        telling, loss, feed = self._telling, self._goal.loss, self._telling.replay.feed
        batch.losses.extend([loss(event.metrics) for event in batch.finished])
        followed = [what for event in batch.finished for what in feed(event)]
        for listener in self._listeners:
            listener.take_batch(batch)
        for what in followed:
            for method in telling.methods.get(type(what), ()):
                method(what)
        for events in (batch.started, batch.finished, batch.released):
            telling.cursor.time = max(telling.cursor.time, max((event.time for event in events), default=0.0))
