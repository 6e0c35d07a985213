"""What a decision costs the driver on this machine, measured by tuning a function that trains nothing."""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ashtune.api.tuning import tune
from ashtune.core.events import JobFinished, TrialReleased
from ashtune.engines.local.process import without_launcher
from ashtune.performance.machine import child
from ashtune.study.journal import NAME, read_events

if TYPE_CHECKING:
    from ashtune.training.trial import Trial

MODULE = "ashtune.api.driver_cost"
FEW, MANY = 300, 2_000


def measured_decision_seconds() -> float:
    """Return the processor time of the driver for one result, or one trial let go. Takes some three seconds.

    Events, journal, controller and messages are in it, as in any study with reports in each epoch on two workers of
    this machine; what workers do themselves is theirs. It is what more trials of the same study take more, so that its
    start is not in it. A process of its own measures: this one may be a rank of an MPI job.

    Raises:
        SettingsError: If that process fails.
    """
    printed = child(MODULE, environment=without_launcher(), remedy="give --decision, as in --decision 25us")
    return float(printed)


def main() -> None:
    """Measure and print."""
    _cost(1)  # imports
    few, few_decisions = _cost(FEW)
    many, many_decisions = _cost(MANY)
    sys.stdout.write(f"{max(0.0, many - few) / (many_decisions - few_decisions)!r}\n")


def _cost(trials: int) -> tuple[float, int]:
    """Return the driver's processor time for a study, and its decisions."""
    with tempfile.TemporaryDirectory(prefix="ashtune-") as folder:
        before = time.process_time()
        tune(
            _nothing,
            {"x": (0.0, 1.0)},
            metric="score",
            mode="min",
            trials=trials,
            max_resource=4,
            workers=2,
            directory=Path(folder, "study"),
            quiet=True,
        )
        seconds = time.process_time() - before
        events = (event for _, event in read_events(Path(folder, "study", NAME)))
        return seconds, sum(isinstance(event, JobFinished | TrialReleased) for event in events)


def _nothing(trial: "Trial") -> None:
    for _ in trial.epochs():
        trial.report(score=trial["x"])


if __name__ == "__main__":
    main()
