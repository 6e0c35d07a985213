"""LCBench's surrogate as tasks: what a network of some hyperparameters would reach in 52 epochs,
and when.

Source: YAHPO's model (Pfisterer et al., https://arxiv.org/abs/2109.03670) of LCBench (Zimmer,
Lindauer, Hutter,
https://arxiv.org/abs/2006.13799), the file ``model.onnx``; ``encoding.json`` beside it numbers its
34 tasks.

Rule 1: it is smooth and deterministic, so noise of 0.3 % (standard deviation) is added to an
accuracy: 0.2 for the trial, 0.22 for each result.
Rule 2: the seconds that it predicts are at least a twentieth of the median full training, else a
search finds corners in which training takes no time.
Rule 3: regret is the true loss of a configuration after all epochs, less the best that is known, in
units of what the median configuration is short of that.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.core.jobs import TrialId
from ashtune._src.space.space import Space

TOP = 52
SPACE = {
    "batch_size": (16, 512, "log"),
    "learning_rate": (1e-4, 0.1, "log"),
    "momentum": (0.1, 0.99),
    "weight_decay": (1e-5, 0.1),
    "num_layers": (1, 5),
    "max_units": (64, 1024, "log"),
    "max_dropout": (0.0, 1.0),
}
CHOSEN_ON = (
    "189908",
    "126025",
    "167200",
    "7593",
    "34539",
    "168335",
    "168868",
    "189906",
    "146212",
    "168908",
)
"""The tasks on which the searches' constants were chosen; the others are held out."""
TRIAL_NOISE, RESULT_NOISE = 0.20, 0.22
LEAST_SHARE = 0.05
RANDOM_POINTS, ROUNDS, CENTRES, STEPS = 3_000, 12, 30, 300
"""The best known is that of so many random configurations, and of so many rounds of steps from the
best.
"""
TIME, ACCURACY = 0, 1
"""Columns of what the model predicts."""


class Surrogate:
    """The model.

    Args:
        folder: Where ``model.onnx`` and ``encoding.json`` lie.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._model = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
        known = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
        names = next(each["choices"] for each in known if each["name"] == "OpenML_task_id")
        self.codes: dict[str, int] = {name: codes[name] for name in names}

    def predict(
        self, task: str, configurations: Sequence[Mapping[str, Any]], epochs: Sequence[int]
    ) -> np.ndarray:
        """Return what the model says, shape (configurations, epochs, 6); column 0 is seconds, 1 the
        accuracy in %.
        """
        values = [[each[name] for name in SPACE] for each in configurations]
        rows = np.empty((len(configurations), len(epochs), 1 + len(SPACE)), dtype=np.float32)
        rows[:, :, 0] = epochs
        rows[:, :, 1:] = np.array(values, dtype=np.float32)[:, None, :]
        flat = rows.reshape(-1, rows.shape[2])
        code = np.full((len(flat), 1), self.codes[task], dtype=np.int32)
        predicted: np.ndarray = self._model.run(None, {"x_cat": code, "x_cont": flat})[0]
        return predicted.reshape(len(configurations), len(epochs), -1).astype(float)


class Task:
    """One task of the surrogate.

    Args:
        surrogate: The model.
        name: Of the task, a number of OpenML's.
    """

    def __init__(self, surrogate: Surrogate, name: str) -> None:
        self._surrogate, self.name = surrogate, name
        self.space = Space.parse(SPACE)
        self._curves: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def full_training(self) -> float:
        """The median seconds of a full training."""
        return float(np.median(self._pool[1]))

    @cached_property
    def median_loss(self) -> float:
        """That of the median configuration after a full training."""
        return float(np.median(self._pool[0]))

    @cached_property
    def best_loss(self) -> float:
        """The best that is known: of random configurations, and of steps from the best of them."""
        chance = np.random.default_rng(1)
        losses = self._pool[0]
        order = np.argsort(losses)[:CENTRES]
        points, losses = self._points[order], losses[order]
        for turn in range(ROUNDS):
            steps = 0.3 * 0.7**turn * chance.standard_normal((STEPS, points.shape[1]))
            steps *= chance.random(steps.shape) < 0.5
            new = np.clip(np.resize(points, steps.shape) + steps, 0.0, 1.0)
            points = np.concatenate([points, new])
            losses = np.concatenate([losses, self._ends(new)[0]])
            order = np.argsort(losses, kind="stable")[:CENTRES]
            points, losses = points[order], losses[order]
        return float(losses[0])

    def loss(self, configuration: Mapping[str, Any], epochs: int = TOP) -> float:
        """Return the loss of a configuration after some epochs, without noise, in %."""
        return float(self._curve(configuration)[0][epochs - 1])

    def regret(self, configuration: Mapping[str, Any]) -> float:
        """Return how far the true loss of a configuration is from the best, over how far the median
        one is.
        """
        return max(0.0, self.loss(configuration) - self.best_loss) / (
            self.median_loss - self.best_loss
        )

    def train(
        self, seed: int, trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        """Return the loss that a trial reports at an epoch, and the seconds that it took to get
        there.
        """
        losses, clock = self._curve(configuration)
        of_trial = np.random.default_rng([seed, trial, 2]).standard_normal()
        of_result = np.random.default_rng([seed, trial, 3, target]).standard_normal()
        noise = TRIAL_NOISE * of_trial + RESULT_NOISE * of_result
        return float(losses[target - 1] + noise), float(clock[target] - clock[start])

    def _curve(self, configuration: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses at all epochs, and the time from 0 on at which each ends."""
        key = tuple(configuration[name] for name in SPACE)
        if key not in self._curves:
            predicted = self._surrogate.predict(self.name, [configuration], range(1, TOP + 1))[0]
            clock = np.maximum.accumulate(np.maximum(predicted[:, TIME], 0.0))
            least = LEAST_SHARE * self.full_training
            clock = (
                np.arange(1, TOP + 1) * least / TOP
                if clock[-1] <= 0
                else clock * max(1.0, least / clock[-1])
            )
            self._curves[key] = 100 - predicted[:, ACCURACY], np.insert(clock, 0, 0.0)
        return self._curves[key]

    @cached_property
    def _points(self) -> np.ndarray:
        return np.random.default_rng(0).random((RANDOM_POINTS, len(SPACE)))

    @cached_property
    def _pool(self) -> tuple[np.ndarray, np.ndarray]:
        return self._ends(self._points)

    def _ends(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses and the seconds of full trainings at points of the unit cube."""
        predicted = self._surrogate.predict(self.name, self.space.at(points), [TOP])[:, 0]
        return 100 - predicted[:, ACCURACY], predicted[:, TIME]
