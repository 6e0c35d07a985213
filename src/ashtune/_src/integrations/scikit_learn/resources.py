"""The resource that grows from rung to rung, such as epochs, trees, rows or folds.

Rule: the arguments of functions have scikit-learn's names.
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
"""Parameters that can be increased to train an estimator further with ``warm_start``."""
FOLDS = "folds"
SAMPLES = "n_samples"
PARTIAL_FIT = "partial_fit"
MOST_PASSES = 81
"""The default number of passes of ``partial_fit`` at the top rung. It is not ``max_iter``, because
``max_iter`` is a limit that ``fit`` seldom reaches.
"""
OF_FIT = ("max_iter", "early_stopping", "class_weight", "solver")
"""Parameters that ``fit`` uses, and ``partial_fit`` ignores or cannot use."""


class Resource:
    """The resource that grows from rung to rung. By default, each rung fits the estimator from the
    beginning.

    Attributes:
        parameter: The estimator's parameter for this resource, or "".
        unit: The unit in the reports.
        is_resumed: Whether a fit continues from the previous fit of the candidate.
    """

    parameter: str | None = None
    unit = "epoch"
    is_resumed = False

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Train an estimator from resource ``start`` to ``target``. If ``start`` is 0, the
        estimator is new.
        """
        fit_as_it_is(estimator, X, y, fit)


class Samples(Resource):
    """The resource is the number of rows of the data."""

    unit = "sample"


class Folds(Resource):
    """The resource is the number of folds of the cross-validation. Each rung adds folds."""

    unit = "fold"


class Plain(Resource):
    """The resource is a parameter of the estimator. A fit cannot continue from an earlier fit.

    ``Plain`` is the resource for ``max_iter``, except for ensembles of trees. If a fit continued
    with ``warm_start``, the solver's state (such as the step size of SGD) would be lost, and the
    score would differ.
    """

    def __init__(self, parameter: str) -> None:
        self.parameter: str = parameter
        self.unit = {"n_estimators": "tree", "max_iter": "iteration"}.get(
            parameter.rpartition("__")[2], "step"
        )

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Fit the estimator from the beginning, with the parameter set to ``target``."""
        fit_as_it_is(estimator.set_params(**{self.parameter: target}), X, y, fit)


class Growth(Plain):
    """The resource is the number of trees. The estimator, or the last step of a pipeline, has
    ``warm_start``.
    """

    is_resumed = True

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Fit the additional trees."""
        prefix = self.parameter.removesuffix(self.parameter.rpartition("__")[2])
        estimator.set_params(**{f"{prefix}warm_start": True})
        super().train(estimator, X, y, start=start, target=target, **fit)


class PartialFit(Resource):
    """The resource is the number of passes over the data. The method ``partial_fit`` makes the
    passes.

    Each pass has its own order of the rows, as in ``fit``. If ``random_state`` is a number,
    ``partial_fit`` repeats the same order of rows in each call. Therefore a random generator
    replaces ``random_state`` and is saved with the estimator. The state at the end of a rung
    includes the weights, the count of updates, the averages and the optimizer.
    """

    is_resumed = True

    def __init__(self, classes: NDArray[Any] | None) -> None:
        self._classes = classes

    def train(self, estimator: Any, X: Any, y: Any, *, start: int, target: int, **fit: Any) -> None:
        """Train the estimator with ``target - start`` passes of ``partial_fit``."""
        last = estimator
        if isinstance(estimator, Pipeline):
            last = estimator.steps[-1][1]
            if len(estimator.steps) > 1:
                before = estimator[:-1]
                X = before.transform(X) if start else before.fit_transform(X, y)
                # With memory=, fitting replaces the steps of the slice by fitted copies, so these
                # copies are stored in the pipeline.
                estimator.steps[:-1] = before.steps
        seed = getattr(last, "random_state", None)
        if not start and isinstance(seed, numbers.Integral):
            last.set_params(random_state=np.random.RandomState(int(seed)))
        data = (X,) if y is None else (X, y)
        while start < target:
            first: dict[str, Any] = {}
            if self._classes is not None and not start:
                first["classes"] = self._classes
            start += _make_passes(last, target - start, *data, **first, **fit)

    def in_one_go(self, estimator: Any, X: Any, y: Any, target: int, **fit: Any) -> None:
        """Train a new estimator to ``target`` without a pause at a rung, and restore the original
        ``random_state``.
        """
        last = _last_step(estimator)[0]
        own = {
            name: value
            for name, value in last.get_params(deep=False).items()
            if name == "random_state"
        }
        self.train(estimator, X, y, start=0, target=target, **fit)
        last.set_params(**own)


