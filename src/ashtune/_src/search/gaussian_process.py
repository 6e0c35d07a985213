"""Regression by a Gaussian process, which estimates the mean and the variance of a function from
noisy values.

Source: Rasmussen, Williams, *Gaussian Processes for Machine Learning*, MIT Press, 2006: algorithm
2.1 (prediction), and equations 5.8 and 5.9 (the marginal likelihood and its gradient). The kernel
is the Matern kernel of degree 5/2 with one length scale for each input. A fit maximises the
posterior probability of the length scales, the scale and the noise. The priors are those of
Optuna's ``GPSampler``. If there are few values, the priors keep the length scales moderate and the
noise small.

Cost: a fit to ``n`` values of a function of ``d`` inputs takes about 30 steps of O(n^3 + d n^2)
time. For 140 values and 8 inputs, a fit takes 15 ms.
"""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dpotri, dtrtri
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]

_NOISE = 0.01
_SCALE = 1.0
"""Initial values of the fit; the weights of the inputs start at 1."""
_STEPS = 50
# Decision 82 (docs/decisions/0082-never-worse-than-chance.md).
_TOLERANCE = 1e-4
"""The fit ends when a step gains less than this share of the log posterior. Smaller values double
the time of a fit.
"""
_JITTER = 1e-9
"""This number times the scale is added to the diagonal, so that the matrix can be factored even if
rows are equal.
"""
_BOUND = 12.0
"""The fit keeps the logarithms of all parameters between minus and plus this number."""


class Kernel(NamedTuple):
    """The parameters of the kernel of a Gaussian process.

    Args:
        weights: The weight of each input, one over its squared length scale, shape (d,).
        scale: The variance of the function.
        noise: The variance of the noise of each value.
    """

    weights: Array
    scale: float
    noise: float

    @classmethod
    def fit(cls, rows: Array, values: Array, is_category: NDArray[np.bool_]) -> "Kernel":
        """Return the most probable parameters of the kernel, given some values of the function.

        Args:
            rows: The inputs, shape (n, d), within [0, 1]; at least one row.
            values: Shape (n,), with a mean near 0 and a variance near 1.
            is_category: Shape (d,).
        """
        squares = _squares(rows, is_category)
        start = np.concatenate([np.zeros(rows.shape[1]), [math.log(_SCALE), math.log(_NOISE)]])
        fitted = minimize(
            _improbability, start, args=(squares, values), jac=True, method="L-BFGS-B",
            bounds=[(-_BOUND, _BOUND)] * len(start), options={"maxiter": _STEPS,
            "ftol": _TOLERANCE},
        ).x  # fmt: skip
        numbers = np.exp(fitted)
        return cls(numbers[:-2], float(numbers[-2]), float(numbers[-1]))


