"""Asynchronous Successive Halving, the promoting form, and which paused trials it can never promote again.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2, function ``get_job``.

Rule 1: whatever decides a promotion stands in this package's ``ranking.py``.
Rule 2: this file knows trials, rungs and losses. It knows no worker, clock, file or
random number; the study and the engines know those.
"""

import math
from heapq import heappop, heappush
from typing import Any

from ashtune.core.jobs import Job, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.protocol import Budget, Machine, Scheduler
from ashtune.schedulers.ranking import OneLoss, Ranking, ranking_by


class Ash(Scheduler, frozen=True):
    """Promote a trial as soon as it is among the best ``1/reduction_factor`` of its rung."""

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "AshMachine":
        """Return a new machine; it needs no seed."""
        return AshMachine(ladder, trials)


class AshMachine(Machine):
    """Gives the jobs of ``get_job``.

    Args:
        ladder: The rungs.
        trials: How many trials may be started; None for no end.
    """

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        self.ladder = ladder
        self._rungs: list[Ranking] = [OneLoss(kept) for kept in ladder.kept]
        self._losses = 1  # of a result
        self._highest = -1  # the highest rung that may hold a promotable trial
        self._finished: list[tuple[Any, TrialId]] = []  # the results of the top rung
        self._budget = Budget(trials)
        self._entered = [0] * len(ladder.rungs)  # how many results of each rung are of trials that entered there
        self._enters_above = False  # whether any may do so above the lowest rung
        self._prospects = Prospects(ladder, self._rungs, self._entered)

    def next_job(self) -> Job | None:
        """Return the job for a worker that is free now. O(log n)."""
        while self._highest >= 0:
            rung = self._rungs[self._highest]
            if rung.candidates and (trial := rung.promote()) is not None:
                return Job(trial, self._highest + 1)
            self._highest -= 1
        newborn = self._budget.start()
        if newborn is None:
            return None
        return Job(newborn, self.entry(newborn) if self._enters_above else 0)

    def record(self, result: Result) -> None:
        """Take in a result. O(log n) with one loss; see :mod:`ashtune.schedulers.ranking` for several."""
        number, losses = result.rung, result.losses
        count = len(losses)
        if count != self._losses:
            self._rank_by(count)
        if self._enters_above and number and number == self.entry(result.trial):
            self._entered[number] += 1
            self._prospects.look_at_all()
        loss = losses[0] if count == 1 else losses
        if number < len(self._rungs):
            rung = self._rungs[number]
            rung.add((loss, result.trial))
            self._prospects.arrived_in(number)
            if number > self._highest and rung.candidates:
                self._highest = number
        else:
            self._finished.append((loss, result.trial))

    def _rank_by(self, losses: int) -> None:
        """The first result of a study shows how many losses there are."""
        self._losses = losses
        self._rungs = [ranking_by(losses)(kept) for kept in self.ladder.kept]
        self._prospects = Prospects(self.ladder, self._rungs, self._entered)

    def take_back(self, job: Job, loss: float) -> None:
        """Put a job back that came to nothing: whether its trial is promoted is decided anew. O(log n).

        A study gives the same job again instead; this is what Li et al.'s set-up of dropped jobs is compared under.

        Args:
            job: The job. One of the rung at which its trial enters is forgotten: a new trial takes its place.
            loss: Of its trial at the rung that it was promoted from.
        """
        if job.rung > self.entry(job.trial):
            self._rungs[job.rung - 1].take_back((loss, job.trial))
            self._highest = max(self._highest, job.rung - 1)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Take the trial out of the rungs it reached; a new trial may replace it. O(n log n) if any."""
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
        """Nothing follows: the trial stays among the promoted, and never arrives above."""

    def extend(self, trials: int | None) -> None:
        """Raise the number of trials."""
        self._budget.extend(trials)
        self._prospects.reset()

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above."""
        if ladder == self.ladder:
            return
        self._rungs += [ranking_by(self._losses)(kept) for kept in ladder.kept[self.ladder.top :]]
        for entry in self._finished:
            self._rungs[self.ladder.top].add(entry)
        self._finished = []
        self.ladder = ladder
        self._highest = len(self._rungs) - 1
        self._entered += [0] * (len(ladder.rungs) - len(self._entered))
        self._prospects = Prospects(ladder, self._rungs, self._entered)

    def hopeless(self) -> list[TrialId]:
        """Return the paused trials whose rank is beyond the quota of all trials still to come.

        Amortised O(log n) a result. Raising the number of trials, more rungs, or withdrawing a trial that has
        results, may bring such a trial back, and starts the naming afresh.
        """
        return self._prospects.sweep(self._budget.most_results)

    def expected(self, trials: int) -> list[int]:
        """Return the quota of each rung; about sqrt(n) false promotions come on top."""
        return self.ladder.expected(trials)


