"""What profiling costs: a study with and without, in turn, of a pure Python function and of a numpy
function.

pyinstrument is called at every call and return, to see whether a millisecond is over, so what it
costs depends on how short the functions are. Compared are the workers' own training seconds, which
is what gets longer. The same configurations are trained each time, by one worker: on a shared
machine two would disturb each other. Of the ratios of all rounds the median is given, and the
lowest and highest.

The pure Python function is stochastic gradient descent on lists, with a call or a generator's step
about every 200 ns, which is as bad as real code gets; the numpy function trains a layer of 128 by
128.

    python benchmarks/profile_cost.py [--rounds 5] [--json FILE]
"""

import math
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from table import show

HOW = (("without", False), ("--profile", True))


def step(weights: list[float], inputs: list[float], target: float) -> list[float]:
    """Return the weights after one step."""
    error = sum(weight * value for weight, value in zip(weights, inputs, strict=True)) - target
    return [weight - 0.01 * error * value for weight, value in zip(weights, inputs, strict=True)]


def pure(trial: Any) -> None:
    """Train a linear model on lists."""
    weights = [0.0] * 16
    for epoch in trial.epochs():
        for sample in range(1000):
            weights = step(weights, [math.sin(sample * place) for place in range(16)], trial["x"])
        trial.report(score=sum(weights) + epoch)


def arrays(trial: Any) -> None:
    """Train a layer on arrays."""
    generator = np.random.default_rng(0)
    weights, inputs = generator.standard_normal((128, 128)), generator.standard_normal((256, 128))
    for epoch in trial.epochs():
        for _ in range(20):
            outputs = np.tanh(inputs @ weights)
            gradient = inputs.T @ ((outputs - trial["x"]) * (1 - outputs**2))
            weights -= 1e-4 * gradient
        trial.report(score=float(weights.sum()) + epoch)


def seconds(function: Callable[[Any], None], profile: bool) -> tuple[float, float]:
    """Return the training seconds of a study, and the share of them that
    its profile accounts for.
    """
    with tempfile.TemporaryDirectory() as directory:
        study = ashtune.tune(
            function, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=8, max_resource=4,
            scheduler="full",
            engine=ashtune.Local(workers=1, threads=1, profile=profile), directory=Path(directory,
            "study"), quiet=True,
        )  # fmt: skip
        found = study.profile() if profile else None
        trained = StudyReader(study.directory).tally.training_seconds
        return trained, found.seconds / found.worked_seconds if found else math.nan


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5
    rows = []
    for name, function in (("pure Python", pure), ("numpy", arrays)):
        times: dict[str, list[float]] = {how: [] for how, _ in HOW}
        shares: dict[str, list[float]] = {how: [] for how, _ in HOW}
        for _ in range(rounds):
            for how, profile in HOW:
                taken, share = seconds(function, profile)
                times[how].append(taken)
                shares[how].append(share)
        for how, profile in HOW:
            ratios = [
                with_it / without
                for with_it, without in zip(times[how], times["without"], strict=True)
            ]
            accounted = f"{100 * min(shares[how]):.1f}" if profile else ""
            median = statistics.median(ratios)
            rows.append(
                [
                    name,
                    how,
                    statistics.median(times[how]),
                    median,
                    min(ratios),
                    max(ratios),
                    accounted,
                ]
            )
    show(
        f"What profiling costs: 8 trials of 4 epochs, one worker, {rounds} rounds in turn",
        ["function", "how", "training s", "ratio", "lowest", "highest", "least accounted for %"],
        rows,
    )


if __name__ == "__main__":
    main()
