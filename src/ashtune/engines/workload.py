"""What workers have in hand and what they say: whether it fits, and who is to blame should one of them die.

Rule 1: jobs are done in the order in which they came, but for one that goes on in place, which comes before those that
wait. So the first has begun and is to blame.
Rule 2: of several that are trained together it is not known which: none is to blame, but for one that the worker said
to train alone.
Rule 3: nothing that a worker says is believed before it was compared with what the worker was given. What the journal
holds has passed here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from ashtune.core.errors import AshtuneError, ObjectiveError
from ashtune.core.events import (
    MOST_PLACES,
    Curve,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    Progress,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    stamped,
)
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Pause, Release, Train
from ashtune.study.configurations import Configurations
from ashtune.study.disk import append_to
from ashtune.training.messages import Alone, Assignment, Broken, FromWorker, JobEvent

NO_CONFIGURATION = msgspec.Raw(b"\x80")  # an empty map in msgpack

WorkerMessage = FromWorker | WorkerLost
"""What comes from workers, and what is said of one that cannot speak any more."""


class AssignedJob(Protocol):
    """A job as it was given to a worker."""

    @property
    def trial(self) -> TrialId:
        """Whose job it is."""

    @property
    def rung(self) -> int:
        """The rung up to which it is trained."""

    @property
    def start(self) -> int:
        """The resource of the checkpoint that it resumes from, or that the worker holds; 0: from the beginning."""

    @property
    def target(self) -> int:
        """The resource of the rung."""

    @property
    def in_place(self) -> bool:
        """Whether the worker goes on with a trial that it holds."""


J = TypeVar("J", bound=AssignedJob)


class Workload(Generic[J]):
    """The jobs that a worker has, and the trials that it holds or lets go of."""

    def __init__(self) -> None:
        self._jobs: dict[TrialId, J] = {}
        self._held: dict[TrialId, J] = {}  # their results are told; the worker waits to hear what comes next
        self._releasing: dict[TrialId, J] = {}
        self._pausing: set[TrialId] = set()
        self._alone: TrialId | None = None
        self.trains_together = False
        """Whether the worker trains several jobs together."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[TrialId]:
        return iter(self._jobs)

    def __contains__(self, trial: object) -> bool:
        return trial in self._jobs

    def take(self, job: J) -> None:
        """The worker is given a job."""
        self._held.pop(job.trial, None)
        if job.in_place and self._jobs:
            self._jobs = {job.trial: job, **self._jobs}
        else:
            self._jobs[job.trial] = job

    def obey(self, order: Release | Pause) -> None:
        """The worker is told to let go of a trial that it holds, or to break off a job."""
        if isinstance(order, Pause):
            self._pausing.add(order.trial)
        elif (job := self._held.pop(order.trial, None)) is not None:
            self._releasing[order.trial] = job

    def begin_alone(self, trial: TrialId) -> None:
        """The worker says that it trains this one alone now."""
        self._alone = trial

    def end(self, trial: TrialId | None, *, held: bool = False) -> bool:
        """A job has ended, ``held`` if the worker waits with its trial; return whether it was among them."""
        if trial == self._alone:
            self._alone = None
        job = None if trial is None else self._jobs.pop(trial, None)
        if job is None:
            return False
        self._pausing.discard(job.trial)
        if held:
            self._held[job.trial] = job
        return True

    def let_go(self, trial: TrialId) -> None:
        """The worker has let go of a trial."""
        self._releasing.pop(trial, None)

    @property
    def is_free(self) -> bool:
        """Whether the worker has nothing in hand: no job, no trial that it holds or lets go of."""
        return not (self._jobs or self._held or self._releasing)

    @property
    def suspects(self) -> tuple[TrialId, ...]:
        """The trials that have to be trained alone from now on if the worker dies now: one of them may be to blame."""
        return tuple(self._jobs) if self.trains_together and len(self._jobs) > 1 else ()

    @property
    def to_blame(self) -> J | None:
        """The job to blame if the worker dies now."""
        if self.suspects:
            return None if self._alone is None else self._jobs.get(self._alone)
        return next(iter(self._jobs.values()), None)

    def complaint(self, message: WorkerMessage) -> str:
        """Say why a message does not fit what the worker was given; nothing if it fits."""
        match message:
            case JobFinished() | JobPaused() | JobFailed() | TrialWithdrawn():
                return self._of_an_end(message)
            case TrialReleased():
                return self._of_a_release(message)
            case Broken(failure=failure):
                return "" if failure is None else self._of_an_end(failure)
            case ProgramCompiled():
                return _of_a_program(message)
            case WorkerJoined():
                return "it joins a second time"
            case PlacesChanged(places=places):
                complaint = "" if 1 <= places <= MOST_PLACES else f"it offers {places} places"
            case Progress(trial=trial) | Alone(trial=trial) | WorkerLost(trial=trial):
                is_known = trial is None or trial in self._jobs
                complaint = "" if is_known else f"it speaks of trial {trial}, which it does not have"
        return complaint

    def _of_an_end(self, event: JobFinished | JobPaused | JobFailed | TrialWithdrawn) -> str:
        job = self._jobs.get(event.trial)
        if job is None:
            return f"{_kind(event)} of trial {event.trial}, which it does not train"
        if event.rung != job.rung:
            return f"{_kind(event)} of trial {event.trial} at rung {event.rung} and not {job.rung}"
        return self._of_a_stretch(event, job) if isinstance(event, JobFinished | JobPaused) else ""

    def _of_a_stretch(self, event: JobFinished | JobPaused, job: J) -> str:
        is_a_result = isinstance(event, JobFinished)
        if not is_a_result and event.trial not in self._pausing:
            return f"a pause of trial {event.trial}, which nobody asked for"
        if event.start not in (0, job.start) or not event.start + is_a_result <= event.resource <= job.target:
            return (
                f"{_kind(event)} of trial {event.trial} from {event.start} to {event.resource} "
                f"and not from {job.start} to {job.target}"
            )
        if isinstance(event, JobFinished) and not event.metrics:
            return f"a result of trial {event.trial} without a metric"
        return _of_a_curve(event.curve, job.target) if event.curve else ""

    def _of_a_release(self, event: TrialReleased) -> str:
        job = self._releasing.get(event.trial)
        if job is None:
            return f"it lets go of trial {event.trial}, which it was not told to"
        if not 0 < event.resource <= job.target:
            return f"it lets go of trial {event.trial} at {event.resource} and not {job.target}"
        return ""


