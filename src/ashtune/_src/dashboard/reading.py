"""Reads a journal in small steps, and passes its events to observers. The page can answer requests
between two steps.

Rule: no code of the study is executed. A scheduler is used only if it is installed on this machine.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from ashtune._src.core.errors import AshtuneError, JournalError
from ashtune._src.core.events import SessionStarted
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer, Observers, Told
from ashtune._src.study.journal import Batch, JournalReader
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import next_ladder


class LadderGrew(AshtuneError):  # noqa: N818 - it says what has happened
    """A session added rungs at the top. Objects that were made for fewer
    rungs must be made again.
    """

    def __init__(self, ladder: Ladder) -> None:
        super().__init__(f"there are {len(ladder.rungs)} rungs from now on")
        self.ladder = ladder


class Reading:
    """Reads a journal, including the lines that are added later.

    Args:
        ladder: The ladder for which the observers were made.
        observers: The observers. Each event is passed to the observers in this order.

    Raises:
        JournalError: If there is no journal.
    """

    def __init__(
        self, path: Path, ladder: Ladder, replay: Replay, observers: Sequence[Observer]
    ) -> None:
        self._path = path
        self._ladder = ladder
        self._reader = JournalReader(path)
        self._replay = replay
        self._all = observers
        self._observers = Observers(observers)
        self._batches: Iterator[Batch] | None = None
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """The number of bytes read so far."""
        return self._reader.position

    def add_observers(self, observers: Sequence[Observer]) -> None:
        """Pass each event to other observers too. Call this before the first :meth:`advance`."""
        self._all = [*self._all, *observers]
        self._observers = Observers(self._all)

    @property
    def can_go_on(self) -> bool:
        """Whether every observer has seen every event. If so, :meth:`advance` may be called again
        after an error.
        """
        return self._failure is None

    def advance(self, seconds: float) -> bool:
        """Read the journal for about ``seconds``. Return whether the end of the journal is reached.

        Raises:
            JournalError: If a line cannot be read or followed, or the file is not the same as
                before.
            LadderGrew: If a session has added rungs above the ladder of the observers.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        until = perf_counter() + seconds
        batches = self._batches or self._reader.read()
        self._batches = None
        for batch in batches:
            try:
                self._tell(batch)
            except Exception as error:
                self._failure = error
                raise
            if perf_counter() > until:
                self._batches = batches
                return False
        return True

    def _tell(self, batch: Batch) -> None:
        feed = self._replay.feed
        told = list[Told]()
        try:
            for event in batch.events:
                if type(event) is SessionStarted and len(event.rungs) > len(self._ladder.rungs):
                    raise LadderGrew(next_ladder(self._ladder, event))
                try:
                    told.append((event, feed(event)))
                except JournalError as error:
                    raise JournalError(f"{self._path}: {error}") from None
        finally:
            self._observers.tell(told)
