"""Records idle workers, running jobs, trials that are being released, and jobs to assign again.

Rule 1: a job that was assigned but not finished is assigned again before any new job.
Rule 2: if a worker is still saving a trial, the next job for the trial waits until the trial is
saved.
Rule 3: a trial that kills two workers fails.
Rule 4: a worker has one job at a time, unless the worker offers places for several jobs.
Rule 5: if the worker that saved a trial is idle, this worker continues the trial. The order of jobs
does not depend on workers.
"""

from array import array
from collections import OrderedDict, deque
from collections.abc import Container

import msgspec

from ashtune._src.core.events import WorkerLost
from ashtune._src.core.jobs import Job, TrialId, WorkerId

# Decision 4 (docs/decisions/0004-what-a-result-is.md).
DEATHS_ALLOWED = 1
NO_RESULT = -1
NOT_STARTED = -2


class Deaths:
    """Counts the workers that each trial has killed, and decides whether the trial fails."""

    def __init__(self) -> None:
        self._of: dict[TrialId, int] = {}
        self.out_of_memory: set[TrialId] = set()
        """The trials that must be trained alone on a worker, because a worker ran out of memory
        while it trained them.
        """

    def is_failure(self, event: WorkerLost) -> bool:
        """Record a lost worker, and return whether the worker's trial fails. A trial that does not
        fail is trained again.
        """
        if event.trial is None:
            return False
        deaths = self._of[event.trial] = self._of.get(event.trial, 0) + 1
        if event.is_out_of_memory:
            self.out_of_memory.add(event.trial)
        return event.is_fatal or deaths > DEATHS_ALLOWED


class Arrivals:
    """Maps each trial to the highest rung at which it has a result, or to ``NO_RESULT`` or
    ``NOT_STARTED``.
    """

    def __init__(self) -> None:
        self.of = array("h")

    def __getitem__(self, trial: TrialId) -> int:
        if trial >= len(self.of):
            return NOT_STARTED
        return self.of[trial]

    def start(self, trial: TrialId) -> None:
        """Record that a trial has started, unless its start is recorded already."""
        missing = trial + 1 - len(self.of)
        if missing > 0:
            self.of.extend([NOT_STARTED] * missing)
        if self.of[trial] == NOT_STARTED:
            self.of[trial] = NO_RESULT

    def arrive(self, trial: TrialId, rung: int) -> None:
        """Record that a trial has a result at a rung."""
        if trial >= len(self.of):
            self.start(trial)
        self.of[trial] = rung


class Holding(msgspec.Struct, frozen=True, gc=False):
    """A trial that a worker has in memory after a result, with the rung and
    the loss of the result.
    """

    worker: WorkerId
    trial: TrialId
    rung: int
    loss: float


class Assigned(msgspec.Struct, gc=False):
    """A running job and its worker.

    The job may continue a trial in the worker's memory (``is_in_place``). The worker may have been
    asked to interrupt the job for a pause (``is_to_pause``).
    """

    worker: WorkerId
    job: Job
    is_in_place: bool = False
    is_to_pause: bool = False


class Offer(msgspec.Struct, gc=False):
    """The number of jobs that a worker takes at the same time, and the number of jobs that the
    worker has now.
    """

    places: int
    jobs: int


