"""Start worker processes on this machine, exchange messages with the workers, and replace workers
that die.

The driver has a pool (``local/local_workers.py``). Each MPI rank with a separate worker process and
each host of a cluster has one too, which ``relay.py`` connects with the driver.
"""

# Theory of operation
# -------------------
# One thread owns a pool. It calls send() with orders and wait() for messages. No other thread
# reads the pipes, so every duty that depends on time is done inside of wait(), at most every
# LIVENESS_CHECK_SECONDS.
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
# Who is to blame for a death? A worker may have several orders at once: the job that runs, and
# others behind it. Only the first can have killed it; Workload knows the order in which a worker
# trains. Where several trials train together (fused studies), nobody knows: all of them become
# suspects and are trained alone until one of them kills its worker or they end. This costs some
# seconds, and a trial that kills workers is found without any trial failing unjustly.
#
# What happens when
#
#   a process dies             wait() sees the end of its connection, or _check_liveness() sees
#                              the dead process: its children may keep the connection open. First
#                              the messages that it sent are read, since a result that was sent
#                              counts. Then WorkerLost is returned and the place is filled again.
#   it sends nonsense          (a training function that writes to our pipe, or a message above
#                              64 MiB.) It is killed and replaced; the study must not end because
#                              of one trial.
#   it sends half a message    it gets MESSAGE_SECONDS for the rest. A worker that was stopped by
#                              SIGSTOP or swapped out in the middle is killed then; without a
#                              limit the place would be lost forever.
#   the machine sleeps         AwakeClock does not count the time in which this process did not
#                              run, so no job is over its trial_timeout because the laptop was
#                              closed.
#   workers die when started   after three failed starts in a row, fatal_error ends the session:
#                              most likely the function cannot be loaded, and more processes would
#                              only fill the log. It ends too after several losses of workers that
#                              trained trials together, if no job ended meanwhile. fatal_error is
#                              only set here: the owner of the pool raises it, after it has handled
#                              the messages before it.
#   no process can be started  wait() raises OSError. The messages of that call are lost, so their
#                              jobs are trained again. The owner of the pool ends the session.
#   memory is short            see the table below.
#
#   memory                                          what is done
#   ----------------------------------------------  -----------------------------------------------
#   over SOFT_LIMIT, more than half of the limit    the trial is paused between two epochs and the
#   before                                          worker replaced: earlier trials left the memory
#                                                   behind, not this trial; once for each trial
#   over the limit, retry_alone                     the worker is killed; the trial is trained
#                                                   again while no other one runs, and may then use
#                                                   the memory of all places
#   over the limit otherwise                        the worker is killed; the trial fails, unless
#                                                   its worker held more than half of the limit
#                                                   before the trial began
#   killed by the kernel                            as over the limit; recognised by SIGKILL
#                                                   together with a new entry in the kernel's
#                                                   counter of such kills
#
# Trials that train alone need an order among jobs: _waiting holds the jobs that may not begin
# yet. A job that continues a trial in the memory of its worker never waits, since the worker
# would hold the memory meanwhile.

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ashtune._src.core.errors import EngineError, ObjectiveError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.numbers import bytes_text, plural
from ashtune._src.core.orders import Pause, Release
from ashtune._src.engines.awake import AwakeClock
from ashtune._src.engines.local.worker_process import SHUTDOWN_SECONDS, Host, WorkerProcess
from ashtune._src.engines.session_options import NO_LIMITS, Limits
from ashtune._src.engines.workload import WorkerMessage, Workload
from ashtune._src.processes.frames import FrameReader, FrameWriter
from ashtune._src.processes.memory import ProcessTable, kernel_kills
from ashtune._src.training.worker_messages import Assignment, Broken, FromWorker, JobEvent, Setup

