"""Chooses the program for the next call of fused training, by the measured times of earlier calls.

A shape has programs for 1, 4, 16 ... lanes side by side. The first program of a shape trains one
lane and compiles quickly. Compiling a full program takes as long as hundreds of epochs of a small
model. Therefore the time that a program would have saved so far is added up while the program is
not compiled. The program is compiled when this sum reaches its compile time. The total time is at
most about twice the minimum (the ski rental problem: Karlin et al., Algorithmica 1988). A program
that another worker has compiled is used immediately.

The epoch time of an untried program is estimated from the nearest measured program. The quick
program is slower than the full program (1.1 times for a perceptron, 1.5 times for a convolution),
but this factor cannot be estimated. Until this factor is measured, the whole time of the quick
program counts as time that a full program would save.
"""

# The length of a study is unknown, so a program is compiled when it would already have saved its
# compile time. This rule needs no assumption about the length of studies. The moving average of a
# program's times falls immediately but rises slowly, because a busy machine can make times longer
# but never shorter.

import math
from typing import NamedTuple

import msgspec

from ashtune._src.performance.machine import second_cache_bytes
from ashtune._src.training.fused.fused_protocol import (
    MOST_EPOCHS,
    Backend,
    FusedProgram,
    Static,
    Variant,
)

MOST_LANES = 256
# Decision 12 (docs/decisions/0012-fused-studies.md).
QUICK_COMPILING = 0.6
"""The estimated compile time of the quick variant, as a share of the compile time of another
variant.
"""
DOUBLINGS = 4
"""The time per lane of an untried variant is estimated for at most this many doublings of the lanes
of a measured variant. Beyond that, it is assumed constant.
"""
RECENT = 0.3
"""The weight of a new measured time in the moving average of the measured times."""
CALL_SECONDS = 0.25
"""The approximate duration of a call of a program. Between two calls, the worker looks for
messages.
"""


class Call(NamedTuple):
    """The number of lanes and the number of epochs that one call of a program trains."""

    lanes: int
    epochs: int


class Learnt(msgspec.Struct):
    """The share of the quick program's time that the full program for one lane saves. All shapes
    have the same value.
    """

    quick_loss: float = 1.0


