"""One job in the worker: what is reported, when the driver is asked, and whether training goes on."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ashtune.events import JobFailed, JobFinished, JobPaused, TrialReleased, TrialWithdrawn
from ashtune.jobs import TrialId, WorkerId
from ashtune.orders import Release
from ashtune.training.desk import Tray
from ashtune.training.messages import Assignment, Progress
from ashtune.training.reports import Reports

Phase = Literal["training", "releasing", "pausing", "failed"]


class RunningJob:
    """The state of a job between the training function and the driver.

    ``phase`` says how the training function is to end: still "training" when it ends by itself,
    "releasing" when the driver has the result and takes the worker elsewhere, "pausing" when the
    study stops, "failed" when the result was not finite. ``clock`` counts the seconds that it takes.
    """

    def __init__(
        self,
        assignment: Assignment,
        desk: Tray,
        reports: Reports,
        *,
        worker: WorkerId,
        start: int,
        study_seed: int,
        progress_seconds: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.worker = worker
        self.trial: TrialId = assignment.trial
        self.rung = assignment.rung
        self.start = start
        self.target = assignment.target
        self.study_seed = study_seed
        self.reports = reports
        self.phase: Phase = "training"
        self.epoch = 0
        self.is_kept = True
        """Whether this trial may be wanted again; what is not is not saved."""
        self._desk = desk
        self._clock = clock
        self._began = clock()
        self._progress_seconds = progress_seconds
        self._next_progress = time.perf_counter() + progress_seconds

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Take in the metrics of the current epoch."""
        resource = self.epoch or self.target
        self.reports.add(resource, metrics)
        if time.perf_counter() >= self._next_progress:
            self._next_progress = time.perf_counter() + self._progress_seconds
            self._desk.send(Progress(self.worker, self.trial, resource, self.reports.metrics))

    def may_go_on(self, trained: int) -> bool:
        """Say whether to train another epoch after ``trained``; at the rung, ask the driver."""
        if self.phase != "training":
            return False
        if trained >= self.target:
            reached = self.reports.last_resource == self.target
            return reached and self.tell() and self.hear(self._desk.answer(self.trial))
        if self._desk.is_to_pause(self.trial):
            self.phase = "pausing"
            return False
        return True

    def tell(self) -> bool:
        """Send the result; return whether it is one, so that the driver answers."""
        if complaint := self.reports.complaint:
            self.phase = "failed"
            self._desk.send(self.failed(complaint))
            return False
        self._desk.send(self.finished(held=True))
        return True

    def hear(self, answer: Assignment | Release) -> bool:
        """Take in the driver's answer to a result; return whether the trial goes on in place."""
        self._began = self._clock()
        if isinstance(answer, Release):
            self.phase = "releasing"
            self.is_kept = answer.keep
            return False
        self.rung, self.target = answer.rung, answer.target
        self.start = answer.start
        self.reports.clear()
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the driver's last word."""
        return round(self._clock() - self._began, 6)

    def finished(self, *, held: bool = False, checkpoint: int | None = None, problem: str = "") -> JobFinished:
        """Return the event of the result."""
        reports = self.reports
        return JobFinished(
            time=0,
            worker=self.worker,
            trial=self.trial,
            rung=self.rung,
            resource=reports.last_resource,
            start=self.start,
            metrics=reports.metrics,
            seconds=self.seconds,
            curve=reports.curve,
            held=held,
            checkpoint=checkpoint,
            problem=problem,
        )

    def released(self, *, checkpoint: int | None = None, problem: str = "") -> TrialReleased:
        """Return the event of letting go of a trial after its result."""
        return TrialReleased(
            time=0,
            worker=self.worker,
            trial=self.trial,
            resource=self.target,
            seconds=self.seconds,
            checkpoint=checkpoint,
            problem=problem,
        )

    def paused(self, *, checkpoint: int | None = None, problem: str = "") -> JobPaused:
        """Return the event of breaking off between two epochs."""
        return JobPaused(
            time=0,
            worker=self.worker,
            trial=self.trial,
            rung=self.rung,
            resource=self.epoch or self.start,
            start=self.start,
            seconds=self.seconds,
            curve=self.reports.all,
            checkpoint=checkpoint,
            problem=problem,
        )

    def failed(self, reason: str, traceback: str = "") -> JobFailed:
        """Return the event of a failure."""
        return JobFailed(
            time=0,
            worker=self.worker,
            trial=self.trial,
            rung=self.rung,
            seconds=self.seconds,
            reason=reason,
            traceback=traceback,
        )

    def withdrawn(self, reason: str) -> TrialWithdrawn:
        """Return the event of a configuration that the training function refused."""
        return TrialWithdrawn(
            time=0, worker=self.worker, trial=self.trial, rung=self.rung, seconds=self.seconds, reason=reason
        )
