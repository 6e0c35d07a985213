"""Worker processes on this machine: what each of them is at, what they say, and how they end.

Whoever holds them passes messages on: the driver itself (``local.py``), or a rank of an MPI job that
relays for one of them (``rank.py``). Those that die are replaced.
"""

import select
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ashtune.engines.frames import FrameWriter
from ashtune.engines.process import DISMISS_SECONDS, WorkerProcess
from ashtune.engines.workload import Workloads
from ashtune.errors import ObjectiveError
from ashtune.events import PlacesChanged, ProgramCompiled, TrialReleased, WorkerJoined, WorkerLost
from ashtune.jobs import TrialId, WorkerId
from ashtune.orders import Pause, Release
from ashtune.training.messages import Alone, Assignment, Broken, FromWorker, Progress, Setup

FAILED_STARTS_ALLOWED = 2
ROLL_CALL_SECONDS = 0.2

Said = FromWorker | WorkerLost
"""What comes from workers, and what is said of one that cannot speak any more."""


class Processes:
    """A fixed number of places, each with a worker process.

    Args:
        setup: What every worker is told first; its number is filled in.
        logs: Folder for the workers' output.
        numbers: The numbers of the workers, one after another; none comes twice.
        environments: For each place, what its worker's environment has besides the driver's own.
        trial_timeout: Seconds that one job may take before its worker is killed and its trial fails.

    Raises:
        OSError: If no process can be started; from :meth:`wait` too, as those that die are replaced.
    """

    def __init__(
        self,
        setup: Setup,
        logs: Path,
        *,
        numbers: Iterator[int],
        environments: Sequence[Mapping[str, str]],
        trial_timeout: float | None = None,
    ) -> None:
        self._setup = setup
        self._logs = logs
        self._numbers = numbers
        self._timeout = trial_timeout
        self._writer = FrameWriter()
        self._decoder = msgspec.msgpack.Decoder(FromWorker)
        self._poll = select.poll()
        self._by_file: dict[int, WorkerProcess] = {}
        self._by_worker: dict[WorkerId, WorkerProcess] = {}
        self._workloads = Workloads[Assignment]()
        self._since: dict[WorkerId, float] = {}  # since when a worker has been at its first job
        self._saving: dict[WorkerId, float] = {}  # since when a worker has been letting go of a trial
        self._failed_starts = 0
        self._in_vain = 0  # workers that died with several jobs in hand since a job has ended
        self._places = len(environments)
        self.trouble: ObjectiveError | None = None
        """Why no more workers are started, once several have died before their first job."""
        self._moment = self._next_roll_call = time.monotonic()
        try:
            logs.mkdir(exist_ok=True)
            for environment in environments:
                self._hire(environment)
        except OSError:
            self.close()
            raise

    @property
    def are_busy(self) -> bool:
        """Whether any of them has a job or is saving."""
        return bool(self._since or self._saving)

    @property
    def have_news(self) -> bool:
        """Whether any of them has said something that was not read yet."""
        return bool(self._poll.poll(0))

    @property
    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [process.pid for process in self._by_worker.values()]

    def send(self, worker: WorkerId, message: Assignment | Release | Pause) -> None:
        """Send a message to a worker. One that died a moment ago gets none: what comes next says so."""
        process = self._by_worker.get(worker)
        if process is None:
            return
        if isinstance(message, Assignment):
            if self._workloads.give(worker, message):
                message = msgspec.structs.replace(message, alone=True)
            self._since.setdefault(worker, self._moment)
        elif isinstance(message, Release):
            self._saving[worker] = self._moment
        process.send(self._writer.frame(message))

    def wait(self, seconds: float) -> list[Said]:
        """Wait until a worker has said something, for some seconds at most; return it oldest first."""
        ready = self._poll.poll(seconds * 1000)
        self._moment = time.monotonic()
        said: list[Said] = []
        # Looked up before any is struck off: the worker that takes its place may get the same file number.
        for process in [self._by_file[file] for file, _ in ready]:
            said += self._listen(process)
        if self._moment >= self._next_roll_call:
            self._next_roll_call = self._moment + ROLL_CALL_SECONDS
            for process in [process for process in self._by_worker.values() if process.is_dead]:
                said += self._bury(process)
        if self._timeout is not None:
            said += self._overdue(self._timeout)
        return said

    def close(self) -> None:
        """Dismiss the idle, kill the busy, leave no process behind."""
        for process in self._by_worker.values():
            process.hang_up()
            if process.worker in self._since or not process.has_joined:
                process.kill()
        deadline = time.monotonic() + DISMISS_SECONDS
        for process in self._by_worker.values():
            process.end(max(0.0, deadline - time.monotonic()))
        self._by_file.clear()
        self._by_worker.clear()

    def _hire(self, environment: Mapping[str, str]) -> None:
        worker = WorkerId(next(self._numbers))
        process = WorkerProcess(worker, self._logs / f"worker-{worker}.log", environment)
        self._by_worker[worker] = process
        self._by_file[process.file] = process
        self._workloads.join(worker)
        self._poll.register(process.file, select.POLLIN)
        process.send(self._writer.frame(msgspec.structs.replace(self._setup, worker=worker)))

    def _listen(self, process: WorkerProcess) -> list[Said]:
        """Read what a worker has said."""
        try:
            bodies = process.reader.read()
        except EOFError:
            return self._strike_off(process)
        said: list[Said] = []
        for body in bodies:
            try:
                message = self._decoder.decode(body)
            except msgspec.MsgspecError as error:
                process.kill()
                return said + self._strike_off(process, f"sent what cannot be read: {error}")
            said.append(message)
            self._note(process, message)
        return said

    def _note(self, process: WorkerProcess, message: FromWorker) -> None:
        """Note what a message says about its worker."""
        match message:
            case Progress() | ProgramCompiled():
                pass
            case WorkerJoined():
                process.has_joined = True
                self._failed_starts = 0
            case TrialReleased():
                self._saving.pop(process.worker, None)
                self._begin_next(process.worker)
            case PlacesChanged(together=together):
                self._workloads[process.worker].trains_together |= together
            case Alone(trial=trial):
                self._workloads[process.worker].begin_alone(trial)
            case Broken(failure=failure):
                self._end_job(process.worker, failure.trial if failure else None)
            case _:
                self._end_job(process.worker, message.trial)

    def _end_job(self, worker: WorkerId, trial: TrialId | None) -> None:
        self._workloads.end(worker, trial)
        self._in_vain = 0
        self._begin_next(worker)

    def _begin_next(self, worker: WorkerId) -> None:
        """The time of the job that has waited longest begins now, if there is one."""
        if self._workloads[worker]:
            self._since[worker] = self._moment
        else:
            self._since.pop(worker, None)

    def _bury(self, process: WorkerProcess) -> list[Said]:
        """A worker has died and its connection is open, held by a child of its own: hear it out, strike it off."""
        said: list[Said] = []
        while process.worker in self._by_worker and process.has_more:
            said += self._listen(process)
        if process.worker in self._by_worker:
            said += self._strike_off(process)
        return said

    def _overdue(self, timeout: float) -> list[Said]:
        """Kill the workers that take too long for their job, or for letting go of a trial."""
        since = self._since | self._saving
        lost: list[Said] = []
        for worker in [worker for worker, moment in since.items() if self._moment > moment + timeout]:
            process = self._by_worker[worker]
            if not process.reader.is_in_a_message:
                process.kill()
                is_training = worker not in self._saving
                reason = f"over its trial_timeout of {timeout:g} s" + ("" if is_training else " while saving")
                lost += self._strike_off(process, reason, is_fatal=is_training)
        return lost

    def _strike_off(self, process: WorkerProcess, reason: str = "", *, is_fatal: bool = False) -> list[Said]:
        """A worker is gone; another takes its place. Jobs that it trained together are trained alone from now on."""
        worker = process.worker
        self._poll.unregister(process.file)
        del self._by_file[process.file], self._by_worker[worker]
        how = process.end()
        workload = self._workloads.lose(worker)
        self._since.pop(worker, None)
        job = None if self._saving.pop(worker, None) is not None else workload.to_blame
        said: list[Said] = [
            WorkerLost(
                time=0,
                worker=worker,
                reason=reason or how,
                trial=job.trial if job else None,
                rung=job.rung if job else 0,
                is_fatal=is_fatal,
                last_words=process.last_words() if job else "",
            )
        ]
        self._failed_starts += not process.has_joined
        self._in_vain += bool(workload.suspects) and job is None
        if self._failed_starts > FAILED_STARTS_ALLOWED:
            self.trouble = ObjectiveError(f"workers end before their first job ({how}); see {process.log}")
        elif self._in_vain > FAILED_STARTS_ALLOWED + 2 * self._places:
            self.trouble = ObjectiveError(f"workers end before any job does ({how}); see {process.log}")
        else:
            self._hire(process.environment)
        return said
