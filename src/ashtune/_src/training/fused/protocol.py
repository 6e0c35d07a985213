"""What JAX and PyTorch each implement for fused training, and what both have in common."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, Protocol, TypeVar

import msgspec

from ashtune._src.core.errors import InvalidConfiguration, ObjectiveError
from ashtune._src.performance.roofline import Step

MOST_EPOCHS = 64
"""Epochs a call trains at most: a compiled program has as many rows for their metrics."""
PROGRAMS_FOLDER = "programs"
"""In a study's directory: the compiled programs that its workers share."""
State = Any
"""A pytree of arrays: parameters, optimizer state, whatever a step changes."""
Data = Any
"""A pytree of arrays whose first axis counts examples."""
Static = tuple[tuple[str, Any], ...]
"""The static hyperparameters of a configuration, which name its shape: trials of one shape can share a program."""
Item = TypeVar("Item")


class Variant(msgspec.Struct, frozen=True):
    """Which program of a shape: how many lanes it trains side by side, and in how many turns, one after another.

    A call trains at most ``lanes * turns`` lanes. A ``quick`` one takes less time to compile and more to train.
    """

    lanes: int
    turns: int = 1
    quick: bool = False

    @property
    def room(self) -> int:
        """How many lanes a call trains at most."""
        return self.lanes * self.turns

    def turns_for(self, lanes: int) -> int:
        """Return in how many turns it trains this number of lanes."""
        return -(-lanes // self.lanes)


class LaneMetrics(msgspec.Struct, frozen=True):
    """What lanes reported: by metric, (epochs, lanes); and whether each lane was finite after each epoch."""

    metrics: dict[str, Any]
    finite: Any

    def report(self, epoch: int, lane: int) -> dict[str, float]:
        """Return one lane's metrics of an epoch, counted from 0 in this call."""
        return {name: float(values[epoch, lane]) for name, values in self.metrics.items()}


class FusedProgram(Protocol):
    """Trains lanes of one shape.

    ``compile_seconds`` is what tracing and compiling took so far, apart from training, or waiting for another worker
    that did, or loading; ``build_seconds`` is the part of it for the program alone, without what makes initial states;
    ``is_built_here`` is False if the program came from a disk.
    """

    variant: Variant
    compile_seconds: float
    build_seconds: float
    is_built_here: bool

    @property
    def is_at_another(self) -> bool:
        """Whether another worker compiles it at this moment."""

    @property
    def is_there(self) -> bool:
        """Whether another worker has compiled it, so that it costs hardly anything here."""

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of new trials, a lane each, stacked along the first axis."""

    def together(self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of lanes as one, padded with the first; None for all of them begins new trials."""

    def apart(self, state: State, lane: int) -> State:
        """Return a copy of one lane's state, on the host, as it is saved and taken up again by :meth:`together`."""

    def train(
        self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int
    ) -> tuple[State, LaneMetrics]:
        """Train all lanes from one epoch to another; ``lanes`` may be fewer than the program has room for."""


class Backend(Protocol):
    """Makes programs of what the user gave.

    ``compile_seconds`` is what a program is taken to cost before the first was made, ``most_turns`` how many lanes a
    call can train one after another, ``gain`` what twice as many lanes are guessed to need for each of them, as a share
    of what half of them need. ``is_quick`` says that there is a program for one lane that is compiled more quickly.
    """

    compile_seconds: float
    most_turns: int

    @property
    def recipe(self) -> "Batched": ...

    @property
    def gain(self) -> float: ...

    @property
    def is_quick(self) -> bool: ...

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return up to how many lanes of a shape are worth trying on this machine."""

    def program(self, static: Static, variant: Variant) -> FusedProgram:
        """Return a program of a shape; nothing is compiled before it is used."""

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Step:
        """Return an epoch of this number of lanes, not timed."""

    def restore(self, static: Static, numbers: Mapping[str, float], saved: Any) -> State:
        """Return one lane's state as the user's functions have it, or a module, from what was saved of it."""


class SavedState(msgspec.Struct, frozen=True):
    """What a checkpoint holds of a trial: a lane's state, as its program takes it apart."""

    state: State


class Batched(msgspec.Struct, frozen=True, kw_only=True):
    """How data are cut into batches, and configurations into programs and lanes.

    Args:
        batch_size: Examples a batch, or the name of the static hyperparameter that says it.
        static: Hyperparameters that change shapes or the program; all others are numbers, one a lane.
    """

    batch_size: int | str
    static: tuple[str, ...] = ()

    def check_batch_size(self) -> None:
        """Refuse a batch size that no program can have, where that is known without a configuration.

        Raises:
            ObjectiveError: If it is no whole number of at least 1, or no static hyperparameter.
        """
        size = self.batch_size
        if not isinstance(size, str):
            self.examples_a_batch(())
        elif size not in self.static:
            raise ObjectiveError(f"batch_size={size!r} is not static; name it in static=[{size!r}]")

    def split(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        """Return the static part of a configuration, which names its shape, and the numbers of its lane.

        Raises:
            ObjectiveError: If a static hyperparameter is missing, or another is no number.
            InvalidConfiguration: If a number is not finite.
        """
        for name in self.static:
            if name not in configuration:
                raise ObjectiveError(
                    f"static={name!r} is no hyperparameter; there are {', '.join(configuration) or 'none'}"
                )
        lane: dict[str, float] = {}
        for name, value in configuration.items():
            if name in self.static:
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise ObjectiveError(
                    f"{name}={value!r} is no number, and lanes differ in numbers only; name it in static=[{name!r}]"
                )
            if not math.isfinite(value):
                raise InvalidConfiguration(f"{name}={value!r} is not finite")
            lane[name] = float(value)
        return tuple((name, _freeze(configuration[name])) for name in self.static), lane

    def examples_a_batch(self, static: Static) -> int:
        """Return the batch size of a program.

        Raises:
            ObjectiveError: If it is not a whole number of at least 1.
        """
        size = dict(static)[self.batch_size] if isinstance(self.batch_size, str) else self.batch_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ObjectiveError(f"batch_size={size!r} is not a whole number of at least 1")
        return size


def _freeze(value: Any) -> Any:
    """Return a list as a tuple, which can name a program; JSON has made lists of the tuples of a space."""
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def takes_config(evaluate: Callable[..., Any], others: int) -> bool:
    """Whether a function has, after ``others`` arguments by position, one more without a default value."""
    try:
        parameters = list(signature(evaluate).parameters.values())
    except (TypeError, ValueError):  # it does not say
        return False
    asked = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(asked) > others and asked[others].default is asked[others].empty


def pad(items: Sequence[Item], count: int) -> list[Item]:
    """Return as many items as asked for, the first once more for those that are missing."""
    return [*items, *[items[0]] * (count - len(items))]


def not_finite(epoch: int, configuration: Mapping[str, Any]) -> FloatingPointError:
    """Return the error of a trial whose state has numbers that are not finite."""
    named = ", ".join(f"{name}={value!r}" for name, value in configuration.items())
    return FloatingPointError(f"the state is not finite after epoch {epoch}, with {named}")
