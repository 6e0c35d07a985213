"""ASH on two cores against the sequential baseline, halving on one: the same models, five seeds, in
turn.

First the demo's study on the digits, whose epochs cost what a configuration's width, depth and
batch size make them cost, so the two train different work. Then the same network with these three
fixed and only learning rate, momentum and weight decay tuned: every epoch is the same work, and
epochs a second compare like with like. There both studies run side by side in turns of a second, of
which each has the cores to itself, as the machine's speed changes; so do one and two processes that
only train, which says what two cores are worth here. Speed-up: the ratio of epochs a second, over
the whole of each study, its start and its end included.

Claim: speed-up >= 1.9 at equal work per epoch.

    python benchmarks/ash_against_baseline.py [--models 256] [--fixed-models 1024] [--seeds 5]
        [--epochs 1500, of plain training] [--json FILE]
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.demo import demo_objective as objective
from ashtune._src.demo import digits
from ashtune._src.demo.network import Mlp
from table import show
from turns import seconds_in_turns

FIXED = {"width": 64, "depth": 2, "batch_size": 32}


def train_fixed(trial: Any) -> None:
    """Train the demo's network in one shape."""
    data = digits.load()
    network = trial.restore() or Mlp({**FIXED, **trial.config})
    for epoch in trial.epochs():
        network.train_epoch(data.train_images, data.train_labels, epoch)
        loss, accuracy = network.loss_and_accuracy(data.validation_images, data.validation_labels)
        trial.report(accuracy=accuracy, loss=loss)
    trial.save(network)


def study(
    train: Any, space: dict[str, Any], seed: int, models: int, *, scheduler: str, place: Path
) -> ashtune.Study:
    """Tune: sequentially on one worker, or by ASH on two."""
    return ashtune.tune(
        train, space, metric="accuracy", mode="max", trials=models, max_resource=64,
        scheduler=scheduler, seed=seed,
        engine=ashtune.Local(workers=1 if scheduler == "sh" else 2, threads=1), search="random",
        directory=place,
        quiet=True,
    )  # fmt: skip


def found(place: Path) -> tuple[float, int, str]:
    """Return a study's wall seconds, its epochs and the best accuracy at the highest rung."""
    kept = ashtune.Study.load(place)
    tally = StudyReader(kept.directory).tally
    return tally.wall_seconds, tally.epochs, f"{kept.best.metrics['accuracy']:.4f}"


def compare_digits(models: int, seeds: int) -> None:
    """Run the demo's study both ways, one after the other."""
    rows: list[list[Any]] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as directory:
            results = []
            for scheduler in ("sh", "ash"):
                place = Path(directory, scheduler)
                study(
                    objective.train,
                    objective.space(),
                    seed,
                    models,
                    scheduler=scheduler,
                    place=place,
                )
                results.append(found(place))
        (wall_1, epochs_1, best_1), (wall_2, epochs_2, best_2) = results
        ratio = (epochs_2 / wall_2) / (epochs_1 / wall_1)
        rows.append(
            [seed, wall_1, wall_2, epochs_1, epochs_2, best_1, best_2, wall_1 / wall_2, ratio]
        )
    show_with_median(f"The demo's digits study, {models} models, rungs 1 to 64", rows)


def compare_fixed(models: int, seeds: int, epochs: int) -> None:
    """Run the study of one shape both ways, side by side in turns."""
    rows: list[list[Any]] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as directory:
            places = [Path(directory, scheduler) for scheduler in ("sh", "ash")]
            own = [sys.executable, __file__, "--study"]
            used = seconds_in_turns(
                [[*own, str(place), str(seed), str(models)] for place in places]
            )
            (_, epochs_1, best_1), (_, epochs_2, best_2) = map(found, places)
        plain = [
            [sys.executable, __file__, "--plain", str(processes), "--epochs", str(epochs)]
            for processes in (1, 2)
        ]
        one, two = seconds_in_turns(plain)
        row = [seed, *used, epochs_1, epochs_2, best_1, best_2, used[0] / used[1]]
        rows.append([*row, (epochs_2 / used[1]) / (epochs_1 / used[0]), 2 * one / two])
    title = (
        f"Equal work per epoch (64 units, 2 layers, batches of 32), {models} models, rungs 1 to "
        f"64, in turns of 1 s"
    )
    show_with_median(title, rows, "two plain / one")


def show_with_median(title: str, rows: list[list[Any]], *more: str) -> None:
    """Print a table and its median."""
    middle = [
        statistics.median(float(row[column]) for row in rows) for column in range(1, len(rows[0]))
    ]
    columns = [
        "seed",
        "sh on 1, s",
        "ash on 2, s",
        "sh epochs",
        "ash epochs",
        "sh best",
        "ash best",
        "time ratio",
    ]
    show(title, [*columns, "speed-up", *more], [*rows, ["median", *middle]])


def train_plainly(epochs: int) -> None:
    """Train a number of epochs of the fixed shape, and nothing else."""
    data = digits.load()
    network = Mlp({"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4, **FIXED})
    for epoch in range(epochs):
        network.train_epoch(data.train_images, data.train_labels, epoch)
        network.loss_and_accuracy(data.validation_images, data.validation_labels)


def number(name: str, default: int) -> int:
    """Return the value of an option."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main() -> None:
    """Measure and print; or, in a process of its own, be one of those that are measured."""
    if "--study" in sys.argv:
        place, seed, models = sys.argv[sys.argv.index("--study") + 1 :][:3]
        space = {
            name: objective.space()[name] for name in ("learning_rate", "momentum", "weight_decay")
        }
        study(
            train_fixed,
            space,
            int(seed),
            int(models),
            scheduler=Path(place).name,
            place=Path(place),
        )
    elif "--plain" in sys.argv:
        others, epochs = number("--plain", 1) - 1, number("--epochs", 1500)
        started = [
            subprocess.Popen([sys.executable, __file__, "--plain", "1", "--epochs", str(epochs)])
            for _ in range(others)
        ]
        train_plainly(epochs)
        for process in started:
            process.wait()
    else:
        compare_digits(number("--models", 256), number("--seeds", 5))
        compare_fixed(
            number("--fixed-models", 1024), number("--seeds", 5), number("--epochs", 1500)
        )


if __name__ == "__main__":
    main()
