"""Rules for valid configurations: conditions, forbidden clauses, and a function of the user.

Rule 1: a hyperparameter is active if all of its conditions hold. A comparison with an inactive hyperparameter is false.
Rule 2: a configuration is forbidden if a forbidden clause holds, or if the user's function returns False.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, NamedTuple

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.space.columns import Column
from ashtune._src.space.plain import fresh

Record = Mapping[str, Any]
Valid = Callable[[dict[str, Any]], Any]
_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "EQ": ("==", operator.eq), "NEQ": ("!=", operator.ne), "LT": ("<", operator.lt), "LE": ("<=", operator.le),
    "GT": (">", operator.gt), "GE": (">=", operator.ge),
}  # fmt: skip


class _Condition(NamedTuple):
    """A condition on configurations, its text, and the names of the hyperparameters that the condition uses."""

    holds: Callable[[Mapping[str, Any]], bool]
    text: str
    names: list[str]


class Rules:
    """The conditions and forbidden clauses of a space.

    Args:
        columns: The hyperparameters, by name.
        conditions: Records of conditions, as ConfigSpace writes them.
        forbiddens: Records of forbidden clauses.
        valid: Returns whether a configuration is valid; None if all configurations are valid.

    Attributes:
        parents_first: All hyperparameters, each after the hyperparameters that its conditions use.
        conditional: The hyperparameters with conditions.
        has_clauses: Whether a combination of values may be forbidden.
        asked: How many configurations were checked.
        refused: How many of the checked configurations were forbidden.

    Raises:
        SpaceError: If a rule does not fit the hyperparameters, or conditions form a cycle.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        conditions: Iterable[Record] = (),
        forbiddens: Iterable[Record] = (),
        valid: Valid | None = None,
    ) -> None:
        from graphlib import CycleError, TopologicalSorter

        self._columns = columns
        self._conditions: dict[str, list[_Condition]] = {}
        for condition in conditions:
            self._conditions.setdefault(self._column(condition, "child").name, []).append(self._rule(condition))
        self._clauses = [self._rule(clause) for clause in forbiddens]
        parents = {
            name: [parent for rule in self._conditions.get(name, ()) for parent in rule.names] for name in columns
        }
        try:
            self.parents_first = list(TopologicalSorter(parents).static_order())
        except CycleError as circle:
            raise SpaceError(f"conditions form a circle: {', '.join(circle.args[1])}; leave out one of them") from None
        self._conditions = {name: self._conditions[name] for name in self.parents_first if name in self._conditions}
        self.conditional = self._conditions.keys()
        self.has_clauses = bool(self._clauses) or valid is not None
        self.valid = valid
        self.asked = self.refused = 0

    def is_active(self, name: str, values: Mapping[str, object]) -> bool:
        """Return whether a hyperparameter is active, given the values of all other active hyperparameters."""
        return all(rule.holds(values) for rule in self._conditions.get(name, ()))

    def remove_inactive(self, values: dict[str, Any]) -> dict[str, Any]:
        """Remove the inactive hyperparameters from ``values``; return the same dict."""
        for name, rules in self._conditions.items():
            for rule in rules:
                if not rule.holds(values):
                    values.pop(name, None)
                    break
        return values

    def forbidding(self, configuration: Mapping[str, Any]) -> str:
        """Return the text of the rule that forbids a configuration; "" if the configuration is allowed.

        Raises:
            SpaceError: If the user's function raises.
        """
        if not self.has_clauses:
            return ""
        self.asked += 1
        text = next((rule.text for rule in self._clauses if rule.holds(configuration)), "")
        if not text and self.valid is not None and not self._is_valid(configuration):
            text = "valid"
        self.refused += bool(text)
        return text

    def _is_valid(self, configuration: Mapping[str, Any]) -> bool:
        assert self.valid is not None
        try:
            return bool(self.valid(fresh(dict(configuration))))
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            raise SpaceError(
                f"valid raised {error_line(error)} for {shown(dict(configuration))}; it has to return True or False, "
                "also where a hyperparameter is absent as its condition does not hold"
            ) from None

    def conditions_text(self, name: str) -> str:
        """Return the conditions of a hyperparameter as text: ``a == 'x' and b > 2``."""
        return " and ".join(rule.text for rule in self._conditions[name])

    def _rule(self, record: Record) -> _Condition:
        kind = str(record["type"])
        if kind in ("AND", "OR"):
            parts = [self._rule(part) for part in record["conditions" if "conditions" in record else "clauses"]]
            every, joint = (all, " and ") if kind == "AND" else (any, " or ")
            names = [name for part in parts for name in part.names]
            text = f"({joint.join(part.text for part in parts)})"
            return _Condition(lambda values: every(part.holds(values) for part in parts), text, names)
        if kind.startswith("RELATION"):
            left, right = self._column(record, "left"), self._column(record, "right")
            return _relation(left, right, kind.removeprefix("RELATION_"))
        column = self._column(record, "parent" if "parent" in record else "name")
        name = column.name
        if kind == "IN":
            several = [column.member(value) for value in record["values"]]
            return _Condition(lambda values: name in values and values[name] in several, f"{name} in {several}", [name])
        sign, compare = _COMPARISONS["EQ" if kind == "EQUALS" else kind.removeprefix("CLAUSE_")]
        wanted = column.member(record["value"])
        text = f"{name} {sign} {wanted!r}"
        if compare in (operator.eq, operator.ne) or column.choices is None:
            return _Condition(lambda values: name in values and compare(values[name], wanted), text, [name])
        if column.is_category:
            raise SpaceError(f"{text}: the values of {name} have no order; give ordered ones, or compare with ==")
        place = column.position(wanted)
        return _Condition(lambda values: name in values and compare(column.position(values[name]), place), text, [name])

    def _column(self, record: Record, key: str) -> Column:
        if record[key] not in self._columns:
            raise SpaceError(
                f"a condition names {shown(record[key])}, which is not in the space; it has {', '.join(self._columns)}"
            )
        return self._columns[record[key]]


def _relation(left: Column, right: Column, kind: str) -> _Condition:
    sign, compare = _COMPARISONS[kind]
    one, other = left.name, right.name
    text = f"{one} {sign} {other}"
    try:
        for low, high in product(left.choices or [left.low], right.choices or [right.low]):
            compare(low, high)
    except TypeError:
        raise SpaceError(f"{text}: the values of these two have no common order") from None
    return _Condition(
        lambda values: one in values and other in values and compare(values[one], values[other]), text, [one, other]
    )
