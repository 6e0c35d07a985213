"""Configurations as columns of numbers, as forests and the figures of hyperparameters need them."""

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
from ashtune._src.space.columns import Column
from ashtune._src.space.space import Space

SPREAD = 0.18
"""How far from its choice, in choices, a point stands at most."""

Configuration = Callable[[TrialId], Mapping[str, Any]]
"""Answers with the configuration of a trial."""


class Numbers(msgspec.Struct, frozen=True):
    """One hyperparameter over many trials.

    ``values`` are numbers as they are or, where there are ``labels``, the place of the trial's choice among
    them; NaN where the hyperparameter is inactive. ``is_log``: it was drawn on a logarithmic scale.
    """

    name: str
    values: "array[float]"
    labels: Sequence[str] = ()
    is_log: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether all trials have the same value, or none has any."""
        first = self.values[0] if self.values else math.nan
        if math.isnan(first):
            return all(map(math.isnan, self.values))
        return all(value == first for value in self.values)

    @property
    def varies(self) -> bool:
        """Whether the trials that have this hyperparameter have different values of it."""
        return len({value for value in self.values if not math.isnan(value)}) > 1


def numbers(space: Mapping[str, object], configuration: Configuration, trials: Iterable[TrialId]) -> Sequence[Numbers]:
    """Return the hyperparameters of trials, in the order in which the user wrote them.

    Args:
        space: The record of the search space: ``settings.space``.
        configuration: ``Trials.configuration``, or another that knows them.
        trials: Which, in this order.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """
    columns = Space.from_record(space).columns
    values: dict[str, array[float]] = {name: array("d") for name in columns}
    for trial in trials:
        given = configuration(trial)
        for name, column in columns.items():
            values[name].append(_number(name, column, given[name], trial) if name in given else math.nan)
    return [
        Numbers(
            name,
            values[name],
            labels=() if column.choices is None else [value_text(choice) for choice in column.choices],
            is_log=column.is_log,
        )
        for name, column in columns.items()
    ]


def spread_places(column: Numbers, trials: Sequence[TrialId], *, salt: int = 0) -> Sequence[float]:
    """Return where each trial stands; beside its choice, or all of a choice would be one line.

    Args:
        column: The hyperparameter.
        trials: Those of the column.
        salt: Another one spreads the same trials otherwise, as along the other axis of a figure.
    """
    if not column.labels:
        return column.values
    shifts = (SPREAD * (scattered(trial + (salt << 40)) / 2**63 - 1) for trial in trials)
    return [value + shift for value, shift in zip(column.values, shifts, strict=True)]


def _number(name: str, column: Column, value: Any, trial: TrialId) -> float:
    if column.choices is not None:
        return float(column.choices.index(value)) if value in column.choices else math.nan
    if not column.is_within(value):
        raise SpaceError(f"trial {trial} of the journal has {name}={shown(value)}, which its space cannot have")
    return float(value)