class GaussianProcess:
    """A Gaussian process conditioned on some values of a function.

    Args:
        rows: The inputs, shape (n, d).
        values: The values of the function, shape (n,); for ``s`` functions with the same rows,
            shape (n, s).
        is_category: Whether each input is a category, shape (d,). The distance of two categories is
            0 if they are equal, else 1.
        kernel: The parameters.
        root: The lower Cholesky factor of the values' covariance matrix, if it is known, shape (n,
            n).
    """

    def __init__(
        self, rows: Array, values: Array, is_category: NDArray[np.bool_], kernel: Kernel,
        root: Array | None = None,
    ) -> None:  # fmt: skip
        self.rows = rows
        self.values = values
        self.kernel = kernel
        self._is_category = is_category
        self._root = self._factor(self._covariance(rows, rows)) if root is None else root
        self._solved = cho_solve((self._root, True), values, check_finite=False)

    def with_values(self, rows: Array, values: Array) -> "GaussianProcess":
        """Return a process conditioned on the old and the new values, with the same kernel.

        Args:
            rows: The new inputs, shape (m, d).
            values: Random draws of the new values, shape (m, s). The new process has ``s``
                functions, one for each draw.
        """
        beside = self._explained(self._covariance(self.rows, rows))
        below = self._factor(self._covariance(rows, rows) - beside.T @ beside)
        root = np.block([[self._root, np.zeros_like(beside)], [beside.T, below]])
        here = np.repeat(self.values[:, None], values.shape[1], axis=1)
        rows = np.concatenate([self.rows, rows])
        values = np.concatenate([here, values])
        return GaussianProcess(
            rows, values, self._is_category, self.kernel, np.asfortranarray(root)
        )

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Return the mean and the standard deviation of the function, without noise, at each row.

        Args:
            rows: Shape (m, d).

        Returns:
            Means, shape (m,), or (m, s) for ``s`` functions; deviations, shape (m,), which are
                equal for all functions.
        """
        scale = self.kernel.scale
        covariance = _matern(self._squared(rows))
        covariance *= scale
        # multiplying by the inverse is twice as fast as solving
        explained = dtrmm(1.0, self._inverse, covariance.T, lower=1)
        variance = scale - np.einsum("ij,ij->j", explained, explained)
        return covariance @ self._solved, np.sqrt(np.maximum(variance, 1e-12 * scale))

    @cached_property
    def _inverse(self) -> Array:
        """The inverse of the Cholesky factor, shape (n, n)."""
        inverse: Array = dtrtri(self._root, lower=1)[0]
        return inverse

    def means(self, rows: Array) -> Array:
        """Return the means that :meth:`predict` returns, in less than half of the time."""
        means: Array = self.kernel.scale * (_matern(self._squared(rows)) @ self._solved)
        return means

    def draw(self, rows: Array, normal: Array) -> Array:
        """Return joint samples of the function's values at all rows.

        Args:
            rows: Shape (m, d).
            normal: Independent standard normal numbers, shape (m, s), for ``s`` samples.

        Returns:
            Shape (m, s).
        """
        across = self._covariance(rows, self.rows)
        explained = self._explained(across.T)
        covariance = self._covariance(rows, rows) - explained.T @ explained
        covariance[np.diag_indices_from(covariance)] += 1e-8 * self.kernel.scale
        root: Array = cholesky(covariance, lower=True, check_finite=False)
        drawn: Array = (across @ self._solved)[:, None] + root @ normal
        return drawn

    def _factor(self, covariance: Array) -> Array:
        """Return the lower Cholesky factor of a covariance matrix of values with noise, shape (n,
        n).
        """
        covariance[np.diag_indices_from(covariance)] += (
            self.kernel.noise + _JITTER * self.kernel.scale
        )
        root: Array = cholesky(covariance, lower=True, check_finite=False)
        return root

    def _explained(self, across: Array) -> Array:
        """Return the solution of ``root @ explained = across``, shape (n, m).

        Each column belongs to one of the m rows. The squared length of the column is the part of
        the variance at this row that the values explain.

        Args:
            across: The covariances between the n values and the function's values at the m rows,
                shape (n, m).
        """
        explained: Array = solve_triangular(self._root, across, lower=True, check_finite=False)
        return explained

    def _squared(self, rows: Array) -> Array:
        """Return the weighted squared distance between each of m rows and each row of the values,
        shape (m, n).

        With 50 inputs, a matrix product takes an eighth of the time of pairwise differences. But
        the matrix product makes the last bits of the distances wrong. Therefore, if a covariance
        matrix will be factored, its distances are computed from pairwise differences.
        """
        vectors, norms = self._embedded(rows)
        squared: Array = (
            np.column_stack([-2 * vectors, norms, np.ones(len(rows))]) @ self._own_columns
        )
        return np.maximum(squared, 0.0, out=squared)

    @cached_property
    def _own_columns(self) -> Array:
        """The right factor of the matrix product in :meth:`_squared`, shape (e + 2, n).

        The column of each row of the values is ``(v, 1, |v|^2)``, where ``v`` is the row's vector
        of length e.
        """
        vectors, norms = self._embedded(self.rows)
        return np.column_stack([vectors, np.ones(len(norms)), norms]).T

    def _embedded(self, rows: Array) -> tuple[Array, Array]:
        """Return a vector for each of m rows, shape (m, e), and the vectors' squared norms, shape
        (m,). The distances between the vectors are the weighted distances between the rows.

        A category becomes one coordinate for each choice that occurs in the rows of the values. Two
        numbers are different choices if they differ by more than 1e-6.
        """
        weights = self.kernel.weights
        places = np.flatnonzero(self._is_category)
        numbers = rows * np.where(self._is_category, 0.0, np.sqrt(weights))
        vectors: list[Array] = [numbers]
        for place in places:
            choices = np.unique(self.rows[:, place])
            vectors.append(
                np.sqrt(weights[place] / 2) * (np.abs(rows[:, place, None] - choices) < 1e-6)
            )
        return np.concatenate(vectors, axis=1), (numbers**2).sum(axis=1) + weights[places].sum() / 2

    def _covariance(self, left: Array, right: Array) -> Array:
        roots = np.where(self._is_category, 0.0, np.sqrt(self.kernel.weights))
        squared = cdist(left * roots, right * roots, "sqeuclidean")
        for place in np.flatnonzero(self._is_category):
            squared += self.kernel.weights[place] * (
                np.abs(left[:, place, None] - right[:, place]) > 1e-6
            )
        covariance: Array = self.kernel.scale * _matern(squared)
        return covariance


def _squares(rows: Array, is_category: NDArray[np.bool_]) -> Array:
    """Return the squared distances of all pairs of rows for each input, shape (d, n, n)."""
    squares: Array = (rows.T[:, :, None] - rows.T[:, None, :]) ** 2
    squares[is_category] = np.where(squares[is_category] > 1e-12, 1.0, 0.0)
    return squares


def _matern(squared: Array) -> Array:
    """Return the Matern kernel of degree 5/2 with variance 1, for an array of squared distances of
    any shape.

    With ``r = sqrt(5 * squared)``, the kernel is ``(1 + r + r^2 / 3) exp(-r)``. The function
    overwrites ``squared``, because new arrays would double the time.
    """
    distance = np.sqrt(5 * squared)
    squared *= 5 / 3
    squared += distance
    squared += 1
    np.negative(distance, out=distance)
    squared *= np.exp(distance, out=distance)
    return squared


def _improbability(logs: Array, squares: Array, values: Array) -> "tuple[float, Array]":
    """Return the negative log posterior of the kernel's parameters, and its gradient with respect
    to the parameters' logarithms.
    """
    numbers = np.exp(logs)
    weights = numbers[:-2]
    scale = numbers[-2]
    noise = numbers[-1]
    squared = np.tensordot(weights, squares, axes=1)
    distance = np.sqrt(5 * squared)
    kernel = _matern(squared)
    # the derivative of the kernel with respect to the squared distance, times -6 / 5
    slope = np.exp(-distance) * (1 + distance)
    diagonal = np.diag_indices_from(kernel)
    covariance = scale * kernel
    covariance[diagonal] += noise + _JITTER * scale
    root = cholesky(covariance, lower=True, check_finite=False)
    half, _ = dpotri(root, lower=1)  # the lower half of the inverse; the upper half is 0
    half[diagonal] /= 2
    inverse = half + half.T
    solved = inverse @ values
    # the derivative of twice the log likelihood with respect to the covariance
    outer = np.outer(solved, solved) - inverse
    likelihood = -0.5 * values @ solved - np.log(np.diag(root)).sum()
    by_weight = -5 / 12 * scale * np.tensordot(squares, outer * slope, axes=2)
    by_scale = 0.5 * np.vdot(outer, kernel) + 0.5 * _JITTER * np.trace(outer)
    by_noise = 0.5 * np.trace(outer)
    prior = (
        -(0.1 / weights + 0.1 * weights).sum()
        + math.log(scale)
        - scale
        + 0.1 * math.log(noise)
        - 30 * noise
    )
    gradient = np.concatenate([
        (by_weight + 0.1 / weights**2 - 0.1) * weights,
        [(by_scale + 1 / scale - 1) * scale, (by_noise + 0.1 / noise - 30) * noise],
    ])  # fmt: skip
    return -float(likelihood + prior), -gradient


def log_expected_improvement(mean: Array, deviation: Array, best: Array | float) -> Array:
    """Return the logarithm of the expected improvement over ``best`` (smaller is better). The
    logarithm is accurate even for tiny improvements.

    Source: Jones, Schonlau, Welch, *Efficient Global Optimization of Expensive Black-Box
    Functions*, J. Global Optimization 13, 1998. The logarithm is computed as in Ament et al.,
    https://arxiv.org/abs/2310.20708.
    """
    gain = (best - mean) / deviation
    low = np.minimum(gain, -1.0)
    rest = 1 + low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2))
    logarithm: Array = (
        -(low**2) / 2 - 0.5 * math.log(2 * math.pi) + np.log(np.maximum(rest, 1 / (low**2 * 4)))
    )
    is_near = gain > -1
    near = gain[is_near]
    density = np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi)
    logarithm[is_near] = np.log(density + near * ndtr(near))
    return logarithm + np.log(deviation)
