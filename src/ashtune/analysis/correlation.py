"""Spearman's rank correlation, with ties averaged."""

import math
from collections.abc import Sequence

FEWEST = 3


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Return the correlation of the ranks of two sequences of the same length, from -1 to 1. O(n log n).

    Returns:
        None for fewer than 3 pairs, or where one of the sequences is constant.

    Source:
        C. Spearman, *The Proof and Measurement of Association between Two Things*, Am. J. Psychol. 15, 1904.
    """
    if len(left) < FEWEST:
        return None
    a, b = _ranks(left), _ranks(right)
    mean = (len(left) - 1) / 2
    spread = math.sqrt(sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b))
    if spread == 0:
        return None
    return sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True)) / spread


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank from 0, equal ones sharing their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, first = [0.0] * len(values), 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for place in range(first, last + 1):
            ranks[order[place]] = (first + last) / 2
        first = last + 1
    return ranks
