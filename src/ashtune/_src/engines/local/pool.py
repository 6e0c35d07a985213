"""Start worker processes on this machine, exchange messages with the workers, and replace workers
that die.

The driver has a pool (``local/local_workers.py``). Each host of a cluster also has a pool, and so
has each MPI rank with a separate worker process. ``relay.py`` connects these pools with the driver.
"""

# Theory of operation
# -------------------
# One thread owns a pool. This thread calls send() with orders and wait() for messages. No other
# thread reads the pipes, so every duty that depends on time is done inside of wait(), at most every
# LIVENESS_CHECK_SECONDS.
#
# The last call of resize() has set the number of places of a pool. A place has its environment
# variables (cores, GPUs), and at most one worker that stays. A worker that is lost, or that leaves
# a place that is still wanted, is replaced there by a new one with another number, so that an order
# to the old worker never reaches the new one.
#
# Two modules decide for the pool, and neither starts or ends a process: ``worker_orders.py`` has
# the states of a worker, its time limits, and the jobs that wait until a trial may train alone;
# ``memory_rules.py`` has what is done if memory is short.
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
#   workers die when started   after three failed starts in a row, fatal_error is set: most likely
#                              the function cannot be loaded, and more processes would only fill
#                              the log. It is set too after several losses of workers that trained
#                              trials together, if no job ended meanwhile. The pool starts no more
#                              workers then. Its owner raises the error, after it has handled the
#                              earlier messages. The local engine ends the session. A host of a
#                              cluster or an MPI rank tells the driver that it cannot train, and the
#                              study continues if others train or may still join.
#   no process can be started  wait() raises OSError. The messages of that call are lost, so their
#                              jobs are trained again. The owner acts as for fatal_error.
#   a result comes twice       Worker.accept() compares each message with the orders. What fits no
#                              order is treated as nonsense, before the owner hears of it.
#   an order is late           send() drops an order to a worker that has gone; its WorkerLost comes
#                              from wait(). A worker ignores a Pause for a job that it has ended.
#   a worker does not read     send() does not wait: the rest of an order stays in memory, and later
#                              calls of wait() send it. Only for the end of a lost process wait()
#                              itself waits, up to SHUTDOWN_SECONDS.
#   memory is short            if the function raises such an error and the trial may train again
#                              alone, the worker is killed and reported as lost, so the trial does
#                              not fail. Otherwise the failure counts.
#   the driver dies            the guardian of each worker kills it with all its children
#                              (``worker/guardian.py``). On other systems the worker itself looks.
#   fewer workers are wanted   resize() lets idle workers go before busy ones. A busy one goes when
#                              its job has ended and it holds no trial: after a held result it may
#                              train this trial on through further rungs. A dismissed process gets
#                              SHUTDOWN_SECONDS to end by itself; the pool does not wait for it,
#                              except in close().

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ashtune._src.core.errors import EngineError, ObjectiveError
from ashtune._src.core.events import JobFailed, TrialReleased, WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Pause
from ashtune._src.core.process import Environment
from ashtune._src.engines.awake import AwakeClock
from ashtune._src.engines.local.memory_rules import MemoryRules
from ashtune._src.engines.local.worker_orders import WaitingJobs, Worker
from ashtune._src.engines.local.worker_process import SHUTDOWN_SECONDS, Host, WorkerProcess
from ashtune._src.engines.session_options import NO_LIMITS, Limits
from ashtune._src.engines.workload import WorkerMessage, Workload, hand_back
from ashtune._src.processes.frames import FrameWriter
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    JobEvent,
    Setup,
    TrialOrder,
)

FAILED_STARTS_ALLOWED = 2
LIVENESS_CHECK_SECONDS = 0.2
KILLED = "killed by SIGKILL"
FEWER_WANTED = "fewer workers were wanted"


