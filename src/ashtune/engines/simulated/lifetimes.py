"""When simulated workers join, leave and die."""

import math
import random
from collections.abc import Callable, Sequence

import msgspec

from ashtune.core.events import WorkerJoined, WorkerLost
from ashtune.core.jobs import WorkerId
from ashtune.core.orders import Train
from ashtune.engines.simulated.model import Mortality, Stay


class Arrival(msgspec.Struct, frozen=True):
    """A worker on its way."""

    worker: WorkerId
    leaves: float


class Departure(msgspec.Struct, frozen=True):
    """A worker whose time is over."""

    worker: WorkerId
    is_dead: bool


class Lifetimes:
    """Who is there.

    Args:
        stays: When each of the first workers joins and leaves.
        deaths: How workers die; None if they do not.
        chance: Decides when.
        push: (time, what) -> it is due then.
        first_worker: The number of the first.
        began: The time at which the first may join, in seconds since the study began.
    """

    def __init__(
        self,
        stays: Sequence[Stay],
        deaths: Mortality | None,
        chance: random.Random,
        push: Callable[[float, Arrival | Departure], None],
        *,
        first_worker: int,
        began: float,
    ) -> None:
        self._deaths = deaths
        self._chance = chance
        self._push = push
        self._next = first_worker
        self._leaves: dict[WorkerId, float] = {}  # of those that leave at all
        self._gone: set[WorkerId] = set()
        for stay in stays:
            self._invite(max(began, stay.joins), stay.leaves)

    def is_gone(self, worker: WorkerId, now: float) -> bool:
        """Whether a worker has left by now, even if the driver does not know it yet."""
        return bool(self._leaves) and self._leaves.get(worker, math.inf) <= now

    def has_left(self, worker: WorkerId) -> bool:
        """Whether the driver has heard that a worker has left."""
        return worker in self._gone

    def join(self, joining: Arrival, now: float) -> WorkerJoined:
        """A worker is there; when it leaves is known from now on."""
        is_dead, leaves = False, joining.leaves
        if self._deaths is not None:
            dies = now + self._chance.expovariate(1 / self._deaths.mean_seconds)
            is_dead, leaves = dies < leaves, min(dies, leaves)
        if math.isfinite(leaves):
            self._leaves[joining.worker] = leaves
            self._push(leaves, Departure(joining.worker, is_dead))
        return WorkerJoined(now, joining.worker)

    def leave(self, departure: Departure, now: float, order: Train | None) -> WorkerLost:
        """A worker is gone, and with it its job. Which trial it had begun is said of one that died only."""
        worker, is_dead = departure.worker, departure.is_dead
        self._gone.add(worker)
        if is_dead and self._deaths is not None and self._deaths.replaced_after is not None:
            self._invite(now + self._deaths.replaced_after, math.inf)
        if order is None or not is_dead:
            return WorkerLost(now, worker=worker, reason="died" if is_dead else "left")
        return WorkerLost(now, worker=worker, reason="died", trial=order.trial, rung=order.rung)

    def _invite(self, joins: float, leaves: float) -> None:
        self._push(joins, Arrival(WorkerId(self._next), leaves))
        self._next += 1