FAILED_STARTS_ALLOWED = 2
LIVENESS_CHECK_SECONDS = 0.2
# Decision 72 (docs/decisions/0072-out-of-memory.md).
MEMORY_CHECK_SECONDS = 0.5
SOFT_LIMIT = 0.8
"""A worker that holds more than this fraction of its memory limit may be replaced between two
epochs.
"""
KERNEL_KILL_SECONDS = 30.0
"""The longest time from a kill by the kernel to the end of the process, as its memory is freed
first.
"""
KILLED = "killed by SIGKILL"
FEWER_WANTED = "fewer were wanted"
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
        self.reader = FrameReader()
        self.has_joined = False
        self.starting_since: float | None = now
        self.training_since: float | None = None
        self.saving_since: float | None = None
        self.why_leaving = ""
        """Why the worker will be dismissed after its job; "" if it stays."""
        self.is_alone = False
        """Whether the worker's last job must be trained alone."""
        self.held = self.held_before = self.most_held = 0
        """The bytes of memory that the worker's processes held at the last check, before its last
        trial began (at most), and at most since then (0 before the first check).
        """
        self.message_since: float | None = None


class ProcessPool:
    """A pool of worker processes. Each worker process fills one place, which has its own
    environment variables.

    Args:
        setup: The first message to every worker, in which the pool sets the worker's own number.
        next_number: Returns the number of a new worker; all numbers are different. While it returns
            None, no worker starts, and :meth:`resize` starts the missing workers later.
        environments: For each place, the environment variables that its worker gets in addition.
        limits: A worker that exceeds a limit is killed, and its trial fails or is given to another
            worker.

    Raises:
        OSError: If no process can be started. :meth:`wait` also raises this error, as it replaces
            workers that die.
    """

    def __init__(
        self,
        setup: Setup,
        logs: Path,
        *,
        next_number: Callable[[], int | None],
        environments: Sequence[Mapping[str, str]],
        limits: Limits = NO_LIMITS,
        host: Host | None = None,
    ) -> None:
        self._setup = setup
        self._logs = logs
        self._next_number = next_number
        self._limits = limits
        self._host = host or Host()
        self._writer = FrameWriter()
        self._decoder = msgspec.msgpack.Decoder(FromWorker)
        self._workers: dict[WorkerId, Worker] = {}
        self._suspects: set[TrialId] = set()  # see Workload
        self._failed_starts = 0
        # workers that died with several jobs since the last end of a job
        self._losses_without_result = 0
        self._places = len(environments)
        self.fatal_error: ObjectiveError | None = None
        """The reason to start no more workers; set after several workers have died before their
        first job.
        """
        self._awake = AwakeClock(self._host.now())
        self._has_leavers = False
        # each with the time until which it may end by itself
        self._dismissed: list[tuple[WorkerProcess, float]] = []
        self._last_liveness_check = self._last_memory_check = self._last_kernel_check = 0.0
        # at the last two times that were KERNEL_KILL_SECONDS apart
        self._kernel_kills = (kernel_kills(),) * 2
        self._waiting: list[Assignment] = []  # jobs that wait for a trial that trains alone
        self._paused: list[WorkerMessage] = []  # the jobs that were paused while they waited
        # the trials that were paused once to replace their worker
        self._moved: set[TrialId] = set()
        try:
            for place, environment in enumerate(environments):
                self._start_worker(environment, place)
        except OSError:
            self.close()
            raise

    @property
    def are_busy(self) -> bool:
        """Whether any worker has a job or is saving a trial."""
        return any(
            w.training_since is not None or w.saving_since is not None
            for w in self._workers.values()
        )

    @property
    def have_news(self) -> bool:
        """Whether any worker has sent data that the pool has not read yet."""
        return bool(self._host.ready(0))

    @property
    def files(self) -> set[int]:
        """The file descriptors of the connections to the workers."""
        return {worker.process.file for worker in self._workers.values()}

    @property
    def pids(self) -> list[int]:
        """The process numbers."""
        return [worker.process.pid for worker in self._workers.values()]

    def send(self, number: WorkerId, message: Assignment | Release | Pause) -> None:
        """Send a message to a worker. If the worker has died, drop the message. Then :meth:`wait`
        reports the loss.
        """
        if not self._limits.retry_alone:
            self._send_now(number, message)
        elif isinstance(message, Assignment):
            self._waiting.append(message)
            self._send_waiting()
        elif isinstance(message, Pause) and (
            jobs := [job for job in self._waiting if job.trial == message.trial]
        ):
            self._waiting.remove(jobs[0])
            self._paused.append(_paused_before_it_began(jobs[0]))
        else:
            self._send_now(number, message)

    def _send_waiting(self) -> None:
        """Send the jobs that need not wait any more. The jobs of workers that are lost are given to
        other workers.
        """
        jobs = self._waiting
        self._waiting = []
        for job in jobs:
            if job.worker in self._workers and self._must_wait(job):
                self._waiting.append(job)
            else:
                self._send_now(job.worker, job)

    def _must_wait(self, job: Assignment) -> bool:
        """Return whether a job waits, because a trial trains alone, or a trial before it waits
        until it is alone.

        A trial that is in the memory of a worker continues without waiting.
        """
        busy = [worker for worker in self._workers.values() if not worker.workload.is_free]
        is_to_be_alone = job.alone or job.trial in self._suspects
        is_blocked = (
            self._waiting or any(worker.is_alone for worker in busy) or (is_to_be_alone and busy)
        )
        return bool(is_blocked) and not job.in_place

    def _send_now(self, number: WorkerId, message: Assignment | Release | Pause) -> None:
        worker = self._workers.get(number)
        if worker is None:
            return
        if isinstance(message, Assignment):
            if worker.workload.take(message):
                message = msgspec.structs.replace(message, alone=True)
            if not message.in_place:
                worker.is_alone, worker.held_before, worker.most_held = (
                    message.alone,
                    worker.held,
                    0,
                )
            if worker.training_since is None:
                worker.training_since = self._awake.seconds
        else:
            worker.workload.obey(message)
            if isinstance(message, Release):
                worker.saving_since = self._awake.seconds
        self._host.send(worker.process, self._writer.frame(message))

    def wait(self, seconds: float) -> list[WorkerMessage]:
        """Wait at most ``seconds`` for messages from workers. Return the messages, the oldest
        first.
        """
        messages = self._paused
        self._paused = []
        ready = self._host.ready(0.0 if messages else seconds)
        self._awake.look(self._host.now(), slept=seconds)
        for process in ready:
            if (worker := self._workers.get(process.worker)) is not None:
                messages += self._listen(worker)
        if self._has_leavers:
            messages += self._dismiss_the_idle()
        if self._waiting:
            self._send_waiting()
        if self._awake.seconds - self._last_liveness_check >= LIVENESS_CHECK_SECONDS:
            self._last_liveness_check = self._awake.seconds
            messages += self._check_liveness()
        return messages

    @property
    def train_together(self) -> bool:
        """Whether any worker trains several jobs at the same time."""
        return any(worker.workload.trains_together for worker in self._workers.values())

    def resize(self, environments: Sequence[Mapping[str, str]]) -> None:
        """Change the number of worker processes to the number of ``environments``.

        A surplus worker is dismissed immediately if it is idle, and at the end of its job if it is
        busy. Idle workers are dismissed before busy workers, and young workers before old workers.

        Raises:
            OSError: If no more processes can be started. Processes that have already started
                continue to run.
        """
        self._places = len(environments)
        workers = sorted(
            self._workers.values(), key=lambda each: (each.workload.is_free, each.number)
        )
        for place, worker in enumerate(workers):
            if place >= self._places or worker.why_leaving == FEWER_WANTED:
                worker.why_leaving = FEWER_WANTED if place >= self._places else ""
        self._has_leavers = any(worker.why_leaving for worker in workers)
        taken = {worker.place for worker in workers}
        free = [place for place in range(self._places) if place not in taken]
        for place in free[: max(0, self._places - len(workers))]:
            self._start_worker(environments[place], place)

    def close(self) -> None:
        """End all worker processes. Idle workers end by themselves, and busy workers are killed."""
        for worker in self._workers.values():
            worker.process.hang_up()
            if worker.training_since is not None or not worker.has_joined:
                worker.process.kill()
        deadline = self._host.now() + SHUTDOWN_SECONDS
        for process in (
            *(worker.process for worker in self._workers.values()),
            *dict(self._dismissed),
        ):
            process.end(max(0.0, deadline - self._host.now()))
        self._workers.clear()
        self._dismissed.clear()

    def _start_worker(self, environment: Mapping[str, str], place: int) -> None:
        if (found := self._next_number()) is None:
            return
        number = WorkerId(found)
        process = self._host.start(number, self._logs, environment, self._setup.processes)
        self._workers[number] = Worker(
            process, environment, place, Workload(self._suspects), self._awake.seconds
        )
        self._host.send(
            process, self._writer.frame(msgspec.structs.replace(self._setup, worker=number))
        )

    def _listen(self, worker: Worker) -> list[WorkerMessage]:
        """Read and return a worker's messages. If a message is invalid, kill and replace the
        worker.
        """
        messages: list[WorkerMessage] = []
        is_retried = self._limits.retry_alone and not worker.is_alone
        try:
            for body in (bodies := worker.reader.take(worker.process.read())):
                message = self._decoder.decode(body)
                if is_retried and isinstance(message, JobFailed) and message.is_out_of_memory:
                    worker.process.kill()
                    return messages + self._lose(worker, message.reason, is_out_of_memory=True)
                most_held = worker.most_held
                if complaint := self._accept(worker, message):
                    raise EngineError(complaint)
                if (
                    self._limits.memory
                    and isinstance(message, JobFinished)
                    and not worker.workload.trains_together
                ):
                    share = round(most_held / self._limits.memory, 4)
                    message = msgspec.structs.replace(message, memory_share=share)
                messages.append(message)
                if (
                    worker.why_leaving
                    and isinstance(message, JobEvent)
                    and not getattr(message, "held", False)
                ):
                    return [*messages, self._dismiss(worker)]
        except EOFError:
            return messages + self._lose(worker)
        except (EngineError, msgspec.MsgspecError) as error:
            worker.process.kill()
            return messages + self._lose(worker, f"sent what does not fit: {error}")
        if bodies or not worker.reader.is_in_a_message:
            worker.message_since = None
        if worker.reader.is_in_a_message and worker.message_since is None:
            worker.message_since = self._awake.seconds
        return messages

    def _accept(self, worker: Worker, message: FromWorker) -> str:
        """Take in a message. Return an error message if this worker cannot have sent it, or else an
        empty string.
        """
        if message.worker != worker.number:
            return f"it speaks as worker {message.worker}"
        if not worker.has_joined and isinstance(message, WorkerJoined):
            worker.has_joined = True
            worker.starting_since = None
            self._failed_starts = 0
            return ""
        if not worker.has_joined and not isinstance(message, Broken):
            return "it speaks before it has joined"
        if complaint := worker.workload.accept(message):
            return complaint
        if isinstance(message, TrialReleased):
            worker.saving_since = None
            self._begin_next(worker)
        elif isinstance(message, (JobFinished, JobPaused, JobFailed, TrialWithdrawn, Broken)):
            self._losses_without_result = 0
            self._begin_next(worker)
        return ""

    def _begin_next(self, worker: Worker) -> None:
        worker.training_since = self._awake.seconds if worker.workload else None
        if (limit := self._limits.memory) and not worker.workload.holds:
            worker.most_held = 0
            # measured while the worker held an earlier trial
            if max(worker.held, worker.held_before) > limit / 2:
                worker.held = worker.held_before = ProcessTable().memory(worker.process.pid)

    def _check_liveness(self) -> list[WorkerMessage]:
        """Replace workers that have died or exceeded a time limit. Return the last messages of
        these workers.
        """
        messages: list[WorkerMessage] = []
        self._end_the_dismissed()
        for worker in list(self._workers.values()):
            if worker.process.is_dead:
                messages += self._read_to_the_end(worker)
            else:
                messages += self._overdue(worker)
        if (
            limit := self._limits.memory
        ) and self._awake.seconds - self._last_memory_check >= MEMORY_CHECK_SECONDS:
            self._last_memory_check = self._awake.seconds
            messages += self._check_memory(limit)
        if self._awake.seconds - self._last_kernel_check >= KERNEL_KILL_SECONDS:
            self._last_kernel_check = self._awake.seconds
            self._kernel_kills = (self._kernel_kills[1], kernel_kills())
        return messages

    def _check_memory(self, limit: int) -> list[WorkerMessage]:
        """Replace the workers whose processes hold more memory than the limit.

        A trial that trains alone may use the memory of all workers, except for the memory that the
        others hold. A trial is not to blame if its worker held more than half of the limit before.
        """
        table = ProcessTable()
        workers = list(self._workers.values())
        messages = list[WorkerMessage]()
        for worker in workers:
            worker.held = table.memory(worker.process.pid, exact_above=limit)
            worker.held_before = min(worker.held_before, worker.held)
            worker.most_held = max(worker.most_held, worker.held)
        for worker in workers:
            is_shared = self._limits.retry_alone and worker.is_alone
            if worker.held > limit and not (
                is_shared and sum(each.held for each in workers) <= limit * self._places
            ):
                worker.process.kill()
                many = f" for each of {plural(self._places, 'worker')}" if is_shared else ""
                reason = f"over its memory_limit of {bytes_text(limit)}{many}"
                is_fatal = not self._limits.retry_alone and worker.held_before <= limit / 2
                messages += self._lose(worker, reason, is_fatal=is_fatal, is_out_of_memory=True)
            elif (
                worker.held > SOFT_LIMIT * limit
                and worker.held_before > limit / 2
                and not is_shared
            ):
                self._replace_between_epochs(worker, table, limit)
        return messages

    def _replace_between_epochs(self, worker: Worker, table: ProcessTable, limit: int) -> None:
        """Pause the trial of a worker over the soft limit, so that the trial continues without what
        earlier trials left.

        A trial is paused only once, as it may need that much memory by itself.
        """
        for trial in (
            set(worker.workload.trials) - self._moved if not worker.workload.trains_together else ()
        ):
            if (held := table.memory(worker.process.pid)) > SOFT_LIMIT * limit:
                self._moved.add(trial)
                worker.why_leaving = (
                    f"it held {bytes_text(held)} of its memory_limit of {bytes_text(limit)}"
                )
                self._has_leavers = True
                self._send_now(worker.number, Pause(worker.number, trial))

    def _read_to_the_end(self, worker: Worker) -> list[WorkerMessage]:
        """Read a dead worker's last messages, then report its loss. Its children may keep the
        connection open.
        """
        messages: list[WorkerMessage] = []
        while worker.number in self._workers and worker.process.has_more:
            messages += self._listen(worker)
        if worker.number in self._workers:
            messages += self._lose(worker)
        return messages

    def _overdue(self, worker: Worker) -> list[WorkerMessage]:
        """Kill a worker that exceeds the time limit for its start, its job, the release of a trial,
        or one message.
        """
        now = self._awake.seconds
        if worker.message_since is not None:
            if now <= worker.message_since + MESSAGE_SECONDS:
                return []  # its result may be arriving
            worker.process.kill()
            return self._lose(
                worker, f"sent a part of a message and nothing more for {MESSAGE_SECONDS:g} s"
            )
        if worker.starting_since is not None and now > worker.starting_since + START_SECONDS:
            worker.process.kill()
            return self._lose(worker, f"did not start within {START_SECONDS:g} s")
        if (timeout := self._limits.seconds) is None:
            return []
        is_saving = worker.saving_since is not None and now > worker.saving_since + timeout
        is_training = worker.training_since is not None and now > worker.training_since + timeout
        if not (is_saving or is_training):
            return []
        worker.process.kill()
        is_fatal = worker.saving_since is None
        reason = f"over its trial_timeout of {timeout:g} s" + ("" if is_fatal else " while saving")
        return self._lose(worker, reason, is_fatal=is_fatal)

    def _fill_place(self, worker: Worker) -> None:
        if (
            worker.why_leaving != FEWER_WANTED
            and sum(not each.why_leaving for each in self._workers.values()) < self._places
        ):
            self._start_worker(worker.environment, worker.place)

    def _dismiss_the_idle(self) -> list[WorkerMessage]:
        leavers = [worker for worker in self._workers.values() if worker.why_leaving]
        self._has_leavers = bool(leavers)
        return [self._dismiss(worker) for worker in leavers if worker.workload.is_free]

    def _dismiss(self, worker: Worker) -> WorkerMessage:
        """Dismiss a worker. Jobs that were sent to the worker just before its dismissal are given
        to other workers.
        """
        self._host.forget(worker.process)
        del self._workers[worker.number]
        worker.process.hang_up()
        self._dismissed.append((worker.process, self._awake.seconds + SHUTDOWN_SECONDS))
        self._fill_place(worker)
        return WorkerLost(
            time=0,
            worker=worker.number,
            reason=f"dismissed, as {worker.why_leaving}",
            is_dismissed=True,
        )

    def _end_the_dismissed(self) -> None:
        """Forget dismissed workers whose processes have ended. Kill dismissed workers after
        ``SHUTDOWN_SECONDS``.
        """
        staying = []
        for process, until in self._dismissed:
            if process.is_dead or self._awake.seconds > until:
                process.end(0.0)
            else:
                staying.append((process, until))
        self._dismissed = staying

    def _lose(
        self,
        worker: Worker,
        reason: str = "",
        *,
        is_fatal: bool = False,
        is_out_of_memory: bool = False,
    ) -> list[WorkerMessage]:
        """Replace a lost worker. Trials that the worker trained together are trained one at a time
        from now on.
        """
        self._host.forget(worker.process)
        del self._workers[worker.number]
        how = worker.process.end()
        if not reason and how == KILLED and kernel_kills() > self._kernel_kills[0]:
            how = "killed by the kernel, as no memory was left"
            is_out_of_memory = True
        workload = worker.workload
        workload.lose()
        job = None if worker.saving_since is not None else workload.to_blame
        lost = WorkerLost(
            time=0,
            worker=worker.number,
            reason=reason or how,
            trial=job.trial if job else None,
            rung=job.rung if job else 0,
            is_fatal=is_fatal and job is not None,
            is_out_of_memory=is_out_of_memory,
            last_words=worker.process.last_words() if job else "",
        )
        how = reason or how
        self._failed_starts += not worker.has_joined
        self._losses_without_result += bool(workload.suspects) and job is None
        if self._failed_starts > FAILED_STARTS_ALLOWED:
            self.fatal_error = ObjectiveError(
                f"workers end before their first job ({how}); see {worker.process.log}"
            )
        elif self._losses_without_result > FAILED_STARTS_ALLOWED + 2 * self._places:
            self.fatal_error = ObjectiveError(
                f"workers end before any job does ({how}); see {worker.process.log}"
            )
        else:
            self._fill_place(worker)
        return [lost]


def _paused_before_it_began(job: Assignment) -> JobPaused:
    return JobPaused(
        0,
        worker=job.worker,
        trial=job.trial,
        rung=job.rung,
        seconds=0,
        resource=job.start,
        start=job.start,
    )
