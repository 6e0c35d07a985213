"""Losses of predictions."""

import numpy as np


def error_percent(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of wrong labels in %."""
    return 100 * float((labels != predicted).mean())


def cross_entropy(labels: np.ndarray, shares: np.ndarray) -> float:
    """Return the mean of minus the logarithm of the true class's share, each at most 13.8; infinite
    without shares.
    """
    if not np.isfinite(shares).all():
        return float("inf")
    return float(-np.log(np.maximum(shares[np.arange(len(labels)), labels], 1e-6)).mean())


def root_mean_square(values: np.ndarray, predicted: np.ndarray) -> float:
    """Return the root of the mean squared error; infinite if a prediction is no number."""
    error = float(np.sqrt(np.mean((values - predicted) ** 2)))
    return error if np.isfinite(error) else float("inf")