class Assignments:
    """The workers of a study, with the jobs and trials of each worker."""

    def __init__(self) -> None:
        self.running: dict[TrialId, Assigned] = {}
        self.releasing: dict[TrialId, Holding] = {}
        # trials whose checkpoints are being saved but not needed
        self.to_discard: set[TrialId] = set()
        self._offers: dict[WorkerId, Offer] = {}  # only workers that offered several places
        # Ordered sets. A plain dict would be slow, because the search for its first key skips all
        # removed keys.
        self._idle: OrderedDict[WorkerId, None] = OrderedDict()
        # workers that are busy and have a free place
        self._spare: OrderedDict[WorkerId, None] = OrderedDict()
        self._given_back: deque[Job] = deque()
        self._waiting: dict[TrialId, Job] = {}
        self.deaths = Deaths()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or a trial is being saved."""
        return bool(self.running or self.releasing)

    @property
    def is_waiting(self) -> bool:
        """Whether a job waits until its trial is saved."""
        return bool(self._waiting)

    @property
    def unfinished(self) -> list[Job]:
        """All jobs that are running or will be assigned again."""
        running = [assigned.job for assigned in self.running.values()]
        return [*running, *self._given_back, *self._waiting.values()]

    def has_room(self, holding: Holding | None = None) -> bool:
        """Whether any worker can take a job. The worker that holds the trial ``holding`` counts
        too, because it can release this trial.
        """
        if self._idle or self._spare:
            return True
        if holding is None:
            return False
        offer = self._offers.get(holding.worker)
        return offer is None or offer.jobs <= offer.places

    def join(self, worker: WorkerId) -> None:
        """Add a worker, which is idle."""
        self._leave(worker)
        self._idle[worker] = None

    def offer(self, worker: WorkerId, places: int) -> None:
        """Set the number of jobs that a worker takes at the same time, including the worker's
        present jobs.
        """
        offer = self._offers.get(worker)
        if offer is None:  # until now, the worker had at most one job
            offer = self._offers[worker] = Offer(places, jobs=0 if worker in self._idle else 1)
        offer.places = places
        self._place(worker, offer)

    def end_job(self, worker: WorkerId) -> None:
        """Record that a worker has ended a job."""
        offer = self._offers.get(worker)
        if offer is None:
            self._idle[worker] = None
        else:
            offer.jobs -= 1
            self._place(worker, offer)

    def take(self, job: Job, preferred: WorkerId | None) -> WorkerId:
        """Give a job to the preferred worker if it is idle, or else to the longest idle worker.
        Return the worker.
        """
        if preferred is not None and preferred in self._idle:
            worker = preferred
        else:
            worker = next(iter(self._idle or self._spare))
        offer = self._offers.get(worker)
        if offer is None:
            del self._idle[worker]
        else:
            offer.jobs += 1
            self._place(worker, offer)
        self.running[job.trial] = Assigned(worker, job)
        return worker

    def continue_in_place(self, job: Job, worker: WorkerId) -> None:
        """Record that a worker continues the trial in its memory, up to the rung of ``job``."""
        self.running[job.trial] = Assigned(worker, job, is_in_place=True)

    def _place(self, worker: WorkerId, offer: Offer) -> None:
        """Record whether a worker is idle, has a free place, or is full."""
        self._spare.pop(worker, None)
        if not offer.jobs:
            if worker not in self._idle:
                self._idle[worker] = None
            return
        self._idle.pop(worker, None)
        if offer.jobs < offer.places:
            self._spare[worker] = None

    def next_returned_job(self) -> Job | None:
        """Remove and return the oldest of the jobs to assign again. If there is no such job, return
        None.
        """
        return self._given_back.popleft() if self._given_back else None

    def returned_job_of(self, trials: Container[TrialId]) -> Job | None:
        """Return the oldest job of ``trials`` that must be assigned again, without removing the
        job.
        """
        return next((job for job in self._given_back if job.trial in trials), None)

    def take_returned(self, job: Job) -> None:
        """Remove a job from the jobs to assign again, because a worker gets the job now."""
        self._given_back.remove(job)

    def give_back(self, job: Job) -> None:
        """Add a job to the jobs to assign again."""
        self._given_back.append(job)

    def wait_for_release(self, job: Job) -> None:
        """Let a job wait until the job's trial is saved."""
        self._waiting[job.trial] = job

    def release(self, trial: TrialId) -> Holding | None:
        """Record that a trial is saved, or that its worker is lost. A job that waited for this
        trial can now be assigned.
        """
        job = self._waiting.pop(trial, None)
        if job is not None:
            self._given_back.append(job)
        return self.releasing.pop(trial, None)

    def lose(self, event: WorkerLost) -> Assigned | None:
        """Remove a lost worker. If the trial of one of the worker's jobs fails, return this job.
        The worker's other jobs are assigned again.
        """
        worker = event.worker
        self._leave(worker)
        for trial in [t for t, holding in self.releasing.items() if holding.worker == worker]:
            self.release(trial)
            self.to_discard.discard(trial)
        failed: Assigned | None = None
        for trial in [t for t, assigned in self.running.items() if assigned.worker == worker]:
            assigned = self.running.pop(trial)
            # If a worker with several places dies, only one trial is the cause. The other trials do
            # not count a death.
            if trial == event.trial and self.deaths.is_failure(event):
                failed = assigned
            else:
                self._given_back.append(assigned.job)
        return failed

    def dismiss_all(self) -> None:
        """Forget all workers of an earlier driver, and assign their jobs again."""
        self._given_back += [assigned.job for assigned in self.running.values()]
        self.running.clear()
        for trial in list(self.releasing):
            self.release(trial)
        self.to_discard.clear()
        self._offers.clear()
        self._idle.clear()
        self._spare.clear()

    def orders_of(self, worker: WorkerId) -> str:
        """Describe the jobs of a worker in words."""
        jobs = [
            f"trial {t} to rung {one.job.rung}"
            for t, one in self.running.items()
            if one.worker == worker
        ]
        return f"worker {worker} {', '.join(jobs) or 'nothing'}"

    def _leave(self, worker: WorkerId) -> None:
        self._offers.pop(worker, None)
        self._idle.pop(worker, None)
        self._spare.pop(worker, None)
