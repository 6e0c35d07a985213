"""The results that no other dominates, and the choice of one of them.

Sources: dominance under constraints as in Deb, Pratap, Agarwal, Meyarivan, *A fast and elitist multiobjective genetic
algorithm: NSGA-II*, IEEE Trans. Evol. Comp. 6(2), 2002, section VI: a feasible result dominates one that is not, and of
two that are not the one that violates less. The choice without weights is the knee of Das, *On characterizing the
"knee" of the Pareto curve*, Structural Optimization 18, 1999: the point that lies farthest below the plane through the
best points of each loss, all losses scaled to their range over the front. That is the smallest sum of scaled losses.

Rule: of equal results only the earliest counts.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ashtune.core.jobs import Key, Losses

T = TypeVar("T")


def is_as_good(one: Losses, other: Losses) -> bool:
    """Say whether a result is worse than another in no loss: it dominates it, or is equal."""
    return all(mine <= its for mine, its in zip(one, other, strict=True))


def front_of(results: Iterable[T], key: Callable[[T], tuple[Key, int]]) -> list[T]:
    """Return the results that no other dominates, the best in the first loss first; failures are never there.

    If one of them is feasible, all are; else they are those that violate the constraints least.

    Args:
        results: In any order.
        key: From a result to its violation and losses, and the number of its trial.

    Returns:
        A list, in O(n log n) with up to two losses, else O(m n f), where f is its length.
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
