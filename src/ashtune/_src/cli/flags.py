"""Adds options to a command's parser, and converts parsed arguments to keyword arguments."""

import argparse
from collections.abc import Callable
from functools import wraps
from inspect import getdoc
from re import MULTILINE, findall, sub
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ashtune._src.core.option import Option

T = TypeVar("T")


def add(parser: argparse.ArgumentParser, *kinds: Callable[..., Any]) -> None:
    """Add the options of each kind to a parser, as a group.

    The group's title is the first sentence of the kind's docstring. If the user gives no value for
    an option, the option is missing in the result.
    """
    from ashtune._src.core.option import options_of

    for kind in kinds:
        # importing the modules with the help texts takes 40 ms
        said = help_texts(kind) if getattr(parser, "is_asked_for_help", True) else {}
        group = parser.add_argument_group(str(kind.__doc__).partition(".")[0])
        for name, (_, option) in options_of(kind).items():
            flag = f"--{'no-' if option.default is True else ''}{name.replace('_', '-')}"
            more: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": name}
            if option.is_flag:
                more["action"] = "store_false" if option.default else "store_true"
            elif option.parse is None:
                continue
            else:
                more |= {"type": argument_type(option.parse), "metavar": option.metavar}
            group.add_argument(flag, help=_help(option, said.get(name, name)), **more)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--json``, which several commands have."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def given_options(kind: Callable[..., Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a kind that the user has given, as keyword arguments."""
    from ashtune._src.core.option import options_of

    return {name: getattr(arguments, name) for name in options_of(kind) if hasattr(arguments, name)}


def complete(kind: Callable[..., T], arguments: argparse.Namespace) -> T:
    """Return all options of a kind, and write them into ``arguments``.

    An option has the user's checked value, or its default if the user has given no value.

    Raises:
        SettingsError: If a value is invalid.
    """
    from ashtune._src.core.option import checked

    options = checked(kind, given_options(kind, arguments))
    vars(arguments).update(options)  # type: ignore[call-overload]  # a TypedDict
    return options


def argument_type(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Wrap a function of ``ashtune._src.core.parse``, so that argparse prints the function's error
    message.
    """
    if parse in (int, float, str):
        return parse

    @wraps(parse)
    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def in_flags(message: str, parser: argparse.ArgumentParser) -> str:
    """Return a message of the Python interface with options as in a command: ``--max-resource=9``.

    A name without ``=`` is changed only if it has an underscore and is not in a list of names.
    """
    for action in parser._actions:  # argparse has no public list of options
        name = action.dest
        flag = f"--{action.dest.replace('_', '-')}"
        if flag not in action.option_strings:
            continue
        message = sub(rf"\w+=ashtune\.\w+\({name}=([^,()]*)\)", rf"{flag}=\1", message)
        value = "=True" if action.nargs == 0 else "=(?!ashtune)"
        message = sub(
            rf"(?<![\w.:(-]){name}{value}", flag if action.nargs == 0 else f"{flag}=", message
        )
        message = sub(rf"{flag}=(?=[\s,;]|$)", flag, message)
        if "_" in name:
            message = sub(rf"(?<![\w.:-])(?<!, ){name}(?![\w=])", flag, message)
    return message


def help_texts(kind: Callable[..., Any]) -> dict[str, str]:
    """Return the help text of each option of a kind, from the docstring of the kind, or of the
    functions and classes that take the options.
    """
    from ashtune._src.core.option import options_of

    said = _described(kind)
    if options_of(kind).keys() <= said.keys():
        return said
    from ashtune._src.api.study import Study
    from ashtune._src.api.tuning import tune
    from ashtune._src.driver.study_options import Stop, TopRung, WhatIfOptions
    from ashtune._src.engines.session_options import MPI, Local
    from ashtune._src.schedulers.scheduler_protocol import Scheduler

    own: dict[Any, Any] = {WhatIfOptions: Study.whatif, TopRung: Study.resume}
    for taker in (own.get(kind, tune), Stop, Local, MPI, Scheduler):
        said = _described(taker) | said
    return said


def _described(documented: Callable[..., Any]) -> dict[str, str]:
    """Return the text of each argument that a docstring describes."""
    found = findall(r"^    (\w+): (.+(?:\n {8}.+)*)", getdoc(documented) or "", MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _help(option: "Option", words: str) -> str:
    if option.default is True:
        return option.forms
    words = words.replace("``", "").replace("%", "%%")
    words = words[0].lower() + words[1:].rstrip(".") if words[1:2].islower() else words.rstrip(".")
    words += f", {option.forms}" if option.forms else ""
    default = option.default
    if default in (None, ()) or option.is_flag:
        return words
    if isinstance(default, list | tuple):
        default = ",".join(map(str, default))
    return f"{words} ({default})"
