"""The audit checks whether the rule allowed each promotion, and whether the final results justify
the promotion.

Source of the rule: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2. If a rung has ``n`` results, its quota is the best
``floor(n * kept)`` results, where ``kept`` is a fixed share. Trials in the quota may be promoted. A
promoted trial still counts in the quota. Of equal results, the result of the earlier trial ranks
first. Failures count as results and rank last.

Rule 1: the audit itself computes which trials are in the quota. Of the schedulers' code, the audit
uses only types and the quota's size. In a study with several losses, the audit and the schedulers
rank a rung by the same code.
Rule 2: a promotion is explained if the trial was within the quota at some moment since its result
arrived. A new result brings at most one trial into the quota: its own trial, or the best trial
outside the quota. An event therefore takes O(log n). In a study with several losses, a new result
may change all ranks, so a rung is ranked only when one of its trials is promoted.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush, heappushpop
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.confirm import Numbering
from ashtune._src.core.events import Event, JobFinished, JobPaused, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import Goal, Key, Losses, Metrics, TrialId, as_one
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.order import ranked
from ashtune._src.core.orders import Followed, Train, TrialFailed
from ashtune._src.schedulers.ranking import QuotaRule
from ashtune._src.schedulers.scheduler_protocol import Rule
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.search.origins import PROPOSED, sort_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A promotion can be wrong in two ways. ``unexplained`` means that the rule never allowed the
# promotion, so the code has a fault. ``wrong`` means that the rule allowed the promotion, but later
# results were better: this is the price of not waiting. To make no wrong promotion, a study would
# have to wait for all results of a rung. The audit shows both numbers, because a reader who sees
# only ``wrong`` would think that the code has a fault.
_AS_IT_COMES = (Rule.ALWAYS, Rule.UNKNOWN)
"""Under these rules, a trial enters at the rung of its first job, and may be promoted from this
rung to any rung.
"""


class RungAudit(msgspec.Struct, frozen=True, kw_only=True):
    """The audit of one rung's promotions.

    ``arrived`` is the number of trials that have a result or a failure at this rung. ``quota`` is
    the number of trials that may be promoted, and ``promoted`` is the number of promoted trials.
    ``unexplained`` lists the promoted trials that were never within the quota; each is a fault of
    the scheduler. ``wrong`` is the number of promoted trials outside the final quota; ``missed`` is
    the number of trials in the final quota that were not promoted. ``law`` is the expected number
    of wrong promotions. ``law`` is None if promotion is not asynchronous, if the quota is no fixed
    share of the results, or if the search has proposed trials. ``correlation`` is the correlation
    between the ranks of trials at this rung and their ranks at the next rung. ``pairs`` is the
    number of trials that have results at this and the next rung. ``correlation`` is None if
    ``pairs`` is below 3.
    """

    rung: int
    resource: int
    arrived: int
    failed: int
    quota: int
    promoted: int
    unexplained: list[TrialId]
    wrong: int
    missed: int
    law: float | None
    correlation: float | None
    pairs: int


class Audit(Observer):
    """Checks the promotions of a study."""

    def __init__(self, ladder: Ladder, goal: Goal, scheduler: SchedulerView) -> None:
        self.ladder = ladder
        self.scheduler = scheduler
        self._rule = scheduler.rule
        machine = scheduler.machine
        self._is_entry_free = self._rule in _AS_IT_COMES or (
            machine is not None and machine.entries_follow_results
        )
        self._goal = goal
        self._failed = _key(*goal.failed)
        self._quotas = [scheduler.quota_rule(ladder, rung) for rung in range(ladder.top)]
        if self._rule is Rule.ALWAYS:
            self._quotas = [QuotaRule(Fraction(1))] * ladder.top
        self._quotas.append(QuotaRule(Fraction(0)))
        # for each rung: bracket -> results
        self._rungs: list[dict[int, _AuditedRung]] = [{} for _ in self._quotas]
        self._ended_early: set[TrialId] = set()
        # trial -> the highest rung that it is known to train to
        self._reached: dict[TrialId, int] = {}
        self._records: list[RungAudit] | None = None
        self.proposed = 0
        """The number of trials whose configurations were proposed from earlier results.

        Trials that a search proposes do not come in random order.
        """
        self._numbering = Numbering()

    def event(self, event: Event) -> None:
        """Process one event in O(log n). The withdrawal of a trial with results takes O(n)."""
        self._records = None
        if len(self._numbering) and self._is_of_a_confirmation(event):
            return
        match event:
            case TrialStarted(trial=trial, confirms=confirmed) if confirmed is not None:
                self._numbering.confirms(trial)
            case TrialStarted(origin=origin):
                self.proposed += sort_of(origin) in PROPOSED
            case JobFinished(trial=trial, rung=rung):
                self._reach(trial, rung)
                self._rung(rung, trial).add(self._loss(event.metrics), trial)
                if event.stopped:
                    self._ended_early.add(trial)
            case JobPaused(trial=trial, rung=rung):
                self._reach(trial, rung)
            case TrialWithdrawn(trial=trial, rung=rung):
                self._reach(trial, rung)
                for below in range(rung + 1):
                    self._rung(below, trial).remove(trial)
            case _:
                pass

    def _is_of_a_confirmation(self, event: Event) -> bool:
        trial = getattr(event, "trial", None)
        return trial is not None and trial in self._numbering

    def followed(self, what: Followed) -> None:
        """Process an order or a failure. An order to train a trial to a higher rung is a promotion.
        O(log n).
        """
        if type(what) is Train and what.confirms is None:
            self._records = None
            self._reach(what.trial, what.rung)
        elif type(what) is TrialFailed and what.trial not in self._numbering:
            self._records = None
            self._fail(what.trial, what.rung)

    def records(self) -> list[RungAudit]:
        """Return the audit of each rung, the lowest rung first. O(n log n)."""
        if self._records is None:
            self._records = [self._record(number) for number in range(len(self._rungs))]
        return self._records

    def _reach(self, trial: TrialId, number: int) -> None:
        """Record that a trial trains to a rung. If the trial trained to a lower rung before, the
        trial was promoted.
        """
        before = self._reached.get(trial)
        if before is None:
            before = number
            if not self._is_entry_free:
                before = self.scheduler.entry(self._numbering.place(trial))
            self._reached[trial] = before
        if number > before:
            self._reached[trial] = number
            # A promotion that skips a rung is judged at the skipped rung just below its target. The
            # trial has no result there, so the scheduler is at fault, unless its rule allows it to
            # skip rungs.
            if self._rule not in _AS_IT_COMES:
                before = number - 1
            self._rung(before, trial).promote(trial)

    def _rung(self, number: int, trial: TrialId) -> "_AuditedRung":
        """Return the results at a rung of all trials in the same bracket as ``trial``."""
        brackets = self._rungs[number]
        bracket = self.scheduler.bracket(self._numbering.place(trial))
        if bracket not in brackets:
            kind = _AuditedRungOfMany if self._goal.others else _AuditedRung
            brackets[bracket] = kind(self._quotas[number], self._rule)
        return brackets[bracket]

    def _fail(self, trial: TrialId, number: int) -> None:
        self._reach(trial, number)
        self._rung(number, trial).add(self._failed, trial)

    def _loss(self, metrics: Metrics) -> Any:
        """Return the value that ranks a result: the loss, or the key in a study with several losses
        or constraints.
        """
        goal = self._goal
        if goal.is_plain:
            return goal.loss(metrics)
        return _key(*goal.judged(metrics))

    def _record(self, number: int) -> RungAudit:
        brackets = self._rungs[number].values()
        losses = self._losses(number)
        promoted = {trial for bracket in brackets for trial in bracket.promoted}
        best = {
            trial
            for one in brackets
            for loss, trial in one.ranked()[: one.quota]
            if _number(loss) < math.inf
        }
        above = self._losses(number + 1) if number < self.ladder.top else {}
        both = [
            trial
            for trial, loss in above.items()
            if max(loss, losses.get(trial, math.inf)) < math.inf
        ]
        arrived = len(losses)
        quota = self._quotas[number]
        # The law assumes results in random order. The proposals of a search that learns get better
        # with time, so more of the promoted trials are overtaken by later ones. The larger number
        # of wrong promotions would look like a fault of the scheduler.
        is_by_law = (
            number < self.ladder.top
            and self.scheduler.promotes_at_once(number)
            and not self.proposed
        )
        return RungAudit(
            rung=number,
            resource=self.ladder.rungs[number],
            arrived=arrived,
            failed=sum(loss == math.inf for loss in losses.values()),
            quota=sum(bracket.quota for bracket in brackets),
            promoted=len(promoted),
            unexplained=sorted(trial for bracket in brackets for trial in bracket.unexplained),
            wrong=len(promoted - best),
            missed=len(best - promoted - self._ended_early),
            law=false_promotions(arrived, float(quota.kept)) if is_by_law else None,
            correlation=rank_correlation([losses[t] for t in both], [above[t] for t in both]),
            pairs=len(both),
        )

    def _losses(self, number: int) -> dict[TrialId, float]:
        """Return the losses of all brackets at a rung.

        In a study with several objectives, return the first loss of each result.
        """
        brackets = self._rungs[number].values()
        return {
            trial: _number(loss) for bracket in brackets for trial, loss in bracket.losses.items()
        }


def _key(losses: Losses, violation: float | None) -> Any:
    """Return the value that ranks a result in a study with several losses or constraints."""
    if len(losses) > 1:
        return (violation or 0.0, *losses)
    return as_one(violation, losses[0])


def _number(loss: Any) -> float:
    """Return the first loss, given the value that ranks a result."""
    return float(loss[1]) if isinstance(loss, tuple) else loss


def false_promotions(results: int, kept: float) -> float:
    """Return an estimate of the expected number of wrong promotions among ``results`` independent
    results.

    The formula assumes that results come in random order, and that each trial is promoted as soon
    as the rule allows. The edge of the quota is treated as a Brownian motion over the remaining
    results. By the reflection principle, the expected number tends to ``sqrt(pi n p (1 - p) / 2)``.
    The script ``benchmarks/false_promotions.py`` measured 0.7 times the formula's value with 100
    results, and 0.87 times with 1,000 results.
    """
    return math.sqrt(math.pi * results * kept * (1 - kept) / 2)


class _AuditedRung:
    """The results of a rung, the trials that were within its quota at any time, and the promoted
    trials.

    Trials within the quota form a heap with the worst trial on top. Trials outside the quota form a
    heap with the best trial on top. A new result moves at most one trial between the two heaps.
    """

    def __init__(self, quota_rule: QuotaRule, rule: Rule) -> None:
        self._quota_rule = quota_rule
        self._rule = rule
        self.losses: dict[TrialId, Any] = {}
        self.promoted: set[TrialId] = set()
        self.unexplained: set[TrialId] = set()
        self._ever: set[TrialId] = set()
        # negated, since Python's heaps have the least on top
        self._within: list[tuple[float, int]] = []
        self._others: list[tuple[float, TrialId]] = []

    @property
    def quota(self) -> int:
        """The number of results that may be promoted now."""
        return self._quota_rule.of(len(self.losses))

    def ranked(self) -> list[tuple[Any, TrialId]]:
        """Return the results of the rung, the best result first."""
        return sorted((loss, trial) for trial, loss in self.losses.items())

    def add(self, loss: Any, trial: TrialId) -> None:
        """Add a result. If a trial is trained again, its first result is kept."""
        if trial not in self.losses:
            self.losses[trial] = loss
            self._take(loss, trial)

    def remove(self, trial: TrialId) -> None:
        self.promoted.discard(trial)
        self.unexplained.discard(trial)
        if trial in self.losses:
            self._take_out(trial)

    def promote(self, trial: TrialId) -> None:
        self.promoted.add(trial)
        if self._rule is not Rule.UNKNOWN and not self._is_explained(trial):
            self.unexplained.add(trial)

    def _take(self, loss: float, trial: TrialId) -> None:
        loss_behind, behind = heappushpop(self._within, (-loss, -trial))
        heappush(self._others, (-loss_behind, TrialId(-behind)))
        if behind != -trial:
            self._enter(loss, trial)
        if len(self._within) < self.quota:
            self._admit()
        if self._rule is Rule.AT_ITS_RESULT and not self.quota and loss < math.inf:
            self._ever.add(trial)

    def _take_out(self, trial: TrialId) -> None:
        del self.losses[trial]
        self._within = []
        self._others = self.ranked()
        heapify(self._others)
        while len(self._within) < self.quota:
            self._admit()

    def _admit(self) -> None:
        """Move the best trial outside the quota to the trials within the quota."""
        loss, trial = heappop(self._others)
        heappush(self._within, (-loss, -trial))
        is_its_own_report = next(reversed(self.losses)) == trial
        if self._rule is not Rule.AT_ITS_RESULT or is_its_own_report:
            self._enter(loss, trial)

    def _enter(self, loss: float, trial: TrialId) -> None:
        if loss < math.inf:
            self._ever.add(trial)

    def _is_explained(self, trial: TrialId) -> bool:
        if self._rule is not Rule.WHEN_PROMOTED:
            return trial in self._ever
        loss = self.losses.get(trial, math.inf)
        if not self._within or loss == math.inf:
            return False
        worst, number = self._within[0]
        return bool((loss, trial) <= (-worst, -number))


class _AuditedRungOfMany(_AuditedRung):
    """An ``_AuditedRung`` for several losses. Keys rank the results, and a new result may change
    all ranks.
    """

    def __init__(self, quota_rule: QuotaRule, rule: Rule) -> None:
        super().__init__(quota_rule, rule)
        self._looked_at = 0  # how many results ``_ever`` includes

    def ranked(self) -> list[tuple[Any, TrialId]]:
        return ranked((key, trial) for trial, key in self.losses.items())

    def _take(self, loss: Key, trial: TrialId) -> None:  # type: ignore[override]  # a key of several losses
        pass

    def _take_out(self, trial: TrialId) -> None:
        self._catch_up()
        del self.losses[trial]
        self._looked_at = len(self.losses)
        if self._rule is not Rule.AT_ITS_RESULT:
            self._ever |= self._best_of(list(self.losses))

    def _is_explained(self, trial: TrialId) -> bool:
        if self._rule is not Rule.AT_ITS_RESULT and trial in self._best_of(list(self.losses)):
            return True
        if self._rule is not Rule.WHEN_PROMOTED:
            self._catch_up()
        return trial in self._ever

    def _catch_up(self) -> None:
        """For each result that was not checked yet, record the trials that were within the quota
        after this result.
        """
        trials = list(self.losses)
        for count in range(self._looked_at + 1, len(trials) + 1):
            newest = trials[count - 1]
            quota = self._quota_rule.of(count)
            within = self._best_of(trials[:count])
            if self._rule is not Rule.AT_ITS_RESULT:
                self._ever |= within
            elif newest in within or (not quota and max(self.losses[newest]) < math.inf):
                self._ever.add(newest)
        self._looked_at = len(trials)

    def _best_of(self, trials: Sequence[TrialId]) -> set[TrialId]:
        """Return the trials that would be within the quota if only ``trials`` had results, without
        failed trials.
        """
        order = ranked((self.losses[trial], trial) for trial in trials)
        return {
            trial for key, trial in order[: self._quota_rule.of(len(trials))] if max(key) < math.inf
        }


# Two pairs always have a correlation of 1 or -1.
FEWEST = 3


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Return the correlation of the ranks of two sequences of the same length, from -1 to 1. O(n
    log n).

    Returns:
        None if there are fewer than 3 pairs, or if one of the sequences is constant.

    Source:
        C. Spearman, *The Proof and Measurement of Association between Two Things*, Am. J. Psychol.
        15, 1904.
    """
    if len(left) < FEWEST:
        return None
    a = _centred_ranks(left)
    b = _centred_ranks(right)
    spread = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / spread if spread else None


def _centred_ranks(values: Sequence[float]) -> "npt.NDArray[np.float64]":
    """Return each value's rank minus the mean rank; equal values get the mean of their ranks."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ranks -= ranks.mean()
    return ranks
