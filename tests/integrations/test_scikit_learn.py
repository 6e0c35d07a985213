"""A search of scikit-learn: its own checks, its own example, and what resumed fits and a journal
add.
"""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("joblib", reason="joblib is not installed")
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_iris, make_classification
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
)
from sklearn.model_selection import GroupKFold, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import ashtune
from ashtune._src.core.events import JobFinished, TrialReleased
from ashtune._src.integrations.scikit_learn.resources import PartialFit, resource_of
from ashtune._src.integrations.scikit_learn.validated import RAISED
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.study.objective_file import NAME as OBJECTIVE
from ashtune._src.training.objectives import load_objective
from ashtune.integrations.scikit_learn import AshSearchCV

EXPECTED = (
    "check_supervised_y_2d", "check_requires_y_none", "check_fit2d_1sample", "check_fit2d_1feature",
    "check_estimators_nan_inf", "check_classifiers_one_label_sample_weights",
    "check_array_api_mixed_inputs",
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
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
        (
            Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]),
            {"model__C": [0.1, 1.0]},
        ),
    ],
    ids=["logistic", "ridge", "forest", "pipeline"],
)
def test_the_estimator_checks_of_scikit_learn_pass(estimator: Any, space: Any) -> None:
    search = AshSearchCV(
        estimator, space, cv=2, n_candidates=2, random_state=0, error_score="raise"
    )
    results = check_estimator(search, on_fail=None, on_skip=None)
    failed = {
        result["check_name"]: result["exception"]
        for result in results
        if result["status"] == "failed"
    }
    assert failed.keys() <= set(EXPECTED), {
        name: repr(failed[name]) for name in failed.keys() - set(EXPECTED)
    }
    assert len(results) > 50


