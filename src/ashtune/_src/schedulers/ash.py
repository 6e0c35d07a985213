"""Asynchronous Successive Halving in its promoting form, and the paused trials that can never be promoted.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2, function ``get_job``.

Rule 1: promotions are decided in ``ranking.py``.
Rule 2: this file knows trials, rungs and losses, but no worker, clock, file or random number.
"""

import math
from fractions import Fraction
from heapq import heappop, heappush
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.protocol import Budget, Machine, Scheduler
from ashtune._src.schedulers.ranking import OneLoss, QuotaRule, Ranking, entry_of, ranking_by

AHEAD, EXPONENT, LEAST_SHARE = 1, 0.8, 9
"""The values if the user names no lowest rung; see ``docs/decisions/0028-where-trials-enter.md``."""
LEAST_EXPONENT = 0.5
MOST_DENOMINATOR = 20
"""The largest denominator of an exponent as a fraction: 0.8 is 4/5."""


class Ash(Scheduler, frozen=True):
    """Promote a trial as soon as it is among the best of its rung.

    Args:
        ahead: How many future results of a rung are counted in advance: 0 as in the paper, or 1, so that the best trial
            is promoted earlier. By default 1 if the user names no lowest rung, else 0.
        exponent: The quota of a rung with ``n`` results grows as ``n ** exponent``: 1 as in the paper, or less (at
            least 0.5). By default 0.8 if the user names no lowest rung, else 1.

    Raises:
        SettingsError: If an option is out of its range.

    Example:
        >>> from ashtune._src.core.ladder import Ladder
        >>> Ash(exponent=0.9).build(Ladder(9, 81, 3), trials=100).expected(100)
        [100, 26, 7]
    """

    default_reduction_factor = 3
    least_share = LEAST_SHARE

    ahead: Annotated[int, Meta(ge=0, le=1)] | None = None
    exponent: Annotated[float, Meta(ge=LEAST_EXPONENT, le=1)] | None = None

    def where_rungs_are_chosen(self) -> "Ash":
        """Return the scheduler with the defaults that apply if the user names no lowest rung."""
        return msgspec.structs.replace(
            self,
            ahead=AHEAD if self.ahead is None else self.ahead,
            exponent=EXPONENT if self.exponent is None else self.exponent,
        )

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "AshMachine":
        return AshMachine(ladder, trials, ahead=self.ahead or 0, exponent=self.exact_exponent)

    @property
    def exact_exponent(self) -> Fraction:
        """The exponent as the nearest simple fraction: 0.8 is 4/5."""
        return Fraction(1 if self.exponent is None else self.exponent).limit_denominator(MOST_DENOMINATOR)


