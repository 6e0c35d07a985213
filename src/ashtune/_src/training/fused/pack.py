"""A pack is a list of lanes of the same shape and the same epochs, which a worker trains together.

A promoted trial waits for a short time, so that other trials can join its pack. After this wait,
promoted trials are trained before new trials, and trials at higher rungs before trials at lower
rungs. If a worker dies while it trains a trial, this trial is next trained alone and before other
trials. If that worker dies too, no other trial is lost.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from time import perf_counter
from typing import Any

import msgspec

from ashtune._src.study.checkpoints import CheckpointWriter
from ashtune._src.training.fused.fused_protocol import FusedProgram, LaneMetrics, State
from ashtune._src.training.fused.programs import Shape
from ashtune._src.training.job import RunningJob


class Clock(msgspec.Struct):
    """The training time of one trial: the trial's share of the seconds of its packs."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


class Lane(msgspec.Struct, eq=False, kw_only=True):
    """A trial in a worker, trained as a lane of a program.

    ``state`` is the trial's state after ``trained`` epochs, or None for a new trial. ``is_saved``
    says whether ``state`` is on disk. ``due`` is the time (as in ``time.monotonic``) at which the
    lane has waited long enough.
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
        """The shape, the trained epochs and the target, which are equal in all lanes of a pack."""
        return self.shape, self.trained, self.job.target

    @property
    def is_training(self) -> bool:
        """Whether the trial's job has not ended yet."""
        return self.job.phase == "training"


def next_pack(waiting: Sequence[Lane], now: float) -> list[Lane]:
    """Return the next pack to train: the due pack at the highest rung, or if no pack is due, the
    pack with the most lanes. O(n).

    Args:
        waiting: The waiting lanes in order of arrival; at least one.
        now: The current time by ``time.monotonic``.
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
        # If rungs are equal, max() returns the first lane, which has waited longest.
        return packs[max(due, key=lambda lane: lane.rung).group]
    return max(packs.values(), key=lambda pack: (len(pack) / pack[0].shape.most, pack[0].rung))


class Pack:
    """Lanes of one group that are trained together, in a program with enough lanes for all of them.

    All lanes of a pack are trained for ``trained`` epochs so far, and will be trained to
    ``target``.
    """

    def __init__(self, lanes: Sequence[Lane], program: FusedProgram) -> None:
        self.lanes = list(lanes)
        self.program = program
        self.trained = lanes[0].trained
        self.target = lanes[0].job.target
        self._compile_seconds = program.compile_seconds
        self._state = program.together(
            [lane.state for lane in lanes], [lane.numbers for lane in lanes]
        )

    @property
    def going(self) -> list[Lane]:
        """The lanes whose jobs have not ended. The list is empty if the pack has reached the
        target.
        """
        if self.trained >= self.target:
            return []
        return [lane for lane in self.lanes if lane.is_training]

    def train(self, epochs: int) -> tuple[LaneMetrics, float]:
        """Train for at most ``epochs`` epochs. Return the metrics and the seconds, without the
        compile time.
        """
        stop = min(self.target, self.trained + epochs)
        began = perf_counter()
        before = self.program.compile_seconds
        numbers = [lane.numbers for lane in self.lanes]
        self._state, metrics = self.program.train(self._state, numbers, self.trained, stop)
        self.trained = stop
        return metrics, perf_counter() - began - (self.program.compile_seconds - before)

    def take_compile_seconds(self) -> float:
        """Return the compile time of the program in seconds since the last call of this method."""
        before = self._compile_seconds
        self._compile_seconds = self.program.compile_seconds
        return self._compile_seconds - before

    def put_back(self, lane: Lane) -> None:
        """Copy the current state of a lane from the pack to the lane."""
        lane.state = self.program.apart(self._state, self.lanes.index(lane))
        lane.trained = self.trained
        lane.is_saved = False

    def go_on(self, program: FusedProgram) -> None:
        """Continue with the lanes that have not ended. From now on, train these lanes with
        ``program``, if ``program`` has enough lanes.

        A program that trains side by side keeps its ended lanes, because ended lanes cost no extra
        time. A program that trains in turn drops its ended lanes, because each lane costs a turn.
        """
        going = self.going
        if len(going) > program.variant.room:
            program = self.program
        if program is self.program and (len(going) == len(self.lanes) or program.variant.lanes > 1):
            return
        states: list[State | None] = [
            self.program.apart(self._state, self.lanes.index(lane)) for lane in going
        ]
        self._compile_seconds = program.compile_seconds
        self._state = program.together(states, [lane.numbers for lane in going])
        self.lanes = going
        self.program = program
