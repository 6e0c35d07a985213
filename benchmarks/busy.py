"""How busy two workers on two cores are when an epoch takes 10 ms.

The training function computes for 10 ms an epoch (it does not sleep), so driver and workers compete
for the two cores as in earnest. Busy is the workers' own training time over two times the wall time
from the first worker's joining to the end of the study, idle tail included.

Claim: >= 97 %.

    python benchmarks/busy.py [--trials 500] [--json FILE]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.core.events import JobFinished, WorkerJoined
from ashtune._src.study.journal import NAME, read_events
from table import show

EPOCH_SECONDS = 0.010
WORKERS = 2


def compute(seconds: float) -> None:
    """Keep a core busy."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def train_for(seconds: float, work: Callable[[float], None]) -> Callable[[Any], None]:
    """Return a training function that works so long in each epoch and saves a small state."""

    def train(trial: Any) -> None:
        state = trial.restore() or {"epochs": 0}
        for _ in trial.epochs():
            work(seconds)
            state["epochs"] += 1
            trial.report(score=trial["x"] * state["epochs"])
        trial.save(state)

    return train


def main() -> None:
    """Measure and print."""
    trials = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 500
    rows = []
    for scheduler in ("ash", "stopping", "sh"):
        with tempfile.TemporaryDirectory() as directory:
            study = Path(directory, "study")
            ashtune.tune(
                train_for(EPOCH_SECONDS, compute), {"x": (0.0, 1.0)}, metric="score", mode="max",
                trials=trials,
                max_resource=64, scheduler=scheduler, search="random", workers=WORKERS,
                directory=study, quiet=True,
            )  # fmt: skip
            joined, end, busy, epochs = 0.0, 0.0, 0.0, 0
            for event in read_events(study / NAME):
                if isinstance(event, WorkerJoined):
                    joined = joined or event.time
                elif isinstance(event, JobFinished):
                    busy += (event.resource - event.start) * EPOCH_SECONDS
                    epochs += event.resource - event.start
                end = event.time
        rows.append(
            [scheduler, trials, epochs, end - joined, 100 * busy / (WORKERS * (end - joined))]
        )
    show(
        "Busy with epochs of 10 ms, two workers on two cores",
        ["scheduler", "trials", "epochs", "wall s", "busy %"],
        rows,
    )


if __name__ == "__main__":
    main()
