"""XGBoost on the letters, the diamonds and the proteins: 8 hyperparameters;
the resource is rounds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from quality.tasks.data import Split, diamonds, letter, protein
from quality.tasks.protocol import Task
from quality.tasks.scores import error_percent, root_mean_square


class XGBoost(Task):
    """Boosted trees.

    Args:
        split: The data.
        objective: Of XGBoost.
        top: Rounds of a full training.
        loss: What the losses are.
    """

    space: ClassVar = {
        "learning_rate": (0.01, 0.5, "log"),
        "max_depth": (2, 10),
        "min_child_weight": (0.5, 20.0, "log"),
        "subsample": (0.4, 1.0),
        "colsample_bytree": (0.4, 1.0),
        "reg_lambda": (1e-3, 100.0, "log"),
        "reg_alpha": (1e-4, 10.0, "log"),
        "gamma": (1e-4, 5.0, "log"),
    }

    def __init__(self, split: Split, objective: dict[str, Any], top: int, loss: str) -> None:
        import xgboost  # here, as boosters.py reads the space where it is not installed

        self.top, self.loss = top, loss
        self._parameters = {**objective, "nthread": 1, "verbosity": 0, "seed": 0}
        self._train, self._validation, self._test = (
            (xgboost.DMatrix(x.astype(np.float32), y, nthread=1), y) for x, y in split
        )

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Add rounds to a booster."""
        import xgboost

        parameters = {**self._parameters, **configuration}
        return xgboost.train(
            parameters, self._train[0], target - start, xgb_model=state, verbose_eval=False
        )

    def losses(self, state: Any) -> tuple[float, float]:
        """Return the error in % of labels, or the root mean square of numbers."""
        score = error_percent if "num_class" in self._parameters else root_mean_square
        validation, test = (
            score(truth, state.predict(rows)) for rows, truth in (self._validation, self._test)
        )
        return validation, test


def make(name: str, folder: Path) -> XGBoost:
    """Return one of the three tasks."""
    match name:
        case "letter_xgboost":
            labels = {"objective": "multi:softmax", "num_class": 26}
            return XGBoost(letter(folder, 3000), labels, 54, "error, %")
        case "diamonds_xgboost":
            return XGBoost(
                diamonds(folder, 20_000),
                {"objective": "reg:squarederror"},
                486,
                "RMSE of the log price",
            )
        case _:
            return XGBoost(
                protein(folder, 12_000), {"objective": "reg:squarederror"}, 486, "RMSE, Angstrom"
            )
