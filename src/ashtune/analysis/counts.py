"""What the tally counts by: a rung, a worker, and the best result."""

import math
from bisect import insort
from collections import deque

import msgspec

from ashtune.core.events import JobFinished
from ashtune.core.jobs import TrialId
from ashtune.core.orders import Train

NOBODY = TrialId(-1)
BEST_KEPT = 1_000
"""How many of its best results a rung remembers. If the trials of all of them are withdrawn, its best is not known."""


class BestResult(msgspec.Struct, frozen=True):
    """A result: the metrics of a trial at a rung."""

    trial: TrialId
    rung: int
    resource: int
    loss: float
    metrics: dict[str, float | None]


def _rank(result: BestResult) -> tuple[float, TrialId]:
    return result.loss, result.trial


class RungTally:
    """The counts of one rung.

    ``arrived`` trials have a result here; those that are not ``promoted`` are paused (at the top
    rung: done). ``failed`` and ``withdrawn`` ones ended on the way here. ``epochs`` are units of
    resource trained on the way here, without those of failures, which are unknown.
    """

    __slots__ = (
        "_best",
        "arrived",
        "epochs",
        "failed",
        "promoted",
        "resource",
        "running",
        "seconds",
        "withdrawn",
    )

    def __init__(self, resource: int) -> None:
        self.resource = resource
        self.running = 0
        self.arrived = 0
        self.promoted = 0
        self.failed = 0
        self.withdrawn = 0
        self.epochs = 0
        self.seconds = 0.0
        self._best: list[BestResult] = []

    @property
    def best(self) -> BestResult | None:
        """The best result here of a trial that was not withdrawn; of equal ones that of the earlier trial."""
        return self._best[0] if self._best else None

    def add(self, event: JobFinished, loss: float) -> None:
        """Take in a result. O(log n). The best of them are kept, as any may be withdrawn; one not finite is none."""
        best = self._best
        if loss == math.inf or (len(best) == BEST_KEPT and loss > best[-1].loss):
            return
        insort(best, BestResult(event.trial, event.rung, event.resource, loss, event.metrics), key=_rank)
        del best[BEST_KEPT:]

    def withdraw(self, trial: TrialId) -> None:
        """A trial has no result any more."""
        self._best = [best for best in self._best if best.trial != trial]

    @property
    def paused(self) -> int:
        """Trials with a result here that did not go on, so far."""
        return self.arrived - self.promoted

    @property
    def trained(self) -> int:
        """Trials whose job to this rung is over: those that arrived and those that failed."""
        return self.arrived + self.failed


class WorkerTally:
    """One worker: what it does, and how long it has trained.

    ``trial`` is the one it trains, from ``start`` (now at ``resource``) to ``target``, since the
    time ``since``; ``saving`` the one it saves. Both are ``NOBODY`` when it is idle. ``ahead`` are the
    jobs that wait at it.
    """

    __slots__ = ("ahead", "busy_seconds", "joined", "resource", "rung", "saving", "since", "start", "target", "trial")

    def __init__(self, joined: float) -> None:
        self.joined = joined
        self.busy_seconds = 0.0
        self.ahead: deque[Train] = deque()
        self.trial = NOBODY
        self.saving = NOBODY
        self.since = joined
        self.rung = self.start = self.target = self.resource = 0

    @property
    def state(self) -> str:
        """``saving``, ``training`` or ``idle``. One that saves takes its next job after that."""
        if self.saving != NOBODY:
            return "saving"
        return "idle" if self.trial == NOBODY else "training"
