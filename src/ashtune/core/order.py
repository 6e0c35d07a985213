"""The order of results by several losses and constraints.

Sources: Deb, Pratap, Agarwal, Meyarivan, *A fast and elitist multiobjective genetic algorithm: NSGA-II*, IEEE Trans.
Evol. Comp. 6(2), 2002: non-dominated fronts, in a front the larger crowding distance first; section VI: feasible
results first, the others by how much they violate the constraints. The front of a result is searched as in Zhang, Tian,
Cheng, Jin, *An efficient approach to non-dominated sorting*, IEEE Trans. Evol. Comp. 19(2), 2015.

Rule 1: ties go to the earlier trial, also those in one front with equal distances. Failures come last.
Rule 2: results that violate the constraints equally are ordered among themselves as feasible ones are.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby

from ashtune.core.front import is_as_good
from ashtune.core.jobs import Key, TrialId

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
    """Return sorted entries as fronts: who is in one is dominated by somebody in the one before.

    As whoever dominates an entry comes before it, an entry that nobody in a front dominates has nobody who does in any
    later front. Of two losses only the last in a front can dominate it: that has the least second loss.
    """
    fronts: list[list[tuple[Key, TrialId]]] = []
    for entry in entries:
        home = bisect_left(fronts, True, key=partial(_admits, entry[0]))
        if home == len(fronts):
            fronts.append([])
        fronts[home].append(entry)
    return fronts


def _admits(key: Key, front: list[tuple[Key, TrialId]]) -> bool:
    """Say whether nobody in a front dominates a result."""
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
