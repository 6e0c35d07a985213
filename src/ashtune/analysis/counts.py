"""What the tally counts by: reasons of failures, rungs with their best results, and workers."""

import math
import re
from bisect import insort
from collections.abc import Sequence

import msgspec

from ashtune.core.events import JobFinished, Progress, TrialReleased
from ashtune.core.jobs import Goal, Key, Losses, TrialId, WorkerId, as_one
from ashtune.core.order import front_of, preferred, ranked
from ashtune.core.orders import Followed, Release, Train

GROUPS_KEPT = 20
TRACEBACK_CHARACTERS = 8_000
_A_DECIMAL = re.compile(r"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|(?<=\btrial )\d+")
_A_NUMBER = re.compile(r"(?<!signal )(?<!status )\b\d[\d,]*")
_OURS = re.compile(r"(?:Objective|Space|Settings|Study)Error: |.* is not finite ")
"""How messages of this package begin that a trial fails with."""


class Group(msgspec.Struct):
    """Failures for one reason: how many, and the first of them."""

    reason: str
    count: int
    trial: TrialId | None
    rung: int
    traceback: str


def without_numbers(reason: str) -> str:
    """Return a reason with placeholders for decimals and trials' numbers: those that are equal then are one.

    Another whole number may say what went wrong, as in "error 700", but not in a message of this package, where it
    counts epochs or bytes; signals and exit statuses stay.
    """
    reason = _A_DECIMAL.sub("_", reason)
    return _A_NUMBER.sub("_", reason) if _OURS.match(reason) else reason


class Reasons:
    """Counts reasons. Two that differ in a number only are the same reason: see :func:`without_numbers`.

    At most ``GROUPS_KEPT`` reasons have a group; the others are counted in ``others``.
    """

    def __init__(self) -> None:
        self.total = 0
        self.others = 0
        self._groups: dict[str, Group] = {}

    def add(self, reason: str, trial: TrialId | None, rung: int = 0, traceback: str = "") -> None:
        """Take in one more."""
        self.total += 1
        key = without_numbers(reason)
        if (group := self._groups.get(key)) is not None:
            group.count += 1
        elif len(self._groups) < GROUPS_KEPT:
            self._groups[key] = Group(reason, 1, trial, rung, traceback[-TRACEBACK_CHARACTERS:])
        else:
            self.others += 1

    def groups(self) -> Sequence[Group]:
        """Return the groups, largest first, equal ones in the order in which they came up."""
        return sorted(self._groups.values(), key=lambda group: -group.count)


NOBODY = TrialId(-1)
BEST_KEPT = 1_000
"""How many of its best results a rung remembers. If the trials of all of them are withdrawn, its best is not known."""


