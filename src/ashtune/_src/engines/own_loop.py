"""The engine for a user's own loop, which asks for jobs and reports their results.

The engine starts no process, because the user's loop trains the trials. The study counts each job
that the user's loop has taken as one worker. A worker whose job has ended takes the next job. The
caller passes a result to
:meth:`AskedWorkers.put`, and takes a turn of the main loop. The turn puts the answer into the job's
inbox.

Rule 1: no function in this module waits, because the driver runs inside the calls of the user's
loop.
Rule 2: orders to train wait until the user's loop asks for jobs. Jobs that were given back are
handed out first.
Rule 3: options that need an engine with its own workers, such as a time limit on a job, are not
available.
"""

# Decision 36 (docs/decisions/0036-own-loops.md).

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from msgspec.structs import force_setattr, replace

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
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Discard, Order, Pause, Release, Train
from ashtune._src.engines.checkpoint_store import DeferredDeletions
from ashtune._src.engines.engine_protocol import Brief, Engine
from ashtune._src.engines.workload import assignment_of, hand_back
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.training.runner import PreparedTrial, prepare_trial
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    JobEvent,
    Mailbox,
    ToWorker,
)


class AskedWorkers:
    """Workers for a user's own loop, which does the workers' jobs; see
    :class:`~ashtune.engines.Workers`.
    """

    def __init__(self, brief: Brief) -> None:
        self._setup = brief.setup
        self._configurations = brief.configurations
        self._checkpoints = Checkpoints(Path(brief.setup.study))
        self._clock_offset = brief.began - time.monotonic()
        self._deletions = DeferredDeletions(self._checkpoints, self.now)
        self._numbers = count(brief.setup.worker)
        self._arrived: list[Event] = []
        self._progress: list[Progress] = []
        self._to_ask: deque[Train] = deque()
        self._given_back: set[TrialId] = set()
        self._inboxes: dict[TrialId, deque[ToWorker]] = {}  # of trials whose jobs were handed out
        self._workers = 0  # the number of workers that have joined
        self._at_work = 0  # the number of workers whose job has no result yet

    @property
    def idle(self) -> int:
        """The number of workers that have no job, because the study had no job for them."""
        return self._workers - self._at_work - len(self._to_ask)

    @property
    def has_news(self) -> bool:
        """Whether there are new events for the next turn of the main loop."""
        return bool(self._arrived)

    @property
    def has_jobs(self) -> bool:
        """Whether the user's loop can take a job now."""
        return bool(self._to_ask)

    def join(self) -> None:
        """Add a worker, because the user's loop wants one more job."""
        self._workers += 1
        self.put(WorkerJoined(0, WorkerId(next(self._numbers)), os.getpid(), socket.gethostname()))

    def put(self, event: Event) -> None:
        """Queue an event, with the current time, for the next turn of the main loop."""
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
        self._arrive(event)

    def put_progress(self, progress: Progress) -> None:
        """Queue a trial's report between rungs. The next tick of the main loop shows the report."""
        self._progress.append(progress)

    def take(self) -> tuple[Assignment, deque[ToWorker]]:
        """Return the assignment of the first queued job, and the inbox for the driver's answers to
        this job.
        """
        order = self._to_ask.popleft()
        self._at_work += 1
        inbox = self._inboxes[order.trial] = deque()
        return assignment_of(order, self._configurations), inbox

    def prepare(self, assignment: Assignment, mailbox: Mailbox) -> PreparedTrial:
        """Return the trial of a job that was handed out. Reading the trial's checkpoint takes
        O(bytes) time.
        """
        setup = replace(self._setup, worker=assignment.worker)
        return prepare_trial(assignment, setup, mailbox, self._checkpoints)

    def wait(self, until: float) -> Sequence[Event]:
        """Return the queued events without waiting. The user's loop has queued the events before
        this turn of the main loop.
        """
        del until
        if self._deletions.is_due:
            self._deletions.carry_out_one()
        arrived = self._arrived
        self._arrived = []
        return arrived

    def carry_out(self, order: Order) -> None:
        """Queue a job for the user's loop, queue the deletion of a checkpoint, or put an answer
        into an inbox.
        """
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
        """If a trial is in training, tell the trial to pause. If a trial's job is still queued,
        give the job back.
        """
        if order.trial in self._inboxes:
            self._inboxes[order.trial].append(order)
            return
        job = next(job for job in self._to_ask if job.trial == order.trial)
        self._to_ask.remove(job)
        self._arrive(hand_back(job))

    def _arrive(self, event: Event) -> None:
        force_setattr(event, "time", self.now())  # nobody else has this event
        self._arrived.append(event)

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(time.monotonic() + self._clock_offset, 6)

    def progress(self) -> Sequence[Progress]:
        """Return the trials' reports between rungs that have arrived since the last call."""
        progress = self._progress
        self._progress = []
        return progress

    def close(self, *, deletes: bool = True) -> None:
        """Carry out queued deletions. Jobs that have not ended are handed out again when the study
        is opened again.
        """
        if deletes:
            self._deletions.carry_out_all()


class OwnLoopEngine(Engine):
    """The engine for a user's own loop; see :class:`~ashtune.engines.Engine`. Users cannot choose
    this engine by name.

    Attributes:
        workers: The workers of the open session; None before the first session.
    """

    name = "own loop"

    def __init__(self) -> None:
        self.workers: AskedWorkers | None = None

    def worker_count(self, wanted: int | None) -> int:
        """Return the number of jobs that the user expects to take at the
        same time, by default 1.
        """
        return wanted or 1

    def open(self, brief: Brief) -> AskedWorkers:
        """Return the workers of a session. No worker has joined yet."""
        self.workers = AskedWorkers(brief)
        return self.workers


class DirectChannel:
    """Connects one job to a driver in the same thread. ``send`` returns after the driver has
    handled the message.

    Attributes:
        busy_seconds: The job's duration, if the user gave it; None to use the time since the job
            was taken.
        last: The last event that the job has sent.
    """

    def __init__(
        self, handle: Callable[[JobEvent | Progress], None], inbox: deque[ToWorker]
    ) -> None:
        self._handle = handle
        self._inbox = inbox
        self.busy_seconds: float | None = None
        self.last: JobEvent | None = None

    def send(self, message: FromWorker) -> None:
        """Pass a message to the driver. After a message ``Broken``, only the trial fails and the
        study continues, because the user decides whether to stop.
        """
        if isinstance(message, Broken):
            assert message.failure is not None, (
                "a loop of the user's own cannot tell that the study is to stop"
            )
            message = message.failure
        if isinstance(message, JobEvent):
            if self.busy_seconds is not None and not isinstance(message, TrialReleased):
                message = replace(message, seconds=self.busy_seconds)
            self.last = message
        assert isinstance(message, JobEvent | Progress), "a job sends nothing else"
        self._handle(message)

    def wait(self) -> None:
        """Return immediately. Raise StudyError if the driver's answer is missing because the driver
        was interrupted.
        """
        if not self._inbox:
            raise StudyError(
                "the study was interrupted during a result; close the study, and open it again"
            )

    def poll(self) -> ToWorker | None:
        """Return the driver's next answer, or None if there is no answer."""
        return self._inbox.popleft() if self._inbox else None
