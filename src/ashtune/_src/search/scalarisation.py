"""Combines several losses and violated constraints into one number, with different weights for each
trial.

Source: Knowles, *ParEGO: A Hybrid Algorithm With On-Line Landscape Approximation for Expensive
Multiobjective Optimization Problems*, IEEE Trans. Evol. Comp. 10(1), 2006. For each trial, weights
with the sum 1 are drawn uniformly. The scaled losses ``f_i`` are combined by the augmented
Tchebycheff function ``max(w_i f_i) + 0.05 sum(w_i f_i)``. Different weights have their minimum at
different points of the Pareto front, so all parts of the front are searched.

Rule 1: the weights of a trial are a pure function of the seed and the trial's number.
Rule 2: each loss is scaled by the range of its values at one resource: the highest resource that
has at least five results.
Rule 3: a result that violates a constraint gets a larger number than every feasible result.
"""

# Decision 31 (docs/decisions/0031-several-objectives.md): a search that learns sees one number for
# each result, with different weights for each trial.

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

AUGMENTED = 0.05
ENOUGH = 5
CLIP = 2.0
"""Values are clipped at the median plus this many times the distance between the best value and the
median.
"""
FARTHEST = 1e6
"""Losses are clipped at the smallest loss plus this many times the range."""


def weights_for(seed: int, trial: int, losses: int) -> "Array":
    """Return one trial's weights, one weight for each loss, shape (m,)."""
    import numpy as np

    return np.random.default_rng([seed, trial, 2]).dirichlet(np.ones(losses))


def scalarise(keys: "Array", weights: "Array", resources: "Array | None" = None) -> "Array":
    """Return one number for each result; a smaller number is better.

    Args:
        keys: The violation and the losses of each result, shape (n, 1 + m); infinite for a failure.
        weights: Shape (m,).
        resources: The resource of each result, in any unit, shape (n,). By default all resources
            are equal.

    Returns:
        Shape (n,), infinite for failures.
    """
    import numpy as np

    violations = keys[:, 0]
    losses = keys[:, 1:]
    is_finite = np.isfinite(losses).all(axis=1)
    values: Array = np.full(len(keys), np.inf)
    if not is_finite.any():
        return values
    is_reference = is_finite
    if resources is not None:
        for resource in np.unique(resources[is_finite])[::-1]:
            if (is_finite & (resources == resource)).sum() >= ENOUGH:
                is_reference = is_finite & (resources == resource)
                break
    reference = clip_outliers(losses[is_reference])
    low = reference.min(axis=0)
    high = reference.max(axis=0)
    with np.errstate(over="ignore"):  # the range may be tiny
        scaled = (losses[is_finite] - low) / np.where(high > low, high - low, 1.0)
    weighted = weights * np.clip(scaled, -FARTHEST, FARTHEST)
    values[is_finite] = weighted.max(axis=1) + AUGMENTED * weighted.sum(axis=1)
    is_violating = is_finite & (violations > 0)
    if is_violating.any():
        feasible = values[is_finite & ~is_violating]
        amounts = violations[is_violating]
        worst = 0.0
        extent = 1.0
        if len(feasible):
            worst = feasible.max()
            extent = max(np.ptp(feasible), extent)
        # A violation half as large as the usual violation adds a third of ``extent``. No violation
        # adds more than ``extent``.
        values[is_violating] = worst + extent * amounts / (amounts + np.median(amounts))
    return values


def clip_outliers(values: "Array") -> "Array":
    """Clip the values of each column at the column's median plus ``CLIP`` times the distance
    between its best value and its median.

    If half of the values equal the best value, each infinite value is replaced by the worst finite
    value, and the finite values stay as they are.

    Args:
        values: Shape (n,) or (n, m).
    """
    import numpy as np

    if values.ndim > 1:
        return np.column_stack([clip_outliers(column) for column in values.T])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return values
    best = finite.min()
    middle = float(np.median(finite))
    most = finite.max()
    if middle > best:
        most = middle + CLIP * (middle - best)
    bounded: Array = np.minimum(values, most)
    return bounded
