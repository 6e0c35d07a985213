"""Tests whether the proposed trials of a study are promoted more often than its random trials.

Source: Birch, *The detection of partial association, I*, J. R. Stat. Soc. B 26, 1964, extends
Fisher's exact test from one table to several tables. One table has the counts of one stretch (see
rule 1): promoted and unpromoted trials from each source. The ratio of the promoted shares is
computed by Mantel and Haenszel (*J. Natl. Cancer Inst.* 22, 1959), and the ratio's interval by
Greenland and Robins, *Biometrics* 41, 1985. The null hypothesis is that all trials of a stretch are
equally likely to be promoted. The probability of promotion may differ between stretches.

Rule 1: trials are compared only within a stretch, which is ``STRETCH`` consecutive trials that
entered at the same rung. Trials before the first proposal are not compared, because early trials
had few competitors.
Rule 2: a trial is compared as soon as it has a result at its entry rung. Trials that failed at any
rung are not compared, because an error in the training function says nothing about the search.
Withdrawn trials, enqueued trials and confirming trials are not compared either.
Rule 3: the stretch of a trial does not depend on the trial's source or promotion.
"""

# Rule 1: decision 34 (docs/decisions/0034-did-the-model-help.md).

import math
from array import array
from collections.abc import Collection, Sequence

import msgspec

from ashtune._src.core.events import Event, JobFinished, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, TrialFailed, TrialPromoted
from ashtune._src.search.origins import Sort, sort_of

STRETCH = 20
_NOT_JUDGED = -1
NEGLIGIBLE = 1e-18
"""Probabilities below this number are dropped at both ends of a distribution. Otherwise the
distribution would have an entry for each trial.
"""
TWO_SIDED_95 = 1.959964


class Stretch(msgspec.Struct, frozen=True):
    """The counts of one stretch: its proposed trials, its random trials, and the promoted trials of
    each kind.
    """

    proposed: int
    proposed_promoted: int
    random: int
    random_promoted: int

    @property
    def trials(self) -> int:
        """The number of all trials in the stretch."""
        return self.proposed + self.random


class Promotions(Observer):
    """Records each trial's sort, the rung of its first result, and whether the trial was promoted
    or failed.
    """

    def __init__(self) -> None:
        self.sorts = bytearray()
        """The sort of each trial that has started."""
        self._entered = array("h")
        self._promoted = bytearray()

    def event(self, event: Event) -> None:
        match event:
            case TrialStarted(trial=trial, origin=origin):
                self._grow(trial)
                self.sorts[trial] = sort_of(origin)
            case JobFinished(trial=trial, rung=rung):
                self._grow(trial)
                if self._entered[trial] == _NOT_JUDGED:
                    self._entered[trial] = rung
            case TrialWithdrawn(trial=trial):
                self._grow(trial)
                self.sorts[trial] = Sort.OTHER
            case _:
                pass

    def followed(self, what: Followed) -> None:
        match what:
            case TrialPromoted(trial=trial):
                self._grow(trial)
                self._promoted[trial] = True
            case TrialFailed(trial=trial):  # a withdrawn or failed trial is never trained again
                self._grow(trial)
                self._entered[trial] = _NOT_JUDGED
            case _:
                pass

    def is_judged(self, trial: TrialId) -> bool:
        """Return whether a trial has a result at its entry rung, and did not fail later."""
        return trial < len(self._entered) and self._entered[trial] != _NOT_JUDGED

    def is_promoted(self, trial: TrialId) -> bool:
        """Return whether a trial was promoted from its entry rung."""
        return bool(self._promoted[trial])

    def compared(self, sorts: Collection[Sort]) -> list[list[TrialId]]:
        """Return the stretches that compare random trials with proposed trials of the given sorts.
        O(trials).
        """
        stretches: list[list[TrialId]] = []
        at: dict[int, list[TrialId]] = {}  # for each entry rung, the stretch that is not full yet
        first = next((n for n in range(len(self.sorts)) if self.sorts[n] in sorts), len(self.sorts))
        for number in range(first, len(self.sorts)):
            trial = TrialId(number)
            if self.is_judged(trial) and (
                self.sorts[number] == Sort.RANDOM or self.sorts[number] in sorts
            ):
                entered = self._entered[number]
                if entered not in at or len(at[entered]) == STRETCH:
                    at[entered] = []
                    stretches.append(at[entered])
                at[entered].append(trial)
        return stretches

    def stretches(self, sorts: Collection[Sort]) -> list[Stretch]:
        """Return the counts of proposed, random and promoted trials for each stretch of
        :meth:`compared`.
        """
        return [self._count_stretch(trials) for trials in self.compared(sorts)]

    def _count_stretch(self, trials: list[TrialId]) -> Stretch:
        drawn = [trial for trial in trials if self.sorts[trial] == Sort.RANDOM]
        random_promoted = sum(self._promoted[trial] for trial in drawn)
        return Stretch(
            proposed=len(trials) - len(drawn),
            proposed_promoted=sum(self._promoted[trial] for trial in trials) - random_promoted,
            random=len(drawn),
            random_promoted=random_promoted,
        )

    def _grow(self, trial: TrialId) -> None:
        missing = trial + 1 - len(self.sorts)
        if missing > 0:
            self.sorts += bytes([Sort.OTHER]) * missing
            self._promoted += bytes(missing)
            self._entered.extend([_NOT_JUDGED] * missing)


