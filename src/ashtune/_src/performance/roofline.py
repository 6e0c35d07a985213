"""The roofline: how fast a training step can be on a machine, and what stands in its way.

Source: Williams, Waterman, Patterson, *Roofline: An Insightful Visual Performance Model for Multicore
Architectures*, CACM 52(4), 2009, https://doi.org/10.1145/1498765.1498785.

A step of ``flops`` operations on ``bytes_moved`` bytes reaches at most ``min(peak, bandwidth * intensity)``
with ``intensity = flops / bytes_moved``. Left of the ridge, ``peak / bandwidth``, memory is the roof; from
there on arithmetic is.

Rule: units are those of SI throughout: flop/s, byte/s, flop/byte, seconds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ashtune._src.core.errors import SettingsError

Bound = Literal["memory", "compute"]


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """A level of cache: the size in bytes of one, and how many there are."""

    level: int
    size: int
    count: int


class Roof(msgspec.Struct, frozen=True, kw_only=True):
    """A peak and a bandwidth that belong together.

    Attributes:
        peak: Floating-point operations per second.
        bandwidth: Bytes per second between memory and processor.
        cores: How many cores reach them; None if they were given and not measured.
        dtype: The type of number that the peak is for, as ``"float32"``.

    Raises:
        SettingsError: If the peak or the bandwidth is not a finite number above 0.
    """

    peak: float
    bandwidth: float
    cores: int | None = None
    dtype: str = ""

    def __post_init__(self) -> None:
        check_above_zero("the peak", self.peak, "flop/s")
        check_above_zero("the bandwidth", self.bandwidth, "byte/s")

    @property
    def name(self) -> str:
        """What to call it: ``1 core, float32``."""
        if self.cores is None:
            return "as given"
        return f"{self.cores} core{'s' if self.cores > 1 else ''}, {self.dtype}"

    @property
    def ridge(self) -> float:
        """The intensity, in flop/byte, from which on arithmetic is the roof."""
        return self.peak / self.bandwidth


class Roofs(msgspec.Struct, frozen=True, kw_only=True):
    """A machine: roofs of one core and of all, by type of number, or the one that was given; at least one.

    ``caches`` are those for data, the nearest first; ``array_bytes`` is the size of each array by which one core's
    bandwidth was measured; ``load`` how many processes ran in the minute before, which lowers the figures; ``settings``
    are the environment variables that steer ``blas``, the library that computed the matrix products.
    """

    roofs: Sequence[Roof]
    caches: Sequence[Cache] = ()
    blas: str = ""
    array_bytes: int = 0
    load: float = 0.0
    settings: Mapping[str, str] = {}

    def for_step(self, step: "Step") -> Roof:
        """Return the roof of as many cores as the step uses, or of all, and if measured for its type of number."""
        most = max(roof.cores or 0 for roof in self.roofs)
        cores = step.cores if any(roof.cores == step.cores for roof in self.roofs) else most
        fitting = [roof for roof in self.roofs if (roof.cores or 0) == (cores or most)]
        return next((roof for roof in fitting if roof.dtype == step.dtype), fitting[0])


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One training step, or whatever is to be placed under a roof.

    Attributes:
        name: What to call it.
        flops: Floating-point operations.
        bytes_moved: Bytes read plus bytes written.
        seconds: What it takes, if it was timed.
        source: How operations and bytes were counted, and what that leaves out.
        dtype: The type of number it computes with.
        cores: How many cores it may use; None for all.
        calls: How many calls into a library it is made of, if that is known.
        overhead_seconds: What the same calls take on next to no data, if that was measured.
        each: What it is one of, with its article, as ``"a step"`` or ``"an epoch"``.

    Raises:
        SettingsError: If a figure is not a finite number above 0.
    """

    name: str
    flops: float
    bytes_moved: float
    seconds: float | None = None
    source: str = "as given"
    dtype: str = "float32"
    cores: int | None = None
    calls: int | None = None
    overhead_seconds: float | None = None
    each: str = "a step"

    def __post_init__(self) -> None:
        check_above_zero(f"the number of operations of {self.name}", self.flops, "flop")
        check_above_zero(f"the memory traffic of {self.name}", self.bytes_moved, "bytes")
        if self.seconds is not None:
            check_above_zero(f"the time of {self.name}", self.seconds, "s")


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A step under a roof.

    ``ridge`` is the roof's and ``intensity`` the step's, in flop/byte. ``attainable`` is the most that the roof allows,
    ``achieved`` what the step reaches, both in flop/s; ``bound`` says which roof binds, ``least_seconds`` what the step
    takes at best. The share of the attainable is above 1 if the bytes come from a cache.
    """

    step: Step
    roof: Roof
    ridge: float
    intensity: float
    attainable: float
    share_of_peak: float
    bound: Bound
    least_seconds: float
    achieved: float | None
    share_of_attainable: float | None


def place(step: Step, roof: Roof) -> Placement:
    """Place a step under a roof.

    Example:
        >>> step = Step(name="a step", flops=7500, bytes_moved=250_000)
        >>> place(step, Roof(peak=537.6e9, bandwidth=76.8e9)).attainable
        2304000000.0
    """
    # Multiplied before it is divided: of figures that are whole numbers the result is then exact.
    by_memory = roof.bandwidth * step.flops / step.bytes_moved
    attainable = min(roof.peak, by_memory)
    achieved = None if step.seconds is None else step.flops / step.seconds
    return Placement(
        step=step,
        roof=roof,
        ridge=roof.ridge,
        intensity=step.flops / step.bytes_moved,
        attainable=attainable,
        share_of_peak=attainable / roof.peak,
        bound="memory" if by_memory < roof.peak else "compute",
        least_seconds=step.flops / attainable,
        achieved=achieved,
        share_of_attainable=None if achieved is None else achieved / attainable,
    )


def check_above_zero(what: str, value: float, unit: str) -> float:
    """Return the value if a roofline can be made of it.

    Raises:
        SettingsError: If it is not a finite number above 0.
    """
    if not (math.isfinite(value) and value > 0):
        raise SettingsError(f"{what} is {value:g} {unit}; a roofline needs a finite number above 0")
    return value
