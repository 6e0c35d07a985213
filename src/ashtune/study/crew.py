"""Who does what: idle workers, jobs running, trials being let go, and jobs that came back.

Rule 1: a job that was given out and not finished is given out again before anything new.
Rule 2: a job for a trial that a worker is still saving waits until it is saved.
Rule 3: a trial that kills two workers fails.
Rule 4: a worker has one job at a time, or as many as the places it offered.
Rule 5: the worker that saved a trial takes it up again if it is idle. Who takes a job never decides
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


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """Who has the job of a trial, and up to which rung."""

    worker: WorkerId
    rung: int


class Crew:
    """The workers of a study and what each of them has in hand."""

    def __init__(self) -> None:
        self.running: dict[TrialId, Assigned] = {}
        self.releasing: dict[TrialId, Holding] = {}
        self.condemned: set[TrialId] = set()  # being saved, though no promotion can reach them
        # A set in order of arrival. Not a plain dict, which looks for its first key past all removed ones.
        self._idle: OrderedDict[WorkerId, int] = OrderedDict()  # -> free places
        self._free_places = 0
        self._places: dict[WorkerId, int] = {}  # of those that offer more than one
        self._overdrawn: dict[WorkerId, int] = {}  # jobs more than they have places for
        self._given_back: deque[Job] = deque()
        self._waiting: dict[TrialId, Job] = {}
        self._deaths: dict[TrialId, int] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or a trial is being saved."""
        return bool(self.running or self.releasing)

    def count_idle(self) -> int:
        """Return how many jobs can be given out."""
        return self._free_places

    def join(self, worker: WorkerId) -> None:
        """A worker is there, with nothing to do."""
        self._leave(worker)
        self.rest(worker)

    def rest(self, worker: WorkerId) -> None:
        """A worker has a place for a job."""
        if self._overdrawn and worker in self._overdrawn:
            self._overdrawn[worker] -= 1
            if not self._overdrawn[worker]:
                del self._overdrawn[worker]
            return
        self._idle[worker] = self._idle.get(worker, 0) + 1
        self._free_places += 1

    def offer(self, worker: WorkerId, places: int) -> None:
        """A worker has so many places from now on, those taken included."""
        change = places - self._places.get(worker, 1)
        self._places[worker] = places
        for _ in range(change):
            self.rest(worker)
        for _ in range(-change):
            if worker in self._idle:
                self.take(worker)
            else:
                self._overdrawn[worker] = self._overdrawn.get(worker, 0) + 1

    def take(self, preferred: WorkerId | None) -> WorkerId:
        """Return a worker with a free place, now taken: the preferred one if it has, else the longest idle. O(1)."""
        idle = self._idle
        worker = next(iter(idle)) if preferred is None or preferred not in idle else preferred
        left = idle.pop(worker) - 1
        if left:
            idle[worker] = left  # behind the others, who are to have a job first
        self._free_places -= 1
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
        self._leave(worker)
        for trial in [t for t, holding in self.releasing.items() if holding.worker == worker]:
            self.released(trial)
            self.condemned.discard(trial)
        failed: Job | None = None
        for trial in [t for t, assigned in self.running.items() if assigned.worker == worker]:
            job = Job(trial, self.running.pop(trial).rung)
            if trial == event.trial:
                self._deaths[trial] = self._deaths.get(trial, 0) + 1
                if event.is_fatal or self._deaths[trial] > DEATHS_ALLOWED:
                    failed = job
                    continue
            self._given_back.append(job)
        return failed

    def dismiss_all(self) -> None:
        """Forget all workers of an earlier driver; what they had in hand goes back."""
        self._given_back += [Job(trial, assigned.rung) for trial, assigned in self.running.items()]
        self.running.clear()
        for trial in list(self.releasing):
            self.released(trial)
        self.condemned.clear()
        self._idle.clear()
        self._places.clear()
        self._overdrawn.clear()
        self._free_places = 0

    def orders_of(self, worker: WorkerId) -> str:
        """Return in words what a worker was ordered to do."""
        jobs = [f"trial {t} to rung {job.rung}" for t, job in self.running.items() if job.worker == worker]
        return f"worker {worker} {', '.join(jobs) or 'nothing'}"

    def _leave(self, worker: WorkerId) -> None:
        self._free_places -= self._idle.pop(worker, 0)
        self._places.pop(worker, None)
        self._overdrawn.pop(worker, None)
