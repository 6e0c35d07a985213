"""Simulated workers in virtual time. The simulation uses the real main loop, controller and
schedulers.

The simulation trains no model. Functions return a trial's metrics and durations. Virtual time jumps
from one event to the next, so that simulating ten thousand workers for a week takes seconds.

Rule 1: time is virtual. The clock of this machine is never read.
Rule 2: the seed and the driver's orders determine all events, so that the same study always runs in
the same way.
Rule 3: an event has the time at which the driver took the event from its queue. The driver does not
know queued events.
"""

# Theory of operation
# -------------------
# All future events are in one heap of (time, serial number, what). The serial number keeps events
# at the same time in the order in which they were pushed. Without it, the heap would compare
# ``what``, which has no order.
#
# Nothing is removed from the heap. A job that is paused, or whose worker dies, is replaced or
# removed in ``_running``; its old entry is found to be stale when its time comes. Removing would
# take O(n) for each pause.
#
# Releases that take no time are not pushed but wait in ``_at_once``: by default, all releases
# take no time, and the heap need not sort them.
#
# What happens when
#
#   a worker dies      from this time on, is_gone() drops the orders to it, as a real engine does
#                      while the loss is not known. Its WorkerLost follows when wait() gets there.
#   it dies while a    the release is dropped with it, and the controller learns from the loss that
#   trial is saved     there is no checkpoint.
#   a job is dropped   JobPaused at its start, and the controller assigns the job again.
#
# Decision 20 (docs/decisions/0020-simulated-histories.md) has another simulation, which simulates
# processes and disks below the real engine.

import math
import random
from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any, assert_never

import msgspec

from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import Curve, Event, JobFailed, JobFinished, JobPaused, TrialReleased
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Discard, Order, Pause, Release, Train
from ashtune._src.engines.engine_protocol import Brief, Engine, Workers
from ashtune._src.engines.simulated.simulated_times import (
    Arrival,
    Death,
    Lifetimes,
    Mortality,
    Training,
    check_that_jobs_end,
)

CHECKPOINT_BYTES = 1
LONGEST_LIFE = 1e18


class _Running(msgspec.Struct, eq=False, gc=False):
    """A running job. ``resource`` is the resource that the job will reach: the target, or less if
    the job is paused.

    ``whole`` is the duration of the job without a drop or a pause, including the stretch factor.
    """

    order: Train
    began: float
    seconds: float
    resource: int
    whole: float


class _Saving(msgspec.Struct, frozen=True, gc=False):
    """A trial that is being released."""

    worker: WorkerId
    trial: TrialId
    resource: int
    seconds: float
    is_kept: bool


_Due = _Running | _Saving | Arrival | Death


