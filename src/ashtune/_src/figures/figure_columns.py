"""Converts configurations to columns of numbers, for random forests and
figures of hyperparameters.
"""

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ashtune._src.analysis.sampling import scattered
from ashtune._src.core.errors import SpaceError
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import value_text
from ashtune._src.core.plaintext import shown
from ashtune._src.space.coordinates import Column
from ashtune._src.space.space import Space

SPREAD = 0.18
"""The largest distance between a point and its choice or its whole number, whose neighbours have
the distance 1.
"""
# Points are spread because a choice, or a number of layers, puts all its trials on one line, where
# a thousand points look like one. 0.18 is less than half of the distance to the neighbour, so that
# a gap of 0.64 still shows which choice a point belongs to.
FEW_WHOLE = 12
"""Points are spread around whole numbers if the largest is at most this much greater than the
smallest.
"""

Configuration = Callable[[TrialId], Mapping[str, Any]]
"""Returns the configuration of a trial."""


class Numbers(msgspec.Struct, frozen=True):
    """The values of one hyperparameter in many trials.

    ``values`` has a number for each trial: a value, or the index of a choice in ``labels``. The
    number is NaN if the hyperparameter is inactive. ``is_log`` is True if the hyperparameter was
    sampled on a logarithmic scale. ``is_whole`` is True if all values are whole numbers of a range.
    """

    name: str
    values: "array[float]"
    labels: Sequence[str] = ()
    is_log: bool = False
    is_whole: bool = False

    @property
    def few(self) -> list[int]:
        """All whole numbers from the smallest to the largest, if they are few and the scale is
        linear; else [].
        """
        if not self.is_whole or self.is_log or not self.varies:
            return []
        active = [int(value) for value in self.values if not math.isnan(value)]
        low = min(active)
        high = max(active)
        if high - low > FEW_WHOLE:
            return []
        return list(range(low, high + 1))

    @property
    def is_constant(self) -> bool:
        """Whether the hyperparameter has at most one value over all trials."""
        # Inactive in some trials and one value in the others is not constant: whether it is active
        # may matter by itself, and the forest of the importance sees it.
        first = next(iter(self.values), math.nan)
        if math.isnan(first):
            return all(map(math.isnan, self.values))
        return all(value == first for value in self.values)

    @property
    def varies(self) -> bool:
        """Whether the column has at least two different values."""
        return len({value for value in self.values if not math.isnan(value)}) > 1


def numbers(
    space: Mapping[str, object], configuration: Configuration, trials: Iterable[TrialId]
) -> Sequence[Numbers]:
    """Return a column of numbers for each hyperparameter, in the user's order.

    Args:
        space: The record of the search space: ``settings.space``.
        configuration: Returns the configuration of a trial: ``Trials.configuration``.
        trials: The trials, in the order of the values.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """
    columns = Space.from_record(space).columns
    values: dict[str, array[float]] = {name: array("d") for name in columns}
    for trial in trials:
        given = configuration(trial)
        for name, column in columns.items():
            number = math.nan
            if name in given:
                number = _number(name, column, given[name], trial)
            values[name].append(number)
    return [
        Numbers(
            name,
            values[name],
            labels=[value_text(choice) for choice in column.choices or ()],
            is_log=column.is_log,
            is_whole=column.is_integer,
        )
        for name, column in columns.items()
    ]


def spread_places(column: Numbers, trials: Sequence[TrialId], *, salt: int = 0) -> Sequence[float]:
    """Return each trial's place on an axis. Places at choices and at few whole numbers are spread.

    Args:
        column: The hyperparameter.
        trials: The trials of the column.
        salt: A number that changes the spread, so that the two axes of a figure have different
            spreads.
    """
    if not column.labels and not column.few:
        return column.values
    # The shift is a hash of the trial's number and not a random number: a point keeps its place
    # when the page draws the study again. ``salt`` gives the other axis of a map other shifts; with
    # the same ones, the points of two hyperparameters with choices would lie on a diagonal.
    shifts = (SPREAD * (scattered(trial + (salt << 40)) / 2**63 - 1) for trial in trials)
    return [value + shift for value, shift in zip(column.values, shifts, strict=True)]


def _number(name: str, column: Column, value: Any, trial: TrialId) -> float:
    if column.choices is not None:
        return float(column.choices.index(value)) if value in column.choices else math.nan
    # A choice that the space does not have is treated as missing, but a number out of its range
    # would stretch the axis of all others.
    if not column.is_within(value):
        raise SpaceError(
            f"trial {trial} of the journal has {name}={shown(value)}, which the search space does "
            "not allow"
        )
    return float(value)
