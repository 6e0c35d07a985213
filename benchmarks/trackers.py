"""Trackers: time to copy 10,000 trials, and the cost of a tracker that hangs for a minute.

The copies are of a study of 10,000 trivial trials on rungs of 1, 3 and 9 epochs, with three
hyperparameters and a report in each epoch; each is made in a process of its own, and then once
more, when there is nothing new. TensorBoard gets the best 100.

The other study trains for 100 s on two workers, by sleeping. One tracker hangs for 60 s in the
middle of it, and another does nothing. Claim: the one that hangs costs the study less than 1 % of
its wall time.

Trackers that are not installed are left out: `make test-integrations` makes the environment that
has them all.

    .venv-integrations/bin/python benchmarks/trackers.py [--trials 10000] [--only mlflow,wandb]
        [--json FILE]
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.integrations.tracking import StudySummary, TrackedTrial, Tracker
from table import show

SPACE = {"rate": (1e-4, 1.0, "log"), "width": [16, 32, 64], "depth": (1, 3)}
TRACKERS = ("csv", "mlflow", "tensorboard", "trackio", "wandb")
HANG_SECONDS = 60.0
HANG_AFTER = 20.0
SLEEP_SECONDS = 0.5
SLEEPING_TRIALS = 240
EXPORT = """
import sys, time
began = time.perf_counter()
import ashtune
ashtune.Study.load(sys.argv[1]).export(sys.argv[2], sys.argv[3])
print(time.perf_counter() - began)
"""


def train(trial: Any) -> None:
    """Report a number in each epoch and do nothing else."""
    for epoch in trial.epochs():
        trial.report(loss=trial["rate"] / epoch, size=trial["width"])


def sleep(trial: Any) -> None:
    """Take half a second."""
    for _ in trial.epochs():
        time.sleep(SLEEP_SECONDS)
        trial.report(loss=trial["rate"])


def copies(trials: int, names: Sequence[str]) -> None:
    """Make each copy twice and print the seconds."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder, "study")
        ashtune.tune(
            train, SPACE, metric="loss", mode="min", trials=trials, min_resource=1, max_resource=9,
            workers=2,
            search="random", directory=study, quiet=True,
        )  # fmt: skip
        for name in names:
            out = Path(
                folder,
                name,
                "results.csv" if name == "csv" else "mlflow.db" if name == "mlflow" else "",
            )
            out.parent.mkdir(parents=True, exist_ok=True)
            seconds = [_export(study, name, out) for _ in range(2)]
            rows.append([name, trials, *seconds, 1000 * seconds[0] / trials])
    show("Copies of a study", ["tracker", "trials", "seconds", "again", "ms a trial"], rows)


def _export(study: Path, name: str, out: Path) -> float:
    command = [sys.executable, "-c", EXPORT, str(study), name, str(out)]
    return float(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    )


class Idle(Tracker):
    """A tracker that keeps nothing. ``hang``: for so many seconds it hangs once, in the middle of
    the study.
    """

    module = extra = "json"
    hang = 0.0

    def open(self) -> None:
        """Begin to count."""
        self._opened, self.hung = time.monotonic(), 0.0

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        """Hang once."""
        if self.hang and not self.hung and time.monotonic() - self._opened >= HANG_AFTER:
            time.sleep(self.hang)
            self.hung = self.hang

    def close(self, summary: StudySummary) -> None:
        """Do nothing."""


class Hanging(Idle):
    """One that hangs."""

    hang = HANG_SECONDS


def hangs(repeat: int = 2) -> None:
    """Time a study with a tracker that hangs, and one with a tracker that does not, in turns."""
    rows = []
    for _ in range(repeat):
        seconds = {}
        for kind in (Idle, Hanging):
            with tempfile.TemporaryDirectory() as folder:
                tracker, study = kind(), Path(folder, "study")
                began = time.perf_counter()
                ashtune.tune(
                    sleep, SPACE, metric="loss", mode="min", trials=SLEEPING_TRIALS, min_resource=1,
                    max_resource=3, workers=2, search="random", directory=study, quiet=True,
                    observers=[tracker],
                )  # fmt: skip
                seconds[kind] = time.perf_counter() - began
                assert tracker.hung == kind.hang
        cost = seconds[Hanging] / seconds[Idle] - 1
        rows.append([seconds[Idle], seconds[Hanging], HANG_SECONDS, 100 * cost])
    show(
        "A tracker that hangs amid a study on two workers",
        ["seconds, idle tracker", "seconds, hanging tracker", "seconds of hanging", "cost, %"],
        rows,
    )


def main() -> None:
    """Measure and print."""
    trials = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 10_000
    installed = [name for name in TRACKERS if name == "csv" or find_spec(name)]
    names = sys.argv[sys.argv.index("--only") + 1].split(",") if "--only" in sys.argv else installed
    copies(trials, names)
    if "--only" not in sys.argv:
        hangs()


if __name__ == "__main__":
    main()
