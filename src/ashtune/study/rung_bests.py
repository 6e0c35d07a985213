"""The best trials of each rung: any of them is the best of the study, or may become it, so its checkpoint stays.

Rule 1: with one objective that is one trial a rung, and at the highest rung that has a result those to be confirmed.
Rule 2: with several it is the front of each rung: every result may change which of the front is preferred.
Rule 3: a trial that was withdrawn has no result. The next best takes its place, but its checkpoint may be gone.
"""

from bisect import bisect_left

from ashtune.core.confirm import MOST
from ashtune.core.front import is_as_good
from ashtune.core.jobs import Key, Losses, TrialId

_Entry = tuple[Key, TrialId]
_OF_ONE_LOSS = 2
"""The length of a key: the violation comes first."""


class RungBests:
    """Bookkeeping of the controller; results come as (violation, loss, ...) and a trial, failures do not come."""

    def __init__(self) -> None:
        self._rungs: list[list[_Entry]] = []
        self._to_confirm = 1
        self._trials: set[TrialId] = set()

    def __contains__(self, trial: object) -> bool:
        return trial in self._trials

    @property
    def highest(self) -> tuple[int, list[TrialId]]:
        """The highest rung that has a result, and its best trials in order; -1 and nothing if there is none."""
        for rung in reversed(range(len(self._rungs))):
            if self._rungs[rung]:
                return rung, [trial for _, trial in self._rungs[rung]]
        return -1, []

    def reach(self, losses: Losses) -> bool:
        """Whether some feasible result is at least as good as these losses."""
        return any(not key[0] and is_as_good(key[1:], losses) for best in self._rungs for key, _ in best)

    def confirm(self, count: int) -> None:
        """Set how many of the highest rung are to be confirmed."""
        self._to_confirm = max(1, count)
        self._choose()

    def arrive(self, trial: TrialId, rung: int, key: Key) -> list[TrialId]:
        """Take in a result; return the trials that are not among the best of any rung any more.

        O(1) for most results of one loss, else O(m f) with a front of ``f``.
        """
        while len(self._rungs) <= rung:
            self._rungs.append([])
        best, entry = self._rungs[rung], (key, trial)
        if len(key) == _OF_ONE_LOSS:
            place = bisect_left(best, entry)
            if place == MOST:
                return []
            best.insert(place, entry)
            del best[MOST:]
            if place >= self._to_confirm:
                return []
        else:
            self._rungs[rung] = _with(best, entry)
            if self._rungs[rung] is best:
                return []
        return self._choose()

    def withdraw(self, trial: TrialId) -> None:
        """A trial has no result any more."""
        self._rungs = [[entry for entry in best if entry[1] != trial] for best in self._rungs]
        self._choose()

    def _choose(self) -> list[TrialId]:
        """Say anew who is among the best; return who was and is not any more."""
        before, self._trials = self._trials, set()
        highest, _ = self.highest
        for rung, best in enumerate(self._rungs):
            count = len(best)
            if best and len(best[0][0]) == _OF_ONE_LOSS:
                count = self._to_confirm if rung == highest else 1
            self._trials.update(trial for _, trial in best[:count])
        return sorted(before - self._trials)


def _with(front: list[_Entry], entry: _Entry) -> list[_Entry]:
    """Return a front with a result; the same list if it is not on it. Of equal results only the earliest trial is."""
    key = entry[0]
    if front and key[0] != front[0][0][0]:
        return [entry] if key[0] < front[0][0][0] else front
    if any(other < entry and is_as_good(other[0], key) for other in front):
        return front
    return [other for other in front if not is_as_good(key, other[0])] + [entry]
