"""The ranking of the trials of one rung, and the rung's quota: how many of these trials may be
promoted.

Source: Li et al., MLSys 2020, https://arxiv.org/abs/1810.05934, Algorithm 2: of the ``n`` trials
that arrived in a rung, including promoted trials, the best ``floor(n / reduction_factor)`` may be
promoted. ``docs/decisions/0028-where-trials-enter.md`` has the measurements for two changes of the
paper's quota: one result counted in advance, and slower growth. ``core/order.py`` ranks several
losses and constraints, as in Schmucker, Donini, Zafar, Salinas, Archambeau, *Multi-objective
Asynchronous Successive Halving*, 2021, https://arxiv.org/abs/2106.12639.

Rule 1: ranks compare (loss, trial), so the earlier trial wins a tie, also a tie of crowding
distances in one front.
Rule 2: failed trials (with a loss of inf) count in ``n``, rank last and are never promoted.
Rule 3: results that violate the constraints equally are ranked by their losses, as feasible results
are.
Rule 4: a quota is computed without logarithm or float, so that a replayed study has the same quotas
on any machine. Cost: with one loss (:class:`OneLoss`), an arrival or a promotion takes O(log n)
time, and a withdrawal, which is rare, takes O(n log n) time. With several losses
(:class:`ManyLosses`), a promotion after an arrival takes O(n log n) time for two losses, and at
most O(m n^2) time for ``m`` losses.
"""

# Theory of operation of OneLoss
# ------------------------------
# A rung of a long study has 100,000 results, and each result may move the quota. Sorting them again
# would cost O(n) for each. Only the entry of rank ``quota`` decides, and it moves by one rank at a
# time, so only its neighbourhood is kept sorted:
#
#   _better (a heap, the worst first)  |  _window (sorted)  |  _worse (a heap, the best first)
#   ranks 0 .. len(_better) - 1        |  about 2 * _NEAR   |  all later ranks
#
# ``_window[quota - len(_better)]`` is the entry of rank ``quota``. An arrival outside of the window
# is pushed to a heap. When the quota leaves the window, or the window has more than _WIDEST
# entries, _centre() moves entries between window and heaps. That happens after dozens
# of arrivals near the quota, so its cost is spread over them.
#
# ``candidates`` has every entry that was within the quota once. An entry can fall out of the quota
# later, and a promoted one stays in the heap until it comes up: promote() tests both. An entry that
# enters the quota enters either by its arrival, or because the quota grows by one: then it is the
# entry of the new rank ``quota``.
#
# A withdrawal is rare, so it sorts everything again.
#
# The best results of a rung are also in study/best_of_rung.py, which keeps only the first ones. A
# ranking shares nothing with it: a ranking must know all results of a rung, and a scheduler of a
# user's own has to work without the books of a study.

import math
import sys
from bisect import insort
from fractions import Fraction
from heapq import heappop, heappush
from itertools import islice
from typing import Any, TypeAlias

from ashtune._src.core.jobs import Key, Result, TrialId, as_one
from ashtune._src.core.order import in_order

Entry = tuple[float, TrialId]

_BEFORE_ALL: Entry = (-math.inf, TrialId(-1))
_AFTER_ALL: Entry = (math.inf, TrialId(sys.maxsize))
_NEAR = 16
_WIDEST = 64


