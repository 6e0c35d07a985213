"""Track the jobs of each worker, check the worker's messages, and find the trial to blame if the
worker dies.

Rule 1: a worker trains its jobs in the order of arrival, but a job that continues a trial in place
comes first. If a worker dies, the first job in its job order was running, and is to blame.
Rule 2: if a worker trains several jobs together, no job is to blame. If the worker has reported
that it trains one of several jobs alone, this job is to blame.
Rule 3: every message is compared with the orders to its worker. Only valid messages are written to
the journal.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import msgspec
from msgspec.structs import force_setattr, replace

from ashtune._src.core.errors import AshtuneError, ObjectiveError
from ashtune._src.core.events import (
    MOST_PLACES,
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
)
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Discard, Pause, Release, Train
from ashtune._src.core.plaintext import say
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.disk import append_to
from ashtune._src.training.job import RunningJob
from ashtune._src.training.worker_messages import (
    Alone,
    Assignment,
    Broken,
    FromWorker,
    TrialOrder,
    Waiting,
)

NO_CONFIGURATION = msgspec.Raw(b"\x80")  # an empty map in msgpack

WorkerMessage = FromWorker | WorkerLost
"""A message from a worker, or the report that a worker is lost."""
WithinStudy = TrialOrder | Discard
"""A message of the driver to a rank or a host while a study runs."""
AssignedJob = Train | Assignment


class Workload:
    """The jobs of a worker, and the trials that the worker holds in memory or is releasing.

    Args:
        suspects: Trials that were trained together by a worker that died; each of them is trained
            alone until its job ends. The workloads of all workers share this set.
    """

    def __init__(self, suspects: set[TrialId]) -> None:
        self._suspects = suspects
        self._jobs: dict[TrialId, AssignedJob] = {}
        # their results are sent; the worker waits for orders
        self._held: dict[TrialId, AssignedJob] = {}
        self._releasing: dict[TrialId, AssignedJob] = {}
        self._alone: TrialId | None = None
        self.trains_together = False
        """Whether the worker trains several jobs together."""

    def __len__(self) -> int:
        return len(self._jobs)

    def take(self, job: AssignedJob) -> bool:
        """Add a job that was given to the worker. Return whether the worker must train this job
        alone.
        """
        self._held.pop(job.trial, None)
        if job.in_place and self._jobs:
            self._jobs = {job.trial: job, **self._jobs}
        else:
            self._jobs[job.trial] = job
        return job.trial in self._suspects

    def obey(self, order: Release | Pause) -> None:
        """Record an order to release a trial that the worker holds. A worker may pause a job
        without an order.
        """
        if isinstance(order, Release) and order.trial in self._held:
            self._releasing[order.trial] = self._held.pop(order.trial)

    def accept(self, message: WorkerMessage) -> str:
        """Check a message of the worker, and update the workload from a valid message.

        Returns:
            An empty string, or an error message if the message does not fit the worker's orders.
        """
        complaint = ""
        match message:
            case JobFinished() | JobPaused() | JobFailed() | TrialWithdrawn():
                complaint = self._end(message)
            case Broken(worker=worker, failure=JobFailed() as failure):
                is_own = failure.worker == worker
                complaint = (
                    self._end(failure)
                    if is_own
                    else f"it sent a message as worker {failure.worker}"
                )
            case Broken() | Waiting():
                pass
            case TrialReleased():
                complaint = self._release(message)
            case ProgramCompiled(lanes=lanes):
                complaint = "" if lanes >= 1 else f"a program of {lanes} lanes"
            case WorkerJoined():
                complaint = "it joins a second time"
            case PlacesChanged(places=places):
                is_possible = 1 <= places <= MOST_PLACES
                self.trains_together = self.trains_together or is_possible
                complaint = "" if is_possible else f"it offers {places} places"
            case Progress(trial=trial) | Alone(trial=trial) | WorkerLost(trial=trial):
                if trial is not None and trial not in self._jobs:
                    complaint = f"a message about trial {trial}, which it was not given"
                elif isinstance(message, Alone):
                    self._alone = trial
            case _:
                assert_never(message)
        return complaint

    def _end(self, event: JobFinished | JobPaused | JobFailed | TrialWithdrawn) -> str:
        """Check the end of a job, and remove a job that has ended."""
        trial = event.trial
        job = self._jobs.get(trial)
        if job is None:
            return f"{_kind(event)} of trial {trial}, which it does not train"
        if event.rung != job.rung:
            return f"{_kind(event)} of trial {trial} at rung {event.rung} instead of {job.rung}"
        if isinstance(event, (JobFinished, JobPaused)):
            complaint = self._of_a_stretch(event, job)
            if complaint:
                return complaint
        del self._jobs[trial]
        if trial == self._alone:
            self._alone = None
        self._suspects.discard(trial)
        if isinstance(event, JobFinished) and event.held:
            self._held[trial] = job
        return ""

    def _of_a_stretch(self, event: JobFinished | JobPaused, job: AssignedJob) -> str:
        is_a_result = isinstance(event, JobFinished)
        if (
            event.start not in (0, job.start)
            or not event.start + is_a_result <= event.resource <= job.target
        ):
            return (
                f"{_kind(event)} of trial {event.trial} from {event.start} to {event.resource} "
                f"instead of from {job.start} to {job.target}"
            )
        if isinstance(event, JobFinished) and not event.metrics:
            return f"a result of trial {event.trial} without a metric"
        for at, _ in event.curve:
            if not 0 <= at <= job.target:
                return f"a report at {at}, but the job ends at {job.target}"
        return ""

    def _release(self, event: TrialReleased) -> str:
        job = self._releasing.get(event.trial)
        if job is None:
            return f"it released trial {event.trial} without an order"
        if not 0 < event.resource <= job.target:
            return f"it released trial {event.trial} at {event.resource} instead of {job.target}"
        del self._releasing[event.trial]
        return ""

    def lose(self) -> None:
        """Record that the worker is lost. The trials that a lost worker trained together become
        suspects.
        """
        self._suspects.update(self.suspects)

    @property
    def holds(self) -> bool:
        """Whether the worker holds or releases a trial."""
        return bool(self._held or self._releasing)

    @property
    def is_free(self) -> bool:
        """Whether the worker has no job and no trial that it holds or releases."""
        return not (self._jobs or self.holds)

    @property
    def trials(self) -> tuple[TrialId, ...]:
        """The trials that the worker trains or will train."""
        return tuple(self._jobs)

    @property
    def suspects(self) -> tuple[TrialId, ...]:
        """The trials that would become suspects if the worker died now: this is empty if the worker
        does not train several trials together.
        """
        if self.trains_together and len(self._jobs) > 1:
            return self.trials
        return ()

    def blamed_in(self, lost: WorkerLost) -> WorkerLost:
        """Return the event of the worker's loss. If a job is to blame, the event names this job."""
        job = self.to_blame
        if job is None:
            return lost
        return replace(lost, trial=job.trial, rung=job.rung)

    @property
    def to_blame(self) -> AssignedJob | None:
        """The job that would be to blame if the worker died now, or None if no job or several jobs
        may be to blame.
        """
        if not self.suspects:
            return next(iter(self._jobs.values()), None)
        if self._alone is None:
            return None
        return self._jobs.get(self._alone)


