"""Random and quasi-random search, which map a sequence of points in the unit cube to
configurations.

Points are computed in blocks, because a block takes little more time than one point. Block ``b`` of
the sequence is a pure function of the seed and ``b``.

Rule 1: trial ``i`` gets the allowed point number ``i``, counted from 0. A point is not allowed if
its configuration is forbidden. In a finite space, a point is also not allowed if its configuration
repeats an earlier configuration. If a space has points that are not allowed, all earlier points
must be drawn to find the point of a trial.
Rule 2: the sequence is part of the file format, because another sequence would change the next
trials of a resumed study.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from ashtune._src.core.errors import SpaceError
from ashtune._src.search.lattice import Lattice, lattice_of
from ashtune._src.search.search_protocol import Search, refuse_outside
from ashtune._src.space.plain import fresh
from ashtune._src.space.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points: TypeAlias = NDArray[np.float64]

BLOCK = 256
_BLOCKS_KEPT = 4  # after a resume, the driver may need the configurations of a few old trials
_EMPTY_BLOCKS = 4  # a space is refused if all configurations in this many blocks are forbidden


class DrawnDesign:
    """A design that maps the points of a sequence to configurations.

    In a finite space of at most 100,000 combinations, the design gives each configuration exactly
    once. In a larger finite space, the design never ends and may rarely repeat a configuration. A
    configuration may also be repeated if a float hyperparameter of the space is not always active.

    Args:
        space: The search space.
        points: A function that takes the number of a block and returns this block of the sequence,
            shape ``(BLOCK, hyperparameters)``, within [0, 1].
    """

    def __init__(self, space: Space, points: "Callable[[int], Points]") -> None:
        self._space = space
        self._points = points
        self._lattice = lattice_of(space)
        self._order: list[int] = []  # in a finite space: trial -> point of the lattice
        self._had: set[int] = set()
        self._next_block = 0
        self._ends = [0]  # with forbidden clauses: the total number of trials up to each block
        # Only a few blocks are kept, so that memory does not grow. Other blocks are drawn again
        # when they are needed.
        self._block = lru_cache(maxsize=_BLOCKS_KEPT)(self._valid_configurations)

    @property
    def size(self) -> int | None:
        """The number of distinct configurations of a small finite space; None for any other space.

        Raises:
            SpaceError: If all configurations, or nearly all, are forbidden.
        """
        if self._lattice is not None:
            return len(self._members)
        if self._space.rules.has_clauses:
            self._place(0)
        return None

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial; see :class:`~ashtune.searches.Design`.

        Raises:
            SpaceError: If nearly all configurations are forbidden.
        """
        refuse_outside(trial, self.size)
        if self._lattice is not None:
            while len(self._order) <= trial:
                self._extend_order(self._lattice)
            return self._lattice.configuration(self._order[trial])
        if self._space.rules.has_clauses:
            block, row = self._place(trial)
        else:
            block, row = divmod(trial, BLOCK)
        return fresh(self._block(block)[row])

    def find(self, configuration: Mapping[str, object]) -> int | None:
        if self._lattice is None:
            return None
        point = self._lattice.point(configuration)
        if point is None:
            return None
        return self._trials.get(point)

    def _valid_configurations(self, block: int) -> list[dict[str, object]]:
        configurations = self._space.at(self._points(block))
        if not self._space.rules.has_clauses:
            return configurations
        return [each for each in configurations if not self._space.rules.forbidding(each)]

    def _place(self, trial: int) -> tuple[int, int]:
        """Return the block of a trial, and the trial's index among the
        allowed points of the block.
        """
        empty = 0
        while self._ends[-1] <= trial:
            count = len(self._block(len(self._ends) - 1))
            self._ends.append(self._ends[-1] + count)
            empty = 0 if count else empty + 1
            if empty == _EMPTY_BLOCKS:
                raise SpaceError(
                    f"none of {_EMPTY_BLOCKS * BLOCK:,} random configurations was allowed: valid=, "
                    "or the forbidden clauses, exclude nearly all of them; narrow the ranges, or "
                    "use a grid"
                )
        block = bisect_right(self._ends, trial) - 1
        return block, trial - self._ends[block]

    @cached_property
    def _members(self) -> list[int]:
        assert self._lattice is not None
        members = self._lattice.members()
        if not members:
            raise SpaceError(
                f"none of the {self._lattice.volume:,} configurations is allowed: valid=, or the "
                "forbidden clauses, exclude all of them; widen the ranges"
            )
        return members

    @cached_property
    def _trials(self) -> dict[int, int]:
        assert self._lattice is not None
        while len(self._order) < len(self._members):
            self._extend_order(self._lattice)
        return {point: trial for trial, point in enumerate(self._order)}

    def _extend_order(self, lattice: Lattice) -> None:
        """Append the new configurations of the next block. After enough blocks, append all
        configurations that were not drawn.

        A plain shuffle of all configurations would ignore weights and log scales. With equal
        weights, ``n`` random points miss about a third of ``n`` configurations.
        """
        if self._next_block * BLOCK < lattice.volume:
            new = [
                lattice.point(configuration)
                for configuration in self._valid_configurations(self._next_block)
            ]
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


