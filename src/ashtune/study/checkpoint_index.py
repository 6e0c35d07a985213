"""Which checkpoints exist, how large they are, and which of them have to go.

Bookkeeping only: the engine moves the bytes, told by :class:`~ashtune.core.orders.Discard`. A study that
saves nothing costs nothing here.
"""

import math
from collections.abc import Container
from heapq import heappop, heappush
from itertools import count

import msgspec

from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Discard, Order


class Saved(msgspec.Struct, frozen=True, gc=False):
    """One checkpoint: who saved it, the resource it was taken at, its size, and when it was noted here (a count)."""

    worker: WorkerId
    resource: int
    size: int
    serial: int


class CheckpointIndex:
    """The checkpoints of a study.

    Args:
        limit: Most bytes they may take; the least promising go first (lowest rung, then worst
            loss). None for no limit.
        bests: Trials whose checkpoints go after all others.
    """

    def __init__(self, limit: int | None = None, bests: Container[TrialId] = ()) -> None:
        self._limit = limit
        self._bests = bests
        self._saved: dict[TrialId, Saved] = {}
        self._least_promising: list[tuple[int, float, int, TrialId]] = []
        self._serial = count()
        self._in_use: set[TrialId] = set()
        self.total_bytes = 0

    def __len__(self) -> int:
        return len(self._saved)

    def __contains__(self, trial: TrialId) -> bool:
        return trial in self._saved

    def use(self, trial: TrialId) -> Saved | None:
        """Return the checkpoint that a job of this trial resumes from, None if it must begin again.

        It stays until the next one is put.
        """
        saved = self._saved.get(trial)
        if saved is not None:
            self._in_use.add(trial)
        return saved

    def put(self, trial: TrialId, *, worker: WorkerId, resource: int, size: int, rung: int, loss: float) -> list[Order]:
        """Note a checkpoint; return the orders that make room for it."""
        orders: list[Order] = []
        if (older := self._forget(trial)) is not None and older.resource != resource:
            orders.append(Discard(trial, older.resource))
        saved = Saved(worker, resource, size, next(self._serial))
        self._saved[trial] = saved
        self.total_bytes += size
        if self._limit is not None:
            heappush(self._least_promising, (rung, -loss, saved.serial, trial))
            orders += self._make_room(self._limit)
        return orders

    def _make_room(self, limit: int) -> list[Order]:
        orders: list[Order] = []
        bests: list[tuple[int, float, int, TrialId]] = []
        while self.total_bytes > limit and self._least_promising:
            entry = heappop(self._least_promising)
            _, _, serial, least = entry
            if least in self._in_use:
                continue  # its next checkpoint will be judged anew
            if (latest := self._saved.get(least)) is None or latest.serial != serial:
                continue
            if least in self._bests:
                bests.append(entry)
            else:
                orders += self.remove(least)
        for entry in bests:
            if self.total_bytes > limit:
                orders += self.remove(entry[-1])
            else:
                heappush(self._least_promising, entry)
        return orders

    def end_use(self, trial: TrialId) -> None:
        """No job resumes from the checkpoint of a trial any more; it is the first of its kind to go."""
        if trial in self._in_use:
            self._in_use.discard(trial)
            heappush(self._least_promising, (0, -math.inf, self._saved[trial].serial, trial))

    def keep(self, trial: TrialId, *, worker: WorkerId, resource: int, size: int) -> list[Order]:
        """Note the checkpoint of a job broken off in the middle, which is the last to go."""
        return self.put(trial, worker=worker, resource=resource, size=size, rung=1 << 30, loss=-math.inf)

    def remove(self, trial: TrialId) -> list[Order]:
        """Forget a trial's checkpoint; return the order that deletes it, if there was one."""
        saved = self._forget(trial)
        return [] if saved is None else [Discard(trial, saved.resource)]

    def resources(self) -> dict[TrialId, int]:
        """Return every trial that has a checkpoint, with the resource it was taken at."""
        return {trial: saved.resource for trial, saved in self._saved.items()}

    def _forget(self, trial: TrialId) -> Saved | None:
        self._in_use.discard(trial)
        saved = self._saved.pop(trial, None)
        if saved is not None:
            self.total_bytes -= saved.size
        return saved