def _kind(event: FromWorker) -> str:
    return {
        JobFinished: "a result",
        JobPaused: "a pause",
        JobFailed: "a failure",
        TrialWithdrawn: "a withdrawal",
    }[type(event)]


def assignment_of(
    order: Train, configurations: Configurations, *, alone: bool = False
) -> Assignment:
    """Return the message for an order to train. If the trial continues in place, the message has no
    configuration.
    """
    configuration = NO_CONFIGURATION
    if not order.in_place:
        configuration = msgspec.Raw(configurations.encoded(order.trial))
    return Assignment(
        order.worker, order.trial, order.rung, order.start, order.target, order.in_place,
        configuration,
        alone=alone or order.alone, size=order.size,
    )  # fmt: skip


def hand_back(job: Train | Assignment | RunningJob) -> JobPaused:
    """Return the event that a job was given back. The job will be handed out again from the same
    start.
    """
    return JobPaused(
        0,
        worker=job.worker,
        trial=job.trial,
        rung=job.rung,
        resource=job.start,
        start=job.start,
        seconds=0.0,
    )


class Collector:
    """Sorts workers' messages into events for the main loop, progress for the display, and errors
    that end a study.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._progress: list[Progress] = []
        self._has_a_result = False
        self._told: set[str] = set()
        self.fatal_error: AshtuneError | None = None
        """The error that ends the study; the engine raises it after the
        earlier events are handled.
        """

    def collect(self, messages: Sequence[WorkerMessage], moment: float) -> list[Event]:
        """Return the events among the workers' messages, with the time ``moment``."""
        taken = [self._take(message, moment) for message in messages]
        return [event for event in taken if event is not None]

    def _take(self, message: WorkerMessage, moment: float) -> Event | None:
        kind = type(message)
        if kind is JobFinished:
            self._has_a_result = True
        elif kind is Progress:
            self._progress.append(message)  # type: ignore[arg-type] # its type is checked above
            return None
        elif kind is Alone:
            return None  # the worker's workload has noted it
        elif isinstance(message, Waiting):
            if message.text not in self._told:
                self._told.add(message.text)
                say(message.text)
            return None
        elif isinstance(message, Broken):
            if message.failure is None or not self._has_a_result:
                self.fatal_error = self.fatal_error or self.explain(message)
                return None
            message = message.failure
        force_setattr(message, "time", moment)  # nobody else has this message
        return message  # type: ignore[return-value] # only events are left here

    def progress(self) -> Sequence[Progress]:
        """Return the trials' reports between rungs that have arrived since the last call."""
        progress = self._progress
        self._progress = []
        return progress

    def explain(self, message: Broken) -> ObjectiveError:
        """Add the traceback of a worker that cannot train any trial to the worker's log, and return
        the worker's error.
        """
        if not message.traceback:
            return ObjectiveError(message.reason)
        log = self._logs / f"worker-{message.worker}.log"
        with append_to(log) as file:
            file.write(message.traceback.encode("utf-8", "replace"))
        return ObjectiveError(f"{message.reason}; the traceback is in {log}")
