"""A search like scikit-learn's searches, but with asynchronous halving. Fits are resumed from rung
to rung.

Rule 1: the search is a :class:`sklearn.model_selection.BaseSearchCV` that runs its fits in a study.
Scikit-learn's own functions do the other work of a search, such as routing and scoring.
Rule 2: each row of ``cv_results_`` is for one candidate at one rung. The column ``iter`` has the
rung's number.
Rule 3: the rows of ``cv_results_`` are read from the study's journal. If ``fit`` was killed and
starts again with the same ``directory``, the earlier rows are kept.
Rule 4: the data are written to a file once, and each worker maps this file into its memory.
"""

import math
import numbers
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.base import _fit_context, clone, is_classifier
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._split import check_cv
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_method_params, _is_arraylike, _num_samples, indexable

from ashtune._src.api.study import Study
from ashtune._src.api.tuning import tune
from ashtune._src.core.checks import MOST_WHOLE
from ashtune._src.core.errors import AshtuneError, FunctionChanged, NoResultError, StudyError
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.option import suggesting
from ashtune._src.core.words import ARGUMENTS
from ashtune._src.driver.study_options import Stop
from ashtune._src.engines.mpi.start import start_mpi
from ashtune._src.integrations.scikit_learn.callbacks import Tasks
from ashtune._src.integrations.scikit_learn.parameters import Parameters
from ashtune._src.integrations.scikit_learn.resources import (
    Folds,
    PartialFit,
    Resource,
    Samples,
    fit_as_it_is,
    in_order,
    resource_of,
    top_of,
)
from ashtune._src.integrations.scikit_learn.rows import candidate_rows, leave_out
from ashtune._src.integrations.scikit_learn.validated import (
    RAISED,
    Validated,
    read_data,
    score_kinds,
    write_data,
)
from ashtune._src.schedulers.ash import LEAST_SHARE, Ash
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.study.disk import FOLDER_FOR_THE_OWNER
from ashtune._src.study.folders import ScratchDirectory

CANDIDATES = 64
ENOUGH_FOR_THREE_RUNGS = 5
"""With fewer candidates, no candidate would reach the top of three rungs."""

_WORDS_OF_OTHERS = {
    **ARGUMENTS,
    **dict.fromkeys(["n_trials", "num_samples", "n_iter", "trials"], "n_candidates="),
    **dict.fromkeys(["direction", "metric", "mode"], "scoring="),
    **dict.fromkeys(["space", "param_grid", "param_space", "config"], "param_distributions="),
    "max_concurrent_trials": "n_jobs=",
    "workers": "n_jobs=",
    "seed": "random_state=",
    "max_t": "max_resources=",
    "grace_period": "min_resources=",
    "resources_per_trial": "n_jobs=",
    "points_to_evaluate": "",
}


class AshSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Search for an estimator's parameters by asynchronous halving. Fits continue from rung to
    rung.

    ``AshSearchCV`` replaces ``HalvingRandomSearchCV``. Both classes have the same attributes, and
    the same arguments except ``aggressive_elimination``. In ``AshSearchCV`` no fit waits for
    another fit, promoted candidates continue their training, and a Gaussian process proposes
    candidates.

    Args:
        estimator: The estimator to fit.
        param_distributions: A dict from parameter names to lists of values, scipy distributions, or
            ranges ``(1e-4, 1e-1, "log")``; or a list of such dicts.
        resource: What grows from rung to rung: a parameter of the estimator, "n_samples",
            "partial_fit" (passes over the data), "folds" (of the cross-validation), or "auto".
            "auto" means ``partial_fit`` if the estimator has ``partial_fit`` and ``max_iter``.
            Otherwise it means ``n_estimators`` or ``max_iter`` if the estimator has ``warm_start``,
            and samples if it has not.
        n_candidates: The largest number of candidates to try.
        factor: Of every ``factor`` candidates at a rung, the best candidate continues to the next
            rung.
        min_resources: Resource of the lowest rung. The default is a ninth of the top rung's
            resource, or more if there are few candidates. "smallest" and "exhaust" mean the same as
            in scikit-learn.
        max_resources: Resource of the top rung. "auto" means all samples or folds, or the value of
            the estimator's parameter.
        cv: Splits of the data, as in scikit-learn.
        scoring: As in scikit-learn. If there are several scores, ``refit`` names the main score.
        refit: Whether to fit the best candidate on all data; or the name of the main score; or a
            callable that chooses the best candidate.
        error_score: The score of a failed fit, or "raise".
        return_train_score: Whether to compute scores on the training data too.
        random_state: Seed for drawing candidates and samples.
        n_jobs: Number of processes that fit candidates. With 1, this process fits them. Under
            ``mpiexec``, rank 0 directs the search, and the other ranks fit the candidates.
        verbose: If above 0, the study prints its progress.
        search: A search of ashtune; by default a Gaussian process.
        scheduler: A scheduler of ashtune.
        time_limit: Seconds after which no fit begins.
        directory: Directory of the study. If ``fit`` is called again with the same directory, the
            earlier search continues. The default is a temporary directory that is deleted with this
            object.

    Attributes:
        study_: The study, which has the report, the figures and the what-if predictions.
        seed_: The seed of the study.
        n_resources_: The resource of each rung.
        n_candidates_: The number of candidates with a result at each rung.

    Example:
        >>> from scipy.stats import randint
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> search = AshSearchCV(
        ...     RandomForestClassifier(random_state=0),
        ...     {"max_depth": [3, None], "min_samples_split": randint(2, 11)},
        ...     resource="n_estimators",
        ...     max_resources=9,
        ...     n_candidates=8,
        ...     random_state=0,
        ... ).fit(X, y)
        >>> search.best_score_ > 0.9
        True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, list],
        "resource": [str],
        "n_candidates": [Interval(numbers.Integral, 0, None, closed="neither"),
        StrOptions({"exhaust"})],
        "factor": [Interval(numbers.Integral, 1, None, closed="neither")],
        "min_resources": [
            Interval(numbers.Integral, 0, None, closed="neither"), StrOptions({"auto", "smallest",
            "exhaust"}),
        ],
        "max_resources": [Interval(numbers.Integral, 0, None, closed="neither"),
        StrOptions({"auto"})],
        "random_state": ["random_state"],
        "search": "no_validation",
        "scheduler": "no_validation",
        "time_limit": "no_validation",
        "directory": "no_validation",
    }  # fmt: skip
    _parameter_constraints.pop("pre_dispatch")

    @suggesting(_WORDS_OF_OTHERS)
    def __init__(
        self, estimator: Any, param_distributions: Any, *, resource: str = "auto",
        n_candidates: int | str = CANDIDATES,
        factor: int = 3, min_resources: int | str = "auto", max_resources: int | str = "auto",
        cv: Any = None,
        scoring: Any = None, refit: Any = True, error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None, n_jobs: int | None = None, verbose: int = 0, search: Any = None,
        scheduler: Any = "ash", time_limit: Any = None,
        directory: "str | os.PathLike[str] | None" = None,
    ) -> None:  # fmt: skip
        super().__init__(
            estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )  # fmt: skip
        self.param_distributions = param_distributions
        self.resource = resource
        self.n_candidates = n_candidates
        self.factor = factor
        self.min_resources = min_resources
        self.max_resources = max_resources
        self.random_state = random_state
        self.search = search
        self.scheduler = scheduler
        self.time_limit = time_limit
        self.directory = directory

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, **params: Any) -> "AshSearchCV":
        """Search for the best parameters.

        Args:
            X: Shape (n_samples, n_features).
            y: Shape (n_samples,) or (n_samples, n_outputs), or None.
            params: Parameters for the estimator's ``fit``, the scorer and the splitter, as in
                scikit-learn's searches.

        Raises:
            ValueError: If an argument is wrong, or all fits failed.
            AshtuneError: If the study cannot be run.
        """
        # This call must be first: under mpiexec, it does not return on the other ranks, which from
        # now on work for rank 0.
        has_ranks = start_mpi(workers_given=self.n_jobs is not None) is not None
        scorers, refit_metric = self._get_scorers()
        if callable(self.scoring) and isinstance(self.refit, str):
            refit_metric = self.refit
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        tasks = Tasks(self, X, y, params)
        splits = self._splits(X, y, routed.splitter.split)
        # With a directory, fit may continue an earlier study. Such a study needs the seed of the
        # first call of fit.
        kept = 0 if self.directory is not None else None
        chance = check_random_state(kept if self.random_state is None else self.random_state)
        self.seed_ = int(chance.randint(2**31 - 1))
        parameters = Parameters(self.param_distributions)
        resource = resource_of(
            self.estimator,
            self.resource,
            parameters.names,
            y,
            has_fit_params=bool(routed.estimator.fit),
        )
        self._set_resources(resource, parameters, X, y)
        if isinstance(resource, Samples):
            classes = y if is_classifier(self.estimator) and np.ndim(y) == 1 else None
            splits = [(in_order(train, classes, self.seed_), test) for train, test in splits]
        folder, in_use = self._folder()
        by_kind = [
            _split_by_row(given, _num_samples(X))
            for given in (routed.estimator.fit, routed.scorer.score)
        ]
        by_row, others = zip(*by_kind, strict=True)
        with in_use:
            digest = write_data(folder, (X, y, *by_row))
            objective = Validated(
                clone(self.estimator), parameters, resource, splits=splits, scorer=scorers,
                metric=refit_metric if isinstance(refit_metric, str) else "score", folder=folder,
                digest=digest,
                metadata=others, meaning=_digest(self.estimator.get_params(), self.scoring,
                parameters.given),
                error_score=self.error_score, returns_train_score=self.return_train_score,
            )  # fmt: skip
            with tasks.search(self._candidates) as observers:
                self._tune(objective, parameters, resource, observers, has_ranks=has_ranks)
        self._read(parameters, resource, refit_metric)
        if self.refit:
            self._refit(resource, X, y, routed.estimator.fit, tasks)
        self.scorer_ = getattr(scorers, "_scorers", scorers)
        tasks.end()
        return self

    def _splits(self, X: Any, y: Any, given: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        split = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        rows = np.arange(_num_samples(X))
        splits = [
            (rows[np.asarray(train)], rows[np.asarray(test)])
            for train, test in split.split(X, y, **given)
        ]
        self.n_splits_ = split.get_n_splits(X, y, **given)
        if len(splits) != self.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. "
                f"Expected {self.n_splits_} splits, got {len(splits)}"
            )
        if not splits:
            raise ValueError("No fits were performed. Was the CV iterator empty?")
        return splits

    def _set_resources(self, resource: Resource, parameters: Parameters, X: Any, y: Any) -> None:
        self.max_resources_ = top = (
            top_of(resource, self.estimator, X, self.n_splits_)
            if self.max_resources == "auto" else int(self.max_resources)
        )  # fmt: skip
        if isinstance(resource, Folds) and top > self.n_splits_:
            raise ValueError(f"max_resources={top} is more than the {self.n_splits_} folds")
        least = 1
        if isinstance(resource, Samples):
            least = 2 * self.n_splits_ * (len(np.unique(y)) if is_classifier(self.estimator) else 1)
        wanted = self.n_candidates
        given = self.min_resources
        if wanted == given == "exhaust":
            raise ValueError("n_candidates and min_resources cannot be both set to 'exhaust'.")
        lowest = least if isinstance(given, str) else int(given)
        if given == "auto":
            lowest = Ladder.from_above(top, self.factor, LEAST_SHARE).rungs[0]
        # As many candidates as are needed for one of them to reach the top.
        if isinstance(wanted, str):
            wanted = max(1, top // lowest)
        self._candidates = candidates = int(min(wanted, parameters.size))
        # As in scikit-learn, so that the last candidates reach the top.
        if given == "exhaust":
            lowest = max(least, top // self.factor ** int(math.log(candidates, self.factor) + 1e-9))
        if lowest > top:
            raise ValueError(f"min_resources_={lowest} is greater than max_resources_={top}.")
        self._lowest = lowest

    @property
    def study_(self) -> Study:
        """The study of the last fit."""
        return Study.load(self.directory_)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_removal"}

    def _folder(self) -> tuple[str, AbstractContextManager[None]]:
        """Return the study's directory, and a context manager for the study's run.

        By default, the directory is new. A new directory is deleted if the search object is deleted
        or SIGTERM arrives.
        """
        removal = self.__dict__.pop("_removal", None)
        if removal is not None:
            removal()
        if self.directory is not None:
            folder = os.path.abspath(self.directory)  # noqa: PTH100
            os.makedirs(folder, FOLDER_FOR_THE_OWNER, exist_ok=True)  # noqa: PTH103
            in_use: AbstractContextManager[None] = nullcontext()
        else:
            scratch = ScratchDirectory()
            folder = str(scratch.folder())
            self._removal = weakref.finalize(self, scratch.delete)
            in_use = scratch.deleted_at_sigterm()
        self.directory_ = folder
        return folder, in_use

    def _tune(
        self, objective: Validated, parameters: Parameters, resource: Resource,
        observers: Sequence[Observer],
        *, has_ranks: bool,
    ) -> None:  # fmt: skip
        """Run the study.

        Raises:
            AshtuneError: If the study cannot be run.
            Exception: The exception of a fit, if ``error_score`` is "raise".
        """
        candidates = self._candidates
        workers = joblib.effective_n_jobs(self.n_jobs)
        more: dict[str, Any] = {"scheduler": self.scheduler, "min_resource": self._lowest}
        if self.min_resources == "auto":
            # With fewer rungs, even one of only a few candidates reaches the top rung.
            if candidates < ENOUGH_FOR_THREE_RUNGS:
                more["min_resource"] = -(
                    -self.max_resources_ // (1 if candidates == 1 else self.factor)
                )
                if self.scheduler == "ash":
                    more["scheduler"] = Ash(ahead=1)
            elif SCHEDULERS.part(self.scheduler).least_share == LEAST_SHARE:
                # The lowest rung stays the same, and tune computes the ladder from the top rung
                # down.
                more["min_resource"] = None
        if not has_ranks:
            more |= {"engine": "threads" if workers == 1 else "local", "workers": workers}
        raised = Path(self.directory_, RAISED)
        raised.unlink(missing_ok=True)
        try:
            tune(
                objective, parameters.space, metric=objective.metric, mode="max", trials=candidates,
                max_resource=self.max_resources_, reduction_factor=self.factor,
                resource=resource.unit,
                seed=self.seed_, search=self.search, time_limit=self.time_limit,
                directory=self.directory_, quiet=not self.verbose,
                # A failed fit has error_score, as in scikit-learn, and never stops the search.
                stop=Stop(max_failures=MOST_WHOLE),
                observers=observers, **more,
            )  # fmt: skip
        except NoResultError:
            # _read reports this case, with the error that scikit-learn raises.
            pass
        except FunctionChanged:
            raise StudyError(
                f"{self.directory_} holds another search, with other data, splits, estimator, "
                "scoring or distributions; give another directory"
            ) from None
        except AshtuneError:
            if not raised.exists():
                raise
        finally:
            read_data.cache_clear()
        if raised.exists():
            import cloudpickle

            raise cloudpickle.loads(raised.read_bytes())

    def _read(self, parameters: Parameters, resource: Resource, refit_metric: Any) -> None:
        """Read the rows of ``cv_results_`` from the journal, and choose the best row."""
        study = self.study_
        rungs = study.rungs
        candidates = []
        out = []
        more = []
        error_score = np.nan if self.error_score == "raise" else self.error_score
        kinds = score_kinds(self.return_train_score)
        for row in candidate_rows(study, self.n_splits_, error_score, kinds):
            own = parameters.read(row.configuration)
            if resource.parameter is not None:
                own[resource.parameter] = rungs[row.rung]
            candidates.append(own)
            out += row.splits
            more.append((row.rung, rungs[row.rung]))
        if not out:
            raise ValueError("No fits were performed. Was time_limit too short for the first fit?")
        _warn_or_raise_about_fit_failures(out, error_score)
        _insert_error_scores(out, error_score)
        iterations, resources = zip(*more, strict=True)
        self.multimetric_ = isinstance(out[0]["test_scores"], dict)
        if self.multimetric_ and callable(self.scoring):
            self._check_refit_for_multimetric(out[0]["test_scores"])
            refit_metric = self.refit
        self.cv_results_ = results = self._format_results(
            candidates,
            self.n_splits_,
            out,
            {"iter": list(iterations), "n_resources": list(resources)},
        )
        if isinstance(resource, Folds):
            leave_out(results, self.n_splits_)
        last = max(iterations)
        self.n_iterations_ = last + 1
        self.n_resources_ = list(rungs[: last + 1])
        self.min_resources_ = rungs[0]
        self.n_candidates_ = [iterations.count(rung) for rung in range(last + 1)]
        self.n_remaining_candidates_ = math.ceil(self.n_candidates_[-1] / self.factor)
        self.n_required_iterations_ = 1 + int(math.log(self._candidates, self.factor) + 1e-9)
        self.n_possible_iterations_ = len(rungs)
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit) or not self.multimetric_:
                self.best_score_ = results[
                    f"mean_test_{'score' if not self.multimetric_ else refit_metric}"
                ][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: Any, results: Mapping[str, Any]) -> int:
        """Return the index of the best row at the highest rung with a score, or the index that
        ``refit`` chooses.
        """
        if callable(refit):
            return int(BaseSearchCV._select_best_index(refit, refit_metric, results))
        scores = results[f"mean_test_{refit_metric or 'score'}"]
        there = np.isfinite(scores)
        if not there.any():
            return 0
        last = results["iter"][there].max()
        return int(np.argmax(np.where(there & (results["iter"] == last), scores, -np.inf)))

    def _refit(
        self, resource: Resource, X: Any, y: Any, fit: Mapping[str, Any], tasks: Tasks
    ) -> None:
        """Fit the best candidate on all data, with the resource of the candidate's rung."""
        self.best_estimator_ = clone(
            clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        )
        with tasks.refit(self.best_estimator_):
            began = time.time()
            if isinstance(resource, PartialFit):
                epochs = int(self.cv_results_["n_resources"][self.best_index_])
                resource.in_one_go(self.best_estimator_, X, y, epochs, **fit)
            else:
                fit_as_it_is(self.best_estimator_, X, y, fit)
            self.refit_time_ = time.time() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


def _split_by_row(
    parameters: Mapping[str, Any], rows: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two dicts. The first has the parameters that have one value per row of the data, and
    the second has the other parameters.
    """
    by_row = {
        name: value for name,
        value in parameters.items() if _is_arraylike(value) and _num_samples(value) == rows
    }  # fmt: skip
    return by_row, {name: value for name, value in parameters.items() if name not in by_row}


def _digest(*values: Any) -> str:
    """Return a digest of the values on which a score depends. If a value cannot be pickled, return
    the names of the values' types.
    """
    try:
        digest: str = joblib.hash(values)
    except Exception:  # noqa: BLE001 - whatever an object does when it is pickled
        return ", ".join(type(value).__name__ for value in values)
    return digest
