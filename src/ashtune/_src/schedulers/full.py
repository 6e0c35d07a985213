"""Full training: every trial to ``max_resource``, no early stop. Halving is compared with it."""

from collections import deque

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.protocol import Budget, Machine, Rule, Scheduler


class FullTraining(Scheduler, frozen=True, tag="full"):
    """Train every trial straight to the top rung."""

    rule = Rule.ALWAYS

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "FullMachine":
        return FullMachine(ladder, trials)


class FullMachine(Machine):
    """Gives every trial to the top rung."""

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        self.ladder = ladder
        self._budget = Budget(trials)
        self._finished: list[TrialId] = []
        self._to_go_on: deque[TrialId] = deque()  # trained to what was the top rung before

    def next_job(self) -> Job | None:
        """Return a trial to be trained to ``max_resource``: one whose training ended below it, else a new one."""
        if self._to_go_on:
            return Job(self._to_go_on.popleft(), self.ladder.top)
        newborn = self._budget.start()
        return None if newborn is None else Job(newborn, self.ladder.top)

    def record(self, result: Result) -> None:
        """Nothing follows from a result at the top rung; a job that was given before there were more goes on."""
        if not result.is_failure:
            (self._finished if result.rung == self.ladder.top else self._to_go_on).append(result.trial)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Let a new trial replace it."""
        self._budget.withdraw(replace=replace)

    def pass_over(self, job: Job) -> None:
        """Nothing is promoted here."""

    def extend(self, trials: int | None) -> None:
        self._budget.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        """Train what is trained already to the new top rung, in the order in which the results came."""
        if ladder == self.ladder:
            return
        self.ladder = ladder
        self._to_go_on.extend(self._finished)
        self._finished = []

    def entry(self, trial: TrialId) -> int:
        """Return the top rung."""
        return self.ladder.top

    def entering(self, trials: int) -> list[int]:
        """Return all trials at the top rung."""
        return self.expected(trials)

    def expected(self, trials: int) -> list[int]:
        """Return the number of trials for the top rung, and 0 for each rung below."""
        return [0] * self.ladder.top + [trials]
