"""Models how long simulated workers train, and when they join, leave and die.

Rule: the results of a simulation depend only on arguments and random numbers, never on the clock of
this machine.
"""

import math
import random
from collections.abc import Callable, Sequence

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Train

LEAST_SURVIVAL = math.log(10_000)


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """A model of training.

    Args:
        metrics: (trial, resource) -> the metrics that the trial reports at this resource.
        fails: (trial, resource) -> the reason if the job that ends at this resource fails, or an
            empty string.
        seconds: (trial, start, target) -> seconds to train the trial from ``start`` to ``target``,
            without delays.
        stretch: A random number generator -> the factor by which a job is slower, drawn for each
            job.
        drop: The probability, in each unit of time, that a job is dropped. A dropped job is
            assigned again from its start. A drop happens at the end of a unit of time; a job that
            ends exactly at that moment is dropped too.
        resumes: Whether a promoted trial continues its training; if False, each job trains from the
            beginning.
        save_seconds: The time to release a trial and save it.
        release_seconds: Replaces ``save_seconds``: (trial, resource, is kept) -> seconds to release
            the trial.
        wait_seconds: (trial, start, target) -> seconds between the order and the start of a job,
            for example for messages.
        saves: Whether a released trial is saved; if False, the trial starts again if it is promoted
            later.
        load_seconds: The time to load a saved trial.
        warmup_seconds: The extra time of a worker's first job: imports, data, compilation.
        has_curves: Whether results contain the reports between rungs, as with real workers.
    """

    metrics: Callable[[TrialId, int], dict[str, float | None]]
    seconds: Callable[[TrialId, int, int], float]
    stretch: Callable[[random.Random], float] | None = None
    drop: float = 0.0
    resumes: bool = True
    save_seconds: float = 0.0
    release_seconds: Callable[[TrialId, int, bool], float] | None = None
    wait_seconds: Callable[[TrialId, int, int], float] | None = None
    fails: Callable[[TrialId, int], str] | None = None
    saves: bool = True
    load_seconds: float = 0.0
    warmup_seconds: float = 0.0
    has_curves: bool = False


class Mortality(msgspec.Struct, frozen=True):
    """How often workers die. The lifetime of a worker is exponentially distributed with mean
    ``mean_seconds``.

    ``replaced_after`` is the number of seconds until a new worker replaces a dead worker. If
    ``replaced_after`` is None, dead workers are not replaced.
    """

    mean_seconds: float
    replaced_after: float | None = None


def check_that_jobs_end(seconds: float, hazard: float) -> None:
    """Raise SettingsError if a job would hardly ever end. ``hazard`` is the rate of drops and
    deaths per second.
    """
    if hazard * seconds > LEAST_SURVIVAL:
        raise SettingsError(
            f"a job of {seconds:,.3g} s hardly ever ends, because a job is dropped or its worker "
            f"dies after {1 / hazard:,.3g} s on average; give a smaller --drop or longer --deaths"
        )


def half_normal(deviation: float) -> Callable[[random.Random], float]:
    """Return a function that draws the factor by which a job is slower: ``1 + |z|`` with normally
    distributed ``z``.

    Source: Li et al., arXiv 1810.05934, appendix A.1.
    """
    return lambda chance: 1 + abs(chance.gauss(0.0, deviation))


class Arrival(msgspec.Struct, frozen=True):
    """A worker that is about to join."""

    worker: WorkerId


class Death(msgspec.Struct, frozen=True):
    """A worker that is about to die."""

    worker: WorkerId


class Lifetimes:
    """Decides when simulated workers join and die.

    Args:
        joins: The time at which each worker joins, in seconds since the study began.
        push: (time, what) -> schedules an arrival or a death.
        began: The earliest time at which a worker may join, in seconds since the study began.
    """

    def __init__(
        self,
        joins: Sequence[float],
        deaths: Mortality | None,
        chance: random.Random,
        push: Callable[[float, Arrival | Death], None],
        *,
        first_worker: int,
        began: float,
    ) -> None:
        self._deaths = deaths
        self._chance = chance
        self._push = push
        self._next = first_worker
        self._dies: dict[WorkerId, float] = {}
        self._gone: set[WorkerId] = set()
        for time in joins:
            self._invite(max(began, time))

    def is_gone(self, worker: WorkerId, now: float) -> bool:
        """Return whether a worker has died, even if the driver does not know it yet."""
        return bool(self._dies) and self._dies.get(worker, math.inf) <= now

    def has_left(self, worker: WorkerId) -> bool:
        """Return whether the driver was told that a worker has died."""
        return worker in self._gone

    def join(self, worker: WorkerId, now: float) -> WorkerJoined:
        """Let a worker join, and schedule its death."""
        if self._deaths is not None:
            self._dies[worker] = now + self._chance.expovariate(1 / self._deaths.mean_seconds)
            self._push(self._dies[worker], Death(worker))
        return WorkerJoined(now, worker)

    def die(self, worker: WorkerId, now: float, order: Train | None) -> WorkerLost:
        """Remove a worker, and return the event which says that the worker is lost. ``order`` is
        the worker's job.
        """
        self._gone.add(worker)
        if self._deaths is not None and self._deaths.replaced_after is not None:
            self._invite(now + self._deaths.replaced_after)
        if order is None:
            return WorkerLost(now, worker=worker, reason="died")
        return WorkerLost(now, worker=worker, reason="died", trial=order.trial, rung=order.rung)

    def _invite(self, joins: float) -> None:
        self._push(joins, Arrival(WorkerId(self._next)))
        self._next += 1
