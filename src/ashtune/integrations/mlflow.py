"""Copies a study to MLflow, as an experiment with one run for the study, and a child run for each
trial.

Rule 1: the tag ``ashtune.trial`` of a run has the trial's number. The identity of each value in
MLflow's database, including the value's time, is computed from the study. Therefore MLflow ignores
a value that is logged a second time.
Rule 2: the tag ``ashtune.digest`` and the status of a run are written last. A run with this tag and
its final status is complete.
Rule 3: if MLflow uses a SQLite file, this module writes new runs directly to MLflow's tables in
large transactions. MLflow's client needs about ten transactions per run, which would take minutes
for thousands of trials. MLflow's client writes all other data.
Rule 4: a run that the user deleted stays deleted.

Source: https://mlflow.org/docs/latest/api_reference/python_api/mlflow.client.html
"""

import logging
import math
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import StudyError
from ashtune._src.integrations.tracking import Point, State, StudySummary, TrackedTrial, Tracker
from ashtune._src.study.folders import place_in

__all__ = ["MLflowTracker"]

STATUS: dict[State, str] = {
    "running": "RUNNING",
    "paused": "FINISHED",
    "completed": "FINISHED",
    "failed": "FAILED",
    "withdrawn": "KILLED",
    "ended early": "FINISHED",
}
MOST_METRICS = 800
MOST_NAMED = 100
"""MLflow accepts at most 1,000 values in one batch. At most 100 of these values may be parameters,
and at most 100 may be tags.
"""
MOST_VALUE = 6_000
"""The largest number of characters in a parameter or a tag of MLflow."""
MOST_RUNS = 10_000
"""The largest number of runs that MLflow returns in one request."""
MOST_NEW = 1_000
"""The number of runs added in one transaction."""
LOCK_SECONDS = 60.0
"""Seconds to wait for another writer of the SQLite file."""
PARENT = "mlflow.parentRunId"
BEST = "ashtune.best."
"""Prefix of the tags of the study's run that describe the best trial."""
_NOT_IN_NAMES = re.compile(r"[^\w.\- /]", re.ASCII)


