"""What a user gives to be trained as lanes: pure functions, the data, and which hyperparameters are static."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ashtune.errors import InvalidConfiguration, ObjectiveError, SettingsError

MOST_FIXED = 4096
"""Of lanes that may be asked for."""
State = Any
"""A pytree of arrays: parameters, optimizer state, whatever a step changes."""
Data = Any
"""A pytree of arrays whose first axis counts examples."""
Static = tuple[tuple[str, Any], ...]


class Batched(msgspec.Struct, frozen=True, kw_only=True):
    """How data are cut into batches, and configurations into programs and lanes.

    Args:
        batch_size: Examples a batch, or the name of the static hyperparameter that says it.
        static: Hyperparameters that change shapes or the program; all others are numbers, one a lane.
    """

    batch_size: int | str
    static: tuple[str, ...] = ()

    def check_batch_size(self) -> None:
        """Refuse a batch size that no program can have, as far as that is known without a configuration.

        Raises:
            ObjectiveError: If it is no whole number of at least 1, or no static hyperparameter.
        """
        if not isinstance(self.batch_size, str):
            self.examples_a_batch(())
        elif self.batch_size not in self.static:
            raise ObjectiveError(
                f"batch_size={self.batch_size!r} is not static; name it in static=[{self.batch_size!r}]"
            )

    def parted(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        """Return the static part of a configuration, which names its program, and the numbers of its lane.

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
        return tuple((name, _frozen(configuration[name])) for name in self.static), lane

    def examples_a_batch(self, static: Static) -> int:
        """Return the batch size of a program.

        Raises:
            ObjectiveError: If it is not a whole number of at least 1, or is no static hyperparameter.
        """
        size = self.batch_size
        if isinstance(size, str):
            if size not in dict(static):
                raise ObjectiveError(f"batch_size={size!r} is not static; name it in static=[{size!r}]")
            size = dict(static)[size]
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ObjectiveError(f"batch_size={size!r} is not a whole number of at least 1")
        return size


def _frozen(value: Any) -> Any:
    """Return a list as a tuple, which can name a program; JSON has made lists of the tuples of a space."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


class Saved(msgspec.Struct, frozen=True):
    """What a checkpoint holds of a trial: a lane's state, as its program takes it apart."""

    state: State


class Recipe(Batched, frozen=True, kw_only=True):
    """The parts of fused training.

    Args:
        init: (key, configuration) -> state.
        step: (state, batch, configuration) -> (state, metrics): one step of the optimizer.
        evaluate: (state, data) or (state, data, configuration) -> metrics, after each epoch, on the validation data.
        train: What batches are taken from.
        validation: What ``evaluate`` gets.
        batch_size: Examples a batch, or the name of the static hyperparameter that says it.
        static: Hyperparameters that change shapes or the program. They reach the functions as they are; all others
            as numbers that JAX traces, one a lane.
    """

    init: Callable[[Any, Mapping[str, Any]], State]
    step: Callable[[State, Any, Mapping[str, Any]], tuple[State, Mapping[str, Any]]]
    evaluate: Callable[..., Mapping[str, Any]]
    train: Data
    validation: Data


def stacked(lanes: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the numbers of several lanes by hyperparameter."""
    return {name: [lane[name] for lane in lanes] for name in (lanes[0] if lanes else ())}


def check_lanes(static: Sequence[str], lanes: int | None) -> None:
    """Refuse what is no list of names, or no number of lanes.

    Raises:
        SettingsError: In one line.
    """
    if isinstance(static, str):
        raise SettingsError(f"static={static!r} is one text; give names, as in static=[{static!r}]")
    if lanes is not None and (isinstance(lanes, bool) or not isinstance(lanes, int) or not 1 <= lanes <= MOST_FIXED):
        raise SettingsError(
            f"lanes={lanes!r} is not a whole number from 1 to {MOST_FIXED:,}; leave it out for as many as is fastest"
        )


def examples_of(data: Data) -> int:
    """Return how many examples there are.

    Raises:
        ObjectiveError: If there is none, or arrays differ in it, or there is anything but arrays.
    """
    import jax

    shapes: set[tuple[int, ...]] = {getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(data)}
    if not shapes or () in shapes:
        raise ObjectiveError("train has a number where arrays are asked for, (examples, ...) each; give numpy's arrays")
    sizes = sorted({shape[0] for shape in shapes})
    if len(sizes) != 1:
        raise ObjectiveError(
            f"train has arrays of {', '.join(map(str, sizes))} examples; give arrays with as many each"
        )
    if not sizes[0]:
        raise ObjectiveError("train has no examples; give at least 1")
    return int(sizes[0])
