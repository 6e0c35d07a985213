"""Lanes that are trained together up to their rung: what they are as one, call by call."""

from collections.abc import Sequence
from time import perf_counter

from ashtune.training.fused.lane import Lane
from ashtune.training.fused.program import Trained
from ashtune.training.fused.protocol import Program
from ashtune.training.fused.recipe import State
from ashtune.training.fused.sizes import side_by_side


class Pack:
    """Lanes of one shape and one stretch of epochs.

    Args:
        lanes: Those of them that are trained; they begin where the first does.
        program: What trains them, for now; it has room for all.

    Attributes:
        lanes: Those of the last call, in their places.
        program: What trained them.
        trained: Epochs they are trained.
        target: Epochs they are to be trained.
    """

    def __init__(self, lanes: Sequence[Lane], program: Program) -> None:
        self.lanes = list(lanes)
        self.program = program
        self.trained, self.target = lanes[0].trained, lanes[0].job.target
        self._told = program.compile_seconds
        self._state = program.together([lane.state for lane in lanes], [lane.numbers for lane in lanes])

    @property
    def going(self) -> list[Lane]:
        """The lanes that have not ended in some way, unless all have come to the target."""
        return [lane for lane in self.lanes if lane.is_training] if self.trained < self.target else []

    def train(self, epochs: int) -> tuple[Trained, float]:
        """Train for some epochs; return what was reported, and the seconds that took apart from compiling."""
        stop = min(self.target, self.trained + epochs)
        began, before = perf_counter(), self.program.compile_seconds
        numbers = [lane.numbers for lane in self.lanes]
        self._state, found = self.program.train(self._state, numbers, self.trained, stop)
        self.trained = stop
        return found, perf_counter() - began - (self.program.compile_seconds - before)

    def take_compile_seconds(self) -> float:
        """Return what compiling its program took since this was last asked."""
        seconds, self._told = self.program.compile_seconds - self._told, self.program.compile_seconds
        return seconds

    def put_back(self, lane: Lane) -> None:
        """Give a lane the state that it has come to."""
        lane.state = self.program.apart(self._state, self.lanes.index(lane))
        lane.trained, lane.is_saved = self.trained, False

    def go_on(self, program: Program) -> None:
        """Go on with those lanes that have not ended, in another program if that has room for them.

        Side by side those that have ended cost nothing. In turn each would cost its turn.
        """
        going = self.going
        if len(going) > program.lanes:
            program = self.program
        if program is self.program and (len(going) == len(self.lanes) or side_by_side(program.size) > 1):
            return
        states: list[State | None] = [self.program.apart(self._state, self.lanes.index(lane)) for lane in going]
        self._told = program.compile_seconds
        self._state = program.together(states, [lane.numbers for lane in going])
        self.lanes, self.program = going, program
