"""The driver's orders to workers: which orders each worker has received and answered, how long each
order may take, and which jobs may not be sent yet.
"""

# Theory of operation
# -------------------
# A pool (``local/pool.py``) has one Worker for each process. obey() records an order before the
# pool sends it, read() and accept() record what the process sends, and why_overdue() compares both
# with the clock. Nothing here reads a clock or ends a process. The pool does both, so the states
# can be followed without a clock and without a process.
#
# A worker passes through these states:
#
#   state     begins when                ends when                  after a death it counts as
#   --------  -------------------------  -------------------------  ------------------------------
#   starting  the process is made        WorkerJoined, or           a failed start
#                                        START_SECONDS
#   idle      it joined, or its job      a job is sent              nothing
#             ended
#   training  a job is sent; the field   a result, failure, pause   a death of its first job
#             is training_since
#   holding   a result with ``held``     the next order for the     nothing: its result counted
#                                        trial
#   saving    a Release is sent; the     TrialReleased              a lost checkpoint
#             field is saving_since
#   leaving   why_leaving is set         its job ends; then it is   as its state above
#                                        dismissed
#
# training_since is the start of the job that runs. A queued job begins when the job before it ends,
# so accept() sets training_since again: the time in which a job waits must not count towards its
# trial_timeout.
#
# Who is to blame for a death? A worker may have several orders at once: the job that runs, and
# others behind it. Only the job that runs can have killed the worker; Workload knows the order in
# which a worker trains. Where several trials train together (fused studies), nobody knows: all of
# them become suspects and are trained alone until one of them kills its worker or they end. This
# costs some seconds, and a trial that kills workers is found without any trial failing unjustly.
#
# Trials that train alone need an order among jobs: WaitingJobs has the jobs that may not begin yet.
# The pool asks WaitingJobs for jobs after each order to train and in each wait(), as every end of a
# job may let another begin. A job that continues a trial in the memory of its worker never waits,
# since the worker would hold the memory meanwhile.

from collections.abc import Iterator, Mapping

import msgspec

from ashtune._src.core.events import TrialReleased, WorkerJoined
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Release
from ashtune._src.engines.local.worker_process import WorkerProcess
from ashtune._src.engines.workload import Workload
from ashtune._src.processes.frames import FrameReader
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    JobEvent,
    TrialOrder,
)

MESSAGE_SECONDS = 10.0
"""The longest time from the first byte of a message to its last byte."""
START_SECONDS = 600.0
"""The longest time that a worker may take to load the training function."""