class Shape:
    """The programs of one choice of static hyperparameters, and their measured times.

    ``most`` is the largest number of lanes or, if ``is_fixed``, the only number of lanes. All
    shapes of a worker share ``learnt``, the measured slowdown of quick programs.
    """

    def __init__(
        self,
        backend: Backend,
        static: Static,
        most: int,
        *,
        is_fixed: bool = False,
        learnt: Learnt | None = None,
    ) -> None:
        self.static = static
        self.most = most
        turns = min(backend.most_turns, most)
        self._full = [
            Variant(lanes, turns if lanes == 1 else 1)
            for lanes in ([most] if is_fixed else powers(most))
        ]
        quick = [Variant(1, turns, quick=True)] if backend.is_quick and not is_fixed else []
        self._variants = [*quick, *self._full]
        self._backend = backend
        self._programs: dict[Variant, FusedProgram] = {}
        self._seconds: dict[Variant, float] = {}
        # The seconds that each program would have saved so far if it had been compiled.
        self._saved = dict.fromkeys(self._full, 0.0)
        self._compile_seconds = backend.compile_seconds
        self._learnt = learnt or Learnt()

    @property
    def is_at_another(self) -> bool:
        """Whether another worker is compiling the shape's first program and this worker has not
        trained the shape yet.
        """
        return not self._seconds and self._program(self._variants[0]).is_at_another

    @property
    def alone_seconds(self) -> float:
        """The longest measured time of an epoch of one lane, or 0 if no time was measured."""
        return max(
            (seconds for variant, seconds in self._seconds.items() if variant.lanes == 1),
            default=0.0,
        )

    def call(self, variant: Variant, lanes: int, epochs: int) -> Call:
        """Return the number of lanes and epochs for the next call, so that the call takes about
        :data:`CALL_SECONDS`.

        If the program has no measured time yet, the next call trains one epoch of one turn.
        """
        seconds = self._seconds.get(variant)
        if seconds is None:
            return Call(min(lanes, variant.lanes), 1)
        turns = max(1, int(CALL_SECONDS / seconds))
        lanes = min(lanes, variant.room, turns * variant.lanes)
        return Call(lanes, max(1, min(epochs, MOST_EPOCHS, turns // variant.turns_for(lanes))))

    def choose(self, lanes: int, epochs: int) -> FusedProgram:
        """Return the program for the next call. ``lanes`` and ``epochs`` are the numbers that are
        left to train.
        """
        return self._program(self._choose(lanes, epochs))

    def _choose(self, lanes: int, epochs: int) -> Variant:
        # No full program has a measured time, so the ratio of lanes cannot be used to estimate a
        # time.
        if all(variant.quick for variant in self._seconds):
            theirs = [
                variant
                for variant in self._variants
                if variant.lanes <= lanes and self._is_there(variant)
            ]
            if theirs or not self._seconds:
                return theirs[-1] if theirs else self._variants[0]
            cheapest = self._variants[0]
            wanted = self._full[0]
            share = self._learnt.quick_loss
        else:
            costs = {
                variant: self._cost(variant, lanes) for variant in [*self._seconds, *self._full]
            }
            cheapest = min(self._seconds, key=costs.__getitem__)
            # If costs are equal, min() returns the first program, which has a measured time.
            wanted = min(costs, key=costs.__getitem__)
            if wanted in self._seconds or self._is_there(wanted):
                return wanted
            share = 1 - costs[wanted] / costs[cheapest]
        call = self.call(cheapest, lanes, epochs)
        self._saved[wanted] += (
            share * call.epochs * call.lanes / lanes * self._cost(cheapest, lanes)
        )
        return wanted if self._saved[wanted] >= self._compile_seconds else cheapest

    def note_compiled(self, variant: Variant, seconds: float) -> None:
        """Store the compile time of a program."""
        self._compile_seconds = seconds / QUICK_COMPILING if variant.quick else seconds

    def note_trained(self, variant: Variant, epoch_seconds: float) -> None:
        """Store the measured time of one epoch of one turn of a program."""
        before = self._seconds.get(variant, epoch_seconds)
        self._seconds[variant] = min(epoch_seconds, before + RECENT * (epoch_seconds - before))
        first = self._seconds.get(self._variants[0])
        one = self._seconds.get(self._full[0])
        if self._variants[0].quick and first and one:
            self._learnt.quick_loss = max(0.0, 1 - one / first)

    def _cost(self, variant: Variant, lanes: int) -> float:
        """Return the measured or estimated time of an epoch of ``lanes`` lanes, summed over all
        turns of a variant.
        """
        seconds = self._seconds.get(variant)
        if seconds is None:
            near = min(
                (other for other in self._seconds if not other.quick),
                key=lambda o: abs(_doublings(o, variant)),
            )
            gained = self._backend.gain ** max(
                -DOUBLINGS, min(DOUBLINGS, _doublings(near, variant))
            )
            seconds = self._seconds[near] * variant.lanes / near.lanes * gained
        return variant.turns_for(lanes) * seconds

    def _program(self, variant: Variant) -> FusedProgram:
        if variant not in self._programs:
            self._programs[variant] = self._backend.program(self.static, variant)
        return self._programs[variant]

    def _is_there(self, variant: Variant) -> bool:
        return self._program(variant).is_there


def lanes_that_fit(state_bytes: int) -> int:
    """Return how many lanes' states fit the second-level cache, as a power of two from 1 to
    :data:`MOST_LANES`.

    During training, a lane uses five to ten times the memory of its state, but never all of it at
    the same time. For four shapes of the demo's network, this number of lanes was among the fastest
    (``benchmarks/fused_lanes.py``).
    """
    fits = second_cache_bytes() // max(1, state_bytes)
    return 1 << min(max(1, fits).bit_length() - 1, MOST_LANES.bit_length() - 1)


def powers(most: int) -> list[int]:
    """Return the numbers of lanes to try: 1, 4, 16 ... and ``most``. Each number needs its own
    compiled program.
    """
    return sorted({*(1 << power for power in range(0, most.bit_length(), 2)), most})


def _doublings(before: Variant, after: Variant) -> float:
    return math.log2(after.lanes / before.lanes)
