"""Chooses the program of the next call, by what calls have taken so far.

A shape has programs for 1, 4, 16 ... lanes side by side; the first one trains one lane and is compiled quickly.
Compiling another takes as long as hundreds of epochs of a small model. So the time that another would have saved is
added up, and it is compiled when the sum reaches the price of compiling: in total at most about twice the best in
hindsight (rent or buy skis: Karlin et al., Algorithmica 1988). What another worker has compiled is taken at once.

What an epoch would take with another program is guessed from the nearest one that was measured. How much slower the
quickly compiled one is cannot be guessed (1.1 times for a perceptron, 1.5 for a convolution): all of its time counts as
lost until a shape has shown its share.
"""

import math
from typing import NamedTuple

import msgspec

from ashtune._src.performance.machine import second_cache_bytes
from ashtune._src.training.fused.protocol import MOST_EPOCHS, Backend, FusedProgram, Static, Variant

MOST_LANES = 256
QUICK_COMPILING = 0.6
"""What compiling the quick variant is guessed to need, as a share of what another needs."""
DOUBLINGS = 4
"""A variant farther than this from what was measured is guessed to gain no more."""
RECENT = 0.3
"""How much the last measurement counts against those before."""
CALL_SECONDS = 0.25
"""About how long a call of a program takes: between two of them the worker looks for messages."""


class Call(NamedTuple):
    """How many lanes a call of a program trains, and for how many epochs."""

    lanes: int
    epochs: int


class Learnt(msgspec.Struct):
    """What one shape shows of all: the share of its time that the quick variant loses against that for one lane."""

    quick_loss: float = 1.0


class Shape:
    """The programs of one choice of static hyperparameters, and what they have taken.

    ``most`` is the largest number of lanes, and the only one if it ``is_fixed``; ``learnt`` is what the worker's other
    shapes have shown.
    """

    def __init__(
        self, backend: Backend, static: Static, most: int, *, is_fixed: bool = False, learnt: Learnt | None = None
    ) -> None:
        self.static = static
        self.most = most
        turns = min(backend.most_turns, most)
        self._full = [Variant(lanes, turns if lanes == 1 else 1) for lanes in ([most] if is_fixed else powers(most))]
        quick = [Variant(1, turns, quick=True)] if backend.is_quick and not is_fixed else []
        self._variants = [*quick, *self._full]
        self._backend = backend
        self._programs: dict[Variant, FusedProgram] = {}
        self._seconds: dict[Variant, float] = {}
        self._saved = dict.fromkeys(self._full, 0.0)  # what each that is not there would have saved
        self._compile_seconds = backend.compile_seconds
        self._learnt = learnt or Learnt()

    @property
    def is_at_another(self) -> bool:
        """Whether nothing was trained here, and another worker compiles the first program."""
        return not self._seconds and self._program(self._variants[0]).is_at_another

    @property
    def alone_seconds(self) -> float:
        """What an epoch of one lane takes at most; 0 if that was never measured."""
        return max((seconds for variant, seconds in self._seconds.items() if variant.lanes == 1), default=0.0)

    def call(self, variant: Variant, lanes: int, epochs: int) -> Call:
        """Return what the next call of a program should train of these lanes and epochs: not for too long.

        A program that has trained nothing yet gets one epoch, and one turn.
        """
        seconds = self._seconds.get(variant)
        if seconds is None:
            return Call(min(lanes, variant.lanes), 1)
        turns = max(1, int(CALL_SECONDS / seconds))
        lanes = min(lanes, variant.room, turns * variant.lanes)
        return Call(lanes, max(1, min(epochs, MOST_EPOCHS, turns // variant.turns_for(lanes))))

    def choose(self, lanes: int, epochs: int) -> FusedProgram:
        """Return the program whose next call should train of these lanes and epochs what it can."""
        return self._program(self._choose(lanes, epochs))

    def _choose(self, lanes: int, epochs: int) -> Variant:
        if all(variant.quick for variant in self._seconds):  # nothing to guess from
            theirs = [variant for variant in self._variants if variant.lanes <= lanes and self._is_there(variant)]
            if theirs or not self._seconds:
                return theirs[-1] if theirs else self._variants[0]
            cheapest, wanted = self._variants[0], self._full[0]
            share = self._learnt.quick_loss
        else:
            costs = {variant: self._cost(variant, lanes) for variant in [*self._seconds, *self._full]}
            cheapest = min(self._seconds, key=costs.__getitem__)
            wanted = min(costs, key=costs.__getitem__)  # of equal ones that which is there
            if wanted in self._seconds or self._is_there(wanted):
                return wanted
            share = 1 - costs[wanted] / costs[cheapest]
        call = self.call(cheapest, lanes, epochs)
        self._saved[wanted] += share * call.epochs * call.lanes / lanes * self._cost(cheapest, lanes)
        return wanted if self._saved[wanted] >= self._compile_seconds else cheapest

    def note_compiled(self, variant: Variant, seconds: float) -> None:
        """A program was compiled, in this time."""
        self._compile_seconds = seconds / QUICK_COMPILING if variant.quick else seconds

    def note_trained(self, variant: Variant, epoch_seconds: float) -> None:
        """An epoch of the lanes that a program trains side by side took this time."""
        before = self._seconds.get(variant, epoch_seconds)
        self._seconds[variant] = min(epoch_seconds, before + RECENT * (epoch_seconds - before))
        first, one = self._seconds.get(self._variants[0]), self._seconds.get(self._full[0])
        if self._variants[0].quick and first and one:
            self._learnt.quick_loss = max(0.0, 1 - one / first)

    def _cost(self, variant: Variant, lanes: int) -> float:
        """Return what an epoch of these lanes takes with a variant, or may take, in turns if it must."""
        seconds = self._seconds.get(variant)
        if seconds is None:
            near = min((other for other in self._seconds if not other.quick), key=lambda o: abs(_doublings(o, variant)))
            gained = self._backend.gain ** max(-DOUBLINGS, min(DOUBLINGS, _doublings(near, variant)))
            seconds = self._seconds[near] * variant.lanes / near.lanes * gained
        return variant.turns_for(lanes) * seconds

    def _program(self, variant: Variant) -> FusedProgram:
        if variant not in self._programs:
            self._programs[variant] = self._backend.program(self.static, variant)
        return self._programs[variant]

    def _is_there(self, variant: Variant) -> bool:
        return self._program(variant).is_there


def lanes_that_fit(state_bytes: int) -> int:
    """Return how many lanes' states fit the second cache, as a power of two from 1 to :data:`MOST_LANES`.

    A lane takes five to ten times its state while it is trained, but not all of that at once: on four shapes of the
    demo's network the best number by trying was this one, or as fast (``benchmarks/fused_lanes.py``).
    """
    fits = second_cache_bytes() // max(1, state_bytes)
    return 1 << min(max(1, fits).bit_length() - 1, MOST_LANES.bit_length() - 1)


def powers(most: int) -> list[int]:
    """Return 1, 4, 16 ... up to a number, which is the last: each program has to be compiled."""
    return sorted({*(1 << power for power in range(0, most.bit_length(), 2)), most})


def _doublings(before: Variant, after: Variant) -> float:
    return math.log2(after.lanes / before.lanes)
