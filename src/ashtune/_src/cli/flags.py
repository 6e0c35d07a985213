"""Adds options to a command's parser, and converts parsed arguments to keyword arguments."""

import argparse
from collections.abc import Callable
from functools import wraps
from inspect import getdoc
from re import MULTILINE, findall, sub
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ashtune._src.core.option import Option


def add(
    parser: argparse.ArgumentParser,
    kind: Callable[..., Any],
    *names: str,
    title: str = "",
    has_defaults: bool = False,
) -> None:
    """Add the options of a kind to a parser, as one group.

    Args:
        kind: A kind of options in ``ashtune._src.driver.study_options``.
        names: Names of the options to add; by default all.
        title: Title of the group; by default the first sentence of the kind's docstring.
        has_defaults: Whether an option that is not given gets its default. If False, such an option
            is missing in the result.
    """
    from ashtune._src.core.option import options_of

    # importing the texts takes 40 ms
    is_asked_for_help = getattr(parser, "is_asked_for_help", True)
    said = help_texts(kind) if is_asked_for_help else {}
    group = parser.add_argument_group(title or str(kind.__doc__).partition(".")[0])
    for name, (_, option) in options_of(kind).items():
        if names and name not in names:
            continue
        flag = f"--{'no-' if option.default is True else ''}{name.replace('_', '-')}"
        more: dict[str, Any] = {
            "default": option.default if has_defaults else argparse.SUPPRESS,
            "dest": name,
        }
        if option.is_flag:
            more["action"] = "store_false" if option.default else "store_true"
        elif option.parse is None:
            continue
        else:
            more |= {"type": argument_type(option.parse), "metavar": option.metavar}
        group.add_argument(flag, help=_help(option, option.help or said.get(name, name)), **more)


def given_options(kind: Callable[..., Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a kind that the user has given, as keyword arguments."""
    from ashtune._src.core.option import options_of

    return {name: getattr(arguments, name) for name in options_of(kind) if hasattr(arguments, name)}


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
    """Return a message of the Python interface with the spelling of a command's options:
    ``--max-resource=9``.

    A name without ``=`` is changed only if it has an underscore, and is not in a list of names.
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
    """Return the help text of each option of a kind. The texts are in docstrings of functions and
    classes.
    """
    from ashtune._src.api.study import Study
    from ashtune._src.api.tuning import tune
    from ashtune._src.driver.study_options import ResumeOptions, Stop, WhatIfOptions
    from ashtune._src.engines.session_options import MPI, Local
    from ashtune._src.schedulers.scheduler_protocol import Scheduler

    takers = [Study.whatif] if kind is WhatIfOptions else [tune, Stop, Local, MPI, Scheduler]
    said: dict[str, str] = {}
    for taker in [Study.resume, *takers] if kind is ResumeOptions else takers:
        for name, text in findall(r"^    (\w+): (.+(?:\n {8}.+)*)", getdoc(taker) or "", MULTILINE):
            said.setdefault(name, " ".join(text.split()))
    return said


def _help(option: "Option", words: str) -> str:
    if option.default is True:
        return option.forms
    words = words.replace("``", "").replace("%", "%%")
    words = words[0].lower() + words[1:].rstrip(".") if words[1:2].islower() else words.rstrip(".")
    words += f", {option.forms}" if option.forms else ""
    return (
        words if option.default in (None, ()) or option.is_flag else f"{words} ({option.default})"
    )
