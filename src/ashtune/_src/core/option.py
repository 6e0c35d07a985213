"""Definitions of the options of a study: type, default, check and parser.

A ``TypedDict`` has the options of one kind as fields, and each field has an :class:`Option`. The
help text of an option is in the docstring of the ``TypedDict``, or of the function or class that
takes the option (``help_texts`` in ``cli/flags.py``).

Commands take an option as ``--name``. Functions take a keyword argument, or an object with several
options, such as ``stop=Stop(patience=20)``.
"""

# Decision 59 (docs/decisions/0059-tune-in-few-names.md): one table defines each option once, by a
# flat name. The signatures of functions are written by hand, so that editors show them.

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial, wraps
from inspect import signature
from typing import Annotated, Any, ParamSpec, TypeVar, get_type_hints

import msgspec

from ashtune._src.core import parse
from ashtune._src.core.checks import MOST_SEED, check_flag, check_seconds, check_size, check_whole
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import instead_of, one_line

Check = Callable[[str, Any], Any]
T = TypeVar("T")
P = ParamSpec("P")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of an option, without its name and type.

    Args:
        default: ``None`` means "not given".
        check: Takes the option's name and value; returns the value in its plain form, or raises
            ``SettingsError``. The check is not called for ``None`` if ``None`` is the default. An
            option without a check is checked elsewhere.
        parse: Parses the value from the command line, or raises ``ValueError``. If None, the option
            is not on the command line. A flag has no value to parse.
        metavar: The placeholder of the value in ``--help``.
        forms: For ``--help``: the accepted forms, or what ``--no-`` does for a flag that is on by
            default.
    """

    default: Any = None
    check: Check | None = None
    parse: Callable[[str], Any] | None = str
    metavar: str = "N"
    forms: str = ""

    @property
    def is_flag(self) -> bool:
        """Whether the option is a flag, which takes no value."""
        return isinstance(self.default, bool)


# Kinds of options that several tables have. Each has its check, its parser and its placeholder
# here, so that "10m" or "20GB" means the same in each place.
Count = Annotated[int | None, Option(check=check_whole, parse=int)]
CountFromZero = Annotated[int | None, Option(check=partial(check_whole, at_least=0), parse=int)]
Time = Annotated[
    float | str | None, Option(check=check_seconds, parse=parse.seconds, metavar="TIME")
]
Size = Annotated[int | str | None, Option(check=check_size, parse=parse.size, metavar="SIZE")]
Flag = Annotated[bool, Option(default=False, check=check_flag)]
Seed = Annotated[
    int, Option(default=0, check=partial(check_whole, at_least=0, at_most=MOST_SEED), parse=int)
]
Folder = Annotated[str | None, Option(metavar="DIR")]


def each_value(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check that accepts one value or several values, and returns a list without
    duplicates.
    """

    def check_each(name: str, values: Any) -> list[Any]:
        if isinstance(values, str) or not isinstance(values, Sequence):
            values = [values]
        if not values:
            raise SettingsError(
                f"{name}={values!r} is empty; give one value or more, or leave it out"
            )
        checked = [check(name, value) for value in values]
        return [value for place, value in enumerate(checked) if value not in checked[:place]]

    return check_each


@cache
def options_of(kind: Callable[..., Any]) -> dict[str, tuple[Any, Option]]:
    """Return a dict from each option of a ``TypedDict`` to the option's type and definition, in
    order.
    """
    hints = get_type_hints(kind, include_extras=True)
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items()}


def checked(kind: Callable[..., T], given: Mapping[str, Any]) -> T:
    """Return a value for each option of a ``TypedDict``. An option's value is the user's checked
    value, or the default.

    Raises:
        SettingsError: If an option is unknown or has an invalid value.
    """
    known = options_of(kind)
    for name in given:
        if name not in known:
            raise SettingsError(
                f"{one_line(name, 60)}= is not an option here; the options are {', '.join(known)}"
            )
    return kind(**{name: _value(name, option, given) for name, (_, option) in known.items()})


def _value(name: str, option: Option, given: Mapping[str, Any]) -> Any:
    value = given.get(name, option.default)
    if option.check is None or (value is None and option.default is None):
        return value
    return option.check(name, value)


def _in_place_of(unknown: Sequence[str], words: Mapping[str, str], known: Sequence[str]) -> str:
    """Return the part of an error message that names unknown arguments and suggests others.

    If several arguments are names of other tools, the text lists them all.
    """
    ours = {}
    for name in unknown:
        if name in words:
            ours[name] = f"did you mean {words[name]}?" if words[name] else "leave it out"
    # A script for another tool often has several such arguments: one message about all of them
    # saves the user several attempts.
    if len(ours) > 1:
        return ", ".join(f"{name}= ({advice})" for name, advice in ours.items())
    name = next(iter(ours), unknown[0])
    return f"{one_line(name, 60)}=; {ours.get(name) or instead_of(name, known)}"


def suggesting(words: Mapping[str, str]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function refuse unknown keyword arguments, and suggest what to write instead.

    The keys of ``words`` are argument names of other tools.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        known = [name for name in signature(function).parameters if name != "self"]
        place = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def refusing(*args: P.args, **kwargs: P.kwargs) -> T:
            unknown = [name for name in kwargs if name not in known]
            if unknown:
                raise SettingsError(
                    f"{place}() has no argument {_in_place_of(unknown, words, known)}"
                )
            return function(*args, **kwargs)

        return refusing

    return decorate
