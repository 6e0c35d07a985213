"""Who does what: idle workers, jobs that run, trials that are being released, and jobs that came back.

Rule 1: a job that was given out and not finished is given out again before anything new.
Rule 2: a job for a trial that a worker is still saving waits until it is saved.
Rule 3: a trial that kills two workers fails.
Rule 4: a worker has one job at a time. One that trains several together offers places for more.
Rule 5: the worker that saved a trial takes it up again if it is idle. Which worker takes a job never decides
which job is next.
"""

from array import array
from collections import OrderedDict, deque
from collections.abc import Container

import msgspec

from ashtune._src.core.events import WorkerLost
from ashtune._src.core.jobs import Job, TrialId, WorkerId

DEATHS_ALLOWED = 1
NO_RESULT, NOT_STARTED = -1, -2


class Deaths:
    """Counts the workers that trials have killed: the one place that knows when that is a failure."""

    def __init__(self) -> None:
        self._of: dict[TrialId, int] = {}

    def is_failure(self, event: WorkerLost) -> bool:
        """Take in a lost worker and say whether its trial fails; otherwise the trial's job is given out again."""
        if event.trial is None:
            return False
        deaths = self._of[event.trial] = self._of.get(event.trial, 0) + 1
        return event.is_fatal or deaths > DEATHS_ALLOWED


class Arrivals:
    """Trial -> the highest rung at which it has a result, or one of the two numbers below all rungs."""

    def __init__(self) -> None:
        self._of = array("h")

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, trial: TrialId) -> int:
        return self._of[trial] if trial < len(self._of) else NOT_STARTED

    def start(self, trial: TrialId) -> None:
        """A trial has started, if it had not before."""
        if (missing := trial + 1 - len(self._of)) > 0:
            self._of.extend([NOT_STARTED] * missing)
        self._of[trial] = max(NO_RESULT, self._of[trial])

    def arrive(self, trial: TrialId, rung: int) -> None:
        """A trial has a result."""
        if trial >= len(self._of):
            self.start(trial)
        self._of[trial] = rung


class Holding(msgspec.Struct, frozen=True, gc=False):
    """A trial that a worker still has in memory after its result, with that result."""

    worker: WorkerId
    trial: TrialId
    rung: int
    loss: float


class Assigned(msgspec.Struct, gc=False):
    """Which worker has the job of a trial, up to which rung, and whether it was asked to break it off for a pause."""

    worker: WorkerId
    rung: int
    is_to_pause: bool = False


class Offer(msgspec.Struct, gc=False):
    """How many jobs a worker takes at a time, and how many it has."""

    places: int
    jobs: int


