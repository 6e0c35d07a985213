"""Replay: the controller handles the events of a journal again, which restores the state of the
study.

The journal contains no verdicts and orders. Each event is compared with the orders of the
controller. After the first difference, or if the study's scheduler is unknown, verdicts (but not
orders) are derived from the events alone. Without orders, a promotion is known only when the
promoted trial's job ends.

Rule: an event is refused if its trial never started or its rung does not exist, since observers
keep arrays with one item per trial and rung. A trial is refused if its configuration is outside of
the study's space.
"""

# Decision 21 (docs/decisions/0021-observers-verdicts-replay.md): the same replay tells a live study
# and the readers of a journal what followed from each event.

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ashtune._src.core.errors import JournalError, SettingsError, SpaceError
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    TrialStarted,
    TrialWithdrawn,
    WorkerLost,
)
from ashtune._src.core.jobs import Job, TrialId
from ashtune._src.core.observer import Observer, Observers, Told
from ashtune._src.core.orders import Followed, TrialFailed, TrialPromoted, Verdict
from ashtune._src.space.space import Space
from ashtune._src.study.assignments import NOT_STARTED, Arrivals, Deaths
from ashtune._src.study.controller import Controller
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.study.journal import JournalReader, unreadable
from ashtune._src.study.settings import Settings

MOST_RUNGS = 1 << 15
MOST_LEFT_OUT = 1 << 18
"""Maximum number of trials whose start is missing because the driver was killed."""
_OF_A_JOB = (JobFinished, JobFailed, JobPaused, TrialWithdrawn, WorkerLost)


