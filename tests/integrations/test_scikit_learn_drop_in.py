"""What scikit-learn's own searches take, and what they give for it, beside ``AshSearchCV``."""

from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from ashtune.integrations.scikit_learn import AshSearchCV


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return X, y


def test_full_training_gives_every_candidate_all_rows(iris: tuple[Any, Any]) -> None:
    search = AshSearchCV(
        DecisionTreeClassifier(random_state=0), {"min_samples_leaf": [1, 2, 3, 4, 5]}, scheduler="full", random_state=0
    ).fit(*iris)
    assert list(search.cv_results_["n_resources"]) == [150] * 5
    assert (sum(search.n_candidates_), search.n_candidates_[-1]) == (5, 5)
    assert search.n_required_iterations_ == 2
    assert search.best_score_ == search.cv_results_["mean_test_score"].max() > 0.9
