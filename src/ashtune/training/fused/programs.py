"""A worker's programs: which of them the next call is of, and what it trains.

Which pay is learnt shape by shape while the study runs: :mod:`ashtune.training.fused.sizes`.
"""

from collections.abc import Mapping

from ashtune.training.fused.protocol import Backend, Program
from ashtune.training.fused.recipe import Static
from ashtune.training.fused.sizes import Call, Sizes


class Programs:
    """The programs of one worker.

    Args:
        backend: Makes them.
        lanes: Always this number of them; None for as many as is fastest.
    """

    def __init__(self, backend: Backend, lanes: int | None) -> None:
        self._backend = backend
        self._lanes = lanes
        self._sizes: dict[Static, Sizes] = {}
        self._programs: dict[tuple[Static, int], Program] = {}
        self._quick_lost = 1.0  # as the last shape that has shown it

    def meet(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return the most lanes that a shape may have; of a shape not seen before they are worked out.

        Raises:
            Exception: Whatever the user's functions raise.
        """
        if static not in self._sizes:
            most = self._lanes or self._backend.most_lanes(static, numbers)
            self._sizes[static] = Sizes(
                most,
                turns=min(self._backend.most_turns, most),
                gain=self._backend.gain,
                is_fixed=self._lanes is not None,
                is_quick=self._backend.is_quick,
                compile_seconds=self._backend.compile_seconds,
            )
        return self._sizes[static].most

    def most(self, static: Static) -> int:
        """Return the most lanes that a shape may have."""
        return self._sizes[static].most

    def is_at_another(self, static: Static) -> bool:
        """Whether nothing of a shape was trained here, and another worker compiles its first program."""
        sizes = self._sizes[static]
        return sizes.is_new and self._of(static, sizes.first).is_at_another

    def choose(self, static: Static, lanes: int, epochs: int) -> Program:
        """Return the program whose next call should train of so many lanes and epochs what it can."""
        size = self._sizes[static].choose(lanes, epochs, lambda size: self._of(static, size).is_there, self._quick_lost)
        return self._of(static, size)

    def alone_seconds(self, static: Static) -> float:
        """Return what an epoch of one lane takes at most, as far as that was seen."""
        return self._sizes[static].alone_seconds

    def call(self, static: Static, size: int, lanes: int, epochs: int) -> Call:
        """Return what the next call of a program should train of so many lanes and epochs."""
        return self._sizes[static].call(size, lanes, epochs)

    def trained(self, static: Static, size: int, epoch_seconds: float) -> None:
        """An epoch of the lanes that a program trains side by side took so long."""
        sizes = self._sizes[static]
        sizes.trained(size, epoch_seconds)
        if sizes.quick_lost is not None:
            self._quick_lost = sizes.quick_lost

    def compiled(self, static: Static, size: int, seconds: float) -> None:
        """Compiling a program of a shape took so long."""
        self._sizes[static].compiled(size, seconds)

    def _of(self, static: Static, size: int) -> Program:
        if (static, size) not in self._programs:
            self._programs[static, size] = self._backend.program(static, size, self._sizes[static].turns)
        return self._programs[static, size]
