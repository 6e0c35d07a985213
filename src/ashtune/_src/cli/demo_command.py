"""``ashtune demo``: trains a small network on handwritten digits sequentially, then on all cores,
then fused.
"""

# Decision 5 (docs/decisions/0005-demo-split.md): the demo needs no PyTorch, as its network is
# written in numpy, and no download, as its data are part of scikit-learn.

import argparse
import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypedDict

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.api.study import Study
from ashtune._src.api.tuning import tune
from ashtune._src.cli import flags as options
from ashtune._src.cli.showing import say, show_study
from ashtune._src.core.checks import check_whole
from ashtune._src.core.numbers import plural
from ashtune._src.core.option import Flag, Folder, Option, Seed
from ashtune._src.engines.engine_registry import engine_for, worker_count
from ashtune._src.engines.session_options import Auto, WorkerCount

SEQUENTIAL_TRIALS = 64
FUSED_TIMES = 4
"""The number of configurations for fused training, divided by the number for ASH."""


class DemoOptions(TypedDict, total=False):
    """demo.

    Args:
        trials: Configurations for ASH.
        workers: Processes (all cores); under MPI, ranks (all).
        seed: Seed of the configurations.
        directory: The folder of the studies (default: a new one in runs).
        quiet: Show only the result.
    """

    trials: Annotated[int, Option(default=256, check=check_whole, parse=int)]
    workers: WorkerCount
    seed: Seed
    directory: Folder
    quiet: Flag


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add(parser, DemoOptions)


def main(given: argparse.Namespace) -> int:
    """Run the demo's studies, and print a comparison."""
    from ashtune._src.demo import demo_objective as objective
    from ashtune._src.demo import digits, lanes

    options.complete(DemoOptions, given)
    digits.load()  # a missing scikit-learn is reported before anything starts
    base = Path(given.directory or Path("runs", f"demo-{time.strftime('%Y%m%d-%H%M%S')}"))
    common = {
        "metric": "accuracy",
        "mode": "max",
        "min_resource": 1,
        "max_resource": 64,
        "reduction_factor": 2,
        # all studies draw the same configurations, so only the way of training differs
        "search": "random",
        "engine": Auto(threads=1),
        "seed": given.seed,
        "quiet": given.quiet,
    }
    few = min(SEQUENTIAL_TRIALS, given.trials)
    say(
        "The demo tunes a multilayer perceptron on 1,797 handwritten digits (1,200 to train, 597 "
        "to validate): its learning rate, momentum, weight decay, width, depth and batch size. The "
        "rungs are at 1, 2, 4 ... 64 epochs.\n",
        f"1. The sequential baseline: successive halving of {few} configurations on one worker.",
    )
    baseline = tune(
        objective.train, objective.space(), scheduler="sh", trials=few, workers=1,
        directory=base / "sequential", **common,
    )  # fmt: skip
    engine = engine_for({"workers": given.workers})
    workers = worker_count(engine, {"workers": given.workers}, given.trials)
    say(f"2. ASH: {given.trials} configurations on {plural(workers, 'worker')}.")
    study = tune(
        objective.train,
        objective.space(),
        trials=given.trials,
        workers=workers,
        directory=base / "ash",
        **common,
    )
    status = show_study(study, as_json=False, stream=sys.stdout)
    kinds = [
        ("sequential halving, 1 worker", baseline),
        (f"ASH, {plural(workers, 'worker')}", study),
    ]
    if find_spec("jax") is None:
        say(
            "With JAX (pip install 'ashtune[jax]') the demo also trains many models together in "
            "one program.\n"
        )
    else:
        many = FUSED_TIMES * given.trials
        say(
            f"3. ASH with fused training: {many} configurations of twelve shapes, compiled by JAX; "
            "then the same study again, with the programs that the first one compiled."
        )
        for name in ("fused", "fused again"):
            folder = base / name.replace(" ", "-")
            fused = tune(
                lanes.objective(),
                lanes.space(),
                trials=many,
                workers=workers,
                directory=folder,
                **common,
            )
            show_study(fused, as_json=False, stream=sys.stdout)
            kinds.append((f"ASH, {plural(workers, 'worker')}, {name}", fused))
    say(
        "Compared (models per second, each model halved over the same rungs):",
        *[_line(kind, tuned) for kind, tuned in kinds],
        f"The baseline had fewer models ({few}) to keep the demo short.",
    )
    return status


def _line(kind: str, study: Study) -> str:
    tally = StudyReader(study.directory).tally
    tried = tally.tried
    wall = tally.wall_seconds
    compiled = tally.compile_seconds
    accuracy = (tally.best and tally.best.metrics["accuracy"]) or math.nan
    compiling = ""
    if compiled:
        compiling = f", {compiled:.1f} s of the workers' time to compile"
    return (
        f"  {kind:<29} {tried:5,d} models  {wall:6.1f} s  {tried / wall:6.1f} models/s   "
        f"best accuracy {accuracy:.4f}{compiling}"
    )
