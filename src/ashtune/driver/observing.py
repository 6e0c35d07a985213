"""Observers of users: each has a queue and a thread of its own, so that none can hold up the study.

Rule 1: the study never waits for an observer while it runs. At its end each observer has a bounded time to finish.
Rule 2: an observer that raises, or that is too far behind, is dropped with one line on stderr. The study goes on.
Rule 3: what an observer is told about what happened before this driver is read from the journal, in its thread.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ashtune.core.errors import SettingsError
from ashtune.core.events import Event, Progress
from ashtune.core.observer import ObservedStudy, Observer, Observers
from ashtune.core.plaintext import one_line, shown
from ashtune.core.verdicts import Followed
from ashtune.observers import CsvLog
from ashtune.reports.terminal.text import write
from ashtune.study.controller import Controller
from ashtune.study.disk import Disk
from ashtune.study.journal import read_records
from ashtune.study.replay import Replay

FINISH_SECONDS = 10.0
MOST_WAITING = 1_000_000
"""So many events, orders and reports may wait for one observer: some 500 MB."""
REASON_CHARACTERS = 200
GROUP = "ashtune.observers"
BUILT_IN: dict[str, Callable[[], Observer]] = {"csv": CsvLog}

_Call = tuple[str, Any]
_History = Callable[[Observer, int, int], None]


class ObserverThread(Observer):
    """An observer of a user, told in a thread of its own what happens.

    What happens is collected and handed to the thread at each :meth:`tick`, a few times a second: a thread that is
    woken for each event would take the interpreter from the study.

    Args:
        observer: The user's.
        history: Called with the observer and two positions of the journal: it tells the observer what is written
            between them.
    """

    def __init__(self, observer: Observer, history: _History) -> None:
        self._observer = observer
        self._history = history
        self._name = type(observer).__name__
        self._batch: list[_Call] = []
        self._queue: SimpleQueue[list[_Call] | None] = SimpleQueue()
        self._waiting = 0
        self._done = 0
        self._is_dropped = False
        self._thread = threading.Thread(target=self._work, name=f"ashtune-observer-{self._name}", daemon=True)
        self._start: tuple[ObservedStudy, int] | None = None

    def begin(self, study: ObservedStudy, position: int) -> None:
        """Start the thread, which begins with what happened before."""
        self._start = (study, position)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._drop(str(error))

    def event(self, event: Event) -> None:
        """Collect an event."""
        self._batch.append(("event", event))

    def followed(self, what: Followed) -> None:
        """Collect what followed from it."""
        self._batch.append(("followed", what))

    def progress(self, progress: Progress) -> None:
        """Collect a report."""
        self._batch.append(("progress", progress))

    def tick(self, now: float) -> None:
        """Hand all that was collected to the thread."""
        batch, self._batch = self._batch, []
        if self._is_dropped:
            return
        self._waiting += len(batch)
        if self._waiting - self._done > MOST_WAITING:
            self._drop(f"it is {self._waiting - self._done:,} events behind")
            return
        batch.append(("tick", now))
        self._waiting += 1
        self._queue.put(batch)

    def end(self) -> None:
        """Hand over the rest: nothing follows."""
        if not self._is_dropped:
            self._queue.put(self._batch)
        self._queue.put(None)

    def finish(self, deadline: float) -> None:
        """Wait for the observer to end, until ``deadline`` (of ``time.monotonic``)."""
        if self._thread.ident is None:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive() and not self._is_dropped:
            self._drop(f"it has not ended within {FINISH_SECONDS:g} s")

    def _work(self) -> None:
        try:
            self._tell_history()
            while (batch := self._queue.get()) is not None and not self._is_dropped:
                for name, what in batch:
                    getattr(self._observer, name)(what)
                self._done += len(batch)
            if not self._is_dropped:
                self._observer.end()
        except BaseException as error:  # noqa: BLE001 - whatever a user's observer raises, the study goes on
            if not self._is_dropped:
                text = one_line(str(error), REASON_CHARACTERS)
                self._drop(f"{type(error).__name__}: {text}" if text else type(error).__name__)

    def _tell_history(self) -> None:
        assert self._start is not None, "the thread runs from begin on"
        study, position = self._start
        wanted = self._observer.begin(study, position)
        if wanted is not None and wanted < position:
            self._history(self._observer, wanted, position)

    def _drop(self, reason: str) -> None:
        self._is_dropped = True
        write(f"observer {self._name} is dropped, the study goes on: {reason}\n", sys.stderr)


def history_of(journal: Path, disk: Disk, new_controller: Callable[[], Controller]) -> _History:
    """Return what tells an observer of the past of a study.

    It reads the journal from its first line, since what followed from an event depends on all before: O(events).
    """

    def tell(observer: Observer, begin: int, end: int) -> None:
        told, replay = Observers([observer]), Replay(new_controller())
        for _, position, event in read_records(journal, disk, until=end):
            followed = replay.feed(event)
            if position < begin:
                continue
            told.event(event)
            for what in followed:
                told.followed(what)

    return tell


def start_all(
    observers: Sequence[Observer], study: ObservedStudy, position: int, history: _History
) -> list[ObserverThread]:
    """Give each observer a thread, and begin."""
    threads = [ObserverThread(observer, history) for observer in observers]
    for thread in threads:
        thread.begin(study, position)
    return threads


def finish_all(threads: Sequence[ObserverThread]) -> None:
    """Wait for all observers to end, for ``FINISH_SECONDS`` together."""
    for thread in threads:
        thread.end()
    deadline = time.monotonic() + FINISH_SECONDS
    for thread in threads:
        thread.finish(deadline)


def check_observers(observers: object) -> tuple[Observer, ...]:
    """Return the observers that a user gave: each one as it is, or by its name.

    The names are "csv" (:class:`~ashtune.observers.CsvLog`) and those of the entry points of the group
    ``ashtune.observers``, by which an installed package names classes of its own. They are made without arguments.

    Raises:
        SettingsError: If it is no list of observers, or a name is not known.
    """
    if not isinstance(observers, Sequence) or isinstance(observers, str | bytes):
        raise SettingsError(f"observers={shown(observers)} is no list; give observers=[CsvLog()]")
    return tuple(_named(each) if isinstance(each, str) else _checked(each) for each in observers)


def _checked(observer: object) -> Observer:
    if not isinstance(observer, Observer):
        raise SettingsError(
            f"observers holds {shown(observer)}, which is no observer; derive its class from "
            "ashtune.observers.Observer, and give an instance"
        )
    return observer


def _named(name: str) -> Observer:
    """Return a new observer of a name."""
    if name in BUILT_IN:
        return BUILT_IN[name]()
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in entries:
        raise SettingsError(f"observer {shown(name)} is unknown; give one of {', '.join([*BUILT_IN, *entries])}")
    try:
        found = entries[name].load()()
    except Exception as error:  # noqa: BLE001 - the code of another package
        raise SettingsError(
            f"observer {shown(name)} cannot be made: {one_line(repr(error), REASON_CHARACTERS)}"
        ) from None
    return _checked(found)
