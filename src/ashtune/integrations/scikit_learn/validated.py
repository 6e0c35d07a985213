"""The training function of a search: a candidate is fitted on each split of the data, and scored."""

import json
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection._validation import _score
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from ashtune.integrations.scikit_learn.parameters import Parameters
from ashtune.integrations.scikit_learn.resources import Folds, Resource, Samples
from ashtune.training.reports import MetricMissing
from ashtune.training.trial import Trial

DATA, ERRORS, RAISED = "data-{}.joblib", "fit_errors.jsonl", "raised.pickle"


class Validated:
    """Fits a candidate on each split and scores it.

    Args:
        estimator: Unfitted.
        parameters: Makes candidates of configurations.
        resource: What they get more of.
        splits: (train, test), as indices; of samples in an order whose beginnings are used.
        top: The resource of the top rung.
        scorer: Of one score, or of several by name.
        metric: The score that counts.
        folder: With the data.
        digest: Of the data, so that a study is not continued with others.
        error_score: What a fit that fails counts.
        returns_train_score: Whether training data are scored too.
    """

    def __init__(
        self, estimator: Any, parameters: Parameters, resource: Resource,
        *, splits: Sequence[tuple[Any, Any]], top: int, scorer: Any, metric: str, folder: str, digest: str,
        error_score: Any, returns_train_score: bool,
    ) -> None:  # fmt: skip
        self.__name__ = type(estimator).__name__
        self._estimator, self._parameters, self._resource = estimator, parameters, resource
        self._splits, self._top = splits, top
        self._scorer, self.metric = scorer, metric
        self._folder, self._digest = folder, digest
        self._error_score, self._returns_train_score = error_score, returns_train_score

    def __call__(self, trial: Trial) -> None:
        """Fit and score; with ``error_score="raise"`` end the study with the first exception."""
        if self._error_score != "raise":
            self._train(trial)
            return
        if Path(self._folder, RAISED).exists():
            raise MetricMissing("another fit failed, and error_score is 'raise'")
        try:
            self._train(trial)
        except Exception as error:
            self._keep(error)
            raise MetricMissing(f"a fit failed: {type(error).__name__}: {error}") from error

    def _train(self, trial: Trial) -> None:
        estimators: dict[int, Any] = {}
        before: dict[int, dict[str, float]] = {}
        if (saved := trial.restore()) is not None:
            estimators, before = saved
        start, target = (trial.start, trial.target) if self._resource.is_resumed or before else (0, trial.target)
        is_by_folds = isinstance(self._resource, Folds)
        splits: Iterable[int] = range(len(before), target) if is_by_folds else range(len(self._splits))
        scores: dict[int, dict[str, float]] = dict(before)
        for split in splits:
            estimator = estimators.pop(split, None)
            if estimator is None:
                parameters = clone(self._parameters.read(trial.config), safe=False)
                estimator = clone(self._estimator).set_params(**parameters)
            estimator, scores[split] = self._of_split(estimator, split, start, target, trial)
            if self._resource.is_resumed:
                estimators[split] = estimator
        rows = {f"split{split}_{name}": score for split, row in scores.items() for name, score in row.items()}
        own = [
            row.get(f"test_{self.metric}", next(score for name, score in row.items() if name.startswith("test_")))
            for row in scores.values()
        ]
        trial.report({self.metric: float(np.mean(own)), **rows})
        if self._resource.is_resumed or is_by_folds:
            trial.save((estimators, scores if is_by_folds else {}))

    def _of_split(
        self, estimator: Any, split: int, start: int, target: int, trial: Trial
    ) -> tuple[Any, dict[str, float]]:
        """Return the estimator of a split after this rung, and its times and scores."""
        X, y, fit, score = _data(self._folder, self._digest)
        train, test = self._splits[split]
        if type(self._resource) is Samples:
            train = train[: max(1, len(train) * target // self._top)]
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        fit_params = _check_method_params(X, params=fit, indices=train)
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # a rung stops before the end on purpose
                estimator = self._resource.fitted(estimator, X_train, y_train, start=start, target=target, **fit_params)
        except Exception:
            if self._error_score == "raise":
                raise
            self._note(trial, split)
            seconds = {"fit_time": time.perf_counter() - began, "score_time": 0.0}
            return estimator, {**seconds, **self._failed()}
        fitted = time.perf_counter()
        given = _check_method_params(X, params=score, indices=test)
        scored = {"test": _score(estimator, X_test, y_test, self._scorer, given, self._error_score)}
        seconds = {"fit_time": fitted - began, "score_time": time.perf_counter() - fitted}
        if self._returns_train_score:
            given = _check_method_params(X, params=score, indices=train)
            scored["train"] = _score(estimator, X_train, y_train, self._scorer, given, self._error_score)
        return estimator, {**seconds, **_flat(scored)}

    def _failed(self) -> dict[str, float]:
        names = [f"test_{name}" for name in getattr(self._scorer, "_scorers", {self.metric: None})]
        names += [name.replace("test_", "train_", 1) for name in names if self._returns_train_score]
        return dict.fromkeys(names, float(self._error_score))

    def _note(self, trial: Trial, split: int) -> None:
        """Write down why a fit failed."""
        line = json.dumps([trial.number, trial.target, split, traceback.format_exc()]) + "\n"
        with Path(self._folder, ERRORS).open("a", encoding="utf-8") as file:
            file.write(line)

    def _keep(self, error: Exception) -> None:
        """Keep an exception for the process that called ``fit``."""
        import cloudpickle

        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(cloudpickle.dumps(error))
        Path(file.name).rename(Path(self._folder, RAISED))


def _flat(scored: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of parts of the data by name."""
    rows: dict[str, float] = {}
    for part, scores in scored.items():
        by_name = scores if isinstance(scores, dict) else {"score": scores}
        rows |= {f"{part}_{name}": float(score) for name, score in by_name.items()}
    return rows


@cache
def _data(folder: str, digest: str) -> Any:
    """Return the data, as they were written: read once in each process."""
    return joblib.load(Path(folder, DATA.format(digest)), mmap_mode="r")


def write_data(folder: str, content: tuple[Any, ...]) -> str:
    """Write what is fitted and scored, once; return its digest.

    Args:
        folder: Where to.
        content: (X, y, what fit is given, what scorers are given).
    """
    digest: str = joblib.hash(content)
    path = Path(folder, DATA.format(digest))
    if not path.exists():  # one that is there may be mapped into memory
        joblib.dump(content, path)
    return digest
