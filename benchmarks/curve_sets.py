"""Recorded learning curves as pools of configurations: what each reports at an epoch, and when it
gets there.

Sources: ``metaqnn_cifar10``, ``lstm_ptb`` and ``deep_resnets_tinyimagenet`` are real curves,
published with Baker et al., *Accelerating Neural Architecture Search using Performance Prediction*,
https://arxiv.org/abs/1705.10823; ``lcbench`` is YAHPO's surrogate (Pfisterer et al.,
https://arxiv.org/abs/2109.03670) of LCBench, six of its tasks.

What the files leave open, and how it is read here:

- The three of Baker et al. tell no times: every epoch of every configuration takes 1 unit.
- tinyimagenet's ``acc_0`` is the untrained net (chance, or 0 where nothing was measured), so its
  first epoch is ``acc_1``. Runs that are 0 throughout failed: they report nothing, which ranks
  last, and still take their time.
- lcbench is smooth and deterministic, so what is reported has a seed's noise on top, normal and
  independent for each configuration and epoch, of standard deviation ``sqrt(p (1 - p))`` points for
  an accuracy ``p``: 0.3 points at 90 %, 0.5 at 50 %. That is the chance in 10,000 validation
  pictures. It is above what the curves move from one of their last epochs to the next (0.07 to 0.09
  points), and small where the whole scale is small (dionis near chance).
- lcbench's cumulative times dip slightly; the largest so far counts.
"""

import csv
import gzip
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ashtune._src.core.jobs import Goal

LCBENCH = "lcbench_surrogate_2000x52.npz"
# the metric's name and mode, and what its columns begin with; in which of them epoch 1 stands
BAKER = {
    "metaqnn_cifar10": (Goal("accuracy", "max"), "acc_", 1),
    "lstm_ptb": (Goal("perplexity", "min"), "ep_", 0),
    "deep_resnets_tinyimagenet": (Goal("accuracy", "max"), "acc_", 1),
}


@dataclass(frozen=True, kw_only=True)
class CurveSet:
    """A pool of ``m`` configurations trained for ``d`` epochs.

    Args:
        name: Of the set.
        goal: The metric, and which way is better.
        unit: Of the metric.
        metric: (m, d), without noise, NaN where a run failed.
        seconds: (m, d), when each ends its epochs, if nothing else is trained.
        noise: (m, d), the standard deviation of what a seed adds; 0 for none.
    """

    name: str
    goal: Goal
    unit: str
    metric: np.ndarray
    seconds: np.ndarray
    noise: np.ndarray | float = 0.0

    def reported(self, seed: int) -> np.ndarray:
        """Return what training reports under this seed, (m, d)."""
        return self.metric + self.noise * np.random.default_rng([seed, 1]).normal(
            size=self.metric.shape
        )

    @cached_property
    def regret(self) -> np.ndarray:
        """How far the noiseless end of each is from the best end, in the metric's unit, (m,); inf:
        it failed.
        """
        ends = self.metric[:, -1]
        distances = np.nanmax(ends) - ends if self.goal.mode == "max" else ends - np.nanmin(ends)
        return np.where(np.isnan(ends), np.inf, distances)

    @cached_property
    def median_regret(self) -> float:
        """What the pool's median configuration is short of the best: the
        unit of normalised regret.
        """
        return float(np.median(self.regret))

    @cached_property
    def full_training(self) -> float:
        """The median time of a full training, in the pool's own time."""
        return float(np.median(self.seconds[:, -1]))


def load(folder: Path) -> list[CurveSet]:
    """Return all pools of a folder: six of lcbench, three of Baker et al."""
    return _lcbench(folder / LCBENCH) + [_baker(folder, name) for name in BAKER]


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a table of Baker et al.: columns of hyperparameters, then a column for
    each epoch.
    """
    with gzip.open(folder / "baker2018" / f"{name}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def _lcbench(path: Path) -> list[CurveSet]:
    table = np.load(path, allow_pickle=False)
    pools = []
    for task, name in enumerate(table["task_names"]):
        accuracy = table["val_accuracy"][task].astype(float)
        seconds = np.maximum.accumulate(table["time"][task].astype(float), axis=1)
        share = np.clip(accuracy / 100, 0.0, 1.0)
        noise = np.sqrt(share * (1 - share))
        pools.append(CurveSet(
            name=f"lcbench {name}", goal=Goal("accuracy", "max"), unit="% accuracy",
            metric=accuracy, seconds=seconds, noise=noise,
        ))  # fmt: skip
    return pools


def _baker(folder: Path, name: str) -> CurveSet:
    goal, prefix, first = BAKER[name]
    rows = rows_of(folder, name)
    columns = [
        column
        for column in rows[0]
        if column.startswith(prefix) and column != f"{prefix}{first - 1}"
    ]
    metric = np.array([[float(row[column]) for column in columns] for row in rows])
    metric[(metric == 0).all(axis=1)] = np.nan
    unit = "perplexity"
    if goal.metric == "accuracy":
        unit, metric = "% accuracy", 100 * metric
    seconds = np.broadcast_to(np.arange(1.0, len(columns) + 1), metric.shape)
    return CurveSet(name=name, goal=goal, unit=unit, metric=metric, seconds=seconds)
