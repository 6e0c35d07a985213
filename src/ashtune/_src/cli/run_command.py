"""``ashtune run FILE:FUNCTION`` tunes a training function. ``ashtune run -- PROGRAM ARGUMENTS``
tunes a program.
"""

# argparse would take the program's options for options of ashtune, so main.py splits the command
# line at "--" before it is parsed; the program is then in ``given.program``.

import argparse
from typing import Any

from ashtune._src.api.tuning import run_study
from ashtune._src.cli import flags as options
from ashtune._src.cli.load_names import load_function, load_space
from ashtune._src.cli.showing import train_and_show
from ashtune._src.core import parse
from ashtune._src.core.errors import ObjectiveError
from ashtune._src.driver.study_options import TUNE_GROUPS, TuneOptions
from ashtune._src.training.program import Program


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "objective", metavar="FILE:FUNCTION", nargs="?",
        help="the training function, such as train.py:train; or at the end, after --, a program "
             "with its arguments, such as -- python train.py --rate {rate} --epochs {target}",
    )  # fmt: skip
    parser.add_argument(
        "--space", default="space", metavar="SPACE",
        help="the space, or a function that returns it: NAME in FILE, or FILE:NAME; or a .json "
             "file with an object such as "
        '{"rate": {"low": 1e-4, "high": 0.1, "log": true}, "width": [16, 32]}, or one '
        'that ConfigSpace wrote; default: space',
    )  # fmt: skip
    parser.add_argument(
        "--metric", required=True, type=parse.names, metavar="NAME",
        help="the reported metric to optimize, or several, such as accuracy,latency",
    )  # fmt: skip
    parser.add_argument(
        "--mode", required=True, type=parse.names, metavar="MODE",
        help="min or max: minimize or maximize; one for each metric, such as max,min",
    )  # fmt: skip
    options.add(parser, *TUNE_GROUPS)
    options.add_json(parser)


def main(given: argparse.Namespace) -> int:
    """Tune, and print the results."""
    what = _objective_and_space(given)
    more = options.given_options(TuneOptions, given)
    return train_and_show(
        lambda: run_study(*what, metric=given.metric, mode=given.mode, **more), given
    )


def _objective_and_space(given: argparse.Namespace) -> tuple[Any, Any]:
    if (given.program is None) == (given.objective is None):
        raise ObjectiveError("give what to tune: FILE:FUNCTION, or a program after --")
    if given.program is None:
        return load_function(given.objective), load_space(given.space, given.objective)
    return Program(tuple(given.program)), load_space(given.space)
