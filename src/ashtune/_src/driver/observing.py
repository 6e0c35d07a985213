"""Calls each of the user's observers from its own thread, so that no observer can delay the study.

Rule 1: a running study never waits for an observer. At the end of the study, each observer has a
limited time to finish. The time limit of an observer begins when the observer has received all past
events. An observer that makes progress has unlimited time for past events. The time limit does not
include time in which this process was suspended.
Rule 2: an observer that raises, or falls too far behind, is dropped: it is not called again, and
stderr gets one line.
Rule 3: past events, which are all events before this session, are read from the journal in the
observer's thread.
Rule 4: no observer is called from two threads at the same time. A study refuses an observer of
another open study. If a call for an ended study hangs, or two studies begin at the same moment, the
observer receives the second study later.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import Progress
from ashtune._src.core.observer import Exporter, ObservedStudy, Observer, Observers, Told
from ashtune._src.core.parts import Names
from ashtune._src.core.plaintext import error_line, say, shown
from ashtune._src.engines.awake import AwakeClock
from ashtune._src.study.disk import Disk
from ashtune._src.study.factory import build_controller
from ashtune._src.study.journal import JournalReader
from ashtune._src.study.replay import Replay

FINISH_SECONDS = 10.0
"""The time limit of an observer.

An observer is dropped if it has not ended after this time, or makes no progress with past events
for this time.
"""
FINISH_SECONDS_COMPLETE = 60.0
"""``FINISH_SECONDS`` for a study that was already complete, in which only
the observers have work.
"""
BEGIN_SECONDS = 60.0
"""The maximum time that an observer's ``begin``, which may import a library, runs after the study's
end.
"""
POLL_SECONDS = 0.1
# Decision 21 (docs/decisions/0021-observers-verdicts-replay.md).
MOST_WAITING = 1_000_000
"""The maximum number of events and reports, with their orders, in the queue of one observer: about
500 MB.
"""
OBSERVERS: Names[Observer] = Names(
    "observer",
    {
        "csv": "ashtune._src.reports.csv_log:CsvLog",
        "mlflow": "ashtune.integrations.mlflow:MLflowTracker",
        "optuna": "ashtune.integrations.optuna:OptunaLog",
        "tensorboard": "ashtune.integrations.tensorboard:TensorBoardTracker",
        "trackio": "ashtune.integrations.trackio:TrackioTracker",
        "wandb": "ashtune.integrations.wandb:WandbTracker",
    },
    "ashtune.observers",
)
"""The names of all observers. The class of an observer for another library is imported on first
use.
"""

_Step = tuple[Callable[[Any], None], Any]
"""A method of ``Observers``, and its argument."""
_History = Callable[[int, int], Iterable[Told | None]]

_in_use: list["ObserverThread"] = []
_in_use_lock = threading.Lock()


class ObserverThread(Observer):
    """Calls a user's observer in its own thread.

    The thread receives new events only at each :meth:`tick`. To wake the thread at every event
    would slow down the study.

    Args:
        history: A function of two positions in the journal. For each event before the first
            position, the function yields None. For each event between the two positions, it yields
            the event with the verdicts and orders that followed from it.
    """

    def __init__(self, observer: Observer, history: _History) -> None:
        self._observer = observer
        self._history = history
        self._observers = Observers([observer])
        self._takes_batches = type(observer).batch is not Observer.batch
        self._name = type(observer).__name__
        self._steps: list[_Step] = []
        self._queue: SimpleQueue[tuple[list[_Step], int] | None] = SimpleQueue()
        self._collected = self._done = 0  # events and reports, without those of the past
        self._is_dropped = False
        self._is_over = False  # whether the study is over
        # 1 when ``begin`` has returned, then 1 more for each event of the past
        self._past_steps = 0
        self._is_past_over = threading.Event()
        self._before: list[ObserverThread] = []
        self._thread = threading.Thread(
            target=self._work, name=f"ashtune-observer-{self._name}", daemon=True
        )
        self._start: tuple[ObservedStudy, int] | None = None

    def begin(self, study: ObservedStudy, position: int) -> None:
        """Start the thread, which first sends the past events to the observer."""
        self._start = (study, position)
        # An observer is never called from two threads, so this thread first waits until earlier
        # threads of the observer have ended.
        with _in_use_lock:
            self._before = [each for each in _in_use if each._observer is self._observer]
            _in_use.append(self)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._leave()
            self._drop(str(error))

    def tells(self, observer: Observer) -> bool:
        """Return whether this thread calls ``observer`` for an open study, or False in a forked
        process.
        """
        is_told = self._thread.is_alive() and not (self._is_over or self._is_dropped)
        return is_told and observer is self._observer

    def batch(self, told: Sequence[Told]) -> None:
        """Collect events. If the observer takes no batches, the observer may be dropped between two
        events.
        """
        tell = self._observers.tell
        self._steps += [(tell, told)] if self._takes_batches else [(tell, (each,)) for each in told]
        self._collected += len(told)

    def progress(self, progress: Progress) -> None:
        """Collect a report."""
        self._steps.append((self._observers.progress, progress))
        self._collected += 1

    def tick(self, now: float) -> None:
        """Hand all collected events to the thread."""
        # Decision 21 (docs/decisions/0021-observers-verdicts-replay.md): an observer that is too
        # far behind is dropped. If the driver waited, the study would be slow. If events were left
        # out, the observer's stored data would be wrong.
        steps = self._steps
        self._steps = []
        if self._is_dropped:
            return
        if self._collected - self._done > MOST_WAITING:
            self._drop(f"it is {self._collected - self._done:,} events behind")
            return
        steps.append((self._observers.tick, now))
        self._queue.put((steps, self._collected))

    def end(self) -> None:
        """Pass the last collected events to the observer's thread, which
        ends after these events.
        """
        self._is_over = True
        if not self._is_dropped:
            self._queue.put((self._steps, self._collected))
        self._queue.put(None)

    def catch_up(self, is_hurried: Callable[[], bool], limit: float) -> None:
        """Wait until the observer has received all past events, or until ``is_hurried`` returns
        True.

        The observer is dropped if it makes no progress for ``limit`` seconds, or if its ``begin``
        takes longer than ``BEGIN_SECONDS``.
        """
        steps = 0
        awake = AwakeClock(time.monotonic(), BEGIN_SECONDS)
        while not self._is_past_over.wait(POLL_SECONDS) and not is_hurried():
            if self._past_steps != steps:
                steps = self._past_steps
                awake = AwakeClock(time.monotonic(), limit)
            elif awake.is_over(time.monotonic()):
                what = "read no past event for" if steps else "not begun within"
                self._drop(f"it has {what} {awake.limit:g} s")

    def wait(self) -> None:
        """Wait without a time limit until the observer's thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def finish(self, awake: AwakeClock) -> None:
        """Wait until the observer's thread has ended.

        If the observer's time limit, measured by the clock ``awake``, ends first, drop the
        observer.
        """
        while self._thread.is_alive() and not awake.is_over(time.monotonic()):
            self._thread.join(POLL_SECONDS)
        if self._thread.is_alive() and not self._is_dropped:
            self._drop(f"it has not ended within {awake.limit:g} s")

    def _work(self) -> None:
        try:
            for each in self._before:
                each.wait()
            self._before.clear()
            self._tell_history()
            self._is_past_over.set()
            while not self._is_dropped:
                item = self._queue.get()
                if item is None:
                    break
                steps, collected = item
                for method, what in steps:
                    if self._is_dropped:
                        break
                    method(what)
                self._done = collected
            if not self._is_dropped:
                self._observer.end()
        except BaseException as error:  # noqa: BLE001 - a user's observer may raise anything, the study continues
            if not self._is_dropped:
                self._drop(error_line(error))
        finally:
            self._leave()

    def _tell_history(self) -> None:
        assert self._start is not None, "the thread runs from begin on"
        if self._is_dropped:
            return
        study, position = self._start
        wanted = self._observer.begin(study, position)
        self._past_steps += 1
        if wanted is None or wanted >= position:
            return
        for told in self._history(wanted, position):
            if self._is_dropped:
                return
            if told is not None:
                self._observers.tell((told,))
            self._past_steps += 1

    def _leave(self) -> None:
        with _in_use_lock:
            _in_use.remove(self)

    def _drop(self, reason: str) -> None:
        self._is_dropped = True
        self._is_past_over.set()
        say(f"observer {self._name} gets no more events: {reason}; the study continues without it")


