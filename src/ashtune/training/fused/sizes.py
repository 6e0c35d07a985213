"""With how many lanes a pack is trained, learnt while a study runs: programs are rented until buying one has paid.

A program of another number of lanes has to be compiled, which takes as long as hundreds of epochs of a small model. So
a pack is trained with the numbers that are there, some lanes idle or in several turns, and what another number would
have saved is added up. Once that is what compiling takes, it is compiled: for at most twice the cost of who had known
before (Karlin et al., Algorithmica 1988, on renting skis). What a number takes is measured on the study's own epochs;
of those that are not there yet it is guessed from the nearest that is. The first has one lane: the upper rungs, which
have as many epochs as the lower ones, have few trials of a shape. What another worker has bought is there for all.

Rule: a shape for which lanes are no faster than one after another is trained one after another, as measured.
"""

import math
from collections.abc import Callable

GAIN = 0.8
"""What twice as many lanes are guessed to need for each, of what half of them does: as on four shapes of the demo's
network (0.78, 0.62, 0.58 and 0.53 with 2, 4, 8 and 16 lanes, ``benchmarks/fused_lanes.py``)."""
WIDEST = 4
"""Up to so many times the lanes that there are, a program that is there is taken before one is compiled."""
DOUBLINGS = 3
"""After so many nothing more is guessed to be gained."""
RECENT = 0.3
"""How much the last measurement counts against those before."""


class Sizes:
    """The numbers of lanes of one shape's programs.

    Args:
        most: The largest.
        is_fixed: Whether it is the only one, whatever a pack has.
        compile_seconds: What compiling is taken to need before the first time.
    """

    def __init__(self, most: int, *, is_fixed: bool = False, compile_seconds: float = 1.0) -> None:
        self.most = most
        self._all = [most] if is_fixed else powers(most)
        self._epoch_seconds: dict[int, float] = {}
        self._saved: dict[int, float] = {}  # what each number that is not there would have saved
        self._compile_seconds = compile_seconds

    @property
    def is_new(self) -> bool:
        """Whether nothing was trained yet."""
        return not self._epoch_seconds

    @property
    def first(self) -> int:
        """The number of lanes of the first program."""
        return self._all[0]

    def choose(self, lanes: int, epochs: int, is_there: Callable[[int], bool] = lambda _: False) -> int:
        """Return how many lanes the program should have for a pack of so many and so many epochs.

        If that is less than the pack has, the rest is trained after it.

        Args:
            lanes: Of the pack.
            epochs: Of the pack.
            is_there: Whether the program of a number need not be compiled, as another worker has.
        """
        if len(self._all) == 1:
            return self.most
        if self.is_new:
            return self._first_of(lanes, [size for size in self._all if is_there(size)])
        there = min(self._epoch_seconds, key=lambda size: self._cost(size, lanes))
        wanted = min(self._all, key=lambda size: self._cost(size, lanes))
        if wanted in self._epoch_seconds or is_there(wanted):
            return wanted
        share = min(1.0, there / lanes)  # of the pack that is trained now; for the rest this is asked again
        gain = epochs * (self._cost(there, lanes) - self._cost(wanted, lanes)) * share
        self._saved[wanted] = self._saved.get(wanted, 0.0) + gain
        return wanted if self._saved[wanted] >= self._compile_seconds else there

    def _first_of(self, lanes: int, there: list[int]) -> int:
        """Return the largest number that so many lanes fill, of those that are there; or one with a few empty lanes."""
        wide = min((size for size in there if size <= WIDEST * lanes), default=self.first)
        return max((size for size in there if size <= lanes), default=wide)

    def compiled(self, seconds: float) -> None:
        """A program was compiled, in so many seconds."""
        self._compile_seconds = seconds

    def trained(self, size: int, epoch_seconds: float) -> None:
        """A program of a size took so long for an epoch of all its lanes."""
        before = self._epoch_seconds.get(size, epoch_seconds)
        self._epoch_seconds[size] = min(epoch_seconds, before + RECENT * (epoch_seconds - before))

    def epoch_seconds(self, size: int) -> float | None:
        """Return what an epoch of all lanes takes; None if that was never seen."""
        return self._epoch_seconds.get(size)

    def _cost(self, size: int, lanes: int) -> float:
        """Return what an epoch of so many lanes takes or may take with a program of a size, in turns if it must."""
        turns = -(-lanes // size)
        known = self._epoch_seconds.get(size)
        if known is not None:
            return turns * known
        nearest = min(self._epoch_seconds, key=lambda there: abs(math.log2(there / size)))
        gain: float = GAIN ** (_doublings(size) - _doublings(nearest))
        return turns * size * gain * self._epoch_seconds[nearest] / nearest


def _doublings(size: int) -> float:
    return min(DOUBLINGS, math.log2(size))


def powers(most: int) -> list[int]:
    """Return 1, 4, 16 ... up to a number, which is the last: each program has to be compiled."""
    return sorted({*(1 << power for power in range(0, most.bit_length(), 2)), most})
