"""Random and quasi-random search: a sequence of points in the unit cube, mapped to configurations.

The points come in blocks, because many cost little more than one. Block ``b`` is a pure function of the seed and ``b``.

Rule 1: trial ``i`` has the point ``i`` of the sequence. Where clauses forbid points, or a finite space has had its
configuration, the point is left out, so that trial ``i`` has point ``i`` of those that stay: to find it, those before
are drawn.
Rule 2: the sequence is part of the file format. A change of a block's length or of a map changes what a
resumed study does next.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias

from ashtune._src.core.errors import SpaceError
from ashtune._src.search.protocol import Search, refuse_outside
from ashtune._src.space.lattice import LARGEST_ENUMERATED, Lattice
from ashtune._src.space.plain import fresh
from ashtune._src.space.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points: TypeAlias = NDArray[np.float64]

BLOCK = 256
_BLOCKS_KEPT = 4  # a resumed driver may ask for a few old trials among the new
_EMPTY_BLOCKS = 4  # a space that forbids the configurations of all of these is refused rather than waited for


class DrawnDesign:
    """The configurations at the points of a sequence.

    A finite space of at most 100,000 combinations gives each of its configurations exactly once:
    in the order of the points, then those that no point fell on. A larger finite space is treated as endless,
    where a repetition is improbable but possible, as it is in a space with a float that is not
    always active.

    Args:
        space: Where the configurations come from.
        points: Returns a block of the sequence by its number, shape ``(BLOCK, hyperparameters)``, within [0, 1].
    """

    def __init__(self, space: Space, points: "Callable[[int], Points]") -> None:
        self._space = space
        self._points = points
        self._lattice = _lattice(space)
        self._order: list[int] = []  # of a finite space: trial -> point of the lattice
        self._had: set[int] = set()
        self._next_block = 0
        self._ends = [0]  # where clauses forbid: the trials in the first blocks, together
        # Memory must not grow with the trials: a block is drawn again when it is asked for again.
        self._block = lru_cache(maxsize=_BLOCKS_KEPT)(self._valid_configurations)

    @property
    def size(self) -> int | None:
        """The number of distinct configurations of a small finite space; None otherwise.

        Raises:
            SpaceError: If there is none, or hardly any.
        """
        if self._lattice is not None:
            return len(self._members)
        if self._space.rules.has_clauses:
            self._place(0)
        return None

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial; see :class:`~ashtune.searches.Design`.

        Raises:
            SpaceError: If nearly everything is forbidden.
        """
        refuse_outside(trial, self.size)
        if self._lattice is not None:
            while len(self._order) <= trial:
                self._extend_order(self._lattice)
            return self._lattice.configuration(self._order[trial])
        block, row = self._place(trial) if self._space.rules.has_clauses else divmod(trial, BLOCK)
        return fresh(self._block(block)[row])

    def find(self, configuration: Mapping[str, object]) -> int | None:
        point = None if self._lattice is None else self._lattice.point(configuration)
        return None if point is None else self._trials.get(point)

    def _valid_configurations(self, block: int) -> list[dict[str, object]]:
        """Return the configurations at the points of a block, without those that are forbidden."""
        configurations = self._space.at(self._points(block))
        if not self._space.rules.has_clauses:
            return configurations
        return [each for each in configurations if not self._space.rules.forbidding(each)]

    def _place(self, trial: int) -> tuple[int, int]:
        """Return the block of a trial, and its place there; points that are forbidden are left out."""
        empty = 0
        while self._ends[-1] <= trial:
            count = len(self._block(len(self._ends) - 1))
            self._ends.append(self._ends[-1] + count)
            empty = 0 if count else empty + 1
            if empty == _EMPTY_BLOCKS:
                raise SpaceError(
                    f"none of {_EMPTY_BLOCKS * BLOCK:,} draws was valid; narrow the ranges, or use a grid (valid and "
                    "forbidden clauses rule configurations out)"
                )
        block = bisect_right(self._ends, trial) - 1
        return block, trial - self._ends[block]

    @cached_property
    def _members(self) -> list[int]:
        assert self._lattice is not None
        if not (members := self._lattice.members()):
            raise SpaceError(f"none of the {self._lattice.volume:,} configurations is valid; widen the ranges")
        return members

    @cached_property
    def _trials(self) -> dict[int, int]:
        assert self._lattice is not None
        while len(self._order) < len(self._members):
            self._extend_order(self._lattice)
        return {point: trial for trial, point in enumerate(self._order)}

    def _extend_order(self, lattice: Lattice) -> None:
        """Add the configurations of the next block that were not had before, or at the end all that are left.

        A plain shuffle would forget weights and log scales. As many points as the lattice has leave out about a
        third of evenly weighted members.
        """
        if self._next_block * BLOCK < lattice.volume:
            new = [lattice.point(configuration) for configuration in self._valid_configurations(self._next_block)]
            self._next_block += 1
        else:
            left = [point for point in self._members if point not in self._had]
            keys: list[float] = []
            while len(keys) < len(left):
                keys += self._points(self._next_block)[:, 0].tolist()
                self._next_block += 1
            new = [point for _, point in sorted(zip(keys, left, strict=False))]
        for point in new:
            if point is not None and point not in self._had:
                self._had.add(point)
                self._order.append(point)


