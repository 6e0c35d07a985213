"""The order of results by several losses and constraints, and the choice of one result from the
Pareto front.

Sources: Deb, Pratap, Agarwal, Meyarivan, *A fast and elitist multiobjective genetic algorithm:
NSGA-II*, IEEE TEVC 6(2), 2002. Results are sorted into non-dominated fronts, and each front is
sorted by decreasing crowding distance. As in section VI, feasible results come first, followed by
infeasible results in the order of their violation. The front of each result is found with the
method of Zhang, Tian, Cheng, Jin, *An efficient approach to non-dominated sorting*, IEEE TEVC
19(2), 2015. Without weights, the chosen result is the knee of Das, *On characterizing the "knee" of
the Pareto curve*, Structural Optimization 18, 1999. The knee is the result farthest below the plane
through the results that are best in one loss. If each loss is scaled to its range over the front,
the knee has the smallest sum of losses.

Rule 1: if two results, or their crowding distances, are equal, the earlier trial comes first.
Failures come last.
Rule 2: results with the same violation are ordered like feasible results.
"""

# Decision 31 (docs/decisions/0031-several-objectives.md): one rule chooses the best trial, so that
# a report, a page and ``study.best`` show the same trial.

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar

from ashtune._src.core.jobs import Key, Losses, TrialId

T = TypeVar("T")
OF_ONE_LOSS = 2
_OF_TWO_LOSSES = 3
"""The lengths of keys with one loss and with two losses; the first entry of
a key is the violation.
"""


def ranked(entries: Iterable[tuple[Key, TrialId]]) -> list[tuple[Key, TrialId]]:
    """Return the (key, trial) pairs of a rung, sorted: the best first, failures last."""
    return list(in_order(entries))


def in_order(entries: Iterable[tuple[Key, TrialId]]) -> Iterator[tuple[Key, TrialId]]:
    """Yield the pairs of :func:`ranked` in order. O(n log n) with one or two losses, O(m n^2) with
    ``m`` losses.
    """
    inside = sorted(entries)
    if inside and len(inside[0][0]) <= OF_ONE_LOSS:
        yield from inside
        return
    for front in fronts_of(inside):
        yield from _widest_first(front)
    yield from sorted(
        (entry for entry in inside if max(entry[0]) == math.inf), key=lambda entry: entry[1]
    )


def fronts_of(entries: Iterable[tuple[Key, TrialId]]) -> Iterator[list[tuple[Key, TrialId]]]:
    """Yield the fronts of sorted entries, without failures. All entries of a front have the same
    violation.
    """
    finite = (entry for entry in entries if max(entry[0]) < math.inf)
    for _, equal in groupby(finite, key=lambda entry: entry[0][0]):
        yield from _fronts(equal)


def _fronts(entries: Iterable[tuple[Key, TrialId]]) -> list[list[tuple[Key, TrialId]]]:
    """Return the non-dominated fronts of sorted entries.

    An entry can be dominated only by an earlier entry. If no entry of a front dominates a result,
    then no entry of a later front dominates this result, so bisection finds the result's front.
    """
    fronts: list[list[tuple[Key, TrialId]]] = []
    for entry in entries:
        home = bisect_left(fronts, True, key=partial(_admits, entry[0]))
        if home == len(fronts):
            fronts.append([])
        fronts[home].append(entry)
    return fronts


def _admits(key: Key, front: list[tuple[Key, TrialId]]) -> bool:
    """Return whether no entry of a front dominates a result."""
    # the last entry has the smallest second loss
    rivals = front[-1:] if len(key) == _OF_TWO_LOSSES else front
    return not any(one != key and is_as_good(one, key) for one, _ in rivals)


def _widest_first(front: list[tuple[Key, TrialId]]) -> list[tuple[Key, TrialId]]:
    """Return a front sorted by decreasing crowding distance.

    The crowding distance is a sum over all losses. Each loss adds the gap between a result's two
    neighbours, divided by the loss's range.
    """
    distance = dict.fromkeys((trial for _, trial in front), 0.0)
    for loss in range(1, len(front[0][0])):
        along = sorted((key[loss], trial) for key, trial in front)
        lowest, first = along[0]
        highest, last = along[-1]
        distance[first] = distance[last] = math.inf
        if lowest < highest:
            for (before, _), (_, trial), (after, _) in zip(
                along, along[1:], along[2:], strict=False
            ):
                distance[trial] += (after - before) / (highest - lowest)
    return sorted(front, key=lambda entry: (-distance[entry[1]], entry[1]))


def is_as_good(one: Losses, other: Losses) -> bool:
    """Return whether ``one`` dominates ``other`` or is equal to it."""
    return all(mine <= its for mine, its in zip(one, other, strict=True))


def front_of(results: Iterable[T], key: Callable[[T], tuple[Key, int]]) -> list[T]:
    """Return the Pareto front of some results, sorted by the first loss, without failures.

    The front has only feasible results. If no result is feasible, the front has results with the
    smallest violation. If results are equal, the front has only the earliest of them. The time is
    O(n log n) with one or two losses. With ``m`` losses it is O(m n f), where ``f`` is the number
    of trials in the front.

    Args:
        results: The results, in any order.
        key: Returns the violation and losses of a result, and the number of its trial.
    """
    front: list[T] = []
    losses: list[Losses] = []
    least = math.inf
    for result in sorted(results, key=key):  # a result comes before all results that it dominates
        violation, *rest = key(result)[0]
        its = tuple(rest)
        if violation > least or max(its) == math.inf:
            continue
        least = violation
        # the last result has the smallest second loss
        rivals = losses if len(its) > 2 else losses[-1:]
        if not any(is_as_good(one, its) for one in rivals):
            front.append(result)
            losses.append(its)
    return front


def preferred(losses: Sequence[Losses], weights: Sequence[float] = ()) -> list[int]:
    """Return the indices of a front's results, sorted by the weighted sum of losses. Equal results
    keep their order.

    Each loss is first scaled to its range over the front.

    Args:
        losses: The losses of each result of the front.
        weights: The weight of each loss, not all 0. By default the weights are equal, and the first
            result is the knee.
    """
    columns = list(zip(*losses, strict=True))
    parts = weights or (1.0,) * len(columns)
    scales = [(min(column), (max(column) - min(column)) or 1.0) for column in columns]

    def weighed(place: int) -> float:
        pairs = zip(losses[place], scales, parts, strict=True)
        return math.fsum(part * ((loss - low) / extent) for loss, (low, extent), part in pairs)

    return sorted(range(len(losses)), key=weighed)
