"""``ashtune resume DIR``: continue a study that was stopped or killed."""

import argparse
import sys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from ashtune.cli import options

    parser.epilog = (
        "Resuming runs the training function and loads the checkpoints kept in DIR, which are pickles: "
        "resume only studies whose origin you trust. `ashtune report` executes nothing."
    )
    parser.add_argument("directory", metavar="DIR", help="the study's directory")
    parser.add_argument(
        "objective",
        nargs="?",
        metavar="FILE:FUNCTION",
        help="the training function, if it has changed; by default as it was when the study began",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="configurations to try in all (as before)")
    parser.add_argument("--max-resource", type=int, metavar="EPOCHS", help="more rungs above, up to this one")
    options.add_limits(parser, max_failures=None)
    options.add_run_options(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(given: argparse.Namespace) -> int:
    """Continue, and print what was found."""
    from ashtune.cli import options
    from ashtune.cli.loading import load_function
    from ashtune.cli.showing import show_profile, show_study, what_was_found
    from ashtune.studies import Study

    study = what_was_found(
        Study.load(given.directory).resume,
        objective=load_function(given.objective) if given.objective else None,
        trials=given.trials,
        max_resource=given.max_resource,
        time_limit=given.time_limit,
        total_resource=given.total_resource,
        target=given.target,
        max_failures=given.max_failures,
        **options.run_options(given),
    )
    status = show_study(study, as_json=given.json, stream=sys.stdout)
    if given.profile and not given.json:
        sys.stdout.write("\n")
        show_profile(study, as_json=False, stream=sys.stdout, top=15)
    return status
