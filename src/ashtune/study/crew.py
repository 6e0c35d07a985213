"""Who does what: idle workers, jobs running, trials being let go, and jobs that came back.

Rule 1: a job that was given out and not finished is given out again before anything new.
Rule 2: a job for a trial that a worker is still saving waits until it is saved.
Rule 3: a trial that kills two workers fails.
Rule 4: a worker has one job at a time. While its jobs are short it offers more places: for jobs up to a rung,
and only as long as it has none above that. One that trains several together offers places for any.
Rule 5: the worker that saved a trial takes it up again if it is idle. Who takes a job never decides
which job is next.
"""

import math
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
    is_short: bool


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """Who has the job of a trial, up to which rung, and whether it is one that a worker takes several of."""

    worker: WorkerId
    rung: int
    is_short: bool


class Offer(msgspec.Struct, gc=False):
    """What a worker offers, ``places`` for jobs up to ``rung``, and the jobs it has, ``short`` ones and others.

    ``together``: it trains them in one go, so none waits for another and all count as short.
    """

    places: int
    rung: float
    jobs: int
    short: int
    together: bool = False


class Crew:
    """The workers of a study and what each of them has in hand."""

    def __init__(self) -> None:
        self.running: dict[TrialId, Assigned] = {}
        self.releasing: dict[TrialId, Holding] = {}
        self.condemned: set[TrialId] = set()  # being saved, though no promotion can reach them
        self._offers: dict[WorkerId, Offer] = {}  # of those that made one
        # Sets in order of arrival. Not plain dicts, which look for their first key past all removed ones.
        self._idle: OrderedDict[WorkerId, None] = OrderedDict()
        self._spare: OrderedDict[WorkerId, None] = OrderedDict()  # at work, with a place free
        self._given_back: deque[Job] = deque()
        self._waiting: dict[TrialId, Job] = {}
        self._deaths: dict[TrialId, int] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or a trial is being saved."""
        return bool(self.running or self.releasing)

    @property
    def has_room(self) -> bool:
        """Whether any worker can take a job."""
        return bool(self._idle or self._spare)

    def join(self, worker: WorkerId) -> None:
        """A worker is there, with nothing to do."""
        self._leave(worker)
        self._idle[worker] = None

    def offer(self, worker: WorkerId, places: int, rung: int, *, together: bool = False) -> None:
        """A worker takes so many jobs from now on, those it has included, if they are up to a rung."""
        offer = self._offers.get(worker)
        if offer is None:  # until now it had one job at most
            offer = self._offers[worker] = Offer(places, rung, jobs=0 if worker in self._idle else 1, short=0)
        offer.places, offer.rung, offer.together = places, rung, together
        if together:
            offer.rung, offer.short = math.inf, offer.jobs
            for trial, assigned in self.running.items():
                if assigned.worker == worker and not assigned.is_short:
                    self.running[trial] = msgspec.structs.replace(assigned, is_short=True)
        self._place(worker, offer)

    def ended(self, worker: WorkerId, *, is_short: bool) -> None:
        """A worker has done with a job."""
        if self._offers and (offer := self._offers.get(worker)) is not None:
            offer.jobs -= 1
            offer.short -= is_short
            self._place(worker, offer)
        else:
            self._idle[worker] = None

    def would_have_room(self, holding: Holding) -> bool:
        """Whether a worker could take a job if it let go of the trial that it holds."""
        offer = self._offers.get(holding.worker)
        return offer is None or offer.jobs == 1 or offer.together

    def take(self, job: Job, preferred: WorkerId | None) -> WorkerId | None:
        """Give a job to a worker and return it; None if no worker can take it. O(1).

        An idle one comes first, the preferred one before the longest idle.
        """
        if self._idle:
            worker = preferred if preferred is not None and preferred in self._idle else next(iter(self._idle))
        elif self._spare:
            worker = next(iter(self._spare))
            if self._offers[worker].rung < job.rung:
                return None
        else:
            return None
        if self._offers and (offer := self._offers.get(worker)) is not None:
            is_short = job.rung <= offer.rung
            offer.jobs += 1
            offer.short += is_short
            self._place(worker, offer)
        else:
            is_short = False
            del self._idle[worker]
        self.running[job.trial] = Assigned(worker, job.rung, is_short)
        return worker

    def go_on(self, job: Job, holding: Holding) -> None:
        """A worker goes on with the trial that it holds, up to the next rung."""
        is_short = False
        if self._offers and (offer := self._offers.get(holding.worker)) is not None:
            is_short = job.rung <= offer.rung
            offer.short += is_short - holding.is_short
            self._place(holding.worker, offer)
        self.running[job.trial] = Assigned(holding.worker, job.rung, is_short)

    def _place(self, worker: WorkerId, offer: Offer) -> None:
        """Put a worker among those that it belongs to now, behind the others."""
        self._spare.pop(worker, None)
        if not offer.jobs:
            if worker not in self._idle:
                self._idle[worker] = None
            return
        self._idle.pop(worker, None)
        if offer.jobs == offer.short < offer.places:
            self._spare[worker] = None

    def next_returned_job(self) -> Job | None:
        """Return a job that has to be given out again, oldest first."""
        return self._given_back.popleft() if self._given_back else None

    def give_back(self, job: Job) -> None:
        """Keep a job to be given out again."""
        self._given_back.append(job)

    def hold_back(self, job: Job) -> None:
        """Keep a job that no worker can take now: it is the next one."""
        self._given_back.appendleft(job)

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
