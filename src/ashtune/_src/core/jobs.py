"""The basic words: trials, workers, jobs, results, and the goal of a study."""

import hashlib
import math
import struct
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NewType

import msgspec

TrialId = NewType("TrialId", int)
WorkerId = NewType("WorkerId", int)
Mode = Literal["min", "max"]
Metrics = Mapping[str, float | None]
Losses = tuple[float, ...]
Key = tuple[float, ...]
"""By how much a result violates the constraints of its study, then its losses: what a rung is ranked by."""


def derived_seed(seed: int, number: int) -> int:
    """Return a seed below 2**32 that follows from a seed and a number, as that of a trial from the study's."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


class Job(msgspec.Struct, frozen=True, gc=False):
    """Train a trial up to the resource of a rung."""

    trial: TrialId
    rung: int


class Result(msgspec.Struct, frozen=True, gc=False):
    """What came of a job: a trial was trained to a rung.

    ``resource`` is what it was trained to, of a failure what it was to be trained to. ``losses`` has one for each
    metric that counts, smaller is better, ``math.inf`` for a failure. ``seconds`` were spent on the job. ``curve`` has
    what was reported on the way, (resource, first loss), for a scheduler that reads it. ``violation`` is by how much it
    violates the constraints, 0 where it is feasible; None in a study without any.
    """

    trial: TrialId
    rung: int
    resource: int
    losses: Losses
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()
    violation: float | None = None

    @classmethod
    def of(cls, job: Job, *losses: float, violation: float | None = None) -> "Result":
        """Return the result of a job of unknown costs."""
        return cls(job.trial, job.rung, 0, losses, 0.0, violation=violation)

    @property
    def job(self) -> Job:
        """The job that it is the result of."""
        return Job(self.trial, self.rung)

    @property
    def is_failure(self) -> bool:
        """Whether some loss is not finite: it ranks last, counts, and never goes on."""
        return max(self.losses) == math.inf

    @property
    def key(self) -> Key:
        """What it is ranked by."""
        return (self.violation or 0.0, *self.losses)


def as_one(violation: float | None, loss: float) -> float:
    """Return one number that orders results by violation, then by loss.

    Without constraints, and for a failure, that is the loss. Otherwise it is a whole number: the bits of the violation
    before those of the loss, in which negative numbers are turned round.
    """
    if violation is None or loss == math.inf:
        return loss
    high, low = struct.unpack(">qq", struct.pack(">dd", violation, loss + 0.0))
    return int(high << 64) + int(low if low >= 0 else low ^ ((1 << 63) - 1))


class Objective(msgspec.Struct, frozen=True):
    """A metric that counts, and which way is better."""

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


class Constraint(msgspec.Struct, frozen=True):
    """A bound on a metric: at most so much ("<=") or at least (">=")."""

    metric: str
    sign: Literal["<=", ">="]
    bound: float

    def violation(self, metrics: Metrics) -> float:
        """Return how far a metric is beyond the bound, in parts of the bound (as it is where that is 0); else 0."""
        value = metrics.get(self.metric)
        if value is None or not math.isfinite(value):
            return math.inf
        excess = value - self.bound if self.sign == "<=" else self.bound - value
        return min(max(0.0, excess) / (abs(self.bound) or 1.0), sys.float_info.max)

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound:g}"


class Goal(Objective, frozen=True, omit_defaults=True):
    """What a study is after: its first objective, the others, and constraints.

    ``weights`` are how much each objective counts where one of several results on the front is chosen; empty where the
    user gave none.
    """

    others: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether there is one objective and no constraint: a result is one loss then."""
        return not (self.others or self.constraints)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All objectives."""
        return (Objective(self.metric, self.mode), *self.others)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that a trial has to report, each once."""
        names = [each.metric for each in self.objectives] + [each.metric for each in self.constraints]
        return tuple(dict.fromkeys(names))

    def judged(self, metrics: Metrics) -> tuple[Losses, float | None]:
        """Return a loss for each objective, and the total violation of the constraints, None where there are none.

        Where a metric is not finite, both are those of a failure.
        """
        if self.is_plain:
            return (self.loss(metrics),), None
        losses = (self.loss(metrics), *(other.loss(metrics) for other in self.others))
        violations = [constraint.violation(metrics) for constraint in self.constraints]
        if math.inf in losses or math.inf in violations:
            return self.failed
        return losses, min(sum(violations), sys.float_info.max) if violations else None

    def targets(self, target: float | Mapping[str, float] | None) -> Losses:
        """Return a target as a loss for each objective: inf for one without; nothing where there is no target.

        Args:
            target: Of the first objective; or of some, by their metrics.
        """
        if target is None:
            return ()
        by_metric = target if isinstance(target, Mapping) else {self.metric: target}
        return tuple(each.loss(by_metric) for each in self.objectives)

    @property
    def failed(self) -> tuple[Losses, float | None]:
        """The losses and the violation of a failure."""
        return (math.inf,) * (1 + len(self.others)), math.inf if self.constraints else None

    def __str__(self) -> str:
        words = [f"{each.metric} ({each.mode})" for each in self.objectives]
        words += map(str, self.constraints)
        return ", ".join(words) + (
            f", weights {', '.join(f'{each:g}' for each in self.weights)}" if self.weights else ""
        )


class KnownResult(msgspec.Struct, frozen=True, gc=False):
    """The finite metrics that a configuration had at a resource before the study: no trial of it."""

    configuration: dict[str, Any]
    resource: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    metrics: dict[str, float]
