"""A made-up task with as many hyperparameters as wanted, of which a few matter, and whose optimum
is known.

Rule 1: a fifth of the hyperparameters matter, at least three: the loss of a full training is a sum
of their squared distances from the optimum and of the product of each two neighbours' distances, at
most 1 or so, and 0 at the optimum.
Rule 2: a third of the hyperparameters are whole numbers, and one in ten is a category of four.
Rule 3: before, the loss is higher by a part that falls with the root of the resource, and differs
from configuration to configuration, so that low rungs mislead a little. Noise of 0.01 is on every
result.
Rule 4: a full training takes from 0.5 to 1.5 s, by a hyperparameter that does not matter.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ashtune._src.core.jobs import TrialId
from ashtune._src.space.space import Space

TOP = 27
NOISE = 0.01
FULL_TRAINING = 1.0


class Toy:
    """A task.

    Args:
        width: How many hyperparameters.
        seed: Which of them matter, and where the optimum is.
    """

    def __init__(self, width: int, seed: int) -> None:
        kinds: dict[str, Any] = {}
        for number in range(width):
            if number % 10 == 9:
                kinds[f"category{number}"] = ["a", "b", "c", "d"]
            elif number % 3 == 2:
                kinds[f"whole{number}"] = (1, 64, "log")
            else:
                kinds[f"real{number}"] = (0.0, 1.0)
        self.space = Space.parse(kinds)
        chance = np.random.default_rng([seed, 7])
        self._matter = chance.permutation(np.arange(1, width))[: max(3, width // 5)]
        self._optimum = self._point(self.space.at(chance.uniform(0.15, 0.85, (1, width)))[0])
        self._weights = chance.uniform(0.5, 1.5, len(self._matter))

    def loss(self, configuration: Mapping[str, Any]) -> float:
        """Return the loss of a full training, without noise: 0 at the optimum."""
        away = np.abs(self._point(configuration) - self._optimum)
        squares = float(self._weights @ away**2)
        products = float(away @ np.roll(away, 1))
        return (squares + products) / len(self._matter)

    @cached_property
    def median_loss(self) -> float:
        """That of the median configuration."""
        points = np.random.default_rng(0).random((999, len(self.space.names)))
        return float(np.median([self.loss(each) for each in self.space.at(points)]))

    def regret(self, configuration: Mapping[str, Any]) -> float:
        """Return the loss of a configuration, over that of the median one."""
        return self.loss(configuration) / self.median_loss

    def train(
        self, seed: int, trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        """Return the loss that a trial reports at a resource, and the seconds that it took to get
        there.
        """
        slowness = np.random.default_rng([seed, trial, 1]).uniform(0.1, 0.3)
        noise = NOISE * np.random.default_rng([seed, trial, 2, target]).standard_normal()
        loss = (
            self.loss(configuration)
            + slowness * (1 / math.sqrt(target) - 1 / math.sqrt(TOP))
            + noise
        )
        return float(loss), (0.5 + configuration["real0"]) * FULL_TRAINING * (target - start) / TOP

    def _point(self, configuration: Mapping[str, Any]) -> np.ndarray:
        """Return the coordinates that matter; two categories are 0 or half of the range apart."""
        point = np.array(self.space.place(configuration), dtype=float)
        return point[self._matter]
