"""A random forest on the letters: 6 hyperparameters; the resource is trees."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from sklearn.ensemble import RandomForestClassifier

from quality.tasks.data import letter
from quality.tasks.protocol import Task
from quality.tasks.scores import cross_entropy


class Forest(Task):
    """A forest that gets more trees.

    Args:
        folder: With the data.
    """

    space: ClassVar = {
        "max_features": (0.05, 1.0),
        "max_depth": (4, 40, "log"),
        "min_samples_leaf": (1, 20, "log"),
        "min_impurity_decrease": (1e-7, 1e-2, "log"),
        "max_samples": (0.2, 1.0),
        "criterion": ["gini", "entropy"],
    }
    top = 54
    loss = "cross-entropy"

    def __init__(self, folder: Path) -> None:
        self._split = letter(folder, 4000)

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Add trees."""
        forest = state or RandomForestClassifier(
            warm_start=True, n_jobs=1, random_state=0, **configuration
        )
        forest.n_estimators = target
        return forest.fit(*self._split.train)

    def losses(self, state: Any) -> tuple[float, float]:
        """Return the cross-entropies, of a part of the test rows."""
        (x, y), (x_test, y_test) = self._split[1:]
        n = len(x)
        return cross_entropy(y, state.predict_proba(x)), cross_entropy(
            y_test[:n], state.predict_proba(x_test[:n])
        )


def make(_: str, folder: Path) -> Forest:
    """Return the task."""
    return Forest(folder)
