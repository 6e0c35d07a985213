"""What a training function reported in one job: the metrics of each epoch, as plain floats."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.events import Curve
from ashtune._src.core.jobs import Goal
from ashtune._src.core.plaintext import one_line, shown


class Reports:
    """The reports since the last rung. The last one is the job's result.

    Args:
        goal: The metrics of its objectives and constraints must be in every report.
    """

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._reports: Curve = []
        self.needed = tuple(goal.metrics)
        """The metrics that must be in every report."""
        self.metric = goal.metric
        """The study's metric; of several the first."""
        self.mode = goal.mode
        """Which way that is better."""
        self.right = _right(self.needed)
        """How a report is written."""
        self.last_resource = -1
        """The resource of the last report, -1 if there is none."""

    def add(self, resource: int, metrics: Mapping[str, Any]) -> None:
        """Take in the metrics at a resource; a second report at the same resource adds to the first.

        Raises:
            ObjectiveError: If one of the study's metrics is not among them, or a value is not a number.
        """
        plain = self.plain(metrics)
        if resource == self.last_resource:
            self._reports[-1][1].update(plain)
            return
        if any(name not in plain for name in self.needed):
            raise MetricMissing(self._missing(plain))
        self._reports.append((resource, plain))
        self.last_resource = resource

    def plain(self, metrics: Mapping[str, Any]) -> dict[str, float | None]:
        """Return the metrics of a report as plain numbers; what is not finite becomes None.

        Raises:
            ObjectiveError: If a name is none, or a value is not a number.
        """
        for name in metrics:
            _check_name(name)
        return {name: _number(name, value) for name, value in metrics.items()}

    def _missing(self, plain: Mapping[str, Any]) -> str:
        """Return what is missing from a report, in words."""
        missing = dict.fromkeys(name for name in self.needed if name not in plain)
        return (
            f"the training function reports {names_text(plain)}, and not {names_text(missing)}, which the study needs "
            f"in every report; write {self.right}, or name another metric"
        )

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics of the last report."""
        return self._reports[-1][1]

    def move_last_to(self, resource: int) -> None:
        """Let the last report be of another resource."""
        self.last_resource = resource
        self._reports[-1] = (resource, self._reports[-1][1])

    def repeat_at(self, resource: int) -> None:
        """Let the last report stand for a later resource too, at which there is none."""
        self._reports.append((resource, self._reports[-1][1]))
        self.last_resource = resource

    def difference(self, returned: Mapping[str, Any] | None) -> str:
        """Return the first of the study's metrics of which what was returned says another value than the last report.

        It is empty if there is none.
        """
        if returned is None or not self._reports:
            return ""
        last = self._reports[-1][1]
        differing = (name for name in self.needed if name in returned and _number(name, returned[name]) != last[name])
        return next(differing, "")

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
        """Say what is wrong with the result if one of the study's metrics is not a finite number; else nothing."""
        metrics = self.metrics
        wrong = [name for name in self.needed if metrics.get(name) is None]
        return f"{', '.join(wrong)} is not finite at {self.last_resource}" if wrong else ""

    def clear(self) -> None:
        """Begin again: the next rung's reports follow."""
        self._reports = []
        self.last_resource = -1


def as_metrics(result: Any, named: Mapping[str, Any], needed: Sequence[str]) -> Mapping[str, Any]:
    """Return the metrics of a report in any of its forms: by name, a dict, or the study's metric alone.

    Args:
        result: A dict, or the study's metric; None if they are given by name.
        named: Those by name.
        needed: The study's metrics.

    Raises:
        ObjectiveError: If it is several of them at once, or none.
    """
    if result is None:
        return named
    if isinstance(result, Mapping) and not named:
        return result
    if named or len(needed) > 1 or isinstance(result, str | bytes | bool):
        got = f"{shown(result)} and {names_text(named)}" if named else shown(result)
        raise ObjectiveError(f"trial.report() got {got}; write {_right(needed)}, or give one dict")
    return {needed[0]: result}


def _right(needed: Sequence[str]) -> str:
    """Return how a report is written."""
    return f"trial.report({', '.join(f'{name}=...' for name in needed)})"


class MetricMissing(ObjectiveError):  # noqa: N818 - it names what is missing
    """The study's metric is not among those reported."""


@lru_cache(maxsize=1_000)
def _check_name(name: Any) -> None:
    """Refuse what is no name of a metric."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ObjectiveError(f"{shown(name)} is not the name of a metric; give a text that can be printed")


def names_text(metrics: Mapping[str, Any]) -> str:
    """Return the names of metrics in words."""
    return one_line(", ".join(map(repr, metrics)), 300) or "nothing"


def _number(name: str, value: Any) -> float | None:
    """Return a metric as a float; what is not finite becomes None, as JSON has no word for it."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ObjectiveError(f"{name}={shown(value)} is not a number ({error}); report numbers only") from None
    return number if math.isfinite(number) else None
