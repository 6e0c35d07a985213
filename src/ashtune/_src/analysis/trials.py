"""The table of a study's trials, which takes about 300 bytes for each trial, and functions that
return pandas tables.

A trial's record and the columns of hyperparameters are built only when they are asked for.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import msgspec

from ashtune._src.analysis.hyperparameters import (
    FEWEST,
    Columns,
    Hyperparameter,
    hyperparameters,
    in_common,
)
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    TrialStarted,
    TrialWithdrawn,
)
from ashtune._src.core.jobs import Metrics, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import OUT_OF_MEMORY, Followed, Train, TrialFailed, template
from ashtune._src.core.plaintext import shown
from ashtune._src.study.settings import Settings

if TYPE_CHECKING:
    import pandas

Status = Literal["running", "paused", "trained to the top", "failed", "withdrawn", "ended early"]
STATUSES: tuple[Status, ...] = get_args(Status)
_RUNNING, _PAUSED, _AT_THE_TOP, _FAILED, _WITHDRAWN, _ENDED_EARLY = range(6)
# Why 300 bytes a trial. Configurations and metrics are stored encoded: as dicts they would take
# several times as much, and hardly any view asks for all of them at once. The values by which
# tables are sorted are in columns of numbers. Columns of hyperparameters are made when somebody
# first searches, or asks for a shared value (decision 57,
# docs/decisions/0057-one-reader-one-table.md).
_NOTHING = b"\x80"  # an empty map in msgpack
MOST_METRICS = 20
"""The largest number of metrics in columns."""


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a trial, with configuration, status, metrics and times.

    The status ``running`` means that a worker has a job of the trial; ``ended early`` means that
    the trial called ``trial.stop()``. ``rung`` is the trial's highest rung with a result, None
    before the first result. ``metrics`` are the metrics of the result at ``rung``, and
    ``result_resource`` is the resource of this result. ``resource`` is the resource trained so far.
    If the trial is between two rungs, ``resource`` is greater than ``result_resource``. ``seconds``
    is the total training time, and ``reason`` is the reason of a failure or withdrawal. ``origin``
    is the source of the configuration, like "random", "gp, 23 results", "mutation of 17",
    "enqueued". ``confirms`` is the trial that this trial confirms.
    """

    number: TrialId
    configuration: dict[str, Any]
    status: Status
    rung: int | None
    resource: int
    result_resource: int
    metrics: dict[str, float | None]
    seconds: float
    reason: str
    origin: str = ""
    confirms: TrialId | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The same as ``configuration``. The property ``study.best`` also
        uses the name ``config``.
        """
        return self.configuration

    @property
    def is_out_of_memory(self) -> bool:
        """Whether the trial failed because it ran out of memory."""
        return self.status == "failed" and self.reason.startswith(f"{OUT_OF_MEMORY}: ")


class Trials(Observer, Sequence[TrialRecord]):
    """The sequence of all trials of a running study or of a journal, by trial number.

    Args:
        design: The name of the search, which is the origin of trials that belong to its design.
        hyperparameters: The hyperparameters that are known before the first trial starts.
        metrics: The metrics that are also kept in columns. If there are any such metrics, other
            metrics get columns too, up to ``MOST_METRICS``.

    Attributes:
        statuses: Indices into :data:`STATUSES`.
        origins: Where the configurations come from; "" for trials of the design.
        rungs: Each trial's highest rung with a result, -1 without a result.
        resources: The resource to which each trial is trained.
        seconds: Each trial's total training time.
        values: For each metric kept in a column, each trial's last value; NaN if missing.
        reasons: Why a trial failed or was withdrawn.
    """

    def __init__(
        self,
        ladder: Ladder,
        design: str = "",
        *,
        hyperparameters: Sequence[Hyperparameter] = (),
        metrics: Sequence[str] = (),
    ) -> None:
        self._top = ladder.top
        self._design = design
        self._encode = msgspec.msgpack.Encoder().encode
        self._configurations: list[bytes] = []
        self._metrics: list[bytes] = []
        self._result_resources = array("q")
        self._confirms: dict[TrialId, TrialId] = {}
        self._ended_for: dict[str, list[TrialId]] = {}  # reason, without its numbers -> trials
        self._columns = Columns(hyperparameters)
        self._in_columns = 0  # how many trials are in the columns
        self.statuses = bytearray()
        self.origins: list[str] = []
        self.rungs = array("h")
        self.resources = array("q")
        self.seconds = array("d")
        self.values: dict[str, array[float]] = {name: array("d") for name in metrics[:MOST_METRICS]}
        self._most_metrics = MOST_METRICS if metrics else 0
        self.reasons: dict[TrialId, str] = {}

    def __len__(self) -> int:
        return len(self.statuses)

    def event(self, event: Event) -> None:
        """Process one event. O(1)."""
        if type(event) is JobFinished:
            trial = event.trial
            rung = event.rung
            metrics = event.metrics
            self._trained(event)
            self.rungs[trial] = rung
            self._result_resources[trial] = event.resource
            self._metrics[trial] = self._encode(metrics)
            if len(self.values) < self._most_metrics and not self.values.keys() >= metrics.keys():
                new = [name for name in metrics if name not in self.values]
                for name in new[: self._most_metrics - len(self.values)]:
                    self.values[name] = array("d", [math.nan]) * len(self)
            for name, column in self.values.items():
                value = metrics.get(name)
                column[trial] = math.nan if value is None else value
            status = _PAUSED
            if event.stopped:
                status = _ENDED_EARLY
            elif rung == self._top:
                status = _AT_THE_TOP
            self.statuses[trial] = status
            return
        match event:
            case TrialStarted(trial=trial, configuration=configuration, origin=origin):
                self._grow(trial)
                self.origins[trial] = origin
                self._configurations[trial] = self._encode(configuration)
                self._in_columns = min(trial, self._in_columns)
                if event.confirms is not None:
                    self._confirms[trial] = event.confirms
            case JobPaused(trial=trial):
                self._trained(event)
                self.statuses[trial] = _PAUSED
            case JobFailed(trial=trial, seconds=seconds):
                self._grow(trial)
                self.seconds[trial] += seconds
            case TrialWithdrawn(trial=trial, seconds=seconds, reason=reason):
                self._end(trial, _WITHDRAWN, reason, seconds)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Process a failure or an order to train. O(1)."""
        if type(what) is Train:
            if what.trial < len(self):  # otherwise the event of its start follows
                self.statuses[what.trial] = _RUNNING
        elif type(what) is TrialFailed:
            self._end(what.trial, _FAILED, what.reason, 0.0)

    @overload
    def __getitem__(self, trial: int) -> TrialRecord: ...

    @overload
    def __getitem__(self, trial: slice) -> list[TrialRecord]: ...

    def __getitem__(self, trial: int | slice) -> TrialRecord | list[TrialRecord]:
        try:
            numbers = range(len(self))[trial]
        except TypeError:
            raise StudyError(
                f"trials[{shown(trial)}] is not a trial; give the number of a trial, as in "
                "study.trials[0]"
            ) from None
        if isinstance(numbers, int):
            return self._record(TrialId(numbers))
        return [self[number] for number in numbers]

    def _record(self, trial: TrialId) -> TrialRecord:
        rung = self.rungs[trial]
        return TrialRecord(
            number=trial,
            configuration=self.configuration(trial),
            status=STATUSES[self.statuses[trial]],
            rung=rung if rung >= 0 else None,
            resource=self.resources[trial],
            result_resource=(self._result_resources if rung >= 0 else self.resources)[trial],
            metrics=msgspec.msgpack.decode(self._metrics[trial]),
            seconds=self.seconds[trial],
            reason=self.reasons.get(trial, ""),
            origin=self.origin(trial),
            confirms=self._confirms.get(trial),
        )

    def __iter__(self) -> Iterator[TrialRecord]:
        return map(self._record, map(TrialId, range(len(self))))

    def configuration(self, trial: TrialId) -> dict[str, Any]:
        """Return the configuration of a trial."""
        configuration: dict[str, Any] = msgspec.msgpack.decode(self._configurations[trial])
        return configuration

    def origin(self, trial: TrialId) -> str:
        """Return a short text about the source of a trial's configuration."""
        return self.origins[trial] or self._design

    @property
    def running(self) -> int:
        """The number of running trials. If orders are unknown, a promoted trial counts as paused
        until it reports.
        """
        return self.statuses.count(_RUNNING)

    def columns(self) -> Columns:
        """Return the hyperparameters of all trials in columns. Cost: O(trials started since the
        last call).
        """
        self._columns.make_room(len(self))
        for trial in range(self._in_columns, len(self)):
            self._columns.add(trial, self.configuration(TrialId(trial)))
        self._in_columns = len(self)
        return self._columns

    def in_common(self, reason: str) -> str:
        """Return a text with the values that all trials with this failure reason share; "" if there
        is no such value.

        The cost is O(trials) for each hyperparameter.
        """
        import numpy as np

        trials = self._ended_for.get(template(reason), [])
        if len(trials) < FEWEST:
            return ""
        ended = np.zeros(len(self), bool)
        others = np.array(self.rungs) >= 0
        ended[trials] = True
        others[list(self.reasons)] = False
        return in_common(ended, others, self.columns())

    def ended_like(self, trial: int) -> Sequence[TrialId]:
        """Return the trials that failed or were withdrawn for the same reason as ``trial``."""
        return self._ended_for.get(template(self.reasons.get(TrialId(trial), "")), [])

    def dataframe(self) -> "pandas.DataFrame":
        """Return a table with one row for each trial.

        The columns are number, status, rung, resource, hyperparameters, metrics, seconds, reason
        and origin. The column ``resource`` has the resource at which the metrics were measured. If
        a trial has no metrics, the column has the resource trained so far. A metric or
        hyperparameter with the name of another column gets the prefix ``metric.`` or ``config.``.

        Raises:
            SettingsError: If pandas is not installed.
        """
        pandas = _pandas()
        records = list(self)
        names = {name: None for record in records for name in record.configuration}
        ours = {"number", "status", "rung", "resource", "seconds", "reason", "origin"}
        columns: dict[str, Any] = {
            "number": [record.number for record in records],
            "status": [record.status for record in records],
            "rung": pandas.array([record.rung for record in records], dtype="Int64"),
            "resource": [record.result_resource for record in records],
        }
        for name in names:
            column = f"config.{name}" if name in ours else name
            columns[column] = [record.configuration.get(name) for record in records]
        _add_metrics(columns, [record.metrics for record in records], ours | names.keys())
        columns["seconds"] = [record.seconds for record in records]
        columns["reason"] = [record.reason for record in records]
        columns["origin"] = [record.origin for record in records]
        return pandas.DataFrame(columns)

    def _grow(self, trial: TrialId) -> None:
        missing = trial + 1 - len(self.statuses)
        if missing > 0:
            self._configurations += [_NOTHING] * missing
            self._metrics += [_NOTHING] * missing
            self.origins += [""] * missing
            self.statuses += bytes(missing)
            self.rungs.extend([-1] * missing)
            self.resources.extend([0] * missing)
            self._result_resources.extend([0] * missing)
            self.seconds.extend([0.0] * missing)
            for column in self.values.values():
                column.extend([math.nan] * missing)

    def _trained(self, event: JobFinished | JobPaused) -> None:
        trial = event.trial
        if trial >= len(self.statuses):
            self._grow(trial)
        self.resources[trial] = event.resource
        self.seconds[trial] += event.seconds

    def _end(self, trial: TrialId, status: int, reason: str, seconds: float) -> None:
        self._grow(trial)
        self.statuses[trial] = status
        self.reasons[trial] = reason
        self._ended_for.setdefault(template(reason), []).append(trial)
        self.seconds[trial] += seconds