def history_of(journal: Path, disk: Disk) -> _History:
    """Return a function that reads past events of a study, and yields an observer's calls for each
    event.

    The function reads the journal from the first line in O(events), since verdicts and orders
    depend on all earlier events.
    """

    def past(begin: int, end: int) -> Iterator[Told | None]:
        reader = JournalReader(journal, disk=disk)
        replay = Replay(build_controller(reader.settings))
        for batch in reader.read():
            for event, position in zip(*batch, strict=True):
                if position >= end:
                    return
                followed = replay.feed(event)
                yield None if position < begin else (event, followed)

    return past


def start_all(
    observers: Sequence[Observer], study: ObservedStudy, position: int, history: _History
) -> list[ObserverThread]:
    """Start a thread for each observer."""
    threads = [ObserverThread(observer, history) for observer in observers]
    for thread in threads:
        thread.begin(study, position)
    return threads


def finish_all(
    threads: Sequence[ObserverThread],
    is_hurried: Callable[[], bool] = lambda: False,
    limit: float | None = None,
) -> None:
    """Wait until all observers have received all past events. Then wait at most ``limit`` seconds
    until all observers have finished.

    Args:
        is_hurried: A function that returns whether the script must end soon. If so, the wait for
            past events ends.
        limit: In seconds, ``FINISH_SECONDS`` by default.
    """
    if limit is None:
        limit = FINISH_SECONDS
    for thread in threads:
        thread.end()
    for thread in threads:
        thread.catch_up(is_hurried, limit)
    awake = AwakeClock(time.monotonic(), limit)
    for thread in threads:
        thread.finish(awake)


