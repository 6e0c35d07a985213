"""The reports of a training function in one job: the metrics of each epoch, as plain floats."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ashtune._src.core.errors import ObjectiveError, SpaceError
from ashtune._src.core.events import Curve
from ashtune._src.core.jobs import Goal
from ashtune._src.core.plaintext import one_line, shown


class Reports:
    """The reports since the last rung. The last report is the job's result.

    Args:
        goal: The study's objectives and constraints. Every report must have the metrics of all of
            them.
    """

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._reports: Curve = []
        self.needed = goal.metrics
        """The metrics that must be in every report."""
        self.metric = goal.metric
        """The name of the study's metric, or of the first metric if there are several."""
        self.mode = goal.mode
        """The mode of this metric, "max" or "min"."""
        self.last_resource = -1
        """The resource of the last report; -1 without a report."""

    def add(self, resource: int, metrics: Mapping[str, Any]) -> None:
        """Add the metrics at a resource. A second report at the same resource is merged into the
        first report.

        Raises:
            ObjectiveError: If one of the study's metrics is missing, or a value is not a number.
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
        """Return the metrics of a report as plain numbers. A value that is not finite becomes None.

        Raises:
            ObjectiveError: If a name is invalid, or a value is not a number.
        """
        for name in metrics:
            _check_name(name)
        return {name: number_of(name, value) for name, value in metrics.items()}

    def _missing(self, plain: Mapping[str, Any]) -> str:
        missing = dict.fromkeys(name for name in self.needed if name not in plain)
        return (
            f"the training function reports {names_text(plain)}, but not {names_text(missing)}, "
            f"which the study needs in every report; write {self.right}, or choose another metric"
        )

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics of the last report."""
        return self._reports[-1][1]

    def move_last_to(self, resource: int) -> None:
        """Change the resource of the last report."""
        self.last_resource = resource
        self._reports[-1] = (resource, self._reports[-1][1])

    def repeat_at(self, resource: int) -> None:
        """Repeat the last report at a later resource that has no report."""
        self._reports.append((resource, self._reports[-1][1]))
        self.last_resource = resource

    def difference(self, returned: Mapping[str, Any] | None) -> str:
        """Return the first of the study's metrics whose returned value differs from the value in
        the last report. If no metric differs, return an empty string.
        """
        if returned is None or not self._reports:
            return ""
        last = self._reports[-1][1]
        differing = (
            name
            for name in self.needed
            if name in returned and number_of(name, returned[name]) != last[name]
        )
        return next(differing, "")

    @property
    def right(self) -> str:
        """An example of a correct call of ``trial.report``."""
        return _right(self.needed)

    @property
    def curve(self) -> Curve:
        """All reports except the last report."""
        return self._reports[:-1]

    @property
    def all(self) -> Curve:
        """All reports, for a paused job."""
        return self._reports

    @property
    def complaint(self) -> str:
        """An error message that names those metrics of the study that are not finite. The message
        is empty if all metrics are finite.
        """
        metrics = self.metrics
        wrong = [name for name in self.needed if metrics.get(name) is None]
        return f"{', '.join(wrong)} is not finite at {self.last_resource}" if wrong else ""

    def clear(self) -> None:
        """Remove all reports, before the reports of the next rung are added."""
        self._reports = []
        self.last_resource = -1


def as_metrics(result: Any, named: Mapping[str, Any], needed: Sequence[str]) -> Mapping[str, Any]:
    """Return the metrics of a report. The user can give the metrics by name, in a dict, or as the
    value of the only metric.

    Args:
        result: A dict, or the value of the study's metric. None if the metrics are given by name.
        named: The metrics given by name.
        needed: The study's metrics.

    Raises:
        ObjectiveError: If the metrics are given both in ``result`` and in ``named``, or in no valid
            form.
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
    """Return an example of a correct call of ``trial.report``."""
    return f"trial.report({', '.join(f'{name}=...' for name in needed)})"


class MetricMissing(ObjectiveError):  # noqa: N818 - the name says what is missing
    """Raised if a report lacks one of the study's metrics."""


class NoSuchAttribute(ObjectiveError, AttributeError):  # noqa: N818 - the name says what is missing
    """Raised if a training function uses an attribute, or an argument, that only Optuna's trials
    have.
    """


class NoSuchHyperparameter(SpaceError, KeyError):  # noqa: N818 - the name says what is missing
    """Raised if a training function reads a hyperparameter that the trial's configuration does not
    have.
    """

    # KeyError.__str__ would show the repr of the message.
    __str__ = Exception.__str__


@lru_cache(maxsize=1_000)
def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ObjectiveError(
            f"{shown(name)} cannot be the name of a metric; give a string of printable characters"
        )


def names_text(metrics: Mapping[str, Any]) -> str:
    """Return the names of metrics as text."""
    return one_line(", ".join(map(repr, metrics)), 300) or "nothing"


def is_flag_or_text(value: Any) -> bool:
    """Return whether a value is a truth value or a text, also of numpy. ``float`` accepts such
    values, but they are no metrics.
    """
    return isinstance(value, bool | str | bytes | bytearray) or type(value).__name__ in (
        "bool",
        "bool_",
    )


def number_of(name: str, value: Any) -> float | None:
    """Return a metric as a float. If the number is not finite, return None, because JSON cannot
    represent it.

    Raises:
        ObjectiveError: If the value is not a number.
    """
    if value is None:
        return None
    if is_flag_or_text(value):
        raise ObjectiveError(f"{name}={shown(value)} is not a number; report float({name})")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ObjectiveError(
            f"{name}={shown(value)} is not a number ({error}); report numbers only"
        ) from None
    return number if math.isfinite(number) else None
