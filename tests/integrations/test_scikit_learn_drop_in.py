"""What scikit-learn's own searches take, and what they give for it, beside ``AshSearchCV``."""

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from scipy.stats import loguniform
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from ashtune._src.core.option import options_of
from ashtune._src.driver.study_options import TuneOptions
from ashtune.integrations.scikit_learn import AshSearchCV


class Weighted(DecisionTreeClassifier):
    """Is given weights by a function of the classes."""

    def fit(self, X: Any, y: Any, weigh: Any) -> "Weighted":
        super().fit(X, y, weigh(y))
        return self


SCRIPT = """
    import numpy as np
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier
    from ashtune.integrations.scikit_learn import AshSearchCV

    class Weighted(DecisionTreeClassifier):
        def fit(self, X, y, weigh):
            return super().fit(X, y, weigh(y))

    def weigh(y):
        return np.ones(len(y))

    search = AshSearchCV(Weighted(random_state=0), {"min_samples_leaf": [1, 2]}, n_jobs=2, random_state=0)
    print(search.fit(*load_iris(return_X_y=True), weigh=weigh).best_score_)
"""


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return X, y


def test_full_training_fits_each_candidate_on_all_rows(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"min_samples_leaf": [1, 2, 3, 4, 5]},
        scheduler="full",
        random_state=0,
    ).fit(*iris)
    assert list(search.cv_results_["n_resources"]) == [150] * 5
    assert (sum(search.n_candidates_), search.n_candidates_[-1]) == (5, 5)
    assert search.n_required_iterations_ == 2
    assert search.best_score_ == search.cv_results_["mean_test_score"].max() > 0.9


@pytest.mark.parametrize("resource", ["n_samples", "max_depth"])
def test_splits_given_as_boolean_masks_equal_splits_given_as_indices(
    iris: tuple[Any, Any], resource: str
) -> None:
    indices = list(KFold(3, shuffle=True, random_state=0).split(*iris))
    masks = [tuple(np.isin(np.arange(150), rows) for rows in split) for split in indices]
    scores = [
        AshSearchCV(
            DecisionTreeClassifier(random_state=0), {"min_samples_leaf": [1, 2, 3, 4, 5]},
            resource=resource,
            max_resources=90, cv=cv, search="random", random_state=0, error_score="raise",
        ).fit(*iris).cv_results_["mean_test_score"]
        for cv in (indices, masks)
    ]  # fmt: skip
    np.testing.assert_array_equal(*scores)


def test_a_lambda_may_be_a_fit_parameter(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(Weighted(random_state=0), {"min_samples_leaf": [1, 2]}, random_state=0)
    assert search.fit(*iris, weigh=lambda y: np.ones(len(y))).best_score_ > 0.9
    assert search.fit(*iris, weigh=lambda y: 1.0 * (y == 0)).best_score_ < 0.4, (
        "another lambda is not the first one"
    )


@pytest.mark.slow
def test_a_fit_parameter_may_be_a_function_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (LogisticRegression(max_iter=30), "C"),
        (LogisticRegression(max_iter=30, solver="saga", random_state=0), "C"),
        (LogisticRegression(max_iter=30, solver="liblinear", random_state=0), "C"),
        (MLPClassifier((8,), solver="lbfgs", max_iter=30, random_state=0), "alpha"),
        (
            make_pipeline(StandardScaler(), SGDClassifier(max_iter=30, random_state=0)),
            "sgdclassifier__alpha",
        ),
        (HistGradientBoostingClassifier(max_iter=9, random_state=0), "l2_regularization"),
        (GradientBoostingClassifier(n_estimators=9, subsample=0.5, random_state=0), "ccp_alpha"),
    ],
    ids=[
        "lbfgs",
        "saga",
        "liblinear",
        "network by lbfgs",
        "sgd",
        "trees by max_iter",
        "trees by n_estimators",
    ],
)
def test_the_best_score_equals_the_score_of_a_grid_search(estimator: Any, name: str) -> None:
    X, y = make_classification(150, n_informative=6, flip_y=0.2, random_state=0)
    last, prefix = (
        (estimator[-1], "sgdclassifier__") if isinstance(estimator, Pipeline) else (estimator, "")
    )
    resource = prefix + ("max_iter" if "max_iter" in last.get_params() else "n_estimators")
    search = AshSearchCV(
        estimator, {name: loguniform(1e-4, 1e-1)}, resource=resource, n_candidates=9, cv=KFold(3),
        search="random",
        random_state=0, refit=False, error_score="raise",
    ).fit(X, y)  # fmt: skip
    assert (
        search.best_params_[resource]
        == search.n_resources_[-1]
        == last.get_params()[resource.removeprefix(prefix)]
    )
    top = [
        parameters
        for parameters in search.cv_results_["params"]
        if parameters[resource] == search.n_resources_[-1]
    ]
    grid = [{name: [parameters[name]]} for parameters in top]
    assert (
        search.best_score_
        == GridSearchCV(estimator, grid, cv=KFold(3), refit=False).fit(X, y).best_score_
    )


def test_arguments_shared_with_tune_have_the_same_default_values() -> None:
    known = options_of(TuneOptions)
    for name in ("search", "scheduler", "time_limit", "directory"):
        assert inspect.signature(AshSearchCV).parameters[name].default == known[name][1].default
