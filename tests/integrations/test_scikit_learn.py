"""A search of scikit-learn: its own checks, its own example, and what resumed fits and a journal add."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("joblib", reason="joblib is not installed")
import sklearn
from scipy import sparse, stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GroupKFold, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

import ashtune
from ashtune.core.events import JobFinished
from ashtune.integrations.scikit_learn import AshSearchCV
from ashtune.integrations.scikit_learn.parameters import Parameters
from ashtune.integrations.scikit_learn.resources import resource_of
from ashtune.schedulers.registry import SCHEDULERS
from ashtune.search.random import Random
from ashtune.space.space import Space
from ashtune.study.journal import NAME, read_events
from ashtune.study.objective_file import NAME as OBJECTIVE
from ashtune.training.objectives import load_objective

EXPECTED = (
    "check_supervised_y_2d", "check_requires_y_none", "check_fit2d_1sample", "check_fit2d_1feature",
    "check_estimators_nan_inf", "check_classifiers_one_label_sample_weights", "check_array_api_mixed_inputs",
    "check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data",
)  # fmt: skip
"""Checks that scikit-learn expects its own searches to fail."""


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return X, y


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "space"),
    [
        (LogisticRegression(), {"C": [0.1, 1.0]}),
        (Ridge(), {"alpha": [0.1, 1.0]}),
        (RandomForestClassifier(n_estimators=5, random_state=0), {"max_depth": [2, 3]}),
        (Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]), {"model__C": [0.1, 1.0]}),
    ],
    ids=["logistic", "ridge", "forest", "pipeline"],
)
def test_scikit_learns_own_checks_pass(estimator: Any, space: Any) -> None:
    search = AshSearchCV(estimator, space, cv=2, n_candidates=2, random_state=0, error_score="raise")
    results = check_estimator(search, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed.keys() <= set(EXPECTED), {name: repr(failed[name]) for name in failed.keys() - set(EXPECTED)}
    assert len(results) > 50


def test_the_example_of_scikit_learns_halving_runs_with_another_class(iris: tuple[Any, Any]) -> None:
    clf = RandomForestClassifier(random_state=0)
    param_distributions = {"max_depth": [3, None], "min_samples_split": stats.randint(2, 11)}
    search = AshSearchCV(clf, param_distributions, resource="n_estimators", max_resources=10, random_state=0).fit(*iris)
    assert search.best_params_.keys() == {"max_depth", "min_samples_split", "n_estimators"}
    assert search.best_params_["n_estimators"] == 10
    assert search.best_params_["max_depth"] in (3, None)
    assert search.best_score_ > 0.9
    assert search.predict(iris[0]).shape == (150,)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """scikit-learn's own test module for its halving searches, with this class in the place of its random one."""
    module = pytest.importorskip("sklearn.model_selection.tests.test_successive_halving")
    monkeypatch.setattr(module, "HalvingRandomSearchCV", AshSearchCV)
    return module


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:Scoring failed:UserWarning")
@pytest.mark.filterwarnings("ignore:One or more of the:UserWarning")
def test_scikit_learns_own_tests_of_halving_pass_where_they_mean_the_same(theirs: Any) -> None:
    """Those that are left out hold for rungs that wait for each other, or for another cut of the rows.

    ``aggressive_elimination``, ``min_max_resources``, ``n_iterations``: how many candidates and rungs there are
    follows from another rule. ``cv_results``: each rung is complete before the next. ``resource_parameter``: rungs of
    1, 3, 9. ``base_estimator_inputs`` and ``subsample_splitter``: test rows are cut too, here all of them count.
    ``random_search_discrete_distributions`` with ``randint``: the same candidate is tried again there.
    ``input_errors``: splits that differ from call to call are fine here, as the data are split once; the others are
    tested below. ``top_k``: a function of their own.
    """
    for fail_at in ("fit", "predict"):
        theirs.test_nan_handling(AshSearchCV, fail_at)
    for most, candidates, expected in ((512, "exhaust", 128), (32, 8, 8), (32, 7, 7), (32, 9, 9)):
        theirs.test_random_search(most, candidates, expected)
    theirs.test_random_search_discrete_distributions({"a": [1, 2]}, 2)
    theirs.test_groups_support(AshSearchCV)
    theirs.test_select_best_index(AshSearchCV)
    theirs.test_halving_random_search_list_of_dicts()


class Counted(SGDClassifier):
    """Notes how many rows each pass is over."""

    passes: ClassVar[list[int]] = []
    fits: ClassVar[list[int]] = []

    def fit(self, X: Any, y: Any) -> Any:
        self.fits.append(len(y))
        return super().fit(X, y)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        self.passes.append(len(y))
        return super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)