class BestResult(msgspec.Struct, frozen=True):
    """A result: the metrics of a trial at a rung.

    ``loss`` orders it: with constraints the one number of :func:`~ashtune.core.jobs.as_one`, of several objectives the
    first. ``violation`` is by how much it violates the constraints; ``losses`` are those of several objectives.
    """

    trial: TrialId
    rung: int
    resource: int
    loss: float
    metrics: dict[str, float | None]
    violation: float = 0.0
    losses: Losses = ()

    @property
    def key(self) -> tuple[Key, TrialId]:
        """What it is ranked by, and its trial."""
        return (self.violation, *(self.losses or (self.loss,))), self.trial


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
        "_front",
        "_goal",
        "arrived",
        "epochs",
        "failed",
        "promoted",
        "resource",
        "running",
        "seconds",
        "withdrawn",
    )

    def __init__(self, resource: int, goal: Goal) -> None:
        self.resource = resource
        self._goal = goal
        self._front: list[BestResult] | None = None
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
        """The best result here of a trial that was not withdrawn; of equal ones that of the earlier trial.

        Of several objectives, the one of the front that the study's weights prefer.
        """
        front = self.front
        return front[0] if front else None

    @property
    def front(self) -> list[BestResult]:
        """The results here that no other dominates, the preferred first; with one objective the best."""
        if not self._goal.others:
            return self._best[:1]
        if self._front is None:
            front = front_of(self._best, key=lambda result: result.key)
            order = preferred([result.losses for result in front], self._goal.weights)
            self._front = [front[place] for place in order]
        return self._front

    @property
    def bar(self) -> float:
        """A result with a greater loss is not remembered, with one objective."""
        return self._best[-1].loss if len(self._best) == BEST_KEPT else math.inf

    @property
    def finite(self) -> int:
        """How many finite results there are, of those that are remembered."""
        return len(self._best)

    def result_of(self, trial: TrialId) -> BestResult | None:
        """Return the result of a trial, if it is among the best here. O(n)."""
        return next((best for best in self._best if best.trial == trial), None)

    def add(self, event: JobFinished) -> None:
        """Take in a result. O(log n). The best of them are kept, as any may be withdrawn; one not finite is none."""
        best, goal = self._best, self._goal
        if goal.others:
            self._add_to_the_front(event)
            return
        loss, violation = goal.loss(event.metrics), 0.0
        if goal.constraints:
            losses, amount = goal.judged(event.metrics)
            loss, violation = as_one(amount, losses[0]), amount or 0.0
        if loss == math.inf or (len(best) == BEST_KEPT and loss > best[-1].loss):
            return
        insort(best, BestResult(event.trial, event.rung, event.resource, loss, event.metrics, violation), key=_rank)
        del best[BEST_KEPT:]

    def _add_to_the_front(self, event: JobFinished) -> None:
        """Take in a result of several objectives: amortised O(log n) with two."""
        best, metrics = self._best, event.metrics
        losses, violation = self._goal.judged(metrics)
        if losses[0] == math.inf:
            return
        self._front = None
        best.append(BestResult(event.trial, event.rung, event.resource, losses[0], metrics, violation or 0.0, losses))
        if len(best) == 2 * BEST_KEPT:
            by_trial = {result.trial: result for result in best}
            order = ranked(result.key for result in best)[:BEST_KEPT]
            self._best = [by_trial[trial] for _, trial in order]

    def withdraw(self, trial: TrialId) -> None:
        """A trial has no result any more."""
        self._front = None
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

    ``jobs`` are how many it has in hand by rung, which may be several if it trains them together. ``trial`` is the one
    given last, which it trains from ``start`` (now at ``resource``) to ``target``; ``saving`` the one it saves. Both
    are ``NOBODY`` when it is idle. ``since``: when its last work ended, or it was given this one.
    """

    __slots__ = ("busy_seconds", "jobs", "joined", "resource", "rung", "saving", "since", "start", "target", "trial")

    def __init__(self, joined: float) -> None:
        self.joined = joined
        self.busy_seconds = 0.0
        self.jobs: dict[int, int] = {}
        self.trial = NOBODY
        self.saving = NOBODY
        self.since = joined
        self.rung = self.start = self.target = self.resource = 0

    @property
    def state(self) -> str:
        """``saving``, ``training`` or ``idle``. One that saves takes its next job after that."""
        if self.saving != NOBODY:
            return "saving"
        return "training" if self.jobs else "idle"


class WorkerCounts:
    """All workers together. O(1) an event, whatever their number: sums of times, and how many jobs, not which.

    Args:
        rungs: The counts of each rung; how many jobs run to it is counted here.
    """

    def __init__(self, rungs: Sequence[RungTally]) -> None:
        self._rungs = rungs
        self.workers: dict[WorkerId, WorkerTally] = {}
        self.busy = 0
        self._past_presence = 0.0
        self._sum_joined = 0.0
        self._sum_since = 0.0

    def presence(self, now: float) -> float:
        """Return the seconds that workers were there, all of them together."""
        return self._past_presence + len(self.workers) * now - self._sum_joined

    def seconds_under_way(self, now: float) -> float:
        """Return the seconds since each busy worker's ``since``, summed over these workers."""
        return max(0.0, self.busy * now - self._sum_since)

    def followed(self, order: Followed, now: float) -> None:
        """Take in one order to a worker. One that died a moment ago is not there: its job is given out again."""
        match order:
            case Train() if (worker := self.workers.get(order.worker)) is not None:
                rung = order.rung
                if worker.jobs:
                    worker.jobs[rung] = worker.jobs.get(rung, 0) + 1
                else:
                    worker.jobs[rung] = 1
                    worker.since = now
                    self.busy += 1
                    self._sum_since += now
                self._rungs[rung].running += 1
                worker.trial, worker.rung, worker.target = order.trial, rung, order.target
                worker.start = worker.resource = order.start
            case Release() if (worker := self.workers.get(order.worker)) is not None:
                worker.saving = order.trial
                if not worker.jobs:  # else it trains others meanwhile
                    worker.since = now
            case _:
                pass

    def progress(self, progress: Progress) -> None:
        """A worker told how far it is."""
        worker = self.workers.get(progress.worker)
        if worker is not None and worker.trial == progress.trial:
            worker.resource = progress.resource

    def ended(self, number: WorkerId, rung: int, seconds: float, now: float) -> None:
        """A worker's job to a rung is over."""
        worker = self.workers.get(number)
        if worker is None:
            return
        worker.busy_seconds += seconds
        if not (count := worker.jobs.pop(rung, 0)):
            return  # its order is not known
        self._rungs[rung].running -= 1
        if count > 1:
            worker.jobs[rung] = count - 1
        if worker.jobs:
            self._sum_since += now - worker.since
        else:
            self.busy -= 1
            self._sum_since -= worker.since
            worker.trial = NOBODY
        worker.since = now

    def released(self, event: TrialReleased, now: float) -> None:
        """A worker has let go of a trial."""
        worker = self.workers.get(event.worker)
        if worker is None or worker.saving != event.trial:
            return
        worker.saving = NOBODY
        if worker.jobs:  # only now does the next job begin
            self._sum_since += now - worker.since
        worker.since = now

    def join(self, number: WorkerId, now: float) -> None:
        """A worker is there."""
        self.workers[number] = WorkerTally(now)
        self._sum_joined += now

    def depart(self, number: WorkerId, now: float) -> None:
        """A worker is gone, and with it what it had in hand."""
        worker = self.workers.pop(number, None)
        if worker is None:
            return
        for rung, count in worker.jobs.items():
            self._rungs[rung].running -= count
        if worker.jobs:
            self.busy -= 1
            self._sum_since -= worker.since
        self._past_presence += now - worker.joined
        self._sum_joined -= worker.joined

    def dismiss_all(self, now: float) -> None:
        """All are gone, as their session has ended."""
        for worker in list(self.workers):
            self.depart(worker, now)
        self._sum_joined = self._sum_since = 0.0
