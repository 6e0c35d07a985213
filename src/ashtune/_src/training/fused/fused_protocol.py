"""The interface of fused training, which is implemented with JAX and with PyTorch, and code that
both use.
"""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, Protocol, TypeVar

import msgspec

from ashtune._src.core.errors import InvalidConfiguration, ObjectiveError
from ashtune._src.performance.roofline import Step

MOST_EPOCHS = 64
"""The largest number of epochs per call. A compiled program's arrays of metrics have this number of
rows.
"""
State = Any
"""A pytree of arrays: parameters, optimizer state, and anything else that a step changes."""
Data = Any
"""A pytree of arrays whose first axis counts examples."""
Static = tuple[tuple[str, Any], ...]
"""The static hyperparameters of a configuration. They identify the configuration's shape. Trials
with the same shape can share a program.
"""
Item = TypeVar("Item")


class Variant(msgspec.Struct, frozen=True):
    """A kind of program. It has two numbers: how many lanes one turn trains side by side, and the
    largest number of turns.

    ``train`` trains at most ``lanes * turns`` lanes. A ``quick`` variant compiles faster but trains
    more slowly.
    """

    lanes: int
    turns: int = 1
    quick: bool = False

    @property
    def room(self) -> int:
        """The largest number of lanes per call."""
        return self.lanes * self.turns

    def turns_for(self, lanes: int) -> int:
        """Return the number of turns that this variant needs for ``lanes`` lanes."""
        return -(-lanes // self.lanes)


class LaneMetrics(msgspec.Struct, frozen=True):
    """The metrics of a call, as arrays (epochs, lanes). The array ``finite`` is True where a lane's
    state is finite.
    """

    metrics: dict[str, Any]
    finite: Any

    def report(self, epoch: int, lane: int) -> dict[str, float]:
        """Return one lane's metrics after an epoch. ``epoch`` is counted from 0 within the call."""
        return {name: float(values[epoch, lane]) for name, values in self.metrics.items()}


class FusedProgram(Protocol):
    """A program that trains lanes of one shape.

    ``compile_seconds`` is the total time so far for compiling (with tracing), for loading, and for
    waiting until another worker has compiled the program. ``build_seconds`` is the part of
    ``compile_seconds`` for the program itself, without the part for the initial states.
    ``is_built_here`` is False if the program was loaded.
    """

    variant: Variant
    compile_seconds: float
    build_seconds: float
    is_built_here: bool

    @property
    def is_at_another(self) -> bool:
        """Whether another worker is compiling this program now."""

    @property
    def is_there(self) -> bool:
        """Whether this program is compiled already, so that this worker can load the program
        quickly.
        """

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the initial states of new trials, one trial per lane, stacked along the first
        axis.
        """

    def together(
        self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]
    ) -> State:
        """Return the stacked states of lanes. If all states are None, return new states. Empty
        lanes get a copy of the first state.
        """

    def apart(self, state: State, lane: int) -> State:
        """Return a copy of one lane's state on the host, in the form that checkpoints and
        :meth:`together` use.
        """

    def train(
        self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int
    ) -> tuple[State, LaneMetrics]:
        """Train all lanes from epoch ``start`` to ``stop``. ``lanes`` may have fewer items than the
        program's number of lanes.
        """


class Backend(Protocol):
    """An object that makes programs from the user's functions.

    ``compile_seconds`` is the assumed compile time of the first program. ``most_turns`` is the
    largest number of lanes that a call can train one after another. ``gain`` is the estimated time
    per lane with 2n lanes, divided by the time per lane with n lanes. ``is_quick`` says whether one
    lane can be trained by a program that compiles faster.
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
        """Return the largest number of lanes of a shape that may be useful on this machine."""

    def program(self, static: Static, variant: Variant) -> FusedProgram:
        """Return a program for the shape ``static``. The program is compiled at its first use."""

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Step:
        """Return the operations and bytes of an epoch of ``lanes`` lanes,
        without a measured time.
        """

    def restore(self, static: Static, numbers: Mapping[str, float], saved: Any) -> State:
        """Return one lane's saved state in the form that the user's functions use (with PyTorch,
        this is a module).
        """


class SavedState(msgspec.Struct, frozen=True):
    """The content of a trial's checkpoint: a lane's state, from :meth:`FusedProgram.apart`."""

    state: State


class Batched(msgspec.Struct, frozen=True, kw_only=True):
    """The batch size of the data, and the hyperparameters that are static.

    Args:
        batch_size: Examples per batch, or the name of the static hyperparameter with this number.
        static: Hyperparameters that change shapes or the program. All other hyperparameters are
            numbers, one per lane.
    """

    batch_size: int | str
    static: tuple[str, ...] = ()

    def check_batch_size(self) -> None:
        """Raise an error if the batch size is invalid for every configuration.

        Raises:
            ObjectiveError: If the batch size is invalid. It must be a whole number of at least 1,
                or a static hyperparameter.
        """
        size = self.batch_size
        if not isinstance(size, str):
            self.examples_a_batch(())
        elif size not in self.static:
            raise ObjectiveError(
                f"batch_size={size!r} is not in static; add it to static=[{size!r}]"
            )

    def split(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        """Split a configuration into its static hyperparameters, which identify the shape, and the
        numbers of the lane.

        Raises:
            ObjectiveError: If a static hyperparameter is missing, or another hyperparameter is not
                a number.
            InvalidConfiguration: If a number is not finite.
        """
        for name in self.static:
            if name not in configuration:
                raise ObjectiveError(
                    f"static={name!r} is not a hyperparameter; the configuration has "
                    f"{', '.join(configuration) or 'none'}"
                )
        lane: dict[str, float] = {}
        for name, value in configuration.items():
            if name in self.static:
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise ObjectiveError(
                    f"{name}={value!r} is not a number, but models that are trained together "
                    f"can differ only in numbers; add it to static=[{name!r}]"
                )
            if not math.isfinite(value):
                raise InvalidConfiguration(f"{name}={value!r} is not finite")
            lane[name] = float(value)
        return tuple((name, _freeze(configuration[name])) for name in self.static), lane

    def examples_a_batch(self, static: Static) -> int:
        """Return the batch size of a program.

        Raises:
            ObjectiveError: If the batch size is not a whole number of at least 1.
        """
        size = (
            dict(static)[self.batch_size] if isinstance(self.batch_size, str) else self.batch_size
        )
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ObjectiveError(f"batch_size={size!r} is not a whole number of at least 1")
        return size


def _freeze(value: Any) -> Any:
    """Convert lists to tuples, which are hashable, because JSON turns the tuples of a space into
    lists.
    """
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def takes_config(evaluate: Callable[..., Any], others: int) -> bool:
    """Return whether a function has, after ``others`` positional arguments, one more argument
    without a default.
    """
    try:
        parameters = list(signature(evaluate).parameters.values())
    except (TypeError, ValueError):
        # Some builtin functions have no signature. They are called without the configuration.
        return False
    asked = [
        each
        for each in parameters
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return len(asked) > others and asked[others].default is asked[others].empty


def pad(items: Sequence[Item], count: int) -> list[Item]:
    """Return ``count`` items: the given items, followed by copies of the first item."""
    return [*items, *[items[0]] * (count - len(items))]


def not_finite(epoch: int, configuration: Mapping[str, Any]) -> FloatingPointError:
    """Return the error of a trial whose state is not finite."""
    named = ", ".join(f"{name}={value!r}" for name, value in configuration.items())
    return FloatingPointError(f"the state is not finite after epoch {epoch}, with {named}")
