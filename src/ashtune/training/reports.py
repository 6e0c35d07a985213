"""What a training function reported in one job: the metrics of each epoch, as plain floats."""

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

from ashtune.errors import ObjectiveError
from ashtune.events import Curve
from ashtune.jobs import Goal


class Reports:
    """The reports since the last rung. The last one is the job's result.

    Args:
        goal: The study's metric must be in every report.
    """

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._reports: Curve = []

    def add(self, resource: int, metrics: Mapping[str, Any]) -> None:
        """Take in the metrics at a resource; a second report at the same resource adds to the first.

        Raises:
            ObjectiveError: If the study's metric is not among them, or a value is not a number.
        """
        for name in metrics:
            if not isinstance(name, str):
                raise ObjectiveError(f"{name!r} is not the name of a metric; give names as text")
        plain = {name: _number(name, value) for name, value in metrics.items()}
        if self._reports and self._reports[-1][0] == resource:
            self._reports[-1][1].update(plain)
            return
        if self._goal.metric not in plain:
            named = ", ".join(map(repr, plain)) or "nothing"
            raise MetricMissing(
                f"the training function reports {named}, the study's metric is {self._goal.metric!r}; report it, "
                "or name another with metric="
            )
        self._reports.append((resource, plain))

    @property
    def last_resource(self) -> int:
        """The resource of the last report, -1 if there is none."""
        return self._reports[-1][0] if self._reports else -1

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics of the last report."""
        return self._reports[-1][1]

    @property
    def curve(self) -> Curve:
        """All reports but the last."""
        return self._reports[:-1]

    @property
    def all(self) -> Curve:
        """All reports, for a job that is broken off."""
        return self._reports

    @property
    def complaint(self) -> str:
        """Say what is wrong with the result if it is not a finite number; else nothing."""
        if self._goal.loss(self.metrics) < math.inf:
            return ""
        return f"{self._goal.metric} is not finite at {self.last_resource}"

    def clear(self) -> None:
        """Begin again: the next rung's reports follow."""
        self._reports = []


class MetricMissing(ObjectiveError):  # noqa: N818 - it names what is missing
    """The study's metric is not among those reported."""


def _number(name: str, value: SupportsFloat | None) -> float | None:
    """Return a metric as a float; what is not finite becomes None, as JSON has no word for it."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ObjectiveError(f"{name}={value!r} is not a number ({error}); report numbers only") from None
    return number if math.isfinite(number) else None
