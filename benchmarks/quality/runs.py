"""What is kept of a run: which configuration its tuner would have named when, and how good that
was.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Report(NamedTuple):
    """What a training reached: seconds since the run began, the resource, the validation and the
    test loss.
    """

    time: float
    resource: int
    validation: float
    test: float


def named(reports: Iterable[Report]) -> list[Report]:
    """Return the reports that a tuner would name one after another, oldest first.

    Rule: the best validation loss among the trials that were trained furthest so far. For Optuna,
    whose best trial is one that ended, this names something earlier and is otherwise the same.
    """
    changes: list[Report] = []
    best = (0, 0.0)
    for report in sorted(reports, key=lambda report: report.time):
        standing = (report.resource, -report.validation)
        if math.isfinite(report.validation) and standing > best:
            best = standing
            changes.append(report)
    return changes


def at(changes: list[Report], time: float) -> Report | None:
    """Return the report that was named at a time; None before any."""
    return next((change for change in reversed(changes) if change.time <= time), None)
