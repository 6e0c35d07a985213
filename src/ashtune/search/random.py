"""Random search: each trial's configuration is drawn independently from the space.

Trials are drawn in blocks, because drawing a thousand costs little more than drawing one. Block
``b`` has its own generator, seeded from ``(seed, b)``, so any trial can be had without drawing
those before it.

Rule: the streams are part of the file format. A change of the block's length, of the generator or
of the order of the draws changes what a resumed study does next.
"""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from ashtune.errors import SettingsError
from ashtune.search.lattice import Lattice
from ashtune.search.plain import fresh
from ashtune.search.protocol import Search, refuse_outside
from ashtune.search.space import Space
from ashtune.search.validity import draw, draw_allowed

if TYPE_CHECKING:
    import numpy as np

    from ashtune.search.lattice import Points
    from ashtune.search.validity import Vectors

BLOCK = 1024
_BLOCKS_KEPT = 4  # a resumed driver may ask for a few old trials among the new
_LARGEST_ENUMERATED = 100_000


class Random(Search, frozen=True):
    """Each trial's configuration is drawn independently from the space.

    Example:
        >>> Random().build(Space.parse({"x": (1, 4)}), seed=0).size
        4
    """

    def build(self, space: Space, seed: int) -> "RandomDesign":
        """Return the design; see :class:`~ashtune.search.protocol.Search`."""
        return RandomDesign(space, seed)


class RandomDesign:
    """Draw configurations at random.

    A finite space of at most 100,000 combinations gives each of its configurations exactly once:
    the draws in order, those already had left out. A larger finite space is treated as endless,
    where a repetition is improbable but possible, as it is in a space with a float that is not
    always active.

    Args:
        space: Where to draw from.
        seed: At least 0; the same seed gives the same trials.

    Raises:
        SettingsError: If the seed is negative or not an integer.
    """

    def __init__(self, space: Space, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise SettingsError(f"seed={seed!r} does not seed a generator; give an integer of at least 0")
        self._space = space
        self._seed = seed
        self._columns = [space.columns[name] for name in space.configuration_space]
        self._lattice = _lattice(space)
        # Memory must not grow with the trials: a block is drawn again when it is asked for again.
        self._block = lru_cache(maxsize=_BLOCKS_KEPT)(self._drawn_block)

    @property
    def size(self) -> int | None:
        """The number of distinct configurations of a small finite space; None otherwise."""
        return None if self._lattice is None else len(self._members)

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial; see :class:`~ashtune.search.protocol.Design`.

        Raises:
            SpaceError: If the space's clauses forbid nearly everything.
        """
        refuse_outside(trial, self.size)
        if self._lattice is not None:
            return self._lattice.configuration(int(self._order[trial]))
        block, row = divmod(trial, BLOCK)
        return fresh(self._block(block)[row])

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration; see :class:`~ashtune.search.protocol.Design`."""
        import numpy as np

        point = None if self._lattice is None else self._lattice.point(configuration)
        if point is None:
            return None
        trials: list[int] = np.flatnonzero(self._order == point).tolist()
        return trials[0] if trials else None

    def _generator(self, block: int) -> "np.random.RandomState":
        import numpy as np

        # RandomState's streams are frozen by numpy's policy (NEP 19); Generator's are not. The block
        # is a spawn key because SeedSequence([s, 0]) equals SeedSequence([s]).
        sequence = np.random.SeedSequence(self._seed, spawn_key=(block,))
        return np.random.RandomState(np.random.MT19937(sequence))

    def _drawn_block(self, block: int) -> list[dict[str, object]]:
        space = self._space.configuration_space
        return _configurations(self._space, draw(space, self._columns, BLOCK, self._generator(block)))

    @cached_property
    def _members(self) -> "Points":
        assert self._lattice is not None
        return self._lattice.members()

    @cached_property
    def _order(self) -> "Points":
        """The members in the order of their first draw, then those never drawn, shuffled.

        A plain shuffle would forget weights and log scales. As many draws as the lattice has points
        leave out about a third of evenly weighted members.
        """
        import numpy as np

        assert self._lattice is not None
        space = self._space.configuration_space
        blocks = -(-self._lattice.volume // BLOCK)
        drawn = np.concatenate(
            [
                self._lattice.points(draw_allowed(space, self._columns, BLOCK, self._generator(block)))
                for block in range(blocks)
            ]
        )
        _, first = np.unique(drawn, return_index=True)
        order = drawn[np.sort(first)]
        rest = self._generator(blocks).permutation(np.setdiff1d(self._members, order))
        return np.concatenate([order, rest])


def _lattice(space: Space) -> Lattice | None:
    """Return all combinations of a finite space, or None when it is infinite or large."""
    axes = {}
    for name, column in space.columns.items():
        values = column.every_value()
        if values is None:
            return None
        axes[name] = values
    lattice = Lattice(space, axes)
    return lattice if lattice.volume <= _LARGEST_ENUMERATED else None


def _configurations(space: Space, matrix: "Vectors") -> list[dict[str, object]]:
    """Return valid vectors, shape ``(hyperparameters, n)``, as ``n`` dicts."""
    import numpy as np

    configurations: list[dict[str, object]] = [{} for _ in range(matrix.shape[1])]
    for name, column in space.columns.items():
        row = matrix[space.configuration_space.index_of[name]]
        active = np.flatnonzero(~np.isnan(row))
        for index, value in zip(active.tolist(), column.values(row[active]), strict=True):
            configurations[index][name] = value
    return configurations
