"""Oracles: simple functions that compute a scheduler's next job from the whole history of a study.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2 (``ash``). Source for several losses and constraints:
Deb, Pratap, Agarwal, Meyarivan, *NSGA-II*, IEEE Trans. Evol. Comp. 6(2), 2002.

Rule 1: an oracle is as simple as the paper. An oracle uses lists and ``sorted``, no heap, and no
state between calls. Therefore an oracle is slow, but a mistake in an oracle is easy to see.
Rule 2: an oracle shares only data types with the schedulers. For example, an oracle has its own
code for the quota.
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
    """The scheduler gave a job to a worker."""

    job: Job


class RecordedResult(msgspec.Struct, frozen=True):
    """The result of a job arrived. A loss of ``math.inf`` means that the job failed.

    ``curve`` has the losses reported before the rung, and ``seconds`` is the time of the job.
    ``more`` has the job's losses after the first loss. ``violation`` is the violation of the
    constraints, or None. ``start`` is the resource from which the job trained.
    """

    job: Job
    loss: float
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    more: tuple[float, ...] = ()
    violation: float | None = None
    start: int = 0

    @property
    def is_failure(self) -> bool:
        """Whether any loss of the result is infinite."""
        return math.inf in (self.loss, *self.more)


class Withdrawn(msgspec.Struct, frozen=True):
    """The trial of a running job was withdrawn. If ``replace`` is True, a new trial may replace the
    withdrawn trial.
    """

    job: Job
    replace: bool


class PassedOver(msgspec.Struct, frozen=True):
    """A promoted trial will not be trained further, but the trial's earlier results still count."""

    job: Job


class Extended(msgspec.Struct, frozen=True):
    """The study's number of trials was changed."""

    trials: int | None


class Lengthened(msgspec.Struct, frozen=True):
    """The ladder got more rungs above its top rung."""

    ladder: Ladder


Fact = Given | RecordedResult | Withdrawn | PassedOver | Extended | Lengthened
History = Sequence[Fact]
Oracle = Callable[[Ladder, int | None, History], Job | None]
"""A function that takes the first ladder, the first number of trials and the history, and returns
the next job.
"""
QuotaOf = Callable[[int, Fraction], int]
"""A function that takes the number of results of a rung and the fraction that is promoted, and
returns the quota.
"""


def ash(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the same next job as the function ``get_job`` of Algorithm 2 in the paper."""
    due = promotable(ladder, history)
    return due[0] if due else newborn(trials, history, rung=0)


def floor_of(arrived: int, kept: Fraction) -> int:
    """Return the quota of a rung as in the paper, computed from the number of results and the kept
    fraction.
    """
    return math.floor(arrived * kept)


def promotable(ladder: Ladder, history: History, quota: QuotaOf = floor_of) -> list[Job]:
    """Return all promotions that Algorithm 2 allows now. Higher rungs are first, then better
    trials.
    """
    given = given_jobs(history)
    ladder = ladder_now(ladder, history)
    due = []
    for rung in reversed(range(ladder.top)):
        for fact in within_quota(ladder, history, rung, quota):
            goes_on = Job(fact.job.trial, rung + 1)
            if not fact.is_failure and goes_on not in given:
                due.append(goes_on)
    return due


def unexplained_results(ladder: Ladder, results: Sequence[RecordedResult]) -> list[str]:
    """Return an error message for each trial that was promoted but was never within the quota.

    If a trial has results at two neighbouring rungs, it must have been within the lower rung's
    quota at some time between the two results.
    """
    wrong = []
    # All promotions that were allowed at some time. A promotion stays valid even if better results
    # arrive later.
    ever: set[Job] = set()
    for moment, result in enumerate(results):
        trial = result.job.trial
        rung = result.job.rung
        if rung > 0 and Job(trial, rung) not in ever:
            wrong.append(
                f"result {moment}: trial {trial} reached rung {rung}, but was never within the "
                "quota of the rung below"
            )
        if rung < ladder.top:
            best = within_quota(ladder, results[: moment + 1], rung)
            ever |= {Job(good.job.trial, rung + 1) for good in best if not good.is_failure}
    return wrong


def given_jobs(history: History) -> set[Job]:
    return {fact.job for fact in history if isinstance(fact, Given)}


def arrived_in(history: History, rung: int) -> list[RecordedResult]:
    """Return the results of a rung, best first, without withdrawn trials. The trial number breaks
    ties.
    """
    gone = [fact.job.trial for fact in history if isinstance(fact, Withdrawn)]
    arrived = [
        fact for fact in history if isinstance(fact, RecordedResult) and fact.job.rung == rung
    ]
    return ranked([fact for fact in arrived if fact.job.trial not in gone])


def ranked(results: Sequence[RecordedResult]) -> list[RecordedResult]:
    """Return the results of one rung in order, best first.

    Feasible results come first, then infeasible results by their violation, then failures. Results
    with equal violations and one loss are ordered by loss, then by trial number. Results with equal
    violations and several losses are ordered by Pareto front, then by decreasing crowding distance,
    then by trial number.
    """
    if not any(result.more for result in results):
        return sorted(
            results,
            key=lambda result: (
                result.is_failure,
                result.violation or 0.0,
                result.loss,
                result.job.trial,
            ),
        )
    in_order = sorted(results, key=lambda result: result.job.trial)
    left = [result for result in in_order if not result.is_failure]
    order: list[RecordedResult] = []
    while left:
        least = min(result.violation or 0.0 for result in left)
        equal = [result for result in left if (result.violation or 0.0) == least]
        front = [result for result in equal if not any(dominates(other, result) for other in equal)]
        order += sorted(front, key=lambda result: (-_crowding(front, result), result.job.trial))
        left = [result for result in left if result not in front]
    return order + [result for result in in_order if result.is_failure]


def dominates(one: RecordedResult, other: RecordedResult) -> bool:
    """Return whether ``one`` is better than ``other`` in at least one loss, and not worse in any
    loss.
    """
    pairs = list(zip((one.loss, *one.more), (other.loss, *other.more), strict=True))
    return all(mine <= its for mine, its in pairs) and any(mine < its for mine, its in pairs)


def _crowding(front: Sequence[RecordedResult], result: RecordedResult) -> float:
    """Return a result's crowding distance: the sum over all losses of the distance between the
    result's two neighbours, divided by the range of the loss.
    """
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
    """Return the present ladder of the study."""
    ladders = [fact.ladder for fact in history if isinstance(fact, Lengthened)]
    return ladders[-1] if ladders else ladder


def within_quota(
    ladder: Ladder, history: History, rung: int, quota: QuotaOf = floor_of
) -> list[RecordedResult]:
    in_order = arrived_in(history, rung)
    return in_order[: quota(len(in_order), ladder.kept[rung])]


def newborn(trials: int | None, history: History, *, rung: int = 0) -> Job | None:
    """Return the job of the next new trial, or None if the study has started all its trials."""
    limit = _limit(trials, history)
    if limit is not None and _started(history) >= limit:
        return None
    return Job(TrialId(len({job.trial for job in given_jobs(history)})), rung)


def _limit(trials: int | None, history: History) -> int | None:
    limits = [fact.trials for fact in history if isinstance(fact, Extended)]
    return limits[-1] if limits else trials


def _started(history: History) -> int:
    """Return the number of started trials, without the withdrawn trials that new trials may
    replace.
    """
    replaced = sum(fact.replace for fact in history if isinstance(fact, Withdrawn))
    return len({job.trial for job in given_jobs(history)}) - replaced
