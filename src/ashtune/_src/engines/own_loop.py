"""The engine of a loop of the user's own, which asks for jobs and tells what came of them.

Nothing is started here. Each job that is out at a time counts as a worker's; a worker whose job is over takes the next
one. The caller puts here what came of a job (:meth:`AskedWorkers.put`), then takes a turn of the loop, after which the
answer is in the inbox of the job.

Rule 1: nothing waits in here: the driver runs inside the caller's own calls.
Rule 2: an order to train waits until a job is asked for: those that were given back first, then the oldest.
Rule 3: what only an engine that starts workers can give, as a limit on the time of a job, is no option here.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import msgspec

from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    Progress,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    with_time,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Discard, Order, Pause, Release, Train
from ashtune._src.engines.checkpoint_store import DeferredDeletions
from ashtune._src.engines.options import RunOptions
from ashtune._src.engines.protocol import Brief
from ashtune._src.engines.workload import assignment_of
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.training.job import RunningJob
from ashtune._src.training.messages import Assignment, Broken, FromWorker, JobEvent, Mailbox, ToWorker
from ashtune._src.training.runner import PreparedTrial, prepare_trial


def hand_back(job: Train | Assignment | RunningJob) -> JobPaused:
    """Return the event of a job that nobody carries out: it is given out again, from where it was to begin."""
    return JobPaused(
        0, worker=job.worker, trial=job.trial, rung=job.rung, resource=job.start, start=job.start, seconds=0.0
    )


class AskedWorkers:
    """Jobs that a loop of the user's own carries out; see :class:`~ashtune.engines.Workers`."""

    def __init__(self, brief: Brief) -> None:
        self._setup = brief.setup
        self._configurations = brief.configurations
        self._checkpoints = Checkpoints(Path(brief.setup.study))
        self._clock_offset = brief.began - time.monotonic()
        self._deletions = DeferredDeletions(self._delete, self.now)
        self._numbers = count(brief.setup.worker)
        self._arrived: list[Event] = []
        self._progress: list[Progress] = []
        self._to_ask: deque[Train] = deque()
        self._given_back: set[TrialId] = set()
        self._inboxes: dict[TrialId, deque[ToWorker]] = {}  # of the trials that are out
        self._workers = 0  # that have joined
        self._at_work = 0  # of them, with a job that is out and has no result yet

    @property
    def idle(self) -> int:
        """How many workers have no job: for them the study had nothing to do."""
        return self._workers - self._at_work - len(self._to_ask)

    @property
    def has_news(self) -> bool:
        """Whether the loop has something to take in."""
        return bool(self._arrived)

    @property
    def has_jobs(self) -> bool:
        """Whether there is a job to ask for."""
        return bool(self._to_ask)

    def join(self) -> None:
        """Somebody wants a job beside those that are out: there is one more worker."""
        self._workers += 1
        self.put(WorkerJoined(0, WorkerId(next(self._numbers)), os.getpid(), socket.gethostname()))

    def put(self, event: Event) -> None:
        """Have an event taken in at the next turn of the loop; it is of this moment."""
        match event:
            case JobFinished(held=True):
                pass
            case JobFinished() | JobFailed() | JobPaused() | TrialWithdrawn():
                self._at_work -= 1
                del self._inboxes[event.trial]
                if isinstance(event, JobPaused):
                    self._given_back.add(event.trial)
            case TrialReleased():
                del self._inboxes[event.trial]
            case _:
                pass
        self._arrived.append(with_time(event, self.now()))

    def put_progress(self, progress: Progress) -> None:
        """Have a report between rungs shown at the next tick."""
        self._progress.append(progress)

    def take(self) -> tuple[Assignment, deque[ToWorker]]:
        """Hand out the job that has waited longest: the assignment, and the inbox in which its answers are found."""
        order = self._to_ask.popleft()
        self._at_work += 1
        inbox = self._inboxes[order.trial] = deque()
        return assignment_of(order, self._configurations), inbox

    def prepare(self, assignment: Assignment, mailbox: Mailbox) -> PreparedTrial:
        """Return the trial of a job that was handed out; its checkpoint is looked at, which takes O(bytes)."""
        setup = msgspec.structs.replace(self._setup, worker=assignment.worker)
        return prepare_trial(assignment, setup, mailbox, self._checkpoints)

    def wait(self, until: float) -> Sequence[Event]:
        """Return what has happened. Nobody waits: who takes a turn of the loop has put it here before."""
        del until
        if self._deletions.is_due:
            self._deletions.carry_out_one()
        arrived, self._arrived = self._arrived, []
        return arrived

    def carry_out(self, order: Order) -> None:
        """Put a job where it can be asked for, or an answer into the inbox of its trial."""
        match order:
            case Discard():
                self._deletions.add(order)
            case Train(in_place=True):
                self._inboxes[order.trial].append(assignment_of(order, self._configurations))
            case Train():
                if not order.start:
                    self._deletions.carry_out_of(order.trial)
                if order.trial in self._given_back:
                    self._given_back.remove(order.trial)
                    self._to_ask.appendleft(order)
                else:
                    self._to_ask.append(order)
            case Release():
                self._at_work -= 1  # the trial is still to be saved, but the worker has its next job at once
                self._inboxes[order.trial].append(order)
            case Pause():
                self._break_off(order)

    def _break_off(self, order: Pause) -> None:
        """Let a trial that is out hear it; a job that nobody has asked for goes back at once."""
        if order.trial in self._inboxes:
            self._inboxes[order.trial].append(order)
            return
        job = next(job for job in self._to_ask if job.trial == order.trial)
        self._to_ask.remove(job)
        self._arrived.append(with_time(hand_back(job), self.now()))

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(time.monotonic() + self._clock_offset, 6)

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        progress, self._progress = self._progress, []
        return progress

    def close(self, *, deletes: bool = True) -> None:
        """Delete what is left to be deleted; what is out is asked for again when the study is opened again."""
        if deletes:
            self._deletions.carry_out_all()

    def _delete(self, order: Discard) -> None:
        self._checkpoints.discard(order.trial, order.resource)


