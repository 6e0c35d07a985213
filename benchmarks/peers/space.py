"""The space that every tuner searches: the demo's, with one hidden layer.

Rule: configuration ``number`` depends on ``(seed, number)`` alone, so every tuner tries the same
list. PyTorch is not needed to import it.
"""

import math
import random
from typing import Any, NamedTuple

MAX_EPOCHS = 64


class Interval(NamedTuple):
    """The values a real hyperparameter may take, drawn uniformly, or
    uniformly in their logarithm.
    """

    low: float
    high: float
    log: bool

    def draw(self, source: random.Random) -> float:
        """Return a value from the interval."""
        if not self.log:
            return source.uniform(self.low, self.high)
        return math.exp(source.uniform(math.log(self.low), math.log(self.high)))


INTERVALS = {
    "learning_rate": Interval(1e-4, 1.0, log=True),
    "momentum": Interval(0.0, 0.99, log=False),
    "weight_decay": Interval(1e-6, 1e-2, log=True),
}
CHOICES = {"width": [16, 32, 64, 128], "depth": [1], "batch_size": [32, 64, 128]}
"""Of twelve shapes: that of ``ashtune._src.demo.lanes``."""


def sample(number: int, seed: int) -> dict[str, Any]:
    """Return configuration ``number``, counted from 0, of the list that belongs to ``seed``."""
    source = random.Random(f"{seed}/{number}")
    drawn: dict[str, Any] = {name: interval.draw(source) for name, interval in INTERVALS.items()}
    return drawn | {name: source.choice(values) for name, values in CHOICES.items()}
