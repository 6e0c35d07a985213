"""Which values make a configuration: the conditions and forbidden clauses of a space, on plain values.

ConfigSpace's checks of whole arrays are not used: 1.2.2 compares one clause the wrong way round there (>= for <=).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

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
