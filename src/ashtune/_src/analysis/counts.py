"""Parts of the tally: groups of failure reasons, and the counts and best results of each rung."""

import math
import sys
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import Goal, Key, Losses, TrialId, as_one
from ashtune._src.core.order import front_of, preferred, ranked
from ashtune._src.core.orders import without_numbers

# A function may put a random path or a configuration into its message, so that each of 100,000
# failures has a reason of its own. Twenty groups are more than anybody reads; the total counts all.
# The first failure of a group keeps its traceback: the end of it, where the error was raised.
GROUPS_KEPT = 20
TRACEBACK_CHARACTERS = 8_000


class Group(msgspec.Struct):
    """A group of failures with the same reason: the first failure, and the number of failures."""

    reason: str
    count: int
    trial: TrialId | None
    rung: int
    traceback: str


class Reasons:
    """Counts failure reasons. Reasons that differ only in numbers are in the same group: see
    :func:`without_numbers`.

    At most ``GROUPS_KEPT`` reasons have a group; all other reasons count only in ``total``.
    """

    def __init__(self) -> None:
        self.total = 0
        self._groups: dict[str, Group] = {}

    def add(self, reason: str, trial: TrialId | None, rung: int = 0, traceback: str = "") -> None:
        """Count one more failure reason."""
        self.total += 1
        key = without_numbers(reason)
        group = self._groups.get(key)
        if group is not None:
            group.count += 1
        elif len(self._groups) < GROUPS_KEPT:
            self._groups[key] = Group(reason, 1, trial, rung, traceback[-TRACEBACK_CHARACTERS:])

    def groups(self) -> Sequence[Group]:
        """Return the groups, the largest group first; groups of equal size are in the order of the
        first failure.
        """
        return sorted(self._groups.values(), key=lambda group: -group.count)


# A withdrawn trial takes its result back, and the next best one must then be known. One kept result
# would be enough without withdrawals, and all results would be too many: a rung may have a million.
BEST_KEPT = 1_000
"""The number of best results that a rung keeps. If all their trials are withdrawn, the best result
is unknown.
"""


class BestResult(msgspec.Struct, frozen=True):
    """A result: the metrics of a trial at a rung.

    ``loss`` is the number that ranks results. In a study with constraints, ``loss`` is the value of
    ``as_one()``. In a study with several objectives, ``loss`` is the first loss. ``violation`` is
    the amount by which constraints are violated; ``losses`` are the losses of several objectives.
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
        """The key that ranks this result, followed by the trial's number."""
        return (self.violation, *(self.losses or (self.loss,))), self.trial


def result_of(event: JobFinished, goal: Goal) -> BestResult:
    """Return the result of a job. The loss of a failure is inf."""
    losses, violation = goal.judged(event.metrics)
    loss = losses[0]
    if not goal.others:
        loss = as_one(violation, loss)
        losses = ()
    return BestResult(
        event.trial, event.rung, event.resource, loss, event.metrics, violation or 0.0, losses
    )


class RungTally:
    """Counts the trials and results of one rung.

    ``arrived`` is the number of trials with a result at this rung, and ``promoted`` is the number
    of promoted trials. ``failed`` and ``withdrawn`` count the trials that failed or were withdrawn
    in a job to this rung. ``epochs`` is the resource that all jobs to this rung have trained
    together. The resource of failed jobs is unknown and does not count.
    """

    __slots__ = (
        "_best", "_front", "_goal", "_ranks", "_worst", "arrived", "epochs", "failed", "promoted",
        "resource",
        "running", "seconds", "withdrawn",
    )  # fmt: skip

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
        self._ranks: list[tuple[float, TrialId]] = []  # of the best, with one objective
        self._worst = sys.float_info.max  # the largest loss to keep

    @property
    def best(self) -> BestResult | None:
        """The best result at this rung, without withdrawn trials. If results are equal, the earlier
        trial is the best.

        In a study with several objectives, the weights choose the best result from the Pareto
        front.
        """
        return next(iter(self.front), None)

    @property
    def front(self) -> list[BestResult]:
        """The Pareto front at this rung, the preferred result first. With one objective, the front
        is one result.
        """
        if not self._goal.others:
            return self._best[:1]
        if self._front is None:
            front = front_of(self._best, key=lambda result: result.key)
            order = preferred([result.losses for result in front], self._goal.weights)
            self._front = [front[place] for place in order]
        return self._front

    @property
    def finite(self) -> int:
        """The number of finite results that are kept at this rung."""
        return len(self._best)

    def result_of(self, trial: TrialId) -> BestResult | None:
        """Return the result of a trial at this rung; None if this result is not kept. O(n)."""
        return next((best for best in self._best if best.trial == trial), None)

    def add(self, event: JobFinished) -> None:
        """Count a result; store a finite one. O(log n). A rung stores many results, because trials
        may be withdrawn.
        """
        self.arrived += 1
        self.seconds += event.seconds
        self.epochs += event.resource - event.start
        result = result_of(event, self._goal)
        if self._goal.others:
            self._add_to_the_front(result)
            return
        if result.loss > self._worst:
            return
        # The ranks stand beside the results, because a search in a list of tuples is faster than
        # one that asks each result for its key.
        best = self._best
        ranks = self._ranks
        rank = (result.loss, event.trial)
        place = bisect_right(ranks, rank)
        ranks.insert(place, rank)
        best.insert(place, result)
        if len(best) >= BEST_KEPT:
            del best[BEST_KEPT:], ranks[BEST_KEPT:]
            self._worst = best[-1].loss

    def _add_to_the_front(self, result: BestResult) -> None:
        """Store a result with several objectives. With two objectives, the amortised cost is O(log
        n).
        """
        best = self._best
        if result.loss == math.inf:
            return
        # Ranking several losses costs much more than comparing one, so results are collected, and
        # ranked only when there are twice as many as are kept.
        self._front = None
        best.append(result)
        if len(best) == 2 * BEST_KEPT:
            by_trial = {result.trial: result for result in best}
            order = ranked(result.key for result in best)[:BEST_KEPT]
            self._best = [by_trial[trial] for _, trial in order]

    def withdraw(self, trial: TrialId) -> None:
        """Remove the result of a withdrawn trial from this rung."""
        self._front = None
        self._best = [best for best in self._best if best.trial != trial]
        self._ranks = [rank for rank in self._ranks if rank[1] != trial]
        if len(self._best) < BEST_KEPT:
            self._worst = sys.float_info.max

    @property
    def paused(self) -> int:
        """The number of trials that have a result at this rung and are not promoted yet."""
        return self.arrived - self.promoted

    @property
    def trained(self) -> int:
        """The number of trials whose job to this rung ended with a result or a failure."""
        return self.arrived + self.failed
