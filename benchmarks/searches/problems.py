"""What is searched for: four kinds of model on two sets of real data.

Rule: an estimator trains for exactly as many epochs, iterations or trees as it is told, none stops
early. So a full fit is the same work for every tuner, whether it is done in one go or in parts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from quality.tasks.data import letter, protein

SETS = {"letter": letter, "protein_rmsd": protein}
IS_CLASSIFIED = {"letter": True, "protein_rmsd": False}
TOPS = {"sgd": 27, "boosting": 27, "mlp": 27, "forest": 27}
"""Epochs, iterations or trees of a full fit: multiples of 9, for rungs of a
ninth, a third and all.
"""


class Problem(NamedTuple):
    """A model to search for.

    Args:
        estimator: Unfitted, with ``top`` as its own number of epochs, iterations or trees.
        space: ``param_distributions``.
        resource: The parameter of which the estimator has ``top``.
        top: Of a full fit.
        known: Rows to search and refit on: X of shape (n, d), y of shape (n,).
        held_out: Rows that no search sees.
    """

    estimator: Any
    space: dict[str, Any]
    resource: str
    top: int
    known: tuple[Any, Any]
    held_out: tuple[Any, Any]


def problem(data: Path, name: str, model: str, *, rows: int, times: int, seed: int) -> Problem:
    """Return a model and its data.

    Args:
        data: The folder with ``tabular``.
        name: One of ``SETS``.
        model: One of ``TOPS``.
        rows: To search and refit on.
        times: By how much a full fit is longer than ``TOPS``.
        seed: Of the estimator.
    """
    split = SETS[name](data, rows).standardized()
    (x, y), (x_held_out, y_held_out) = split.train, split.test
    if not IS_CLASSIFIED[name]:
        middle, spread = y.mean(), y.std()
        y, y_held_out = (y - middle) / spread, (y_held_out - middle) / spread
    top = TOPS[model] * times
    estimator, space, resource = MAKERS[model](IS_CLASSIFIED[name], top, seed)
    return Problem(estimator, space, resource, top, (x, y), (x_held_out, y_held_out))


def _sgd(is_classified: bool, top: int, seed: int) -> tuple[Any, dict[str, Any], str]:
    always: dict[str, Any] = {"max_iter": top, "tol": None, "random_state": seed}
    space = {
        "alpha": loguniform(1e-7, 1e-1), "average": [False, True], "learning_rate": ["invscaling",
        "constant"],
    }  # fmt: skip
    if is_classified:
        losses = ["hinge", "log_loss", "modified_huber", "squared_hinge"]
        return (
            SGDClassifier(**always),
            {**space, "loss": losses, "eta0": loguniform(1e-4, 1.0)},
            "max_iter",
        )
    losses = ["squared_error", "huber", "epsilon_insensitive"]
    return (
        SGDRegressor(**always),
        {**space, "loss": losses, "eta0": loguniform(1e-5, 1e-2)},
        "max_iter",
    )


def _mlp(is_classified: bool, top: int, seed: int) -> tuple[Any, dict[str, Any], str]:
    space = {
        "hidden_layer_sizes": [(16,), (32,), (64,), (32, 32)], "activation": ["relu", "tanh"],
        "alpha": loguniform(1e-6, 1.0), "learning_rate_init": loguniform(1e-4, 1e-1),
        "batch_size": [32, 64, 128, 256],
    }  # fmt: skip
    kind = MLPClassifier if is_classified else MLPRegressor
    return kind(max_iter=top, n_iter_no_change=top, random_state=seed), space, "max_iter"


def _boosting(is_classified: bool, top: int, seed: int) -> tuple[Any, dict[str, Any], str]:
    space = {
        "learning_rate": loguniform(0.01, 1.0), "max_leaf_nodes": randint(4, 17),
        "min_samples_leaf": randint(2, 101),
        "l2_regularization": loguniform(1e-3, 10.0), "max_features": uniform(0.2, 0.8),
    }  # fmt: skip
    kind = HistGradientBoostingClassifier if is_classified else HistGradientBoostingRegressor
    return kind(max_iter=top, early_stopping=False, random_state=seed), space, "max_iter"


def _forest(is_classified: bool, top: int, seed: int) -> tuple[Any, dict[str, Any], str]:
    space = {
        "max_features": uniform(0.1, 0.9), "max_depth": randint(4, 31),
        "min_samples_leaf": randint(1, 21),
        "min_samples_split": randint(2, 21), "max_samples": uniform(0.3, 0.7),
    }  # fmt: skip
    kind = RandomForestClassifier if is_classified else RandomForestRegressor
    return kind(n_estimators=top, random_state=seed), space, "n_estimators"


MAKERS: dict[str, Callable[[bool, int, int], tuple[Any, dict[str, Any], str]]] = {
    "sgd": _sgd, "boosting": _boosting, "mlp": _mlp, "forest": _forest,
}  # fmt: skip


def splitter(name: str, folds: int, seed: int) -> Any:
    """Return the splits that all tuners but Dask-ML's use."""
    from sklearn.model_selection import KFold, StratifiedKFold

    return (StratifiedKFold if IS_CLASSIFIED[name] else KFold)(
        folds, shuffle=True, random_state=seed
    )


def shares(resources: Any, top: float) -> np.ndarray:
    """Return which part of a full fit each resource is."""
    return np.asarray(resources, float) / top
