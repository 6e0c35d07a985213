"""Progressive asynchronous halving: the top rung rises only while the order of the best trials
still changes.

Source: Bohdal, Balles, Wistuba, Ermis, Archambeau, Zappella, *PASHA: Efficient HPO and NAS with
Progressive Resource Allocation*, ICLR 2023, https://arxiv.org/abs/2207.06940. PASHA begins with two
rungs. The open rung is the highest rung in use. Trials of the open rung are ranked twice: by their
losses at the open rung, and by their losses at the rung below. Two trials whose losses at the rung
below differ by at most ``epsilon`` count as equal (soft ranking). If two unequal trials have the
same rank in the two rankings, the next rung opens.

``epsilon`` is an estimate of the noise of the learning curves. The estimate uses all pairs of
trials whose order has changed and later changed back: ``epsilon`` is the 90th percentile of the
loss differences of these pairs at the open rung. If no order has changed back, ``epsilon`` stays
the same.

Rule 1: the curve of a trial consists of all losses that the trial has reported. In the paper,
trials report every epoch. If trials report only at the rungs, the order of two trials can change
back only if there are three or more rungs.
Rule 2: the orders of the trials are compared when a result arrives at the open rung. If there is no
new result at the open rung, only the withdrawal of a trial can change an order. To limit the number
of pairs, the noise is estimated from only 256 trials of a rung, as many as in the paper. The
percentile is always one of the loss differences (nearest-rank method).
Rule 3: failures are ignored, because they are never promoted. Trials with equal losses may have any
order.
"""

# Decision 35 (docs/decisions/0035-progressive-halving.md).

import math
from bisect import insort
from itertools import combinations, islice
from typing import Annotated

from msgspec import Meta

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.ranking import Ranking
from ashtune._src.schedulers.scheduler_protocol import Scheduler

PERCENTILE = 90
MOST_PAIRED = 256


class Pasha(Scheduler, frozen=True):
    """Promote trials as ``Ash`` does, but only up to the open rung. As long as the order of the
    trials changes between the two highest rungs in use, the next rung opens.

    A study with ``Pasha`` trains its trials only until their order is stable. After the study,
    train the best trial further yourself.

    Args:
        epsilon: Two trials count as equal if their losses differ by at most this number. By default
            the number is estimated.

    Raises:
        SettingsError: If ``epsilon`` is negative or not finite.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=30, max_resource=27,
        ...     scheduler=Pasha(), quiet=True,
        ... )
        >>> study.best.resource
        3
    """

    __module__ = "ashtune"

    ranks_one_loss = True
    default_reduction_factor = 3

    epsilon: Annotated[float, Meta(ge=0, le=1e308)] | None = None

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "PashaMachine":
        return PashaMachine(ladder, trials, self.epsilon)


