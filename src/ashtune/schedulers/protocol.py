"""What a scheduler is: it decides which trial trains next, and how far."""

from typing import Protocol

from ashtune.jobs import Job, TrialId
from ashtune.ladder import Ladder


class Scheduler(Protocol):
    """Whatever passes the state machine of ``ashtune.testing.schedulers`` is one.

    Trials are numbered 0, 1, 2 ... in the order in which they are first given out. A scheduler is
    pure: the same calls give the same answers.
    """

    ladder: Ladder

    def next_job(self) -> Job | None:
        """Return the job for a worker that is free now, or None if there is none at present."""

    def record(self, job: Job, loss: float) -> None:
        """Take in the result of a job: smaller is better, ``math.inf`` is a failure."""

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Forget the job's trial altogether: it leaves every rung; with ``replace`` a new one may start."""

    def pass_over(self, job: Job) -> None:
        """The promotion just given will not be trained, as its trial was ended on purpose; its results stay."""

    def extend(self, trials: int | None) -> None:
        """Raise the number of trials that may be started (None: without end)."""

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above; the trials that finished at the old top rung are as any other.

        Whoever has a result there counts in the next promotions from it, as if there had been a rung above from the
        beginning.
        """

    def hopeless(self) -> list[TrialId]:
        """Return the trials that can never be given out again, each named once.

        Another number of trials, more rungs, or the withdrawal of a trial that has results may change that: then
        such a trial may be given after all, and is named again if it ends once more.
        """

    def expected(self, trials: int) -> list[int]:
        """Return how many of ``trials`` trials should be trained to each rung, failures aside."""
