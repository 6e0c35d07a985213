"""The trainings that confirm: the best configurations once more, outside of the ranking.

Rule 1: they begin when nothing of the search runs any more, and the search has nothing to give, or a limit ended it.
Rule 2: the best are those at the highest rung that has a result: the top one, if the search came that far.
Rule 3: each has a trial number of its own, the next one when it is given out, and goes to that rung at once. The
scheduler does not hear of it.
Rule 4: all of the best are trained with one more seed before any of them with a second, the best first. Whatever was
given out counts, also if it failed: nothing is confirmed twice.
"""

from collections import Counter

from ashtune.core.confirm import Confirm
from ashtune.core.jobs import Job, TrialId
from ashtune.core.numbering import Numbering
from ashtune.study.rung_bests import RungBests


class Confirmations:
    """Which configurations are confirmed, how often, and by which trials: bookkeeping of the controller.

    Args:
        bests: The best trials of the search.
    """

    def __init__(self, bests: RungBests) -> None:
        self.wanted: Confirm | None = None
        self.numbering = Numbering()
        self.of: dict[TrialId, TrialId] = {}
        """Trial that confirms -> trial that it confirms."""
        self._bests = bests
        self._times: Counter[tuple[int, TrialId]] = Counter()

    @property
    def next(self) -> TrialId | None:
        """The trial to be confirmed next; None if there is none. O(m) for the ``m`` best."""
        if self.wanted is None:
            return None
        rung, best = self._bests.highest
        trial = min(best[: self.wanted.best], key=lambda trial: self._times[rung, trial], default=None)
        return trial if trial is not None and self._times[rung, trial] < self.wanted.seeds else None

    def give(self, confirmed: TrialId, number: TrialId) -> Job:
        """Return the job that confirms a trial, under the number of a new one."""
        rung, _ = self._bests.highest
        self._times[rung, confirmed] += 1
        self.of[number] = confirmed
        self.numbering.confirms(number)
        return Job(number, rung)
