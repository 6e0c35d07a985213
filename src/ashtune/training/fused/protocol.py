"""What the runner needs of a library that trains lanes: JAX, PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ashtune.training.fused.epochs import Countable
from ashtune.training.fused.program import Trained
from ashtune.training.fused.recipe import State, Static


class Program(Protocol):
    """Trains the lanes of one shape; see :class:`~ashtune.training.fused.program.LanesProgram`.

    A call trains ``lanes`` at most, ``size`` of them side by side, as in :mod:`ashtune.training.fused.sizes`.
    """

    lanes: int
    size: int
    compile_seconds: float
    build_seconds: float
    is_built_here: bool

    @property
    def is_at_another(self) -> bool:
        """Whether another worker compiles it at this moment."""

    @property
    def is_there(self) -> bool:
        """Whether another worker has compiled it, so that it costs hardly anything here."""

    def together(self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of lanes as one, padded; None for all of them begins anew."""

    def apart(self, state: State, lane: int) -> State:
        """Return a copy of one lane's state, on the host, as it is saved and taken up again by :meth:`together`."""

    def train(self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int) -> tuple[State, Trained]:
        """Train all lanes from one epoch to another; ``lanes`` may be fewer than the program has."""


class Backend(Countable, Protocol):
    """Makes programs of what the user gave.

    ``compile_seconds`` is what a program is taken to cost before the first was made; ``most_turns`` how many lanes a
    call can train one after another.
    """

    compile_seconds: float
    most_turns: int

    @property
    def gain(self) -> float:
        """What twice as many lanes are guessed to need for each, of what half of them does."""

    @property
    def is_quick(self) -> bool:
        """Whether a program for one lane can be compiled more quickly, to be slower then."""

    def parted(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        """Return the static part of a configuration, which names its program, and the numbers of its lane."""

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return up to how many lanes of a shape are worth trying on this machine."""

    def program(self, static: Static, size: int, turns: int = 1) -> Program:
        """Return the program of a shape for so many lanes side by side, or for one and up to so many in turn.

        A size of :data:`~ashtune.training.fused.sizes.QUICK` is one that is quickly compiled, for one lane in turn.
        """

    def restored(self, static: Static, numbers: Mapping[str, float], saved: Any) -> State:
        """Return one lane's state as the user's functions have it, of what was saved of it."""

    def bytes_of(self, state: State) -> int:
        """Return what a state takes of memory."""
