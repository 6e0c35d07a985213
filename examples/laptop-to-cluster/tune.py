"""The study of ``run.sh``. Its training only waits, so it needs no data and no other library.

python tune.py DIRECTORY [ENGINE]
"""

import sys
import time

import ashtune


def train(trial: ashtune.Trial) -> None:
    """Wait 20 ms in each epoch. The loss falls from epoch to epoch, and is lowest at x = 0.3."""
    epoch = trial.restore() or 0  # the checkpoint is the number of trained epochs
    for epoch in trial.epochs():
        time.sleep(0.02)
        trial.report(loss=(trial["x"] - 0.3) ** 2 + 1 / epoch)
    trial.save(epoch)


if __name__ == "__main__":
    directory, engine = [*sys.argv[1:], "auto"][:2]
    ashtune.tune(
        train,
        {"x": (0.0, 1.0)},
        metric="loss",
        mode="min",
        trials=81,
        max_resource=27,
        directory=directory,
        engine=engine,
    )
