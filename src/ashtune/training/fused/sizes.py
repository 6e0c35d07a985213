"""With which program a pack is trained, learnt while a study runs: programs are rented until buying one has paid.

A program's size is how many lanes it trains side by side. That of size 1 trains one lane after another, and so does
that of size :data:`QUICK`, with which a shape begins: it is compiled in less time, and trains more slowly.

Another program has to be compiled, which takes as long as hundreds of epochs of a small model. So a pack is trained
with those that are there, in several turns or some lanes empty, and what another one would have saved is added up. Once
that is what compiling takes, it is compiled: for about twice the cost of who had known before (Karlin et al.,
Algorithmica 1988, on renting skis), as far as what it would have saved was guessed right. How much slower the quickly
compiled one is cannot be guessed (1.1 times for a perceptron, 1.5 for a convolution): all of its time counts as lost,
until another shape has shown what it is.
What a program takes is measured on the study's own epochs; what a size would take that is not there yet is guessed from
the nearest that is. What another worker has bought is there for all.

Rule: a shape for which lanes are no faster than one after another is trained one after another, as measured.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from ashtune.training.fused.computation import MOST_EPOCHS

QUICK = 0
"""The size of a program for one lane that is quickly compiled."""
QUICK_COMPILING = 0.6
"""What compiling it is guessed to need of what that of size 1 does."""
DOUBLINGS = 4
"""Past so many from what was measured nothing more is guessed to be gained."""
WIDEST = 4
"""Up to so many times the lanes that there are, a program that is there is taken before one is compiled."""
RECENT = 0.3
"""How much the last measurement counts against those before."""
CALL_SECONDS = 0.25
"""About how long a call of a program takes: between two of them the driver is heard."""


class Call(NamedTuple):
    """How many lanes a call of a program trains, and for how many epochs."""

    lanes: int
    epochs: int


class Sizes:
    """The sizes of one shape's programs.

    Args:
        most: The largest.
        turns: How many lanes a call of a program for one can train, one after another.
        gain: What twice as many lanes are guessed to need for each, of what half of them does.
        is_fixed: Whether the largest is the only one, whatever a pack has.
        is_quick: Whether there is one that is quickly compiled.
        compile_seconds: What compiling one of size 1 or more is taken to need before the first time.
    """

    def __init__(
        self,
        most: int,
        *,
        turns: int = 1,
        gain: float = 0.9,
        is_fixed: bool = False,
        is_quick: bool = False,
        compile_seconds: float = 1.0,
    ) -> None:
        self.most = most
        self.turns = turns
        self._gain = gain
        self._full = [most] if is_fixed else powers(most)
        self._has_quick = is_quick and not is_fixed
        self._epoch_seconds: dict[int, float] = {}
        self._saved: dict[int, float] = {}  # what each that is not there would have saved
        self._compile_seconds = compile_seconds

    @property
    def is_new(self) -> bool:
        """Whether nothing was trained yet."""
        return not self._epoch_seconds

    @property
    def first(self) -> int:
        """The size of the first program."""
        return QUICK if self._has_quick else self._full[0]

    @property
    def alone_seconds(self) -> float:
        """What an epoch of one lane takes at most; 0 if that was never seen."""
        return max(self._epoch_seconds.get(size, 0.0) for size in (QUICK, 1))

    def call(self, size: int, lanes: int, epochs: int) -> Call:
        """Return what the next call of a program should train of so many lanes and epochs: not for too long.

        A program that has trained nothing yet is asked for one epoch of as few lanes as it can.
        """
        in_turn = side_by_side(size) == 1
        lanes = min(lanes, self.turns if in_turn else size)
        known = self._epoch_seconds.get(size)
        if known is None:
            return Call(1 if in_turn else lanes, 1)
        if in_turn:
            lanes = max(1, min(lanes, int(CALL_SECONDS / known)))
        return Call(lanes, max(1, min(epochs, MOST_EPOCHS, int(CALL_SECONDS / (known * turns_of(size, lanes))))))

    @property
    def quick_lost(self) -> float | None:
        """The share of its time that the quickly compiled program loses against that of size 1; None if not known."""
        quick, one = (self._epoch_seconds.get(size) for size in (QUICK, 1))
        return None if quick is None or one is None else max(0.0, 1 - one / quick)

    def choose(
        self,
        lanes: int,
        epochs: int,
        is_there: Callable[[int], bool] = lambda _: False,
        quick_lost: float = 1.0,
    ) -> int:
        """Return the size of the program whose next call should train of so many lanes and epochs what it can.

        Args:
            lanes: Of the pack.
            epochs: Of the pack.
            is_there: Whether the program of a size need not be compiled, as another worker has.
            quick_lost: The share of its time that the quickly compiled program is taken to lose.
        """
        if len(self._full) == 1 and not self._has_quick:
            return self.most
        if self.is_new:
            quick = [QUICK] if self._has_quick and is_there(QUICK) else []
            return self._first_of(lanes, [*quick, *filter(is_there, self._full)])
        if self._epoch_seconds.keys() == {QUICK}:
            return self._after_the_quick(lanes, epochs, list(filter(is_there, self._full)), quick_lost)
        there = min(self._epoch_seconds, key=lambda size: self._cost(size, lanes))
        wanted = min([there, *self._full], key=lambda size: self._cost(size, lanes))  # of equal ones what is there
        if wanted in self._epoch_seconds or is_there(wanted):
            return wanted
        call = self.call(there, lanes, epochs)
        saved = call.epochs * (self._cost(there, lanes) - self._cost(wanted, lanes)) * call.lanes / lanes
        return wanted if self._rent(wanted, saved) else there

    def _after_the_quick(self, lanes: int, epochs: int, there: list[int], lost: float) -> int:
        """Return what follows the quickly compiled program: what another worker has, or that of size 1 in its time."""
        if there:
            return self._first_of(lanes, there)
        call = self.call(QUICK, lanes, epochs)
        return 1 if self._rent(1, lost * call.epochs * call.lanes * self._epoch_seconds[QUICK]) else QUICK

    def _rent(self, size: int, saved: float) -> bool:
        """Count what a size that is not there would have saved; return whether it would have paid."""
        self._saved[size] = self._saved.get(size, 0.0) + saved
        return self._saved[size] >= self._compile_seconds

    def _first_of(self, lanes: int, there: list[int]) -> int:
        """Return the largest size that so many lanes fill, of those that are there; or one with a few empty lanes."""
        wide = min((size for size in there if size <= WIDEST * lanes), default=self.first)
        return max((size for size in there if size <= lanes), default=wide)

    def compiled(self, size: int, seconds: float) -> None:
        """A program was compiled, in so many seconds."""
        self._compile_seconds = seconds / QUICK_COMPILING if size == QUICK else seconds

    def trained(self, size: int, epoch_seconds: float) -> None:
        """A program took so long for an epoch of the lanes that it trains side by side."""
        before = self._epoch_seconds.get(size, epoch_seconds)
        self._epoch_seconds[size] = min(epoch_seconds, before + RECENT * (epoch_seconds - before))

    def _cost(self, size: int, lanes: int) -> float:
        """Return what an epoch of so many lanes takes or may take with a program of a size, in turns if it must."""
        known = self._epoch_seconds.get(size)
        if known is None:
            nearest = min(self._epoch_seconds.keys() - {QUICK}, key=lambda there: abs(_doublings(there, size)))
            doublings = max(-DOUBLINGS, min(DOUBLINGS, _doublings(nearest, size)))
            known = size * self._gain**doublings * self._epoch_seconds[nearest] / nearest
        return turns_of(size, lanes) * known


def side_by_side(size: int) -> int:
    """Return how many lanes a program of a size trains at the same time."""
    return max(1, size)


def turns_of(size: int, lanes: int) -> int:
    """Return in how many turns a program of a size trains so many lanes."""
    return -(-lanes // side_by_side(size))


def _doublings(before: int, after: int) -> float:
    return math.log2(after / before)


def powers(most: int) -> list[int]:
    """Return 1, 4, 16 ... up to a number, which is the last: each program has to be compiled."""
    return sorted({*(1 << power for power in range(0, most.bit_length(), 2)), most})
