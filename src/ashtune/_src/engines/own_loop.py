"""The engine for a user's own loop, which asks for jobs and reports their results.

This engine starts no process. Each job that the user's loop has taken counts as one worker. A worker whose job is over
takes the next job. The caller passes a result to :meth:`AskedWorkers.put`, then takes a turn of the main loop, which
puts the answer into the job's inbox.

Rule 1: nothing waits in this module: the driver runs inside the caller's own calls.
Rule 2: an order to train waits until a job is asked for. Jobs that were given back come first, then the oldest orders.
Rule 3: options that need an engine with its own workers, such as a time limit on a job, are not available.
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
    """Return the event of a job that is given back; the job will be given out again, from the same start."""
    return JobPaused(
        0, worker=job.worker, trial=job.trial, rung=job.rung, resource=job.start, start=job.start, seconds=0.0
    )


class AskedWorkers:
    """Workers whose jobs a user's own loop carries out; see :class:`~ashtune.engines.Workers`."""

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
        self._inboxes: dict[TrialId, deque[ToWorker]] = {}  # of trials that are out
        self._workers = 0  # the number that have joined
        self._at_work = 0  # the number with a job that is out and has no result yet

    @property
    def idle(self) -> int:
        """The number of workers for which the study had no job."""
        return self._workers - self._at_work - len(self._to_ask)

    @property
    def has_news(self) -> bool:
        """Whether the loop has new events to handle."""
        return bool(self._arrived)

    @property
    def has_jobs(self) -> bool:
        """Whether there is a job to ask for."""
        return bool(self._to_ask)

    def join(self) -> None:
        """Add a worker, because one more job is wanted."""
        self._workers += 1
        self.put(WorkerJoined(0, WorkerId(next(self._numbers)), os.getpid(), socket.gethostname()))

    def put(self, event: Event) -> None:
        """Stamp an event with the current time; the next turn of the loop handles it."""
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
        """Add a report between rungs, to be shown at the next tick."""
        self._progress.append(progress)

    def take(self) -> tuple[Assignment, deque[ToWorker]]:
        """Hand out the first waiting job: its assignment, and the inbox for its answers."""
        order = self._to_ask.popleft()
        self._at_work += 1
        inbox = self._inboxes[order.trial] = deque()
        return assignment_of(order, self._configurations), inbox

    def prepare(self, assignment: Assignment, mailbox: Mailbox) -> PreparedTrial:
        """Return the trial of a job that was handed out. The trial's checkpoint is read, which takes O(bytes)."""
        setup = msgspec.structs.replace(self._setup, worker=assignment.worker)
        return prepare_trial(assignment, setup, mailbox, self._checkpoints)

    def wait(self, until: float) -> Sequence[Event]:
        """Return the events so far, without waiting: the caller of the loop has put them here before."""
        del until
        if self._deletions.is_due:
            self._deletions.carry_out_one()
        arrived, self._arrived = self._arrived, []
        return arrived

    def carry_out(self, order: Order) -> None:
        """Queue a job, or put an answer into the inbox of its trial."""
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
                self._at_work -= 1  # the worker is free for its next job before the trial is saved
                self._inboxes[order.trial].append(order)
            case Pause():
                self._break_off(order)

    def _break_off(self, order: Pause) -> None:
        """Tell a trial in training to pause; hand back a job that is still queued."""
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
        """Carry out waiting deletions. Jobs without an end are handed out again when the study is opened again."""
        if deletes:
            self._deletions.carry_out_all()

    def _delete(self, order: Discard) -> None:
        self._checkpoints.discard(order.trial, order.resource)


class OwnLoopEngine:
    """The engine of :class:`AskedWorkers`; see :class:`~ashtune.engines.Engine`. This engine cannot be chosen by name.

    Attributes:
        workers: The workers of the open session; None before the first one.
    """

    name = "own loop"
    must_exit = False

    def __init__(self) -> None:
        self.workers: AskedWorkers | None = None

    def worker_count(self, wanted: int | None) -> int:
        """Return the number of jobs that the user expects to take at a time; the user may take more."""
        return wanted or 1

    def check(self, options: RunOptions, workers: int) -> None:
        """Accept all options, because unsuitable options cannot be given to this engine."""

    def open(self, brief: Brief) -> AskedWorkers:
        """Return the workers; none has joined yet."""
        self.workers = AskedWorkers(brief)
        return self.workers

    def leave(self, status: int) -> None:
        """Do nothing: nothing outlives a session."""


class DirectChannel:
    """The channel of one job, in the driver's own thread: ``send`` returns after the message is handled.

    Attributes:
        busy_seconds: The job's duration, if the user gave it; without it, the time since the job was taken counts.
        last: The last event that was sent.
    """

    def __init__(self, handle: Callable[[JobEvent | Progress], None], inbox: deque[ToWorker]) -> None:
        self._handle = handle
        self._inbox = inbox
        self.busy_seconds: float | None = None
        self.last: JobEvent | None = None

    def send(self, message: FromWorker) -> None:
        """Pass a message to the driver. ``Broken`` fails one trial only: the user's loop judges whether to stop."""
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
        """Return at once if the answer is there. Otherwise raise StudyError, because the driver was interrupted."""
        if not self._inbox:
            raise StudyError("the study was interrupted in the middle of a result; close it, and open it again")

    def poll(self) -> ToWorker | None:
        """Return the next answer, or None."""
        return self._inbox.popleft() if self._inbox else None
