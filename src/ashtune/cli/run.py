"""``ashtune run FILE:FUNCTION``: tune a training function; ``ashtune run -- PROGRAM ARGUMENTS``: or any program."""

import argparse
import sys
from typing import Any


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from ashtune.cli import options
    from ashtune.core import parse
    from ashtune.driver.options import (
        Controlling,
        Ending,
        Halving,
        Preferring,
        Searching,
        Storage,
        Watching,
        WorkerOptions,
    )

    parser.add_argument(
        "objective", metavar="FILE:FUNCTION", nargs="?",
        help="the training function, as train.py:train; or at the end, behind --, a program with its arguments, as "
        "-- python train.py --rate {rate} --epochs {target}",
    )  # fmt: skip
    parser.add_argument(
        "--space",
        default="space",
        metavar="SPACE",
        help="NAME in FILE or FILE:NAME of the space (or of a function that returns it), or a .json file: an object as "
        '{"rate": {"low": 1e-4, "high": 0.1, "log": true}, "width": [16, 32]}, or one of ConfigSpace; default: space',
    )
    parser.add_argument(
        "--metric", required=True, type=parse.one_or_more, metavar="NAME",
        help="the reported metric that counts, or several, as accuracy,latency",
    )  # fmt: skip
    parser.add_argument(
        "--mode", required=True, type=parse.one_or_more, metavar="MODE",
        help="which way is better, min or max; one for each metric, as max,min",
    )  # fmt: skip
    for kind in (Halving, Searching, Preferring, Ending, WorkerOptions, Watching, Controlling, Storage):
        options.add(parser, kind)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(given: argparse.Namespace) -> int:
    """Tune, and print what was found."""
    from ashtune.api.tuning import run_study
    from ashtune.cli import options
    from ashtune.cli.showing import show_profile, show_study, trained_study
    from ashtune.driver.options import TuneOptions

    objective, space = _objective_and_space(given)
    study = trained_study(
        run_study,
        objective,
        space,
        metric=given.metric,
        mode=given.mode,
        **options.given(TuneOptions, given),
    )
    status = show_study(study, as_json=given.json, stream=sys.stdout)
    if "profile" in given and not given.json:
        sys.stdout.write("\n")
        show_profile(study, as_json=False, stream=sys.stdout, top=15)
    return status


def _objective_and_space(given: argparse.Namespace) -> tuple[Any, Any]:
    """Return what trains, and the space.

    Raises:
        ObjectiveError: If it is neither a function nor a program, or both, or cannot be used.
        SpaceError: If there is no space.
    """
    from ashtune.cli.loading import load_function, load_space
    from ashtune.core.errors import ObjectiveError
    from ashtune.core.plaintext import shown

    if given.program is None:
        if given.objective is None:
            raise ObjectiveError("there is nothing to tune; give FILE:FUNCTION, or a program behind --")
        return load_function(given.objective), load_space(given.space, given.objective)
    from ashtune.training.program import Program

    if given.objective is not None:
        raise ObjectiveError(f"{shown(given.objective)} and a program behind -- are both given; leave one out")
    return Program(tuple(given.program)), load_space(given.space)
