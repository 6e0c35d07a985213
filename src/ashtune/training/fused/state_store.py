"""Where the states of a worker's trials come from and where they go: disk, and memory for what comes back soon."""

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Release
from ashtune.study.checkpoints import Checkpoints, CheckpointWriter
from ashtune.training.fused.pack import Lane
from ashtune.training.fused.protocol import SavedState, State
from ashtune.training.outcomes import Outcomes

MEMORY_BYTES = 64_000_000
"""Of released trials' states that stay in memory; all are on disk too."""


class RecentStates:
    """States of released trials, the most recent ones, for when the worker is given one of them again.

    Args:
        most_bytes: What they may take together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._states: OrderedDict[tuple[TrialId, int], tuple[State, int]] = OrderedDict()
        self._bytes = 0

    def put(self, trial: TrialId, resource: int, state: State, size: int) -> None:
        """Hold a state of ``size`` bytes; the oldest go."""
        self.take(trial, resource)
        self._states[trial, resource] = state, size
        self._bytes += size
        while self._bytes > self._most_bytes:
            _, (_, gone) = self._states.popitem(last=False)
            self._bytes -= gone

    def take(self, trial: TrialId, resource: int) -> State | None:
        """Return the state of a trial at a resource and forget it; None if it is not here."""
        state, size = self._states.pop((trial, resource), (None, 0))
        self._bytes -= size
        return state


class StateStore:
    """Saves the trials that a worker releases, and restores those that it takes up.

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
        self._recent = RecentStates(MEMORY_BYTES)

    def writer(self, trial: TrialId, start: int, size: int | None) -> CheckpointWriter:
        """Return what reads and writes a trial's checkpoints; ``size``: the bytes of that at ``start``."""
        return CheckpointWriter(self._checkpoints, trial, start, worker=self._worker, size=size)

    def restore(self, trial: TrialId, start: int, writer: CheckpointWriter) -> State | None:
        """Return a trial's state as it was left: from memory if this worker did it, else from disk; None if new."""
        if not start:
            return None
        recent = self._recent.take(trial, start)
        if recent is not None:
            return recent
        saved = writer.restore()
        return None if saved is None else saved.state

    def release(self, lane: Lane, answer: Release) -> None:
        """Save a trial if it may be wanted again, and forget it."""
        lane.job.hear(answer)
        self._save(lane)
        if answer.keep and not lane.writer.problem:
            self._recent.put(lane.job.trial, lane.trained, lane.state, self._bytes_of(lane.state))

    def pause(self, lane: Lane) -> None:
        """Save a trial where it is and break it off."""
        lane.job.phase = "pausing"
        lane.job.epoch = lane.trained
        self._save(lane)

    def _save(self, lane: Lane) -> None:
        """Save a trial's state unless it is on disk, and tell the driver."""
        began = time.perf_counter()
        try:
            if lane.job.is_kept and not lane.is_saved:
                lane.writer.save(SavedState(lane.state))
            lane.clock.seconds += time.perf_counter() - began
            self._outcomes.ended(lane.job, lane.writer)
        except BaseException as error:  # noqa: BLE001 - a state may be anything
            self._outcomes.failed(lane.job, error, lane.writer)
        finally:
            lane.writer.abandon()
