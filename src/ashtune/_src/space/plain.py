"""Plain Python values, which a configuration may contain and a journal can store.

JSON and MessagePack turn a tuple into a list. A training function must get the same type in the
first session and after a resume, so a tuple becomes a list when the space is read.
"""

import math
from collections.abc import Iterable, Mapping

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import shown

# msgspec refuses integers beyond 64 bits, and writes a float that is not finite as null.
WIDEST = 2**63


def plain(value: object) -> object:
    """Return a value in its plain form: numpy scalars become Python numbers, tuples become lists.

    Raises:
        SpaceError: If a journal cannot store the value. The message does not name the
            hyperparameter.
    """
    if isinstance(value, (list, tuple)):
        try:
            return [plain(part) for part in value]
        except RecursionError:  # too many levels, or a list that contains itself
            raise SpaceError(
                f"{shown(value)} is nested too deeply; give a name, from which your training "
                f"function makes the value"
            ) from None
    if (
        type(value).__module__ == "numpy"
        and hasattr(value, "item")
        and not getattr(value, "ndim", 1)
    ):
        value = value.item()
    if value is None or type(value) is bool:
        return value
    # the second condition: the text has no lone surrogate
    if type(value) is str and value.encode(errors="ignore").decode() == value:
        return value
    if type(value) is int and -WIDEST <= value < WIDEST:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise SpaceError(
        f"{shown(value)} cannot be stored in a journal; use None, a bool, a 64-bit int, a finite "
        "float, a str or a list of these, such as a name from which your training function makes "
        "the value"
    )


def plain_choices(name: str, choices: Iterable[object]) -> list[object]:
    """Return the choices of a hyperparameter as plain values.

    Raises:
        SpaceError: If ``choices`` is empty, two choices are equal, or a choice is not plain.
    """
    values: list[object] = []
    seen: set[object] = set()
    for choice in choices:
        try:
            value = plain(choice)
        except SpaceError as error:
            raise SpaceError(f"{name}: the choice {error}") from None
        key = hashable(value)
        if key in seen:
            raise SpaceError(
                f"{name}: the choice {shown(choice)} is repeated (True equals 1); give it once"
            )
        seen.add(key)
        values.append(value)
    if not values:
        raise SpaceError(f"{name}=[] has no choices; give at least one, such as {name}=['a', 'b']")
    return values


def hashable(value: object) -> object:
    """Return a hashable form of a plain value. Equal values have equal forms."""
    return tuple(map(hashable, value)) if isinstance(value, list) else value


def identity(configuration: Mapping[str, object]) -> object:
    """Return a hashable form of a configuration, which does not depend on the order of its
    hyperparameters.
    """
    return frozenset((name, hashable(value)) for name, value in configuration.items())


def rounded(number: float) -> float:
    """Return a number rounded to twelve digits, which removes rounding errors."""
    return float(f"{number:.12g}")


def rounded_identity(configuration: Mapping[str, object]) -> object:
    """Return :func:`identity` with rounded floats, because ``place`` and ``at`` are not exact."""
    return frozenset(
        (name, rounded(value) if isinstance(value, float) else hashable(value))
        for name, value in configuration.items()
    )


def fresh(configuration: dict[str, object]) -> dict[str, object]:
    """Return a deep copy of a configuration."""
    # A training function may change its own configuration, but must not change the study's
    # configuration.
    return {
        name: plain(value) if type(value) is list else value
        for name, value in configuration.items()
    }
