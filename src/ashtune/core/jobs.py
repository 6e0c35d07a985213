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


class Result(msgspec.Struct, frozen=True, gc=False):
    """What came of a job: a trial was trained to a rung.

    ``resource`` is what it was trained to, of a failure what it was to be trained to. ``losses`` has one for each
    metric that counts, smaller is better; a failure has ``math.inf`` for each. ``seconds`` were spent on the job, from
    the resource ``start`` on. ``curve`` has the losses that were reported on the way: (resource, loss), ``math.inf``
    where one was not finite.
    """

    trial: TrialId
    rung: int
    resource: int
    losses: tuple[float, ...]
    seconds: float
    start: int = 0
    curve: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, job: Job, *losses: float) -> "Result":
        """Return the result of a job whose costs nobody asks for."""
        return cls(job.trial, job.rung, 0, losses, 0.0)

    @property
    def job(self) -> Job:
        """The job that it is the result of."""
        return Job(self.trial, self.rung)

    @property
    def is_failure(self) -> bool:
        """Whether some loss is not finite: it ranks last, counts, and never goes on."""
        return max(self.losses) == math.inf


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
