"""Quasi-random search: points that leave no part of the space empty, where random ones cluster.

Source: Sobol, *On the distribution of points in a cube*, USSR Comput. Math. Math. Phys. 7(4), 1967; scrambled after
Matousek, *On the L2-discrepancy for anchored boxes*, J. Complexity 14(4), 1998, as in ``scipy.stats.qmc.Sobol``.
"""

from typing import TYPE_CHECKING

from ashtune.core.errors import SpaceError
from ashtune.search.protocol import Search
from ashtune.search.random import BLOCK, DrawnDesign, check_seed
from ashtune.space.space import Space

if TYPE_CHECKING:
    from ashtune.search.random import Points

MOST_HYPERPARAMETERS = 21_201
"""Joe and Kuo's table of direction numbers ends here."""


class Sobol(Search, frozen=True):
    """Trials follow a scrambled Sobol sequence: the first ``2**k`` of them are spread evenly over the space.

    Conditions and forbidden clauses are kept to; a finite space is tried once.

    Example:
        >>> design = Sobol().build(Space.parse({"x": (0.0, 1.0)}), seed=0)
        >>> sorted(int(design.configuration(trial)["x"] * 8) for trial in range(8))
        [0, 1, 2, 3, 4, 5, 6, 7]
    """

    def build(self, space: Space, seed: int) -> DrawnDesign:
        """Return the design; see :class:`~ashtune.search.protocol.Search`.

        Raises:
            SettingsError: If the seed is negative or not an integer.
            SpaceError: If the space has more than 21,201 hyperparameters.
        """
        check_seed(seed)
        if len(space.names) > MOST_HYPERPARAMETERS:
            raise SpaceError(
                f"a Sobol sequence has at most {MOST_HYPERPARAMETERS:,} hyperparameters and this space "
                f"{len(space.names):,}; search at random"
            )
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
