"""Values shared by all trials that failed for one reason, and by no successful one.

Rule: at least ``FEWEST`` trials failed for the reason, and ``FEWEST_OTHERS`` have a result. With 3 and 10 trials,
chance names the end of a range in 1 study of 140; with fewer, more often. Two hyperparameters together are named only
where chance would name two in less than 1 study of ``UNLIKELY``.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]
    Numbers = Mapping[str, Floats]
    Texts = Mapping[str, tuple[Codes, list[str]]]

FEWEST = 3
FEWEST_OTHERS = 10
UNLIKELY = 1_000
MOST_NAMED = 3


def in_common(ended: "Mask", others: "Mask", numbers: "Numbers", texts: "Texts") -> str:
    """Return the shared values in words, as ``10 of 10 with width = 256 and layers = 3, 0 of 140 others``, or "".

    O(trials) for each hyperparameter, and for each pair of them where no single one tells the trials apart.

    Args:
        ended: Which trials failed for the reason.
        others: Which trials have a result.
        numbers: Hyperparameters that are numbers: a value for each trial, NaN for none.
        texts: Those that are choices: a number for each trial that stands for one of the texts, -1 for none.
    """
    count, rest = int(ended.sum()), int(others.sum())
    if count < FEWEST or rest < FEWEST_OTHERS:
        return ""
    shared = [*_choices(ended, others, texts), *_ranges(ended, others, numbers)]
    named = [words for words, too in shared if not too.any()][:MOST_NAMED]
    conditions = 3 * (count + rest) * len(numbers) + sum(len(choices) for _, choices in texts.values())
    if not named and _is_unlikely(count, rest, conditions):
        pairs = (pair for pair in combinations(shared, 2) if not (pair[0][1] & pair[1][1]).any())
        closest = min(pairs, key=lambda pair: int(pair[0][1].sum() + pair[1][1].sum()), default=())
        named = [words for words, _ in closest]
    return f"{count:,} of {count:,} with {' and '.join(named)}, 0 of {rest:,} others" if named else ""


def _choices(ended: "Mask", others: "Mask", texts: "Texts") -> "Iterable[tuple[str, Mask]]":
    """Yield each choice that all failed trials share, and which of the others have it too."""
    for name, (codes, choices) in texts.items():
        first = codes[ended][0]
        if first >= 0 and (codes[ended] == first).all():
            yield f"{name} = {choices[first]}", codes[others] == first


def _ranges(ended: "Mask", others: "Mask", numbers: "Numbers") -> "Iterable[tuple[str, Mask]]":
    """Yield each value, or end of a range, that all failed trials share, and which of the others have it too."""
    for name, column in numbers.items():
        own, rest = column[ended], column[others]
        low, high = own.min(), own.max()
        if not low <= high or not (rest == rest).any():  # noqa: PLR0124 - NaN: one has none, or all others
            continue
        if low == high:
            yield f"{name} = {low:.6g}", rest == low
        else:
            yield f"{name} from {low:.3g} on", rest >= low
            yield f"{name} up to {high:.3g}", rest <= high


def _is_unlikely(ended: int, others: int, conditions: int) -> bool:
    """Whether chance would hardly find two of these conditions that tell the trials apart."""
    ways = math.lgamma(ended + others + 1) - math.lgamma(ended + 1) - math.lgamma(others + 1)
    return ways > math.log(UNLIKELY) + 2 * math.log(max(1, conditions))
