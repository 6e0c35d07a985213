"""Local workers: one process a core, each at the end of a socket."""

import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec

from ashtune.engines.cores import thread_environment
from ashtune.engines.frames import FrameWriter
from ashtune.engines.process import DISMISS_SECONDS, WorkerProcess
from ashtune.errors import ObjectiveError, StudyError
from ashtune.events import Event, JobFinished, TrialReleased, WorkerJoined, WorkerLost, stamped
from ashtune.jobs import Goal, TrialId, WorkerId
from ashtune.orders import Discard, Order, Release, Train
from ashtune.study.checkpoints import Checkpoints
from ashtune.study.configurations import Configurations
from ashtune.training.messages import Assignment, Broken, FromWorker, Progress, Setup

FAILED_STARTS_ALLOWED = 2
ROLL_CALL_SECONDS = 0.2
NO_CONFIGURATION = b"\x80"  # an empty map in msgpack


class LocalWorkers:
    """Worker processes on this machine. Those that die are replaced.

    Args:
        study: The study's directory, with the training function in ``objective``.
        objective: The file of the training function, pickled by cloudpickle.
        configurations: Trial -> configuration.
        goal: The study's metric and mode.
        seed: The study's seed.
        workers: How many processes.
        threads: BLAS threads for each; None shares the cores out.
        trial_timeout: Seconds that one job may take before its worker is killed and its trial fails.
        first_worker: The number of the first worker; numbers are not used again when a study is resumed.
        began: The time at the start of this session, in seconds since the study began.
    """

    def __init__(
        self,
        study: Path,
        objective: Path,
        configurations: Configurations,
        *,
        goal: Goal,
        seed: int,
        workers: int,
        threads: int | None = None,
        trial_timeout: float | None = None,
        first_worker: int = 0,
        began: float = 0.0,
    ) -> None:
        self._logs = study / "logs"
        path = [entry for entry in sys.path if isinstance(entry, str)]
        self._setup = Setup(WorkerId(0), str(objective.resolve()), goal, str(study.resolve()), seed, path)
        self._configurations = configurations
        self._checkpoints = Checkpoints(study)
        self._environment = thread_environment(threads, workers)
        self._timeout = trial_timeout
        self._clock_offset = began - time.monotonic()
        self._moment = began  # of the last waiting's end: what events are stamped with
        self._numbers = count(first_worker)
        self._writer = FrameWriter()
        self._decoder = msgspec.msgpack.Decoder(FromWorker)
        self._poll = select.poll()
        self._by_file: dict[int, WorkerProcess] = {}
        self._by_worker: dict[WorkerId, WorkerProcess] = {}
        self._jobs: dict[WorkerId, tuple[Train, float]] = {}
        self._saving: dict[WorkerId, float] = {}  # since when a worker has been letting go of a trial
        self._progress: list[Progress] = []
        self._has_a_result = False
        self._is_broken: ObjectiveError | None = None
        self._to_discard: deque[Discard] = deque()
        self._failed_starts = 0
        self._next_roll_call = began
        try:
            self._logs.mkdir(exist_ok=True)
            for _ in range(workers):
                self._hire()
        except OSError as error:
            self.close()
            raise self._refused(error) from None

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(time.monotonic() + self._clock_offset, 6)

    def wait(self, until: float) -> Sequence[Event]:
        """Block until a worker has said something, or until the given time."""
        if self._is_broken is not None:
            raise self._is_broken
        events: list[Event] = []
        ready: list[tuple[int, int]] = []
        while self._to_discard and not ready:  # deleting is for when nobody is waiting
            order = self._to_discard.popleft()
            self._checkpoints.discard(order.trial, order.resource)
            ready = self._poll.poll(0)
        if not ready:
            ready = self._poll.poll(max(0.0, until - self.now()) * 1000)
        self._moment = self.now()
        # Looked up before any is struck off: the worker that takes its place may get the same number.
        for process in [self._by_file[file] for file, _ in ready]:
            events += self._listen(process)
        if self._moment >= self._next_roll_call:
            self._next_roll_call = self._moment + ROLL_CALL_SECONDS
            for process in [process for process in self._by_worker.values() if process.is_dead]:
                events += self._bury(process)
        if self._timeout is not None:
            events += self._overdue(self._timeout)
        return events

    def carry_out(self, order: Order) -> None:
        """Send an order to its worker, or delete checkpoints."""
        if isinstance(order, Discard):
            self._to_discard.append(order)
            return
        process = self._by_worker.get(order.worker)
        if process is None:
            return  # it died a moment ago, and the event says so
        if isinstance(order, Train):
            if self._to_discard:
                self._discard_now(order.trial)
            self._jobs[order.worker] = (order, self._moment)
            process.send(self._writer.frame(self._assignment(order)))
        else:
            if isinstance(order, Release):
                self._saving[order.worker] = self._moment
            process.send(self._writer.frame(order))

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        progress, self._progress = self._progress, []
        return progress

    def close(self) -> None:
        """Dismiss the idle, kill the busy, leave no process behind."""
        for process in self._by_worker.values():
            process.hang_up()
            if process.worker in self._jobs or not process.has_joined:
                process.kill()
        deadline = time.monotonic() + DISMISS_SECONDS
        for process in self._by_worker.values():
            process.end(max(0.0, deadline - time.monotonic()))
        self._by_file.clear()
        self._by_worker.clear()
        for order in self._to_discard:
            self._checkpoints.discard(order.trial, order.resource)

    def _assignment(self, order: Train) -> Assignment:
        configuration = NO_CONFIGURATION if order.in_place else self._configurations.encoded(order.trial)
        return Assignment(
            order.trial, order.rung, order.start, order.target, order.in_place, msgspec.Raw(configuration)
        )

    def _hire(self) -> None:
        worker = WorkerId(next(self._numbers))
        process = WorkerProcess(worker, self._logs / f"worker-{worker}.log", self._environment)
        self._by_worker[worker] = process
        self._by_file[process.file] = process
        self._poll.register(process.file, select.POLLIN)
        process.send(self._writer.frame(msgspec.structs.replace(self._setup, worker=worker)))

    def _listen(self, process: WorkerProcess) -> list[Event]:
        """Read what a worker has said."""
        try:
            bodies = process.reader.read()
        except EOFError:
            return [self._strike_off(process)]
        events: list[Event] = []
        for body in bodies:
            try:
                message = self._decoder.decode(body)
            except msgspec.MsgspecError as error:
                process.kill()
                return [*events, self._strike_off(process, f"sent what cannot be read: {error}")]
            match message:
                case Progress():
                    self._progress.append(message)
                case Broken(failure=failure):
                    if failure is None or not self._has_a_result:
                        self._is_broken = self._broken(message)
                        return events
                    self._jobs.pop(process.worker, None)
                    events.append(stamped(failure, self._moment))
                case WorkerJoined():
                    process.has_joined = True
                    self._failed_starts = 0
                    events.append(stamped(message, self._moment))
                case TrialReleased():
                    self._saving.pop(process.worker, None)
                    if (waiting := self._jobs.get(process.worker)) is not None:
                        self._jobs[process.worker] = (waiting[0], self._moment)  # its time begins now
                    events.append(stamped(message, self._moment))
                case _:
                    self._has_a_result = self._has_a_result or isinstance(message, JobFinished)
                    self._jobs.pop(process.worker, None)
                    events.append(stamped(message, self._moment))
        return events

    def _bury(self, process: WorkerProcess) -> list[Event]:
        """A worker has died and its connection is open, held by a child of its own: hear it out, strike it off."""
        events: list[Event] = []
        while process.worker in self._by_worker and process.has_more:
            events += self._listen(process)
        if process.worker in self._by_worker:
            events.append(self._strike_off(process))
        return events

    def _overdue(self, timeout: float) -> list[Event]:
        """Kill the workers that take too long for their job, or for letting go of a trial."""
        since = {worker: moment for worker, (_, moment) in self._jobs.items()} | self._saving
        lost: list[Event] = []
        for worker in [worker for worker, moment in since.items() if self._moment > moment + timeout]:
            process = self._by_worker[worker]
            if not process.reader.is_in_a_message:
                process.kill()
                is_training = worker not in self._saving
                reason = f"over its trial_timeout of {timeout:g} s" + ("" if is_training else " while saving")
                lost.append(self._strike_off(process, reason, is_fatal=is_training))
        return lost

    def _strike_off(self, process: WorkerProcess, reason: str = "", *, is_fatal: bool = False) -> WorkerLost:
        """A worker is gone; another takes its place. A job that it had not begun is not to blame."""
        worker = process.worker
        self._poll.unregister(process.file)
        del self._by_file[process.file], self._by_worker[worker]
        how = process.end()
        job, _ = self._jobs.pop(worker, (None, 0.0))
        if self._saving.pop(worker, None) is not None:
            job = None
        if not process.has_joined:
            self._failed_starts += 1
        if self._failed_starts > FAILED_STARTS_ALLOWED:
            self._is_broken = ObjectiveError(f"workers end before their first job ({how}); see {process.log}")
        else:
            try:
                self._hire()
            except OSError as error:
                raise self._refused(error) from None
        return WorkerLost(
            time=self._moment,
            worker=worker,
            reason=reason or how,
            trial=job.trial if job else None,
            rung=job.rung if job else 0,
            is_fatal=is_fatal,
            last_words=process.last_words() if job else "",
        )

    def _discard_now(self, trial: TrialId) -> None:
        """Carry out the deletions that wait for a trial, before it may write the same file again."""
        for order in [order for order in self._to_discard if order.trial == trial]:
            self._to_discard.remove(order)
            self._checkpoints.discard(order.trial, order.resource)

    def _refused(self, error: OSError) -> StudyError:
        return StudyError(f"{self._logs}: no worker can be started: {error.strerror}; what was found so far is kept")

    def _broken(self, message: Broken) -> ObjectiveError:
        if not message.traceback:
            return ObjectiveError(message.reason)
        log = self._logs / f"worker-{message.worker}.log"
        with log.open("a") as file:
            file.write(message.traceback)
        return ObjectiveError(f"{message.reason}; the traceback is in {log}")
