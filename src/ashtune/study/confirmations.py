"""The trainings that confirm: the best configurations once more, outside of the ranking.

Rule 1: they begin when nothing of the search runs any more, and the search has nothing to give, or a limit ended it.
Rule 2: the best are those at the highest rung that has a result: the top one, if the search came that far.
Rule 3: each has a trial number of its own, the next one when it is given out, and goes to that rung at once. The
scheduler does not hear of it.
Rule 4: all of the best are trained with one more seed before any of them with a second, the best first. Whatever was
given out counts, also if it failed: nothing is confirmed twice.
"""

import math
from bisect import insort
from collections import Counter

from ashtune.core.confirm import MOST, Confirm
from ashtune.core.jobs import Job, TrialId
from ashtune.core.numbering import Numbering


class Confirmations:
    """Which configurations are confirmed, how often, and by which trials: bookkeeping of the controller."""

    def __init__(self) -> None:
        self.wanted: Confirm | None = None
        self.numbering = Numbering()
        self.of: dict[TrialId, TrialId] = {}
        """Trial that confirms -> trial that it confirms."""
        self._rung = -1
        self._best: list[tuple[float, TrialId]] = []
        self._times: Counter[TrialId] = Counter()

    def arrive(self, trial: TrialId, rung: int, loss: float) -> None:
        """Take in a result of the search. O(1), as few are kept."""
        if loss == math.inf or rung < self._rung:
            return
        if rung > self._rung:
            self._rung = rung
            self._best.clear()
            self._times.clear()
        insort(self._best, (loss, trial))
        del self._best[MOST:]

    def withdraw(self, trial: TrialId) -> None:
        """A trial of the search has no results any more."""
        self._best = [best for best in self._best if best[1] != trial]

    @property
    def next(self) -> TrialId | None:
        """The trial to be confirmed next; None if there is none. O(m) for the ``m`` best."""
        if self.wanted is None or not self._best:
            return None
        best = [trial for _, trial in self._best[: self.wanted.best]]
        trial = min(best, key=self._times.__getitem__)
        return trial if self._times[trial] < self.wanted.seeds else None

    def give(self, confirmed: TrialId, number: TrialId) -> Job:
        """Return the job that confirms a trial, under the number of a new one."""
        self._times[confirmed] += 1
        self.of[number] = confirmed
        self.numbering.confirms(number)
        return Job(number, self._rung)
