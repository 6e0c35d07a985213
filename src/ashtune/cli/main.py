"""``ashtune``: the entry point.

Exit status: 0 done, 1 failed, 2 the options do not fit, 130 stopped by Ctrl-C. A user's mistake is
one line on stderr, never a traceback.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ashtune import __version__
from ashtune.errors import AshtuneError

COMMANDS = {
    "run": "tune a training function",
    "resume": "continue a study that was stopped or killed",
    "plan": "show the rungs, trials and epochs to expect, without running anything",
    "report": "show what a study found and where its time went",
    "demo": "tune a small network on handwritten digits",
}


class _Parser(argparse.ArgumentParser):
    """Refuses in one line; the usage is a ``--help`` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = _Parser(
        prog="ashtune", description="Hyperparameter tuning by asynchronous sequential halving, on every core."
    )
    parser.add_argument("--version", action="version", version=f"ashtune {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == wanted:
            module = import_module(f"ashtune.cli.{name}")
            module.add_to(command)
            command.set_defaults(main=module.main)
    options = parser.parse_args(arguments)
    try:
        status: int = options.main(options)
    except AshtuneError as error:
        print(f"ashtune: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, as `| head`, has gone
        sys.stderr.close()
        return 1
    return status
