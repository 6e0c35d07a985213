"""A sampler of Optuna as a name and options, which a journal can hold, and made of them again.

A sampler does not say with which options it was made, and its attributes are named otherwise. So options are tried: a
value of an attribute is the option under which a new sampler becomes like the one that was given, attribute by
attribute.

Rule: a sampler that cannot be made again from plain options, to the last attribute but for its random numbers, is
refused. Nothing is pickled, so nothing that a journal holds is executed.
"""

import inspect
import re
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ashtune.core.errors import SettingsError
from ashtune.core.plaintext import error_line, shown

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

_PLAIN = (type(None), bool, int, float, str)
_NOT_LEARNING = {"BruteForceSampler": "grid", "GridSampler": "grid", "QMCSampler": "sobol", "RandomSampler": "random"}
"""These go through the space without a look at results; ashtune has searches that do so."""
_RANDOM = ("numpy.random", "random", "optuna.samplers._lazy_random_state", "optuna.samplers._random")
"""Modules whose objects are random numbers."""


def check_name(name: str) -> None:
    """Refuse what names no sampler that can be used. Nothing is imported.

    Raises:
        SettingsError: If it is no name of a class, or of one that does not learn.
    """
    if not re.fullmatch(r"([\w.]+:)?[\w.]+", name):
        raise SettingsError(f"sampler={shown(name)} names no class; give 'TPESampler', or 'module:Class' of another's")
    if name in _NOT_LEARNING:
        raise SettingsError(
            f"sampler={shown(name)} does not look at results; give search={_NOT_LEARNING[name]!r}, which does the same"
        )


def made(name: str, options: dict[str, Any], seed: int) -> "BaseSampler":
    """Return a new sampler.

    Args:
        name: Of a class in ``optuna.samplers``, or ``module:Class``.
        options: What the class is called with, beside the seed.
        seed: From 0 to ``2**32 - 1``.

    Raises:
        SettingsError: If Optuna is not installed, there is no such sampler, or it cannot be made so.
    """
    kind = _class(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # many options of Optuna are called experimental
            sampler: BaseSampler = kind(**options, seed=seed)
    except Exception as error:  # noqa: BLE001 - whatever another's class raises
        text = ", ".join(f"{option}={value!r}" for option, value in options.items())
        raise SettingsError(
            f"{shown(f'{name}({text}, seed=...)')} cannot be made ({error_line(error)}); give options of {name}, which "
            "has to take a seed"
        ) from None
    return sampler


def recorded(sampler: object) -> tuple[str, dict[str, Any]]:
    """Return the name of a sampler and the options that it was made with, but for its seed.

    Raises:
        SettingsError: If it is no sampler, or it cannot be made again from plain options.
    """
    _imported()
    from optuna.samplers import BaseSampler

    if not isinstance(sampler, BaseSampler):
        raise SettingsError(f"sampler={shown(sampler)} is no sampler of Optuna; give optuna.samplers.TPESampler()")
    name = _name(type(sampler))
    check_name(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = _options(sampler)
    options.pop("seed", None)
    return name, options


def _imported() -> Any:
    try:
        import optuna
    except ImportError:
        raise SettingsError(
            "search='optuna' needs Optuna, which is not installed: pip install 'ashtune[optuna]'"
        ) from None
    return optuna


def _class(name: str) -> Any:
    optuna = _imported()
    module, _, place = name.rpartition(":")
    try:
        kind: Any = import_module(module) if module else optuna.samplers
        for part in place.split("."):
            kind = getattr(kind, part)
    except Exception as error:  # noqa: BLE001 - whatever importing another's module raises
        raise SettingsError(
            f"sampler={shown(name)} is not there ({error_line(error)}); give the name of a class in "
            "optuna.samplers, or 'module:Class'"
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, optuna.samplers.BaseSampler)):
        raise SettingsError(f"sampler={shown(name)} is no sampler of Optuna; derive its class from BaseSampler")
    return kind


def _name(kind: type) -> str:
    import optuna

    is_optunas: bool = getattr(optuna.samplers, kind.__name__, None) is kind
    if is_optunas:
        return kind.__name__
    name = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<" in name:
        raise SettingsError(
            f"sampler={kind.__qualname__}(...): a resumed study could not import this class; define it at the top of a "
            "module that can be imported, not in the script itself"
        )
    return name


def _options(sampler: object) -> dict[str, Any]:
    """Return options with which the class of a sampler makes one that is like it."""
    kind, wanted = type(sampler), _attributes(sampler)
    parameters = [
        parameter.name for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]  # fmt: skip
    options: dict[str, Any] = {}
    unlike = _unlike(kind, options, wanted)
    while unlike:
        values = [wanted[place][1] for place in sorted(unlike) if place in wanted]
        closer = (
            ({**options, parameter: value}, still)
            for parameter in parameters if parameter not in options
            for value in values if _is_plain(value)
            if (still := _unlike(kind, {**options, parameter: value}, wanted)) is not None and still < unlike
        )  # fmt: skip
        options, unlike = next(closer, (options, None))
    if unlike is None:
        raise SettingsError(
            f"sampler={kind.__name__}(...) cannot be written down, as it is more than its class and plain options; "
            f"give OptunaSearch({_name(kind)!r}, {{...}}) with its options, or one without functions and other objects"
        )
    return options


def _unlike(kind: Any, options: dict[str, Any], wanted: dict[str, tuple[object, Any]]) -> set[str] | None:
    """Return in which attributes a new sampler differs from what is wanted; None if it cannot be made."""
    try:
        have = _attributes(kind(**options))
    except Exception:  # noqa: BLE001 - whatever another's class raises
        return None
    return {
        place for place in have.keys() | wanted.keys()
        if place not in have or place not in wanted or have[place][0] != wanted[place][0]
    }  # fmt: skip


def _attributes(value: Any, place: str = "", above: tuple[int, ...] = ()) -> dict[str, tuple[object, Any]]:
    """Return by place all that an object holds, but for random numbers: what to compare it by, and the value."""
    if type(value).__module__.startswith(_RANDOM) or id(value) in above:
        return {}
    if isinstance(value, _PLAIN):
        return {place: ((type(value).__name__, repr(value)), value)}
    parts: dict[Any, Any] = {}
    if isinstance(value, dict):
        parts = value
    elif isinstance(value, (list, tuple)):
        parts = dict(enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type) and not inspect.isroutine(value):
        parts = vars(value)
    else:
        return {place: (id(value), value)}
    found: dict[str, tuple[object, Any]] = {place: ((type(value).__name__, sorted(map(str, parts))), value)}
    for name, part in parts.items():
        found |= _attributes(part, f"{place}.{name}", (*above, id(value)))
    return found


def _is_plain(value: Any) -> bool:
    """Whether a value is the same when it is read from JSON."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return type(value) in _PLAIN and value == value  # noqa: PLR0124 - not a NaN
