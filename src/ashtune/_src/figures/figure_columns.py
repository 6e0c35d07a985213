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
"""The largest distance between a point and the position of its choice or whole number. The distance
between two neighbouring choices or whole numbers is 1.
"""
# Points are spread because all trials with the same choice, or the same whole number, lie on one
# line, where a thousand points look like one. With 0.18, a gap of 0.64 between neighbouring choices
# still shows to which choice a point belongs.
FEW_WHOLE = 12
"""Points are spread around whole numbers if the largest number is at most this much greater than
the smallest.
"""

Configuration = Callable[[TrialId], Mapping[str, Any]]
"""A function that returns the configuration of a trial."""


class Numbers(msgspec.Struct, frozen=True):
    """The values of one hyperparameter in many trials.

    ``values`` has a number for each trial: a value, or the index of a choice in ``labels``. The
    number is NaN if the hyperparameter is inactive. ``is_log`` is True if the hyperparameter was
    sampled on a logarithmic scale. ``is_whole`` is True if the hyperparameter is a range of whole
    numbers.
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
        # A hyperparameter that is inactive in some trials and has one value in all others is not
        # constant. Whether the hyperparameter is active may affect the result, and the random
        # forest can learn this.
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
    """Return each trial's position on an axis. Points with the same choice, or with the same of a
    few whole numbers, get slightly different positions.

    Args:
        column: The hyperparameter.
        trials: The trials of the column.
        salt: A number that changes the spread, so that the two axes of a figure have different
            spreads.
    """
    if not column.labels and not column.few:
        return column.values
    # The shift is a hash of the trial's number and not a random number, so a point keeps its
    # position when the page draws the study again. ``salt`` gives the two axes of a figure
    # different shifts. With equal shifts, the points of two hyperparameters with choices would lie
    # on a diagonal.
    shifts = (SPREAD * (scattered(trial + (salt << 40)) / 2**63 - 1) for trial in trials)
    return [value + shift for value, shift in zip(column.values, shifts, strict=True)]


def _number(name: str, column: Column, value: Any, trial: TrialId) -> float:
    if column.choices is not None:
        return float(column.choices.index(value)) if value in column.choices else math.nan
    # A choice that is not in the space is treated as missing. A number outside of its range is
    # refused, since it would stretch the axis.
    if not column.is_within(value):
        raise SpaceError(
            f"trial {trial} of the journal has {name}={shown(value)}, which the search space does "
            "not allow"
        )
    return float(value)
