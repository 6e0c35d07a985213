"""One trial of ``syne_tune_asha.py``, which starts this script for each configuration and kills it
when it stops it.
"""

import argparse
from pathlib import Path

from syne_tune import Reporter
from syne_tune.constants import ST_CHECKPOINT_DIR

from reports import report
from space import CHOICES, INTERVALS, MAX_EPOCHS
from training import Model, load


def main() -> None:
    """Train the configuration that the options give, to the last epoch or until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument(f"--{ST_CHECKPOINT_DIR}", type=Path, dest="checkpoints")
    for name in INTERVALS:
        parser.add_argument(f"--{name}", type=float)
    for name in CHOICES:
        parser.add_argument(f"--{name}", type=int)
    config = vars(parser.parse_args())
    # Syne Tune names a trial's folder by its number
    trial = int(config.pop("checkpoints").parent.name)
    model, tell = Model(config, load()), Reporter()
    for epoch in range(1, MAX_EPOCHS + 1):
        model.train_epoch()
        accuracy = model.accuracy()
        report(trial, epoch, accuracy)
        tell(epoch=epoch, accuracy=accuracy)


if __name__ == "__main__":
    main()