class Replay:
    """Takes the events of a journal one by one, and returns the verdicts and orders that followed
    from each event.

    Args:
        controller: A new controller without events. If it is None, verdicts are derived from events
            alone, which is faster.
        rungs: The number of rungs; needed if there is no controller.
    """

    def __init__(self, controller: Controller | None = None, *, rungs: int = MOST_RUNGS) -> None:
        self._controller = controller
        self._rungs = rungs
        self._arrivals = Arrivals() if controller is None else controller.arrivals
        self._highest = self._arrivals.of
        self._deaths = Deaths() if controller is None else controller.deaths
        self._on_their_way: dict[TrialId, int] = {}  # trial -> the rung to which it is promoted
        self._left_out = 0
        self._space: Space | None = None
        self.difference = ""
        """A text about the first difference between the journal and the controller's orders, for
        example because of other rules. It is empty if there is no difference.
        """

    def check_space(self, settings: Settings) -> None:
        """From now on, refuse configurations outside of a study's space. If the space is
        unreadable, refuse no configuration.
        """
        with suppress(SpaceError):
            self._space = Space.from_record(settings.space)

    def feed(self, event: Event) -> Sequence[Followed]:
        """Record an event, and return the verdicts and orders that followed. O(log n), or O(1)
        without a controller.

        Raises:
            JournalError: If the event's trial has not started, its rung does not exist, or its
                configuration is outside of the space.
        """
        highest = self._highest
        if type(event) is not JobFinished or not (
            event.trial < len(highest)
            and highest[event.trial] != NOT_STARTED
            and event.rung < self._rungs
        ):
            self._check(event)
        if self._controller is not None and not self.difference:
            try:
                return self._controller.handle(event)
            except (JournalError, SettingsError) as error:
                self.derive_from_now_on(str(error))
        if type(event) is TrialStarted:
            return ()
        return self._derive(event)

    def derive_from_now_on(self, difference: str) -> None:
        """Stop using the controller, because its orders differ from the journal."""
        self.difference = difference
        if self._controller is not None:
            self._on_their_way = {job.trial: job.rung for job in self._controller.unfinished}

    def tell(self, events: Iterable[Event], observers: Sequence[Observer]) -> None:
        """Feed events, and send each event with its verdicts and orders to observers."""
        Observers(observers).tell([(event, self.feed(event)) for event in events])

    def read(
        self,
        path: Path,
        observers: Sequence[Observer],
        disk: Disk = DISK,
        *,
        is_strict: bool = False,
        is_checked: bool = False,
    ) -> float:
        """Replay a journal, and send its events to observers. Return the time of the last event, or
        0 if there are no events.

        If ``is_strict``, raise an error if the journal differs from the controller's orders. If
        ``is_checked``, an earlier reading has found all configurations in the study's space.

        Raises:
            JournalError: If a line cannot be read, or cannot follow the lines before it.
        """
        time = 0.0
        line = 1
        feed = self.feed
        all_observers = Observers(observers)
        reader = JournalReader(path, disk=disk)
        if not is_checked:
            self.check_space(reader.settings)
        for events, _ in reader.read():
            told: list[Told] = []
            try:
                for event in events:
                    told.append((event, feed(event)))
                    if is_strict and self.difference:
                        raise JournalError(
                            f"{path} line {line + len(told)}: {self.difference}; continue the "
                            "study with the ashtune version that wrote this line, or only show it "
                            f"with `ashtune report {path.parent}`"
                        )
            except JournalError as error:
                if is_strict and self.difference:
                    raise
                raise unreadable(path, line + len(told) + 1, str(error)) from None
            finally:
                all_observers.tell(told)
            line += len(events)
            time = events[-1].time
        return time

    @property
    def is_complete(self) -> bool:
        """Whether the study has ended because nothing was left to train;
        False if this is unknown.
        """
        return self._controller is not None and self._controller.is_complete and not self.difference

    @property
    def stopping(self) -> str:
        """The reason why the study stopped, or "" if the study did not stop or the reason is
        unknown.
        """
        if self._controller is None or self.difference:
            return ""
        return self._controller.stopping

    def _check(self, event: Event) -> None:
        """Raise an error if the trial has not started, the rung does not exist, or the
        configuration is outside of the space.
        """
        if isinstance(event, TrialStarted):
            if self._space is not None:
                try:
                    self._space.check(event.configuration)
                except SpaceError as error:
                    # the advice in the message is only for a user who gives a value
                    reason = str(error).partition(";")[0]
                    raise JournalError(f"trial {event.trial}: {reason}") from None
            started = len(self._highest)
            self._left_out += max(0, event.trial - started)
            if self._left_out > MOST_LEFT_OUT:
                raise JournalError(
                    f"trial {event.trial} starts, but the next new trial should be {started}"
                )
            self._arrivals.start(event.trial)
        elif isinstance(event, _OF_A_JOB) and event.trial is not None:
            if self._arrivals[event.trial] == NOT_STARTED:
                raise JournalError(
                    f"there is an event of trial {event.trial}, which has not started"
                )
            if event.rung >= self._rungs:
                raise JournalError(
                    f"trial {event.trial} is at rung {event.rung}, but the top rung is "
                    f"{self._rungs - 1}"
                )

    def _derive(self, event: Event) -> list[Verdict]:
        """Return the verdicts that follow from an event, without a controller. O(1)."""
        if not isinstance(event, _OF_A_JOB) or event.trial is None:
            return []
        verdicts: list[Verdict] = []
        trial = event.trial
        rung = event.rung
        arrived = self._highest[trial]
        # the trial ended a job at a higher rung, so it was promoted
        if 0 <= arrived < rung and self._on_their_way.get(trial, 0) < rung:
            self._on_their_way[trial] = rung
            verdicts.append(TrialPromoted(trial, arrived, rung))
        if type(event) is JobFinished:
            self._highest[trial] = rung
            self._on_their_way.pop(trial, None)
            return verdicts
        match event:
            case JobFailed():
                verdicts.append(TrialFailed.of(Job(trial, rung), event))
            case WorkerLost() if self._deaths.is_failure(event):
                verdicts.append(TrialFailed.of(Job(trial, rung), event))
            case _:
                pass
        return verdicts


def replay(
    path: Path, controller: Controller, observers: Sequence[Observer], disk: Disk = DISK
) -> float:
    """Replay a journal with a new controller. Return the time of the last event. See
    :meth:`Replay.read`.
    """
    return Replay(controller).read(path, observers, disk, is_strict=True)
