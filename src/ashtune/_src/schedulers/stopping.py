"""Asynchronous Successive Halving that stops a trial for good if the trial is not promoted
immediately.

Source: Li et al. (arXiv 1810.05934) describe stopping as an alternative to pausing. Most libraries
call the stopping form "ASHA". A trial that reaches its rung is either promoted immediately or
stopped for good.

Rule 1: let a rung have ``n`` results, including the new result of a trial. This trial is promoted
if the new result is among the best ``floor(n / reduction_factor)`` results, as ranked by
``ranking.py``.
Rule 2: while the quota ``floor(n / reduction_factor)`` is 0, every trial is promoted unless it has
failed.
"""

# Decision 4 (docs/decisions/0004-what-a-result-is.md): while a rung has fewer results than the
# reduction factor, a trial continues, because there are too few results for a comparison.

from collections import deque

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import LEAST_SHARE
from ashtune._src.schedulers.ranking import OneLoss, QuotaRule, Ranking, entry_of, ranking_by
from ashtune._src.schedulers.scheduler_protocol import Budget, Machine, Rule, Scheduler


class StoppingAsh(Scheduler, frozen=True, tag="stopping"):
    """When a trial reaches a rung, either promote it immediately or stop it for good."""

    rule = Rule.AT_ITS_RESULT
    default_reduction_factor = 3
    least_share = LEAST_SHARE

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "StoppingMachine":
        return StoppingMachine(ladder, trials)


class StoppingMachine(Machine):
    """The machine of ``StoppingAsh``. It decides about each result only once, when the result
    arrives.
    """

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        self.ladder = ladder
        self._rungs: list[Ranking] = [OneLoss(QuotaRule(kept)) for kept in ladder.kept]
        self._losses = 1  # the number of losses of a result
        self._to_continue: deque[Job] = deque()
        self._stopped: list[TrialId] = []
        self._finished: list[Result] = []  # the results of the top rung, in order of arrival
        self._budget = Budget(trials)

    def next_job(self) -> Job | None:
        if self._to_continue:
            return self._to_continue.popleft()
        newborn = self._budget.start()
        return None if newborn is None else Job(newborn, 0)

    def record(self, result: Result) -> None:
        """Record a result, and promote or stop its trial immediately, in O(log n) time with one
        loss.
        """
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
            self._to_continue.append(Job(result.trial, result.rung + 1))
        else:
            self._stopped.append(result.trial)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        for rung in self._rungs[: job.rung]:
            rung.remove(job.trial)
        self._budget.withdraw(replace=replace)

    def extend(self, trials: int | None) -> None:
        self._budget.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a longer ladder, and promote or stop the trials at the old top rung.

        Each result at the old top rung is compared only with the results that arrived before it.
        """
        if ladder == self.ladder:
            return
        self._rungs += [
            ranking_by(self._losses)(QuotaRule(kept)) for kept in ladder.kept[self.ladder.top :]
        ]
        self.ladder = ladder
        finished = self._finished
        self._finished = []
        for result in finished:
            self.record(result)

    def hopeless(self) -> list[TrialId]:
        stopped = self._stopped
        self._stopped = []
        return stopped

    def expected(self, trials: int) -> list[int]:
        """Return the expected number of trials at each rung. Trials that are promoted while the
        quota is 0 are not counted.
        """
        return self.ladder.expected(trials)
