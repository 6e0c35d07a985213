"""Confirmation: the best configurations are trained again with other seeds. Confirming trials are
not ranked.

Rule 1: confirmation begins when the search and all jobs of the search have ended.
Rule 2: the trials to confirm are the best trials of the highest rung that has a result.
Rule 3: each confirming training is a new trial with the next free number. A confirming trial is
trained in one job, up to the same rung as the trial that it confirms. The scheduler and the search
receive no results of confirming trials.
Rule 4: each of the best trials is confirmed once, in order of rank, before any trial is confirmed
with a second seed. A failed confirming training is not repeated.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from ashtune._src.core.jobs import Job, TrialId

# Decision 32 (docs/decisions/0032-noise-and-enough.md): in standard deviations of the noise,
# confirmation gained 0.10 to 0.16 with one seed, 0.14 to 0.28 with two seeds, and 0.19 to 0.30 with
# three seeds. Three seeds cost 1.5 times as much training as two.
SEEDS = 2
"""The default number of confirming seeds of each configuration: ``benchmarks/confirm.py`` compares
1, 2 and 3.
"""
MOST = 100
"""The largest allowed value of ``best`` and of ``seeds``."""


class Confirm(msgspec.Struct, frozen=True):
    """Train the best configurations again with other seeds, to find out whether the winner was only
    lucky.

    Args:
        best: The number of configurations to train again, at most 100.
        seeds: How often each configuration is trained again, at most 100; ``trial.seed`` differs
            each time.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] + trial.seed / 2**36)
        >>> study = tune(
        ...     train,
        ...     {"x": (0.0, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=8,
        ...     max_resource=2,
        ...     quiet=True,
        ...     confirm=Confirm(best=2, seeds=3),
        ... )
        >>> study.best.trial == study.confirmed.trial, len(study.confirmed.values)
        (True, 3)
    """

    __module__ = "ashtune"

    best: int
    seeds: int = SEEDS


class Numbering:
    """Converts trial numbers to places, and places to trial numbers. With ``m`` confirming trials,
    computing a place takes O(log m) time, and computing a trial number takes O(m) time.

    The *place* of a trial is its index among the trials of the search, without confirming trials.
    """

    def __init__(self) -> None:
        self._confirming: list[TrialId] = []

    def __contains__(self, trial: TrialId) -> bool:
        at = bisect_left(self._confirming, trial)
        return at < len(self._confirming) and self._confirming[at] == trial

    def __len__(self) -> int:
        return len(self._confirming)

    def confirms(self, trial: TrialId) -> None:
        """Record that a trial is a confirming trial. A second call for the same trial changes
        nothing.
        """
        if trial not in self:
            self._confirming.insert(bisect_left(self._confirming, trial), trial)

    def place(self, trial: TrialId) -> TrialId:
        """Return the place of a trial of the search."""
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
    """The controller's records of confirmation: the confirming trials, and how often each trial is
    confirmed.

    Args:
        best: A function that returns the highest rung with a result, and the trials of this rung in
            order of rank.
    """

    def __init__(self, best: Callable[[], tuple[int, Sequence[TrialId]]]) -> None:
        self.wanted: Confirm | None = None
        self.numbering = Numbering()
        self.of: dict[TrialId, TrialId] = {}
        """Confirming trial -> confirmed trial."""
        self._best = best
        self._times: Counter[tuple[int, TrialId]] = Counter()

    @property
    def next(self) -> TrialId | None:
        """The trial to confirm next, or None if no trial is left. The time is O(m) for the ``m``
        best trials.
        """
        if self.wanted is None:
            return None
        rung, best = self._best()
        candidates = best[: self.wanted.best]
        # min() returns the first minimum, so of equally often confirmed trials, the best-ranked is
        # next.
        trial = min(candidates, key=lambda trial: self._times[rung, trial], default=None)
        if trial is None or self._times[rung, trial] >= self.wanted.seeds:
            return None
        return trial

    def give(self, confirmed: TrialId, number: TrialId) -> Job:
        """Return the job that confirms the trial ``confirmed``. The new trial has the number
        ``number``.
        """
        rung, _ = self._best()
        self._times[rung, confirmed] += 1
        self.of[number] = confirmed
        self.numbering.confirms(number)
        return Job(number, rung)
