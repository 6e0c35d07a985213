"""The best results of one rung, in order, and their Pareto front.

Two classes use this module. The controller needs the trials that keep their checkpoints or are
confirmed (``checkpoint_index.py``). The tally needs the best trial that views show
(``analysis/counts.py``). Both get the same best trials, so the checkpoint of the best trial that a
view shows is deleted last.

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
from ashtune._src.core.order import front_of, is_as_good, ranked

KEPT = 1_000
"""The number of best results that a rung keeps. If all their trials are withdrawn, the best result
is unknown.
"""
T = TypeVar("T")
Entry = tuple[Key, TrialId]
_OF_ONE_LOSS = 2
"""The length of a key with one loss: a key begins with the violation."""


class BestOfRung(Generic[T]):
    """The ``KEPT`` best results of one rung. Each result has a key (violation, loss, ...) and a
    trial.

    With several losses, up to twice as many results are kept. So the results, whose ranking takes
    longer with several losses, are seldom ranked.
    """

    def __init__(self) -> None:
        self.results: dict[TrialId, T] = {}
        """The kept results, by trial."""
        self._order: list[Entry] = []
        self._front: list[Entry] | None = None  # the front with several losses, once it is needed

    def wants(self, key: Key) -> bool:
        """Return whether a result is finite and would be kept. O(1)."""
        if key[1] == math.inf:
            return False
        is_full = len(key) == _OF_ONE_LOSS and len(self._order) == KEPT
        return not is_full or key <= self._order[-1][0]

    def add(self, key: Key, trial: TrialId, result: T) -> None:
        """Record a finite result. An earlier result of the same trial is forgotten.

        The time is O(log n) with one loss. With several losses it is O(m n) on average for the
        ``n`` kept results and ``m`` losses.
        """
        if trial in self.results:
            self.withdraw(trial)
        entry = (key, trial)
        insort(self._order, entry)
        self.results[trial] = result
        if len(key) > _OF_ONE_LOSS:
            if self._front is not None:
                self._front = _with(self._front, entry)
            if len(self._order) == 2 * KEPT:
                self._keep(sorted(ranked(self._order)[:KEPT]))
        elif len(self._order) > KEPT:
            del self.results[self._order.pop()[1]]

    def withdraw(self, trial: TrialId) -> None:
        """Forget the result of a withdrawn trial. O(n), or O(1) if none is kept."""
        if trial in self.results:
            self._keep([entry for entry in self._order if entry[1] != trial])

    def leaders(self, count: int = 1) -> list[Entry]:
        """Return the keys and trials of the best ``count`` results, in order. With several losses,
        return the Pareto front, sorted by the first loss in ascending order. Until the front
        changes, each call returns the same list object.
        """
        if not self._order or len(self._order[0][0]) == _OF_ONE_LOSS:
            return self._order[:count]
        if self._front is None:
            self._front = front_of(self._order, key=lambda entry: entry)
        return self._front

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