class QuotaRule:
    """Computes a rung's quota from its number of results ``n``.

    With ``N = n + ahead`` and the reduction factor ``f = 1 / kept``, the quota is the largest whole
    number that is at most ``N / f`` and at most ``f (N / f^2)^exponent``. If the exponent is 1, the
    two bounds of the quota are equal. If the exponent is smaller, the second bound is lower above
    ``N = f^2``.

    Args:
        kept: The fraction that is promoted, between 0 and 1.
        ahead: How many future results are counted in advance: 0, or 1, so that the best trial is
            promoted earlier.
        exponent: From 1/2 to 1; the denominator must be small, as powers of whole numbers are
            computed.
    """

    __slots__ = ("_part", "_power", "_root", "_whole", "ahead", "exponent", "kept")

    def __init__(self, kept: Fraction, ahead: int = 0, exponent: Fraction = Fraction(1)) -> None:
        self.kept = kept
        self.ahead = ahead
        self.exponent = exponent
        # The quota is computed often, and fractions are slow.
        self._part = kept.numerator
        self._whole = kept.denominator
        self._power = exponent.numerator
        self._root = exponent.denominator

    def of(self, arrived: int) -> int:
        """Return the quota of a rung with ``arrived`` results."""
        counted = arrived + self.ahead
        power = self._power
        root = self._root
        quota = counted * self._part // self._whole
        if power == root:
            return quota
        weight = 2 * power - root
        return min(quota, _root(counted**power * self._part**weight // self._whole**weight, root))

    def grows_at(self, quota: int) -> int:
        """Return the smallest number of results for which the quota is larger than ``quota``."""
        part = self._part
        whole = self._whole
        power = self._power
        root = self._root
        counted = -(-(quota + 1) * whole // part)
        if power != root:
            weight = 2 * power - root
            counted = max(
                counted,
                _root(-(-((quota + 1) ** root) * whole**weight // part**weight) - 1, power) + 1,
            )
        return counted - self.ahead


def _root(number: int, degree: int) -> int:
    """Return the integer part of the ``degree``-th root of a number, by Newton's method in whole
    numbers.
    """
    if number < 2:
        return number
    root = 1 << -(-number.bit_length() // degree)
    while (lower := ((degree - 1) * root + number // root ** (degree - 1)) // degree) < root:
        root = lower
    return root


class OneLoss:
    """The ranking of the trials of a rung by one loss.

    Only ranks near the quota decide about promotions. The trials near the quota are in a short
    sorted list, the window. Better and worse trials are in two heaps, from which the window is
    filled again when the quota comes near the window's end. Most new results are far from the quota
    and cost O(1) time. The ranking has a sentinel before and a sentinel after all other entries.
    Rank 0 is the first sentinel, and rank 1 is the best trial, so an entry of rank ``quota`` always
    exists.
    """

    __slots__ = (
        "_better",
        "_grows_at",
        "_next_growth",
        "_window",
        "_worse",
        "arrived",
        "candidates",
        "promoted",
        "quota",
        "rule",
    )

    def __init__(self, rule: QuotaRule) -> None:
        self.rule = rule
        self._next_growth = rule.grows_at
        self.arrived: list[Any] = []
        self.promoted: set[TrialId] = set()
        self.candidates: list[Any] = []
        """A heap of entries that were within the quota once; an entry may be promoted or outside of
        the quota now.
        """
        self._rank()

    def _rank(self) -> None:
        ranked = sorted(self.arrived)
        self.quota = self.rule.of(len(ranked))
        self._grows_at = self._next_growth(self.quota)
        self.candidates[:] = [entry for entry in ranked[: self.quota] if entry[0] < math.inf]
        self._better: list[tuple[float, int]] = []  # negated entries: a heap with the worst first
        self._worse: list[Entry] = []
        self._window = [_BEFORE_ALL, *ranked, _AFTER_ALL]
        self._centre()

    def _centre(self) -> None:
        """Let the window contain ``_NEAR`` ranks on each side of the quota, or all ranks of a side
        that has fewer.
        """
        window = self._window
        better = self._better
        worse = self._worse
        missing = _NEAR - (self.quota - len(better))
        drawn = [heappop(better) for _ in range(min(missing, len(better)))]
        window[:0] = [(-loss, TrialId(-trial)) for loss, trial in reversed(drawn)]
        cut = self.quota - len(better)
        while len(window) - cut < _NEAR and worse:
            window.append(heappop(worse))
        for entry in window[cut + _NEAR :]:
            heappush(worse, entry)
        del window[cut + _NEAR :]
        for loss, trial in reversed(window[: max(cut - _NEAR, 0)]):
            heappush(better, (-loss, -trial))
        del window[: max(cut - _NEAR, 0)]

    def add(self, entry: Entry) -> None:
        """Add the result of a trial that was trained to this rung."""
        arrived = self.arrived
        window = self._window
        arrived.append(entry)
        if entry > window[-1]:
            heappush(self._worse, entry)
        elif entry < window[0]:
            heappush(self._better, (-entry[0], -entry[1]))
        else:
            insort(window, entry)
        grows = len(arrived) == self._grows_at  # by one, as the kept fraction is below 1
        if grows:
            self.quota = quota = self.quota + 1
            self._grows_at = self._next_growth(quota)
        cut = self.quota - len(self._better)
        if not 0 <= cut < len(window) <= _WIDEST:
            self._centre()
            cut = self.quota - len(self._better)
        last = window[cut]
        if entry > last:
            if not grows:
                return
            entry = last
        if entry[0] < math.inf:
            heappush(self.candidates, entry)

    def promote(self) -> TrialId | None:
        """Promote and return the best unpromoted trial within the quota, or None if all of them are
        promoted.
        """
        while self.candidates:
            entry = heappop(self.candidates)
            trial: TrialId = entry[1]
            if trial not in self.promoted and self.is_within_quota(entry):
                self.promoted.add(trial)
                return trial
        return None

    def is_within_quota(self, entry: Entry) -> bool:
        """Return whether an entry is among the best ``quota`` entries of this rung."""
        is_within: bool = entry <= self._window[self.quota - len(self._better)]
        return is_within

    def remove(self, trial: TrialId) -> None:
        """Remove a withdrawn trial from the rung, as if the trial had never arrived."""
        self.arrived = [entry for entry in self.arrived if entry[1] != trial]
        self.promoted.discard(trial)
        self._rank()


class ManyLosses:
    """The ranking of a rung by several losses, with the methods of :class:`OneLoss`. Entries are
    (key, trial).
    """

    def __init__(self, rule: QuotaRule) -> None:
        self.rule = rule
        self.arrived: list[Any] = []
        self.promoted: set[TrialId] = set()
        self.candidates: list[Any] = []
        """Not empty if a trial may be promotable."""
        self._best: set[TrialId] | None = None
        self._in_order: list[TrialId] = []

    @property
    def quota(self) -> int:
        """The number of trials of this rung that may be promoted."""
        return self.rule.of(len(self.arrived))

    def add(self, entry: tuple[Key, TrialId]) -> None:
        """Add the result of a trial that was trained to this rung. O(1)."""
        self.arrived.append(entry)
        self.candidates = [entry]
        self._best = None

    def promote(self) -> TrialId | None:
        """Promote and return the best unpromoted trial within the quota, or None if all of them are
        promoted.
        """
        self._rank()
        for trial in self._in_order:
            if trial not in self.promoted:
                self.promoted.add(trial)
                return trial
        self.candidates = []
        return None

    def is_within_quota(self, entry: tuple[Key, TrialId]) -> bool:
        """Return whether an entry is among the best ``quota`` entries of this rung."""
        return entry[1] in self._rank()

    def remove(self, trial: TrialId) -> None:
        """Remove a withdrawn trial from the rung, as if the trial had never arrived."""
        self.arrived = [entry for entry in self.arrived if entry[1] != trial]
        self.promoted.discard(trial)
        self.candidates = self.arrived[:1]
        self._best = None

    def _rank(self) -> set[TrialId]:
        if self._best is None:
            best = list(islice(in_order(self.arrived), self.quota))
            self._best = {trial for _, trial in best}
            self._in_order = [trial for key, trial in best if max(key) < math.inf]
        return self._best


def entry_of(result: Result) -> Any:
    """Return a result as an entry of a ranking."""
    losses = result.losses
    if len(losses) > 1:
        return result.key, result.trial
    return as_one(result.violation, losses[0]), result.trial


Ranking: TypeAlias = OneLoss | ManyLosses


def ranking_by(losses: int) -> type[Ranking]:
    """Return the class of rankings for results with this number of losses."""
    return OneLoss if losses == 1 else ManyLosses
