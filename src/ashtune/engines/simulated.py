"""Simulated workers: the same loop, controller and schedulers, in virtual time.

Nothing is trained: what a trial reports comes from a table or a function, and how long it takes from another. Time
jumps from one event to the next, so ten thousand workers and a week of training take seconds.

Rule 1: virtual time only. The clock of this machine is never read.
Rule 2: everything is decided by the seed and by the orders that come: the same study twice is the same twice.
"""

import heapq
import math
import random
from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from ashtune.errors import StudyError
from ashtune.events import Event, JobFinished, JobPaused, TrialReleased, WorkerJoined
from ashtune.jobs import TrialId, WorkerId
from ashtune.orders import Discard, Order, Pause, Release, Train
from ashtune.training.messages import Progress

CHECKPOINT_BYTES = 1


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What simulated training does.

    Args:
        metrics: (trial, resource) -> what it reports there.
        seconds: (trial, start, target) -> seconds to train it from one resource to the other, undisturbed.
        stretch: A random number generator -> by what factor a job takes longer, drawn anew for each.
        drop: The probability that a job is dropped, in each unit of time. Its trial goes back, and begins again where
            its job began. Lives are whole units: a job that ends in the unit in which it would be dropped is dropped.
        resumes: Whether trials go on from where they stopped; otherwise each job trains from the beginning.
        save_seconds: What letting go of a trial and saving it takes.
        load_seconds: What loading a saved trial takes.
    """

    metrics: Callable[[TrialId, int], dict[str, float | None]]
    seconds: Callable[[TrialId, int, int], float]
    stretch: Callable[[random.Random], float] | None = None
    drop: float = 0.0
    resumes: bool = True
    save_seconds: float = 0.0
    load_seconds: float = 0.0


def half_normal(deviation: float) -> Callable[[random.Random], float]:
    """Return the law of stragglers ``1 + |z|``, ``z`` normal with this standard deviation.

    Source: Li et al., arXiv 1810.05934, appendix A.1.
    """
    return lambda chance: 1 + abs(chance.gauss(0.0, deviation))


class SimulatedWorkers:
    """Workers in virtual time.

    Args:
        training: What they do.
        workers: How many.
        seed: Decides stretches and drops.
        first_worker: The number of the first.
        began: The time at which they join, in seconds since the study began.
    """

    def __init__(
        self, training: Training, *, workers: int, seed: int = 0, first_worker: int = 0, began: float = 0.0
    ) -> None:
        self._training = training
        self._random = random.Random(seed)
        self._now = began
        self._serial = 0
        self._due: list[tuple[float, int, Event]] = []
        self._running: dict[TrialId, tuple[int, float, Train]] = {}  # its event's number, when it began, its order
        self._free_at: dict[WorkerId, float] = {}
        self._reached: dict[TrialId, int] = {}
        for number in range(first_worker, first_worker + workers):
            self._push(began, WorkerJoined(began, WorkerId(number)))

    def now(self) -> float:
        """Return the virtual time, in seconds since the study began."""
        return self._now

    def wait(self, until: float) -> Sequence[Event]:
        """Return what happens next, all events of that instant; nothing if that is after ``until``.

        Raises:
            StudyError: If nothing is left to wait for, and there is no time at which to return.
        """
        due = self._due
        while due:
            time = due[0][0]
            if time > until:
                break
            self._now = max(self._now, time)
            events: list[Event] = []
            while due and due[0][0] == time:
                _, serial, event = heapq.heappop(due)
                if type(event) is not JobFinished and type(event) is not JobPaused:
                    events.append(event)
                elif (found := self._running.get(event.trial)) is not None and found[0] == serial:
                    del self._running[event.trial]
                    self._reached[event.trial] = event.resource
                    events.append(event)
            if events:
                return events
        if not due and math.isinf(until):
            raise StudyError("nothing is left to happen, and the study is not over; give it workers")
        self._now = max(self._now, until)
        return []

    def carry_out(self, order: Order) -> None:
        """Begin to carry out an order; the outcome is due at its time."""
        match order:
            case Train():
                self._train(order)
            case Release(worker=worker, trial=trial, keep=keep):
                self._release(worker, trial, keep=keep)
            case Pause(trial=trial):
                self._pause(trial)
            case Discard():
                pass
            case _:
                assert_never(order)

    def progress(self) -> Sequence[Progress]:
        """Return nothing: whoever watches sees the results."""
        return ()

    def close(self) -> None:
        """Nobody has to be dismissed."""

    def _train(self, order: Train) -> None:
        training, trial = self._training, order.trial
        begin = max(self._now, self._free_at.get(order.worker, 0.0))
        if order.start and not order.in_place:
            begin += training.load_seconds
        seconds = training.seconds(trial, order.start, order.target)
        if training.stretch is not None:
            seconds *= training.stretch(self._random)
        event: Event
        if training.drop and (life := self._life()) <= seconds:
            seconds = life
            event = self._broken_off(order, order.start, begin, begin + life)
        else:
            event = JobFinished(
                begin + seconds,
                worker=order.worker,
                trial=trial,
                rung=order.rung,
                resource=order.target,
                start=order.start,
                metrics=training.metrics(trial, order.target),
                seconds=seconds,
                held=training.resumes,
            )
        self._running[trial] = (self._serial, begin, order)
        self._push(begin + seconds, event)

    def _release(self, worker: WorkerId, trial: TrialId, *, keep: bool) -> None:
        seconds = self._training.save_seconds if keep else 0.0
        self._free_at[worker] = self._now + seconds
        event = TrialReleased(
            self._now + seconds,
            worker=worker,
            trial=trial,
            resource=self._reached.get(trial, 0),
            seconds=seconds,
            checkpoint=CHECKPOINT_BYTES if keep else None,
        )
        self._push(self._now + seconds, event)

    def _pause(self, trial: TrialId) -> None:
        """Break a job off at the next epoch that it comes to, if it is not over before."""
        found = self._running.get(trial)
        if found is None:
            return
        _, began, order = found
        at, resource = self._next_epoch(order, began)
        if resource >= order.target:
            return
        event = self._broken_off(order, resource if self._training.resumes else order.start, began, at)
        self._running[trial] = (self._serial, began, order)
        self._push(at, event)

    def _next_epoch(self, order: Train, began: float) -> tuple[float, int]:
        """Return when a running job comes to its next epoch, and which that is, without its stretch."""
        for resource in range(order.start + 1, order.target):
            at = began + self._training.seconds(order.trial, order.start, resource)
            if at >= self._now:
                return at, resource
        return math.inf, order.target

    def _broken_off(self, order: Train, resource: int, began: float, at: float) -> JobPaused:
        is_saved = self._training.resumes and resource > 0
        return JobPaused(
            at,
            worker=order.worker,
            trial=order.trial,
            rung=order.rung,
            resource=resource,
            start=order.start,
            seconds=at - began,
            checkpoint=CHECKPOINT_BYTES if is_saved else None,
        )

    def _life(self) -> int:
        """Return the unit of time in which a job would be dropped: geometric, from 1."""
        return 1 + int(math.log(1.0 - self._random.random()) / math.log1p(-self._training.drop))

    def _push(self, time: float, event: Event) -> None:
        heapq.heappush(self._due, (time, self._serial, event))
        self._serial += 1
