"""Random search: each trial's configuration is drawn independently from the space."""

from typing import TYPE_CHECKING

from ashtune.core.errors import SettingsError
from ashtune.search.drawn import BLOCK, DrawnDesign
from ashtune.search.protocol import Search
from ashtune.space.space import Space

if TYPE_CHECKING:
    from ashtune.search.drawn import Points


class Random(Search, frozen=True):
    """Each trial's configuration is drawn independently from the space; a finite space is drawn once.

    Example:
        >>> Random().build(Space.parse({"x": (1, 4)}), seed=0).size
        4
    """

    def build(self, space: Space, seed: int) -> DrawnDesign:
        """Return the design; see :class:`~ashtune.search.protocol.Search`.

        Raises:
            SettingsError: If the seed is negative or not an integer.
        """
        check_seed(seed)
        width = len(space.names)

        def points(block: int) -> "Points":
            import numpy as np

            # RandomState's streams are frozen by numpy's policy (NEP 19); Generator's are not. The block
            # is a spawn key because SeedSequence([s, 0]) equals SeedSequence([s]).
            sequence = np.random.SeedSequence(seed, spawn_key=(block,))
            return np.random.RandomState(np.random.MT19937(sequence)).random_sample((BLOCK, width))

        return DrawnDesign(space, points)


def check_seed(seed: int) -> None:
    """Refuse a seed that seeds no generator.

    Raises:
        SettingsError: If it is negative or not an integer.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingsError(f"seed={seed!r} does not seed a generator; give an integer of at least 0")