def test_the_halving_example_of_scikit_learn_runs_with_ash_search(
    iris: tuple[Any, Any],
) -> None:
    clf = RandomForestClassifier(random_state=0)
    param_distributions = {"max_depth": [3, None], "min_samples_split": stats.randint(2, 11)}
    search = AshSearchCV(
        clf, param_distributions, resource="n_estimators", max_resources=10, random_state=0
    ).fit(*iris)
    assert search.best_params_.keys() == {"max_depth", "min_samples_split", "n_estimators"}
    assert search.best_params_["n_estimators"] == 10
    assert search.best_params_["max_depth"] in (3, None)
    assert search.best_score_ > 0.9
    assert search.predict(iris[0]).shape == (150,)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """scikit-learn's own test module for its halving searches, with this class in the place of its
    random one.
    """
    module = pytest.importorskip("sklearn.model_selection.tests.test_successive_halving")
    monkeypatch.setattr(module, "HalvingRandomSearchCV", AshSearchCV)
    return module


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:Scoring failed:UserWarning"
)
@pytest.mark.filterwarnings("ignore:One or more of the:UserWarning")
def test_the_applicable_halving_tests_of_scikit_learn_pass(theirs: Any) -> None:
    """Those that are left out hold for rungs that wait for each other, or for another cut of the
    rows.

    ``aggressive_elimination``, ``min_max_resources``, ``n_iterations``: how many candidates and
    rungs there are follows from another rule. ``cv_results``: each rung is complete before the
    next. ``resource_parameter``: rungs of 1, 3, 9. ``base_estimator_inputs`` and
    ``subsample_splitter``: test rows are cut too, here all of them count.
    ``random_search_discrete_distributions`` with ``randint``: the same candidate is tried again
    there. ``input_errors``: splits that differ from call to call are fine here, as the data are
    split once; the others are tested below. ``top_k``: their own function.
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


def test_no_epoch_of_a_promoted_candidate_is_trained_twice(iris: tuple[Any, Any]) -> None:
    Counted.passes.clear()
    search = AshSearchCV(
        Counted(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, max_resources=9, min_resources=1,
        n_candidates=9, cv=3,
        random_state=0, refit=False,
    ).fit(*iris)  # fmt: skip
    deepest: dict[float, int] = {}
    for parameters, resource in zip(
        search.cv_results_["params"], search.cv_results_["n_resources"], strict=True
    ):
        deepest[parameters["alpha"]] = max(resource, deepest.get(parameters["alpha"], 0))
    assert len(Counted.passes) == 3 * sum(deepest.values())
    assert set(search.cv_results_["n_resources"]) == {1, 3, 9}
    assert search.n_resources_ == [1, 3, 9]
    assert search.n_candidates_[0] == 9


@pytest.mark.parametrize(
    ("estimator", "space", "resource", "unit", "top"),
    [
        (MLPClassifier(max_iter=30), {"alpha": [0.1, 0.2]}, "auto", "epoch", 30),
        (make_pipeline(StandardScaler(), MLPClassifier(max_iter=30)), {"mlpclassifier__alpha": [0.1,
        1.0]},
         "partial_fit", "epoch", 30),
        (RandomForestClassifier(n_estimators=30), {"max_depth": [2, 3]}, "auto", "tree", 30),
        (HistGradientBoostingClassifier(max_iter=30), {"max_depth": [2, 3]}, "auto", "iteration",
        30),
        (LogisticRegression(max_iter=30), {"C": [0.1, 1.0]}, "auto", "iteration", 30),
        (Ridge(), {"alpha": [0.1, 1.0]}, "auto", "sample", 150),
        (Ridge(), {"alpha": [0.1, 1.0]}, "folds", "fold", 5),
        (RandomForestClassifier(n_estimators=30), {"max_depth": [2, 3]}, "n_samples", "sample",
        150),
    ],
)  # fmt: skip
def test_the_resource_of_a_candidate_depends_on_its_estimator(  # noqa: PLR0917
    iris: tuple[Any, Any], estimator: Any, space: Any, resource: str, unit: str, top: int
) -> None:
    search = AshSearchCV(estimator, space, resource=resource, n_candidates=2, random_state=0).fit(
        *iris
    )
    assert (search.study_.unit, search.max_resources_) == (unit, top)
    assert np.isfinite(search.best_score_)
    assert search.cv_results_["n_resources"].max() == top


def test_every_subset_of_samples_contains_each_class() -> None:
    X, y = make_classification(300, weights=[0.9], random_state=0)
    search = AshSearchCV(
        LogisticRegression(), {"C": [0.1, 1.0]}, resource="n_samples", min_resources=20,
        n_candidates=2, cv=3,
        random_state=0, error_score="raise",
    ).fit(X, y)  # fmt: skip
    assert search.cv_results_["n_resources"].min() == 20


def test_the_option_refit_may_be_a_score_name_or_a_function(iris: tuple[Any, Any]) -> None:
    options: dict[str, Any] = {
        "max_resources": 9,
        "n_candidates": 4,
        "random_state": 0,
        "return_train_score": True,
    }
    forest = RandomForestClassifier(random_state=0)
    space = {"max_depth": [1, 2, 3, 4]}
    search = AshSearchCV(
        forest, space, scoring=["accuracy", "f1_macro"], refit="f1_macro", **options
    ).fit(*iris)
    assert search.multimetric_
    assert search.best_score_ == search.cv_results_["mean_test_f1_macro"][search.best_index_]
    assert set(search.scorer_) == {"accuracy", "f1_macro"}
    assert np.isfinite(search.cv_results_["mean_train_accuracy"]).all()
    assert search.study_.metric == "f1_macro"
    chosen = AshSearchCV(
        forest, space, refit=lambda results: int(np.argmin(results["mean_test_score"])), **options
    )
    assert chosen.fit(*iris).best_score_ == chosen.cv_results_["mean_test_score"].min()


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_a_failed_fit_gets_the_error_score(iris: tuple[Any, Any]) -> None:
    space = {"max_depth": [2, 3, "deep"]}
    forest = RandomForestClassifier(n_estimators=9, random_state=0)
    with pytest.warns(FitFailedWarning, match="deep"):
        search = AshSearchCV(forest, space, n_candidates=3, random_state=0).fit(*iris)
    failed = [parameters["max_depth"] == "deep" for parameters in search.cv_results_["params"]]
    assert sum(failed) == 1
    assert np.isnan(search.cv_results_["mean_test_score"][failed]).all()
    assert search.best_params_["max_depth"] in (2, 3)
    with pytest.warns(FitFailedWarning):
        counted = AshSearchCV(forest, space, n_candidates=3, random_state=0, error_score=-1.0).fit(
            *iris
        )
    assert counted.cv_results_["mean_test_score"].min() == -1
    with pytest.raises(ValueError, match="deep"):
        AshSearchCV(forest, space, n_candidates=3, random_state=0, error_score="raise").fit(*iris)
    with pytest.raises(ValueError, match="fits failed"):
        AshSearchCV(forest, {"max_depth": ["deep", "deeper"]}, n_candidates=2, random_state=0).fit(
            *iris
        )


def test_a_search_accepts_scipy_distributions_and_several_grids(iris: tuple[Any, Any]) -> None:
    grids = [
        {"C": stats.loguniform(1e-3, 1e3), "fit_intercept": [True, False]},
        {"C": stats.expon(scale=2), "tol": (1e-5, 1e-2, "log"), "l1_ratio": [0.0]},
    ]
    search = AshSearchCV(LogisticRegression(), grids, n_candidates=12, random_state=0, cv=2).fit(
        *iris
    )
    for parameters in search.cv_results_["params"]:
        assert parameters.keys() - {"max_iter"} in (
            {"C", "fit_intercept"},
            {"C", "tol", "l1_ratio"},
        )
        assert parameters["C"] > 0
    assert {"fit_intercept" in parameters for parameters in search.cv_results_["params"]} == {
        True,
        False,
    }


def test_a_search_accepts_groups_weights_data_frames_and_sparse_data(iris: tuple[Any, Any]) -> None:
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
        (
            {"resource": "max_depth"},
            "max_depth as the resource since it is part of the searched parameters",
        ),
        ({"min_resources": 40}, "min_resources_=40 is greater than max_resources_=30"),
        ({"factor": 1}, "factor"),
        ({"cv": 1}, "1"),
        ({"resource": "folds", "max_resources": 9}, "more than the 5 folds"),
        (
            {"min_resources": "exhaust", "n_candidates": "exhaust"},
            "cannot be both set to 'exhaust'",
        ),
    ],
)
def test_invalid_options_of_a_search_raise_value_error(
    iris: tuple[Any, Any], options: Any, match: str
) -> None:
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
def test_a_search_refuses_an_invalid_parameter_space(
    iris: tuple[Any, Any], space: Any, kind: type[Exception], match: str
) -> None:
    with pytest.raises(kind, match=match):
        AshSearchCV(RandomForestClassifier(), space, random_state=0).fit(*iris)


@pytest.mark.parametrize(
    "change",
    [
        {"scoring": "f1_macro"},
        {"estimator__min_samples_leaf": 5},
        {"param_distributions": {"max_depth": stats.poisson(3)}},
    ],
)
def test_a_different_search_cannot_continue_in_the_same_directory(
    iris: tuple[Any, Any], tmp_path: Path, change: Any
) -> None:
    options: dict[str, Any] = {"n_candidates": 3, "directory": tmp_path, "random_state": 0, "cv": 2}
    forest, space = (
        RandomForestClassifier(n_estimators=9, random_state=0),
        {"max_depth": stats.poisson(2)},
    )
    search = AshSearchCV(forest, space, **options).fit(*iris)
    first = search.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(
        AshSearchCV(forest, space, **options).fit(*iris).cv_results_["mean_test_score"], first
    )
    with pytest.raises(ashtune.AshtuneError):
        AshSearchCV(forest, space, **options).set_params(**change).fit(*iris)


@pytest.mark.parametrize(
    ("estimator", "space", "unit"),
    [
        (SGDClassifier(), {"alpha": [0.1, 1.0]}, "epoch"),
        (SGDClassifier(), {"max_iter": [5, 50]}, "sample"),
        (SGDClassifier(early_stopping=True), {"alpha": [0.1, 1.0]}, "iteration"),
        (SGDClassifier(class_weight="balanced"), {"alpha": [0.1, 1.0]}, "iteration"),
        (MLPClassifier(), {"solver": ["adam", "lbfgs"]}, "iteration"),
        (Pipeline([("model", SGDClassifier())]), {"model": [SGDClassifier(), LogisticRegression()]},
        "sample"),
        (OneVsRestClassifier(LogisticRegression()), {"estimator__C": [0.1, 1.0]}, "sample"),
        (LatentDirichletAllocation(), {"n_components": [2, 3]}, "sample"),
        (MiniBatchKMeans(), {"n_clusters": [2, 3]}, "sample"),
    ],
)  # fmt: skip
def test_epochs_are_the_resource_only_if_partial_fit_equals_fit(
    estimator: Any, space: Any, unit: str
) -> None:
    names = set(space)
    assert (
        resource_of(estimator, "auto", names, np.array([0, 1]), has_fit_params=False).unit == unit
    )


def test_resumed_training_gives_the_score_of_uninterrupted_training(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        MLPClassifier(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, max_resources=9,
        min_resources=1, n_candidates=9,
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


@pytest.mark.parametrize("rate", ["constant", "optimal", "invscaling", "adaptive"])
@pytest.mark.parametrize(
    ("model", "given"),
    [
        (SGDClassifier(eta0=0.01), [0, 1, 2]),
        (SGDRegressor(eta0=0.01), None),
        (SGDRegressor(eta0=0.01, average=True), None),
        (SGDOneClassSVM(eta0=0.01, average=200), None),
    ],
    ids=["classifier", "regressor", "average", "one class"],
)
def test_sgd_trained_rung_by_rung_has_the_weights_of_uninterrupted_training(
    iris: tuple[Any, Any], model: Any, given: list[int] | None, rate: str
) -> None:
    """Up to rounding, with the rows in one order: a shuffled order is drawn anew at each call of an
    estimator.
    """
    X, y = iris[0], None if isinstance(model, SGDOneClassSVM) else iris[1]
    model.set_params(learning_rate=rate, shuffle=False, random_state=None)
    expected = clone(model).set_params(max_iter=9, tol=None).fit(X, y)
    trained = clone(model)
    passes = PartialFit(given if given is None else np.array(given))
    for start, target in ((0, 1), (1, 3), (3, 9)):
        passes.train(trained, X, y, start=start, target=target)
    np.testing.assert_allclose(trained.coef_, expected.coef_, rtol=1e-9)
    assert trained.t_ == expected.t_
    assert trained.get_params() == model.get_params(), "the tolerance is there again"


def test_sgd_trained_to_a_rung_equals_one_fit_without_early_stopping(
    iris: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    own = SGDClassifier._partial_fit
    monkeypatch.setattr(
        SGDClassifier, "_partial_fit", lambda *given, **more: calls.append(own(*given, **more))
    )
    search = AshSearchCV(
        SGDClassifier(random_state=0, tol=1e9), {"alpha": (1e-5, 1e-1, "log")}, scheduler="full",
        max_resources=9,
        n_candidates=3, cv=KFold(3), search="random", random_state=0,
    ).fit(*iris)  # fmt: skip
    assert len(calls) == 3 * 3 + 1, "one for each split of each candidate, and the refit"
    plain = (
        SGDClassifier(random_state=0, tol=None, max_iter=9)
        .set_params(**search.best_params_)
        .fit(*iris)
    )
    np.testing.assert_array_equal(search.best_estimator_.coef_, plain.coef_)
    assert search.best_estimator_.tol == 1e9


def test_only_candidates_that_may_be_promoted_and_the_best_candidate_are_saved(
    iris: tuple[Any, Any], tmp_path: Path
) -> None:
    search = AshSearchCV(
        MLPClassifier(batch_size=4, random_state=0), {"learning_rate_init": (1e-5, 0.3, "log")},
        max_resources=9,
        min_resources=1, n_candidates=27, cv=KFold(3, shuffle=True, random_state=0),
        search="random", random_state=0,
        directory=tmp_path, refit=False,
    ).fit(*iris)  # fmt: skip
    released = [event for event in read_events(tmp_path / NAME) if isinstance(event, TrialReleased)]
    assert len(released) < len(finished(tmp_path)), "one that is promoted at once stays in memory"
    assert [event.checkpoint for event in released if event.resource == 1][-3:] == [None] * 3, (
        "others are better"
    )
    at_top = [event.metrics["score"] or 0.0 for event in finished(tmp_path) if event.resource == 9]
    saved = sum(event.checkpoint is not None for event in released if event.resource == 9)
    assert (
        saved
        == sum(score == max(at_top[: place + 1]) for place, score in enumerate(at_top))
        < len(at_top)
    )
    estimators, _ = search.study_.best.load()
    assert [len(estimator.loss_curve_) for estimator in estimators.values()] == [9, 9, 9]


class Locked(RandomForestClassifier):
    """Cannot be pickled once it is fitted."""

    def fit(self, X: Any, y: Any) -> Any:
        self.lock_ = threading.Lock()
        return super().fit(X, y)


def test_a_promoted_candidate_that_cannot_be_saved_is_fitted_again(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        Locked(random_state=0), {"max_depth": stats.randint(1, 99)}, max_resources=9,
        min_resources=1, n_candidates=9,
        cv=KFold(3), random_state=0, error_score="raise",
    )  # fmt: skip
    with pytest.warns(UserWarning):
        search.fit(*iris)
    assert search.n_resources_ == [1, 3, 9]
    train, test = next(iter(KFold(3).split(*iris)))
    expected = Locked(random_state=0, **search.best_params_).fit(iris[0][train], iris[1][train])
    assert search.cv_results_["split0_test_score"][search.best_index_] == expected.score(
        iris[0][test], iris[1][test]
    )


def test_scikit_learn_workers_do_not_import_the_driver() -> None:
    script = (
        "import sys, ashtune._src.integrations.scikit_learn.validated; print([name for name in "
        "('ashtune._src.api.study', 'ashtune._src.driver.session') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


class Broken(SGDClassifier):
    """Cannot be fitted any more after so many passes, until it is mended."""

    left: ClassVar[float] = 0.0

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        if self.left == 0:
            raise OSError("the disk is gone")
        type(self).left -= 1
        return super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)


OPTIONS: dict[str, Any] = {
    "max_resources": 9, "n_candidates": 9, "cv": 2, "random_state": 0, "search": "random",
    "error_score": "raise",
}  # fmt: skip


def test_a_failed_search_continues_in_its_directory(iris: tuple[Any, Any], tmp_path: Path) -> None:
    space = {"alpha": (1e-5, 1e-1, "log")}
    Broken.left = np.inf
    expected = (
        AshSearchCV(Broken(random_state=0), space, **OPTIONS)
        .fit(*iris)
        .cv_results_["mean_test_score"]
    )
    search = AshSearchCV(Broken(random_state=0), space, directory=tmp_path, **OPTIONS)
    Broken.left = 19.0
    with pytest.raises(OSError, match="the disk is gone"):
        search.fit(*iris)
    before = finished(tmp_path)
    assert len(before) > 2
    # as from another worker, whose connection the end of the study closed
    with pytest.raises(ashtune.AshtuneError):
        objective_of(tmp_path)._stop_with(BrokenPipeError())
    assert "the disk is gone" in str(cloudpickle.loads((tmp_path / RAISED).read_bytes()))
    with pytest.raises(ashtune.AshtuneError):
        ashtune.Study.load(tmp_path).resume(
            objective=objective_of(tmp_path), engine="threads", workers=1
        )
    Broken.left = np.inf
    search.set_params(error_score=np.nan).fit(*iris)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected)
    assert finished(tmp_path)[: len(before)] == before
    assert len(finished(tmp_path)) == len(expected), "nothing is fitted twice, nothing has failed"
    with pytest.raises(ashtune.AshtuneError):
        search.set_params(error_score=-1.0).fit(*iris)


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
def test_scikit_learn_callbacks_are_told_about_each_task_of_a_search(
    iris: tuple[Any, Any], kind: type[Told]
) -> None:
    told = kind()
    search = AshSearchCV(
        LogisticRegression(max_iter=9), {"C": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]},
        min_resources=1, random_state=0
    ).set_callbacks(told)  # fmt: skip
    search.fit(*iris)
    assert sorted(told.begun) == sorted(told.ended)
    assert told.begun[:3] == [("setup",), ("fit",), ("fit", "search")]
    assert told.ended[-2:] == [("fit",), ("setup",)]
    evaluations = [
        path for path in told.ended if path == ("fit", "search", "rung", "candidate-evaluation")
    ]
    assert len(evaluations) == len(search.cv_results_["params"])
    assert told.ended.count(("fit", "search", "rung")) == len(search.n_resources_)
    assert told.ended.count(("fit", "refit-with-best-params")) == 1
    assert told.data["fit",] is told.data["fit", "refit-with-best-params"] is iris[0]
    in_the_refit = [
        path
        for path in told.begun
        if path[:2] == ("fit", "refit-with-best-params") and len(path) > 2
    ]
    assert bool(in_the_refit) == (kind is ToldOfParts), "its iterations"


class Together(RandomForestClassifier):
    """Is fitted once two processes have begun to fit it, so that neither has done all before the
    other has come.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        there = Path(os.environ["TOGETHER"])
        (there / f"{os.getpid()}").touch()
        while len(list(there.iterdir())) < 2:
            time.sleep(0.01)
        return super().fit(X, y, sample_weight)


@pytest.mark.slow
def test_a_search_with_the_option_n_jobs_fits_in_parallel_processes(
    iris: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER", str(tmp_path))
    search = AshSearchCV(
        Together(random_state=0), {"max_depth": stats.randint(1, 10)}, max_resources=27,
        n_candidates=12,
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
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return started


def finished(study: Path) -> list[JobFinished]:
    journal = study / NAME
    return (
        [event for event in read_events(journal) if isinstance(event, JobFinished)]
        if journal.exists()
        else []
    )
