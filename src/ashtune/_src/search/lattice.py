"""The lattice of a finite space: all combinations of values, each with a number."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

from ashtune._src.space.plain import fresh
from ashtune._src.space.space import Space

# Decision 23 (docs/decisions/0023-searches.md).
LARGEST_ENUMERATED = 100_000
"""The maximum number of points that are checked one by one. The check takes half a second or less.
"""


class Lattice:
    """All combinations of given values of the hyperparameters, each with a number (point).

    A point is a number with one digit for each hyperparameter. The last hyperparameter has the
    lowest digit. The digit of an inactive hyperparameter is 0, so each configuration has exactly
    one point.

    Args:
        space: The space of the values.
        axes: The ascending values of each hyperparameter, by name, in the order of ``space.names``.
            An axis may be a ``range``, which is not expanded.

    Attributes:
        volume: The number of points, valid or not.
        is_constrained: Whether conditions or forbidden clauses can make points invalid.
    """

    def __init__(self, space: Space, axes: Mapping[str, Sequence[object]]) -> None:
        self._lengths = {name: length(values) for name, values in axes.items()}
        self.volume = math.prod(self._lengths.values())
        self.is_constrained = bool(space.rules.conditional) or space.rules.has_clauses
        self._rules = space.rules
        self._axes = axes

    def configuration(self, point: int) -> dict[str, object]:
        """Return the configuration of a point. O(hyperparameters)."""
        values: list[object] = []
        for name, axis in reversed(list(self._axes.items())):
            point, digit = divmod(point, self._lengths[name])
            values.append(axis[digit])
        configuration = dict(zip(self._axes, reversed(values), strict=True))
        return fresh(self._rules.remove_inactive(configuration))

    def point(self, configuration: Mapping[str, object]) -> int | None:
        """Return the point of a configuration (inverse of :meth:`configuration`), or None if a
        value has no digit.
        """
        point = 0
        for name, axis in self._axes.items():
            point *= self._lengths[name]
            if name in configuration:
                try:
                    point += axis.index(configuration[name])
                except ValueError:
                    return None
        return point

    def members(self) -> list[int]:
        """Return the points of all valid and distinct configurations, in ascending order.
        O(volume).
        """
        if not self.is_constrained:
            return list(range(self.volume))
        return [
            point
            for point, values in enumerate(product(*self._axes.values()))
            if self._is_member(values)
        ]

    def _is_member(self, values: tuple[object, ...]) -> bool:
        everything = dict(zip(self._axes, values, strict=True))
        configuration = self._rules.remove_inactive(dict(everything))
        inactive = everything.keys() - configuration.keys()
        if any(everything[name] != self._axes[name][0] for name in inactive):
            return False
        return not self._rules.forbidding(configuration)


def length(values: Sequence[object]) -> int:
    """Return the length of an axis, also of a range for which ``len`` overflows."""
    return values.stop - values.start if isinstance(values, range) else len(values)


def lattice_of(space: Space) -> Lattice | None:
    """Return the lattice of all combinations of a space; None if the space is infinite or large."""
    axes = {}
    for name, column in space.columns.items():
        values = column.every_value()
        if values is None:
            return None
        axes[name] = values
    lattice = Lattice(space, axes)
    if lattice.volume > LARGEST_ENUMERATED:
        return None
    return lattice
