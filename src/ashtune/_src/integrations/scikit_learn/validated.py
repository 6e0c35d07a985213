"""The training function of a scikit-learn search, which fits and scores a candidate on each split
of the data.

Rule 1: for each candidate and rung, a JSON file has the results of all splits. No JSON file is
incomplete. The journal has only the main score of a candidate, and no score for a failed candidate.
Rule 2: workers use the scikit-learn settings of the process that called ``fit``.
"""

# Why the results of splits are files, and not in the journal: ``cv_results_`` needs the score and
# the times of each split, but the journal has one value of each metric for a rung. The file is
# written before the result is reported, so each result in the journal has a file, even if the
# process was killed. If a file has no result in the journal, its rung is trained again, and the
# file is overwritten.
#
# Why the data are in a file that is mapped into memory: otherwise each of n workers would have its
# own copy. The data are not part of the pickled function, because each worker reads this pickle.
#
# Why the exceptions of ``error_score="raise"`` are written to a file: the user expects that the
# search's ``fit`` raises the original exception, with its type. But the exception occurs in a
# worker, which is another process, perhaps on another host.

import json
import os
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import joblib
import numpy as np
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection._validation import _score
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from ashtune._src.core.errors import CannotGoOn, CheckpointUnread
from ashtune._src.core.plaintext import error_line
from ashtune._src.integrations.scikit_learn.parameters import Parameters
from ashtune._src.integrations.scikit_learn.resources import Folds, Resource, Samples
from ashtune._src.training.trial import Trial

DATA = "data-{}.joblib"
ROWS = "rows"
RAISED = "raised.pickle"


