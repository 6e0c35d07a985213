"""What a candidate gets more of from rung to rung: epochs, trees, rows, folds.

Rule: arguments are named as scikit-learn names them.
"""

import numbers
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_outlier_detector, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import _num_samples

GROWING = ("n_estimators", "max_iter")
"""Parameters of which more is more training, with ``warm_start``."""
FOLDS, SAMPLES, PARTIAL_FIT = "folds", "n_samples", "partial_fit"
MOST_PASSES = 81
"""Of ``partial_fit`` where the user names none: ``max_iter`` is a bound that ``fit`` seldom reaches."""
OF_FIT = ("max_iter", "early_stopping", "class_weight", "solver")
"""Parameters that ``fit`` heeds, and ``partial_fit`` does not or cannot."""


class Resource:
    """What a candidate gets more of from rung to rung. By itself each rung fits anew.

    Attributes:
        parameter: The parameter of the estimator that counts it, if one does.
        unit: What the reports call one of it.
        is_resumed: Whether a fit goes on from the last one.
    """

    parameter: str | None = None
    unit = "epoch"
    is_resumed = False

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Train an estimator from ``start`` to ``target``; at 0 it is a new one."""
        fit_as_it_is(estimator, X, y, fit)


class Samples(Resource):
    """Rows of the data."""

    unit = "sample"


class Folds(Resource):
    """Folds of the cross-validation; each rung adds some."""

    unit = "fold"


class Plain(Resource):
    """A parameter whose fit does not go on from another.

    ``max_iter`` is one, but for that of trees: ``warm_start`` goes on from the solution, and forgets what the solver
    knew (L-BFGS its curvature, SGD its step size), so that the scores would not be those of a fit with this value.
    """

    def __init__(self, parameter: str) -> None:
        self.parameter: str = parameter
        self.unit = _unit(parameter)

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Fit anew with its value."""
        fit_as_it_is(estimator.set_params(**{self.parameter: target}), X, y, fit)


class Growth(Plain):
    """A number of trees or other parts, of an estimator with ``warm_start``; in a pipeline, of its last step."""

    is_resumed = True

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Fit further."""
        prefix = self.parameter.removesuffix(self.parameter.rpartition("__")[2])
        estimator.set_params(**{f"{prefix}warm_start": True})
        super().train(estimator, X, y, start=start, target=target, **fit)


class PartialFit(Resource):
    """Passes over the data by ``partial_fit``, in a pipeline of its last step.

    Each pass has an order of the rows of its own, as in ``fit``. From a ``random_state`` that is a number,
    ``partial_fit`` would draw the same order again: it is given a generator, which goes on with the estimator.
    """

    is_resumed = True

    def __init__(self, classes: NDArray[Any] | None) -> None:
        self._classes = classes

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Pass over the data."""
        last = estimator
        if isinstance(estimator, Pipeline):
            last = estimator.steps[-1][1]
            if len(estimator.steps) > 1:
                before = estimator[:-1]
                X = before.transform(X) if start else before.fit_transform(X, y)
                estimator.steps[:-1] = before.steps  # with memory= the slice has fitted others
        if not start and isinstance(seed := getattr(last, "random_state", None), numbers.Integral):
            last.set_params(random_state=np.random.RandomState(int(seed)))
        for epoch in range(start, target):
            first: dict[str, Any] = {"classes": self._classes} if self._classes is not None and not epoch else {}
            last.partial_fit(X, *([] if y is None else [y]), **first, **fit)

    def in_one_go(self, estimator: Any, X: Any, y: Any, target: int, **fit: Any) -> None:
        """Train an estimator that is not resumed any more: it has its own ``random_state`` afterwards."""
        last = _last_step(estimator)[0]
        own = {name: value for name, value in last.get_params(deep=False).items() if name == "random_state"}
        self.train(estimator, X, y, start=0, target=target, **fit)
        last.set_params(**own)


def fit_as_it_is(estimator: Any, X: Any, y: Any, fit: Mapping[str, Any]) -> None:
    estimator.fit(X, *([] if y is None else [y]), **fit)


