"""Packs: lanes of the same shape and the same epochs, which a worker trains together.

A promoted trial waits a moment for others of its pack. After that moment, promoted trials go before new trials, those
at the highest rung first. A trial that was being trained when a worker died is trained alone, before all others, so
that a crash costs no other trial.
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
    """A trial's share of the seconds that its packs took."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self.seconds


class Lane(msgspec.Struct, eq=False, kw_only=True):
    """A trial that a worker has.

    ``state`` is the trial's state after ``trained`` epochs, None for a new trial. ``is_saved`` says whether this state
    is on disk. ``due`` is when the lane has waited long enough, by ``time.monotonic``.
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
        """The rung to which the trial is trained."""
        return self.job.rung

    @property
    def group(self) -> Hashable:
        """The key that lanes of one pack have in common."""
        return self.shape, self.trained, self.job.target

    @property
    def is_training(self) -> bool:
        """Whether its job has not ended."""
        return self.job.phase == "training"


def next_pack(waiting: Sequence[Lane], now: float) -> list[Lane]:
    """Return the lanes to train next: the pack of the highest rung that is due, otherwise the fullest pack. O(n).

    Args:
        waiting: The waiting lanes in order of arrival; at least one.
        now: The time, by the clock of :attr:`Lane.due`.
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
        return packs[max(due, key=lambda lane: lane.rung).group]  # the first one if equal
    return max(packs.values(), key=lambda pack: (len(pack) / pack[0].shape.most, pack[0].rung))


class Pack:
    """Lanes of one group, each with its place in a program that has room for all.

    The lanes are already trained for ``trained`` epochs, and are to be trained to ``target``.
    """

    def __init__(self, lanes: Sequence[Lane], program: FusedProgram) -> None:
        self.lanes = list(lanes)
        self.program = program
        self.trained, self.target = lanes[0].trained, lanes[0].job.target
        self._compile_seconds = program.compile_seconds
        self._state = program.together([lane.state for lane in lanes], [lane.numbers for lane in lanes])

    @property
    def going(self) -> list[Lane]:
        """The lanes that have not ended; empty if the pack has reached the target."""
        return [lane for lane in self.lanes if lane.is_training] if self.trained < self.target else []

    def train(self, epochs: int) -> tuple[LaneMetrics, float]:
        """Train for some epochs; return the metrics, and the seconds without compiling."""
        stop = min(self.target, self.trained + epochs)
        began, before = perf_counter(), self.program.compile_seconds
        numbers = [lane.numbers for lane in self.lanes]
        self._state, metrics = self.program.train(self._state, numbers, self.trained, stop)
        self.trained = stop
        return metrics, perf_counter() - began - (self.program.compile_seconds - before)

    def take_compile_seconds(self) -> float:
        """Return the seconds spent on compiling the program since the last call."""
        before, self._compile_seconds = self._compile_seconds, self.program.compile_seconds
        return self._compile_seconds - before

    def put_back(self, lane: Lane) -> None:
        """Give a lane its current state from the pack."""
        lane.state = self.program.apart(self._state, self.lanes.index(lane))
        lane.trained, lane.is_saved = self.trained, False

    def go_on(self, program: FusedProgram) -> None:
        """Continue with the lanes that have not ended; use another program if that program has room for them.

        In a program that trains side by side, a lane that has ended costs no time. In a program that trains in turn, a
        lane that has ended costs a turn.
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