class Validated:
    """A training function that fits and scores a candidate on each split of the data.

    ``digest`` is the digest of the data. ``meaning`` is a digest of everything else that a score
    depends on. A study continues only if ``digest`` and ``meaning`` are unchanged.
    """

    def __init__(
        self, estimator: Any, parameters: Parameters, resource: Resource,
        *, splits: Sequence[tuple[Any, Any]], scorer: Any, metric: str, folder: str, digest: str,
        metadata: Sequence[Mapping[str, Any]], meaning: str, error_score: Any,
        returns_train_score: bool,
    ) -> None:  # fmt: skip
        self.__name__ = type(estimator).__name__
        self._estimator = estimator
        self._parameters = parameters
        self._resource = resource
        self._splits = splits
        self._scorer = scorer
        self.metric = metric
        self._folder = folder
        self._digest = digest
        self._meaning = meaning
        self._metadata = metadata
        self._error_score = error_score
        self._returns_train_score = returns_train_score
        self._settings = get_config()
        self._best_at_top = -np.inf

    def version_parts(self) -> dict[str, Any]:
        """Return all values that the scores depend on, except the study's directory and top
        resource.
        """
        return {
            "data": self._digest, "metadata": self._metadata, "meaning": self._meaning,
            "splits": joblib.hash(self._splits), "metric": self.metric,
            "resource": (type(self._resource).__name__, self._resource.parameter),
            "scores": (self._counted_failure, self._returns_train_score),
        }  # fmt: skip

    def __call__(self, trial: Trial) -> None:
        """Fit and score a candidate. If ``error_score`` is "raise", the first exception stops the
        study.
        """
        with config_context(**self._settings):
            if self._error_score != "raise":
                self._train(trial)
                return
            try:
                self._train(trial)
            except (CannotGoOn, CheckpointUnread):
                # The worker handles these two exceptions: the first ends the study, and the second
                # restarts the trial.
                raise
            except Exception as error:  # noqa: BLE001 - it is raised in the process that called fit
                self._stop_with(error)

    def _train(self, trial: Trial) -> None:
        """Train to the rung, and continue to the next rung whenever the study promotes the
        candidate immediately. Save the estimators at the end.

        If a candidate cannot be promoted any more, nothing is saved. At the top rung, candidates
        are saved only if they are the best that this process has fitted, so that the study's best
        candidate is among them.
        """
        is_by_folds = isinstance(self._resource, Folds)
        estimators: dict[int, Any] = {}
        rows: dict[int, dict[str, Any]] = {}
        saved = trial.restore()
        if saved is not None:
            estimators, rows = saved
        is_promoted = True
        while is_promoted:
            start = trial.start
            target = trial.target
            for split in range(len(rows), target) if is_by_folds else range(len(self._splits)):
                estimator = estimators.pop(split, None)
                # The estimator is None for a new candidate. It is also None if the fit failed on
                # this split at the last rung.
                is_new = estimator is None
                if is_new:
                    estimator = self._candidate(trial.config)
                rows[split] = self._of_split(estimator, split, 0 if is_new else start, target)
                if self._resource.is_resumed and rows[split]["fit_error"] is None:
                    estimators[split] = estimator
            write_rows(self._folder, trial.number, target, rows)
            score = float(np.mean([self._main_score(row["test_scores"]) for row in rows.values()]))
            trial.report({self.metric: score})
            is_promoted = trial._job.goes_on()
        if target == trial.max_resource:
            if not score >= self._best_at_top:
                return
            self._best_at_top = score
        if (self._resource.is_resumed or is_by_folds) and trial.needs_checkpoint:
            try:
                trial.save((estimators, rows if is_by_folds else {}))
            except Exception as error:  # noqa: BLE001 - whatever a fitted estimator does when it is pickled
                line = (
                    f"a fitted estimator cannot be saved ({error_line(error)}); the estimator "
                    "is fitted again if its trial is promoted"
                )
                warnings.warn(line, stacklevel=2)

    def _candidate(self, configuration: Mapping[str, Any]) -> Any:
        """Return a candidate's unfitted estimator. A parameter that the estimator does not have
        stops the study.
        """
        try:
            parameters = clone(self._parameters.read(configuration), safe=False)
            return clone(self._estimator).set_params(**parameters)
        except Exception as error:  # noqa: BLE001 - it is raised in the process that called fit
            self._stop_with(error)

    def _main_score(self, scores: Any) -> float:
        if isinstance(scores, Mapping):
            return float(
                scores[self.metric] if self.metric in scores else next(iter(scores.values()))
            )
        return float(scores)

    def _of_split(self, estimator: Any, split: int, start: int, target: int) -> dict[str, Any]:
        """Train the estimator of a split to the rung, and return a result like scikit-learn's
        ``_fit_and_score``.
        """
        X, y, *by_row = read_data(self._folder, self._digest)
        fit, score = (
            {**rows, **others} for rows, others in zip(by_row, self._metadata, strict=True)
        )
        train, test = self._splits[split]
        if isinstance(self._resource, Samples):
            train = train[: max(1, len(train) * target // _num_samples(X))]
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        fit_params = _check_method_params(X, params=fit, indices=train)
        row: dict[str, Any] = {"fit_error": None}
        began = time.perf_counter()
        try:
            is_whole = isinstance(self._resource, Folds | Samples)
            with nullcontext() if is_whole else warnings.catch_warnings():
                # A rung below the top stops before convergence on purpose.
                if not is_whole:
                    warnings.simplefilter("ignore", ConvergenceWarning)
                self._resource.train(
                    estimator, X_train, y_train, start=start, target=target, **fit_params
                )
        except Exception:
            if self._error_score == "raise":
                raise
            row |= {
                "fit_error": traceback.format_exc(),
                "fit_time": time.perf_counter() - began,
                "score_time": 0.0,
            }
            return row | self._failed()
        row["fit_time"] = time.perf_counter() - began
        given = _check_method_params(X, params=score, indices=test)
        row["test_scores"] = _score(
            estimator, X_test, y_test, self._scorer, given, self._error_score
        )
        row["score_time"] = time.perf_counter() - began - row["fit_time"]
        if self._returns_train_score:
            given = _check_method_params(X, params=score, indices=train)
            row["train_scores"] = _score(
                estimator, X_train, y_train, self._scorer, given, self._error_score
            )
        return row

    def _failed(self) -> dict[str, Any]:
        names = getattr(self._scorer, "_scorers", None)
        score = float(self._error_score)
        scores = score if names is None else dict.fromkeys(names, score)
        return dict.fromkeys(score_kinds(self._returns_train_score), scores)

    @property
    def _counted_failure(self) -> float | None:
        """Return the main score that a failed fit gets, or None if a failed fit gets no score."""
        if self._error_score == "raise" or np.isnan(self._error_score):
            return None
        return float(self._error_score)

    def _stop_with(self, error: Exception) -> NoReturn:
        """Stop the study, and write its first exception to a file. The process that called ``fit``
        raises it.
        """
        import cloudpickle

        error.add_note(traceback.format_exc())
        try:
            kept = cloudpickle.dumps(error)
            cloudpickle.loads(kept)
        except Exception:  # noqa: BLE001 - whatever an exception does when it is pickled
            kept = cloudpickle.dumps(ValueError(traceback.format_exc()))
        path = Path(self._folder, RAISED)
        with suppress(OSError):
            # The first exception is the cause. A later one may only say that the study has ended.
            if not path.exists():
                _write(path, kept)
        raise CannotGoOn(f"a fit failed: {error_line(error)}") from error


def score_kinds(has_train_scores: bool) -> tuple[str, ...]:
    """Return the keys of scores in the result of a split."""
    return ("test_scores", "train_scores")[: 1 + has_train_scores]


def write_data(folder: str, content: tuple[Any, ...]) -> str:
    """Write the data for fitting and scoring to a file, if the file does not exist. Return a digest
    of the data.

    Args:
        content: X, y, and those arguments of ``fit`` and of the scorers that have one value per
            row.
    """
    digest: str = joblib.hash(content)
    path = Path(folder, DATA.format(digest))
    # An existing file is not written again, because workers may have mapped it into memory.
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        joblib.dump(content, unfinished)
        unfinished.replace(path)
    return digest


@lru_cache(maxsize=1)
def read_data(folder: str, digest: str) -> Any:
    """Return the data that :func:`write_data` wrote. Each process reads the data once and maps the
    numbers into memory.

    Raises:
        CannotGoOn: If the data cannot be read.
    """
    path = Path(folder, DATA.format(digest))
    try:
        return joblib.load(path, mmap_mode="r")
    except OSError as error:
        raise CannotGoOn(
            f"{path}: {error.strerror}; every process that fits needs this directory at this path; "
            "if the directory was moved, continue by running the script that calls fit()"
        ) from None


def write_rows(
    folder: str, trial: int, resource: int, rows: Mapping[int, Mapping[str, Any]]
) -> None:
    """Write the results of a candidate's splits at a resource, before the candidate's result is in
    the journal.
    """
    Path(folder, ROWS).mkdir(exist_ok=True)
    _write(Path(folder, ROWS, f"{trial}-{resource}.json"), json.dumps(rows).encode())


def read_rows(folder: str, trial: int, resource: int) -> dict[int, dict[str, Any]]:
    """Return the results that :func:`write_rows` wrote, or an empty dict."""
    with suppress(FileNotFoundError):
        rows = json.loads(Path(folder, ROWS, f"{trial}-{resource}.json").read_bytes())
        return {int(split): row for split, row in rows.items()}
    return {}


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