class Assignments:
    """The workers of a study and what each of them has in hand."""

    def __init__(self) -> None:
        self.running: dict[TrialId, Assigned] = {}
        self.releasing: dict[TrialId, Holding] = {}
        self.to_discard: set[TrialId] = set()  # being saved, though nobody needs them
        self._offers: dict[WorkerId, Offer] = {}  # of those that made one
        # Sets in order of arrival. Not plain dicts, which look for their first key past all removed ones.
        self._idle: OrderedDict[WorkerId, None] = OrderedDict()
        self._spare: OrderedDict[WorkerId, None] = OrderedDict()  # at work, with a place free
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
        """All jobs that are given out, or will be again."""
        running = [Job(trial, assigned.rung) for trial, assigned in self.running.items()]
        return [*running, *self._given_back, *self._waiting.values()]

    def has_room(self, holding: Holding | None = None) -> bool:
        """Whether any worker can take a job, or could if it released the trial that it holds."""
        if self._idle or self._spare:
            return True
        if holding is None:
            return False
        offer = self._offers.get(holding.worker)
        return offer is None or offer.jobs <= offer.places

    def join(self, worker: WorkerId) -> None:
        """A worker is there, with nothing to do."""
        self._leave(worker)
        self._idle[worker] = None

    def offer(self, worker: WorkerId, places: int) -> None:
        """A worker takes this many jobs at a time from now on, those it has included."""
        offer = self._offers.get(worker)
        if offer is None:  # until now it had one job at most
            offer = self._offers[worker] = Offer(places, jobs=0 if worker in self._idle else 1)
        offer.places = places
        self._place(worker, offer)

    def end_job(self, worker: WorkerId) -> None:
        """A worker has done with a job."""
        if self._offers and (offer := self._offers.get(worker)) is not None:
            offer.jobs -= 1
            self._place(worker, offer)
        else:
            self._idle[worker] = None

    def take(self, job: Job, preferred: WorkerId | None) -> WorkerId:
        """Give a job to a worker that has room, and return it: the preferred one if idle, else the longest idle."""
        if preferred is not None and preferred in self._idle:
            worker = preferred
        else:
            worker = next(iter(self._idle or self._spare))
        if self._offers and (offer := self._offers.get(worker)) is not None:
            offer.jobs += 1
            self._place(worker, offer)
        else:
            del self._idle[worker]
        self.running[job.trial] = Assigned(worker, job.rung)
        return worker

    def go_on(self, job: Job, worker: WorkerId) -> None:
        """A worker goes on with the trial that it holds, up to the next rung."""
        self.running[job.trial] = Assigned(worker, job.rung)

    def _place(self, worker: WorkerId, offer: Offer) -> None:
        """Put a worker among those that it belongs to now, behind the others."""
        self._spare.pop(worker, None)
        if not offer.jobs:
            if worker not in self._idle:
                self._idle[worker] = None
            return
        self._idle.pop(worker, None)
        if offer.jobs < offer.places:
            self._spare[worker] = None

    def next_returned_job(self) -> Job | None:
        """Return a job that has to be given out again, oldest first."""
        return self._given_back.popleft() if self._given_back else None

    def returned_job_of(self, trials: Container[TrialId]) -> Job | None:
        """Return the oldest job that has to be given out again of one of these trials; it stays among them."""
        return next((job for job in self._given_back if job.trial in trials), None)

    def take_returned(self, job: Job) -> None:
        """A job that had to be given out again is given out now."""
        self._given_back.remove(job)

    def give_back(self, job: Job) -> None:
        """Keep a job to be given out again."""
        self._given_back.append(job)

    def wait_for_release(self, job: Job) -> None:
        """Hold back a job until its trial is saved."""
        self._waiting[job.trial] = job

    def release(self, trial: TrialId) -> Holding | None:
        """The trial is saved, or its worker gone; a job that waited for it may be given out."""
        if (job := self._waiting.pop(trial, None)) is not None:
            self._given_back.append(job)
        return self.releasing.pop(trial, None)

    def lose(self, event: WorkerLost) -> Job | None:
        """Strike off a worker; return its job if its trial fails: only one that it had begun, as the event says."""
        worker = event.worker
        self._leave(worker)
        for trial in [t for t, holding in self.releasing.items() if holding.worker == worker]:
            self.release(trial)
            self.to_discard.discard(trial)
        failed: Job | None = None
        for trial in [t for t, assigned in self.running.items() if assigned.worker == worker]:
            job = Job(trial, self.running.pop(trial).rung)
            if trial == event.trial and self.deaths.is_failure(event):
                failed = job
            else:
                self._given_back.append(job)
        return failed

    def dismiss_all(self) -> None:
        """Forget all workers of an earlier driver; what they had in hand goes back."""
        self._given_back += [Job(trial, assigned.rung) for trial, assigned in self.running.items()]
        self.running.clear()
        for trial in list(self.releasing):
            self.release(trial)
        self.to_discard.clear()
        self._offers.clear()
        self._idle.clear()
        self._spare.clear()

    def orders_of(self, worker: WorkerId) -> str:
        """Return in words what a worker was ordered to do."""
        jobs = [f"trial {t} to rung {job.rung}" for t, job in self.running.items() if job.worker == worker]
        return f"worker {worker} {', '.join(jobs) or 'nothing'}"

    def _leave(self, worker: WorkerId) -> None:
        self._offers.pop(worker, None)
        self._idle.pop(worker, None)
        self._spare.pop(worker, None)
