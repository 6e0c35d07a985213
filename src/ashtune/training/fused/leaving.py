"""Where the states of a worker's trials come from and where they go: disk, and memory for what comes back soon."""

import time
from collections.abc import Callable
from pathlib import Path

from ashtune.jobs import TrialId, WorkerId
from ashtune.orders import Release
from ashtune.study.checkpoints import Checkpoints, CheckpointWriter
from ashtune.training.fused.lane import Lane
from ashtune.training.fused.memory import Kept
from ashtune.training.fused.recipe import Saved, State
from ashtune.training.outcomes import Outcomes

KEPT_BYTES = 64_000_000
"""Of states of trials let go of that are kept in memory; all are on disk too."""


class Leaving:
    """Lets trials of a worker go, and takes them up where they were left.

    Args:
        study: Its directory.
        worker: Whose trials they are.
        outcomes: Tells the driver what has become of a trial.
        bytes_of: State -> what it takes of memory.
    """

    def __init__(self, study: Path, worker: WorkerId, outcomes: Outcomes, bytes_of: Callable[[State], int]) -> None:
        self._checkpoints = Checkpoints(study)
        self._worker = worker
        self._outcomes = outcomes
        self._bytes_of = bytes_of
        self._kept = Kept(KEPT_BYTES)

    def writer(self, trial: TrialId, start: int, size: int | None) -> CheckpointWriter:
        """Return what reads and writes a trial's checkpoints; ``size``: the bytes of that at ``start``."""
        return CheckpointWriter(self._checkpoints, trial, start, worker=self._worker, size=size)

    def left(self, trial: TrialId, start: int, writer: CheckpointWriter) -> State | None:
        """Return a trial's state as it was left: from memory if this worker did it, else from disk; None if new."""
        if not start:
            return None
        kept = self._kept.take(trial, start)
        if kept is not None:
            return kept
        saved = writer.restore()
        return None if saved is None else saved.state

    def let_go(self, lane: Lane, answer: Release) -> None:
        """Save a trial if it may be wanted again, and forget it."""
        lane.job.hear(answer)
        self._save(lane)
        if answer.keep and not lane.writer.problem:
            self._kept.put(lane.job.trial, lane.trained, lane.state, self._bytes_of(lane.state))

    def break_off(self, lane: Lane) -> None:
        """Pause a trial where it is."""
        lane.job.phase = "pausing"
        lane.job.epoch = lane.trained
        self._save(lane)

    def _save(self, lane: Lane) -> None:
        """Save a trial's state unless it is on disk, and tell the driver."""
        began = time.perf_counter()
        try:
            if lane.job.is_kept and not lane.is_saved:
                lane.writer.save(Saved(lane.state))
            lane.clock.seconds += time.perf_counter() - began
            self._outcomes.ended(lane.job, lane.writer)
        except BaseException as error:  # noqa: BLE001 - a state may be anything
            self._outcomes.failed(lane.job, error, lane.writer)
        finally:
            lane.writer.abandon()
