"""What the trials have in common that came to nothing for one reason, and that no trial with a result has.

Rule: it is said of at least ``FEWEST`` such trials beside ``FEWEST_OTHERS`` with a result. Of fewer, one that has
nothing to do with it would be named by chance: an end of a range, with 3 and 10 trials, in 1 study of 140.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]

FEWEST = 3
FEWEST_OTHERS = 10


def in_common(
    ended: "Mask", others: "Mask", numbers: "Mapping[str, Floats]", texts: "Mapping[str, tuple[Codes, list[str]]]"
) -> list[str]:
    """Return what is in common, a hyperparameter each, as ``solver = lbfgs`` or ``rate from 0.08 on``. O(trials).

    Args:
        ended: Which trials came to nothing.
        others: Which have a result.
        numbers: Hyperparameters that are numbers: a value for each trial, NaN for none.
        texts: Those that are choices: a number for each trial that stands for one of the texts, -1 for none.
    """
    import numpy as np

    if ended.sum() < FEWEST or others.sum() < FEWEST_OTHERS:
        return []
    said: list[str] = []
    for name, (codes, choices) in texts.items():
        first = codes[ended][0]
        if first >= 0 and np.all(codes[ended] == first) and not np.any(codes[others] == first):
            said.append(f"{name} = {choices[first]}")
    for name, column in numbers.items():
        own, rest = column[ended], column[others]
        rest = rest[~np.isnan(rest)]
        if np.isnan(own).any() or not len(rest):
            continue
        if own.min() > rest.max():
            said.append(f"{name} from {own.min():.3g} on")
        elif own.max() < rest.min():
            said.append(f"{name} up to {own.max():.3g}")
    return said
