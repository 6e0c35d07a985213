"""Oracles, which recompute a scheduler's next job from the whole history at every step, and their parts.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2 (``ash``). Several losses and constraints: Deb, Pratap, Agarwal,
Meyarivan, *NSGA-II*, IEEE Trans. Evol. Comp. 6(2), 2002.

Rule 1: an oracle is as simple as the paper: lists and ``sorted``, no heap, and no state between calls. So it is slow,
but mistakes are easy to see.
Rule 2: an oracle shares no code with the schedulers except data types. The quota is computed here again.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import msgspec

from ashtune._src.core.jobs import Job, TrialId
from ashtune._src.core.ladder import Ladder

__all__ = [
    "Extended",
    "Given",
    "Lengthened",
    "PassedOver",
    "RecordedResult",
    "Withdrawn",
    "arrived_in",
    "ash",
    "dominates",
    "floor_of",
    "given_jobs",
    "ladder_now",
    "newborn",
    "promotable",
    "ranked",
    "unexplained_results",
    "within_quota",
]


class Given(msgspec.Struct, frozen=True):
    """A job was given to a worker."""

    job: Job


class RecordedResult(msgspec.Struct, frozen=True):
    """A job's result arrived; a loss of ``math.inf`` is a failure.

    ``curve`` has the losses reported before the rung, and ``seconds`` is the time of the job. ``more`` are the other
    losses, if there are several. ``violation`` is the violation of the constraints, if there are any.
    """

    job: Job
    loss: float
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    more: tuple[float, ...] = ()
    violation: float | None = None

    @property
    def is_failure(self) -> bool:
        """Whether any loss is infinite."""
        return math.inf in (self.loss, *self.more)


class Withdrawn(msgspec.Struct, frozen=True):
    """A running job's trial was withdrawn; with ``replace`` a new trial may start."""

    job: Job
    replace: bool


class PassedOver(msgspec.Struct, frozen=True):
    """A promotion will not be trained; the trial's results stay."""

    job: Job


class Extended(msgspec.Struct, frozen=True):
    """The number of trials was changed."""

    trials: int | None


class Lengthened(msgspec.Struct, frozen=True):
    """The ladder got more rungs above."""

    ladder: Ladder


Fact = Given | RecordedResult | Withdrawn | PassedOver | Extended | Lengthened
History = Sequence[Fact]
Oracle = Callable[[Ladder, int | None, History], Job | None]
"""Takes the first ladder, the first number of trials and the history; returns the next job."""
QuotaOf = Callable[[int, Fraction], int]
"""Takes the number of results of a rung and the fraction that is promoted; returns the quota."""


