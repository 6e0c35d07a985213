"""One number for several losses and violated constraints, with other weights for each trial.

Source: Knowles, *ParEGO: A Hybrid Algorithm With On-Line Landscape Approximation for Expensive Multiobjective
Optimization Problems*, IEEE Trans. Evol. Comp. 10(1), 2006: for each new point the weights are drawn anew, uniformly
among those whose sum is 1, and the losses, each scaled to its range, become their augmented Tchebycheff function
``max(w_i f_i) + 0.05 sum(w_i f_i)``. As each weighting has its minimum elsewhere on the front, all of it is searched.

Rule 1: weights are pure in the seed and the trial's number.
Rule 2: a loss is scaled to its range among the results at the highest resource that has five: what all trials lose at a
low resource says nothing about the trade-off.
Rule 3: whatever violates a constraint is worse than the worst that does not, the more the more it violates.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

AUGMENTED = 0.05
ENOUGH = 5
CLIP = 2.0
"""How far above the median a value counts at most, in units of the distance from the best to the median."""
FARTHEST = 1e6
"""How far from the least a loss counts at most, in units of the range: all others count as that."""


def weights_for(seed: int, trial: int, losses: int) -> "Array":
    """Return the weights of ``losses`` losses for one trial, shape (m,)."""
    import numpy as np

    return np.random.default_rng([seed, trial, 2]).dirichlet(np.ones(losses))


def scalarise(keys: "Array", weights: "Array", resources: "Array | None" = None) -> "Array":
    """Return one number for each result, smaller is better.

    Args:
        keys: By result its violation and its losses, shape (n, 1 + m); of a failure they are infinite.
        weights: Shape (m,).
        resources: What the results were trained to, in any unit, shape (n,); by default all to the same.

    Returns:
        Shape (n,), infinite for failures.
    """
    import numpy as np

    violations, losses = keys[:, 0], keys[:, 1:]
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
    low, high = reference.min(axis=0), reference.max(axis=0)
    with np.errstate(over="ignore"):  # where the range is next to nothing
        scaled = (losses[is_finite] - low) / np.where(high > low, high - low, 1.0)
    weighted = weights * np.clip(scaled, -FARTHEST, FARTHEST)
    values[is_finite] = weighted.max(axis=1) + AUGMENTED * weighted.sum(axis=1)
    if (is_violating := is_finite & (violations > 0)).any():
        feasible, amounts = values[is_finite & ~is_violating], violations[is_violating]
        worst, extent = (feasible.max(), max(np.ptp(feasible), 1.0)) if len(feasible) else (0.0, 1.0)
        values[is_violating] = worst + extent * amounts / (amounts + np.median(amounts))
    return values


def clip_outliers(values: "Array") -> "Array":
    """Return values no further above the median than ``CLIP`` times the distance from the best to it, by column.

    Where half of them are as good as the best, that would make all equal: what is not finite counts as the worst then.

    Args:
        values: Shape (n,) or (n, m).
    """
    import numpy as np

    if values.ndim > 1:
        return np.column_stack([clip_outliers(column) for column in values.T])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return values
    best, middle = finite.min(), float(np.median(finite))
    bounded: Array = np.minimum(values, middle + CLIP * (middle - best) if middle > best else finite.max())
    return bounded
