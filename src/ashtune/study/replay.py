"""Replay: a journal read back through the controller gives the study as it was left.

What follows from an event is not written down. Each event says which order it answers, and the controller compares it
with the order it would give now. From the first difference on, and where there is no controller, as the study's
scheduler is not known here, verdicts are derived from events alone: then it is known who failed, and who was promoted
once something came of it, but no order.

Rule: no number stands for more than the journal holds. Observers keep arrays by trial and by rung, so an event of a
trial that never started, or of a rung that is none, is refused.
"""

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from ashtune.core.errors import JournalError, SettingsError
from ashtune.core.events import Event, JobFailed, JobFinished, JobPaused, TrialStarted, TrialWithdrawn, WorkerLost
from ashtune.core.jobs import TrialId
from ashtune.core.observer import Observer, Observers
from ashtune.core.verdicts import Followed, TrialFailed, TrialPromoted, Verdict
from ashtune.study.assignments import Deaths
from ashtune.study.controller import Controller
from ashtune.study.disk import DISK, Disk
from ashtune.study.journal import read_events, unreadable

MOST_RUNGS = 1 << 15
MOST_LEFT_OUT = 1 << 18
"""Trials of which a driver that was killed has not written the start."""
_NO_RESULT, _NOT_STARTED = -1, -2


class Replay:
    """Takes the events of a journal, one after another, and gives what followed from each: the one way to read one.

    Args:
        controller: One that has seen no event yet; None to derive verdicts from events alone, which is faster.
        rungs: How many there are, where no controller says so.
    """

    def __init__(self, controller: Controller | None = None, *, rungs: int = MOST_RUNGS) -> None:
        self._controller = controller
        self._derived = _Derived(rungs)
        self.difference = ""
        """Where the journal differs from what would happen now, as when it was written under other rules."""

    def feed(self, event: Event) -> Sequence[Followed]:
        """Take in one event; return what followed from it. O(log n), without a controller O(1).

        Raises:
            JournalError: If the event is of a trial or a rung that is none.
        """
        if self._controller is None or self.difference:
            return self._derived.feed(event)
        try:
            followed = self._controller.handle(event)
        except (JournalError, SettingsError) as error:
            self.difference = str(error)
            return self._derived.feed(event)
        self._derived.learn(event, followed)
        return followed

    def tell(self, events: Iterable[Event], observers: Sequence[Observer]) -> None:
        """Feed events, and tell observers each of them and what followed.

        Raises:
            JournalError: As :meth:`feed`.
        """
        all_observers = Observers(observers)
        for event in events:
            all_observers.tell(event, self.feed(event))

    def read(self, path: Path, observers: Sequence[Observer], disk: Disk = DISK, *, is_strict: bool = False) -> float:
        """Feed the events of a journal, and tell observers each of them and what followed.

        Args:
            path: The journal.
            observers: Those to tell.
            disk: The disk that the journal lies on.
            is_strict: Whether a journal that differs from what would happen now is refused.

        Returns:
            The time of the last event, in seconds since the study began; 0 if there is none.

        Raises:
            JournalError: If a line cannot be read, or does not follow from those before it.
        """
        time, all_observers = 0.0, Observers(observers)
        for line, event in enumerate(read_events(path, disk), start=2):
            try:
                followed = self.feed(event)
            except JournalError as error:
                raise unreadable(path, line, str(error)) from None
            if is_strict and self.difference:
                raise JournalError(
                    f"{path} line {line}: {self.difference}; continue it with the ashtune that wrote it, or read it "
                    f"with `ashtune report {path.parent}`"
                )
            all_observers.tell(event, followed)
            time = event.time
        return time

    @property
    def is_complete(self) -> bool:
        """Whether all that the scheduler wanted is trained, as far as that is known."""
        return self._controller is not None and self._controller.is_complete and not self.difference

    @property
    def stopping(self) -> str:
        """Why the study stopped, nothing if it did not or if that is not known."""
        return "" if self._controller is None or self.difference else self._controller.stopping


class _Derived:
    """Verdicts from events alone."""

    def __init__(self, rungs: int) -> None:
        self._rungs = rungs
        self._left_out = 0
        self._deaths = Deaths()
        self._arrived = array("h")  # trial -> the highest rung at which it has a result, or one of the two above
        self._promoted = array("h")  # trial -> the highest rung that it is known to be on its way to; -1: none

    def learn(self, event: Event, followed: Sequence[Followed]) -> None:
        """Take in an event of which it is known what followed."""
        if isinstance(event, JobFinished):
            self._check(event.trial, event.rung)
            self._arrived[event.trial] = event.rung
        elif isinstance(event, TrialStarted):
            self._start(event)
        elif isinstance(event, WorkerLost) and event.trial is not None:
            self._check(event.trial, event.rung)
            self._deaths.is_failure(event)
        for what in followed:
            if type(what) is TrialPromoted:
                self._promoted[what.trial] = what.to

    def feed(self, event: Event) -> list[Verdict]:
        """Take in an event and return what follows from it, as far as events tell. O(1)."""
        match event:
            case JobFinished(trial=trial, rung=rung):
                verdicts = self._promotion(trial, rung)
                self._arrived[trial] = rung
                return verdicts
            case TrialStarted():
                self._start(event)
                return []
            case JobFailed(trial=trial, rung=rung, reason=reason, traceback=traceback):
                return [*self._promotion(trial, rung), TrialFailed(trial, rung, reason, traceback)]
            case JobPaused(trial=trial, rung=rung) | TrialWithdrawn(trial=trial, rung=rung):
                return self._promotion(trial, rung)
            case WorkerLost(trial=trial, rung=rung) if trial is not None:
                verdicts = self._promotion(trial, rung)
                if self._deaths.is_failure(event):
                    verdicts.append(TrialFailed(trial, rung, f"worker lost: {event.reason}", event.last_words))
                return verdicts
            case _:
                return []

    def _promotion(self, trial: TrialId, rung: int) -> list[Verdict]:
        """Return the promotion without which a trial could not be on its way to a rung, if it is not known yet."""
        self._check(trial, rung)
        if not 0 <= self._arrived[trial] < rung or self._promoted[trial] >= rung:
            return []
        self._promoted[trial] = rung
        return [TrialPromoted(trial, self._arrived[trial], rung)]

    def _check(self, trial: TrialId, rung: int) -> None:
        if trial >= len(self._arrived) or self._arrived[trial] == _NOT_STARTED or rung >= self._rungs:
            raise JournalError(f"trial {trial} at rung {rung}, where {len(self._arrived)} trials have started")

    def _start(self, event: TrialStarted) -> None:
        trial, started = event.trial, len(self._arrived)
        if trial < started:
            self._arrived[trial] = max(_NO_RESULT, self._arrived[trial])
            return
        self._left_out += trial - started
        if self._left_out > MOST_LEFT_OUT:
            raise JournalError(f"trial {trial} starts where {started} is the next")
        self._arrived.extend([_NOT_STARTED] * (trial - started) + [_NO_RESULT])
        self._promoted.extend([_NO_RESULT] * (trial + 1 - started))


def replay(path: Path, controller: Controller, observers: Sequence[Observer], disk: Disk = DISK) -> float:
    """Take all events of a journal through a new controller; return the time of the last one: see :meth:`Replay.read`.

    Raises:
        JournalError: If a line cannot be read, or does not follow from those before it.
    """
    return Replay(controller).read(path, observers, disk, is_strict=True)
