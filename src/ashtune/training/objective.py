"""What a worker runs: the training function on one assignment, whatever it does.

Rule: an exception of the user's is a message, never the worker's end.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from ashtune.errors import ObjectiveError
from ashtune.study.checkpoints import Checkpoints, CheckpointWriter
from ashtune.study.disk import DISK, Disk
from ashtune.training.desk import Dismissed, Tray
from ashtune.training.job import RunningJob
from ashtune.training.messages import Assignment, Setup
from ashtune.training.outcomes import Outcomes
from ashtune.training.reports import Reports
from ashtune.training.trial import Trial

Objective = Callable[[Trial], Any]


class Bench(Protocol):
    """What runs assignments in a worker."""

    def run(self, assignment: Assignment) -> None:
        """Train, and send the driver whatever comes of it."""


@runtime_checkable
class HasBench(Protocol):
    """A training function that trains several trials at a time, on a bench of its own."""

    def bench(self, setup: Setup, desk: Tray, *, file: str, profiler: AbstractContextManager[None] | None) -> Bench:
        """Return the bench of a worker."""


class Workbench:
    """Runs assignments one after another.

    Args:
        objective: The training function.
        setup: What the driver said at the start.
        desk: The connection to the driver.
        file: Where the training function stands, for its tracebacks.
        profiler: Entered while the training function runs and what it has saved is put in its place.
        disk: Where the checkpoints are.
        clock: In seconds.
    """

    def __init__(
        self,
        objective: Objective,
        setup: Setup,
        desk: Tray,
        *,
        file: str = "",
        profiler: AbstractContextManager[None] | None = None,
        disk: Disk = DISK,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._objective = objective
        self._clock = clock
        self._outcomes = Outcomes(desk, file)
        self._setup = setup
        self._desk = desk
        self._profiler = profiler or nullcontext()
        self._checkpoints = Checkpoints(Path(setup.study), disk)

    def run(self, assignment: Assignment) -> None:
        """Train one trial, and send the driver whatever comes of it."""
        writer = CheckpointWriter(
            self._checkpoints,
            assignment.trial,
            assignment.start,
            worker=self._setup.worker,
            size=assignment.size,
            clock=self._clock,
        )
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
            clock=self._clock,
        )
        config = msgspec.msgpack.decode(assignment.configuration)
        try:
            with self._profiler:
                returned = self._objective(Trial(assignment.trial, config, job, writer))
                if job.phase == "training" and reports.last_resource < job.target:
                    self._take_returned(returned, job)
                self._outcomes.ended(job, writer)
        except Dismissed:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is this trial's failure
            self._outcomes.failed(job, error, writer)
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


def bench_of(
    objective: Objective,
    setup: Setup,
    desk: Tray,
    *,
    file: str = "",
    profiler: AbstractContextManager[None] | None = None,
) -> Bench:
    """Return what runs a training function: a workbench, or a bench of its own where it has one (``bench``)."""
    if isinstance(objective, HasBench):
        return objective.bench(setup, desk, file=file, profiler=profiler)
    return Workbench(objective, setup, desk, file=file, profiler=profiler)
