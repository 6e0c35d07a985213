"""``ashtune demo``: a small network on handwritten digits, sequentially and then on every core."""

import argparse
import sys
import time

SEQUENTIAL_TRIALS = 64


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--trials", type=int, default=256, metavar="N", help="configurations for ASH (256)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (all cores); under MPI, ranks (all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides the configurations drawn (0)")
    parser.add_argument("--directory", metavar="DIR", help="where the studies are kept (a new one under runs)")
    parser.add_argument("--quiet", action="store_true", help="show only the result")


def main(given: argparse.Namespace) -> int:
    """Run both studies and compare them."""
    from pathlib import Path

    from ashtune.cli.showing import say, show_study
    from ashtune.demo import digits, objective
    from ashtune.engines.entrance import enter
    from ashtune.limits import Means
    from ashtune.staff import head_count
    from ashtune.tune import tune

    digits.load()  # a missing scikit-learn is said before anything starts
    base = Path(given.directory or Path("runs", f"demo-{time.strftime('%Y%m%d-%H%M%S')}"))
    common = {
        "metric": "accuracy",
        "mode": "max",
        "max_resource": 64,
        "threads": 1,
        "seed": given.seed,
        "quiet": given.quiet,
    }
    few = min(SEQUENTIAL_TRIALS, given.trials)
    say(
        "A multilayer perceptron on 1,797 handwritten digits (1,200 to train, 597 to validate); tuned are learning "
        "rate, momentum, weight decay, width, depth and batch size. Rungs at 1, 2, 4 ... 64 epochs.\n",
        f"1. The sequential baseline: successive halving of {few} configurations on one worker.",
    )
    baseline = tune(
        objective.train, objective.space(), scheduler="sh", trials=few, workers=1,
        directory=base / "sequential", **common,
    )  # fmt: skip
    world = enter(workers_given=given.workers is not None)
    workers = head_count(Means(workers=given.workers), world, given.trials)
    say(f"2. ASH: {given.trials} configurations on {workers} worker{'s' if workers > 1 else ''}.")
    study = tune(
        objective.train, objective.space(), trials=given.trials, workers=workers, directory=base / "ash", **common
    )
    status = show_study(study, as_json=False, stream=sys.stdout)
    one, many = baseline.loaded.tally, study.loaded.tally
    say(
        "Compared (models per second, each model halved over the same rungs):",
        f"  sequential halving, 1 worker   {few:5d} models  {one.wall_seconds:6.1f} s  "
        f"{few / one.wall_seconds:6.1f} models/s   best accuracy {baseline.best.metrics['accuracy']:.4f}",
        f"  ASH, {workers} worker{'s' if workers > 1 else ' '}"
        f"                {given.trials:5d} models  {many.wall_seconds:6.1f} s  "
        f"{given.trials / many.wall_seconds:6.1f} models/s   best accuracy {study.best.metrics['accuracy']:.4f}",
        f"The baseline had fewer models ({few}) to keep the demo short.",
    )
    return status
