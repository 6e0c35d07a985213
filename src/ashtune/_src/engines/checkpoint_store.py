"""Store a study's checkpoints between the worker that saved one and the next worker that loads it.

There are two stores: the study's directory, which all workers see, and messages (``engines/mpi/files.py``).

A checkpoint is deleted when no peer waits for the driver and the journal is synced. Without the sync, a power loss
could leave a journal that names a deleted checkpoint.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Discard
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.journal_writer import SYNC_SECONDS


class CheckpointStore(Protocol):
    """A store of checkpoints; no call waits for a peer. ``ashtune.testing.checkpoints`` checks implementations."""

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """Keep a checkpoint that a peer has saved; return why this failed, or an empty string."""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Give a peer a checkpoint, before the peer reads the next message."""

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int]) -> None:
        """Delete a checkpoint, and these peers' copies of it."""


class SharedDirectory:
    """The study's directory, which all workers see."""

    def __init__(self, study: Path) -> None:
        self._checkpoints = Checkpoints(study)

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """Return an empty string: the worker has already written the checkpoint to the directory."""
        del peer, trial, resource
        return ""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Do nothing: every peer can read the directory."""

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int] = ()) -> None:
        """Delete a checkpoint."""
        del peers
        self._checkpoints.discard(trial, resource)


WAIT_SECONDS = 2 * SYNC_SECONDS
"""The journal is synced within this time, unless the disk is slower."""


class DeferredDeletions:
    """A queue of deletions that wait until the journal is synced."""

    def __init__(self, delete: Callable[[Discard], None], now: Callable[[], float]) -> None:
        self._delete = delete
        self._now = now
        self._waiting: deque[tuple[float, Discard]] = deque()
        self._trials: Counter[TrialId] = Counter()

    @property
    def is_due(self) -> bool:
        """Whether the oldest deletion has waited long enough."""
        return bool(self._waiting) and self._waiting[0][0] <= self._now()

    def add(self, order: Discard) -> None:
        """Add a deletion."""
        self._waiting.append((self._now() + WAIT_SECONDS, order))
        self._trials[order.trial] += 1

    def carry_out_one(self) -> None:
        """Carry out the oldest deletion."""
        _, order = self._waiting.popleft()
        self._trials[order.trial] -= 1
        if not self._trials[order.trial]:
            del self._trials[order.trial]
        self._delete(order)

    def carry_out_of(self, trial: TrialId) -> None:
        """Carry out the deletions of a trial that starts again, before it writes the same files."""
        if trial not in self._trials:
            return
        del self._trials[trial]
        due = [order for _, order in self._waiting if order.trial == trial]
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1].trial != trial)
        for order in due:
            self._delete(order)

    def carry_out_all(self) -> None:
        """Carry out all deletions."""
        while self._waiting:
            self.carry_out_one()