class OwnLoopEngine:
    """The jobs go to the loop that asks; see :class:`~ashtune.engines.Engine`. It has no name to be chosen by.

    Attributes:
        workers: Of the session that it has opened, None before.
    """

    name = "own loop"
    must_exit = False

    def __init__(self) -> None:
        self.workers: AskedWorkers | None = None

    def worker_count(self, wanted: int | None) -> int:
        """Return how many jobs are expected to be out at a time. More may be asked for."""
        return wanted or 1

    def check(self, options: RunOptions, workers: int) -> None:
        """Refuse nothing: options that need an engine of another kind cannot be given here."""

    def open(self, brief: Brief) -> AskedWorkers:
        """Return the workers, none of which is there yet."""
        self.workers = AskedWorkers(brief)
        return self.workers

    def leave(self, status: int) -> None:
        """Nothing outlives a session."""


class DirectChannel:
    """The channel of one job, whose driver is its asker itself: what is sent is handled before ``send`` returns.

    Attributes:
        busy_seconds: What the job took, where the asker says it; else the time since it was asked for counts.
        last: The last event that was sent.
    """

    def __init__(self, handle: Callable[[JobEvent | Progress], None], inbox: deque[ToWorker]) -> None:
        self._handle = handle
        self._inbox = inbox
        self.busy_seconds: float | None = None
        self.last: JobEvent | None = None

    def send(self, message: FromWorker) -> None:
        """Have the driver take in a message. That no trial seems to succeed is for the asker to judge: one fails."""
        if isinstance(message, Broken):
            assert message.failure is not None, "a loop of the user's own cannot tell that the study is to stop"
            message = message.failure
        if isinstance(message, JobEvent):
            if self.busy_seconds is not None and not isinstance(message, TrialReleased):
                message = msgspec.structs.replace(message, seconds=self.busy_seconds)
            self.last = message
        assert isinstance(message, JobEvent | Progress), "a job sends nothing else"
        self._handle(message)

    def wait(self) -> None:
        """Do nothing: an answer is there already, unless the driver was interrupted."""
        if not self._inbox:
            raise StudyError("the study was interrupted in the middle of a result; close it, and open it again")

    def poll(self) -> ToWorker | None:
        """Return the next answer."""
        return self._inbox.popleft() if self._inbox else None