class _Level:
    """What is known of one rung: its reachable trials (negated, worst first) of the ``seen`` results looked at."""

    __slots__ = ("arrivals_above", "beyond", "kept", "out_of", "reachable", "rung", "seen")

    def __init__(self, rung: Ranking, kept: int, out_of: int) -> None:
        self.rung = rung
        self.kept, self.out_of = kept, out_of
        self.seen = 0
        self.beyond = 0  # trials promoted that are beyond the quota now
        self.reachable: list[tuple[float, int]] = []
        self.arrivals_above = -1.0  # how many can ever arrive in the next rung, as last counted


class Prospects:
    """The trials of each rung that a promotion may still reach; the checkpoints of the others may go.

    With a budget of ``N`` trials at most ``A`` can ever arrive in a rung, so a trial that ranks beyond
    ``floor(A / reduction_factor)`` there stays where it is. For the lowest rung ``A = N - E``, where ``E`` trials have
    arrived that entered at a rung above it; for the next rung, where ``e`` of those entered,

        A' = promoted + (unpromoted that still have prospects) + (A - arrived) + e

    which falls as results come in: a trial without a result counts in ``A - arrived``, wherever it will enter. Exact
    and safe: what is named here, no order of results promotes. A failure has no prospects from the start. Results are
    looked at only when somebody asks, since a study that saves nothing has nothing to free.

    With several losses only failures are named: a result that comes may improve the rank of another, as it may dominate
    what is before that one.

    Rule: more trials, or a trial with results that is withdrawn, may bring back the prospects of others;
    then all is counted anew.

    Args:
        ladder: The rungs.
        rungs: What arrived in each but the top one.
        entered: How many of those in each rung above the lowest entered there, the top one included; the caller counts.
    """

    def __init__(self, ladder: Ladder, rungs: list[Ranking], entered: list[int]) -> None:
        self._ladder = ladder
        self._entered = entered
        self._rungs = rungs
        self._is_one_loss = all(isinstance(rung, OneLoss) for rung in rungs)
        self.reset()

    def reset(self) -> None:
        """Count anew; what was named before is named again if it still applies."""
        kept = [fraction.as_integer_ratio() for fraction in self._ladder.kept]
        self._levels = [_Level(rung, *ratio) for rung, ratio in zip(self._rungs, kept, strict=True)]
        self.look_at_all()

    def look_at_all(self) -> None:
        """The next sweep looks at all rungs."""
        self._lowest, self._highest = 0, len(self._levels) - 1

    def arrived_in(self, number: int) -> None:
        """A result arrived in a rung; the next sweep looks at it, and at those above as far as that changes them."""
        self._lowest = min(self._lowest, number)
        self._highest = max(self._highest, number)

    def sweep(self, most_results: float) -> list[TrialId]:
        """Return the trials that lost their prospects since the last sweep.

        ``most_results`` is how many trials can ever have a result. It and ``entered`` change with :meth:`look_at_all`
        only.
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
                quota = arrivals * level.kept // level.out_of
                while len(reachable) > quota:
                    trial = TrialId(-heappop(reachable)[1])
                    if trial in rung.promoted:
                        level.beyond += 1
                    else:
                        hopeless.append(trial)
                arrivals += len(reachable) + level.beyond - arrived + entered[number + 1]
                if number >= highest and arrivals == level.arrivals_above:
                    break  # nothing is new further up
                level.arrivals_above = arrivals
            number += 1
        return hopeless

    def _failed(self, levels: list[_Level]) -> list[TrialId]:
        """Return those that failed since the last sweep, where there are several losses."""
        failed: list[TrialId] = []
        for level in levels:
            failed += [trial for losses, trial in level.rung.arrived[level.seen :] if max(losses) == math.inf]
            level.seen = len(level.rung.arrived)
        return failed
