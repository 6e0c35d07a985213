"""Where a study's checkpoints are, between the worker that saved one and the next one that goes on from it.

There are two stores: the study's directory, where all workers see it, and messages (``engines/mpi/files.py``).

A checkpoint is deleted when nobody is waiting, and not before the journal is synced: a power loss that took the event
from which the deletion follows would leave a journal that names a checkpoint which is gone.
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
    """Whatever passes the suite of ``ashtune.testing.checkpoints`` is one. No call waits for a peer."""

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """A peer says that it has saved a checkpoint; return why it could not be kept, nothing if it is."""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Have a checkpoint where a peer finds it, before it takes what is sent to it next."""

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int]) -> None:
        """Delete a checkpoint, and the copies that these peers have of it."""


class SharedDirectory:
    """The study's directory, which all workers see."""

    def __init__(self, study: Path) -> None:
        self._checkpoints = Checkpoints(study)

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """It is there already: its worker has written it, or the event would not say so."""
        del peer, trial, resource
        return ""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Every peer finds it."""

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int] = ()) -> None:
        """Delete it."""
        del peers
        self._checkpoints.discard(trial, resource)


WAIT_SECONDS = 2 * SYNC_SECONDS
"""The journal is synced in this time, unless the disk takes longer for it."""


class DeferredDeletions:
    """Deletions that wait."""

    def __init__(self, delete: Callable[[Discard], None], now: Callable[[], float]) -> None:
        self._delete = delete
        self._now = now
        self._waiting: deque[tuple[float, Discard]] = deque()
        self._trials: Counter[TrialId] = Counter()

    @property
    def is_due(self) -> bool:
        """Whether the oldest has waited long enough."""
        return bool(self._waiting) and self._waiting[0][0] <= self._now()

    def add(self, order: Discard) -> None:
        """Put a deletion off."""
        self._waiting.append((self._now() + WAIT_SECONDS, order))
        self._trials[order.trial] += 1

    def carry_out_one(self) -> None:
        """Carry out the oldest."""
        _, order = self._waiting.popleft()
        self._trials[order.trial] -= 1
        if not self._trials[order.trial]:
            del self._trials[order.trial]
        self._delete(order)

    def carry_out_of(self, trial: TrialId) -> None:
        """Carry out those of a trial that begins again, before it may write the same files."""
        if trial not in self._trials:
            return
        del self._trials[trial]
        due = [order for _, order in self._waiting if order.trial == trial]
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1].trial != trial)
        for order in due:
            self._delete(order)

    def carry_out_all(self) -> None:
        """Carry out all of them."""
        while self._waiting:
            self.carry_out_one()
