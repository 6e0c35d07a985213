"""What workers have in hand, and which of it is to blame should one of them die.

Rule 1: jobs are done in the order in which they came, but for one that goes on in place, which comes before those that
wait. So the first has begun and is to blame.
Rule 2: of several that are trained together it is not known which: none is to blame, but for one that the worker said
to train alone.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from ashtune.jobs import TrialId, WorkerId


class Given(Protocol):
    """A job as it was given to a worker."""

    @property
    def trial(self) -> TrialId:
        """Whose job it is."""

    @property
    def in_place(self) -> bool:
        """Whether the worker goes on with a trial that it holds."""


J = TypeVar("J", bound=Given)


class Workload(Generic[J]):
    """The jobs that a worker has."""

    def __init__(self) -> None:
        self._jobs: dict[TrialId, J] = {}
        self._alone: TrialId | None = None
        self.trains_together = False
        """Whether the worker trains several jobs together."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[TrialId]:
        return iter(self._jobs)

    def __contains__(self, trial: object) -> bool:
        return trial in self._jobs

    def take(self, job: J) -> None:
        """The worker is given a job."""
        if job.in_place and self._jobs:
            self._jobs = {job.trial: job, **self._jobs}
        else:
            self._jobs[job.trial] = job

    def begin_alone(self, trial: TrialId) -> None:
        """The worker says that it trains this one alone now."""
        self._alone = trial

    def end(self, trial: TrialId | None) -> bool:
        """A job has ended; return whether it was among them."""
        if trial == self._alone:
            self._alone = None
        return trial is not None and self._jobs.pop(trial, None) is not None

    @property
    def suspects(self) -> tuple[TrialId, ...]:
        """The trials that have to be trained alone from now on if the worker dies now: one of them may be to blame."""
        return tuple(self._jobs) if self.trains_together and len(self._jobs) > 1 else ()

    @property
    def to_blame(self) -> J | None:
        """The job to blame if the worker dies now."""
        if self.suspects:
            return None if self._alone is None else self._jobs.get(self._alone)
        return next(iter(self._jobs.values()), None)


class Workloads(Generic[J]):
    """The workloads of workers, and the trials that are under suspicion since one of those died."""

    def __init__(self) -> None:
        self._of: dict[WorkerId, Workload[J]] = {}
        self._suspects: set[TrialId] = set()

    def __getitem__(self, worker: WorkerId) -> Workload[J]:
        return self._of[worker]

    def join(self, worker: WorkerId) -> None:
        """A worker is there, with nothing to do."""
        self._of[worker] = Workload()

    def give(self, worker: WorkerId, job: J) -> bool:
        """A worker is given a job; return whether it has to train it alone."""
        self._of[worker].take(job)
        return job.trial in self._suspects

    def has(self, worker: WorkerId, trial: TrialId) -> bool:
        """Whether a worker that is there has a job of a trial."""
        return trial in self._of.get(worker, ())

    def end(self, worker: WorkerId, trial: TrialId | None) -> None:
        """A worker's job has ended, if it had one of this trial: the trial is not under suspicion any more."""
        if self._of[worker].end(trial) and trial is not None:
            self._suspects.discard(trial)

    def lose(self, worker: WorkerId) -> Workload[J]:
        """A worker is gone; return what it had in hand, nothing if it was gone before."""
        workload = self._of.pop(worker, None) or Workload()
        self._suspects.update(workload.suspects)
        return workload
