"""A journal is read bit by bit, and its events are told to observers: between two bits the page answers.

Rule: nothing of the study is executed. Of its scheduler only a part that is installed here is asked.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from ashtune.core.errors import AshtuneError, JournalError
from ashtune.core.events import Event, SessionStarted
from ashtune.core.ladder import Ladder
from ashtune.core.observer import Observer, Observers
from ashtune.study.journal import Batch, JournalReader
from ashtune.study.replay import Replay
from ashtune.study.settings import next_ladder


class LadderGrew(AshtuneError):  # noqa: N818 - it says what has happened
    """A session adds rungs above: what was made for fewer rungs has to be made anew."""


class StudyClock(Observer):
    """How long a study had run at the last event: the time between its sessions does not count.

    Args:
        ladder: The rungs that all observers were made for.

    Attributes:
        pauses: When each session began, and how many seconds the study had not run by then.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._time = self._away = 0.0
        self.pauses: list[tuple[float, float]] = []

    @property
    def ran(self) -> float:
        """Seconds that the study ran, at the last event."""
        return self._time - self._away

    def event(self, event: Event) -> None:
        """Take in one event. O(1).

        Raises:
            LadderGrew: If it is a session with rungs above those that the observers were made for.
        """
        if type(event) is SessionStarted:
            if len(event.rungs) > len(self._ladder.rungs):
                raise LadderGrew("there are more rungs from now on")
            self._away += max(0.0, event.time - self._time)
            self.pauses.append((max(event.time, self._time), self._away))
        self._time = max(self._time, event.time)


class Reading:
    """Reads a journal, and then what is added to it.

    Args:
        path: The journal.
        replay: Says what followed from each event.
        observers: Are told, in this order.

    Raises:
        JournalError: If there is no journal.
    """

    def __init__(self, path: Path, replay: Replay, observers: Sequence[Observer]) -> None:
        self._path = path
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
            try:
                followed = feed(event)
            except JournalError as error:
                raise JournalError(f"{self._path}: {error}") from None
            tell(event, followed)