class MLflowTracker(Tracker):
    """Copies a study to MLflow, by default to the SQLite file ``mlflow.db`` in the study's
    directory.

    A run's parameters are the trial's hyperparameters. The run's metrics are the trial's reports,
    and the step is the resource. Further facts about a trial are tags of its run:
    ``ashtune.trial``, ``ashtune.state`` ("running", "paused", "completed", "failed", "withdrawn",
    "ended early"), ``ashtune.origin``, ``ashtune.seed``, ``ashtune.reason``. The study's run has
    tags with the best trial and its result. A character that MLflow does not accept in a name is
    replaced by an underscore.

    MLflow's telemetry is turned off, unless the environment variable ``MLFLOW_DISABLE_TELEMETRY``
    is set.

    Args:
        out: A SQLite file, or the address of an MLflow server or database, as
            "http://127.0.0.1:5000". The default is the environment variable
            ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in the study's directory.

    Raises:
        ExtraMissing: If MLflow is not installed.

    Example:
        >>> ashtune.tune(train, space, ..., observers=[MLflowTracker()])  # doctest: +SKIP
    """

    module = extra = "mlflow"

    def open(self) -> None:
        """Find or make the MLflow experiment of this study, and read the experiment's runs."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        address = "" if self.out else os.environ.get("MLFLOW_TRACKING_URI", "")
        self.place = self.out or address or _own_place(self.study.directory)
        from mlflow import MlflowClient

        folder = None
        if not address and "://" not in self.place:
            folder = Path(self.place).absolute().parent
            folder.mkdir(parents=True, exist_ok=True)
            self.place = f"sqlite:///{Path(self.place).absolute()}"
        self._names: dict[tuple[str, str], str] = {}
        self._runs: dict[str, _MLflowRun] = {}
        name = f"{_name(self.study.name)}-{self.key}"
        self._is_file = self.place.startswith("sqlite:")
        # These two libraries log each table of a new database.
        with _quiet("alembic", "mlflow.store.db.utils"):
            self._client = MlflowClient(tracking_uri=self.place)
            experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            artifacts = None if folder is None else (folder / "mlartifacts" / name).as_uri()
            tags = {"ashtune.study": self.study.name, "ashtune.metric": str(self.study.goal)}
            self._experiment: str = self._client.create_experiment(name, artifacts, tags)
            experiment = self._client.get_experiment(self._experiment)
        elif experiment.lifecycle_stage != "active":
            raise StudyError(
                f"MLflow's experiment {name} was deleted; restore it, or give another out="
            )
        else:
            self._experiment = experiment.experiment_id
            self._read_runs()
        self._artifacts: str = experiment.artifact_location
        if "study" not in self._runs:
            self._create("study", self.study.name, self.study.created, {})
        elif self.is_live and not self._runs["study"].is_deleted:
            self._client.update_run(self._runs["study"].id, "RUNNING")

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        new = [trial for trial in trials if str(trial.number) not in self._runs]
        for batch in _batches(new, MOST_NEW):
            if self._is_file:
                self._add(batch)
            else:
                for trial in batch:
                    self._create(
                        str(trial.number), trial.name, trial.began, {PARENT: self._runs["study"].id}
                    )
        for trial in trials:
            run = self._runs[str(trial.number)]
            is_as_it_was = (run.digest, run.status) == (_digest(trial), STATUS[trial.state])
            if not is_as_it_was and not run.is_deleted:
                self._log(run, trial)

    def close(self, summary: StudySummary) -> None:
        run = self._runs["study"]
        if run.is_deleted:
            return
        tags: dict[str, object] = {
            "ashtune.trials": summary.trials,
            "ashtune.failed": summary.failed,
        }
        if summary.best is not None:
            tags |= {f"{BEST}trial": summary.best.number, f"{BEST}resource": summary.resource}
            for name, value in summary.metrics.items():
                tags[f"{BEST}metric.{self._name_of('metric', name)}"] = value
            for name, chosen in summary.best.configuration.items():
                # a hyperparameter may have the value None
                tags[f"{BEST}config.{self._name_of('param', name)}"] = str(chosen)
        own = self._tags(tags)
        for batch in _batches(own, MOST_NAMED):
            self._client.log_batch(run.id, tags=batch)
        # The previous best trial may have hyperparameters that are not active in the new best
        # trial.
        for name in self._client.get_run(run.id).data.tags.keys() - {tag.key for tag in own}:
            if name.startswith(BEST):
                self._client.delete_tag(run.id, name)
        self._client.set_terminated(run.id, "FINISHED", _milliseconds(summary.ended))

    def _read_runs(self) -> None:
        from mlflow.entities import ViewType

        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], "", ViewType.ALL, MOST_RUNS, page_token=token
            )
            for run in page:
                info = run.info
                tags = run.data.tags
                trial = tags.get("ashtune.trial")
                if trial is not None:
                    self._runs[trial] = _MLflowRun(
                        info.run_id, tags.get("ashtune.digest", ""), info.status
                    )
                    self._runs[trial].is_deleted = info.lifecycle_stage == "deleted"
            token = page.token
            if not token:
                return

    def _create(self, trial: str, name: str, began: float, tags: Mapping[str, str]) -> None:
        run = self._client.create_run(
            self._experiment, _milliseconds(began), {"ashtune.trial": trial, **tags}, name
        )
        self._runs[trial] = _MLflowRun(run.info.run_id, "", "RUNNING")

    def _add(self, trials: Sequence[TrackedTrial]) -> None:
        """Add the complete runs of trials to the SQLite file, in one transaction."""
        from mlflow.store.tracking.dbmodels.models import (
            SqlLatestMetric,
            SqlMetric,
            SqlParam,
            SqlRun,
            SqlTag,
        )
        from sqlalchemy import create_engine, insert

        tables = (SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric)
        rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in tables}
        runs = {}
        for trial in trials:
            run_id = blake2b(f"{self.key}/{trial.number}".encode(), digest_size=16).hexdigest()
            run = runs[str(trial.number)] = _MLflowRun(run_id, _digest(trial), STATUS[trial.state])
            rows[SqlRun].append(self._row_of(run, trial))
            own = {PARENT: self._runs["study"].id, "mlflow.runName": trial.name}
            for table, named in (
                (SqlTag, self._tags(own | _own(trial))),
                (SqlParam, self._params(trial)),
            ):
                rows[table] += [
                    {"key": each.key, "value": each.value, "run_uuid": run_id} for each in named
                ]
            metrics = [_row_of_metric(metric, run_id) for metric in self._metrics(trial.points)]
            rows[SqlMetric] += metrics
            rows[SqlLatestMetric] += {row["key"]: row for row in metrics}.values()
        engine = create_engine(self.place, connect_args={"timeout": LOCK_SECONDS})
        try:
            with engine.begin() as connection:
                for table, some in rows.items():
                    if some:
                        connection.execute(insert(table), some)
        finally:
            engine.dispose()
        self._runs |= runs

    def _row_of(self, run: "_MLflowRun", trial: TrackedTrial) -> dict[str, Any]:
        return {
            "run_uuid": run.id,
            "name": trial.name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": "unknown",
            "status": run.status,
            "start_time": _milliseconds(trial.began),
            "end_time": None if run.status == "RUNNING" else _milliseconds(trial.ended),
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": f"{self._artifacts}/{run.id}/artifacts",
            "experiment_id": int(self._experiment),
        }

    def _log(self, run: "_MLflowRun", trial: TrackedTrial) -> None:
        """Write the changes of a trial with MLflow's client. The digest is written second last, and
        the status last.
        """
        # A complete run already has its parameters and points. In an incomplete run, MLflow ignores
        # values that it already has.
        params = [] if run.digest else self._params(trial)
        tags = self._tags(_own(trial))
        for batch in _batches(params[MOST_NAMED:], MOST_NAMED):
            self._client.log_batch(run.id, params=batch)
        *full, last = [
            *_batches(list(self._metrics(trial.points[run.points :])), MOST_METRICS)
        ] or [[]]
        for batch in full:
            self._client.log_batch(run.id, metrics=batch)
        self._client.log_batch(run.id, metrics=last, params=params[:MOST_NAMED], tags=tags)
        status = STATUS[trial.state]
        if status != "RUNNING":
            self._client.set_terminated(run.id, status, _milliseconds(trial.ended))
        elif run.status != status:
            self._client.update_run(run.id, status)
        run.points = len(trial.points)
        run.digest = _digest(trial)
        run.status = status

    def _params(self, trial: TrackedTrial) -> list[Any]:
        from mlflow.entities import Param

        return [
            Param(self._name_of("param", name), str(value)[:MOST_VALUE])
            for name, value in trial.configuration.items()
        ]

    def _metrics(self, points: Sequence[Point]) -> Iterator[Any]:
        from mlflow.entities import Metric

        for point in points:
            for name, value in point.metrics.items():
                yield Metric(
                    self._name_of("metric", name), value, _milliseconds(point.time), point.resource
                )

    def _tags(self, tags: Mapping[str, object]) -> list[Any]:
        from mlflow.entities import RunTag

        return [
            RunTag(self._name_of("tag", name), str(value)[:MOST_VALUE])
            for name, value in tags.items()
        ]

    def _name_of(self, kind: str, name: str) -> str:
        """Return a name that MLflow accepts. If two names would become equal, the second name gets
        a number.
        """
        if (kind, name) not in self._names:
            taken = {own for (other, _), own in self._names.items() if other == kind}
            own = _name(name)
            count = 2
            while own in taken:
                own = f"{_name(name)}_{count}"
                count = count + 1
            self._names[kind, name] = own
        return self._names[kind, name]


class _MLflowRun:
    """An existing run. The digest starts with the run's number of points. The digest of an
    incomplete run is "".
    """

    __slots__ = ("digest", "id", "is_deleted", "points", "status")

    def __init__(self, run: str, digest: str, status: str) -> None:
        self.id = run
        self.digest = digest
        self.status = status
        self.points = int(digest.partition("-")[0] or 0)
        self.is_deleted = False


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Make loggers print only warnings and errors within the ``with`` block."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _digest(trial: TrackedTrial) -> str:
    return f"{len(trial.points)}-{trial.digest}"


def _own(trial: TrackedTrial) -> dict[str, object]:
    return {f"ashtune.{name}": value for name, value in trial.facts.items()} | {
        "ashtune.digest": _digest(trial)
    }


def _row_of_metric(metric: Any, run_id: str) -> dict[str, Any]:
    """Return the row that MLflow writes for a metric value."""
    is_nan = math.isnan(metric.value)
    value = 0.0 if is_nan else metric.value
    return {
        "key": metric.key,
        "value": value,
        "is_nan": is_nan,
        "timestamp": metric.timestamp,
        "step": metric.step,
        "run_uuid": run_id,
    }


def _name(name: str) -> str:
    """Return a name that MLflow accepts: a normalized relative path without ``..``."""
    text = _NOT_IN_NAMES.sub("_", name)[:200]
    if text in ("", ".") or text.startswith(("/", "..")) or posixpath.normpath(text) != text:
        text = re.sub(r"[/.]", "_", text)
    return text or "_"


def _own_place(directory: str) -> str:
    # SQLite writes these files next to the database, so they must not be links either.
    for suffix in ("-journal", "-wal", "-shm"):
        place_in(directory, f"mlflow.db{suffix}")
    return str(place_in(directory, "mlflow.db"))


def _batches(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (values[begin : begin + most] for begin in range(0, len(values), most))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
