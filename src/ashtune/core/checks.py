"""Checks of what a user gives: each returns the value in its plain form, or refuses it in one line."""

import math
import numbers
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ashtune.core import parse
from ashtune.core.confirm import MOST as MOST_CONFIRMED
from ashtune.core.confirm import SEEDS as SEEDS_TO_CONFIRM
from ashtune.core.confirm import Confirm
from ashtune.core.errors import SettingsError
from ashtune.core.ladder import MOST_WHOLE, whole_number
from ashtune.core.plaintext import shown, visible

MOST_SECONDS = 1e9
MOST_NAME = 200
MOST_UNIT = 20
MOST_SEED = 2**63 - 1

T = TypeVar("T")


def check_whole(name: str, value: int, *, at_least: int = 1, at_most: int = MOST_WHOLE) -> int:
    """Return a whole number, or refuse it.

    Raises:
        SettingsError: If it is not whole, below ``at_least`` or above ``at_most``.
    """
    number = whole_number(value)
    if number is None or number < at_least:
        raise SettingsError(f"{name}={shown(value)} is not a whole number of at least {at_least}")
    if number > at_most:
        raise SettingsError(f"{name}={shown(value)} is too large; give at most {at_most:,}")
    return number


def check_number(name: str, value: float, *, above: float = 0.0) -> float:
    """Return a finite number, or refuse it.

    Raises:
        SettingsError: If it is not a number or not above ``above``.
    """
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # a whole number that no float comes near
            number = math.inf
    if not above < number < math.inf:
        wanted = "a finite number" if above == -math.inf else f"a number above {above:g}"
        raise SettingsError(f"{name}={shown(value)} is not {wanted}")
    return number


def _read(name: str, value: T | str, read: Callable[[str], T]) -> T:
    """Return a value, read as from a command line if it is text."""
    try:
        return read(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SettingsError(f"{name}={error}") from None


def check_seconds(name: str, value: float | str) -> float:
    """Return a duration in seconds, given as a number or as in "2h", or refuse it.

    Raises:
        SettingsError: If it is neither, not above 0, or longer than thirty years.
    """
    seconds = check_number(name, _read(name, value, parse.seconds))
    if seconds > MOST_SECONDS:
        raise SettingsError(f"{name}={shown(value)} is too long; give at most {MOST_SECONDS:g} s, or leave it out")
    return seconds


def check_flag(name: str, value: bool) -> bool:
    """Return True or False, or refuse what is neither.

    Raises:
        SettingsError: If it is neither.
    """
    if not isinstance(value, bool):
        raise SettingsError(f"{name}={shown(value)} is neither True nor False; give one of them")
    return value


def check_name(what: str, name: str, example: str = "") -> str:
    """Return a name that can be shown and written down, or refuse it.

    Raises:
        SettingsError: If it is not a text, empty, too long, or holds control characters.
    """
    hint = f"; give one, as in {what}={example!r}" if example else "; give one"
    if not isinstance(name, str) or not name.strip():
        raise SettingsError(f"{what}={shown(name)} is not a name{hint}")
    if visible(name) != name:
        raise SettingsError(f"{what}={shown(name)} has control characters{hint} without")
    if len(name) > MOST_NAME:
        raise SettingsError(f"{what}={shown(name)} has {len(name):,} characters; give a name of at most {MOST_NAME}")
    return name


def check_unit(name: str, unit: str) -> str:
    """Return what the resource counts, or refuse it.

    Raises:
        SettingsError: If it is not one word of letters.
    """
    if not isinstance(unit, str) or not unit.isalpha() or len(unit) > MOST_UNIT:
        raise SettingsError(
            f"{name}={shown(unit)} is not a word of up to {MOST_UNIT} letters; give what the resource counts, in the "
            "singular, as in resource='tree'"
        )
    return unit


def check_size(name: str, value: int | str) -> int:
    """Return a number of bytes, given as one or as in "20GB".

    Raises:
        SettingsError: If it is neither.
    """
    return check_whole(name, _read(name, value, parse.size))


def check_confirm(name: str, value: object) -> Confirm:
    """Return what is to be confirmed: a number of configurations, or a :class:`Confirm`.

    Raises:
        SettingsError: If it is neither, or a number of it is too small or too large.
    """
    if isinstance(value, Confirm):
        best, seeds = check_whole(f"{name}: best", value.best), check_whole(f"{name}: seeds", value.seeds)
    elif (whole := whole_number(value)) is not None and whole >= 1:
        best, seeds = whole, SEEDS_TO_CONFIRM
    else:
        raise SettingsError(
            f"{name}={shown(value)} is no number of configurations to train once more; give {name}=5, or as in "
            "ashtune.Confirm(best=5, seeds=3)"
        )
    if max(best, seeds) > MOST_CONFIRMED:
        raise SettingsError(
            f"{name}={shown(value)} is too much; give at most {MOST_CONFIRMED} configurations and seeds"
        )
    return Confirm(best, seeds)


def check_directory(directory: "str | os.PathLike[str]") -> Path:
    """Return the folder that a user named, or refuse the name.

    Raises:
        SettingsError: If it is no path, or one that cannot be shown and written down.
    """
    try:
        path = os.fspath(directory)
    except Exception:  # noqa: BLE001 - the object's own code
        path = ""
    if not isinstance(path, str) or not path.strip():
        raise SettingsError(f"directory={shown(directory)} is not the name of a folder; give one, as in 'runs/digits'")
    if visible(path) != path:
        raise SettingsError(f"directory={shown(path)} has characters that are not text; give another, as 'runs/digits'")
    return Path(path)
