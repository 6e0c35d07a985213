"""Who does what: idle workers, jobs running, trials being let go, and jobs that came back.

Rule 1: a job that was given out and not finished is given out again before anything new.
Rule 2: a job for a trial that a worker is still saving waits until it is saved.
Rule 3: a trial that kills two workers fails.
Rule 4: the worker that saved a trial takes it up again if it is idle. Who takes a job never decides
which job is next.
"""

from collections import OrderedDict, deque

import msgspec

from ashtune.events import WorkerLost
from ashtune.jobs import Job, TrialId, WorkerId

DEATHS_ALLOWED = 1


class Holding(msgspec.Struct, frozen=True, gc=False):
    """A trial that a worker still has in memory after its result, with that result."""

    worker: WorkerId
    trial: TrialId
    rung: int
    loss: float


class Crew:
    """The workers of a study and what each of them has in hand."""

    def __init__(self) -> None:
        self.running: dict[WorkerId, Job] = {}
        self.releasing: dict[TrialId, Holding] = {}
        self.condemned: set[TrialId] = set()  # being saved, though no promotion can reach them
        # A set in order of arrival. Not a plain dict, which looks for its first key past all removed ones.
        self._idle: OrderedDict[WorkerId, None] = OrderedDict()
        self._given_back: deque[Job] = deque()
        self._waiting: dict[TrialId, Job] = {}
        self._deaths: dict[TrialId, int] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or a trial is being saved."""
        return bool(self.running or self.releasing)

    def count_idle(self) -> int:
        """Return how many workers have nothing to do."""
        return len(self._idle)

    def rest(self, worker: WorkerId) -> None:
        """A worker has nothing to do."""
        self._idle[worker] = None

    def take(self, preferred: WorkerId | None) -> WorkerId:
        """Return an idle worker, idle no more: the preferred one if it is idle, else the longest idle. O(1)."""
        idle = self._idle
        worker = next(iter(idle)) if preferred is None or preferred not in idle else preferred
        del idle[worker]
        return worker

    def next_returned_job(self) -> Job | None:
        """Return a job that has to be given out again, oldest first."""
        return self._given_back.popleft() if self._given_back else None

    def give_back(self, job: Job) -> None:
        """Keep a job to be given out again."""
        self._given_back.append(job)

    def wait_for_release(self, job: Job) -> None:
        """Hold back a job until its trial is saved."""
        self._waiting[job.trial] = job

    def released(self, trial: TrialId) -> Holding | None:
        """The trial is saved, or its worker gone; a job that waited for it may be given out."""
        if (job := self._waiting.pop(trial, None)) is not None:
            self._given_back.append(job)
        return self.releasing.pop(trial, None)

    def lose(self, event: WorkerLost) -> Job | None:
        """Strike off a worker; return its job if its trial fails: by itself, or as it killed too many.

        The job is to blame only if the worker had begun it, which the event says by naming it.
        """
        worker = event.worker
        self._idle.pop(worker, None)
        for trial in [t for t, holding in self.releasing.items() if holding.worker == worker]:
            self.released(trial)
            self.condemned.discard(trial)
        job = self.running.pop(worker, None)
        if job is None:
            return None
        if event.trial is not None:
            self._deaths[job.trial] = self._deaths.get(job.trial, 0) + 1
        if event.is_fatal or self._deaths.get(job.trial, 0) > DEATHS_ALLOWED:
            return job
        self._given_back.append(job)
        return None

    def dismiss_all(self) -> None:
        """Forget all workers of an earlier driver; what they had in hand goes back."""
        for worker in list(self.running):
            self._given_back.append(self.running.pop(worker))
        for trial in list(self.releasing):
            self.released(trial)
        self.condemned.clear()
        self._idle.clear()
