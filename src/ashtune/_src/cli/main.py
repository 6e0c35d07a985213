"""``ashtune``: the entry point.

The exit status is 0 if the command succeeds, 1 if the command fails, 2 if an option is wrong, 75 if
the batch system stopped the study, 130 after Ctrl-C, and 143 if SIGTERM ended a worker. If the user
made a mistake, or if an output stream cannot be written, stderr gets one line without a traceback.
"""

# Theory of operation
# -------------------
# main() does four things, in an order that matters:
#
#   1  _open_closed_streams(): a command started with a closed stdout would give the number 1 to the
#      next file that it opens, and would write its output into a study's journal.
#   2  only the module of the wanted command is imported, so `ashtune plan` does not load the
#      dashboard, and `ashtune --help` loads no command at all. Most commands import what they use
#      at the top of their module. Those that train or read a study import it in main(): under MPI,
#      every rank parses the options, and only one needs the rest.
#   3  a command that trains starts MPI before its options are parsed: of several ranks only the
#      first one continues, so an error in the options is printed once, and the others wait for
#      work.
#   4  _flush(): Python flushes stdout when it exits, and prints an exception if that fails. The
#      reader of a pipe may have ended (`| head`), so the streams are flushed here, and then lead to
#      the null device.
#
# An error of a user is one line and the status 2. A message that Python code raises speaks of
# ``max_resource=9``; on the command line the user wrote ``--max-resource 9``, so flags.py rewrites
# it (_main_in_flags).

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import NoReturn

from ashtune._src.core.errors import AshtuneError, SettingsError, StudyError
from ashtune._src.core.plaintext import one_line
from ashtune._src.core.version import __version__

COMMANDS = {
    "run": "tune a training function",
    "report": "show the results of a study and how its time was used",
    "watch": "show studies on a live page, while they run and after",
    "resume": "continue a study that was stopped or killed",
    "plan": "show the expected rungs, trials and resource, without running anything",
    "export": "copy a study to a tracker or a file: MLflow, W&B, TensorBoard, Trackio, Optuna, CSV",
    "whatif": "predict the time of a study with other workers or another scheduler",
    "simulate": "simulate a study on thousands of workers, without training",
    "worker": "run workers for a study whose engine is the cluster, until the study ends",
    "mcp": "serve studies to AI assistants by the Model Context Protocol",
    "baseline": "measure the time of sequential halving, by number of models and rung",
    "roofline": "measure this machine, and show what limits the speed of a training step",
    "demo": "tune a small network on handwritten digits",
    "skill": "print instructions for AI assistants that write code with ashtune",
}
TRAINING = ("run", "resume", "baseline", "demo")


class _Parser(argparse.ArgumentParser):
    """A parser that prints an error as one line, without the usage."""

    is_asked_for_help = True

    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message}; see `{self.prog} --help`") + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _open_closed_streams()
    _Parser.is_asked_for_help = not {"-h", "--help"}.isdisjoint(arguments)
    parser = _Parser(
        prog="ashtune",
        description="Hyperparameter tuning by asynchronous sequential halving, on every core.",
    )
    parser.add_argument("--version", action="version", version=f"ashtune {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        if name == wanted:
            module = import_module(f"ashtune._src.cli.{name}_command")
            module.add_to(command)
            command.set_defaults(main=partial(_main_in_flags, module.main, command))
    if wanted not in TRAINING:
        return _flush(_run(parser, arguments))
    from ashtune._src.engines.mpi.start import leave

    status = _run(parser, arguments, trains=True)
    leave(status)
    return _flush(status)


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str], *, trains: bool = False) -> int:
    """Run the command, and print an error of the user as one line."""
    arguments, program = _split_program(arguments)
    try:
        if trains:
            from ashtune._src.engines.mpi.start import start_mpi

            # Only rank 0 continues, so that an error is printed once and not by every rank.
            start_mpi(workers_given=any(argument.startswith("--workers") for argument in arguments))
        try:
            options, unknown = parser.parse_known_args(
                arguments, argparse.Namespace(program=program)
            )
            if unknown:
                is_program = options.command == "run" and program is None
                hint = ""
                if is_program:
                    hint = "; give a program and its arguments after --"
                parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
            status: int = options.main(options)
        except SystemExit as left:  # from the parser, or from a study that the batch system stopped
            status = left.code if isinstance(left.code, int) else int(left.code is not None)
        sys.stdout.flush()
    except AshtuneError as error:
        _complain(f"{type(error).__name__}: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output, such as `| head`, has ended
        return 1
    except OSError as error:
        _complain(f"{type(error).__name__}: {error}")
        return 1
    return status


def _main_in_flags(
    main: Callable[[argparse.Namespace], int],
    command: argparse.ArgumentParser,
    options: argparse.Namespace,
) -> int:
    """Run a command's function. An error about settings gets the spelling
    of the command's options.
    """
    try:
        return main(options)
    except (SettingsError, StudyError) as error:
        # Not at the top: `ashtune --help` needs no options, and this loads ten more modules.
        from ashtune._src.cli.flags import in_flags

        error.args = (in_flags(str(error), command), *error.args[1:])
        raise


def _split_program(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Split the arguments of ``run`` at ``--``. Return the arguments before ``--``, and those after
    it or None.
    """
    given = list(arguments)
    if "run" not in given or "--" not in given[given.index("run") :]:
        return given, None
    end = given.index("--", given.index("run"))
    return given[:end], given[end + 1 :]


def _complain(words: str) -> None:
    with suppress(OSError):
        sys.stderr.write(one_line(f"ashtune: {words}") + "\n")


def _flush(status: int) -> int:
    """Flush the output.

    If flushing fails, replace the stream by the null device, so that Python can exit.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def _open_closed_streams() -> None:
    """Open the null device for each closed standard stream.

    Otherwise another file would get the stream's number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            stream = open(  # noqa: SIM115 - stays open as long as Python runs
                number, mode, encoding="utf-8", errors="backslashreplace", closefd=False
            )
            setattr(sys, name, stream)