def test_a_promoted_candidate_goes_on_and_no_epoch_is_trained_twice(iris: tuple[Any, Any]) -> None:
    Counted.passes.clear()
    search = AshSearchCV(
        Counted(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, max_resources=9, min_resources=1, n_candidates=9, cv=3,
        random_state=0, refit=False,
    ).fit(*iris)  # fmt: skip
    deepest: dict[float, int] = {}
    for parameters, resource in zip(search.cv_results_["params"], search.cv_results_["n_resources"], strict=True):
        deepest[parameters["alpha"]] = max(resource, deepest.get(parameters["alpha"], 0))
    assert len(Counted.passes) == 3 * sum(deepest.values())
    assert set(search.cv_results_["n_resources"]) == {1, 3, 9}
    assert search.n_resources_ == [1, 3, 9]
    assert search.n_candidates_[0] == 9


def test_a_resumed_candidate_scores_what_one_that_was_fitted_in_one_go_does(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        RandomForestClassifier(random_state=0), {"max_depth": list(range(1, 10))}, max_resources=27, min_resources=3,
        cv=KFold(3), n_candidates=9, random_state=0,
    ).fit(*iris)  # fmt: skip
    best = search.best_index_
    assert search.cv_results_["n_resources"][best] == 27
    for split, (train, test) in enumerate(KFold(3).split(*iris)):
        forest = RandomForestClassifier(random_state=0, **search.best_params_).fit(iris[0][train], iris[1][train])
        assert search.cv_results_[f"split{split}_test_score"][best] == forest.score(iris[0][test], iris[1][test])


@pytest.mark.parametrize(
    ("estimator", "space", "resource", "unit", "top"),
    [
        (MLPClassifier(max_iter=30), {"alpha": [0.1, 0.2]}, "auto", "epoch", 30),
        (make_pipeline(StandardScaler(), MLPClassifier(max_iter=30)), {"mlpclassifier__alpha": [0.1, 1.0]},
         "partial_fit", "epoch", 30),
        (RandomForestClassifier(n_estimators=30), {"max_depth": [2, 3]}, "auto", "tree", 30),
        (HistGradientBoostingClassifier(max_iter=30), {"max_depth": [2, 3]}, "auto", "iteration", 30),
        (LogisticRegression(max_iter=30), {"C": [0.1, 1.0]}, "auto", "iteration", 30),
        (Ridge(), {"alpha": [0.1, 1.0]}, "auto", "sample", 150),
        (Ridge(), {"alpha": [0.1, 1.0]}, "folds", "fold", 5),
        (RandomForestClassifier(n_estimators=30), {"max_depth": [2, 3]}, "n_samples", "sample", 150),
    ],
)  # fmt: skip
def test_what_a_candidate_gets_more_of(  # noqa: PLR0917
    iris: tuple[Any, Any], estimator: Any, space: Any, resource: str, unit: str, top: int
) -> None:
    search = AshSearchCV(estimator, space, resource=resource, n_candidates=2, random_state=0).fit(*iris)
    assert (search.study_.unit, search.max_resources_) == (unit, top)
    assert np.isfinite(search.best_score_)
    assert search.cv_results_["n_resources"].max() == top


def test_folds_that_were_left_out_have_no_score_and_leave_the_mean_as_it_is(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        Ridge(), {"alpha": (0.01, 10.0, "log")}, resource="folds", min_resources=1, n_candidates=9, random_state=0,
        cv=KFold(9, shuffle=True, random_state=0),
    ).fit(*iris)  # fmt: skip
    results = search.cv_results_
    splits = np.array([results[f"split{split}_test_score"] for split in range(9)])
    for row, folds in enumerate(results["n_resources"]):
        assert np.isfinite(splits[:, row]).sum() == folds
        assert results["mean_test_score"][row] == pytest.approx(np.nanmean(splits[:, row]))
        assert results["std_test_score"][row] == pytest.approx(np.nanstd(splits[:, row]))


def test_samples_of_each_class_are_in_every_beginning() -> None:
    X, y = make_classification(300, weights=[0.9], random_state=0)
    search = AshSearchCV(
        LogisticRegression(), {"C": [0.1, 1.0]}, resource="n_samples", min_resources=20, n_candidates=2, cv=3,
        random_state=0, error_score="raise",
    ).fit(X, y)  # fmt: skip
    assert search.cv_results_["n_resources"].min() == 20


def test_several_scores_with_one_that_counts_and_a_callable_that_chooses(iris: tuple[Any, Any]) -> None:
    options: dict[str, Any] = {"max_resources": 9, "n_candidates": 4, "random_state": 0, "return_train_score": True}
    forest = RandomForestClassifier(random_state=0)
    space = {"max_depth": [1, 2, 3, 4]}
    search = AshSearchCV(forest, space, scoring=["accuracy", "f1_macro"], refit="f1_macro", **options).fit(*iris)
    assert search.multimetric_
    assert search.best_score_ == search.cv_results_["mean_test_f1_macro"][search.best_index_]
    assert set(search.scorer_) == {"accuracy", "f1_macro"}
    assert np.isfinite(search.cv_results_["mean_train_accuracy"]).all()
    assert search.study_.metric == "f1_macro"
    chosen = AshSearchCV(forest, space, refit=lambda results: int(np.argmin(results["mean_test_score"])), **options)
    assert chosen.fit(*iris).best_score_ == chosen.cv_results_["mean_test_score"].min()


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_a_fit_that_fails_counts_what_was_said_and_the_others_go_on(iris: tuple[Any, Any]) -> None:
    space = {"max_depth": [2, 3, "deep"]}
    forest = RandomForestClassifier(n_estimators=9, random_state=0)
    with pytest.warns(FitFailedWarning, match="deep"):
        search = AshSearchCV(forest, space, n_candidates=3, random_state=0).fit(*iris)
    failed = [parameters["max_depth"] == "deep" for parameters in search.cv_results_["params"]]
    assert sum(failed) == 1
    assert np.isnan(search.cv_results_["mean_test_score"][failed]).all()
    assert search.best_params_["max_depth"] in (2, 3)
    with pytest.warns(FitFailedWarning):
        counted = AshSearchCV(forest, space, n_candidates=3, random_state=0, error_score=-1.0).fit(*iris)
    assert counted.cv_results_["mean_test_score"].min() == -1
    with pytest.raises(ValueError, match="deep"):
        AshSearchCV(forest, space, n_candidates=3, random_state=0, error_score="raise").fit(*iris)
    with pytest.raises(ValueError, match="fits failed"):
        AshSearchCV(forest, {"max_depth": ["deep", "deeper"]}, n_candidates=2, random_state=0).fit(*iris)


class FailsAtFirst(ClassifierMixin, BaseEstimator):
    """Fits that say how many passes they were trained in all; of each candidate the first pass on two splits fails."""

    failed: ClassVar[Counter[float]] = Counter()

    def __init__(self, alpha: float = 0.0) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> None:
        self.partial_fit(X, y, np.unique(y))

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> None:
        if self.failed[self.alpha] < 2:
            self.failed[self.alpha] += 1
            raise ValueError("this is the first pass")
        self.trained_ = getattr(self, "trained_", 0) + 1
        self.classes_ = classes


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_a_candidate_whose_fit_has_failed_is_fitted_from_the_start_when_it_is_promoted(iris: tuple[Any, Any]) -> None:
    FailsAtFirst.failed.clear()
    search = AshSearchCV(
        FailsAtFirst(), {"alpha": list(range(9))}, resource="partial_fit", max_resources=9, n_candidates=9, cv=2,
        random_state=0, search="random", error_score=0.5, refit=False, scoring=lambda fitted, X, y: fitted.trained_,
    ).fit(*iris)  # fmt: skip
    results = search.cv_results_
    assert set(results["n_resources"]) == {1, 3, 9}
    expected = [0.5 if resource == 1 else resource for resource in results["n_resources"]]
    assert list(results["mean_test_score"]) == expected


def test_distributions_of_scipy_and_several_grids(iris: tuple[Any, Any]) -> None:
    grids = [
        {"C": stats.loguniform(1e-3, 1e3), "fit_intercept": [True, False]},
        {"C": stats.expon(scale=2), "tol": (1e-5, 1e-2, "log"), "l1_ratio": [0.0]},
    ]
    search = AshSearchCV(LogisticRegression(), grids, n_candidates=12, random_state=0, cv=2).fit(*iris)
    for parameters in search.cv_results_["params"]:
        assert parameters.keys() - {"max_iter"} in ({"C", "fit_intercept"}, {"C", "tol", "l1_ratio"})
        assert parameters["C"] > 0
    assert {"fit_intercept" in parameters for parameters in search.cv_results_["params"]} == {True, False}


def test_groups_weights_frames_and_sparse_data_go_where_they_belong(iris: tuple[Any, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = iris
    groups, weights = np.arange(150) % 10, np.ones(150)
    options: dict[str, Any] = {"n_candidates": 2, "random_state": 0, "error_score": "raise"}
    frame = pandas.DataFrame(X, columns=list("abcd"))
    search = AshSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=GroupKFold(5), **options)
    search.fit(frame, pandas.Series(y), groups=groups, sample_weight=weights)
    assert list(search.feature_names_in_) == list("abcd")
    AshSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, **options).fit(sparse.csr_matrix(X), y)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"resource": "nothing"}, "resource=nothing which is not supported by estimator"),
        ({"resource": "max_depth"}, "max_depth as the resource since it is part of the searched parameters"),
        ({"min_resources": 40}, "min_resources_=40 is greater than max_resources_=30"),
        ({"factor": 1}, "factor"),
        ({"cv": 1}, "1"),
        ({"resource": "folds", "max_resources": 9}, "more than the 5 folds"),
        ({"min_resources": "exhaust", "n_candidates": "exhaust"}, "cannot be both set to 'exhaust'"),
    ],
)
def test_what_does_not_fit_is_refused_as_scikit_learn_does(iris: tuple[Any, Any], options: Any, match: str) -> None:
    search = AshSearchCV(RandomForestClassifier(n_estimators=30), {"max_depth": [2, 3]}, **options)
    with pytest.raises(ValueError, match=match):
        search.fit(*iris)


