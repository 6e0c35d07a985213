"""What chance gives a random and a grid search: exact, and simulated with ashtune's own searches.

Source: Bergstra and Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 13, 2012,
https://jmlr.org/papers/v13/bergstra12a.html, for why few important dimensions favour random search.

Rule: every trial that is counted here comes from ``Random.configuration`` or
``GridDesign.configuration``; numpy's generator places the optima only.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ashtune._src.search.grid import GridDesign
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space

Floats = NDArray[np.float64]


def best_of(trials: int, top: float) -> float:
    """Return the probability that the best of some random trials is in the top fraction of the
    space.
    """
    return 1 - (1 - top) ** trials


def fewest(top: float, confidence: float) -> int:
    """Return how many random trials put one in the top fraction with this probability."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - top))


def best_quantiles(counts: Sequence[int], seeds: int) -> Floats:
    """Return the quantile of the best of the first ``n`` trials of each seed, shape
    ``(seeds, counts)``.

    The objective is a uniform ``x`` itself, smaller being better: its value is its quantile. Any
    other objective, of any dimension, ranks the same independent draws, so this is no special case.
    """
    space = Space.parse({"x": (0.0, 1.0)})
    best = np.empty((seeds, len(counts)))
    for seed in range(seeds):
        running = np.minimum.accumulate(drawn(space, seed, max(counts)))
        best[seed] = running[np.array(counts) - 1, 0]
    return best


def cube(dimensions: int, margin: float = 0.0) -> Space:
    """Return a space of floats, each from ``margin`` to ``1 - margin``."""
    return Space.parse({f"x{axis}": (margin, 1 - margin) for axis in range(dimensions)})


def drawn(space: Space, seed: int, trials: int) -> Floats:
    """Return the first trials of a random search as points, shape ``(trials, hyperparameters)``."""
    search = Random().build(space, seed)
    return np.array([list(search.configuration(trial).values()) for trial in range(trials)])


def laid_out(space: Space, points: int) -> Floats:
    """Return a whole grid search as points, shape
    ``(points ** hyperparameters, hyperparameters)``.
    """
    search = GridDesign(space, points)
    return np.array([list(search.configuration(trial).values()) for trial in range(search.size)])


def hits(trials: Floats, optima: Floats, window: float) -> NDArray[np.bool_]:
    """Tell for each optimum ``(m, e)`` whether a trial ``(n, d)`` is within its window in all ``e``
    axes.

    The first ``e`` dimensions are the important ones. O(m n e) time, O(m n) memory.
    """
    near = np.ones((len(optima), len(trials)), dtype=np.bool_)
    for axis in range(optima.shape[1]):
        near &= np.abs(optima[:, axis, np.newaxis] - trials[:, axis]) <= window / 2
    return np.asarray(near.any(axis=1))


def grid_hits(axis: Floats, important: int, window: float) -> float:
    """Return the exact probability that a grid hits: what its windows cover of [0, 1], on each
    axis.

    Args:
        axis: The grid's values on one axis; the same on all.
        important: How many axes count.
        window: Side of the window around an optimum that is uniform in [0, 1] on each axis.
    """
    covered, end = 0.0, 0.0
    for value in np.unique(axis):
        low, high = max(value - window / 2, end), min(value + window / 2, 1.0)
        covered += max(high - low, 0.0)
        end = max(end, high)
    return covered**important


def random_hits(trials: int, important: int, window: float) -> float:
    """Return the exact probability that one of some random trials hits, edges included.

    An optimum nearer than ``window / 2`` to an edge has less of its window inside. One trial hits
    on one axis with probability ``window`` there (for ``1 - window`` of all optima) or, evenly
    spread over the rest of them, ``window / 2`` to ``window``. Gauss-Legendre quadrature is exact
    for polynomials of twice its nodes, less one; this one is of degree ``trials``.
    """
    nodes, weights = np.polynomial.legendre.leggauss(trials // 2 + 1)
    axis_hit = np.append(window * (3 + nodes) / 4, window)
    axis_mass = np.append(weights / 2 * window, 1 - window)
    hit, mass = np.ones(1), np.ones(1)
    for _ in range(important):
        hit, mass = np.outer(hit, axis_hit).ravel(), np.outer(mass, axis_mass).ravel()
    return 1 - float(mass @ (1 - hit) ** trials)


def sigmas(measured: float, exact: float, repetitions: int) -> float:
    """Return how many standard errors a measured frequency is from its probability."""
    return (measured - exact) / math.sqrt(exact * (1 - exact) / repetitions)
