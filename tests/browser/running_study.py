"""A study for the page of ``ashtune watch``: it learns, fails, refuses and prints.

Run as a script, ``running_study.py DIRECTORY TRIALS EPOCH_SECONDS``, it is started, or continued
with.
"""

import math
import sys
import time
from typing import Any

import ashtune

SPACE = {
    "learning_rate": (1e-4, 1.0, "log"),
    "momentum": (0.0, 0.99),
    "optimizer": ["sgd", "adam", "rmsprop"],
    "depth": [1, 2, 3, 4],
    "batch_size": [16, 32, 64, 128],
}
DIVERGES_FROM = 0.2
directory, trials, epoch_seconds = sys.argv[1:]


def train(trial: Any) -> None:
    """Learn as a network might: well at a learning rate of 0.03, not at all at a large one."""
    trial.restore()
    rate, momentum, optimizer = trial["learning_rate"], trial["momentum"], trial["optimizer"]
    if optimizer == "sgd" and rate > DIVERGES_FROM:
        raise ValueError(f"the loss is not finite with {optimizer}")
    if trial["depth"] == 4 and trial["batch_size"] == 128:
        raise ashtune.InvalidConfiguration("this network does not fit")
    distance = abs(math.log10(rate) + 1.5)
    top = 0.99 - 0.06 * distance**1.5 - 0.02 * (optimizer == "sgd") - 0.01 * abs(momentum - 0.9)
    speed = 2.0 + 0.5 * distance + trial["batch_size"] / 64
    print(f"trial {trial.number}: {optimizer} at {rate:.4g}", flush=True)
    for epoch in trial.epochs():
        time.sleep(float(epoch_seconds))  # what an epoch takes
        noise = 0.004 * math.sin(1e4 * rate + 7 * epoch)
        accuracy = top * (1 - math.exp(-(epoch + 1) / speed)) + noise
        print(f"epoch {epoch}: accuracy {accuracy:.4f}", flush=True)
        trial.report(accuracy=accuracy, loss=1 - accuracy)
    trial.save({"weights": bytes(1000)})


if __name__ == "__main__":
    ashtune.tune(
        train, SPACE, metric="accuracy", mode="max", trials=int(trials), workers=2, max_resource=27,
        min_resource=1,
        reduction_factor=3, search="random", directory=directory, quiet=True,
    )  # fmt: skip