class AshMachine(Machine):
    """Give the jobs of the paper's ``get_job``."""

    def __init__(
        self, ladder: Ladder, trials: int | None = None, *, ahead: int = 0, exponent: Fraction = Fraction(1)
    ) -> None:
        self.ladder = ladder
        self._ahead, self._exponent = ahead, exponent
        self._losses = 1  # the number of losses of a result
        self._rungs = [self._ranking(rung) for rung in range(ladder.top)]
        self._highest = -1  # the highest rung that may hold a promotable trial
        self._finished: list[tuple[Any, TrialId]] = []  # the results of the top rung
        self._budget = Budget(trials)
        self._entered = [0] * len(ladder.rungs)  # for each rung, the results of trials that entered there
        self._enters_above = False  # whether trials may enter above the lowest rung
        self._prospects = Prospects(self._rungs, self._entered)

    def quota_rule(self, rung: int) -> QuotaRule:
        """Return how the quota of a rung follows from its results."""
        return QuotaRule(self.ladder.kept[rung], self._ahead, self._exponent)

    def _ranking(self, rung: int) -> Ranking:
        """Return an empty ranking for a rung."""
        return ranking_by(self._losses)(self.quota_rule(rung))

    def promotes_at_once(self, rung: int) -> bool:
        """Return whether the quota of a rung is a fixed fraction of its results."""
        return self._exponent == 1

    def next_job(self) -> Job | None:
        """Return the job for a free worker. O(log n)."""
        while self._highest >= 0:
            rung = self._rungs[self._highest]
            if rung.candidates and (trial := self._promoted(rung)) is not None:
                return Job(trial, self._highest + 1)
            self._highest -= 1
        newborn = self._budget.start()
        if newborn is None:
            return None
        return Job(newborn, self.entry(newborn) if self._enters_above else 0)

    def _promoted(self, rung: Ranking) -> TrialId | None:
        """Promote and return the next trial of a rung."""
        return rung.promote()

    def record(self, result: Result) -> None:
        """Note a result. O(log n) with one loss, else O(1)."""
        number, losses = result.rung, result.losses
        count = len(losses)
        if count != self._losses:
            self._rank_by(count)
        if self._enters_above and number and number == self.entry(result.trial):
            self._entered[number] += 1
            self._prospects.look_at_all()
        is_plain = count == 1 and result.violation is None
        entry: Any = (losses[0], result.trial) if is_plain else entry_of(result)
        if number < len(self._rungs):
            rung = self._rungs[number]
            rung.add(entry)
            self._prospects.arrived_in(number)
            if number > self._highest and rung.candidates:
                self._highest = number
        else:
            self._finished.append(entry)

    def _rank_by(self, losses: int) -> None:
        """Start empty rankings for this number of losses, which the study's first result shows."""
        self._losses = losses
        self._rungs = [self._ranking(rung) for rung in range(self.ladder.top)]
        self._prospects = Prospects(self._rungs, self._entered)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Remove the trial from the rungs that it reached; a new trial may replace it. O(n log n) if it reached any."""
        self._budget.withdraw(replace=replace)
        self._prospects.look_at_all()
        if job.rung > (entry := self.entry(job.trial)):
            if entry:
                self._entered[entry] -= 1
            for rung in self._rungs[entry : job.rung]:
                rung.remove(job.trial)
            self._highest = len(self._rungs) - 1
            self._prospects.reset()

    def pass_over(self, job: Job) -> None:
        """Change nothing: the trial counts as promoted, but never arrives at the next rung."""

    def extend(self, trials: int | None) -> None:
        self._budget.extend(trials)
        self._prospects.reset()

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a ladder that has more rungs above."""
        if ladder == self.ladder:
            return
        old_top, self.ladder = self.ladder.top, ladder
        self._rungs += [self._ranking(rung) for rung in range(old_top, ladder.top)]
        for entry in self._finished:
            self._rungs[old_top].add(entry)
        self._finished = []
        self._highest = len(self._rungs) - 1
        self._entered += [0] * (len(ladder.rungs) - len(self._entered))
        self._prospects = Prospects(self._rungs, self._entered)

    def hopeless(self) -> list[TrialId]:
        """Return the paused trials whose rank is beyond the quota even after all future results.

        Amortised O(log n) per result. More trials, more rungs, or the withdrawal of a trial with results may give such
        a trial a chance again; then all trials that are still hopeless are named again.
        """
        return self._prospects.sweep(self._budget.most_results)

    def expected(self, trials: int) -> list[int] | None:
        """Return the quota of each rung, without about sqrt(n) false promotions."""
        counts = [trials]
        for rung in range(self.ladder.top):
            counts.append(self.quota_rule(rung).of(counts[-1]))
        return counts


class _Level:
    """One rung: ``reachable`` has those of its first ``seen`` results, negated, that the quota may still reach."""

    __slots__ = ("arrivals_above", "beyond", "reachable", "rung", "seen")

    def __init__(self, rung: Ranking) -> None:
        self.rung = rung
        self.seen = 0
        self.beyond = 0  # promoted trials that are now beyond the quota
        self.reachable: list[tuple[float, int]] = []
        self.arrivals_above = -1.0  # how many can ever arrive in the next rung, as last counted


