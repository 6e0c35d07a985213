"""Epochs of a study's network, counted and timed in a process of its own, with the threads that this is given.

    python -m ashtune.cli.epochs DIR CONFIGURATION    prints them as JSON; CONFIGURATION is JSON too

It runs the study's training function, which is a pickle.
"""

import contextlib
import sys
from pathlib import Path

import msgspec

from ashtune.study.objective_file import NAME
from ashtune.training.loading import load_objective


def main(directory: str, configuration: str) -> None:
    """Print the epochs."""
    with contextlib.redirect_stdout(sys.stderr):  # whatever the user's modules print
        objective, _ = load_objective(Path(directory, NAME), as_main=True)
        epochs = getattr(objective, "epochs", None)
        if epochs is None:
            sys.exit(f"{directory} does not tune a function made by ashtune.fused or ashtune.fused_torch")
        counted = epochs(msgspec.json.decode(configuration))
    sys.stdout.write(msgspec.json.encode(counted).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
