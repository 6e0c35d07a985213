"""The words for work: trials, workers, jobs, and what a study is after."""

import math
from collections.abc import Mapping
from typing import Literal, NewType

import msgspec

TrialId = NewType("TrialId", int)
WorkerId = NewType("WorkerId", int)
Mode = Literal["min", "max"]
Metrics = Mapping[str, float | None]


class Job(msgspec.Struct, frozen=True, gc=False):
    """Train a trial up to the resource of a rung."""

    trial: TrialId
    rung: int


class Goal(msgspec.Struct, frozen=True):
    """Which metric counts, and which way is better."""

    metric: str
    mode: Mode

    def loss(self, metrics: Metrics) -> float:
        """Return the metric as a loss: smaller is better; what is not finite ranks last (inf)."""
        value = metrics.get(self.metric)
        if value is None or not math.isfinite(value):
            return math.inf
        return value if self.mode == "min" else -value

    def value(self, loss: float) -> float:
        """Return the metric that a loss stands for: the inverse of :meth:`loss`."""
        return loss if self.mode == "min" else -loss
