"""What a decision costs the driver on this machine, measured by tuning a function that only returns a number."""

import tempfile
import time
from pathlib import Path

from ashtune.tune import tune

FEW, MANY = 500, 3_000


def measured_decision_seconds() -> float:
    """Return the processor time of the driver a job: events, journal, controller, messages. Takes some two seconds.

    It is what more trials of the same study take more, so that the start of a study is not in it. There are two
    workers on this machine, as in any study; what they do themselves is theirs.
    """
    _driver_seconds(1)  # imports
    few, many = _driver_seconds(FEW), _driver_seconds(MANY)
    return max(0.0, many - few) / (MANY - FEW)


def _driver_seconds(trials: int) -> float:
    with tempfile.TemporaryDirectory(prefix="ashtune-") as folder:
        before = time.process_time()
        tune(
            _nothing,
            {"x": (0.0, 1.0)},
            metric="score",
            mode="min",
            trials=trials,
            max_resource=1,
            workers=2,
            directory=Path(folder, "study"),
            quiet=True,
        )
        return time.process_time() - before


def _nothing(trial: object) -> float:
    del trial
    return 0.0
