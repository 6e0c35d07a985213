"""Asynchronous Successive Halving, the promoting form.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2, function ``get_job``.

Rule 1: whatever decides a promotion stands in this package's ``ranking.py``.
Rule 2: this file knows trials, rungs and losses. It knows no worker, clock, file or
random number; the study and the engines know those.
"""

from typing import Any

from ashtune.core.jobs import Job, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.budget import Budget
from ashtune.schedulers.prospects import Prospects
from ashtune.schedulers.protocol import Machine, Scheduler
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
