"""Rules for valid configurations: conditions, forbidden clauses, and a function of the user.

Rule 1: a hyperparameter is active if all of its conditions hold. A comparison with an inactive
hyperparameter is false.
Rule 2: a configuration is forbidden if a forbidden clause holds, or if the user's function returns
False.
"""

# Decision 55 (docs/decisions/0055-spaces-without-configspace.md): the function ``valid`` and the
# forbidden clauses are one mechanism.

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.space.coordinates import Column
from ashtune._src.space.plain import fresh

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Known = Mapping[str, tuple[NDArray[Any], Mask]]

Record = Mapping[str, Any]
Valid = Callable[[dict[str, Any]], Any]
_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "EQ": ("==", operator.eq), "NEQ": ("!=", operator.ne), "LT": ("<", operator.lt), "LE": ("<=",
    operator.le),
    "GT": (">", operator.gt), "GE": (">=", operator.ge),
}  # fmt: skip


class _Condition(NamedTuple):
    """A condition on configurations.

    Args:
        names: The hyperparameters that the condition uses.
        where: A function that returns for which of n configurations the condition holds, shape
            (n,). Its arguments are, for each hyperparameter in ``names``, the ranks (see
            :meth:`Column.ranks`), shape (n,), and whether the hyperparameter is active, shape (n,).
    """

    holds: Callable[[Mapping[str, Any]], bool]
    text: str
    names: list[str]
    where: "Callable[[Known], Mask]"


class Rules:
    """The conditions and forbidden clauses of a space.

    Args:
        conditions: Records of conditions, as ConfigSpace writes them.
        valid: A function that returns whether a configuration is valid; None if all configurations
            are valid.

    Attributes:
        parents_first: All hyperparameters, sorted so that each comes after the hyperparameters that
            its conditions use.
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
            self._conditions.setdefault(self._column(condition, "child").name, []).append(
                self._rule(condition)
            )
        self._clauses = [self._rule(clause) for clause in forbiddens]
        parents = {
            name: [parent for rule in self._conditions.get(name, ()) for parent in rule.names]
            for name in columns
        }
        try:
            self.parents_first = list(TopologicalSorter(parents).static_order())
        except CycleError as error:
            raise SpaceError(
                f"conditions form a cycle: {', '.join(error.args[1])}; leave out one condition"
            ) from None
        self._parents = {parent for every in parents.values() for parent in every}
        self._conditions = {
            name: self._conditions[name] for name in self.parents_first if name in self._conditions
        }
        self.conditional = self._conditions.keys()
        self.has_clauses = bool(self._clauses) or valid is not None
        self.valid = valid
        self.asked = self.refused = 0

    def is_active(self, name: str, values: Mapping[str, object]) -> bool:
        """Return whether a hyperparameter is active, given the values of all other active
        hyperparameters.
        """
        return all(rule.holds(values) for rule in self._conditions.get(name, ()))

    def remove_inactive(self, values: dict[str, Any]) -> dict[str, Any]:
        """Remove the inactive hyperparameters from the dict ``values``, and return this dict."""
        for name, rules in self._conditions.items():
            for rule in rules:
                if not rule.holds(values):
                    values.pop(name, None)
                    break
        return values

    def active(self, points: "Mapping[str, NDArray[np.float64]]") -> "dict[str, Mask]":
        """For each hyperparameter with conditions, return whether it is active at each of n points,
        shape (n,).

        Args:
            points: The coordinate of each hyperparameter in [0, 1] at these points, shape (n,).
        """
        import numpy as np

        found: dict[str, Mask] = {}
        known: dict[str, tuple[NDArray[Any], Mask]] = {}
        for name in self.parents_first if self._conditions else ():
            if name in self._conditions:
                masks = [rule.where(known) for rule in self._conditions[name]]
                mask = reduce(operator.and_, masks)
                # an empty rule has no array
                found[name] = np.broadcast_to(mask, len(points[name]))
            if name in self._parents:
                ranks = self._columns[name].ranks(points[name])
                known[name] = ranks, found.get(name, np.ones(len(ranks), bool))
        return found

    def forbidding(self, configuration: Mapping[str, Any]) -> str:
        """Return the text of the rule that forbids a configuration; "" if the configuration is
        allowed.

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
                f"valid() raised {error_line(error)} for {shown(dict(configuration))}; it must "
                "return True or False, even if an inactive hyperparameter is missing"
            ) from None

    def conditions_text(self, name: str) -> str:
        """Return the conditions of a hyperparameter as text: ``a == 'x' and b > 2``."""
        return " and ".join(rule.text for rule in self._conditions[name])

    def _rule(self, record: Record) -> _Condition:
        kind = str(record["type"])
        if kind in ("AND", "OR"):
            parts = record["conditions" if "conditions" in record else "clauses"]
            return _combine([self._rule(part) for part in parts], is_and=kind == "AND")
        if kind.startswith("RELATION"):
            left = self._column(record, "left")
            right = self._column(record, "right")
            return _relation(left, right, kind.removeprefix("RELATION_"))
        column = self._column(record, "parent" if "parent" in record else "name")
        if kind == "IN":
            several = [column.member(value) for value in record["values"]]
            return _test(
                column,
                # `or` would fail for arrays of numbers, because an array has no truth value
                lambda value: reduce(operator.or_, (value == each for each in several), False),
                f"{column.name} in {several}",
            )
        sign, compare = _COMPARISONS["EQ" if kind == "EQUALS" else kind.removeprefix("CLAUSE_")]
        wanted = column.member(record["value"])
        text = f"{column.name} {sign} {wanted!r}"
        if compare in (operator.eq, operator.ne) or column.choices is None:
            return _test(column, lambda value: compare(value, wanted), text)
        if column.is_category:
            name = column.name
            raise SpaceError(
                f"{text}: the values of {name} are not ordered; write Ordered([...]), or use =="
            )
        place = column.position(wanted)
        return _test(column, lambda value: compare(column.position(value), place), text)

    def _column(self, record: Record, key: str) -> Column:
        if record[key] not in self._columns:
            raise SpaceError(
                f"a condition names {shown(record[key])}, which is not in the space; it has "
                f"{', '.join(self._columns)}"
            )
        return self._columns[record[key]]


