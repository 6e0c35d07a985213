"""Recorded worlds: tables of real learning curves. A trial gets the curve of the nearest row that
no trial has taken.

With the plain nearest row, twenty proposals would fall on one row.

Sources: see ``curve_sets.py`` for CIFAR-10, the LSTM, tinyimagenet and LCBench;
``mlp_digits_700x27.npz`` has 700 configurations of scikit-learn's network on its digits.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.core.jobs import TrialId
from ashtune._src.space.space import Space
from curve_sets import BAKER, LCBENCH, load, rows_of
from quality.surrogate import SPACE as LCBENCH_SPACE

DIGITS = "mlp_digits_700x27.npz"
DIGITS_SPACE = {
    "learning_rate": (1e-4, 1.0, "log"), "momentum": (0.0, 0.99), "alpha": (1e-6, 1.0, "log"),
    "width": (8.0, 128.0, "log"), "batch": (8.0, 256.0, "log"),
}  # fmt: skip
LOGARITHMIC = {"num_params", "lr", "num_filters", "ss"}
"""Columns of the tables of Baker et al. with a logarithmic scale. Columns with one value only are
left out.
"""
COLUMNS = {
    "metaqnn_cifar10": ("num_params", "depth", "lr"),
    "lstm_ptb": ("n_layer", "n_inputs"),
    "deep_resnets_tinyimagenet": ("num_blocks", "num_filters", "filter_size", "ss"),
}
SHORT = {
    "metaqnn_cifar10": "cifar10",
    "lstm_ptb": "lstm",
    "deep_resnets_tinyimagenet": "tinyimagenet",
}


class Recorded:
    """A recorded world.

    Args:
        name: The name in tables.
        space: The hyperparameters.
        points: The rows' points in the unit cube, shape (m, d).
        losses: The loss of each row after each epoch, without noise, shape (m, epochs); NaN where a
            run failed.
        seconds: The seconds of each row until the end of each epoch, shape (m, epochs).
        noise: Standard deviations of what is added to the losses, of the same shape.
    """

    def __init__(
        self, name: str, space: Space, points: np.ndarray, losses: np.ndarray, *,
        seconds: np.ndarray,
        noise: np.ndarray | float = 0.0,
    ) -> None:  # fmt: skip
        self.name, self.space, self.points = name, space, points
        self.losses, self.noise = losses, noise
        self.seconds = np.insert(seconds, 0, 0.0, axis=1)
        self.top = losses.shape[1]

    @property
    def full_training(self) -> float:
        return float(np.median(self.seconds[:, -1]))

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The best final loss, and that of the median row."""
        ends = np.where(np.isnan(self.losses[:, -1]), np.inf, self.losses[:, -1])
        return float(ends.min()), float(np.median(ends))

    def begin(self, seed: int) -> "RecordedRun":
        return RecordedRun(self, seed)


class RecordedRun:
    """One study in a recorded world."""

    def __init__(self, world: Recorded, seed: int) -> None:
        chance = np.random.default_rng([seed, 1])
        self._world, self._is_taken = world, np.zeros(len(world.points), dtype=bool)
        self._reported = world.losses + world.noise * chance.standard_normal(world.losses.shape)
        self._rows: dict[TrialId, int] = {}

    def train(
        self, trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        row, seconds = self._row(trial, configuration), self._world.seconds
        loss = float(self._reported[row, target - 1])
        return math.inf if math.isnan(loss) else loss, float(
            seconds[row, target] - seconds[row, start]
        )

    def regret(self, trial: TrialId, configuration: Mapping[str, Any]) -> float:
        best, median = self._world.bounds
        return float(self._world.losses[self._row(trial, configuration), -1] - best) / (
            median - best
        )

    def _row(self, trial: TrialId, configuration: Mapping[str, Any]) -> int:
        if trial not in self._rows:
            point = np.array(self._world.space.place(configuration), dtype=float)
            distances = ((self._world.points - point) ** 2).sum(axis=1)
            self._rows[trial] = int(np.argmin(np.where(self._is_taken, np.inf, distances)))
            self._is_taken[self._rows[trial]] = True
        return self._rows[trial]


def worlds(folder: Path) -> list[Recorded]:
    """Return all recorded worlds of a folder: LCBench by two metrics, three tables of Baker et al.,
    digits by two.
    """
    return [*_lcbench(folder / LCBENCH), *_baker(folder), *_digits(folder / DIGITS)]


def _lcbench(path: Path) -> list[Recorded]:
    """Return three tasks by their error, and the other three by their cross-entropy, which has no
    noise.
    """
    table, space = np.load(path, allow_pickle=False), Space.parse(LCBENCH_SPACE)
    points = _points(
        space,
        [dict(zip(table["config_names"].tolist(), row, strict=True)) for row in table["configs"]],
    )
    found = []
    for pool in load(path.parent)[: len(table["task_names"])]:
        place = table["task_names"].tolist().index(pool.name.removeprefix("lcbench "))
        is_error = place % 2 == 0
        losses = 100 - pool.metric if is_error else table["val_cross_entropy"][place].astype(float)
        name = f"{pool.name}, {'error' if is_error else 'cross-entropy'}"
        noise = pool.noise if is_error else 0.0
        found.append(Recorded(name, space, points, losses, seconds=pool.seconds, noise=noise))
    return found


def _baker(folder: Path) -> list[Recorded]:
    pools = {pool.name: pool for pool in load(folder) if pool.name in BAKER}
    found = []
    for name, columns in COLUMNS.items():
        rows = [{column: float(row[column]) for column in columns} for row in rows_of(folder, name)]
        space = Space.parse(
            {column: _range(column, [row[column] for row in rows]) for column in columns}
        )
        pool = pools[name]
        losses = pool.metric if pool.goal.mode == "min" else 100 - pool.metric
        found.append(
            Recorded(SHORT[name], space, _points(space, rows), losses, seconds=pool.seconds)
        )
    return found


def _digits(path: Path) -> list[Recorded]:
    table, space = np.load(path, allow_pickle=False), Space.parse(DIGITS_SPACE)
    seconds = np.broadcast_to(np.arange(1.0, 28.0), table["C"].shape[:2])
    return [
        Recorded(name, space, table["U"], table["C"][:, :, metric], seconds=seconds)
        for metric, name in enumerate(("digits, error", "digits, log loss"))
    ]


def _range(column: str, values: list[float]) -> tuple[Any, ...]:
    low, high = min(values), max(values)
    return (low, high, "log") if column in LOGARITHMIC else (low, high)


def _points(space: Space, rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the rows' points, of which each coordinate lies within its range."""
    typed = [{name: _typed(space, name, value) for name, value in row.items()} for row in rows]
    return np.array([space.place(row) for row in typed], dtype=float)


def _typed(space: Space, name: str, value: float) -> float:
    return round(value) if space.columns[name].is_integer else float(value)