class Worker:
    """The pool's record of one worker: its process, its jobs, and the start times of its
    activities.
    """

    def __init__(
        self,
        process: WorkerProcess,
        environment: Mapping[str, str],
        place: int,
        workload: Workload,
        now: float,
    ) -> None:
        self.number = process.worker
        self.process = process
        self.environment = environment
        self.place = place
        self.workload = workload
        self._reader = FrameReader()
        self.has_joined = False
        self.starting_since: float | None = now
        self.training_since: float | None = None
        self.saving_since: float | None = None
        self.message_since: float | None = None
        self.why_leaving = ""
        """Why the worker will be dismissed after its job; "" if it stays."""
        self.is_alone = False
        """Whether the worker's last job must be trained alone."""
        self.held = self.held_before = self.most_held = 0
        """Three numbers of bytes that the worker's processes held: at the last check, before the
        last trial began (at most), and at most since then (0 before the first check).

        See ``memory_rules.py``.
        """

    @property
    def is_busy(self) -> bool:
        """Whether the worker has a job or is saving a trial."""
        return self.training_since is not None or self.saving_since is not None

    def obey(self, order: TrialOrder, now: float) -> TrialOrder:
        """Record an order that is sent at the time ``now``. Return the order to send, in which
        ``alone`` may have been set.
        """
        if not isinstance(order, Assignment):
            self.workload.obey(order)
            if isinstance(order, Release):
                self.saving_since = now
            return order
        if self.workload.take(order):
            order = msgspec.structs.replace(order, alone=True)
        if not order.in_place:
            self.is_alone = order.alone
            self.held_before = self.held
            self.most_held = 0
        if self.training_since is None:
            self.training_since = now
        return order

    def read(self, now: float) -> list[bytes]:
        """Return the bodies of the messages that have arrived, and record whether another message
        is incomplete.

        Raises:
            EOFError: If the process has closed the connection.
            EngineError: If the received data is no message.
        """
        bodies = self._reader.take(self.process.read())
        if not self._reader.is_in_a_message:
            self.message_since = None
        elif bodies or self.message_since is None:
            self.message_since = now
        return bodies

    def accept(self, message: FromWorker, now: float) -> str:
        """Record a message. Return an error message if this worker cannot have sent the message, or
        else an empty string.
        """
        if message.worker != self.number:
            return f"it sent a message as worker {message.worker}"
        if not self.has_joined and isinstance(message, WorkerJoined):
            self.has_joined = True
            self.starting_since = None
            return ""
        if not self.has_joined and not isinstance(message, Broken):
            return "it sent a message before it joined"
        complaint = self.workload.accept(message)
        if complaint:
            return complaint
        if isinstance(message, TrialReleased):
            self.saving_since = None
        if isinstance(message, JobEvent | Broken):
            self.training_since = now if self.workload else None
        return ""

    def why_overdue(self, now: float, job_seconds: float | None) -> str:
        """Return which time limit the worker exceeds, for its start, its job, the release of a
        trial, or one message. If no time limit is exceeded, return an empty string.
        """
        if self.message_since is not None:
            if now <= self.message_since + MESSAGE_SECONDS:
                return ""  # its result may be arriving
            return f"sent a part of a message and nothing more for {MESSAGE_SECONDS:g} s"
        if self.starting_since is not None and now > self.starting_since + START_SECONDS:
            return f"did not start within {START_SECONDS:g} s"
        begun = [each for each in (self.saving_since, self.training_since) if each is not None]
        if job_seconds is None or not begun or now <= min(begun) + job_seconds:
            return ""
        doing = "" if self.saving_since is None else " while saving"
        return f"over its trial_timeout of {job_seconds:g} s{doing}"


class WaitingJobs:
    """The jobs that may not begin yet, because a trial trains alone, or waits to train alone.

    Args:
        workers: The workers of the pool.
        suspects: The trials that train alone because one of them may have killed a worker.
    """

    def __init__(self, workers: Mapping[WorkerId, Worker], suspects: set[TrialId]) -> None:
        self._workers = workers
        self._suspects = suspects
        self._jobs: list[Assignment] = []

    def add(self, job: Assignment) -> None:
        """Add a job behind the others."""
        self._jobs.append(job)

    def pop(self, trial: TrialId) -> Assignment | None:
        """Remove and return the job of a trial; None if no job of the trial waits."""
        job = next((job for job in self._jobs if job.trial == trial), None)
        if job is not None:
            self._jobs.remove(job)
        return job

    def ready(self) -> Iterator[Assignment]:
        """Yield the jobs that need not wait any more.

        Send each job before you ask for the next job, because the next job may have to wait until
        the sent job ends.

        The job of a lost worker is yielded too, but the pool does not send this job, because
        another worker gets it.
        """
        jobs = self._jobs
        self._jobs = []
        for job in jobs:
            if job.worker in self._workers and self._must_wait(job):
                self._jobs.append(job)
            else:
                yield job

    def _must_wait(self, job: Assignment) -> bool:
        if job.in_place:
            return False
        busy = [worker for worker in self._workers.values() if not worker.workload.is_free]
        is_to_be_alone = job.alone or job.trial in self._suspects
        # Jobs keep their order: otherwise, later jobs could always begin first, and a trial that
        # must train alone would wait forever.
        return bool(self._jobs) or any(is_to_be_alone or worker.is_alone for worker in busy)
