"""Grid search, which tries every combination of evenly spaced hyperparameter values."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

from msgspec import Meta

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import shown
from ashtune._src.search.lattice import LARGEST_ENUMERATED, Lattice, length
from ashtune._src.search.search_protocol import Search, refuse_outside
from ashtune._src.space.coordinates import Column
from ashtune._src.space.space import Space

Points: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]


class Grid(Search, frozen=True):
    """Try every combination of evenly spaced hyperparameter values, one after another.

    Args:
        points: How many values each numeric range gets: see :class:`GridDesign`.

    Example:
        >>> study = tune(
        ...     lambda trial: trial["x"],
        ...     {"x": (0.0, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     max_resource=1,
        ...     search=Grid(points=5),
        ...     quiet=True,
        ... )
        >>> [trial.configuration["x"] for trial in study.trials]
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    __module__ = "ashtune"

    points: Points | dict[str, Points] | None = None

    def build(self, space: Space, seed: int) -> "GridDesign":
        return GridDesign(space, self.points)


class GridDesign:
    """A design that gives every valid configuration of a grid once.

    The last hyperparameter of the user's space varies fastest from trial to trial. A grid without
    conditions and forbidden clauses may have any size. A grid with conditions or forbidden clauses
    is listed in memory, so it may have at most 100,000 combinations.

    Args:
        space: The space; choices of weight 0 are left out.
        points: How many values each numeric range gets: one number for all ranges, or one for each
            name. The values are evenly spaced (on a log scale if the range is log) and include both
            ends. A single value is the middle of the range. In an integer range, values are
            rounded, so there may be fewer values. If an integer range has no number, all its
            integers are used. A float range needs a number.

    Raises:
        SpaceError: If ``points`` does not fit the space, or the grid is too large to enumerate.

    Example:
        >>> space = Space.parse({"lr": (0.0, 1.0), "depth": (1, 2)})
        >>> grid = GridDesign(space, points={"lr": 3})
        >>> grid.size, grid.configuration(1)
        (6, {'lr': 0.0, 'depth': 2})
    """

    def __init__(self, space: Space, points: int | Mapping[str, int] | None = None) -> None:
        wanted = _points_by_name(space, points)
        axes = {
            name: _axis(name, column, wanted.get(name)) for name, column in space.columns.items()
        }
        self._lattice = Lattice(space, axes)
        self._members: list[int] | None = None  # None: all; len(range) fails above 64 bits
        if self._lattice.is_constrained:
            if self._lattice.volume > LARGEST_ENUMERATED:
                raise SpaceError(
                    f"the grid has {self._lattice.volume:,} combinations before conditions apply, "
                    f"but at most {LARGEST_ENUMERATED:,} are allowed; give fewer points, or "
                    "search='random'"
                )
            self._members = self._lattice.members()

    @property
    def size(self) -> int:
        """The number of valid configurations in the grid."""
        if self._members is None:
            return self._lattice.volume
        return len(self._members)

    def configuration(self, trial: int) -> dict[str, object]:
        refuse_outside(trial, self.size)
        if self._members is not None:
            trial = self._members[trial]
        return self._lattice.configuration(trial)

    def find(self, configuration: Mapping[str, object]) -> int | None:
        point = self._lattice.point(configuration)
        if point is None or self._members is None:
            return point
        trial = bisect_left(self._members, point)
        if self._members[trial : trial + 1] != [point]:
            return None
        return trial


def _points_by_name(space: Space, points: int | Mapping[str, int] | None) -> dict[str, int]:
    """Return the number of grid points that the user gave for each numeric range. A range without a
    number is left out.
    """
    ranges = [name for name, column in space.columns.items() if column.choices is None]
    if points is None:
        return {}
    if not isinstance(points, Mapping):
        return dict.fromkeys(ranges, points)
    for name, count in points.items():
        if name not in ranges:
            raise SpaceError(
                f"points={{{name!r}: {shown(count)}}}: {name!r} is not a range of numbers; give "
                f"points only for these ranges: {ranges}"
            )
    return dict(points)


def _axis(name: str, column: Column, points: int | None) -> Sequence[object]:
    everything = column.every_value()
    if everything is not None and (points is None or length(everything) <= points):
        return everything
    low = column.low
    high = column.high
    if points is None:
        raise SpaceError(
            f"{name}={low:g} .. {high:g} has infinitely many values; to try 5 of them, give "
            f"search=ashtune.Grid(points={{{name!r}: 5}}); to try 5 of every range, give points=5 "
            "(--search grid:points=5)"
        )
    values = _even_values(low, high, points, column.is_log)
    return sorted({round(value) for value in values}) if column.is_integer else values


def _even_values(low: float, high: float, points: int, is_log: bool) -> list[float]:
    """Return ``points`` evenly spaced floats from exactly ``low`` to exactly ``high``. If
    ``points`` is 1, return the middle of the range.
    """
    import numpy as np

    if points == 1:
        # The middle is computed from halves (or square roots), because the sum (or product) of the
        # ends may overflow.
        return [float(np.sqrt(low) * np.sqrt(high) if is_log else low / 2 + high / 2)]
    space = np.geomspace if is_log else np.linspace
    spaced = space(low, high, points)
    # The ends are replaced by the exact numbers, because the ends that numpy returns may differ in
    # the last bit and be out of range.
    return [float(low), *spaced[1:-1].tolist(), float(high)]
