"""Whether a configuration belongs to the space: its values, and the conditions and forbidden clauses on plain values.

ConfigSpace's checks of whole arrays are not used: 1.2.2 compares one clause the wrong way round there (>= for <=).
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ashtune.core.errors import SpaceError
from ashtune.core.plaintext import shown
from ashtune.space.columns import Column
from ashtune.space.describing import range_text, when
from ashtune.space.plain import plain

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.forbidden import ForbiddenLike


class Rules:
    """The conditions and forbidden clauses of a space.

    Args:
        space: Where they stand.

    Attributes:
        has_conditions: Whether a hyperparameter may be inactive.
        has_clauses: Whether a combination of values may be forbidden.
    """

    def __init__(self, space: "ConfigurationSpace") -> None:
        # Parents come before their children.
        self._conditions = {name: tuple(space.parent_conditions_of[name]) for name in space}
        self._clauses = tuple(space.forbidden_clauses)
        self.has_conditions = any(self._conditions.values())
        self.has_clauses = bool(self._clauses)

    def inactive(self, values: Mapping[str, object]) -> set[str]:
        """Return the hyperparameters that are inactive where the others have these values.

        Args:
            values: Of all hyperparameters, or of all that are active.
        """
        from ConfigSpace.types import NotSet

        inactive: set[str] = set()
        if not self.has_conditions:
            return inactive
        known: dict[str, object] = {name: values.get(name, NotSet) for name in self._conditions}
        for name, conditions in self._conditions.items():
            if not all(condition.satisfied_by_value(known) for condition in conditions):
                inactive.add(name)
                known[name] = NotSet
        return inactive

    def forbidding(self, configuration: Mapping[str, object]) -> "ForbiddenLike | None":
        """Return the first clause that forbids a configuration, which holds its active hyperparameters only."""
        for clause in self._clauses:
            if clause.is_forbidden_value(configuration):
                return clause
        return None


def checked(
    configuration: Mapping[str, object], within: "ConfigurationSpace", columns: Mapping[str, Column], rules: Rules
) -> dict[str, object]:
    """Return a user's configuration as plain Python values, in the order of the columns.

    Raises:
        SpaceError: If a name is unknown or missing, a value is outside or inactive, or the whole is
            forbidden.
    """
    if not isinstance(configuration, Mapping):
        raise SpaceError(f"{shown(configuration)} is no configuration; give a dict of {', '.join(columns)}")
    for name, value in configuration.items():
        if name not in columns:
            raise SpaceError(f"{name}={shown(value)} is not in the space; it has {', '.join(columns)}")
    values = {
        name: value_in(name, column, configuration[name]) for name, column in columns.items() if name in configuration
    }
    inactive = rules.inactive(values)
    for name in within:  # parents come before their children
        if name not in inactive and name not in values:
            raise SpaceError(
                f"{name} is missing in {shown(dict(configuration))}; give it a value in {range_text(columns[name])}"
            )
        if name in inactive and name in values:
            raise SpaceError(
                f"{name}={shown(values[name])} is inactive here; leave it out, for it counts only{when(within, name)}"
            )
    if (clause := rules.forbidding(values)) is not None:
        rule = " ".join(str(clause).split())
        raise SpaceError(f"{shown(dict(configuration))} is ruled out by '{rule}'; change one of these values")
    return values


def value_in(name: str, column: Column, value: object) -> object:
    """Return the member of the column's range that equals ``value``."""
    try:
        return _member(column, plain(value))
    except (SpaceError, ValueError):
        raise SpaceError(f"{name}={shown(value)} is outside; give a value in {range_text(column)}") from None


def _member(column: Column, given: object) -> object:
    """Return the member of the column's range that equals a plain value, or raise ValueError."""
    if column.choices is not None:
        return column.choices[column.choices.index(given)]
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ValueError
    if column.is_integer and given != math.floor(given):
        raise ValueError
    # ConfigSpace rounds bounds to 13 decimals: a third, as a bound and as a value, must meet.
    if not column.hyperparameter.lower <= round(given, 13) <= column.hyperparameter.upper:
        raise ValueError
    return int(given) if column.is_integer else float(given)