class Workloads(Generic[J]):
    """The workloads of workers, and the trials that are under suspicion since one of those died."""

    def __init__(self) -> None:
        self._of: dict[WorkerId, Workload[J]] = {}
        self._suspects: set[TrialId] = set()

    def __getitem__(self, worker: WorkerId) -> Workload[J]:
        return self._of[worker]

    def __contains__(self, worker: object) -> bool:
        return worker in self._of

    def join(self, worker: WorkerId) -> None:
        """A worker is there, with nothing to do."""
        self._of[worker] = Workload()

    def give(self, worker: WorkerId, job: J) -> bool:
        """A worker is given a job; return whether it has to train it alone."""
        self._of[worker].take(job)
        return job.trial in self._suspects

    def note(self, worker: WorkerId, message: WorkerMessage) -> None:
        """Note what a message that fits says of a worker that is there."""
        workload = self._of[worker]
        match message:
            case JobFinished(trial=trial, held=held):
                self._end(workload, trial, held=held)
            case JobPaused(trial=trial) | JobFailed(trial=trial) | TrialWithdrawn(trial=trial):
                self._end(workload, trial)
            case Broken(failure=failure):
                self._end(workload, failure.trial if failure else None)
            case TrialReleased(trial=trial):
                workload.let_go(trial)
            case PlacesChanged():
                workload.trains_together = True
            case Alone(trial=trial):
                workload.begin_alone(trial)
            case Progress() | ProgramCompiled() | WorkerJoined() | WorkerLost():
                pass

    def lose(self, worker: WorkerId) -> Workload[J]:
        """A worker is gone; return what it had in hand, nothing if it was gone before."""
        workload = self._of.pop(worker, None) or Workload()
        self._suspects.update(workload.suspects)
        return workload

    def _end(self, workload: Workload[J], trial: TrialId | None, *, held: bool = False) -> None:
        """A job has ended, if the worker had one of this trial: the trial is not under suspicion any more."""
        if workload.end(trial, held=held) and trial is not None:
            self._suspects.discard(trial)


def _kind(event: JobEvent) -> str:
    return {
        JobFinished: "a result",
        JobPaused: "a pause",
        JobFailed: "a failure",
        TrialWithdrawn: "a withdrawal",
        TrialReleased: "a release",
    }[type(event)]


def _of_a_curve(curve: Curve, target: int) -> str:
    outside = next((at for at, _ in curve if not 0 <= at <= target), None)
    return "" if outside is None else f"a report at {outside}, where {target} is the end"


def _of_a_program(event: ProgramCompiled) -> str:
    try:
        msgspec.json.encode(event.shape)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return f"a program whose shape cannot be written: {error}"
    return "" if event.lanes >= 1 else f"a program of {event.lanes} lanes"


def assignment_of(order: Train, configurations: Configurations) -> Assignment:
    """Return the message for an order to train; a worker that goes on in place knows the configuration."""
    configuration = NO_CONFIGURATION if order.in_place else msgspec.Raw(configurations.encoded(order.trial))
    return Assignment(
        order.worker, order.trial, order.rung, order.start, order.target, order.in_place, configuration, size=order.size
    )


class Collector:
    """Sorts what workers say: events for the loop, progress for the display, errors that end the study.

    Args:
        logs: The study's folder of logs, where the traceback of a function that cannot be loaded goes.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._progress: list[Progress] = []
        self._has_a_result = False
        self.fatal_error: AshtuneError | None = None
        """Why the study cannot go on; the engine raises it when the events before it are handled."""

    def collect(self, messages: Sequence[WorkerMessage], moment: float) -> list[Event]:
        """Return messages as events of that moment."""
        return [event for message in messages if (event := self._take(message, moment)) is not None]

    def _take(self, message: WorkerMessage, moment: float) -> Event | None:
        """Return a message as an event of that moment, if it is one."""
        kind = type(message)
        if kind is JobFinished:
            self._has_a_result = True
        elif kind is Progress:
            self._progress.append(message)  # type: ignore[arg-type] # its type was just looked at
            return None
        elif kind is Alone:
            return None  # who has the worker's jobs has noted it
        elif isinstance(message, Broken):
            if message.failure is None or not self._has_a_result:
                self.fatal_error = self.fatal_error or self._broken(message)
                return None
            return stamped(message.failure, moment)
        return stamped(message, moment)  # type: ignore[arg-type] # those that are no events are gone

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        progress, self._progress = self._progress, []
        return progress

    def _broken(self, message: Broken) -> ObjectiveError:
        if not message.traceback:
            return ObjectiveError(message.reason)
        log = self._logs / f"worker-{message.worker}.log"
        with append_to(log) as file:
            file.write(message.traceback.encode("utf-8", "replace"))
        return ObjectiveError(f"{message.reason}; the traceback is in {log}")
