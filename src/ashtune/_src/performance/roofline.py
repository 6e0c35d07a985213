"""The roofline model: the maximum speed of a training step on a machine, limited by memory or by
arithmetic.

Source: Williams, Waterman, Patterson, *Roofline: An Insightful Visual Performance Model for
Multicore Architectures*, CACM 52(4), 2009, https://doi.org/10.1145/1498765.1498785.

A step of ``flops`` operations on ``bytes_moved`` bytes reaches at most
``min(peak, bandwidth * intensity)`` flop/s, with ``intensity = flops / bytes_moved``. Memory is the
limit if the intensity is below the ridge, ``peak / bandwidth``. If the intensity is above the
ridge, arithmetic is the limit.

Rule: all units are SI units: flop/s, byte/s, flop/byte, seconds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ashtune._src.core.errors import SettingsError

Bound = Literal["memory", "compute"]


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """A level of cache, with the size of each cache in bytes and the number of caches."""

    level: int
    size: int
    count: int


# What a placement says: which of two limits applies to a step, and how far the step is from this
# limit. What it cannot say: whether a step below its roof could be faster. The model knows only one
# memory. It does not know caches, the latency of library calls, or cores that wait for each other.
# Therefore a step also has the time of its calls on almost no data (``overhead_seconds``). For
# small networks, this time may explain more than both limits.
class Roof(msgspec.Struct, frozen=True, kw_only=True):
    """The peak speed and the memory bandwidth of a number of cores.

    Attributes:
        peak: The number of floating-point operations per second.
        bandwidth: Bytes per second between memory and processor.
        cores: The number of cores; None if the user gave the peak and the bandwidth.
        dtype: The dtype of the peak, such as ``"float32"``.

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
        """The name of the roof, such as ``1 core, float32``."""
        if self.cores is None:
            return "as given"
        return f"{self.cores} core{'s' if self.cores > 1 else ''}, {self.dtype}"

    @property
    def ridge(self) -> float:
        """The intensity in flop/byte at which the limit changes from memory to arithmetic."""
        return self.peak / self.bandwidth


class Roofs(msgspec.Struct, frozen=True, kw_only=True):
    """The roofs of a machine: of one core and of all cores, for each dtype. The user may give a
    single roof.

    ``caches`` has the data caches, sorted by level. ``array_bytes`` is the size of each array with
    which the bandwidth of one core was measured. ``load`` is the load average before the
    measurement. A high load lowers the measured speeds. ``settings`` has the environment variables
    of ``blas``, the library that computed the matrix products.
    """

    roofs: Sequence[Roof]
    caches: Sequence[Cache] = ()
    blas: str = ""
    array_bytes: int = 0
    load: float = 0.0
    settings: Mapping[str, str] = {}

    def for_step(self, step: "Step") -> Roof:
        """Return the roof for the step's cores and dtype, or else for all
        cores or another dtype.
        """
        most = max(roof.cores or 0 for roof in self.roofs)
        cores = step.cores if any(roof.cores == step.cores for roof in self.roofs) else most
        fitting = [roof for roof in self.roofs if (roof.cores or 0) == (cores or most)]
        return next((roof for roof in fitting if roof.dtype == step.dtype), fitting[0])


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One training step, or another computation to compare with a roof.

    Attributes:
        name: The name of the step.
        flops: Floating-point operations.
        bytes_moved: Bytes read plus bytes written.
        seconds: The time of the step; None if it was not timed.
        source: The method of counting operations and bytes.
        dtype: The dtype of the computation.
        cores: The number of cores that the step may use; None for all cores.
        calls: The number of library calls in the step; None if unknown.
        overhead_seconds: The time of the step's calls on almost no data; None if this time was not
            measured.
        each: The name of one step with an article: ``"a step"`` or ``"an epoch"``.

    Raises:
        SettingsError: If a number of the step is not a finite number above 0.
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


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """The best number of lanes for a model, and the measured times; ``lanes_words()`` describes a
    sizing in words.

    ``seconds`` has, for each number of lanes that was tried, the time of an epoch divided by the
    number of lanes.
    """

    lanes: int
    seconds: dict[int, float]


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of a step with a roof.

    ``ridge`` belongs to the roof and ``intensity`` to the step; both are in flop/byte.
    ``attainable`` is the maximum speed under the roof, and ``achieved`` is the speed of the step,
    both in flop/s. ``bound`` is the limit of the speed. ``least_seconds`` is the minimum time of
    the step. ``share_of_attainable`` can exceed 1 if data come from a cache.
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
    """Compare a step with a roof.

    Example:
        >>> step = Step(name="a step", flops=7500, bytes_moved=250_000)
        >>> place(step, Roof(peak=537.6e9, bandwidth=76.8e9)).attainable
        2304000000.0
    """
    # The multiplication comes before the division, so that whole numbers give an exact result.
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
    """Return the value if it is a finite number above 0.

    Raises:
        SettingsError: If the value is not a finite number above 0.
    """
    if not (math.isfinite(value) and value > 0):
        raise SettingsError(f"{what} is {value:g} {unit}; a roofline needs a finite number above 0")
    return value
