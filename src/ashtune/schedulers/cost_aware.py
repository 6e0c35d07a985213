"""Asynchronous halving where a dear trial has to be better than a cheap one.

Source: the rule is measured in ``docs/decisions/0035-progressive-and-cost-aware.md``. Syne Tune's cost-aware ASHA
(``hyperband_cost_promotion``) divides the seconds of a rung instead of its trials: the best go on whose seconds
together are at most ``1 / reduction_factor`` of all. There a cheap trial waits until the dear ones before it have room;
it was hardly better than a quota of trials.

Rule 1: of ``n`` results with the quota ``q`` a trial of rank ``i`` goes on while ``i * price <= q * middle``. Its price
is what a unit of the resource took it on the way to this rung, and ``middle`` is that of the middle trial. So a trial
that is twice as dear goes on up to half the rank, one that costs half up to twice the rank; with equal prices it is the
rule of ``ash``.
Rule 2: prices are whole nanoseconds, at least 1, and are compared as whole numbers. Failures rank last and have none.
Rule 3: the middle price is the lower one of two, so that a trial that hung, or the first one of each worker, which
compiles, moves nothing.
"""

import math
from bisect import bisect_left, insort
from fractions import Fraction
from typing import Any

from ashtune.core.jobs import Job, Key, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.core.order import ranked
from ashtune.schedulers.ash import Ash, AshMachine
from ashtune.schedulers.protocol import Rule
from ashtune.schedulers.quota import QuotaRule
from ashtune.schedulers.ranking import Ranking

NANOSECONDS = 1_000_000_000


class CostAwareAsh(Ash, frozen=True, tag="cost_aware"):
    """Promote as ``Ash`` does, but a trial that costs twice the seconds has to rank twice as high.

    Args:
        ahead: As of ``Ash``.
        exponent: As of ``Ash``.

    Raises:
        SettingsError: If an option is not as it should be.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=30, max_resource=27,
        ...     scheduler=CostAwareAsh(), quiet=True,
        ... )
        >>> study.best.resource
        27
    """

    rule = Rule.UNKNOWN  # it depends on seconds

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "CostAwareMachine":
        """Return a new machine; it needs no seed."""
        return CostAwareMachine(ladder, trials, ahead=self.ahead or 0, exponent=self.exact_exponent)


class CostAwareMachine(AshMachine):
    """Gives the jobs of ``Ash`` by rank and price; it expects as many at each rung as if all cost the same."""

    def __init__(
        self, ladder: Ladder, trials: int | None = None, *, ahead: int = 0, exponent: Fraction = Fraction(1)
    ) -> None:
        self._prices: list[dict[TrialId, int]] = [{} for _ in ladder.rungs]
        super().__init__(ladder, trials, ahead=ahead, exponent=exponent)

    def record(self, result: Result) -> None:
        """Take in a result. O(n) with one loss."""
        units = max(1, result.resource - result.start)
        self._prices[result.rung][result.trial] = max(1, round(result.seconds * NANOSECONDS) // units)
        super().record(result)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Take the trial out of the rungs it reached."""
        super().withdraw(job, replace=replace)
        for prices in self._prices:
            prices.pop(job.trial, None)

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above."""
        self._prices += [{} for _ in range(len(ladder.rungs) - len(self._prices))]
        super().lengthen(ladder)

    def promotes_at_once(self, rung: int) -> bool:
        """Return that it depends on the price."""
        return False

    def notes(self) -> str:
        """Say how much prices differ at the lowest rung."""
        prices = sorted(self._prices[0].values())
        if len(prices) < 2:
            return ""
        low, middle, high = (price / NANOSECONDS for price in (prices[0], prices[(len(prices) - 1) // 2], prices[-1]))
        return (
            f"up to {self.ladder.rungs[0]:,} a unit of the resource took {low:.3g} to {high:.3g} seconds, the middle "
            f"trial {middle:.3g}: a trial goes on up to a rank that is as much lower as it is cheaper"
        )

    def _ranking(self, rung: int) -> Ranking:
        return PricedRanking(self.quota_rule(rung), self._prices[rung])


class PricedRanking:
    """The ranking of a rung of which trials go on by rank and price, with the methods of ``OneLoss``.

    Args:
        rule: The quota.
        prices: Of the trials of the rung, each before it is added.
    """

    def __init__(self, rule: QuotaRule, prices: dict[TrialId, int]) -> None:
        self.rule = rule
        self.arrived: list[tuple[Key, TrialId]] = []
        self.promoted: set[TrialId] = set()
        self.candidates: list[tuple[Key, TrialId]] = []
        """Not empty while somebody may be promotable."""
        self._of_trials = prices
        self._in_order: list[tuple[Key, TrialId]] = []
        self._prices: list[int] = []  # of those that did not fail, sorted

    @property
    def quota(self) -> int:
        """How many of those that arrived may go on if all cost the same."""
        return self.rule.of(len(self.arrived))

    def add(self, entry: tuple[Any, TrialId]) -> None:
        """Take in a trial that was trained to this rung; its price is known. O(n)."""
        key, trial = entry
        entry = (key if isinstance(key, tuple) else (key,), trial)
        self.arrived.append(entry)
        self._in_order.append(entry)
        self.candidates = [entry]
        if max(entry[0]) < math.inf:
            insort(self._prices, self._of_trials[trial])

    def promote(self) -> TrialId | None:
        """Return the best trial that may go on for its price and has not been promoted; it is now."""
        trial = next((trial for trial in self._within() if trial not in self.promoted), None)
        if trial is None:
            self.candidates = []
        else:
            self.promoted.add(trial)
        return trial

    def take_back(self, entry: tuple[Any, TrialId]) -> None:
        """A promotion did not come about; the trial may be promoted again, if it still may go on then."""
        self.promoted.discard(entry[1])
        self.candidates = self.arrived[-1:]

    def is_within_quota(self, entry: tuple[Any, TrialId]) -> bool:
        """Say whether a trial of this rung may go on for its price."""
        return entry[1] in self._within()

    def remove(self, trial: TrialId) -> None:
        """Forget a trial that was withdrawn, as if it had never arrived."""
        gone = [entry for entry in self.arrived if entry[1] == trial]
        self.arrived = [entry for entry in self.arrived if entry[1] != trial]
        self._in_order = list(self.arrived)
        self.promoted.discard(trial)
        self.candidates = self.arrived[-1:]
        if gone and max(gone[0][0]) < math.inf:
            del self._prices[bisect_left(self._prices, self._of_trials[trial])]

    def _within(self) -> list[TrialId]:
        """Return the trials that may go on for their prices, the best first. O(n) with one loss."""
        self._in_order = ranked(self._in_order)  # it was, but for what arrived since
        prices = self._prices
        if not prices:
            return []
        most = self.quota * prices[(len(prices) - 1) // 2]
        longest = self._in_order[: min(most // prices[0], len(prices))]
        return [trial for rank, (_, trial) in enumerate(longest, start=1) if rank * self._of_trials[trial] <= most]
