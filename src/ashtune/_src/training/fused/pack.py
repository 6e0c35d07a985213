"""Packs: lanes of the same shape and the same epochs, which a worker trains together.

A promoted trial waits a moment for others of its pack, then it goes before new trials, the highest rung first. A trial
with which a worker died is trained alone, before all others: if it is to blame, no other suffers.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from time import perf_counter
from typing import Any

import msgspec

from ashtune._src.study.checkpoints import CheckpointWriter
from ashtune._src.training.fused.programs import Shape
from ashtune._src.training.fused.protocol import FusedProgram, LaneMetrics, State
from ashtune._src.training.job import RunningJob


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
    shape: Shape
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
        return self.shape, self.trained, self.job.target

    @property
    def is_training(self) -> bool:
        """Whether it has not ended in some way."""
        return self.job.phase == "training"


def next_pack(waiting: Sequence[Lane], now: float) -> list[Lane]:
    """Return the lanes to train next: those of the highest rung that is due, else the fullest pack. O(n).

    Args:
        waiting: In the order in which they came; at least one.
        now: The time, by the clock by which they are due.
    """
    first = next((lane for lane in waiting if lane.alone), None)
    if first is not None:
        return [first]
    groups: dict[Hashable, list[Lane]] = {}
    for lane in waiting:
        groups.setdefault(lane.group, []).append(lane)
    packs = {group: lanes[: lanes[0].shape.most] for group, lanes in groups.items()}
    due = [lane for lane in waiting if lane.due <= now]
    if due:
        return packs[max(due, key=lambda lane: lane.rung).group]  # of equal ones the first
    return max(packs.values(), key=lambda pack: (len(pack) / pack[0].shape.most, pack[0].rung))


class Pack:
    """Lanes of one group, in the places that they have in a program, which has room for all.

    They are ``trained`` epochs, and are to be trained ``target``.
    """

    def __init__(self, lanes: Sequence[Lane], program: FusedProgram) -> None:
        self.lanes = list(lanes)
        self.program = program
        self.trained, self.target = lanes[0].trained, lanes[0].job.target
        self._compile_seconds = program.compile_seconds
        self._state = program.together([lane.state for lane in lanes], [lane.numbers for lane in lanes])

    @property
    def going(self) -> list[Lane]:
        """The lanes that have not ended in some way, unless all have come to the target."""
        return [lane for lane in self.lanes if lane.is_training] if self.trained < self.target else []

    def train(self, epochs: int) -> tuple[LaneMetrics, float]:
        """Train for some epochs; return what was reported, and the seconds that took apart from compiling."""
        stop = min(self.target, self.trained + epochs)
        began, before = perf_counter(), self.program.compile_seconds
        numbers = [lane.numbers for lane in self.lanes]
        self._state, metrics = self.program.train(self._state, numbers, self.trained, stop)
        self.trained = stop
        return metrics, perf_counter() - began - (self.program.compile_seconds - before)

    def take_compile_seconds(self) -> float:
        """Return what compiling its program took since this was last asked."""
        before, self._compile_seconds = self._compile_seconds, self.program.compile_seconds
        return self._compile_seconds - before

    def put_back(self, lane: Lane) -> None:
        """Give a lane the state that it has come to."""
        lane.state = self.program.apart(self._state, self.lanes.index(lane))
        lane.trained, lane.is_saved = self.trained, False

    def go_on(self, program: FusedProgram) -> None:
        """Go on with those lanes that have not ended, in another program if that has room for them.

        Side by side those that have ended cost nothing. In turn each would cost its turn.
        """
        going = self.going
        if len(going) > program.variant.room:
            program = self.program
        if program is self.program and (len(going) == len(self.lanes) or program.variant.lanes > 1):
            return
        states: list[State | None] = [self.program.apart(self._state, self.lanes.index(lane)) for lane in going]
        self._compile_seconds = program.compile_seconds
        self._state = program.together(states, [lane.numbers for lane in going])
        self.lanes, self.program = going, program
