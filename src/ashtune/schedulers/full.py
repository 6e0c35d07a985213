"""Full training: every trial to ``max_resource``, no early stop. The yardstick for halving."""

from ashtune.jobs import Job, TrialId
from ashtune.ladder import Ladder
from ashtune.schedulers.budget import Budget


class FullTraining:
    """Train every trial straight to the top rung.

    Args:
        ladder: Only its top rung is used.
        trials: How many trials may be started; None for no end.
    """

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        self.ladder = ladder
        self._budget = Budget(trials)

    def next_job(self) -> Job | None:
        """Return a new trial, to be trained to ``max_resource``."""
        newborn = self._budget.start()
        return None if newborn is None else Job(newborn, self.ladder.top)

    def record(self, job: Job, loss: float) -> None:
        """Nothing follows from a result."""

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Let a new trial replace it."""
        self._budget.withdraw(replace=replace)

    def extend(self, trials: int | None) -> None:
        """Raise the number of trials."""
        self._budget.extend(trials)

    def hopeless(self) -> list[TrialId]:
        """Return nothing: every trained model is a result."""
        return []

    def expected(self, trials: int) -> list[int]:
        """Return all trials at the top rung and none below."""
        return [0] * self.ladder.top + [trials]
