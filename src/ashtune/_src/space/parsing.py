"""Converts the dict that a user writes to the record of a space in the journal.

{
    "lr": (1e-4, 1.0, "log"),
    "solver": ["sgd", "adam"],
    "momentum": When("solver", "sgd", (0.0, 1.0)),
}
"""

# Decision 55 (docs/decisions/0055-spaces-without-configspace.md): a list of ascending numbers
# counts as ordered. In a test with a quadratic function and 30 points, the model then explained .96
# of the variance, but only .68 if the numbers counted as names. With ``Choice``, numbers count as
# names.

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import shown
from ashtune._src.space.configspace import is_of_configspace, record_of_one
from ashtune._src.space.plain import plain, plain_choices
from ashtune._src.space.priors import META, Prior

MOST_STEPS = 10_000
"""The largest number of values of a range with a step, because a journal lists these values."""


class When(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A conditional hyperparameter. The hyperparameter is in ``trial.config`` only if another
    hyperparameter has a given value.

    Write ``When("solver", "sgd", (0.0, 1.0))``, or ``When("layers", above=2, values=(0.0, 1.0))``
    for a range.

    Args:
        name: The name of the other hyperparameter. If the other hyperparameter is not in
            ``trial.config``, this hyperparameter is also not in ``trial.config``.
        value: The value of the other hyperparameter, or a list of its possible values. If a single
            value is itself a list, write this value as a tuple.
        values: The values of this hyperparameter: a range, choices, a constant, a ``Prior``, or
            another ``When``.
        above: The condition is that the other hyperparameter is greater than this value. The other
            hyperparameter must have numbers or ordered choices.
        below: The condition is that the other hyperparameter is less than this value.

    Example:
        >>> space = {"solver": ["sgd", "adam"], "momentum": When("solver", "sgd", (0.0, 1.0))}
        >>> study = tune(
        ...     lambda trial: trial.config.get("momentum", 0.5),
        ...     space,
        ...     metric="loss",
        ...     mode="min",
        ...     max_resource=1,
        ...     trials=4,
        ...     quiet=True,
        ... )
        >>> {
        ...     len(trial.configuration) - (trial.configuration["solver"] == "sgd")
        ...     for trial in study.trials
        ... }
        {1}
    """

    __module__ = "ashtune"

    name: str
    value: Any = msgspec.UNSET
    values: Any = msgspec.UNSET
    above: Any = None
    below: Any = None


class Ordered(msgspec.Struct, frozen=True):
    """Ordered choices. Models assume that neighbouring choices have similar results. A mutation
    changes a choice to a neighbouring choice.

    A list of ascending numbers counts as ordered even without ``Ordered``.

    Args:
        choices: At least one choice, in order.

    Example:
        >>> Ordered(["small", "base", "large"]).choices
        ['small', 'base', 'large']
    """

    __module__ = "ashtune"

    choices: list[Any]


class Choice(msgspec.Struct, frozen=True):
    """Choices without an order. Use it for a list of ascending numbers whose order has no meaning,
    such as room numbers.

    Args:
        choices: At least one choice.

    Example:
        >>> Choice([1, 2, 3]).choices
        [1, 2, 3]
    """

    __module__ = "ashtune"

    choices: list[Any]


def record_of(mapping: Mapping[object, object]) -> dict[str, Any]:
    """Return the record of a dict of hyperparameters.

    Args:
        mapping: For each name, a range ``(low, high)`` or ``(low, high, "log")``, a list of
            choices, a constant, an :class:`Ordered`, a :class:`Choice` or a hyperparameter of
            ConfigSpace; or a :class:`~ashtune.Prior` or :class:`When` with one of these. A range
            includes both ends. A range of two ints has only integers. A dict of a .json file is
            also possible. ``{"low": 0, "high": 100, "step": 5}`` means the ordered choices 0, 5,
            ..., 100. If the step does not divide the range, the last choice is below ``high``, as
            in Optuna.

    Raises:
        SpaceError: If a name or value is not valid.
    """
    entries = []
    conditions = list[dict[str, Any]]()
    for name, given in mapping.items():
        if not isinstance(name, str):
            raise SpaceError(f"{shown(name)} is not a name of a hyperparameter; give a string")
        values = _of_dict(name, given)
        prior = dict[str, Any]()
        own = list[dict[str, Any]]()
        while isinstance(values, Prior | When):
            if isinstance(values, When):
                own += _conditions(name, values)
            else:
                prior = {"meta": {META: plain(values.at)}}
            values = _of_dict(name, values.values)
        entries.append({"name": name, **_entry(name, values), **prior})
        if len(own) > 1:
            own = [{"type": "AND", "child": name, "conditions": own}]
        conditions += own
    return {
        "names": list(mapping),
        "space": {"hyperparameters": entries, "conditions": conditions, "forbiddens": []},
    }


def written(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dict from which :func:`record_of` makes this record. A range with a step becomes a
    list of choices.

    The dict leaves out distributions, conditions and forbidden clauses that only ConfigSpace can
    express.
    """
    conditions: dict[str, list[Mapping[str, Any]]] = {}
    for condition in record["space"].get("conditions", ()):
        parts = [condition]
        if condition["type"] == "AND":
            parts = condition.get("conditions", ())
        conditions.setdefault(condition["child"], []).extend(parts)
    entries = {entry["name"]: entry for entry in record["space"]["hyperparameters"]}
    found = {}
    for name in record["names"]:
        values = _as_written(entries[name])
        if META in (entries[name].get("meta") or {}):
            values = Prior(values, entries[name]["meta"][META])
        for condition in reversed(conditions.get(name, [])):
            values = _when(condition, values)
        found[name] = values
    return found


def _when(condition: Mapping[str, Any], values: Any) -> Any:
    match condition:
        case {"type": "EQ", "parent": parent, "value": value}:
            return When(parent, tuple(value) if isinstance(value, list) else value, values)
        case {"type": "IN", "parent": parent, "values": several}:
            return When(parent, several, values)
        case {"type": "LT", "parent": parent, "value": value}:
            return When(parent, values=values, below=value)
        case {"type": "GT", "parent": parent, "value": value}:
            if isinstance(values, When) and values.name == parent and values.below is not None:
                return msgspec.structs.replace(values, above=value)
            return When(parent, values=values, above=value)
        case _:
            return values


def _as_written(entry: Mapping[str, Any]) -> Any:
    match entry["type"]:
        case "constant":
            return entry["value"]
        case "ordinal":
            choices = entry["sequence"]
            return choices if _is_ascending(choices) else Ordered(choices)
        case "categorical":
            choices = entry["choices"]
            return Choice(choices) if _is_ascending(choices) or is_log_range(choices) else choices
        case _:
            ends = (entry["lower"], entry["upper"])
            return (*ends, "log") if entry.get("log") else ends


def _of_dict(name: str, values: Any) -> Any:
    """If a hyperparameter is written as a dict, as in a .json file, convert it to the usual form.
    Return other values unchanged.
    """
    match values:
        case {"low": low, "high": high, "log": bool(is_log), **rest} if not rest:
            values = (low, high, "log") if is_log else (low, high)
        case {"low": low, "high": high, "step": step, **rest} if not rest:
            values = _steps(name, low, high, step)
        case {"low": low, "high": high, **rest} if not rest:
            values = (low, high)
        case {"ordered": choices, **rest} if not rest:
            values = Ordered(choices)
        case {"choice": choices, **rest} if not rest:
            values = Choice(choices)
        case {"when": {**conditions}, "values": inner, **rest} if not rest:
            for parent, value in conditions.items():
                if isinstance(value, dict) and value.keys() <= {"above", "below"}:
                    inner = When(str(parent), values=inner, **value)
                else:
                    inner = When(str(parent), value, inner)
            values = inner
        case {}:
            raise SpaceError(
                f"{shown(name)} is {shown(values)}; write a list of choices, a range as "
                '{"low": 1e-4, "high": 0.1, "log": true} or {"low": 0, "high": 100, "step": 5}, '
                '{"ordered": [...]}, '
                '{"choice": [...]}, or {"when": {"solver": "sgd"}, "values": {"low": 0.0, "high": '
                "1.0}}"
            )
    return values


def _steps(name: str, *bounds: object) -> Ordered:
    """Return the numbers of a range with a step: from the low end, in steps, up to at most the high
    end.
    """
    numbers = [_number(bound) for bound in bounds]
    # The numbers are rounded, because sums of floats such as 0.1 + 0.2 have rounding errors.
    low, high, step = (Decimal(str(number or 0)) for number in numbers)
    fits = low < high and 0 < step <= high - low < step * MOST_STEPS
    if None in numbers or not fits:
        raise SpaceError(
            f"{name}: low={shown(bounds[0])}, high={shown(bounds[1])}, step={shown(bounds[2])} is "
            f"not a range; give numbers with low < high, and a step above 0 that gives "
            f"2 to {MOST_STEPS:,} values"
        )
    kind = int if all(isinstance(number, int) for number in numbers) else float
    return Ordered([kind(low + place * step) for place in range(int((high - low) / step) + 1)])


def _conditions(child: str, when: When) -> list[dict[str, Any]]:
    """Return the records of a condition. There are two records if the condition has both ``above``
    and ``below``.
    """
    bounds = {"GT": when.above, "LT": when.below}
    kinds = [
        {"type": kind, "value": plain(bound)} for kind, bound in bounds.items() if bound is not None
    ]
    has_value = when.value is not msgspec.UNSET
    if when.values is msgspec.UNSET or has_value == bool(kinds) or isinstance(when.value, dict):
        raise SpaceError(
            f"{child}={shown(when)} is not a condition; give When('solver', 'sgd', (0.0, 1.0)), or "
            "When('layers', above=2, values=(0.0, 1.0)) with above=, below= or both"
        )
    if has_value:
        # A list means several values. A tuple means one value, which becomes a list in the record.
        kinds = [{"type": "EQ", "value": plain(when.value)}]
        if isinstance(when.value, list):
            kinds = [{"type": "IN", "values": plain(when.value)}]
    return [{"child": child, "parent": str(when.name), **kind} for kind in kinds]


def _entry(name: str, values: object) -> dict[str, Any]:
    """Return the record of a hyperparameter, without its name."""
    if isinstance(values, tuple):
        return _range(name, values)
    if isinstance(values, Ordered | Choice | list):
        listed = values if isinstance(values, list) else values.choices
        if not isinstance(listed, list | tuple):
            raise SpaceError(f"{name}={shown(values)} is not a list of choices; give [...]")
        if is_log_range(values):
            raise SpaceError(
                f"{name}={shown(values)} is a list, but a range is a tuple; give "
                f"{shown(tuple(listed))}, or ashtune.Choice({shown(values)}) for three choices"
            )
        choices = plain_choices(name, listed)
        if isinstance(values, Ordered) or (isinstance(values, list) and _is_ascending(choices)):
            return {"type": "ordinal", "sequence": choices}
        return {"type": "categorical", "choices": choices}
    if is_of_configspace(values):
        return record_of_one(name, values)
    try:
        return {"type": "constant", "value": plain(values)}
    except SpaceError:
        raise SpaceError(
            f"{name}={shown(values)} is not a range; give (low, high), (low, high, 'log'), a list "
            f"of choices or a constant"
        ) from None


def _is_ascending(choices: list[Any]) -> bool:
    numbers = [choice for choice in choices if type(choice) in (int, float)]
    return len(numbers) == len(choices) > 1 and all(low < high for low, high in pairwise(numbers))


def is_log_range(values: Any) -> bool:
    """Return whether a value is a list ``[low, high, "log"]``. As a tuple, or in JSON, this value
    would be a range.
    """
    return isinstance(values, list) and _is_log(values) and None not in map(_number, values[:2])


def _is_log(bounds: Sequence[object]) -> bool:
    return len(bounds) == 3 and isinstance(bounds[2], str) and bounds[2] == "log"


def _range(name: str, bounds: tuple[object, ...]) -> dict[str, Any]:
    is_log = _is_log(bounds)
    ends = bounds[:-1] if is_log else bounds
    numbers = [_number(bound) for bound in ends]
    if len(numbers) != 2 or None in numbers:
        raise SpaceError(
            f"{name}={shown(bounds)} is not a range; give two finite numbers (low, high), (low, "
            "high, 'log'), {'low': 0, 'high': 100, 'step': 5}, or a list [...] of choices"
        )
    kind = "uniform_int" if all(isinstance(number, int) for number in numbers) else "uniform_float"
    return {"type": kind, "lower": numbers[0], "upper": numbers[1], "log": is_log}


def _number(bound: object) -> int | float | None:
    try:
        number = plain(bound)
    except SpaceError:
        return None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None
