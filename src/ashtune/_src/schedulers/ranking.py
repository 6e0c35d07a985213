"""The ranking of the trials of one rung, and the rung's quota: how many of these trials may be
promoted.

Source: Li et al., MLSys 2020, https://arxiv.org/abs/1810.05934, Algorithm 2: if ``n`` trials have
arrived in a rung, including promoted trials, the best ``floor(n / reduction_factor)`` trials may be
promoted. ``docs/decisions/0028-where-trials-enter.md`` has the measurements of two differences from
the paper's quota: one future result is counted in advance, and the quota grows more slowly.
``core/order.py`` ranks several losses and constraints, as in Schmucker, Donini, Zafar, Salinas,
Archambeau, *Multi-objective Asynchronous Successive Halving*, 2021,
https://arxiv.org/abs/2106.12639.

Rule 1: trials are ranked by (loss, trial number), so of two trials with equal losses the earlier
trial is better. Trials with equal crowding distances in one front are also ranked by trial number.
Rule 2: failed trials (with a loss of inf) count in ``n``, rank last and are never promoted.
Rule 3: results that violate the constraints by the same amount are ranked by their losses, as
feasible results are.
Rule 4: a quota is computed in whole numbers, without logarithms and floats, so that a replayed
study has the same quotas on any machine. Cost: with one loss (:class:`OneLoss`), an arrival or a
promotion takes O(log n) time, and a withdrawal, which is rare, takes O(n log n) time. With several
losses (:class:`ManyLosses`), a promotion after an arrival takes O(n log n) time for two losses, and
at most O(m n^2) time for ``m`` losses.
"""

# Theory of operation of OneLoss
# ------------------------------
# A rung of a long study has 100,000 results, and each new result may increase the quota. To sort
# all results again would take O(n) time for each new result. Promotions depend only on the entry of
# rank ``quota``, and this rank changes by at most one at a time. So only the entries near it are
# kept sorted:
#
#   _better (a heap, the worst first)  |  _window (sorted)  |  _worse (a heap, the best first)
#   ranks 0 .. len(_better) - 1        |  about 2 * _NEAR   |  all later ranks
#
# ``_window[quota - len(_better)]`` is the entry of rank ``quota``. A new entry outside of the
# window is pushed to a heap. When the quota leaves the window, or the window has more than _WIDEST
# entries, _centre() moves entries between the window and the heaps. That happens only once in
# dozens of new entries near the quota, so its cost per entry is small.
#
# ``candidates`` has every entry that has ever been within the quota. Such an entry may be outside
# of the quota now, or it may be promoted already: promote() checks for both cases. An entry comes
# within the quota either when it arrives, or when the quota grows by one. In the second case, it is
# the entry of the new rank ``quota``.
#
# Withdrawals are rare, so each of them sorts all entries again.
#
# The best results of a rung are also in study/best_of_rung.py. The two modules share no code:
# best_of_rung.py keeps only the best results of a rung, but a ranking needs all results, and a
# user's own scheduler must work without the other data of a study.

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
    """Computes the quota of a rung from the rung's number of results ``n``.

    With ``N = n + ahead`` and the reduction factor ``f = 1 / kept``, the quota is the largest whole
    number that is at most ``N / f`` and at most ``f (N / f^2)^exponent``. If the exponent is 1, the
    two bounds of the quota are equal. If the exponent is smaller than 1, the second bound is the
    lower one for ``N`` above ``f^2``.

    Args:
        kept: The fraction that is promoted, between 0 and 1.
        ahead: How many future results are counted in advance: 0 or 1. With 1, the best trial is
            promoted earlier.
        exponent: From 1/2 to 1. The denominator must be small, because it is used as an exponent of
            whole numbers.
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

    Only the trials whose rank is near the quota matter for promotions. These trials are in a short
    sorted list, the window. Better trials are in one heap, and worse trials are in another heap.
    When the rank ``quota`` is no longer in the window, the window is filled again from the heaps.
    Most new results rank far above or below the quota, so adding them takes O(1) time. The ranking
    has a sentinel before and a sentinel after all other entries. Rank 0 is the first sentinel, and
    rank 1 is the best trial, so an entry of rank ``quota`` always exists.
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
        """A heap of all entries that have ever been within the quota. Some of them may be promoted
        or outside of the quota now.
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
        """Fill the window with ``_NEAR`` ranks on each side of the quota, or with all ranks of a
        side that has fewer ranks.
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
        # the quota grows by one at most, as the kept fraction is below 1
        grows = len(arrived) == self._grows_at
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
        """A list that is not empty if some trial may be promotable."""
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
    """Return the ranking class for results with this number of losses."""
    return OneLoss if losses == 1 else ManyLosses
