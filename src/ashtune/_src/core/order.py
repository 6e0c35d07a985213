"""The order of results by several losses and constraints, and the choice of one that no other dominates.

Sources: Deb, Pratap, Agarwal, Meyarivan, *A fast and elitist multiobjective genetic algorithm: NSGA-II*, IEEE Trans.
Evol. Comp. 6(2), 2002: non-dominated fronts, in a front the larger crowding distance first; section VI: feasible
results first, the others by how much they violate the constraints. The front of a result is searched as in Zhang, Tian,
Cheng, Jin, *An efficient approach to non-dominated sorting*, IEEE Trans. Evol. Comp. 19(2), 2015. The choice without
weights is the knee of Das, *On characterizing the "knee" of the Pareto curve*, Structural Optimization 18, 1999: the
point farthest below the plane through the best points of each loss, all scaled to their range over the front, which is
the smallest sum of scaled losses.

Rule 1: ties go to the earlier trial, also those in one front with equal distances. Failures come last.
Rule 2: results that violate the constraints equally are ordered among themselves as feasible ones are.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar

from ashtune._src.core.jobs import Key, Losses, TrialId

T = TypeVar("T")
_OF_ONE_LOSS, _OF_TWO_LOSSES = 2, 3
"""The length of a key: the violation comes first."""


def ranked(entries: Iterable[tuple[Key, TrialId]]) -> list[tuple[Key, TrialId]]:
    """Return (key, trial) of a rung, the best first, failures last."""
    return list(in_order(entries))


def in_order(entries: Iterable[tuple[Key, TrialId]]) -> Iterator[tuple[Key, TrialId]]:
    """Yield (key, trial) of a rung, the best first, failures last. O(n log n) with up to two losses, else O(m n^2)."""
    inside = sorted(entries)
    if inside and len(inside[0][0]) <= _OF_ONE_LOSS:
        yield from inside
        return
    for front in fronts_of(inside):
        yield from _widest_first(front)
    yield from sorted((entry for entry in inside if max(entry[0]) == math.inf), key=lambda entry: entry[1])


def fronts_of(entries: Iterable[tuple[Key, TrialId]]) -> Iterator[list[tuple[Key, TrialId]]]:
    """Yield sorted entries, without failures, as fronts: the results of one violation after another."""
    finite = (entry for entry in entries if max(entry[0]) < math.inf)
    for _, equal in groupby(finite, key=lambda entry: entry[0][0]):
        yield from _fronts(equal)


def _fronts(entries: Iterable[tuple[Key, TrialId]]) -> list[list[tuple[Key, TrialId]]]:
    """Return sorted entries as fronts: each entry is dominated by one in the front before.

    What dominates an entry comes before it, so one that no entry of a front dominates is dominated in no later front.
    Of two losses only the last in a front can dominate it: that has the least second loss.
    """
    fronts: list[list[tuple[Key, TrialId]]] = []
    for entry in entries:
        home = bisect_left(fronts, True, key=partial(_admits, entry[0]))
        if home == len(fronts):
            fronts.append([])
        fronts[home].append(entry)
    return fronts


def _admits(key: Key, front: list[tuple[Key, TrialId]]) -> bool:
    """Say whether no entry of a front dominates a result."""
    rivals = front[-1:] if len(key) == _OF_TWO_LOSSES else front
    return not any(one != key and is_as_good(one, key) for one, _ in rivals)


def _widest_first(front: list[tuple[Key, TrialId]]) -> list[tuple[Key, TrialId]]:
    """Return a front by crowding distance: how far apart its neighbours are, all losses together, in parts of all."""
    distance = dict.fromkeys((trial for _, trial in front), 0.0)
    for loss in range(1, len(front[0][0])):
        along = sorted((key[loss], trial) for key, trial in front)
        (lowest, first), (highest, last) = along[0], along[-1]
        distance[first] = distance[last] = math.inf
        if lowest < highest:
            for (before, _), (_, trial), (after, _) in zip(along, along[1:], along[2:], strict=False):
                distance[trial] += (after - before) / (highest - lowest)
    return sorted(front, key=lambda entry: (-distance[entry[1]], entry[1]))


def is_as_good(one: Losses, other: Losses) -> bool:
    """Say whether a result is worse than another in no loss: it dominates it, or is equal."""
    return all(mine <= its for mine, its in zip(one, other, strict=True))


def front_of(results: Iterable[T], key: Callable[[T], tuple[Key, int]]) -> list[T]:
    """Return the results that no other dominates, the best in the first loss first; failures are never there.

    If one of them is feasible, all are; else they are those that violate the constraints least. Of equal results only
    the earliest is there. O(n log n) with up to two losses, else O(m n f) for a front of f.

    Args:
        results: In any order.
        key: From a result to its violation and losses, and the number of its trial.
    """
    front: list[T] = []
    losses: list[Losses] = []
    least = math.inf
    for result in sorted(results, key=key):  # a result comes before those that it dominates
        violation, *rest = key(result)[0]
        its = tuple(rest)
        if violation > least or max(its) == math.inf:
            continue
        least = violation
        rivals = losses if len(its) > 2 else losses[-1:]  # of two losses the last has the least second one
        if not any(is_as_good(one, its) for one in rivals):
            front.append(result)
            losses.append(its)
    return front


def preferred(losses: Sequence[Losses], weights: Sequence[float] = ()) -> list[int]:
    """Return the places in a front by the weighted sum of losses, the smallest first; equal ones as they stand.

    Each loss is scaled to its range over the front.

    Args:
        losses: Of the front.
        weights: For each loss, not all 0; without them all weigh the same: the first is the knee of the front.
    """
    columns = list(zip(*losses, strict=True))
    parts = weights or (1.0,) * len(columns)
    scales = [(min(column), (max(column) - min(column)) or 1.0) for column in columns]

    def weighed(place: int) -> float:
        pairs = zip(losses[place], scales, parts, strict=True)
        return math.fsum(part * ((loss - low) / extent) for loss, (low, extent), part in pairs)

    return sorted(range(len(losses)), key=weighed)