class PashaMachine(AshMachine):
    """The machine of ``Pasha``. The machine promotes trials as ``Ash`` does, but only up to the
    open rung.
    """

    reads_curves = True

    def __init__(
        self, ladder: Ladder, trials: int | None = None, epsilon: float | None = None
    ) -> None:
        super().__init__(ladder, trials)
        self._open = min(1, ladder.top)  # the highest rung to which trials are promoted
        self._is_estimated = epsilon is None
        self._epsilon = epsilon or 0.0
        # failures are left out
        self._losses_at: list[dict[TrialId, float]] = [{} for _ in ladder.rungs]
        self._curves: dict[TrialId, dict[int, float]] = {}  # for each trial: resource -> loss
        # the trials of the open rung, sorted; None if they must be sorted again
        self._differences: list[float] | None = None
        self._why = "the order of trials has not changed yet"

    def record(self, result: Result) -> None:
        """Record a result, in O(log n) time. At the open rung, with ``m`` trials, it takes O(m log
        m) time.
        """
        super().record(result)
        trial = result.trial
        rung = result.rung
        loss = result.losses[0]
        reports = [*result.curve, (self.ladder.rungs[rung], loss)]
        self._curves.setdefault(trial, {}).update(
            report for report in reports if report[1] < math.inf
        )
        if result.is_failure:
            return
        self._losses_at[rung][trial] = loss
        if rung == self._open < self.ladder.top:
            self._look_at_the_orders(trial)

    def _promoted(self, rung: Ranking) -> TrialId | None:
        """Promote and return the next trial of a rung. Return None if the next rung is not open."""
        if self._open < self.ladder.top and rung is self._rungs[self._open]:
            return None
        return rung.promote()

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        super().withdraw(job, replace=replace)
        for losses in self._losses_at:
            losses.pop(job.trial, None)
        self._curves.pop(job.trial, None)
        self._differences = None

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a longer ladder. The new rungs open by the same rule as the old rungs."""
        super().lengthen(ladder)
        self._losses_at += [{} for _ in range(len(ladder.rungs) - len(self._losses_at))]
        self._open = max(self._open, min(1, ladder.top))
        self._differences = None

    def promotes_at_once(self, rung: int) -> bool:
        """Return whether a rung promotes trials from the beginning of the study. Only the lowest
        rung does.
        """
        return rung == 0

    def expected(self, trials: int) -> None:
        """Return None, because the number of rungs that will open is not known in advance."""

    def notes(self) -> str:
        """Return a text that says up to which resource trials are trained, and why."""
        rungs = self.ladder.rungs
        text = f"trials are trained up to {rungs[self._open]:,} of {rungs[-1]:,}: {self._why}"
        if self._epsilon:
            text += f"; differences up to {self._epsilon:.3g} are ignored"
        return text

    def _look_at_the_orders(self, arrived: TrialId) -> None:
        """Open the next rung if the order of the trials at the open rung differs from their order
        at the rung below.
        """
        if self._is_estimated:
            self._estimate(arrived)
        if self._is_settled():
            return
        rungs = self.ladder.rungs
        self._why = (
            f"the order of the trials at {rungs[self._open]:,} differed from their order at "
            f"{rungs[self._open - 1]:,}"
        )
        self._open += 1
        self._highest = max(self._highest, self._open - 1)
        self._differences = None

    def _is_settled(self) -> bool:
        """Return whether the trials have the same order at the open rung and at the rung below.
        Differences up to ``epsilon`` do not count.
        """
        here = self._losses_at[self._open]
        below = self._losses_at[self._open - 1]
        order = sorted((loss, below[trial], trial) for trial, loss in here.items())
        before = sorted(below[trial] for trial in here)
        return all(
            abs(was - there) <= self._epsilon
            for (_, was, _), there in zip(order, before, strict=True)
        )

    def _estimate(self, arrived: TrialId) -> None:
        """Estimate ``epsilon`` again, if the order of any pair of trials has changed back."""
        here = self._losses_at[self._open]
        if self._differences is None:
            self._differences = []
            pairs = list(combinations(islice(here, MOST_PAIRED), 2))
        elif len(here) <= MOST_PAIRED:
            pairs = [(trial, arrived) for trial in here if trial != arrived]
        else:
            return
        for one, other in pairs:
            if _changed_back(self._curves[one], self._curves[other], self.ladder.rungs[self._open]):
                insort(self._differences, abs(here[one] - here[other]))
        if self._differences:
            nearest_rank = -(-PERCENTILE * len(self._differences) // 100)
            self._epsilon = self._differences[nearest_rank - 1]


def _changed_back(one: dict[int, float], other: dict[int, float], last: int) -> bool:
    """Return whether two curves have the same order at the resource ``last`` as at an earlier
    resource, and the opposite order between these resources.
    """
    if one[last] == other[last]:
        return False
    is_better = one[last] < other[last]
    was_worse = False
    for resource in sorted(one.keys() & other.keys(), reverse=True):
        if resource < last and one[resource] != other[resource]:
            if (one[resource] < other[resource]) != is_better:
                was_worse = True
            elif was_worse:
                return True
    return False
