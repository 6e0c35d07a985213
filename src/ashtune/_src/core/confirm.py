"""The trainings that confirm: the best configurations once more, outside of the ranking.

Rule 1: they begin when nothing of the search runs any more, and the search has nothing to give, or a limit ended it.
Rule 2: the best are those at the highest rung that has a result: the top one, if the search came that far.
Rule 3: each has a trial number of its own, the next one when it is given out, and goes to that rung at once. The
scheduler and the search do not hear of it.
Rule 4: all of the best are trained with one more seed before any of them with a second, the best first. A training
that failed counts: nothing is confirmed twice.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from ashtune._src.core.jobs import Job, TrialId

SEEDS = 2
"""How often each is trained once more: ``benchmarks/confirm.py`` compares 1, 2 and 3."""
MOST = 100
"""Configurations, and seeds of each."""


class Confirm(msgspec.Struct, frozen=True):
    """Train the best configurations once more, so that the one that was merely lucky is not named the winner.

    Args:
        best: How many of them, at most 100.
        seeds: How often each, with another ``trial.seed`` each time, at most 100.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] + trial.seed / 2**36)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2, quiet=True,
        ...     confirm=Confirm(best=2, seeds=3),
        ... )
        >>> study.best.trial == study.confirmed.trial, len(study.confirmed.values)
        (True, 3)
    """

    best: int
    seeds: int = SEEDS


class Numbering:
    """Turns numbers of trials into places and back. O(log m) and O(m), with ``m`` trials that confirm others.

    The *place* of a trial is its number among those of the search, which the scheduler counts without a gap.
    """

    def __init__(self) -> None:
        self._confirming: list[TrialId] = []

    def __contains__(self, trial: TrialId) -> bool:
        at = bisect_left(self._confirming, trial)
        return at < len(self._confirming) and self._confirming[at] == trial

    def __len__(self) -> int:
        return len(self._confirming)

    def confirms(self, trial: TrialId) -> None:
        """A trial confirms another. It is noted once."""
        if trial not in self:
            self._confirming.insert(bisect_left(self._confirming, trial), trial)

    def place(self, trial: TrialId) -> TrialId:
        """Return the place in the search of one of its trials."""
        return TrialId(trial - bisect_left(self._confirming, trial))

    def trial(self, place: TrialId) -> TrialId:
        """Return the trial at a place in the search."""
        trial = place
        for confirming in self._confirming:
            if confirming > trial:
                break
            trial = TrialId(trial + 1)
        return trial


class Confirming:
    """Which configurations are confirmed, how often, and by which trials: bookkeeping of the controller.

    Args:
        best: Returns the highest rung that has a result, and its best trials in order.
    """

    def __init__(self, best: Callable[[], tuple[int, Sequence[TrialId]]]) -> None:
        self.wanted: Confirm | None = None
        self.numbering = Numbering()
        self.of: dict[TrialId, TrialId] = {}
        """Trial that confirms -> trial that it confirms."""
        self._best = best
        self._times: Counter[tuple[int, TrialId]] = Counter()

    @property
    def next(self) -> TrialId | None:
        """The trial to be confirmed next; None if there is none. O(m) for the ``m`` best."""
        if self.wanted is None:
            return None
        rung, best = self._best()
        trial = min(best[: self.wanted.best], key=lambda trial: self._times[rung, trial], default=None)
        return trial if trial is not None and self._times[rung, trial] < self.wanted.seeds else None

    def give(self, confirmed: TrialId, number: TrialId) -> Job:
        """Return the job that confirms a trial, under the number of a new one."""
        rung, _ = self._best()
        self._times[rung, confirmed] += 1
        self.of[number] = confirmed
        self.numbering.confirms(number)
        return Job(number, rung)
