"""The best results of one rung, in order, and their Pareto front.

Two classes use this module. The controller uses this order to choose the trials that keep their
checkpoints, and the trials that are confirmed (``checkpoint_index.py``). The tally uses the same
order to choose the best trial, which views show (``analysis/counts.py``). Because both use the same
order, the checkpoint of the shown best trial is deleted last.

Rule: a withdrawal removes the result of a trial. The next kept result takes its place. This may be
a result that only the withdrawn result dominated.
"""

# A scheduler ranks its rungs itself (schedulers/ranking.py). A scheduler needs the result of rank
# ``quota`` among all results of a rung, but this class keeps only the best results. Also, a user's
# own scheduler must work without the other data of a study.

import math
from bisect import insort
from typing import Generic, TypeVar

from ashtune._src.core.jobs import Key, TrialId
from ashtune._src.core.order import OF_ONE_LOSS, front_of, is_as_good

KEPT = 1_000
"""The number of best results that a rung keeps, or more if its front is longer. If all their trials
are withdrawn, the best result is unknown.
"""
T = TypeVar("T")
Entry = tuple[Key, TrialId]


class BestOfRung(Generic[T]):
    """The ``KEPT`` best results of one rung. Each result has a key (violation, loss, ...) and a
    trial.

    With several losses, the whole front is kept. Other results are dropped only when the number of
    results has doubled since the last drop.
    """

    def __init__(self) -> None:
        self.results: dict[TrialId, T] = {}
        """The kept results, by trial."""
        self._order: list[Entry] = []
        self._front: list[Entry] | None = None  # the front with several losses, once it is needed
        self._left = 0  # how many results were kept when results were dropped the last time

    def wants(self, key: Key) -> bool:
        """Return whether a result is finite and would be kept. O(1)."""
        if key[1] == math.inf:
            return False
        is_full = len(key) == OF_ONE_LOSS and len(self._order) == KEPT
        return not is_full or key <= self._order[-1][0]

    def add(self, key: Key, trial: TrialId, result: T) -> None:
        """Record a finite result. An earlier result of the same trial is forgotten.

        The time is O(log n) with one loss. With several losses it is O(m f) for ``m`` losses and
        the ``f`` results of the front, and rarely O(m n f) for the ``n`` kept results.
        """
        if trial in self.results:
            self.withdraw(trial)
        entry = (key, trial)
        insort(self._order, entry)
        self.results[trial] = result
        if len(key) > OF_ONE_LOSS:
            if self._front is not None:
                self._front = _with(self._front, entry)
            if len(self._order) >= 2 * max(KEPT, self._left):
                self._drop_dominated()
        elif len(self._order) > KEPT:
            del self.results[self._order.pop()[1]]

    def withdraw(self, trial: TrialId) -> None:
        """Forget the result of a withdrawn trial. O(n), or O(1) if no result is kept."""
        if trial in self.results:
            self._keep([entry for entry in self._order if entry[1] != trial])

    def leaders(self, count: int = 1) -> list[Entry]:
        """Return the keys and trials of the best ``count`` results, in order. With several losses,
        return the Pareto front, sorted by the first loss in ascending order. Until the front
        changes, each call returns the same list object.
        """
        if not self._order or len(self._order[0][0]) == OF_ONE_LOSS:
            return self._order[:count]
        if self._front is None:
            self._front = front_of(self._order, key=lambda entry: entry)
        return self._front

    def _drop_dominated(self) -> None:
        """Keep the front, and those other results that have the smallest first loss.

        Sorted by first loss, a result comes before each result that it dominates. A better order
        would be by fronts: the first front, then the front of the other results, and so on. But
        with three losses or more, to compute these fronts takes seconds.
        """
        front = self.leaders()
        others = sorted(set(self._order).difference(front))
        self._keep(sorted([*front, *others[: max(0, KEPT - len(front))]]))
        self._front = front
        self._left = len(self._order)

    def _keep(self, order: list[Entry]) -> None:
        self._order = order
        self.results = {trial: self.results[trial] for _, trial in order}
        self._front = None


def _with(front: list[Entry], entry: Entry) -> list[Entry]:
    """Return the sorted Pareto front of ``front`` and a new result. If the front does not change,
    return ``front`` itself. O(m f) for ``m`` losses and ``f`` results.
    """
    if any(_replaces(other, entry) for other in front):
        return front
    return sorted([entry, *(other for other in front if not _replaces(entry, other))])


def _replaces(one: Entry, other: Entry) -> bool:
    """Return whether ``one`` excludes ``other`` from a front: ``other`` violates the constraints
    more, is dominated by ``one``, or is an equal result of a later trial.
    """
    return one < other and (one[0][0] < other[0][0] or is_as_good(one[0], other[0]))