def check_observers(observers: object) -> tuple[Observer, ...]:
    """Check the user's list of observers, and return the observers. Replace each name in the list
    by a new observer.

    The name of an observer is "csv" (:class:`~ashtune.observers.CsvLog`), a tracker such as
    "mlflow", or the name of an entry point in the group ``ashtune.observers``.

    Raises:
        SettingsError: If an item is no observer and no known name, is listed twice, or observes
            another open study.
        ExtraMissing: If the library of a named observer is not installed.
    """
    if not isinstance(observers, Sequence) or isinstance(observers, str | bytes):
        raise SettingsError(
            f"observers={shown(observers)} is not a list; give observers=[CsvLog()]"
        )
    checked = tuple(
        _checked(OBSERVERS.make(each) if isinstance(each, str) else each) for each in observers
    )
    for place, observer in enumerate(checked):
        with _in_use_lock:
            is_in_use = any(each.tells(observer) for each in _in_use)
        if is_in_use or any(observer is other for other in checked[:place]):
            raise SettingsError(
                f"{shown(observer)} is given twice in observers, or is in use by another study "
                "that is still open; give each study its own observer"
            )
    return checked


def _checked(observer: object) -> Observer:
    if not isinstance(observer, Observer):
        raise SettingsError(
            f"observers contains {shown(observer)}, which is not an observer; derive its class "
            "from ashtune.observers.Observer, and give an instance"
        )
    return observer


def exporter_named(name: object, out: str | PathLike[str] | None = None) -> Exporter:
    """Create the exporter that is named ``name``. ``out`` is the place of the exporter's copy.

    Raises:
        SettingsError: If the name is unknown, or names an observer that is not an exporter.
        ExtraMissing: If the exporter's library is not installed.
    """
    made = OBSERVERS.make(name, *(() if out is None else (out,))) if isinstance(name, str) else None
    if not isinstance(made, Exporter):
        raise SettingsError(
            f"{shown(name)} is not the name of an exporter; give one of "
            f"{', '.join(OBSERVERS.names)}"
        )
    return made
