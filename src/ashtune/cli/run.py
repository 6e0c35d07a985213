"""``ashtune run FILE:FUNCTION``: tune a training function."""

import argparse
import sys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from ashtune.cli import options
    from ashtune.limits import MAX_FAILURES

    parser.add_argument("objective", metavar="FILE:FUNCTION", help="the training function, as train.py:train")
    parser.add_argument(
        "--space",
        default="space",
        metavar="SPACE",
        help="NAME in FILE or FILE:NAME of the space (or of a function that returns it), or a .json file of "
        "ConfigSpace; default: space",
    )
    parser.add_argument("--metric", required=True, metavar="NAME", help="the reported metric that counts")
    parser.add_argument("--mode", required=True, choices=("min", "max"), help="which way is better")
    options.add_ladder(parser)
    search = parser.add_argument_group("search")
    search.add_argument("--search", default="random", metavar="NAME", help="random (default), sobol or grid")
    search.add_argument("--grid-points", type=int, metavar="N", help="points on each continuous parameter of a grid")
    search.add_argument("--seed", type=int, default=0, metavar="N", help="decides the configurations drawn (0)")
    options.add_limits(parser, max_failures=MAX_FAILURES)
    options.add_run_options(parser)
    parser.add_argument("--directory", metavar="DIR", help="where the study is kept (a new one under runs)")
    parser.add_argument(
        "--accept-changes", action="store_true", help="go on with the study in DIR though the function has changed"
    )
    parser.add_argument(
        "--checkpoint-limit", type=options.size, metavar="SIZE", help="most bytes of checkpoints, as 20GB"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(given: argparse.Namespace) -> int:
    """Tune, and print what was found."""
    from ashtune.cli import options
    from ashtune.cli.loading import load_function, load_space
    from ashtune.cli.showing import show_profile, show_study, what_was_found
    from ashtune.tuning import tune

    objective = load_function(given.objective)
    study = what_was_found(
        tune,
        objective,
        load_space(given.space, given.objective),
        metric=given.metric,
        mode=given.mode,
        trials=given.trials,
        max_resource=given.max_resource,
        min_resource=given.min_resource,
        reduction_factor=given.reduction_factor,
        rungs=given.rungs,
        scheduler=given.scheduler,
        search=given.search,
        grid_points=given.grid_points,
        seed=given.seed,
        time_limit=given.time_limit,
        total_resource=given.total_resource,
        target=given.target,
        max_failures=given.max_failures,
        checkpoint_limit=given.checkpoint_limit,
        directory=given.directory,
        accept_changes=given.accept_changes,
        **options.run_options(given),
    )
    status = show_study(study, as_json=given.json, stream=sys.stdout)
    if given.profile and not given.json:
        sys.stdout.write("\n")
        show_profile(study, as_json=False, stream=sys.stdout, top=15)
    return status
