"""With which program a pack is trained, learnt while a study runs: programs are rented until buying one has paid.

A program of another number of lanes has to be compiled, which takes as long as hundreds of epochs of a small model. So
a pack is trained with those that are there, in several turns or some lanes empty, and what another one would have saved
is added up. Once that is what compiling takes, it is compiled: for at most twice the cost of who had known before
(Karlin et al., Algorithmica 1988, on renting skis). What a program takes is measured on the study's own epochs; what
one would take that is not there yet is guessed from the nearest. What another worker has bought is there for all.

A program's size is how many lanes it trains side by side. One of size 1 trains one lane after another, and so does that
of size :data:`QUICK`, with which a shape begins: it is compiled in less time, and trains more slowly.

Rule: a shape for which lanes are no faster than one after another is trained one after another, as measured.
"""

import math
from collections.abc import Callable

QUICK = 0
"""The size of a program for one lane that is quickly compiled."""
QUICK_EPOCH, QUICK_COMPILING = 1.1, 0.6
"""What it is guessed to need of what that of size 1 does, for an epoch and to be compiled (as ``QUICKLY`` says)."""
GAIN = 0.95
"""What twice as many lanes are guessed to need for each, of what half of them does: of the demo's twelve shapes 16 side
by side need 0.68 to 1.09 of what one after another do, 0.90 in the mean."""
WIDEST = 4
"""Up to so many times the lanes that there are, a program that is there is taken before one is compiled."""
DOUBLINGS = 4
"""After so many nothing more is guessed to be gained."""
RECENT = 0.3
"""How much the last measurement counts against those before."""


class Sizes:
    """The sizes of one shape's programs.

    Args:
        most: The largest.
        turns: How many lanes a call of a program for one can train, one after another.
        is_fixed: Whether it is the only one, whatever a pack has.
        is_quick: Whether there is one that is quickly compiled.
        compile_seconds: What compiling one of size 1 or more is taken to need before the first time.
    """

    def __init__(
        self,
        most: int,
        *,
        turns: int = 1,
        is_fixed: bool = False,
        is_quick: bool = False,
        compile_seconds: float = 1.0,
    ) -> None:
        self.most = most
        self.turns = turns
        self._all = [most] if is_fixed else [QUICK] * is_quick + powers(most)
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
        return self._all[0]

    @property
    def alone_seconds(self) -> float:
        """What an epoch of one lane takes at most; 0 if that was never seen."""
        return max((self._epoch_seconds.get(size, 0.0) for size in (QUICK, 1)), default=0.0)

    def choose(self, lanes: int, epochs: int, is_there: Callable[[int], bool] = lambda _: False) -> int:
        """Return the size of the program for a pack of so many lanes and so many epochs.

        If its lanes are fewer than the pack's, the rest is trained after it.

        Args:
            lanes: Of the pack.
            epochs: Of the pack.
            is_there: Whether the program of a size need not be compiled, as another worker has.
        """
        if len(self._all) == 1:
            return self._all[0]
        if self.is_new:
            return self._first_of(lanes, [size for size in self._all if is_there(size)])
        there = min(self._epoch_seconds, key=lambda size: self._cost(size, lanes))
        wanted = min(self._all, key=lambda size: self._cost(size, lanes))
        if wanted in self._epoch_seconds or is_there(wanted):
            return wanted
        called = there if there > 1 else self.turns
        share = min(1.0, called / lanes)  # of the pack that is trained now; for the rest this is asked again
        gain = epochs * (self._cost(there, lanes) - self._cost(wanted, lanes)) * share
        self._saved[wanted] = self._saved.get(wanted, 0.0) + gain
        return wanted if self._saved[wanted] >= self._compile_seconds else there

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

    def epoch_seconds(self, size: int) -> float | None:
        """Return what an epoch of the lanes takes that a program trains side by side; None if that was never seen."""
        return self._epoch_seconds.get(size)

    def _cost(self, size: int, lanes: int) -> float:
        """Return what an epoch of so many lanes takes or may take with a program of a size, in turns if it must."""
        turns = turns_of(size, lanes)
        known = self._epoch_seconds.get(size)
        if known is not None:
            return turns * known
        nearest = min(self._epoch_seconds, key=lambda there: abs(_doublings(there) - _doublings(size)))
        lane = self._epoch_seconds[nearest] / side_by_side(nearest) / _guess(nearest)
        return turns * side_by_side(size) * _guess(size) * lane


def side_by_side(size: int) -> int:
    """Return how many lanes a program of a size trains at the same time."""
    return max(1, size)


def turns_of(size: int, lanes: int) -> int:
    """Return in how many turns a program of a size trains so many lanes."""
    return -(-lanes // side_by_side(size))


def _guess(size: int) -> float:
    """Return what a lane of a program is guessed to take, of what it does with that of size 1."""
    guess: float = QUICK_EPOCH if size == QUICK else GAIN ** min(DOUBLINGS, _doublings(size))
    return guess


def _doublings(size: int) -> float:
    return math.log2(side_by_side(size))


def powers(most: int) -> list[int]:
    """Return 1, 4, 16 ... up to a number, which is the last: each program has to be compiled."""
    return sorted({*(1 << power for power in range(0, most.bit_length(), 2)), most})
