"""Full training: every trial trains to ``max_resource``, without early stopping, as a baseline for
halving.
"""

from collections import deque

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.scheduler_protocol import Budget, Machine, Rule, Scheduler


class FullTraining(Scheduler, frozen=True, tag="full"):
    """Train every trial directly to the top rung."""

    rule = Rule.ALWAYS

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "FullMachine":
        return FullMachine(ladder, trials)


class FullMachine(Machine):
    """Train every trial directly to the top rung."""

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        self.ladder = ladder
        self._budget = Budget(trials)
        self._finished: list[TrialId] = []
        # trials that were trained to an earlier top rung
        self._to_continue: deque[TrialId] = deque()

    def next_job(self) -> Job | None:
        """Return the job of a trial that ended at an earlier top rung, or else the job of a new
        trial.
        """
        if self._to_continue:
            return Job(self._to_continue.popleft(), self.ladder.top)
        newborn = self._budget.start()
        return None if newborn is None else Job(newborn, self.ladder.top)

    def record(self, result: Result) -> None:
        """Record a result. A trial that was trained to an earlier top rung will be trained to the
        present top rung.
        """
        if result.is_failure:
            return
        if result.rung == self.ladder.top:
            self._finished.append(result.trial)
        else:  # this job began before the ladder got longer
            self._to_continue.append(result.trial)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        self._budget.withdraw(replace=replace)

    def extend(self, trials: int | None) -> None:
        self._budget.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        """Train all finished trials to the new top rung, in the order of their results."""
        if ladder == self.ladder:
            return
        self.ladder = ladder
        self._to_continue.extend(self._finished)
        self._finished = []

    def entry(self, trial: TrialId) -> int:
        return self.ladder.top

    def entering(self, trials: int) -> list[int]:
        return self.expected(trials)

    def expected(self, trials: int) -> list[int]:
        """Return the number of trials for the top rung, and 0 for each rung below."""
        return [0] * self.ladder.top + [trials]
