"""What an option of a study is: its type, its default, its check and its help, defined once.

Options of one kind are the fields of a ``TypedDict``, each annotated with an :class:`Option`. Commands take them as
``--name``, functions as keyword arguments or in a value that holds several, as ``stop=Stop(patience=20)``.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from ashtune._src.core import parse
from ashtune._src.core.checks import check_seconds, check_whole
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import one_line

Check = Callable[[str, Any], Any]
T = TypeVar("T")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to an option beside its name and type.

    Args:
        help: For ``--help``, where it is not what the docstring of the function or value that takes the option says.
        default: ``None`` stands for "not given".
        check: Takes its name and its value; returns the value in its plain form, or raises ``SettingsError``. It is
            not asked about ``None``, if that is the default. Without a check others refuse what does not fit.
        parse: Reads it from the command line, or raises ``ValueError``; without it there is no such ``--name``,
            but for flags.
        metavar: Its value in ``--help``.
        forms: For ``--help``: the forms that a command line takes; of a flag that is on, what ``--no-`` does.
    """

    help: str = ""
    default: Any = None
    check: Check | None = None
    parse: Callable[[str], Any] | None = None
    metavar: str = ""
    forms: str = ""

    @property
    def is_flag(self) -> bool:
        """Whether it is given or not, without a value."""
        return isinstance(self.default, bool)


COUNT: dict[str, Any] = {"check": check_whole, "parse": int, "metavar": "N"}
TIME: dict[str, Any] = {"check": check_seconds, "parse": parse.seconds, "metavar": "TIME"}


def several(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check of one value or several: it returns a list without repetitions."""

    def check_each(name: str, values: Any) -> list[Any]:
        several = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
        if not several:
            raise SettingsError(f"{name}={values!r} is empty; give one value or more, or leave it out")
        checked = [check(name, value) for value in several]
        return [value for place, value in enumerate(checked) if value not in checked[:place]]

    return check_each


@cache
def options_of(kind: Callable[..., Any]) -> dict[str, tuple[Any, Option]]:
    """Return the type and the definition of each option of a kind, by name, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items()}


def checked(kind: Callable[..., T], given: Mapping[str, Any]) -> T:
    """Return all options of a kind: those that were given, checked, and the defaults of the others.

    Raises:
        SettingsError: In one line, if one is unknown or not what it should be.
    """
    known = options_of(kind)
    for name in given:
        if name not in known:
            raise SettingsError(f"{one_line(name, 60)}= is no option here; there are {', '.join(known)}")
    return kind(**{name: _value(name, option, given) for name, (_, option) in known.items()})


def _value(name: str, option: Option, given: Mapping[str, Any]) -> Any:
    value = given.get(name, option.default)
    if option.check is None or (value is None and option.default is None):
        return value
    return option.check(name, value)