def _lattice(space: Space) -> Lattice | None:
    """Return all combinations of a finite space, or None when it is infinite or large."""
    axes = {}
    for name, column in space.columns.items():
        values = column.every_value()
        if values is None:
            return None
        axes[name] = values
    lattice = Lattice(space, axes)
    return lattice if lattice.volume <= LARGEST_ENUMERATED else None


class Random(Search, frozen=True):
    """Each trial's configuration is drawn independently from the space; a finite space is drawn once.

    Example:
        >>> Random().build(Space.parse({"x": (1, 4)}), seed=0).size
        4
    """

    def build(self, space: Space, seed: int) -> DrawnDesign:
        def points(block: int) -> "Points":
            import numpy as np

            # RandomState's streams are frozen by numpy's policy (NEP 19); Generator's are not. The block
            # is a spawn key because SeedSequence([s, 0]) equals SeedSequence([s]).
            sequence = np.random.SeedSequence(seed, spawn_key=(block,))
            numbers = np.random.RandomState(np.random.MT19937(sequence)).random_sample((BLOCK, space.draws))
            return space.random_points(numbers)

        return DrawnDesign(space, points)


class Sobol(Search, frozen=True):
    """Trials follow a scrambled Sobol sequence: the first ``2**k`` of them are spread evenly over the space.

    Source: Sobol, *On the distribution of points in a cube*, USSR Comput. Math. Math. Phys. 7(4), 1967; scrambled after
    Matousek, *On the L2-discrepancy for anchored boxes*, J. Complexity 14(4), 1998, as in ``scipy.stats.qmc.Sobol``.
    Conditions and forbidden clauses are kept to; a finite space is tried once.

    Example:
        >>> design = Sobol().build(Space.parse({"x": (0.0, 1.0)}), seed=0)
        >>> sorted(int(design.configuration(trial)["x"] * 8) for trial in range(8))
        [0, 1, 2, 3, 4, 5, 6, 7]
    """

    def build(self, space: Space, seed: int) -> DrawnDesign:
        return DrawnDesign(space, _Sequence(len(space.names), seed).block)


class _Sequence:
    """A scrambled sequence in blocks, any of which can be had without those before."""

    def __init__(self, width: int, seed: int) -> None:
        import numpy as np
        from scipy.stats import qmc

        self._sequence = qmc.Sobol(width, scramble=True, seed=np.random.default_rng(seed))

    def block(self, block: int) -> "Points":
        """Return a block, shape ``(BLOCK, width)``. O(trials before it), 0.1 us each, unless it is the next one."""
        sequence = self._sequence
        if sequence.num_generated > block * BLOCK:
            sequence.reset()
        if sequence.num_generated < block * BLOCK:
            sequence.fast_forward(block * BLOCK - sequence.num_generated)
        points: Points = sequence.random(BLOCK)
        return points
