"""Finite products: every configuration that a list of values per hyperparameter allows.

A point is a number written in mixed radix, one digit a hyperparameter, the last digit fastest.
Where a hyperparameter is inactive its digit does not matter, and the point with digit 0 stands for
them all: so each configuration has exactly one point, and no set of those seen is needed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from ashtune.search.plain import fresh
from ashtune.search.space import Space
from ashtune.search.validity import settle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ashtune.search.validity import Vectors

    Points: TypeAlias = NDArray[np.int64]

_CHUNK = 65_536  # points looked at together; bounds the memory of an enumeration


class Lattice:
    """All combinations of some values of each hyperparameter.

    Args:
        space: The space that the values lie in.
        axes: The values of each hyperparameter, ascending, by name in the order of ``space.names``.
            Ranges stay ranges: no product and no axis is written out before it is needed.

    Attributes:
        volume: The number of points, valid or not.
        is_constrained: Whether conditions or forbidden clauses make some points no configurations.
    """

    def __init__(self, space: Space, axes: Mapping[str, Sequence[object]]) -> None:
        self.volume = math.prod(len(values) for values in axes.values())
        within = space.configuration_space
        self.is_constrained = bool(within.conditions or within.forbidden_clauses)
        self._space = space
        self._axes = axes

    def configuration(self, point: int) -> dict[str, object]:
        """Return the configuration at a point. O(hyperparameters)."""
        values: list[object] = []
        for axis in reversed(list(self._axes.values())):
            point, digit = divmod(point, len(axis))
            values.append(axis[digit])
        configuration = dict(zip(self._axes, reversed(values), strict=True))
        if self.is_constrained:
            for name in self._inactive(configuration):
                del configuration[name]
        return fresh(configuration)

    def point(self, configuration: Mapping[str, object]) -> int | None:
        """Return the point of a configuration, the inverse of :meth:`configuration`; None if it is not here."""
        point = 0
        for name, axis in self._axes.items():
            point *= len(axis)
            if name in configuration:
                try:
                    point += axis.index(configuration[name])
                except ValueError:
                    return None
        return point

    def members(self) -> "Points":
        """Return the points that are valid, distinct configurations, ascending. O(volume)."""
        import numpy as np

        if not self.is_constrained:
            return np.arange(self.volume)
        return np.concatenate(list(self._valid_chunks()))

    def points(self, matrix: "Vectors") -> "Points":
        """Return the points of valid vectors, shape ``(hyperparameters, n)`` to ``(n,)``."""
        import numpy as np

        points = np.zeros(matrix.shape[1], dtype=np.int64)
        for name, vectors in self._axis_vectors.items():
            row = matrix[self._space.configuration_space.index_of[name]]
            # To the nearest value, because a logarithm may differ in its last bit.
            digits = np.searchsorted((vectors[1:] + vectors[:-1]) / 2, np.nan_to_num(row, nan=-1.0))
            points = points * len(vectors) + digits
        return points

    def _inactive(self, configuration: dict[str, object]) -> list[str]:
        import numpy as np

        rows = self._space.configuration_space.index_of
        matrix = np.empty((len(configuration), 1))
        for name, value in configuration.items():
            matrix[rows[name]] = self._space.columns[name].vectors([value])
        settle(self._space.configuration_space, matrix)
        return [name for name in configuration if np.isnan(matrix[rows[name], 0])]

    @cached_property
    def _axis_vectors(self) -> dict[str, "Vectors"]:
        return {name: self._space.columns[name].vectors(values) for name, values in self._axes.items()}

    def _valid_chunks(self) -> Iterator["Points"]:
        import numpy as np

        within = self._space.configuration_space
        shape = [len(values) for values in self._axes.values()]
        for start in range(0, self.volume, _CHUNK):
            points = np.arange(start, min(start + _CHUNK, self.volume))
            digits = dict(zip(self._axes, np.unravel_index(points, shape), strict=True))
            matrix = np.empty((len(shape), len(points)))
            for name, vectors in self._axis_vectors.items():
                matrix[within.index_of[name]] = vectors[digits[name]]
            kept = settle(within, matrix)
            for name, digit in digits.items():
                kept &= ~np.isnan(matrix[within.index_of[name]]) | (digit == 0)
            yield points[kept]