def resource_of(estimator: Any, wanted: str, searched: Collection[str], y: Any, *, has_fit_params: bool) -> Resource:
    """Return what the candidates get more of.

    Args:
        estimator: Unfitted.
        wanted: As the user names it.
        searched: The parameters that are searched for.
        y: What is predicted.
        has_fit_params: Whether ``fit`` is given more than data.

    Raises:
        ValueError: If the estimator has no such thing, or it is searched for.
    """
    last, prefix = _last_step(estimator)
    known = estimator.get_params()
    growing = [prefix + name for name in GROWING if prefix + name in known and f"{prefix}warm_start" in known]
    if wanted == "auto":
        if prefix.removesuffix("__") in searched:  # another last step has other parameters
            return Samples()
        free = [name for name in growing if name not in searched]
        is_passed = _learns_in_passes(last, prefix, searched) and not (prefix and has_fit_params)
        wanted = PARTIAL_FIT if is_passed else free[0] if free else SAMPLES
    if wanted in searched:
        raise ValueError(f"Cannot use parameter {wanted} as the resource since it is part of the searched parameters.")
    if wanted == SAMPLES:
        return Samples()
    if wanted == FOLDS:
        return Folds()
    if wanted == PARTIAL_FIT and hasattr(last, PARTIAL_FIT):
        if prefix and has_fit_params:
            raise ValueError("resource='partial_fit' of a pipeline cannot share out fit parameters; leave them out")
        return PartialFit(_classes(y) if is_classifier(estimator) else None)
    if wanted not in known:
        raise ValueError(f"Cannot use resource={wanted} which is not supported by estimator {type(estimator).__name__}")
    is_by_trees = any(base.__name__.startswith("BaseHistGradientBoosting") for base in type(last).__mro__)
    return Growth(wanted) if wanted in growing and (is_by_trees or not wanted.endswith("max_iter")) else Plain(wanted)


def _learns_in_passes(last: Any, prefix: str, searched: Collection[str]) -> bool:
    """Whether passes of ``partial_fit`` do what ``fit`` would do in as many iterations.

    Only classifiers, regressors and outlier detectors do: ``partial_fit`` of ``LatentDirichletAllocation`` and of
    ``MiniBatchKMeans`` is another algorithm than ``fit``.
    """
    if not (is_classifier(last) or is_regressor(last) or is_outlier_detector(last)):
        return False
    if not hasattr(last, PARTIAL_FIT) or any(prefix + name in searched for name in OF_FIT):
        return False
    own = last.get_params()
    return "max_iter" in own and not own.get("early_stopping") and own.get("class_weight") != "balanced"


def _classes(y: Any) -> NDArray[Any]:
    """Return the classes; where a row has several labels, the numbers of the labels."""
    classes: NDArray[Any] = (unique_labels if type_of_target(y).startswith("multilabel") else np.unique)(y)
    return classes


def top_of(resource: Resource, estimator: Any, X: Any, splits: int) -> int:
    """Return the resource of a full training where the user names none.

    Raises:
        ValueError: If the estimator says no number.
    """
    match resource:
        case Folds():
            return splits
        case Samples():
            return int(_num_samples(X))
        case PartialFit():
            return min(MOST_PASSES, int(_last_step(estimator)[0].get_params().get("max_iter", MOST_PASSES)))
        case _:
            value = estimator.get_params()[resource.parameter]
            if not isinstance(value, numbers.Integral):
                raise ValueError(f"{resource.parameter}={value!r} says no number; give max_resources=100")
            return int(value)


def in_order(train: Any, y: Any, seed: int) -> NDArray[Any]:
    """Return indices in an order whose every beginning has about the same part of each class.

    Args:
        train: Indices.
        y: The classes of all rows; None where there are none.
        seed: Of the order.
    """
    shuffled = np.random.default_rng(seed).permutation(np.asarray(train))
    if y is None:
        return shuffled
    labels = np.unique(np.asarray(y)[shuffled], return_inverse=True)[1]
    place = np.empty(len(labels))
    for label in range(labels.max(initial=0) + 1):
        rows = np.flatnonzero(labels == label)
        place[rows] = np.arange(len(rows)) / len(rows)
    return shuffled[np.argsort(place, kind="stable")]


def _unit(parameter: str) -> str:
    """Return what the reports call one of a parameter's units."""
    return {"n_estimators": "tree", "max_iter": "iteration"}.get(parameter.rpartition("__")[2], "step")


def _last_step(estimator: Any) -> tuple[Any, str]:
    """Return the last step of a pipeline, and how the names of its parameters begin; else the estimator."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1], f"{estimator.steps[-1][0]}__"
    return estimator, ""