def _test(column: Column, test: Callable[[Any], Any], text: str) -> _Condition:
    """Return the condition that ``test`` is true for one hyperparameter. The argument of ``test``
    is a choice or an array of numbers.
    """
    name = column.name

    def where(known: "Known") -> "Mask":
        import numpy as np

        ranks, is_active = known[name]
        if column.choices is None:
            is_true = test(ranks)
        else:
            # Each choice is tested once, which is faster than testing each of n configurations.
            is_true = np.array([test(each) for each in column.choices])[ranks]
        found: Mask = is_active & is_true
        return found

    return _Condition(lambda values: name in values and test(values[name]), text, [name], where)


def _combine(parts: list[_Condition], *, is_and: bool) -> _Condition:
    every = all if is_and else any
    combine: Callable[[Any, Any], Any] = operator.and_ if is_and else operator.or_
    joint = " and " if is_and else " or "
    of_none: Any = is_and  # the value of an empty rule, which an altered journal may have
    return _Condition(
        lambda values: every(part.holds(values) for part in parts),
        f"({joint.join(part.text for part in parts)})",
        [name for part in parts for name in part.names],
        lambda known: reduce(combine, (part.where(known) for part in parts), of_none),
    )


def _relation(left: Column, right: Column, kind: str) -> _Condition:
    sign, compare = _COMPARISONS[kind]
    one = left.name
    other = right.name
    text = f"{one} {sign} {other}"
    try:
        for low, high in product(left.choices or [left.low], right.choices or [right.low]):
            compare(low, high)
    except TypeError:
        raise SpaceError(
            f"{text}: values of these two cannot be compared; leave out this rule"
        ) from None

    def where(known: "Known") -> "Mask":
        ranks, is_active = known[one]
        others, is_other_active = known[other]
        pairs = zip(left.values(ranks), right.values(others), strict=True)
        return is_active & is_other_active & [compare(value, against) for value, against in pairs]

    return _Condition(
        lambda values: one in values and other in values and compare(values[one], values[other]),
        text, [one, other], where,
    )  # fmt: skip