def ash(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job that ``get_job`` of Algorithm 2 gives."""
    due = promotable(ladder, history)
    return due[0] if due else newborn(trials, history, rung=0)


def floor_of(arrived: int, kept: Fraction) -> int:
    """Return the quota of the paper."""
    return math.floor(arrived * kept)


def promotable(ladder: Ladder, history: History, quota: QuotaOf = floor_of) -> list[Job]:
    """Return all promotions that Algorithm 2 allows now: the top rung first, the best trial first."""
    given, ladder = given_jobs(history), ladder_now(ladder, history)
    due = []
    for rung in reversed(range(ladder.top)):
        for fact in within_quota(ladder, history, rung, quota):
            goes_on = Job(fact.job.trial, rung + 1)
            if not fact.is_failure and goes_on not in given:
                due.append(goes_on)
    return due


def unexplained_results(ladder: Ladder, results: Sequence[RecordedResult]) -> list[str]:
    """Return a sentence for each result without a correct promotion before it; for journals without orders.

    A trial with a result above the lowest rung must have been within the quota of the rung below at some time between
    its results at the two rungs, as a promotion may wait until a checkpoint is saved.
    """
    wrong = []
    ever: set[Job] = set()  # promotions that were due at some time so far
    for moment, result in enumerate(results):
        trial, rung = result.job.trial, result.job.rung
        if rung > 0 and Job(trial, rung) not in ever:
            wrong.append(f"result {moment}: trial {trial} reached rung {rung} and never was within the quota below")
        if rung < ladder.top:
            best = within_quota(ladder, results[: moment + 1], rung)
            ever |= {Job(good.job.trial, rung + 1) for good in best if not good.is_failure}
    return wrong


def given_jobs(history: History) -> set[Job]:
    return {fact.job for fact in history if isinstance(fact, Given)}


def arrived_in(history: History, rung: int) -> list[RecordedResult]:
    """Return the results of a rung, without withdrawn trials, best first; the earlier trial wins a tie."""
    gone = [fact.job.trial for fact in history if isinstance(fact, Withdrawn)]
    arrived = [fact for fact in history if isinstance(fact, RecordedResult) and fact.job.rung == rung]
    return ranked([fact for fact in arrived if fact.job.trial not in gone])


def ranked(results: Sequence[RecordedResult]) -> list[RecordedResult]:
    """Return results of one rung, the best first. With several losses, O(m n^2) for each front.

    Feasible results come first, then infeasible results by their violation, then failures. Results with equal
    violations are ordered by loss, then by trial number. With several losses they are ordered by Pareto front; in a
    front the larger crowding distance comes first, then the earlier trial.
    """
    if not any(result.more for result in results):
        return sorted(
            results, key=lambda result: (result.is_failure, result.violation or 0.0, result.loss, result.job.trial)
        )
    left = sorted(results, key=lambda result: result.job.trial)
    order: list[RecordedResult] = []
    while finite := [result for result in left if not result.is_failure]:
        least = min(result.violation or 0.0 for result in finite)
        equal = [result for result in finite if (result.violation or 0.0) == least]
        front = [result for result in equal if not any(dominates(other, result) for other in equal)]
        order += sorted(front, key=lambda result: (-_crowding(front, result), result.job.trial))
        left = [result for result in left if result not in front]
    return order + left


def dominates(one: RecordedResult, other: RecordedResult) -> bool:
    """Return whether one result is better than another in some loss and worse in none."""
    pairs = list(zip((one.loss, *one.more), (other.loss, *other.more), strict=True))
    return all(mine <= its for mine, its in pairs) and any(mine < its for mine, its in pairs)


def _crowding(front: Sequence[RecordedResult], result: RecordedResult) -> float:
    """Return the crowding distance: the sum, over the losses, of (distance between the two neighbours / range)."""
    distance = 0.0
    for loss in range(1 + len(result.more)):
        along = sorted(((one.loss, *one.more)[loss], one.job.trial) for one in front)
        place = [trial for _, trial in along].index(result.job.trial)
        if place in (0, len(along) - 1):
            return math.inf
        extent = along[-1][0] - along[0][0]
        distance += (along[place + 1][0] - along[place - 1][0]) / extent if extent else 0.0
    return distance


def ladder_now(ladder: Ladder, history: History) -> Ladder:
    """Return the present ladder."""
    ladders = [fact.ladder for fact in history if isinstance(fact, Lengthened)]
    return ladders[-1] if ladders else ladder


def within_quota(ladder: Ladder, history: History, rung: int, quota: QuotaOf = floor_of) -> list[RecordedResult]:
    in_order = arrived_in(history, rung)
    return in_order[: quota(len(in_order), ladder.kept[rung])]


def newborn(trials: int | None, history: History, *, rung: int = 0) -> Job | None:
    """Return the job of the next new trial; None if the limit is reached. Replaced trials do not count."""
    limit = _limit(trials, history)
    if limit is not None and _started(history) >= limit:
        return None
    return Job(TrialId(len({job.trial for job in given_jobs(history)})), rung)


def _limit(trials: int | None, history: History) -> int | None:
    """Return the present number of trials."""
    limits = [fact.trials for fact in history if isinstance(fact, Extended)]
    return limits[-1] if limits else trials


def _started(history: History) -> int:
    """Return how many trials were started, not counting withdrawn trials that may be replaced."""
    replaced = sum(fact.replace for fact in history if isinstance(fact, Withdrawn))
    return len({job.trial for job in given_jobs(history)}) - replaced
