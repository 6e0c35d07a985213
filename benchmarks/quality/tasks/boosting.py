"""scikit-learn's histogram boosting on its digits: 6 hyperparameters; the
resource is iterations.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from sklearn.ensemble import HistGradientBoostingClassifier

from quality.tasks.data import digits
from quality.tasks.protocol import Task
from quality.tasks.scores import cross_entropy


class Boosting(Task):
    """Boosted trees for ten classes."""

    space: ClassVar = {
        "learning_rate": (0.01, 1.0, "log"),
        "max_leaf_nodes": (3, 63, "log"),
        "min_samples_leaf": (2, 60, "log"),
        "l2_regularization": (1e-4, 100.0, "log"),
        "max_bins": (4, 64, "log"),
        "max_features": (0.1, 1.0),
    }
    top = 54
    loss = "cross-entropy"

    def __init__(self) -> None:
        self._split = digits()

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Add iterations."""
        booster = state or HistGradientBoostingClassifier(
            warm_start=True, early_stopping=False, random_state=0, **configuration
        )
        booster.max_iter = target
        return booster.fit(*self._split.train)

    def losses(self, state: Any) -> tuple[float, float]:
        """Return the cross-entropies."""
        validation, test = (cross_entropy(y, state.predict_proba(x)) for x, y in self._split[1:])
        return validation, test


def make(_name: str, _folder: Path) -> Boosting:
    """Return the task."""
    return Boosting()
