"""The course of a study: what has happened decides what can happen next, whatever the scheduler's rules are.

The controller knows which event answers which order; this knows less and serves those who only read: a result of a
trial that never started, a worker that never came or a rung that is none cannot be told apart from real ones once
they are counted.

Rule 1: what a controller accepts in a study that runs is accepted here.
Rule 2: no number stands for more than the journal holds: trials are numbered as they start.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ashtune.core.errors import JournalError
from ashtune.core.events import (
    ConfigurationEnqueued,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    SessionStarted,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune.core.jobs import WorkerId
from ashtune.core.ladder import Ladder
from ashtune.study.controller import next_ladder

MOST_PLACES = 1 << 18
"""Places of all workers together: as many jobs may be given out at once."""
MOST_NESTED = 10
"""How deep lists stand in lists in a configuration."""
_NO_RESULT, _ENDED, _NOT_STARTED = -1, -2, -3
MOST_LEFT_OUT = 1 << 18

Job = JobFinished | JobPaused | JobFailed | TrialWithdrawn


class Course:
    """Takes in events and refuses what cannot follow from those before.

    Args:
        ladder: The rungs at first; a session may add some above.
        names: The hyperparameters; nothing if they are not known.
    """

    def __init__(self, ladder: Ladder, names: Sequence[str] = ()) -> None:
        self._ladder = ladder
        self._names = frozenset(names)
        self._left_out = 0
        self._trials = array("h")  # trial -> the highest rung with a result, or one of the two above
        self._workers: set[WorkerId] = set()
        self._places: dict[WorkerId, int] = {}
        self._all_places = 0

    def take(self, event: Event) -> None:
        """Take in one event. O(1), but for the lengths of its curve and of its configuration.

        Raises:
            JournalError: If it cannot follow.
            LadderError: If it names a ladder that is none.
        """
        match event:
            case JobFinished() | JobPaused() | JobFailed() | TrialWithdrawn():
                self._end(event)
            case TrialStarted():
                self._start(event)
            case ConfigurationEnqueued(configuration=configuration):
                self._check_configuration("what was enqueued", configuration)
            case TrialReleased(worker=worker, trial=trial):
                self._check_trial(trial)
                self._check_worker(worker)
            case WorkerJoined(worker=worker):
                if worker in self._workers:
                    _refuse(f"worker {worker} has joined already")
                self._workers.add(worker)
            case WorkerLost():
                self._lose(event)
            case PlacesChanged(worker=worker, places=places):
                self._offer(worker, places)
            case WorkersChanged(workers=workers) if workers > MOST_PLACES:
                _refuse(f"workers={workers:,} are too many; at most {MOST_PLACES:,} may be wanted")
            case SessionStarted():
                self._ladder = next_ladder(self._ladder, event)
                self._workers.clear()
                self._places.clear()
                self._all_places = 0
            case _:
                pass

    def _start(self, event: TrialStarted) -> None:
        ahead = event.trial - len(self._trials)  # of those between, a driver that was killed has not written the start
        is_started = ahead < 0 and self._trials[event.trial] != _NOT_STARTED
        if is_started or self._left_out + max(0, ahead) > MOST_LEFT_OUT:
            _refuse(f"trial {event.trial} starts where {len(self._trials)} is the next")
        if event.confirms is not None:
            self._check_trial(event.confirms)
        self._check_configuration(f"trial {event.trial}", event.configuration)
        if ahead >= 0:
            self._left_out += ahead
            self._trials.extend([_NOT_STARTED] * ahead + [_NO_RESULT])
        else:
            self._left_out -= 1
            self._trials[event.trial] = _NO_RESULT

    def _check_configuration(self, whose: str, configuration: Mapping[str, Any]) -> None:
        if not configuration:
            _refuse(f"{whose} has no configuration")
        if self._names and not configuration.keys() <= self._names:
            unknown = next(name for name in configuration if name not in self._names)
            _refuse(f"{whose} has a hyperparameter {unknown[:60]!r} that the space has not")
        if not all(_is_plain(value) for value in configuration.values()):
            _refuse(f"{whose} has a value that no space can have")

    def _end(self, event: Job) -> None:
        """A worker's job is over."""
        trial, rung = event.trial, event.rung
        self._check_trial(trial)
        self._check_rung(rung)
        self._check_worker(event.worker)
        before = self._trials[trial]
        if before == _ENDED:
            _refuse(f"trial {trial} has failed or was withdrawn before")
        if isinstance(event, JobFailed | TrialWithdrawn):
            self._trials[trial] = _ENDED
            return
        self._check_resource(event)
        if type(event) is JobFinished:
            if rung <= before:
                _refuse(f"trial {trial} has a result at rung {before} already")
            self._trials[trial] = rung

    def _lose(self, event: WorkerLost) -> None:
        if event.trial is not None:
            self._check_trial(event.trial)
            self._check_rung(event.rung)
        self._workers.discard(event.worker)
        self._all_places -= self._places.pop(event.worker, 0)

    def _offer(self, worker: WorkerId, places: int) -> None:
        self._check_worker(worker)
        self._all_places += places - self._places.get(worker, 0)
        self._places[worker] = places
        if self._all_places > MOST_PLACES:
            _refuse(f"places={places:,} of worker {worker} are too many; {MOST_PLACES:,} in all may be")

    def _check_resource(self, event: JobFinished | JobPaused) -> None:
        most = self._ladder.rungs[event.rung]
        if not event.start <= event.resource <= most:
            _refuse(
                f"trial {event.trial} went from {event.start} to {event.resource} where rung {event.rung} is {most}"
            )
        if event.curve and max(resource for resource, _ in event.curve) > most:
            _refuse(f"trial {event.trial} reported beyond rung {event.rung}, which is {most}")

    def _check_trial(self, trial: int) -> None:
        if trial >= len(self._trials) or self._trials[trial] == _NOT_STARTED:
            _refuse(f"trial {trial} was never started")

    def _check_rung(self, rung: int) -> None:
        if rung >= len(self._ladder.rungs):
            _refuse(f"rung {rung} is none of the {len(self._ladder.rungs)} rungs, which are numbered from 0")

    def _check_worker(self, worker: WorkerId) -> None:
        if worker not in self._workers:
            _refuse(f"worker {worker} is not there")


def names_of(space: Mapping[str, Any]) -> Sequence[str]:
    """Return the hyperparameters that the record of a space names; nothing if it names none."""
    names = space.get("names")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else ()


def _is_plain(value: object, depth: int = 0) -> bool:
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 63
    if type(value) is list:
        return depth < MOST_NESTED and all(_is_plain(part, depth + 1) for part in value)
    return value is None or type(value) in (str, float, bool)


def _refuse(what: str) -> NoReturn:
    raise JournalError(what)
