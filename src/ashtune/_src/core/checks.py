"""Checks of a user's values. Each check returns the value in its plain form, or raises
``SettingsError``.
"""

import math
import numbers
import operator
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from ashtune._src.core import parse
from ashtune._src.core.confirm import MOST as MOST_CONFIRMED
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import escaped, shown

MOST_WHOLE = 1 << 53
"""Programs that read JSON numbers as floats lose digits of whole numbers above ``MOST_WHOLE``."""
MOST_SECONDS = 1e9
MOST_BUDGET = 1e15
MOST_NAME = 200
MOST_UNIT = 20
MOST_SEED = 2**63 - 1

T = TypeVar("T")


def refuse(complaints: Mapping[str, object]) -> None:
    """Raise ``SettingsError`` with the first message in ``complaints`` whose condition is true."""
    for complaint, is_so in complaints.items():
        if is_so:
            raise SettingsError(complaint)


def whole_number(value: object) -> int | None:
    """Return a whole number of any type, also of numpy, as an int. If the value is no whole number,
    return None.
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]  # raises TypeError for other values
    except TypeError:
        return None


def check_whole(name: str, value: object, *, at_least: int = 1, at_most: int = MOST_WHOLE) -> int:
    """Return the value as an int, or raise if the value is not a whole number within the limits."""
    number = whole_number(value)
    if number is None or not at_least <= number <= at_most:
        limit = f"at least {at_least}"
        if number and number > at_most:
            limit = f"at most {at_most:,}"
        raise SettingsError(f"{name}={shown(value)} is not a whole number of {limit}")
    return number


def check_number(
    name: str, value: float, *, above: float = 0.0, at_most: float = sys.float_info.max
) -> float:
    """Return the value as a float, or raise if the value is not a finite
    number within the limits.
    """
    number = math.nan
    # A bool is a number to Python, but ``time_limit=True`` is a mistake.
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # a whole number above the largest float
            number = math.inf
    if not above < number <= at_most:
        wanted = f"a number above {above:g}"
        if above == -math.inf:
            wanted = "a finite number"
        if at_most < sys.float_info.max:
            wanted += f", and at most {at_most:g}"
        raise SettingsError(f"{name}={shown(value)} is not {wanted}")
    return number


def _read(name: str, value: T | str, read: Callable[[str], T]) -> T:
    """Return the value. If the value is a text, parse it in the same way as on the command line."""
    try:
        return read(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SettingsError(f"{name}={error}") from None


def check_seconds(name: str, value: float | str | timedelta) -> float:
    """Return a duration in seconds, which is given as a number, as a text such as "2h", or as a
    timedelta.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return check_number(name, _read(name, value, parse.seconds), at_most=MOST_SECONDS)


def check_budget(name: str, value: str) -> tuple[float, bool]:
    """Parse a budget such as "40 gpu-hours".

    Return its seconds, and whether they are seconds of GPUs.
    """
    # A number without a unit could mean hours of workers or hours of GPUs, so the parser refuses
    # it.
    text = value if isinstance(value, str) else shown(value)
    seconds, is_of_gpus = _read(name, text, parse.budget)
    return check_number(name, seconds, at_most=MOST_BUDGET), is_of_gpus


def check_flag(name: str, value: bool) -> bool:
    """Return the value if it is True or False, or else raise."""
    if not isinstance(value, bool):
        raise SettingsError(f"{name}={shown(value)} is neither True nor False; give one of them")
    return value


def check_name(what: str, name: str, example: str = "") -> str:
    """Return a name, or raise if the name is empty, is too long, or has control characters."""
    if (
        not isinstance(name, str)
        or not name.strip()
        or escaped(name) != name
        or len(name) > MOST_NAME
    ):
        message = f"{what}={shown(name)} is not a name; give up to {MOST_NAME} plain characters"
        if example:
            message += f", as in {what}={example!r}"
        raise SettingsError(message)
    return name


def check_unit(name: str, unit: str) -> str:
    """Return the unit of the resource, or raise if the unit is not a short word."""
    if not isinstance(unit, str) or not unit.isalpha() or len(unit) > MOST_UNIT:
        raise SettingsError(
            f"{name}={shown(unit)} is not a word of up to {MOST_UNIT} letters; give what the "
            "resource counts, in the singular, as in resource='tree'"
        )
    return unit


def check_size(name: str, value: int | str) -> int:
    """Return a number of bytes, which is given as a number or as a text such as "20GB"."""
    return check_whole(name, _read(name, value, parse.size))


def check_confirm(name: str, value: Any) -> Confirm:
    """Return a checked :class:`Confirm`. If the value is a number, convert it to a
    :class:`Confirm`.
    """
    confirm = value
    if not isinstance(value, Confirm):
        confirm = Confirm(value)
    best = check_whole(name, confirm.best, at_most=MOST_CONFIRMED)
    return Confirm(best, check_whole(f"{name}: seeds", confirm.seeds, at_most=MOST_CONFIRMED))