class SimulatedWorkers(Workers):
    """Workers in virtual time. Reports between rungs arrive together with the result of a job.

    Args:
        training: The model of training. A job is refused if its probability to end is below 1 in
            10,000.
        workers: The number of workers, which are there from the beginning; or the time at which
            each worker joins.
        deaths: How workers die; by default, no worker dies.
        began: The earliest time at which a worker may join, in seconds since the study began.
    """

    def __init__(
        self,
        training: Training,
        *,
        workers: int | Sequence[float],
        seed: int = 0,
        deaths: Mortality | None = None,
        first_worker: int = 0,
        began: float = 0.0,
    ) -> None:
        self._training = training
        self._checkpoint = CHECKPOINT_BYTES if training.saves else None
        self._hazard = -math.log1p(-training.drop)
        if deaths is not None:
            self._hazard += 1 / deaths.mean_seconds
        self._random = random.Random(seed)
        self._now = began
        self._serial = 0
        self._due: list[tuple[float, int, _Due]] = []
        self._at_once: list[_Saving] = []  # releases that take no time
        self._running: dict[WorkerId, _Running] = {}
        self._held: dict[WorkerId, int] = {}  # the resource of the trial that the worker holds
        self._free_at: dict[WorkerId, float] = {}
        self._warm: set[WorkerId] = set()
        joins = [0.0] * workers if isinstance(workers, int) else workers
        self._lifetimes = Lifetimes(
            joins, deaths, self._random, self._push, first_worker=first_worker, began=began
        )

    def now(self) -> float:
        return self._now

    def wait(self, until: float) -> Sequence[Event]:
        """Return the next events. If the next event is later than ``until``, return an empty
        sequence.

        Raises:
            StudyError: If no event is left, and ``until`` is infinite.
        """
        due = self._due
        events: list[Event] = []
        while not events and (due or self._at_once):
            if not self._at_once:
                if due[0][0] > until and due[0][0] > self._now:
                    break
                self._now = max(self._now, due[0][0])
            now = self._now
            for saving in self._at_once:
                self._happen(saving, now, events)
            self._at_once.clear()
            while due and due[0][0] <= now:
                what = heappop(due)[2]
                if not isinstance(what, _Running):
                    self._happen(what, now, events)
                elif self._running.get(what.order.worker) is what:
                    del self._running[what.order.worker]
                    events.append(self._ended(what, now))
        if events:
            return events
        if not due and math.isinf(until):
            raise StudyError(
                "the simulation has no worker left, but the study is not over; give it more workers"
            )
        self._now = max(self._now, until)
        return events

    def carry_out(self, order: Order) -> None:
        if isinstance(order, Discard):
            return  # there are no files
        if self._lifetimes.is_gone(order.worker, self._now):
            return  # the worker is gone; the event follows
        match order:
            case Train():
                self._train(order)
            case Release():
                self._release(order.worker, order.trial, keep=order.keep)
            case Pause():
                self._pause(order.worker, order.trial)
            case _:
                assert_never(order)

    def _happen(self, due: _Saving | Arrival | Death, now: float, events: list[Event]) -> None:
        """Append the event that is due at ``now``. Skip the release of a trial if the trial's
        worker has died.
        """
        match due:
            case _Saving():
                if not self._lifetimes.has_left(due.worker):
                    events.append(
                        TrialReleased(
                            now,
                            worker=due.worker,
                            trial=due.trial,
                            resource=due.resource,
                            seconds=due.seconds,
                            checkpoint=self._checkpoint if due.is_kept else None,
                        )
                    )
            case Arrival():
                events.append(self._lifetimes.join(due.worker, now))
            case Death():
                order = None
                if due.worker in self._running:
                    order = self._running.pop(due.worker).order
                events.append(self._lifetimes.die(due.worker, now, order))
            case _:
                assert_never(due)

    def _ended(self, job: _Running, now: float) -> Event:
        order = job.order
        training = self._training
        of_job: dict[str, Any] = {
            "worker": order.worker,
            "trial": order.trial,
            "rung": order.rung,
            "seconds": job.seconds,
        }
        if job.resource != order.target:
            return JobPaused(
                now,
                **of_job,
                resource=job.resource,
                start=order.start,
                curve=self._curve(order, job.resource + 1),
                checkpoint=self._checkpoint if training.resumes and job.resource > 0 else None,
            )
        reason = ""
        if training.fails is not None:
            reason = training.fails(order.trial, order.target)
        if reason:
            return JobFailed(now, **of_job, reason=reason)
        self._held[order.worker] = order.target
        return JobFinished(
            now,
            **of_job,
            resource=order.target,
            start=order.start,
            metrics=training.metrics(order.trial, order.target),
            curve=self._curve(order, order.target),
            held=training.resumes,
        )

    def _curve(self, order: Train, end: int) -> Curve:
        if not self._training.has_curves:
            return []
        return [
            (resource, self._training.metrics(order.trial, resource))
            for resource in range(order.start + 1, end)
        ]

    def _train(self, order: Train) -> None:
        training = self._training
        worker = order.worker
        begin = max(self._now, self._free_at.pop(worker, 0.0))
        if training.wait_seconds is not None:
            begin += training.wait_seconds(order.trial, order.start, order.target)
        seconds = training.seconds(order.trial, order.start, order.target)
        if order.start and not order.in_place:
            seconds += training.load_seconds
        if training.warmup_seconds and worker not in self._warm:
            self._warm.add(worker)
            seconds += training.warmup_seconds
        if self._hazard:
            check_that_jobs_end(seconds, self._hazard)
        if training.stretch is not None:
            seconds *= training.stretch(self._random)
        whole = seconds
        resource = order.target
        if training.drop:
            life = self._life()
            if life <= seconds:
                seconds = life
                resource = order.start
        job = self._running[worker] = _Running(order, begin, seconds, resource, whole)
        self._push(begin + seconds, job)

    def _release(self, worker: WorkerId, trial: TrialId, *, keep: bool) -> None:
        training = self._training
        resource = self._held.get(worker, 0)
        seconds = training.save_seconds * keep
        if training.release_seconds is not None:
            seconds = training.release_seconds(trial, resource, keep)
        saving = _Saving(worker, trial, resource, seconds, keep)
        if seconds:
            self._free_at[worker] = self._now + seconds
            self._push(self._now + seconds, saving)
        else:
            self._at_once.append(saving)

    def _pause(self, worker: WorkerId, trial: TrialId) -> None:
        """Pause a job at the end of its next epoch, unless the job ends earlier."""
        job = self._running.get(worker)
        if job is None or job.order.trial != trial:
            return
        order = job.order
        at, resource = self._next_epoch(job)
        if resource < order.target and at < job.began + job.seconds:
            reached = resource if self._training.resumes else order.start
            stop = _Running(order, job.began, at - job.began, reached, job.whole)
            self._running[worker] = stop
            self._push(at, stop)

    def _next_epoch(self, job: _Running) -> tuple[float, int]:
        """Return the time at which a running job ends its next epoch, and
        the number of this epoch.
        """
        order = job.order
        seconds = self._training.seconds
        undisturbed = seconds(order.trial, order.start, order.target)
        stretch = job.whole / undisturbed if undisturbed > 0 else 1.0
        low = order.start + 1
        high = order.target
        while low < high:  # the first epoch that ends now or later
            middle = (low + high) // 2
            if job.began + stretch * seconds(order.trial, order.start, middle) >= self._now:
                high = middle
            else:
                low = middle + 1
        return job.began + stretch * seconds(order.trial, order.start, low), low

    def _life(self) -> int:
        """Draw after how many units of time a job would be dropped (a geometric distribution)."""
        return 1 + int(
            min(
                LONGEST_LIFE,
                math.log(1.0 - self._random.random()) / math.log1p(-self._training.drop),
            )
        )

    def _push(self, time: float, due: _Due) -> None:
        heappush(self._due, (time, self._serial, due))
        self._serial += 1


class SimulatedEngine(Engine):
    """The engine of :class:`SimulatedWorkers`, which work in virtual time; see
    :class:`~ashtune.engines.Engine`.

    Users cannot choose the simulated engine by name, because it needs a model of training.

    Args:
        workers: The default number of workers; or the time at which each worker joins.
    """

    name = "simulated"

    def __init__(
        self,
        training: Training,
        *,
        workers: int | Sequence[float] = 1,
        seed: int = 0,
        deaths: Mortality | None = None,
    ) -> None:
        self._workers = workers
        self._make = partial(SimulatedWorkers, training, seed=seed, deaths=deaths)

    def worker_count(self, wanted: int | None) -> int:
        if isinstance(self._workers, int):
            return wanted or self._workers
        return min(wanted or len(self._workers), len(self._workers))

    def open(self, brief: Brief) -> Workers:
        workers = (
            brief.workers if isinstance(self._workers, int) else self._workers[: brief.workers]
        )
        return self._make(workers=workers, first_worker=brief.setup.worker, began=brief.began)
