"""Asynchronous Successive Halving, the stopping form.

Source: the variant described by Li et al. (arXiv 1810.05934) as an alternative to pausing, and
shipped by most libraries as "ASHA": a trial learns at its rung whether it goes on or ends for good.

Rule 1: a trial goes on if it is among the best ``floor(n / reduction_factor)`` of the ``n`` results
its rung has at that moment, its own included; the ranking is that of ``ranking.py``.
Rule 2: too few peers never kill: while the floor is 0 a trial goes on. A failure never does.
"""

from collections import deque

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import LEAST_SHARE
from ashtune._src.schedulers.protocol import Budget, Machine, Rule, Scheduler
from ashtune._src.schedulers.ranking import OneLoss, QuotaRule, Ranking, entry_of, ranking_by


class StoppingAsh(Scheduler, frozen=True, tag="stopping"):
    """Let a trial go on at its rung or end it there; nothing is resumed later."""

    rule = Rule.AT_ITS_RESULT
    default_reduction_factor = 3
    least_share = LEAST_SHARE

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "StoppingMachine":
        return StoppingMachine(ladder, trials)


class StoppingMachine(Machine):
    """Decides once for each result."""

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        self.ladder = ladder
        self._rungs: list[Ranking] = [OneLoss(QuotaRule(kept)) for kept in ladder.kept]
        self._losses = 1  # of a result
        self._going_on: deque[Job] = deque()
        self._stopped: list[TrialId] = []
        self._finished: list[Result] = []  # the results of the top rung, as they came
        self._budget = Budget(trials)

    def next_job(self) -> Job | None:
        """Return a trial that goes on, else a new one. O(1)."""
        if self._going_on:
            return self._going_on.popleft()
        newborn = self._budget.start()
        return None if newborn is None else Job(newborn, 0)

    def record(self, result: Result) -> None:
        """Take in a result and decide at once. O(log n) with one loss."""
        if len(result.losses) != self._losses:  # the first result of a study
            self._losses = len(result.losses)
            self._rungs = [ranking_by(self._losses)(QuotaRule(kept)) for kept in self.ladder.kept]
        if result.rung == self.ladder.top:
            self._finished.append(result)
            return
        rung = self._rungs[result.rung]
        entry = entry_of(result)
        rung.add(entry)
        if not result.is_failure and (rung.quota == 0 or rung.is_within_quota(entry)):
            self._going_on.append(Job(result.trial, result.rung + 1))
        else:
            self._stopped.append(result.trial)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Take the trial out of the rungs it reached; a new trial may replace it."""
        for rung in self._rungs[: job.rung]:
            rung.remove(job.trial)
        self._budget.withdraw(replace=replace)

    def pass_over(self, job: Job) -> None:
        """Nothing follows: the trial never arrives above."""

    def extend(self, trials: int | None) -> None:
        self._budget.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above; who goes on from the old top is decided as by their reports.

        They are taken in the order in which they came: each with those before it, its own included.
        """
        if ladder == self.ladder:
            return
        self._rungs += [ranking_by(self._losses)(QuotaRule(kept)) for kept in ladder.kept[self.ladder.top :]]
        self.ladder = ladder
        finished, self._finished = self._finished, []
        for result in finished:
            self.record(result)

    def hopeless(self) -> list[TrialId]:
        stopped, self._stopped = self._stopped, []
        return stopped

    def expected(self, trials: int) -> list[int]:
        """Return the quota of each rung; early trials that had few peers come on top."""
        return self.ladder.expected(trials)
