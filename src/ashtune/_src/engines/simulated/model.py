"""What simulated workers do, and when they join, leave and die.

Rule: functions of their arguments and of the random numbers they are given; the clock of this machine is never read.
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
    """What simulated training does.

    Args:
        metrics: (trial, resource) -> what it reports there.
        fails: (trial, resource) -> why its job to there fails after its time; nothing if it does not.
        seconds: (trial, start, target) -> seconds to train it from one resource to the other, undisturbed.
        stretch: A random number generator -> by what factor a job takes longer, drawn anew for each.
        drop: The probability that a job is dropped, in each unit of time. Its trial goes back, and begins again where
            its job began. Lives are whole units: a job that ends in the unit in which it would be dropped is dropped.
        resumes: Whether trials go on from where they stopped; otherwise each job trains from the beginning.
        save_seconds: What releasing a trial and saving it takes.
        release_seconds: In its place: (trial, resource, is kept) -> seconds until a worker has released it.
        wait_seconds: (trial, start, target) -> what passes between the order and the beginning of a job: messages,
            waking up, whatever a worker does between two jobs.
        saves: Whether a trial that is released is saved; otherwise it begins again if it is promoted later.
        load_seconds: What loading a saved trial takes.
        warmup_seconds: What a worker's first job takes longer: imports, data, compilation.
        has_curves: Whether results carry the reports between rungs, as those of real workers do.
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


class Stay(msgspec.Struct, frozen=True):
    """When a worker joins and when it leaves, in seconds since the study began. Its job is lost when it leaves."""

    joins: float = 0.0
    leaves: float = math.inf


class Mortality(msgspec.Struct, frozen=True):
    """How workers die: after lives of ``mean_seconds`` on average, exponentially distributed.

    ``replaced_after`` is how many seconds later another comes in its place, None for never.
    """

    mean_seconds: float
    replaced_after: float | None = None


class DriverCost(msgspec.Struct, frozen=True):
    """What the driver itself costs.

    It is one server with a queue: what comes while it is busy waits. It takes all that has come at once, spends
    ``decision_seconds`` on each result, trial released and worker that joins, then its orders go out.
    """

    decision_seconds: float = 0.0


def check_that_jobs_end(seconds: float, hazard: float) -> None:
    """Refuse a job of some seconds that hardly ever ends at this hazard, the rate of drops and deaths."""
    if hazard * seconds > LEAST_SURVIVAL:
        raise SettingsError(
            f"a job of {seconds:,.3g} s hardly ever ends where jobs are dropped and workers die on average after "
            f"{1 / hazard:,.3g} s; give less --drop or longer lives"
        )


def half_normal(deviation: float) -> Callable[[random.Random], float]:
    """Return the law of stragglers ``1 + |z|``, ``z`` normal with this standard deviation.

    Source: Li et al., arXiv 1810.05934, appendix A.1.
    """
    return lambda chance: 1 + abs(chance.gauss(0.0, deviation))


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
        push: (time, what) -> it is due then.
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