def _make_passes(estimator: Any, passes: int, *data: Any, **fit: Any) -> int:
    """Make one call that trains all passes if possible, or else one pass. Return the number of
    passes that the call trained.

    Each call checks the data and the parameters. These checks may take longer than a pass over some
    thousand rows. After the checks, scikit-learn's SGD models and networks train in an inner
    method. Here this inner method makes all passes:

    - for SGD models, as ``fit`` with ``max_iter=passes`` and ``tol=None``: one seed for the orders
      of the rows;
    - for networks, as ``passes`` calls of ``partial_fit``.
    """
    made = 1
    inner = "_fit_stochastic" if hasattr(estimator, "_fit_stochastic") else "_partial_fit"
    train = getattr(estimator, inner, None)
    if train is None or not estimator.partial_fit.__module__.startswith("sklearn."):
        estimator.partial_fit(*data, **fit)
        return made

    def make_all(*given: Any, **more: Any) -> None:
        nonlocal made
        if inner == "_fit_stochastic":
            made = passes
            for _ in range(passes - 1):
                train(*given, **more)
        elif "max_iter" in more:
            made = passes
            more["max_iter"] = passes
            # With a tolerance, the training would end before the rung if a pass improved the model
            # only little.
            estimator.tol = None
        train(*given, **more)

    kept = {name: value for name, value in vars(estimator).items() if name == "tol"}
    setattr(estimator, inner, make_all)
    try:
        estimator.partial_fit(*data, **fit)
    finally:
        delattr(estimator, inner)
        vars(estimator).update(kept)
    return made


def fit_as_it_is(estimator: Any, X: Any, y: Any, fit: Mapping[str, Any]) -> None:
    estimator.fit(X, *([] if y is None else [y]), **fit)


def resource_of(
    estimator: Any, wanted: str, searched: Collection[str], y: Any, *, has_fit_params: bool
) -> Resource:
    """Return the resource that grows from rung to rung for an estimator, such as trees or rows.

    Args:
        has_fit_params: Whether ``fit`` gets arguments besides the data.

    Raises:
        ValueError: If the estimator does not have this resource, or if the resource is a searched
            parameter.
    """
    last, prefix = _last_step(estimator)
    known = estimator.get_params()
    growing = [
        prefix + name
        for name in GROWING
        if prefix + name in known and f"{prefix}warm_start" in known
    ]
    if wanted == "auto":
        # If the last step is searched, each candidate may have a different last step with different
        # parameters.
        if prefix.removesuffix("__") in searched:
            return Samples()
        free = [name for name in growing if name not in searched]
        is_passed = _learns_in_passes(last, prefix, searched) and not (prefix and has_fit_params)
        wanted = next(iter(free), SAMPLES)
        if is_passed:
            wanted = PARTIAL_FIT
    if wanted in searched:
        raise ValueError(
            f"Cannot use parameter {wanted} as the resource since it is part of the searched "
            f"parameters."
        )
    if wanted == SAMPLES:
        return Samples()
    if wanted == FOLDS:
        return Folds()
    if wanted == PARTIAL_FIT and hasattr(last, PARTIAL_FIT):
        if prefix and has_fit_params:
            raise ValueError(
                "resource='partial_fit' of a pipeline cannot pass fit parameters to steps; remove "
                "them"
            )
        return PartialFit(_classes(y) if is_classifier(estimator) else None)
    if wanted not in known:
        raise ValueError(
            f"Cannot use resource={wanted} which is not supported by estimator "
            f"{type(estimator).__name__}"
        )
    is_by_trees = any(
        base.__name__.startswith("BaseHistGradientBoosting") for base in type(last).__mro__
    )
    if wanted in growing and (is_by_trees or not wanted.endswith("max_iter")):
        return Growth(wanted)
    return Plain(wanted)


def _learns_in_passes(last: Any, prefix: str, searched: Collection[str]) -> bool:
    """Return whether n passes of ``partial_fit`` train an estimator in the same way as n iterations
    of ``fit``.

    ``partial_fit`` trains in the same way only for some classifiers, regressors and outlier
    detectors. In ``LatentDirichletAllocation`` and ``MiniBatchKMeans``, ``partial_fit`` uses
    another algorithm than ``fit``.
    """
    if not (is_classifier(last) or is_regressor(last) or is_outlier_detector(last)):
        return False
    if not hasattr(last, PARTIAL_FIT) or any(prefix + name in searched for name in OF_FIT):
        return False
    own = last.get_params()
    return (
        "max_iter" in own
        and not own.get("early_stopping")
        and own.get("class_weight") != "balanced"
    )


def _classes(y: Any) -> NDArray[Any]:
    """Return the classes of the target values. If rows have several labels, return the indices of
    the labels.
    """
    classes: NDArray[Any] = (
        unique_labels if type_of_target(y).startswith("multilabel") else np.unique
    )(y)
    return classes


def top_of(resource: Resource, estimator: Any, X: Any, splits: int) -> int:
    """Return the default value of the top rung's resource.

    Raises:
        ValueError: If the estimator's parameter for the resource is not a number.
    """
    match resource:
        case Folds():
            return splits
        case Samples():
            return int(_num_samples(X))
        case PartialFit():
            return min(
                MOST_PASSES, int(_last_step(estimator)[0].get_params().get("max_iter", MOST_PASSES))
            )
        case _:
            value = estimator.get_params()[resource.parameter]
            if not isinstance(value, numbers.Integral):
                raise ValueError(
                    f"{resource.parameter}={value!r} is not a number; give max_resources=100"
                )
            return int(value)


def in_order(train: Any, y: Any, seed: int) -> NDArray[Any]:
    """Return row indices in a random order, so that every prefix has about the same share of each
    class.

    Args:
        y: The classes of all rows; None if the target has no classes.
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


def _last_step(estimator: Any) -> tuple[Any, str]:
    """Return the last step of a pipeline and the prefix of the step's parameters. If the estimator
    is no pipeline, return the estimator and "".
    """
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1], f"{estimator.steps[-1][0]}__"
    return estimator, ""
