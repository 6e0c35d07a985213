"""A journal is read bit by bit, and its events are told to observers: between two bits the page answers.

Rule: nothing of the study is executed. Of its scheduler only a part that is installed here is asked.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from ashtune._src.core.errors import AshtuneError, JournalError
from ashtune._src.core.events import SessionStarted
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer, Observers
from ashtune._src.study.journal import Batch, JournalReader
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import next_ladder


class LadderGrew(AshtuneError):  # noqa: N818 - it says what has happened
    """A session adds rungs above: what was made for fewer rungs has to be made anew."""

    def __init__(self, ladder: Ladder) -> None:
        super().__init__(f"there are {len(ladder.rungs)} rungs from now on")
        self.ladder = ladder


class Reading:
    """Reads a journal, and then what is added to it.

    Args:
        ladder: The rungs that the observers were made for.
        observers: Are told, in this order.

    Raises:
        JournalError: If there is no journal.
    """

    def __init__(self, path: Path, ladder: Ladder, replay: Replay, observers: Sequence[Observer]) -> None:
        self._path = path
        self._ladder = ladder
        self._reader = JournalReader(path)
        self._replay = replay
        self._observers = Observers(observers)
        self._batches: Iterator[Batch] | None = None
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """The byte up to which it has read."""
        return self._reader.position

    @property
    def can_go_on(self) -> bool:
        """Whether it may succeed after it has failed: no event was told to some of the observers only."""
        return self._failure is None

    def advance(self, seconds: float) -> bool:
        """Read on for about this many seconds; return whether the end of the journal is reached.

        Raises:
            JournalError: If a line cannot be read or followed, or the file is another one than before.
            LadderGrew: If a session has added rungs above those that the observers were made for.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        until = perf_counter() + seconds
        batches, self._batches = self._batches or self._reader.read(), None
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
        feed, tell = self._replay.feed, self._observers.tell
        for event in batch.events:
            if type(event) is SessionStarted and len(event.rungs) > len(self._ladder.rungs):
                raise LadderGrew(next_ladder(self._ladder, event))
            try:
                followed = feed(event)
            except JournalError as error:
                raise JournalError(f"{self._path}: {error}") from None
            tell(event, followed)
