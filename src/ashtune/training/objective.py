"""What a worker runs: the training function on one assignment, whatever it does.

Rule: an exception of the user's is a message, never the worker's end. What goes wrong after the
result was reported, as in saving, does not touch the result.
"""

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec

from ashtune.errors import InvalidConfiguration, ObjectiveError
from ashtune.study.checkpoints import Checkpoints, CheckpointWriter
from ashtune.training.desk import Dismissed, Tray
from ashtune.training.job import RunningJob
from ashtune.training.messages import Assignment, Broken, Setup
from ashtune.training.reports import MetricMissing, Reports
from ashtune.training.trial import Trial

Objective = Callable[[Trial], Any]
TRACEBACK_CHARACTERS = 8_000
NAMELESS = "<dynamic-code>"


class Workbench:
    """Runs assignments one after another.

    Args:
        objective: The training function.
        setup: What the driver said at the start.
        desk: The connection to the driver.
        file: Where the training function stands, for its tracebacks.
        profiler: Entered while the training function runs and what it has saved is put in its place.
    """

    def __init__(
        self,
        objective: Objective,
        setup: Setup,
        desk: Tray,
        *,
        file: str = "",
        profiler: AbstractContextManager[None] | None = None,
    ) -> None:
        self._objective = objective
        self._file = file
        self._setup = setup
        self._desk = desk
        self._profiler = profiler or nullcontext()
        self._checkpoints = Checkpoints(Path(setup.study))
        self._has_a_result = False

    def run(self, assignment: Assignment) -> None:
        """Train one trial, and send the driver whatever comes of it."""
        writer = CheckpointWriter(self._checkpoints, assignment.trial, assignment.start, worker=self._setup.worker)
        start = assignment.start if writer.exists else 0
        reports = Reports(self._setup.goal)
        setup = self._setup
        job = RunningJob(
            assignment,
            self._desk,
            reports,
            worker=setup.worker,
            start=start,
            study_seed=setup.seed,
            progress_seconds=setup.progress_seconds,
        )
        config = msgspec.msgpack.decode(assignment.configuration)
        try:
            with self._profiler:
                returned = self._objective(Trial(assignment.trial, config, job, writer))
                if job.phase == "training" and reports.last_resource < job.target:
                    self._take_returned(returned, job)
                self._conclude(job, writer)
        except Dismissed:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is this trial's failure
            self._send_failure(job, error, writer)
        finally:
            writer.abandon()

    def _take_returned(self, returned: Any, job: RunningJob) -> None:
        """A function may return its result, a number or a dict of metrics, instead of reporting it."""
        metric = self._setup.goal.metric
        if returned is None:
            if job.reports.last_resource < 0:
                raise ObjectiveError(f"the training function ended without reporting {metric!r}")
            return  # it ended before its target and reported: that is its result
        job.epoch = 0
        job.report(returned if isinstance(returned, dict) else {metric: returned})

    def _conclude(self, job: RunningJob, writer: CheckpointWriter) -> None:
        """The function has returned: save, and send what is still owed."""
        match job.phase:
            case "training":
                if complaint := job.reports.complaint:
                    self._desk.send(job.failed(complaint))
                else:
                    checkpoint = writer.commit(job.reports.last_resource)
                    writer.abandon()
                    self._desk.send(job.finished(checkpoint=checkpoint, problem=writer.problem))
            case "releasing":
                checkpoint = writer.commit(job.target) if job.is_kept else None
                writer.abandon()  # before anyone else may be given this trial
                self._desk.send(job.released(checkpoint=checkpoint, problem=writer.problem))
            case "pausing":
                checkpoint = writer.commit(job.epoch or job.start)
                writer.abandon()
                self._desk.send(job.paused(checkpoint=checkpoint, problem=writer.problem))
            case "failed":
                return
        self._has_a_result = True

    def _send_failure(self, job: RunningJob, error: BaseException, writer: CheckpointWriter) -> None:
        writer.abandon()  # before anyone else may be given this trial
        reason = _reason(error)
        match job.phase:
            case "training":
                if isinstance(error, InvalidConfiguration):
                    self._desk.send(job.withdrawn(reason.partition(": ")[2]))
                elif isinstance(error, MetricMissing) and not self._has_a_result:
                    self._desk.send(Broken(job.worker, str(error), failure=job.failed(reason)))
                else:
                    self._desk.send(job.failed(reason, _user_traceback(error, self._file)))
            case "releasing":
                self._desk.send(job.released(problem=reason))
            case "pausing":
                self._desk.send(job.paused(problem=reason))
            case "failed":
                return


def _reason(error: BaseException) -> str:
    """Return an exception on one line, in text that any encoding takes."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__
        text = "(its text cannot be shown)"
    return " ".join(_sendable(f"{type(error).__name__}: {text}").split())


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _user_traceback(error: BaseException, file: str) -> str:
    """Return the traceback from the training function on, without this package's own frames."""
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    text = "".join(traceback.format_exception(type(error), error, inner))
    if file:
        text = text.replace(NAMELESS, file)  # what cloudpickle calls the file of a function sent by value
    return _sendable(text[-TRACEBACK_CHARACTERS:])
