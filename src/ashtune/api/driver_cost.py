"""Measure what a decision costs the driver, by tuning a function that trains nothing: the child of
:func:`~ashtune.driver.environment.measured_decision_seconds`.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ashtune.api.tuning import tune
from ashtune.core.events import JobFinished, TrialReleased
from ashtune.study.journal import NAME, read_events

if TYPE_CHECKING:
    from ashtune.training.trial import Trial

FEW, MANY = 300, 2_000


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
            search="random",
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