@pytest.mark.parametrize(
    ("space", "kind", "match"),
    [
        ({"max_deth": [2, 3]}, ValueError, "Invalid parameter 'max_deth'"),
        ({"max_depth": 3}, TypeError, "'max_depth' has 3; give a list"),
        ({"criterion": "gini"}, TypeError, "'criterion' has 'gini'; give a list"),
        ({"max_depth": []}, ValueError, r"has \[\]; give a list of values"),
        ({"ccp_alpha": (0.0, 0.1)}, ValueError, r"'ccp_alpha' has \(0.0, 0.1\); give a list"),
        ({}, ashtune.AshtuneError, "the space is empty"),
        ([], ashtune.AshtuneError, "trials=0"),
    ],
)
def test_parameters_that_are_none_are_refused_in_words(
    iris: tuple[Any, Any], space: Any, kind: type[Exception], match: str
) -> None:
    with pytest.raises(kind, match=match):
        AshSearchCV(RandomForestClassifier(), space, random_state=0).fit(*iris)


def test_a_share_of_the_rows_is_that_of_the_whole_data(iris: tuple[Any, Any]) -> None:
    Counted.fits.clear()
    AshSearchCV(
        Counted(), {"alpha": [1e-4, 1e-3]}, resource="n_samples", max_resources=50, cv=5, random_state=0, refit=False
    ).fit(*iris)
    assert max(Counted.fits) == 40, "50 of 150 rows are a third of the 120 of a split"


