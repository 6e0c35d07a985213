"""Traces: what is known of each trial's training, its loss and its time by resource.

They come from a table (:mod:`ashtune.simulation.tables`) or from a study's journal
(:mod:`ashtune.simulation.recording`).
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

import msgspec

from ashtune.core.jobs import Goal
from ashtune.core.ladder import Ladder
from ashtune.schedulers.protocol import Scheduler


class JobTrace(msgspec.Struct, frozen=True, gc=False):
    """One job: its seconds of training, and those that passed between its order and its beginning."""

    seconds: float
    wait: float


class RecordedStudy(msgspec.Struct, frozen=True):
    """How a study was recorded.

    ``is_smooth``: in one session to its end, no worker lost, no job broken off, no configuration withdrawn, no trials
    trained together, so that a replay of the same is the study itself. ``scheduler`` is None if it is not known.
    """

    scheduler: Scheduler | None
    ladder: Ladder
    workers: int
    is_smooth: bool
    seed: int = 0


class Trace(msgspec.Struct):
    """One trial.

    Args:
        losses: At each resource from 1 on, as far as known; inf where there is no finite result.
        ends: Resources at which its time is known, increasing.
        clock: Seconds of training up to each of them, without disturbance.
        rate: Seconds a unit of resource beyond the last of them.
        fails: Whether it fails after what is known.
        jobs: (start, target) -> a job as it was, where it was.
        releases: Resource -> seconds that letting go of it there took, where they are known.
    """

    losses: "array[float]"
    ends: list[int]
    clock: list[float]
    rate: float
    fails: bool = False
    jobs: dict[tuple[int, int], "JobTrace"] = msgspec.field(default_factory=dict)
    releases: dict[int, float] = msgspec.field(default_factory=dict)

    @property
    def known(self) -> int:
        """The resource up to which it is known."""
        return len(self.losses)

    def seconds_at(self, resource: int) -> float:
        """Return the seconds of training from nothing to a resource: in between, in proportion."""
        if resource <= 0:
            return 0.0
        place = bisect_left(self.ends, resource)
        if place == len(self.ends):
            return (self.clock[-1] + (resource - self.ends[-1]) * self.rate) if self.ends else resource * self.rate
        low, before = (self.ends[place - 1], self.clock[place - 1]) if place else (0, 0.0)
        return before + (self.clock[place] - before) * (resource - low) / (self.ends[place] - low)

    def seconds(self, start: int, target: int) -> float:
        """Return the seconds of training from one resource to another."""
        job = self.jobs.get((start, target))
        return self.seconds_at(target) - self.seconds_at(start) if job is None else job.seconds

    def wait(self, start: int, target: int, usual: float) -> float:
        """Return the seconds that pass before a job begins: as it was, or as before another from the same resource."""
        job = self.jobs.get((start, target)) or next((job for at, job in self.jobs.items() if at[0] == start), None)
        return usual if job is None else job.wait


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a study's time goes into besides training, in seconds.

    ``starts`` until each worker was there, the first to come first; ``handover`` between a report and the worker's next
    job, ``save`` for a checkpoint, ``warmup`` what a worker's first job takes longer.
    """

    starts: tuple[float, ...] = ()
    handover: float = 0.0
    save: float = 0.0
    warmup: float = 0.0

    def start(self, number: int) -> float:
        """Return when a worker joins, in seconds since the study's start: as recorded, others like the median one."""
        if number < len(self.starts):
            return self.starts[number]
        return median(self.starts) if self.starts else 0.0


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """The trials that can be trained, in the order in which they are drawn; and what time is lost beside.

    ``recorded`` is how, None if they come from a table. ``saves``: whether trials that are let go of are saved;
    ``goes_on``: whether a job goes on from where the one before ended, in place at least.
    """

    goal: Goal
    trials: Sequence[Trace]
    timing: Timing
    recorded: RecordedStudy | None = None
    saves: bool = True
    goes_on: bool = True

    @property
    def best_loss(self) -> float:
        """The best loss that any trial is known to reach, at any resource."""
        return min((min(trace.losses, default=math.inf) for trace in self.trials), default=math.inf)
