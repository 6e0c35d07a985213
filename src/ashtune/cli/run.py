"""``ashtune run FILE:FUNCTION``: tune a training function."""

import argparse
import sys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from ashtune.cli import options
    from ashtune.core import parse
    from ashtune.driver.options import Ending, Halving, Preferring, Running, Searching, Storage, Watching

    parser.add_argument("objective", metavar="FILE:FUNCTION", help="the training function, as train.py:train")
    parser.add_argument(
        "--space",
        default="space",
        metavar="SPACE",
        help="NAME in FILE or FILE:NAME of the space (or of a function that returns it), or a .json file of "
        "ConfigSpace; default: space",
    )
    parser.add_argument(
        "--metric", required=True, type=parse.one_or_more, metavar="NAME",
        help="the reported metric that counts, or several, as accuracy,latency",
    )  # fmt: skip
    parser.add_argument(
        "--mode", required=True, type=parse.one_or_more, metavar="MODE",
        help="which way is better, min or max; one for each metric, as max,min",
    )  # fmt: skip
    for kind in (Halving, Searching, Preferring, Ending, Running, Watching, Storage):
        options.add(parser, kind)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(given: argparse.Namespace) -> int:
    """Tune, and print what was found."""
    from ashtune.api.tuning import tune
    from ashtune.cli import options
    from ashtune.cli.loading import load_function, load_space
    from ashtune.cli.showing import show_profile, show_study, trained_study
    from ashtune.driver.options import TuneOptions

    objective = load_function(given.objective)
    study = trained_study(
        tune,
        objective,
        load_space(given.space, given.objective),
        metric=given.metric,
        mode=given.mode,
        **options.given(TuneOptions, given),
    )
    status = show_study(study, as_json=given.json, stream=sys.stdout)
    if "profile" in given and not given.json:
        sys.stdout.write("\n")
        show_profile(study, as_json=False, stream=sys.stdout, top=15)
    return status
