"""Records which checkpoints exist, and decides which checkpoints the engine must delete.

Rule 1: the best trials of each rung keep their checkpoints, since each of these trials may become
the best trial. With one objective, the best trial of each rung and all trials that will be
confirmed keep their checkpoints. With several objectives, each rung's Pareto front keeps its
checkpoints, since any new result may change the preferred trial.
Rule 2: if a best trial is withdrawn, the next best trial replaces it. The next best trial may have
no checkpoint.
"""

import math
from collections.abc import Container
from heapq import heappop, heappush
from itertools import count

import msgspec

from ashtune._src.core.jobs import Key, Losses, TrialId, WorkerId
from ashtune._src.core.order import is_as_good
from ashtune._src.core.orders import Discard, Order
from ashtune._src.study.best_of_rung import BestOfRung


class Saved(msgspec.Struct, frozen=True, gc=False):
    """One checkpoint: the worker that saved it, its resource, its size in bytes, and a serial
    number.
    """

    worker: WorkerId
    resource: int
    size: int
    serial: int


class CheckpointIndex:
    """The checkpoints of a study.

    Args:
        limit: Maximum total size in bytes; None for no limit. Checkpoints at the lowest rung are
            deleted first, beginning with the worst loss.
        bests: Trials whose checkpoints are deleted last.
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
        """Return the checkpoint that a job will read. This checkpoint is kept until the trial has
        its next checkpoint.
        """
        saved = self._saved.get(trial)
        if saved is not None:
            self._in_use.add(trial)
        return saved

    def put(
        self, trial: TrialId, *, worker: WorkerId, resource: int, size: int, rung: int, loss: float
    ) -> list[Order]:
        """Record a checkpoint. Return orders to delete the trial's older checkpoint, and other
        checkpoints if the total size exceeds the limit.
        """
        orders: list[Order] = []
        older = self._forget(trial)
        # At the same resource, the new checkpoint has the same path and has already replaced the
        # older checkpoint.
        if older is not None and older.resource != resource:
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
                continue  # the trial's next checkpoint will be in the heap
            latest = self._saved.get(least)
            if latest is None or latest.serial != serial:
                # a deleted checkpoint has an entry until this entry is at the top of the heap
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
        """Record that no job will resume from a trial's checkpoint. If the total size exceeds the
        limit, this checkpoint is deleted first.
        """
        if trial in self._in_use:
            self._in_use.discard(trial)
            heappush(self._least_promising, (0, -math.inf, self._saved[trial].serial, trial))

    def keep(self, trial: TrialId, *, worker: WorkerId, resource: int, size: int) -> list[Order]:
        """Record the checkpoint of an interrupted job. If the total size exceeds the limit, this
        checkpoint is deleted last.
        """
        # The job will be assigned again before any new job, so its checkpoint is needed soon.
        return self.put(
            trial, worker=worker, resource=resource, size=size, rung=1 << 30, loss=-math.inf
        )

    def remove(self, trial: TrialId) -> list[Order]:
        """Forget a trial's checkpoint, and return the order to delete it. If the trial has no
        checkpoint, return [].
        """
        saved = self._forget(trial)
        if saved is None:
            return []
        return [Discard(trial, saved.resource)]

    def resources(self) -> dict[TrialId, int]:
        """Return the resource of each trial's checkpoint."""
        return {trial: saved.resource for trial, saved in self._saved.items()}

    def _forget(self, trial: TrialId) -> Saved | None:
        self._in_use.discard(trial)
        saved = self._saved.pop(trial, None)
        if saved is not None:
            self.total_bytes -= saved.size
        return saved


class RungBests:
    """The trials whose checkpoints are kept because they are the best of a rung. A result is a key
    (violation, loss, ...) and a trial. Failures are not recorded.
    """

    def __init__(self) -> None:
        self._rungs: list[BestOfRung[None]] = []
        self._to_confirm = 1
        self._trials: set[TrialId] = set()

    def __contains__(self, trial: object) -> bool:
        return trial in self._trials

    @property
    def highest(self) -> tuple[int, list[TrialId]]:
        """The highest rung with a result, and this rung's best trials in order. If there is no
        result, (-1, []).
        """
        for rung in reversed(range(len(self._rungs))):
            if self._rungs[rung].results:
                leaders = self._rungs[rung].leaders(self._to_confirm)
                return rung, [trial for _, trial in leaders]
        return -1, []

    def has_as_good(self, losses: Losses) -> bool:
        """Return whether a feasible result is at least as good as ``losses`` in every objective."""
        return any(
            not key[0] and is_as_good(key[1:], losses)
            for best in self._rungs
            for key, _ in best.leaders()
        )

    def confirm(self, count: int) -> None:
        """Set how many trials of the highest rung will be confirmed."""
        self._to_confirm = max(1, count)
        self._choose()

    def arrive(self, trial: TrialId, rung: int, key: Key) -> list[TrialId]:
        """Record a result. Return the trials that are no longer among the best of any rung.

        The time is O(log n) with one loss, and O(m f) for ``m`` losses and a front of ``f`` trials.
        """
        while len(self._rungs) <= rung:
            self._rungs.append(BestOfRung())
        best = self._rungs[rung]
        before = best.leaders(self._to_confirm)
        best.add(key, trial, None)
        return [] if best.leaders(self._to_confirm) == before else self._choose()

    def withdraw(self, trial: TrialId) -> None:
        """Remove all results of a trial."""
        for best in self._rungs:
            best.withdraw(trial)
        self._choose()

    def _choose(self) -> list[TrialId]:
        """Update the set of best trials. Return the trials that are no longer among the best."""
        before = self._trials
        highest, trials = self.highest
        self._trials = set(trials)
        for best in self._rungs[:highest]:
            self._trials.update(trial for _, trial in best.leaders())
        return sorted(before - self._trials)