SEEN: list[str] = []


def noting(estimator: Any, X: Any, y: Any) -> float:
    """Note the settings of scikit-learn under which it is called."""
    SEEN.append(sklearn.get_config()["transform_output"])
    return float(estimator.score(X, y))


def test_settings_of_scikit_learn_hold_in_the_fits(iris: tuple[Any, Any]) -> None:
    SEEN.clear()
    with sklearn.config_context(transform_output="pandas"):
        AshSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, scoring=noting, random_state=0).fit(*iris)
    assert set(SEEN) == {"pandas"}


@pytest.mark.parametrize(
    "change",
    [
        {"scoring": "f1_macro"},
        {"estimator__min_samples_leaf": 5},
        {"param_distributions": {"max_depth": stats.poisson(3)}},
    ],
)
def test_a_directory_is_not_continued_by_another_search(iris: tuple[Any, Any], tmp_path: Path, change: Any) -> None:
    options: dict[str, Any] = {"n_candidates": 3, "directory": tmp_path, "random_state": 0, "cv": 2}
    forest, space = RandomForestClassifier(n_estimators=9, random_state=0), {"max_depth": stats.poisson(2)}
    search = AshSearchCV(forest, space, **options).fit(*iris)
    first = search.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(
        AshSearchCV(forest, space, **options).fit(*iris).cv_results_["mean_test_score"], first
    )
    with pytest.raises(ashtune.AshtuneError):
        AshSearchCV(forest, space, **options).set_params(**change).fit(*iris)


