"""From the plain dict that a user writes to a ConfigurationSpace.

``{"lr": Float("lr", (1e-4, 1), log=True), "layers": (1, 8), "activation": ["relu", "tanh"], "epochs": 9}``
"""

import copy
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ashtune.core.errors import SpaceError
from ashtune.core.plaintext import shown, visible
from ashtune.space.plain import plain, plain_choices
from ashtune.space.priors import META, Prior

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

_LARGEST_INTEGER = 2**53
_LARGEST_FLOAT = 1e295
"""ConfigSpace multiplies bounds by 1e13, to round them."""
MOST_NAME = 200
# Dots, colons, slashes and dashes are common in names such as "optimizer:lr".
_NAME = re.compile(r"[^\W\d][\w.:/-]*")


def space_of_mapping(mapping: Mapping[object, object]) -> "ConfigurationSpace":
    """Build a ConfigurationSpace from a dict of hyperparameters, ranges, choices and constants.

    Args:
        mapping: By name: a ConfigSpace hyperparameter, a ``(low, high)`` tuple (two ints are an
            integer range, both ends included; any float makes it a float range), the same with ``"log"`` as a third,
            a list of choices, or one constant; or a :class:`~ashtune.space.priors.Prior` of one of these.

    Raises:
        SpaceError: If the dict is empty, or a name or value does not fit.
    """
    from ConfigSpace import ConfigurationSpace

    if not mapping:
        raise SpaceError("the space {} is empty; give at least one hyperparameter, such as lr=(1e-4, 1.0)")
    space = ConfigurationSpace()
    space.add([_hyperparameter(name, value) for name, value in mapping.items()])
    return space


def check_name(name: str) -> None:
    """Refuse a name that cannot be shown.

    Raises:
        SpaceError: If it holds control characters, or is too long.
    """
    if visible(name) != name:
        raise SpaceError(f"{shown(name)} cannot name a hyperparameter: it has control characters; give a plain name")
    if not 0 < len(name) <= MOST_NAME:
        raise SpaceError(f"{shown(name)} has {len(name):,} characters; name a hyperparameter with 1 to {MOST_NAME}")


def _hyperparameter(name: object, value: object) -> "Hyperparameter":
    from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, Hyperparameter

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SpaceError(
            f"{shown(name)} cannot name a hyperparameter; use a letter, then letters, digits and _ . : / -"
        )
    if isinstance(value, Prior):
        if isinstance(value.values, Prior):
            raise SpaceError(f"{name}={shown(value)} has two priors; give one")
        hyperparameter = copy.copy(_hyperparameter(name, value.values))  # the user's own is left as it is
        hyperparameter.meta = {META: value.at}
        return hyperparameter
    if isinstance(value, Hyperparameter):
        if value.name != name:
            raise SpaceError(f"{name}: its hyperparameter is named {shown(value.name)}; give both one name")
        if not all(math.isfinite(getattr(value, bound, 0)) for bound in ("lower", "upper")):
            raise SpaceError(f"{name}={shown(value)} has a bound that is not finite; tune an exponent")
        return value
    check_name(name)
    if isinstance(value, tuple):
        return _range(name, value)
    choices = plain_choices(name, value) if isinstance(value, list) else None
    if choices is None:
        try:
            value = plain(value)
        except SpaceError:
            raise SpaceError(
                f"{name}={shown(value)} is no range; give (low, high), a list of choices, a constant, or a "
                "ConfigSpace hyperparameter"
            ) from None
    try:
        return Constant(name, value) if choices is None else CategoricalHyperparameter(name, choices)
    except (TypeError, ValueError):  # numpy, inside ConfigSpace, drops a NUL and rounds a mixed large integer
        raise SpaceError(f"{name}={shown(value)} is altered by ConfigSpace; give a name that stands for it") from None


def _range(name: str, bounds: tuple[object, ...]) -> "Hyperparameter":
    from ConfigSpace.hyperparameters import UniformFloatHyperparameter, UniformIntegerHyperparameter

    refused = f"{name}={shown(bounds)}"
    is_log = len(bounds) == 3 and isinstance(bounds[2], str) and bounds[2] == "log"
    numbers = [_number(bound) for bound in (bounds[:2] if is_log else bounds[:3])]
    match numbers:
        case [(int() | float()) as low, int() | float()] if is_log and low <= 0:
            raise SpaceError(f"{refused} has no logarithm at its low end; give one above 0, or leave out 'log'")
        case [int(low), int(high)] if low < high:
            if max(-low, high) > _LARGEST_INTEGER:  # ConfigSpace scales integers to floats
                raise SpaceError(f"{refused} goes beyond 2**53, where floats skip integers; tune an exponent")
            return UniformIntegerHyperparameter(name, low, high, log=is_log)
        case [(int() | float()) as low, (int() | float()) as high] if low < high:
            if max(-low, high) > _LARGEST_FLOAT:
                raise SpaceError(f"{refused} goes beyond {_LARGEST_FLOAT:g}, where ConfigSpace ends; tune an exponent")
            if round(low, 13) >= round(high, 13):  # ConfigSpace rounds bounds to 13 decimals
                raise SpaceError(f"{refused} is narrower than 1e-13; tune it in a larger unit")
            if is_log and round(low, 13) <= 0:
                raise SpaceError(f"{refused} begins below 1e-13; tune its exponent, or in another unit")
            return UniformFloatHyperparameter(name, low, high, log=is_log)
        case [int() | float(), int() | float()]:
            raise SpaceError(f"{refused} is empty; give (low, high) with low < high, or the constant alone")
        case _:
            raise SpaceError(
                f"{refused} is no range; give two finite numbers (low, high), (low, high, 'log'), or a list [...] of "
                "choices"
            )


def _number(bound: object) -> int | float | None:
    """Return a bound as a plain number, or None when it is none."""
    try:
        number = plain(bound)
    except SpaceError:
        return None
    return number if isinstance(number, (int, float)) and not isinstance(number, bool) else None