class Prospects:
    """The trials of each rung that can still be promoted; the checkpoints of the others can be deleted.

    If at most ``A`` of the study's ``N`` trials can ever arrive in a rung, a trial ranked beyond the quota of ``A``
    results is never promoted. For the lowest rung ``A = N - E``, where ``E`` trials have arrived that entered at a
    higher rung. For the next rung, at which ``e`` of these ``E`` trials entered,

        A' = promoted + (unpromoted that can still be promoted) + (A - arrived) + e

    ``A'`` falls as results arrive: a trial without a result counts in ``A - arrived``, at whatever rung it enters. This
    is exact: no order of future results promotes a trial that is named here. Failures are named at once. The results
    are examined only on demand, since a study without checkpoints has nothing to delete.

    With several losses only failures are named: a new result may dominate others and so improve a trial's rank.

    Rule: if the number of trials grows, or a trial with results is withdrawn, trials that were named may have a chance
    again; then everything is counted again.

    Args:
        rungs: The rankings of all rungs except the top one.
        entered: How many trials entered at each rung above the lowest, the top rung included; the caller counts.
    """

    def __init__(self, rungs: list[Ranking], entered: list[int]) -> None:
        self._entered = entered
        self._rungs = rungs
        self._is_one_loss = all(isinstance(rung, OneLoss) for rung in rungs)
        self.reset()

    def reset(self) -> None:
        """Count everything again; trials that are still hopeless will be named again."""
        self._levels = [_Level(rung) for rung in self._rungs]
        self.look_at_all()

    def look_at_all(self) -> None:
        """Let the next sweep examine all rungs."""
        self._lowest, self._highest = 0, len(self._levels) - 1

    def arrived_in(self, number: int) -> None:
        """Let the next sweep examine a rung where a result arrived, and the rungs above until one is unchanged."""
        self._lowest = min(self._lowest, number)
        self._highest = max(self._highest, number)

    def sweep(self, most_results: float) -> list[TrialId]:
        """Return the trials that became hopeless since the last sweep.

        Call :meth:`look_at_all` after a change of ``entered`` or of ``most_results``, the most trials with a result.
        """
        hopeless: list[TrialId] = []
        number, highest, levels, entered = self._lowest, self._highest, self._levels, self._entered
        if number > highest:
            return hopeless
        self._lowest, self._highest = len(levels), -1
        if not self._is_one_loss:
            return self._failed(levels[number:])
        is_bounded = most_results < math.inf
        arrivals = levels[number - 1].arrivals_above if number else most_results - sum(entered)
        for level in levels[number:]:
            rung, reachable = level.rung, level.reachable
            arrived = len(rung.arrived)
            if arrived > level.seen:
                for loss, trial in rung.arrived[level.seen :]:
                    if loss < math.inf:
                        heappush(reachable, (-loss, -trial))
                    else:
                        hopeless.append(trial)
                level.seen = arrived
            if is_bounded:
                quota = rung.rule.of(int(arrivals))
                while len(reachable) > quota:
                    trial = TrialId(-heappop(reachable)[1])
                    if trial in rung.promoted:
                        level.beyond += 1
                    else:
                        hopeless.append(trial)
                arrivals += len(reachable) + level.beyond - arrived + entered[number + 1]
                if number >= highest and arrivals == level.arrivals_above:
                    break  # the rungs above are unchanged
                level.arrivals_above = arrivals
            number += 1
        return hopeless

    def _failed(self, levels: list[_Level]) -> list[TrialId]:
        """Return the trials that failed since the last sweep, with several losses."""
        failed: list[TrialId] = []
        for level in levels:
            failed += [trial for key, trial in level.rung.arrived[level.seen :] if max(key) == math.inf]
            level.seen = len(level.rung.arrived)
        return failed
