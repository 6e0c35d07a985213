"""An epoch of one model, alone and as lanes of a program, to be placed under a roofline: operations, bytes, time."""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import msgspec

from ashtune.performance.roofline import Step
from ashtune.training.fused.recipe import Static
from ashtune.training.fused.sizing import Measurable, Sizing, choose_lanes


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Operations and bytes of an epoch; ``source`` says how they were counted."""

    flops: float
    bytes_moved: float
    dtype: str
    source: str


class Countable(Protocol):
    """Makes programs that train lanes side by side, and counts what they do."""

    def beside(self, static: Static, lanes: int) -> Measurable:
        """Return the program that trains so many lanes side by side, be it one."""

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Costs:
        """Return what an epoch of so many lanes costs."""


class Epochs(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch of one model alone, one of as many lanes as a dry run found best, if that is several, and that run."""

    steps: list[Step]
    sizing: Sizing


def count_epochs(backend: Countable, static: Static, numbers: Mapping[str, float]) -> Epochs:
    """Count and time epochs of a configuration. It makes a handful of programs: some ten seconds with JAX.

    Args:
        backend: Makes them.
        static: The static hyperparameters.
        numbers: The others.
    """
    sizing = choose_lanes(partial(backend.beside, static), numbers)
    steps = [
        _step(static, lanes, backend.costs(static, numbers, lanes), sizing.seconds[lanes] * lanes)
        for lanes in sorted({1, sizing.lanes})
    ]
    return Epochs(steps=steps, sizing=sizing)


def _step(static: Static, lanes: int, costs: Costs, seconds: float) -> Step:
    named = ", ".join(f"{name}={value!r}" for name, value in static)
    return Step(
        name=("one model alone" if lanes == 1 else f"{lanes} models as lanes") + (f" ({named})" if named else ""),
        flops=costs.flops,
        bytes_moved=costs.bytes_moved,
        seconds=seconds,
        source=costs.source,
        dtype=costs.dtype,
        cores=1,
        each="an epoch",
    )