class Ratio(msgspec.Struct, frozen=True):
    """The promoted share of proposals divided by the promoted share of random draws, with a 95 %
    interval.
    """

    ratio: float
    low: float
    high: float


class Chances(msgspec.Struct, frozen=True):
    """Probabilities under the null hypothesis that proposals and random draws are equally likely to
    be promoted.

    Args:
        as_many: The probability of at least the observed number of promoted random draws. It is
            small if proposals are worse than random draws.
        as_few: The probability of at most the observed number of promoted random draws. It is small
            if proposals are better than random draws.
        fewest: The smallest possible ``as_few`` with these trials and promotions. If ``fewest`` is
            large, the data cannot show that any model is better.
    """

    as_many: float
    as_few: float
    fewest: float


def chances(stretches: Sequence[Stretch]) -> Chances:
    """Return the exact probabilities of :class:`Chances`. Cost: O(s sqrt(s)) for ``s`` stretches of
    equal length.
    """
    import numpy as np

    # the probabilities of ``begin``, ``begin + 1``, ... promoted random draws
    begin = 0
    probabilities = np.ones(1)
    promoted = 0
    for stretch in stretches:
        least, one = _hypergeometric(stretch)
        probabilities = np.convolve(probabilities, one)
        kept = np.flatnonzero(probabilities >= NEGLIGIBLE)
        begin = begin + least + int(kept[0])
        probabilities = probabilities[kept[0] : kept[-1] + 1]
        promoted += stretch.random_promoted
    place = promoted - begin
    return Chances(
        as_many=min(1.0, math.fsum(probabilities[max(0, place) :])),
        as_few=min(1.0, math.fsum(probabilities[: max(0, place + 1)])),
        fewest=float(probabilities[0]),
    )


def ratio_of(stretches: Sequence[Stretch]) -> Ratio | None:
    """Return the promoted share of proposals divided by the promoted share of random draws. If
    either share is 0, return None.
    """
    ours = theirs = spread = 0.0
    for each in stretches:
        n = each.trials
        if n:
            ours += each.proposed_promoted * each.random / n
            theirs += each.random_promoted * each.proposed / n
            both = each.proposed_promoted + each.random_promoted
            spread += (
                both * each.proposed * each.random
                - each.proposed_promoted * each.random_promoted * n
            ) / n**2
    if ours <= 0 or theirs <= 0:
        return None
    ratio = ours / theirs
    width = math.exp(TWO_SIDED_95 * math.sqrt(max(0.0, spread) / (ours * theirs)))
    return Ratio(ratio, ratio / width, ratio * width)


def _hypergeometric(stretch: Stretch) -> tuple[int, list[float]]:
    """Return the smallest possible number of promoted random draws, and the probabilities of this
    number and of each larger number.
    """
    n = stretch.trials
    promoted = stretch.proposed_promoted + stretch.random_promoted
    least = max(0, promoted - stretch.proposed)
    most = min(promoted, stretch.random)
    ways = math.comb(n, stretch.random)
    return least, [
        math.comb(promoted, each) * math.comb(n - promoted, stretch.random - each) / ways
        for each in range(least, most + 1)
    ]
