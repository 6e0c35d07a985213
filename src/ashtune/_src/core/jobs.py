"""The basic types: trials, workers, jobs, results, and the goal of a study."""

# Decision 31 (docs/decisions/0031-several-objectives.md) explains the order of results with
# constraints: feasible results first, then by the violation in parts of the bound.

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
"""The sort key of a result in a rung: the violation of the constraints, followed by the losses."""


def derived_seed(seed: int, number: int) -> int:
    """Return a seed below 2**32, computed from another seed and a number, such as a study's seed
    and a trial number.
    """
    # Not Python's hash(), which differs between processes and versions: a resumed study must give
    # each trial the same seed.
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


class Job(msgspec.Struct, frozen=True, gc=False):
    """A job trains a trial up to the resource of a rung."""

    trial: TrialId
    rung: int


class Result(msgspec.Struct, frozen=True, gc=False):
    """The result of a job, which trained a trial up to a rung.

    ``resource`` is the resource that was reached. After a failure, ``resource`` is the resource
    that the job should have reached. ``losses`` has one loss for each objective. A smaller loss is
    better. The loss of a failure is ``math.inf``. ``seconds`` is the duration of the job. ``curve``
    has the job's earlier reports as (resource, first loss), for a scheduler that reads curves.
    ``violation`` is the total violation of the constraints. The violation is 0 if all constraints
    are met, and None if there are no constraints. ``start`` is the resource from which the job
    trained: 0 if the job resumed no earlier job. ``is_out_of_memory`` says that the trial failed
    because of memory. ``memory_share`` is the most memory that the job's worker held, as a fraction
    of its limit; 0 if unknown.
    """

    trial: TrialId
    rung: int
    resource: int
    losses: Losses
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()
    violation: float | None = None
    start: int = 0
    is_out_of_memory: bool = False
    memory_share: float = 0.0

    @classmethod
    def of(cls, job: Job, *losses: float, violation: float | None = None) -> "Result":
        """Return the result of a job.

        The job's resource and duration are unknown and are set to 0.
        """
        return cls(job.trial, job.rung, 0, losses, 0.0, violation=violation)

    @property
    def job(self) -> Job:
        """The job of this result."""
        return Job(self.trial, self.rung)

    @property
    def is_failure(self) -> bool:
        """Whether a loss is infinite. A failure counts as a result of its rung, ranks last, and is
        never promoted.
        """
        return max(self.losses) == math.inf

    @property
    def key(self) -> Key:
        """The sort key of the result: its violation, followed by its losses."""
        return (self.violation or 0.0, *self.losses)

    @property
    def loss_or_key(self) -> Any:
        """The loss, or the sort key if the study has several losses or constraints."""
        if len(self.losses) == 1 and self.violation is None:
            return self.losses[0]
        return self.key


def as_one(violation: float | None, loss: float) -> float:
    """Return a number that sorts results by their violation, and results with equal violation by
    their loss.

    Without constraints, or after a failure, the number is the loss. If there are
    constraints and no failure, the number is an integer: the 64 bits of the violation, followed by
    the 64 bits of the loss. If the loss is negative, its bits are inverted, so that the integers
    sort correctly.
    """
    if violation is None or loss == math.inf:
        return loss
    # Adding 0.0 turns -0.0 into 0.0. The two numbers are equal, but have different bits.
    high, low = struct.unpack(">qq", struct.pack(">dd", violation, loss + 0.0))
    if low < 0:
        low ^= (1 << 63) - 1
    return int((high << 64) + low)


class Objective(msgspec.Struct, frozen=True):
    """A metric to optimize, and whether it is minimized or maximized."""

    metric: str
    mode: Mode

    def loss(self, metrics: Metrics) -> float:
        """Return the loss of a metric. A smaller loss is better. A missing or non-finite metric has
        the loss inf.
        """
        value = metrics.get(self.metric)
        if value is None or not math.isfinite(value):
            return math.inf
        return value if self.mode == "min" else -value

    def value(self, loss: float) -> float:
        """Return the metric's value for a loss. This is the inverse function of :meth:`loss`."""
        return loss if self.mode == "min" else -loss


class Constraint(msgspec.Struct, frozen=True):
    """A bound on a metric: an upper bound ("<=") or a lower bound (">=")."""

    metric: str
    sign: Literal["<=", ">="]
    bound: float

    def violation(self, metrics: Metrics) -> float:
        """Return how far a metric violates the bound, or 0 if the bound is met. The violation is
        divided by the absolute value of the bound. If the bound is 0, the violation is not divided.

        The violation of a metric that is missing or not finite is inf.
        """
        value = metrics.get(self.metric)
        if value is None or not math.isfinite(value):
            return math.inf
        excess = value - self.bound
        if self.sign == ">=":
            excess = -excess
        # The violation is relative to the bound, so that violations in different units can be added
        # up.
        return min(max(0.0, excess) / (abs(self.bound) or 1.0), sys.float_info.max)

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound:g}"


class Goal(Objective, frozen=True, omit_defaults=True):
    """The goal of a study: its first objective, its other objectives, and its constraints.

    ``weights`` has the weight of each objective, or is empty. The weights choose one result from
    the Pareto front.
    """

    others: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the study has one objective and no constraint, so that
        each result is one loss.
        """
        return not (self.others or self.constraints)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All objectives of the study."""
        return (Objective(self.metric, self.mode), *self.others)

    @property
    def chosen(self) -> str:
        """A text that says how the best result is chosen if the study has several objectives. The
        best result need not have the best value of the first metric. With one objective, the text
        is "".
        """
        if not self.others:
            return ""
        return "choice of the weights" if self.weights else "knee of the front"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that each trial must report, without duplicates."""
        if self.is_plain:
            return (self.metric,)
        names = [each.metric for each in self.objectives] + [
            each.metric for each in self.constraints
        ]
        return tuple(dict.fromkeys(names))

    def judged(self, metrics: Metrics) -> tuple[Losses, float | None]:
        """Return a loss for each objective, and the total violation of the constraints. Without
        constraints, the violation is None.

        If a metric is not finite, return :attr:`failed`.
        """
        if self.is_plain:
            return (self.loss(metrics),), None
        losses = (self.loss(metrics), *(other.loss(metrics) for other in self.others))
        violations = [constraint.violation(metrics) for constraint in self.constraints]
        if math.inf in losses or math.inf in violations:
            return self.failed
        if not violations:
            return losses, None
        return losses, min(sum(violations), sys.float_info.max)

    def targets(self, target: float | Mapping[str, float] | None) -> Losses:
        """Return the target of each objective as a loss.

        If an objective has no target, its entry is inf. If ``target`` is None, return ().

        Args:
            target: The target of the first objective, or a dict from metric to target.
        """
        if target is None:
            return ()
        if not isinstance(target, Mapping):
            target = {self.metric: target}
        return tuple(each.loss(target) for each in self.objectives)

    @property
    def failed(self) -> tuple[Losses, float | None]:
        """The losses and the violation of a failure."""
        return (math.inf,) * (1 + len(self.others)), math.inf if self.constraints else None

    def __str__(self) -> str:
        words = [f"{each.metric} ({each.mode})" for each in self.objectives]
        words += map(str, self.constraints)
        if self.weights:
            words.append("weights " + ", ".join(f"{each:g}" for each in self.weights))
        return ", ".join(words)


class KnownResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The finite metrics of a configuration at a resource, which were known before the study began.

    If the metrics are from another task (``is_of_another_task``), such as other data, the study
    trains the configuration, and the search does not get the result.
    """

    configuration: dict[str, Any]
    resource: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    metrics: dict[str, float]
    is_of_another_task: bool = False
