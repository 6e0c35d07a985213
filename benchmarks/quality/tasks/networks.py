"""scikit-learn's multilayer perceptron on its digits and on the proteins: 7 hyperparameters; the
resource is epochs.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from quality.tasks.data import Split, digits, protein
from quality.tasks.protocol import Task
from quality.tasks.scores import cross_entropy, root_mean_square


class Network(Task):
    """A multilayer perceptron trained by Adam, an epoch at a time.

    Args:
        split: The data, standardized.
        is_classifier: Whether it tells classes apart.
    """

    space: ClassVar = {
        "learning_rate_init": (1e-4, 0.3, "log"),
        "width": (8, 128, "log"),
        "depth": (1, 3),
        "batch_size": (16, 256, "log"),
        "alpha": (1e-6, 1.0, "log"),
        "beta_1": (0.5, 0.99),
        "activation": ["relu", "tanh", "logistic"],
    }
    top = 36

    def __init__(self, split: Split, *, is_classifier: bool) -> None:
        self._split, self._is_classifier = split, is_classifier
        self.loss = "cross-entropy" if is_classifier else "RMSE, Angstrom"

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Train some epochs more; one that overflows stays as it is."""
        network = state or self._new(dict(configuration))
        x, y = self._split.train
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for epoch in range(start, target):
                more = {"classes": np.unique(y)} if self._is_classifier and not epoch else {}
                try:
                    network.partial_fit(x, y, **more)
                except ValueError:  # weights that are not finite
                    break
        return network

    def losses(self, state: Any) -> tuple[float, float]:
        """Return the cross-entropies, or the roots of the mean squares; infinite where the weights
        are not finite.
        """
        both = []
        for x, y in self._split[1:]:
            try:
                with np.errstate(all="ignore"):
                    predicted = state.predict_proba(x) if self._is_classifier else state.predict(x)
                both.append(
                    (cross_entropy if self._is_classifier else root_mean_square)(y, predicted)
                )
            except ValueError:
                both.append(float("inf"))
        return both[0], both[1]

    def _new(self, given: dict[str, Any]) -> Any:
        layers = (given.pop("width"),) * given.pop("depth")
        kind = MLPClassifier if self._is_classifier else MLPRegressor
        return kind(hidden_layer_sizes=layers, random_state=0, **given)


def make(name: str, folder: Path) -> Network:
    """Return one of the two tasks."""
    if name == "digits_network":
        return Network(digits().standardized(), is_classifier=True)
    return Network(protein(folder, 3000).standardized(), is_classifier=False)