def test_numpy_s_own_generator_makes_no_other_search(iris: tuple[Any, Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_candidates": 3, "directory": tmp_path, "random_state": 0, "cv": 2}
    spaces = [{"max_depth": stats.randint(1, 9)}, {"max_features": stats.truncnorm(0.0, 1.0, loc=0.4, scale=0.5)}]
    scores = []
    for seed in (1, 2):
        np.random.seed(seed)
        search = AshSearchCV(RandomForestClassifier(n_estimators=9, random_state=0), spaces, **options).fit(*iris)
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*scores)


def test_a_study_that_was_moved_goes_on(iris: tuple[Any, Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_candidates": 4, "random_state": 0, "cv": 2, "search": "random"}
    forest, space = RandomForestClassifier(n_estimators=9, random_state=0), {"max_depth": [1, 2, 3, 4]}
    first = AshSearchCV(forest, space, directory=tmp_path / "here", **options).fit(*iris)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = AshSearchCV(forest, space, directory=tmp_path / "there", **options).fit(*iris)
    np.testing.assert_array_equal(moved.cv_results_["mean_test_score"], first.cv_results_["mean_test_score"])
    assert len(finished(tmp_path / "there")) == len(first.cv_results_["params"]), "nothing is fitted again"


@pytest.mark.parametrize(
    ("estimator", "space", "unit"),
    [
        (SGDClassifier(), {"alpha": [0.1, 1.0]}, "epoch"),
        (SGDClassifier(), {"max_iter": [5, 50]}, "sample"),
        (SGDClassifier(early_stopping=True), {"alpha": [0.1, 1.0]}, "iteration"),
        (SGDClassifier(class_weight="balanced"), {"alpha": [0.1, 1.0]}, "iteration"),
        (MLPClassifier(), {"solver": ["adam", "lbfgs"]}, "iteration"),
        (Pipeline([("model", SGDClassifier())]), {"model": [SGDClassifier(), LogisticRegression()]}, "sample"),
        (OneVsRestClassifier(LogisticRegression()), {"estimator__C": [0.1, 1.0]}, "sample"),
        (LatentDirichletAllocation(), {"n_components": [2, 3]}, "sample"),
        (MiniBatchKMeans(), {"n_clusters": [2, 3]}, "sample"),
    ],
)  # fmt: skip
def test_what_is_chosen_where_passes_would_not_do_what_fit_does(estimator: Any, space: Any, unit: str) -> None:
    names = set(space)
    assert resource_of(estimator, "auto", names, np.array([0, 1]), has_fit_params=False).unit == unit


def test_each_pass_has_an_order_of_its_own_though_the_seed_is_a_number(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        MLPClassifier(random_state=0), {"alpha": [1e-4]}, max_resources=9, n_candidates=1, cv=2, random_state=0
    ).fit(*iris)
    expected = MLPClassifier(random_state=np.random.RandomState(0), alpha=1e-4)
    for _ in range(9):
        expected.partial_fit(*iris, classes=[0, 1, 2])
    for layer, other in zip(search.best_estimator_.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(layer, other)
    assert search.best_estimator_.random_state == 0


def test_passes_that_are_resumed_are_those_of_one_go(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        MLPClassifier(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, max_resources=9, min_resources=1, n_candidates=9,
        cv=KFold(3), random_state=0, refit=False,
    ).fit(*iris)  # fmt: skip
    best = search.best_index_
    assert search.cv_results_["n_resources"][best] == 9
    for split, (train, test) in enumerate(KFold(3).split(*iris)):
        model = MLPClassifier(random_state=np.random.RandomState(0), **search.best_params_)
        for _ in range(9):
            model.partial_fit(iris[0][train], iris[1][train], classes=[0, 1, 2])
        score = model.score(iris[0][test], iris[1][test])
        assert search.cv_results_[f"split{split}_test_score"][best] == score


class Locked(RandomForestClassifier):
    """Cannot be pickled once it is fitted."""

    def fit(self, X: Any, y: Any) -> Any:
        self.lock_ = threading.Lock()
        return super().fit(X, y)


def test_a_candidate_that_cannot_be_saved_is_fitted_anew(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        Locked(random_state=0), {"max_depth": stats.randint(1, 99)}, max_resources=9, min_resources=1, n_candidates=9,
        cv=KFold(3), random_state=0, error_score="raise",
    )  # fmt: skip
    with pytest.warns(UserWarning):
        search.fit(*iris)
    assert search.n_resources_ == [1, 3, 9]
    train, test = next(iter(KFold(3).split(*iris)))
    expected = Locked(random_state=0, **search.best_params_).fit(iris[0][train], iris[1][train])
    assert search.cv_results_["split0_test_score"][search.best_index_] == expected.score(iris[0][test], iris[1][test])


def test_several_labels_a_row_are_classes() -> None:
    X, y = make_multilabel_classification(60, n_classes=3, random_state=0)
    search = AshSearchCV(
        MLPClassifier(random_state=0), {"alpha": [1e-4, 1e-2]}, max_resources=9, cv=KFold(2), error_score="raise"
    ).fit(X, y)
    assert search.predict(X).shape == y.shape


def test_a_worker_does_not_import_the_driver() -> None:
    script = (
        "import sys, ashtune.integrations.scikit_learn.validated; "
        "print([name for name in ('ashtune.api.study', 'ashtune.driver.session') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_parameter_of_a_part_is_fitted_anew(iris: tuple[Any, Any]) -> None:
    forest = RandomForestClassifier(n_estimators=5, random_state=0)
    search = AshSearchCV(
        forest, {"min_samples_leaf": [1, 2]}, resource="max_depth", max_resources=9, random_state=0, cv=KFold(3)
    ).fit(*iris)
    train, test = next(iter(KFold(3).split(*iris)))
    best = forest.set_params(**search.best_params_).fit(iris[0][train], iris[1][train])
    assert search.cv_results_["split0_test_score"][search.best_index_] == best.score(iris[0][test], iris[1][test])


def test_a_pipeline_with_a_memory_passes_over_the_data(iris: tuple[Any, Any], tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), SGDClassifier(random_state=0), memory=str(tmp_path))
    search = AshSearchCV(
        pipeline, {"sgdclassifier__alpha": [1e-3, 1e-2]}, max_resources=9, error_score="raise", random_state=0
    ).fit(*iris)
    assert search.score(*iris) > 0.8
    with pytest.raises(ValueError, match="fit parameters"):
        search.set_params(resource="partial_fit").fit(*iris, sgdclassifier__sample_weight=np.ones(150))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min_resources": "exhaust", "n_candidates": 10}, [11, 33, 99]),
        ({"min_resources": "smallest", "n_candidates": "exhaust"}, [1, 3, 9, 27, 81, 99]),
        ({"min_resources": "auto", "n_candidates": 10}, [11, 33, 99]),
    ],
)
def test_rungs_and_candidates_go_together(options: Any, expected: list[int]) -> None:
    X, y = make_classification(60, random_state=0)
    search = AshSearchCV(
        DecisionTreeClassifier(), {"min_samples_leaf": stats.randint(1, 200)}, resource="max_depth", max_resources=99,
        cv=2, random_state=0, search="random", **options,
    ).fit(X, y)  # fmt: skip
    assert list(search.study_.rungs) == expected
    assert search.n_candidates_[0] == (10 if options["n_candidates"] == 10 else 99)


@pytest.mark.parametrize("scheduler", SCHEDULERS.names)
def test_the_lowest_rung_is_a_ninth_with_every_scheduler(iris: tuple[Any, Any], scheduler: str) -> None:
    search = AshSearchCV(
        DecisionTreeClassifier(random_state=0), {"min_samples_leaf": stats.randint(1, 9)}, scheduler=scheduler,
        n_candidates=9, random_state=0, search="random",
    ).fit(*iris)  # fmt: skip
    assert search.min_resources_ == 17
    assert search.best_score_ > 0.9


class Broken(SGDClassifier):
    """Cannot be fitted any more after so many passes, until it is mended."""

    left: ClassVar[float] = 0.0

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        if self.left == 0:
            raise OSError("the disk is gone")
        type(self).left -= 1
        return super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)


OPTIONS: dict[str, Any] = {
    "max_resources": 9, "n_candidates": 9, "cv": 2, "random_state": 0, "search": "random", "error_score": "raise",
}  # fmt: skip


def test_a_search_that_raised_goes_on_in_its_directory_once_it_is_mended(iris: tuple[Any, Any], tmp_path: Path) -> None:
    space = {"alpha": (1e-5, 1e-1, "log")}
    Broken.left = np.inf
    expected = AshSearchCV(Broken(random_state=0), space, **OPTIONS).fit(*iris).cv_results_["mean_test_score"]
    search = AshSearchCV(Broken(random_state=0), space, directory=tmp_path, **OPTIONS)
    Broken.left = 19.0
    with pytest.raises(OSError, match="the disk is gone"):
        search.fit(*iris)
    before = finished(tmp_path)
    assert len(before) > 2
    with pytest.raises(ashtune.AshtuneError):
        ashtune.Study.load(tmp_path).resume(objective=objective_of(tmp_path), engine="threads", workers=1)
    Broken.left = np.inf
    search.set_params(error_score=np.nan).fit(*iris)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected)
    assert finished(tmp_path)[: len(before)] == before
    assert len(finished(tmp_path)) == len(expected), "nothing is fitted twice, nothing has failed"
    with pytest.raises(ashtune.AshtuneError):
        search.set_params(error_score=-1.0).fit(*iris)


def test_a_study_that_does_not_find_its_data_stops_and_no_candidate_fails(
    iris: tuple[Any, Any], tmp_path: Path
) -> None:
    search = AshSearchCV(Broken(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, directory=tmp_path / "here", **OPTIONS)
    Broken.left = 19.0
    with pytest.raises(OSError, match="the disk is gone"):
        search.fit(*iris)
    there = (tmp_path / "here").rename(tmp_path / "there")
    before = finished(there)
    with pytest.raises(ashtune.AshtuneError):
        ashtune.Study.load(there).resume(objective=objective_of(there), engine="threads", workers=1)
    Broken.left = np.inf
    search.set_params(directory=there).fit(*iris)
    assert finished(there)[: len(before)] == before
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def objective_of(study: Path) -> Any:
    """Return the training function of a study, in this process."""
    return load_objective(study / OBJECTIVE)[0]


class Told:
    """A callback of scikit-learn that notes what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, ...]] = []
        self.ended: list[tuple[str, ...]] = []
        self.data: dict[tuple[str, ...], Any] = {}

    def setup(self, estimator: Any, context: Any) -> None:
        self.begun.append(("setup",))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.ended.append(("setup",))

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any = None) -> None:
        self.begun.append(path_of(context))
        self.data[path_of(context)] = X

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        self.ended.append(path_of(context))


class ToldOfParts(Told):
    """One that goes into the parts of an estimator."""

    max_propagation_depth = None


def path_of(context: Any) -> tuple[str, ...]:
    """Return the names of the tasks from the outermost to this one."""
    above = () if context.parent is None else path_of(context.parent)
    return (*above, context.source_task_name or context.task_name)


@pytest.mark.parametrize("kind", [Told, ToldOfParts])
def test_callbacks_of_scikit_learn_are_told_of_the_tasks_of_a_search(iris: tuple[Any, Any], kind: type[Told]) -> None:
    told = kind()
    search = AshSearchCV(
        LogisticRegression(max_iter=9), {"C": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]}, min_resources=1, random_state=0
    ).set_callbacks(told)  # fmt: skip
    search.fit(*iris)
    assert sorted(told.begun) == sorted(told.ended)
    assert told.begun[:3] == [("setup",), ("fit",), ("fit", "search")]
    assert told.ended[-2:] == [("fit",), ("setup",)]
    evaluations = [path for path in told.ended if path == ("fit", "search", "rung", "candidate-evaluation")]
    assert len(evaluations) == len(search.cv_results_["params"])
    assert told.ended.count(("fit", "search", "rung")) == len(search.n_resources_)
    assert told.ended.count(("fit", "refit-with-best-params")) == 1
    assert told.data["fit",] is told.data["fit", "refit-with-best-params"] is iris[0]
    in_the_refit = [path for path in told.begun if path[:2] == ("fit", "refit-with-best-params") and len(path) > 2]
    assert bool(in_the_refit) == (kind is ToldOfParts), "its iterations"


def test_a_progress_bar_of_scikit_learn_shows_the_candidates(
    iris: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich", reason="rich is not installed")
    from sklearn.callback import ProgressBar

    AshSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, random_state=0).set_callbacks(ProgressBar()).fit(*iris)
    assert "AshSearchCV - rung #0" in capsys.readouterr().out


class FailsOnce(RandomForestClassifier):
    """Fails where the first row is in the training set."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        if (X[0] == load_iris().data[0]).all() and self.max_depth == 2:
            raise ValueError("the first row")
        return super().fit(X, y, sample_weight)


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_of_a_candidate_with_one_fit_that_fails_the_other_scores_are_there(iris: tuple[Any, Any]) -> None:
    with pytest.warns(FitFailedWarning, match="the first row"):
        search = AshSearchCV(
            FailsOnce(n_estimators=3, random_state=0), {"max_depth": [2, 3]}, cv=KFold(3), random_state=0
        ).fit(*iris)
    [row] = [row for row, each in enumerate(search.cv_results_["params"]) if each["max_depth"] == 2]
    scores = [search.cv_results_[f"split{split}_test_score"][row] for split in range(3)]
    assert np.isnan(scores).sum() == 2
    assert np.isnan(search.cv_results_["mean_test_score"][row])


def both_scores(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    return {"right": float(estimator.score(X, y)), "wrong": 1 - float(estimator.score(X, y))}


def test_of_a_callable_with_several_scores_the_one_that_refit_names_counts(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        RandomForestClassifier(random_state=0), {"max_depth": [1, 2, 3, 4, 5, 6]}, scoring=both_scores, refit="wrong",
        max_resources=9, random_state=0,
    ).fit(*iris)  # fmt: skip
    assert search.study_.metric == "wrong"
    assert search.best_score_ == search.cv_results_["mean_test_wrong"][search.best_index_]
    best = search.study_.best
    assert best.metrics["wrong"] == pytest.approx(search.best_score_)


def test_values_of_every_kind_arrive_as_they_are() -> None:
    given = {
        "n": stats.poisson(9), "x": stats.norm(), "tiny": stats.loguniform(1e-15, 1), "inf": [0.1, np.inf],
        "pair": [1, 10], "words": ("gini", "entropy", "log"), "range": (1, 8, "log"), "one": [None],
    }  # fmt: skip
    parameters = Parameters(given)
    design = Random().build(Space.parse(parameters.space), 0)
    for trial in range(50):
        read = parameters.read(design.configuration(trial))
        assert isinstance(read["n"], int)
        assert isinstance(read["x"], float)
        assert 1e-15 <= read["tiny"] <= 1
        assert read["inf"] in (0.1, np.inf)
        assert read["pair"] in (1, 10)
        assert read["words"] in ("gini", "entropy", "log")
        assert 1 <= read["range"] <= 8
        assert read["one"] is None
    assert Parameters([{"a": [1, 2]}, {"b": [1, 2]}]).size == 4


class Together(RandomForestClassifier):
    """Is fitted once two processes have begun to fit it, so that neither has done all before the other has come."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        there = Path(os.environ["TOGETHER"])
        (there / f"{os.getpid()}").touch()
        while len(list(there.iterdir())) < 2:
            time.sleep(0.01)
        return super().fit(X, y, sample_weight)


@pytest.mark.slow
def test_processes_fit_side_by_side_and_the_study_explains_itself(
    iris: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER", str(tmp_path))
    search = AshSearchCV(
        Together(random_state=0), {"max_depth": stats.randint(1, 10)}, max_resources=27, n_candidates=12,
        n_jobs=2, random_state=0, search="random",
    ).fit(*iris)  # fmt: skip
    assert search.study_.is_complete
    assert len({event.worker for event in finished(Path(search.directory_))}) == 2
    assert search.study_.best.config["max_depth"] == search.best_params_["max_depth"]


SCRIPT = """
    import os, sys, time
    from scipy import stats
    from sklearn.datasets import load_iris
    from sklearn.linear_model import SGDClassifier
    from ashtune.integrations.scikit_learn import AshSearchCV

    class Slow(SGDClassifier):
        def partial_fit(self, *given, **more):
            with open("calls", "a") as calls:
                calls.write(".")
            while "HOLD" in os.environ and os.path.getsize("calls") >= int(os.environ["HOLD"]):
                time.sleep(0.05)
            if "BROKEN" in os.environ and self.alpha > 1e-3:
                raise ValueError("broken")
            return super().partial_fit(*given, **more)

    search = AshSearchCV(
        Slow(random_state=0), {"alpha": stats.loguniform(1e-5, 1e-1)}, max_resources=9, n_candidates=12, cv=2,
        directory="s", n_jobs=2, search="random", error_score="raise",
    )
    X, y = load_iris(return_X_y=True)
    print(search.fit(X, y).best_params_)
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """What starts the script once more."""
    (tmp_path / "fit.py").write_text(textwrap.dedent(SCRIPT))

    def started(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *(command or ["fit.py"])]
        environment = {**os.environ, **variables}
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return started


@pytest.mark.slow
@pytest.mark.parametrize("command", [(), ("-m", "ashtune", "resume", "s")], ids=["the script", "ashtune resume"])
def test_a_fit_that_is_killed_goes_on(script: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    environment = {**os.environ, "HOLD": "20"}  # of some fifty fits: it cannot end before it is killed
    running = subprocess.Popen([sys.executable, "fit.py"], cwd=tmp_path, env=environment)
    wait_until(lambda: len(finished(tmp_path / "s")) >= 3)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = [(event.trial, event.rung) for event in finished(tmp_path / "s")]
    done = script(*command)
    assert done.returncode == 0, done.stderr
    after = [(event.trial, event.rung) for event in finished(tmp_path / "s")]
    assert after[: len(before)] == before
    assert len(after) == len(set(after)), "nothing is fitted twice"
    assert "alpha" in done.stdout
    if command:  # the script reads what came of it
        assert "alpha" in script().stdout
        assert len(finished(tmp_path / "s")) == len(after)


@pytest.mark.slow
def test_a_script_that_raised_goes_on_once_it_is_mended(script: Any, tmp_path: Path) -> None:
    broken = script(BROKEN="yes")
    assert broken.returncode == 1
    assert "ValueError: broken" in broken.stderr
    mended = script()
    assert mended.returncode == 0, mended.stderr
    assert len({event.trial for event in finished(tmp_path / "s")}) == 12
    assert b'"job_failed"' not in (tmp_path / "s" / NAME).read_bytes()


ENDLESS = """
    import sys
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier
    from ashtune.integrations.scikit_learn import AshSearchCV

    class Noted(DecisionTreeClassifier):
        def fit(self, X, y):
            open("began", "w").close()
            return super().fit(X, y)

    AshSearchCV(
        Noted(), {"ccp_alpha": (1e-9, 1e-1, "log")}, n_candidates=10**6, n_jobs=int(sys.argv[1]), search="random"
    ).fit(*load_iris(return_X_y=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_sigterm_leaves_no_data_in_the_temporary_folder(tmp_path: Path, n_jobs: int) -> None:
    (tmp_path / "fit.py").write_text(textwrap.dedent(ENDLESS))
    (temporary := tmp_path / "temporary").mkdir()
    words, environment = [sys.executable, "fit.py", str(n_jobs)], {**os.environ, "TMPDIR": str(temporary)}
    running = subprocess.Popen(words, cwd=tmp_path, env=environment)
    wait_until((tmp_path / "began").exists)
    assert list(temporary.glob("*/data-*"))
    running.terminate()
    assert running.wait() == -signal.SIGTERM
    assert not list(temporary.iterdir())


def finished(study: Path) -> list[JobFinished]:
    journal = study / NAME
    return [event for event in read_events(journal) if isinstance(event, JobFinished)] if journal.exists() else []


def wait_until(condition: Callable[[], bool], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
