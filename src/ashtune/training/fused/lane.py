"""One trial at a worker that trains several together."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import msgspec

from ashtune.study.checkpoints import CheckpointWriter
from ashtune.training.fused.recipe import State, Static
from ashtune.training.job import RunningJob


class Clock(msgspec.Struct):
    """A trial's share of the time that its pack takes, in seconds."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """Return what it has had so far."""
        return self.seconds


class Lane(msgspec.Struct, eq=False, kw_only=True):
    """A trial in a worker's hands.

    ``state`` is what it is after ``trained`` epochs, None for a new one; ``is_saved`` whether that is on disk; ``due``
    when it has waited long enough, by ``time.monotonic``.
    """

    job: RunningJob
    writer: CheckpointWriter
    clock: Clock
    configuration: Mapping[str, Any]
    static: Static
    numbers: Mapping[str, float]
    state: State | None
    trained: int
    is_saved: bool
    alone: bool
    due: float = math.inf
    is_to_pause: bool = False

    @property
    def rung(self) -> int:
        """Up to which rung it is trained."""
        return self.job.rung

    @property
    def group(self) -> Hashable:
        """What it has in common with those that it can be trained with."""
        return self.static, self.trained, self.job.target

    @property
    def is_training(self) -> bool:
        """Whether it has not ended in some way."""
        return self.job.phase == "training"
