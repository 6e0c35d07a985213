"""Store the checkpoints of a study, so that one worker can load a checkpoint that another worker
has saved.

Checkpoints are stored in a study's directory that all workers see, or sent in messages
(``engines/files.py``).

The driver deletes a checkpoint after the journal is synced, while no worker waits for the driver.
If the journal were not synced first, a power loss could leave a journal that names a deleted
checkpoint.
"""

from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Discard
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.journal_writer import SYNC_SECONDS


class CheckpointStore(Protocol):
    """Stores checkpoints without waiting for a worker. ``ashtune.testing.checkpoint_suite`` checks
    implementations.
    """

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """Store a checkpoint that a peer has saved. Return an error message, or an empty string
        after success.
        """

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Make a checkpoint readable for a peer before the peer reads its next message from the
        driver.
        """

    def discard(self, trial: TrialId, resource: int) -> None:
        """Delete a checkpoint from the store, and all copies of the checkpoint."""


class SharedDirectory:
    """The store of checkpoints in a study's directory that all workers can read and write."""

    def __init__(self, study: Path) -> None:
        self._checkpoints = Checkpoints(study)

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """Return an empty string, because the worker itself has written the checkpoint to the
        study's directory.
        """
        del peer, trial, resource
        return ""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Do nothing, because every peer can read the checkpoint in the study's directory."""

    def discard(self, trial: TrialId, resource: int) -> None:
        """Delete a checkpoint."""
        self._checkpoints.discard(trial, resource)


# Decision 15 (docs/decisions/0015-checkpoints-that-hold.md).
WAIT_SECONDS = 2 * SYNC_SECONDS
"""The journal is synced within this time, unless the disk is slower."""


class DeferredDeletions:
    """A queue of checkpoints that are deleted after the journal is synced.
    ``store`` deletes them.
    """

    def __init__(self, store: CheckpointStore | Checkpoints, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._waiting: deque[tuple[float, Discard]] = deque()
        self._trials: Counter[TrialId] = Counter()

    @property
    def is_due(self) -> bool:
        """Whether the oldest deletion in the queue has waited long enough for the journal to be
        synced.
        """
        return bool(self._waiting) and self._waiting[0][0] <= self._now()

    def add(self, order: Discard) -> None:
        """Add a deletion."""
        self._waiting.append((self._now() + WAIT_SECONDS, order))
        self._trials[order.trial] += 1

    def carry_out_one(self) -> None:
        """Delete the checkpoint that has waited longest in the queue."""
        _, order = self._waiting.popleft()
        self._trials[order.trial] -= 1
        if not self._trials[order.trial]:
            del self._trials[order.trial]
        self._store.discard(order.trial, order.resource)

    def carry_out_of(self, trial: TrialId) -> None:
        """Delete the queued checkpoints of a trial that starts again, before the trial writes the
        same files again.
        """
        if trial not in self._trials:
            return
        del self._trials[trial]
        due = [order for _, order in self._waiting if order.trial == trial]
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1].trial != trial)
        for order in due:
            self._store.discard(order.trial, order.resource)

    def carry_out_all(self) -> None:
        """Carry out all deletions."""
        while self._waiting:
            self.carry_out_one()
