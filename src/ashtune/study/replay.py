"""Replay: a journal read back through the controller gives the study as it was left.

What follows from an event is not written down. Each event says which order it answers, and the controller compares it
with the order it would give now. From the first difference on, and where there is no controller, as the study's
scheduler is not known here, verdicts are derived from events alone: then it is known who failed, and who was promoted
once something came of it, but no order.
"""

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from ashtune.core.errors import JournalError, SettingsError
from ashtune.core.events import Event, JobFailed, JobFinished, JobPaused, TrialWithdrawn, WorkerLost
from ashtune.core.jobs import TrialId
from ashtune.core.observer import Observer, Observers
from ashtune.core.verdicts import Followed, TrialFailed, TrialPromoted, Verdict
from ashtune.study.assignments import Deaths
from ashtune.study.controller import Controller
from ashtune.study.disk import DISK, Disk
from ashtune.study.journal import read_events


class Replay:
    """Takes the events of a journal, one after another, and gives what followed from each: the one way to read one.

    Args:
        controller: One that has seen no event yet; None to derive verdicts from events alone, which is faster.
    """

    def __init__(self, controller: Controller | None = None) -> None:
        self._controller = controller
        self._derived = _Derived()
        self.difference = ""
        """Where the journal differs from what would happen now, as when it was written under other rules."""

    def feed(self, event: Event) -> Sequence[Followed]:
        """Take in one event; return what followed from it. O(log n), without a controller O(1)."""
        if self._controller is None or self.difference:
            return self._derived.feed(event)
        try:
            followed = self._controller.handle(event)
        except (JournalError, SettingsError) as error:
            self.difference = str(error)
            return self._derived.feed(event)
        self._derived.learn(event, followed)
        return followed

    def feed_results(self, events: Sequence[JobFinished]) -> Sequence[TrialPromoted]:
        """Take in results, where there is no controller; return the promotions that follow from them, faster.

        Raises:
            ValueError: If there is a controller.
        """
        if self._controller is not None:
            raise ValueError("a controller takes one event after another: call feed")
        return self._derived.feed_results(events)

    def tell(self, events: Iterable[Event], observers: Sequence[Observer]) -> None:
        """Feed events, and tell observers each of them and what followed."""
        all_observers = Observers(observers)
        for event in events:
            all_observers.tell(event, self.feed(event))

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

    def __init__(self) -> None:
        self._deaths = Deaths()
        self._arrived = array("h")  # trial -> the highest rung at which it has a result; -1: none
        self._promoted = array("h")  # trial -> the highest rung that it is known to be on its way to; -1: none

    def learn(self, event: Event, followed: Sequence[Followed]) -> None:
        """Take in an event of which it is known what followed."""
        if isinstance(event, JobFinished):
            self._arrive(event.trial, event.rung)
        elif isinstance(event, WorkerLost):
            self._deaths.is_failure(event)
        for what in followed:
            if type(what) is TrialPromoted:
                self._promoted[what.trial] = what.to

    def feed(self, event: Event) -> list[Verdict]:
        """Take in an event and return what follows from it, as far as events tell. O(1)."""
        match event:
            case JobFinished(trial=trial, rung=rung):
                verdicts = self._promotion(trial, rung)
                self._arrive(trial, rung)
                return verdicts
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

    def feed_results(self, events: Sequence[JobFinished]) -> list[TrialPromoted]:
        """Take in results and return the promotions that follow from them, as far as events tell."""
        promotions: list[TrialPromoted] = []
        if not events:
            return promotions
        self._make_room(max([event.trial for event in events]))
        arrived, promoted = self._arrived, self._promoted
        for event in events:
            trial, rung = event.trial, event.rung
            before = arrived[trial]
            if 0 <= before < rung and promoted[trial] < rung:
                promoted[trial] = rung
                promotions.append(TrialPromoted(trial, before, rung))
            arrived[trial] = rung
        return promotions

    def _promotion(self, trial: TrialId, rung: int) -> list[Verdict]:
        """Return the promotion without which a trial could not be on its way to a rung, if it is not known yet."""
        if trial >= len(self._arrived) or not 0 <= self._arrived[trial] < rung or self._promoted[trial] >= rung:
            return []
        self._promoted[trial] = rung
        return [TrialPromoted(trial, self._arrived[trial], rung)]

    def _arrive(self, trial: TrialId, rung: int) -> None:
        self._make_room(trial)
        self._arrived[trial] = rung

    def _make_room(self, trial: int) -> None:
        if trial >= len(self._arrived):
            missing = array("h", [-1]) * (trial + 1 - len(self._arrived))
            self._arrived += missing
            self._promoted += missing


def replay(path: Path, controller: Controller, observers: Sequence[Observer], disk: Disk = DISK) -> float:
    """Take all events of a journal through a new controller.

    Args:
        path: The journal.
        controller: One that has seen no event yet.
        observers: They are told all events and what followed.
        disk: The disk that the journal lies on.

    Returns:
        The time of the last event, in seconds since the study began; 0 if there is none.

    Raises:
        JournalError: If a line cannot be read, or does not follow from those before it.
    """
    time = 0.0
    replayed, all_observers = Replay(controller), Observers(observers)
    for line, event in read_events(path, disk):
        followed = replayed.feed(event)
        if replayed.difference:
            raise JournalError(
                f"{path} line {line}: {replayed.difference}; continue it with the ashtune that wrote it, or read it "
                f"with `ashtune report {path.parent}`"
            )
        all_observers.tell(event, followed)
        time = event.time
    return time
