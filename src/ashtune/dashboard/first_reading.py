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
from ashtune.core.verdicts import TrialPromoted
from ashtune.dashboard.reading import Batch, BatchListener, Cursor, Dispatcher, Reading
from ashtune.study.journal import Lines, read_many
from ashtune.study.replay import Replay


class FirstReading:
    """Reads a journal from events alone, and then what is added to it.

    Args:
        path: The journal.
        goal: The study's.
        listeners: Those that are told the events, in this order.
        cursor: Is moved along; the listeners may look at it.
        ladder: The rungs that the listeners were made for.
    """

    def __init__(
        self, path: Path, goal: Goal, listeners: Sequence[BatchListener], cursor: Cursor, *, ladder: Ladder
    ) -> None:
        self._path = path
        self._goal = goal
        self._listeners = listeners
        self._replay = Replay()
        self._dispatcher = Dispatcher(self._replay, listeners, cursor, ladder=ladder, unchecked=path)
        self._blocks = read_many(path)
        self._position = 0
        self._rest: Reading | None = None
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """The byte up to which it has read."""
        return self._position if self._rest is None else self._rest.position

    @property
    def can_go_on(self) -> bool:
        """Whether it may succeed after it has failed: no batch was told to some of the listeners only."""
        return self._failure is None and (self._rest is None or self._rest.can_go_on)

    def advance(self, seconds: float) -> bool:
        """Read on for about this many seconds; return whether the end of the journal is reached.

        Raises:
            JournalError: If a line cannot be read, or the file is another one than before.
            LadderGrew: If a session has added rungs above those that the listeners were made for.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        until = perf_counter() + seconds
        while self._rest is None:
            if perf_counter() > until:
                return False
            if (lines := next(self._blocks, None)) is not None:
                try:
                    self._take(lines)
                except Exception as error:
                    self._failure = error
                    raise
                self._position = lines.end
            else:
                self._rest = Reading(self._path, self._dispatcher, self._position)
        return self._rest.advance(seconds)

    def _take(self, lines: Lines) -> None:
        """Take in lines: batches of what can be in one, and between them what cannot."""
        dispatcher = self._dispatcher
        confirming, rungs = dispatcher.confirming, len(dispatcher.ladder.rungs)
        batch = Batch.empty()
        for event, line in zip(lines.events, lines.begins, strict=True):
            if not confirming:
                if type(event) is JobFinished:
                    if event.trial < dispatcher.trials and event.rung < rungs:
                        batch.finished.append(event)
                        batch.finish_lines.append(line)
                        continue
                elif type(event) is TrialStarted:
                    if event.trial == dispatcher.trials and event.confirms is None:
                        dispatcher.trials += 1
                        batch.started.append(event)
                        batch.start_lines.append(line)
                        continue
                elif type(event) is TrialReleased and event.trial < dispatcher.trials:
                    batch.released.append(event)
                    continue
            self._give(batch)
            batch = Batch.empty()
            dispatcher.cursor.line = line
            dispatcher.tell(event)
        self._give(batch)

    def _give(self, batch: Batch) -> None:
        """Give a batch to the listeners, and tell them what followed from its results."""
        if batch.is_empty:
            return
        dispatcher, loss = self._dispatcher, self._goal.loss
        batch.losses.extend([loss(event.metrics) for event in batch.finished])
        promoted = self._replay.feed_results(batch.finished)
        for listener in self._listeners:
            listener.take_batch(batch)
        for method in dispatcher.methods.get(TrialPromoted, ()):
            for verdict in promoted:
                method(verdict)
        dispatcher.cursor.time = max(dispatcher.cursor.time, batch.time)