class Random(Search, frozen=True):
    """Draw configurations independently and at random; in a finite space, draw each configuration
    once.

    Example:
        >>> Random().build(Space.parse({"x": (1, 4)}), seed=0).size
        4
    """

    def build(self, space: Space, seed: int) -> DrawnDesign:
        return random_design(space, seed)


def random_design(space: Space, seed: int, covering: int = 0) -> DrawnDesign:
    """Return a random design. Its first ``covering`` points (at most ``BLOCK``) cover the space
    evenly.

    These points are a Latin hypercube: if each range is cut into ``covering`` equal parts, each
    part has one point.

    Source: McKay, Beckman, Conover, *A Comparison of Three Methods for Selecting Values of Input
    Variables*, Technometrics 21(2), 1979.
    """

    def points(block: int) -> "Points":
        numbers = _random_numbers(space, seed, block)
        if block == 0 and covering:
            first = numbers[:covering]
            # The ranks of independent random numbers are a random permutation, which assigns a part
            # of the range to each point. A Sobol sequence would be as good (decision 82), but the
            # import of scipy's Sobol sequence takes longer than the first trials.
            parts = first.argsort(axis=0).argsort(axis=0)
            numbers[:covering] = (parts + first * len(first) % 1) / len(first)
        return space.random_points(numbers)

    return DrawnDesign(space, points)


def _random_numbers(space: Space, seed: int, *key: int) -> "Points":
    """Return the random numbers of one block of configurations, shape ``(BLOCK, draws)``."""
    import numpy as np

    # numpy guarantees that RandomState always draws the same numbers (NEP 19), but Generator may
    # change. The block's number is a spawn key, because SeedSequence([s, 0]) equals
    # SeedSequence([s]).
    sequence = np.random.SeedSequence(seed, spawn_key=key)
    return np.random.RandomState(np.random.MT19937(sequence)).random_sample((BLOCK, space.draws))


def completed(
    space: Space, configurations: Iterable[Mapping[str, object]], seed: int
) -> list[dict[str, object]]:
    """Return a user's configurations in plain values. Hyperparameters that are not given are drawn
    at random.

    If possible, each configuration differs from all previous configurations. The random draws
    depend on the seed and on the configuration's index, which is the number of its trial.

    Raises:
        SpaceError: If ``BLOCK`` draws give no valid configuration in which all hyperparameters that
            the user gave are active.
    """
    found: list[dict[str, object]] = []
    for trial, configuration in enumerate(configurations):
        # The key has two numbers, so it differs from the keys of the design's blocks.
        points = space.random_points(_random_numbers(space, seed, trial, BLOCK))
        drawn = space.completions(configuration, points)
        first = next(drawn)
        found.append(next((each for each in chain([first], drawn) if each not in found), first))
    return found


class Sobol(Search, frozen=True):
    """Follow a scrambled Sobol sequence: the first ``2**k`` trials are spread evenly over the
    space.

    Source: Sobol, *On the distribution of points in a cube*, USSR Comput. Math. Math. Phys. 7(4),
    1967; scrambled after Matousek, *On the L2-discrepancy for anchored boxes*, J. Complexity 14(4),
    1998, as in ``scipy.stats.qmc.Sobol``. The search obeys conditions and forbidden clauses. In a
    finite space, each configuration is given once.

    Example:
        >>> design = Sobol().build(Space.parse({"x": (0.0, 1.0)}), seed=0)
        >>> sorted(int(design.configuration(trial)["x"] * 8) for trial in range(8))
        [0, 1, 2, 3, 4, 5, 6, 7]
    """

    def build(self, space: Space, seed: int) -> DrawnDesign:
        return DrawnDesign(space, _Sequence(len(space.names), seed).block)


class _Sequence:
    """A scrambled Sobol sequence, divided into blocks that can be read in any order."""

    def __init__(self, width: int, seed: int) -> None:
        import numpy as np
        from scipy.stats import qmc

        self._sequence = qmc.Sobol(width, scramble=True, seed=np.random.default_rng(seed))

    def block(self, block: int) -> "Points":
        """Return a block, shape ``(BLOCK, width)``. If blocks are skipped, each skipped trial takes
        0.1 microseconds.
        """
        sequence = self._sequence
        if sequence.num_generated > block * BLOCK:
            sequence.reset()
        if sequence.num_generated < block * BLOCK:
            sequence.fast_forward(block * BLOCK - sequence.num_generated)
        points: Points = sequence.random(BLOCK)
        return points