def trials_of(settings: Settings, ladder: Ladder, metrics: Sequence[str] = ()) -> Trials:
    """Return an empty table for the trials of a study; see :class:`Trials`."""
    return Trials(
        ladder,
        settings.search_name,
        hyperparameters=hyperparameters(settings.space),
        metrics=metrics,
    )


def curves_dataframe(events: Iterable[Event]) -> "pandas.DataFrame":
    """Return a table of all learning curves. Each row has the trial, the resource and the metrics
    of one report.

    If a trial trained an epoch twice, for example after a kill, only the last report is kept.

    Raises:
        SettingsError: If pandas is not installed.
    """
    pandas = _pandas()
    points: dict[tuple[int, int], dict[str, float | None]] = {}
    for event in events:
        if isinstance(event, JobFinished | JobPaused):
            for resource, metrics in event.curve:
                points[event.trial, resource] = metrics
        if isinstance(event, JobFinished):
            points[event.trial, event.resource] = event.metrics
    ordered = sorted(points)
    columns: dict[str, Any] = {
        "trial": [trial for trial, _ in ordered],
        "resource": [resource for _, resource in ordered],
    }
    _add_metrics(columns, [points[key] for key in ordered], set(columns))
    return pandas.DataFrame(columns)


def _add_metrics(columns: dict[str, Any], rows: Sequence[Metrics], taken: Set[str]) -> None:
    """Add a column for each metric. A metric with a taken name gets the prefix ``metric.``."""
    for name in {name: None for row in rows for name in row}:
        column = f"metric.{name}" if name in taken else name
        values = (row.get(name) for row in rows)
        # None would make a column of objects, with which pandas cannot calculate.
        columns[column] = [math.nan if value is None else value for value in values]


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise SettingsError(
            "tables need pandas, which is not installed: pip install 'ashtune[pandas]'"
        ) from None
    return pandas
