"""The demo's network on the digits, tuned by grid and by random search of as many trials.

What makes the comparison fair:

- both search the same three ranges, with as many trials, each for as many epochs of the same
  batches, so a trial costs the same on either side (early stopping is off: ``scheduler="full"``);
- seed ``s`` decides the configurations of random search, and the initial weights of both sides: the
  grid itself is always the same, so over the seeds it only has the luck of its weights;
- there are two grids, as the ranges' ends may be bad values: one with both ends of each range,
  which is what ``search="grid"`` lays out, and one at the middles of as many equal parts of each
  range.
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ashtune
from ashtune._src.core.events import JobFinished
from ashtune._src.demo import digits
from ashtune._src.demo.demo_objective import space as demo_space
from ashtune._src.demo.network import Mlp
from ashtune._src.study.journal import NAME, read_events

Counts = NDArray[np.int64]

FIXED = {"width": 32, "depth": 1, "batch_size": 32}
TUNED = ("learning_rate", "momentum", "weight_decay")
POINTS = 4
TRIALS = POINTS ** len(TUNED)
EPOCHS = 8


def train(trial: "ashtune.Trial") -> None:
    """Train as the demo does, with initial weights that the study chooses."""
    data = digits.load()
    network = Mlp(trial.config, seed=trial["weights"])
    for epoch in trial.epochs():
        network.train_epoch(data.train_images, data.train_labels, epoch)
    trial.report(
        accuracy=network.loss_and_accuracy(data.validation_images, data.validation_labels)[1]
    )


def ends(low: float, high: float) -> tuple[float, float]:
    """Return the whole range, whose grid has points at both ends."""
    return low, high


def middles(low: float, high: float) -> tuple[float, float]:
    """Return the range less half a part at either end, whose grid has the middles of ``POINTS``
    equal parts.
    """
    margin = (high - low) / (2 * POINTS)
    return low + margin, high - margin


def ranges(within: Callable[[float, float], tuple[float, float]]) -> dict[str, Any]:
    """Return the demo's ranges of the three, cut by ``within`` on the scale that they are searched
    on.
    """
    found: dict[str, Any] = {}
    for name in TUNED:
        low, high, *scale = demo_space()[name]
        if scale:
            ends_of_logarithm = within(math.log(low), math.log(high))
            found[name] = (*map(math.exp, ends_of_logarithm), *scale)
        else:
            found[name] = within(low, high)
    return found


def right_images(
    search: str, within: Callable[[float, float], tuple[float, float]], seed: int
) -> Counts:
    """Return how many validation images each trial of one study gets right, in the order of the
    trials.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "study")
        ashtune.tune(
            train, ranges(within) | FIXED | {"weights": seed}, metric="accuracy", mode="max",
            seed=seed,
            trials=TRIALS, max_resource=EPOCHS, min_resource=EPOCHS, scheduler="full",
            directory=directory, quiet=True,
            search=ashtune.Grid(points=dict.fromkeys(TUNED,
            POINTS)) if search == "grid" else search,
        )  # fmt: skip
        right = np.full(TRIALS, -1)
        for event in read_events(directory / NAME):
            if isinstance(event, JobFinished):
                right[event.trial] = round((event.metrics["accuracy"] or 0) * images())
    assert right.min() >= 0, "a trial has no result"
    return right


def images() -> int:
    """Return how many validation images there are."""
    return len(digits.load().validation_labels)