class ProcessPool:
    """A pool of worker processes. Each worker process fills one place, which has its own
    environment variables.

    Args:
        setup: The first message to every worker, in which the pool sets the worker's own number.
        next_number: A function that returns the number of a new worker; all numbers are different.
            While the function returns None, no worker starts, and :meth:`resize` starts the missing
            workers later.
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
        environments: Sequence[Environment],
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
        """The reason to start no more workers.

        It is set after several workers have died before their first job. It is also set after
        several workers have died while they trained trials together, if no job ended meanwhile.
        """
        self._awake = AwakeClock(self._host.now())
        self._has_leavers = False
        # each with the time until which it may end by itself
        self._dismissed: dict[WorkerProcess, float] = {}
        self._last_liveness_check = 0.0
        self._memory = MemoryRules(limits)
        self._waiting = WaitingJobs(self._workers, self._suspects)
        self._paused: list[WorkerMessage] = []  # the jobs that were paused while they waited
        try:
            for place, environment in enumerate(environments):
                self._start_worker(environment, place)
        except OSError:
            self.close()
            raise

    @property
    def are_busy(self) -> bool:
        """Whether any worker has a job or is saving a trial."""
        return any(worker.is_busy for worker in self._workers.values())

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

    def send(self, number: WorkerId, message: TrialOrder) -> None:
        """Send a message to a worker. If the worker has died, drop the message. Then :meth:`wait`
        reports the loss.
        """
        if self._limits.retry_alone and isinstance(message, Assignment):
            self._waiting.add(message)
            self._send_waiting()
            return
        # The job to pause may not have been sent yet. The pause cannot wait for it, because a batch
        # job may end soon.
        job = self._waiting.pop(message.trial) if isinstance(message, Pause) else None
        if job is None:
            self._send_now(number, message)
        else:
            self._paused.append(hand_back(job))

    def _send_waiting(self) -> None:
        for job in self._waiting.ready():
            self._send_now(job.worker, job)

    def _send_now(self, number: WorkerId, message: TrialOrder) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            message = worker.obey(message, self._awake.seconds)
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
            # a message before may have ended this worker
            worker = self._workers.get(process.worker)
            if worker is not None:
                messages += self._listen(worker)
        if self._has_leavers:
            messages += self._dismiss_the_idle()
        self._send_waiting()
        if self._awake.seconds - self._last_liveness_check >= LIVENESS_CHECK_SECONDS:
            self._last_liveness_check = self._awake.seconds
            messages += self._check_liveness()
        return messages

    @property
    def train_together(self) -> bool:
        """Whether any worker trains several jobs at the same time."""
        return any(worker.workload.trains_together for worker in self._workers.values())

    def resize(self, environments: Sequence[Environment]) -> None:
        """Change the number of worker processes to the number of ``environments``.

        An idle surplus worker is dismissed in the next :meth:`wait`. A busy surplus worker is
        dismissed when its job has ended and it holds no trial. A surplus worker that holds a trial
        may first train this trial to higher rungs. Idle workers are dismissed before busy workers,
        and young workers before old workers.

        Raises:
            OSError: If no more processes can be started. Processes that have already started
                continue to run.
        """
        self._places = len(environments)
        workers = sorted(
            self._workers.values(), key=lambda each: (each.workload.is_free, each.number)
        )
        for worker in workers[self._places :]:
            worker.why_leaving = FEWER_WANTED
        for worker in workers[: self._places]:
            if worker.why_leaving == FEWER_WANTED:
                worker.why_leaving = ""
        self._has_leavers = any(worker.why_leaving for worker in workers)
        taken = {worker.place for worker in workers}
        free = [place for place in range(self._places) if place not in taken]
        for place in free[: max(0, self._places - len(workers))]:
            self._start_worker(environments[place], place)

    def close(self) -> None:
        """End all worker processes.

        Workers that train, or that have not joined yet, are killed immediately. All other workers,
        including workers that are saving, must end by themselves within ``SHUTDOWN_SECONDS``. After
        that time, they are killed. Messages of workers are not read any more.
        """
        for worker in self._workers.values():
            worker.process.hang_up()
            # these would not see the end of the connection soon: they train, or load the function
            if worker.training_since is not None or not worker.has_joined:
                worker.process.kill()
            self._dismissed[worker.process] = 0.0
        deadline = self._host.now() + SHUTDOWN_SECONDS
        for process in self._dismissed:
            process.end(max(0.0, deadline - self._host.now()))
        self._workers.clear()
        self._dismissed.clear()

    def _start_worker(self, environment: Environment, place: int) -> None:
        found = self._next_number()
        if found is None:
            return
        number = WorkerId(found)
        process = self._host.start(number, self._logs, environment, self._setup.processes)
        self._workers[number] = Worker(
            process, environment, place, Workload(self._suspects), self._awake.seconds
        )
        self._host.send(process, self._writer.frame(replace(self._setup, worker=number)))

    def _listen(self, worker: Worker) -> list[WorkerMessage]:
        """Read and return a worker's messages. If a message is invalid, kill and replace the
        worker.
        """
        messages = list[WorkerMessage]()
        is_retried = self._limits.retry_alone and not worker.is_alone
        now = self._awake.seconds
        try:
            for body in worker.read(now):
                # before _note(), which begins to count for the next trial
                message = self._memory.with_share(self._decoder.decode(body), worker)
                if is_retried and isinstance(message, JobFailed) and message.is_out_of_memory:
                    # A failure would end the trial. If the worker is lost instead, the controller
                    # assigns the job again, and the trial trains alone.
                    worker.process.kill()
                    return messages + self._lose(worker, message.reason, is_out_of_memory=True)
                complaint = worker.accept(message, now)
                if complaint:
                    raise EngineError(complaint)
                self._note(worker, message)
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
            return messages + self._lose(worker, f"sent an invalid message: {error}")
        return messages

    def _note(self, worker: Worker, message: FromWorker) -> None:
        """Note what an accepted message says about the pool: that workers can start, that jobs can
        end, and that a trial has left the memory.
        """
        if isinstance(message, WorkerJoined):
            self._failed_starts = 0
        elif isinstance(message, JobEvent | Broken):
            if not isinstance(message, TrialReleased):
                self._losses_without_result = 0
            if not worker.workload.holds:
                self._memory.end_trial(worker)

    def _check_liveness(self) -> list[WorkerMessage]:
        """Replace workers that have died or exceeded a time limit. Return the last messages of
        these workers.
        """
        messages = list[WorkerMessage]()
        self._end_the_dismissed()
        for worker in list(self._workers.values()):
            if worker.process.is_dead:
                messages += self._read_to_the_end(worker)
            else:
                messages += self._overdue(worker)
        return messages + self._check_memory()

    def _check_memory(self) -> list[WorkerMessage]:
        """Kill or replace the workers whose processes hold too much memory."""
        messages = list[WorkerMessage]()
        rules = self._memory
        workers = list(self._workers.values())
        table = rules.look(workers, self._awake.seconds)
        if table is None:
            return messages
        for worker in workers:
            reason = rules.why_over(worker, self._places)
            if reason:
                worker.process.kill()
                messages += self._lose(
                    worker, reason, is_fatal=rules.is_to_blame(worker), is_out_of_memory=True
                )
                continue
            for trial in rules.trials_to_move(worker, table):
                self._has_leavers = True
                self._send_now(worker.number, Pause(worker.number, trial))
        return messages

    def _read_to_the_end(self, worker: Worker) -> list[WorkerMessage]:
        """Read a dead worker's last messages, then report its loss.

        The worker's children may keep the connection open.
        """
        messages = list[WorkerMessage]()
        while worker.number in self._workers and worker.process.has_more:
            messages += self._listen(worker)
        if worker.number in self._workers:
            messages += self._lose(worker)
        return messages

    def _overdue(self, worker: Worker) -> list[WorkerMessage]:
        """Kill a worker that exceeds a time limit."""
        reason = worker.why_overdue(self._awake.seconds, self._limits.seconds)
        if not reason:
            return []
        worker.process.kill()
        # A trial is to blame only if its job takes too long. A start or a release that takes too
        # long blames no job.
        return self._lose(worker, reason, is_fatal=worker.message_since is None)

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
        self._dismissed[worker.process] = self._awake.seconds + SHUTDOWN_SECONDS
        self._fill_place(worker)
        return WorkerLost(
            time=0,
            worker=worker.number,
            reason=f"dismissed, because {worker.why_leaving}",
            is_dismissed=True,
        )

    def _end_the_dismissed(self) -> None:
        """Forget dismissed workers whose processes have ended. Kill dismissed workers after
        ``SHUTDOWN_SECONDS``.
        """
        for process, until in list(self._dismissed.items()):
            if process.is_dead or self._awake.seconds > until:
                process.end(0.0)
                del self._dismissed[process]

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
        if not reason and how == KILLED and self._memory.the_kernel_has_killed:
            how = "killed by the kernel, because no memory was left"
            is_out_of_memory = True
        how = reason or how
        workload = worker.workload
        workload.lose()
        lost = WorkerLost(
            time=0, worker=worker.number, reason=how, is_out_of_memory=is_out_of_memory
        )
        # after a Release, a worker first saves: its jobs have not begun
        if worker.saving_since is None:
            lost = workload.blamed_in(lost)
        if lost.trial is not None:
            lost = replace(lost, is_fatal=is_fatal, last_words=worker.process.last_words())
        self._failed_starts += not worker.has_joined
        self._losses_without_result += bool(workload.suspects) and lost.trial is None
        if self._failed_starts > FAILED_STARTS_ALLOWED:
            self.fatal_error = ObjectiveError(
                f"workers end before their first job ({how}); see {worker.process.log}"
            )
        elif self._losses_without_result > FAILED_STARTS_ALLOWED + 2 * self._places:
            self.fatal_error = ObjectiveError(
                f"workers end before any job ends ({how}); see {worker.process.log}"
            )
        else:
            self._fill_place(worker)
        return [lost]
