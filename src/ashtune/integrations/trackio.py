"""Copies a study to Trackio, as a local project with one run for each trial.

Trackio's own writer handles one run at a time and starts threads for each run. Because a study has
thousands of runs, this module writes to Trackio's storage directly, as Trackio's importers do
(``trackio.imports``).

Rule: the id of a row contains the study, the trial and the resource, because Trackio writes each id
only once.

Source: https://huggingface.co/docs/trackio
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.integrations.tracking import (
    Point,
    StudySummary,
    TrackedTrial,
    Tracker,
    digest_of,
    short_name,
    with_own,
)

__all__ = ["TrackioTracker"]

FOLDER = "TRACKIO_DIR"


class TrackioTracker(Tracker):
    """Copies a study to Trackio on this machine, by default to Trackio's own folder
    (``TRACKIO_DIR``).

    The name of the Trackio project is the study's name and a key. A run's configuration is the
    trial's configuration and the entry ``ashtune``, which has the trial's number, state ("running",
    "paused", "completed", "failed", "withdrawn", "ended early"), origin, seed, and failure reason.
    A run's metrics are the trial's reports, and the step is the resource. The run ``study`` has the
    study's results. The command ``trackio show`` shows the project. Nothing is sent to other
    machines, unless environment variables of Trackio request this.

    Args:
        out: Another folder. Trackio chooses its folder when it is imported, so a process can use
            only one folder.

    Raises:
        ExtraMissing: If Trackio is not installed.
        SettingsError: When a study begins, if Trackio is already imported with another folder.

    Example:
        >>> ashtune.tune(train, space, ..., observers=[TrackioTracker()])  # doctest: +SKIP
    """

    module = extra = "trackio"

    def open(self) -> None:
        """Read the existing runs."""
        if self.out is not None:
            os.environ[FOLDER] = str(Path(self.out).absolute())
        from trackio.sqlite_storage import SQLiteStorage
        from trackio.utils import TRACKIO_DIR

        if self.out is not None and Path(self.out).absolute() != Path(TRACKIO_DIR).absolute():
            raise SettingsError(
                f"out={self.out}: Trackio uses {TRACKIO_DIR} in this process already; leave out= "
                f"out"
            )
        self._storage: type[Any] = SQLiteStorage
        name = "".join(c for c in self.study.name if c.isalnum() or c in "-_")
        self._project = f"{short_name(name)}-{self.key}"
        self.place = str(self._storage.get_project_db_path(self._project))
        self._runs: dict[str, _TrackioRun] = {}
        for configuration in self._storage.get_all_run_configs(self._project).values():
            own = configuration.get("ashtune", {})
            if isinstance(own, Mapping) and "digest" in own:
                self._runs[str(own.get("trial"))] = _TrackioRun(
                    str(own["digest"]), int(own.get("points", 0))
                )

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        for trial in trials:
            self._put(str(trial.number), trial.name, trial, trial.facts)

    def close(self, summary: StudySummary) -> None:
        if summary.best is not None:
            own = {
                "trial": "study",
                "trials": summary.trials,
                "failed": summary.failed,
                "best": summary.best.number,
            }
            own |= {"resource": summary.resource, "metrics": summary.metrics}
            study = msgspec.structs.replace(
                summary.best, points=(), began=self.study.created, ended=summary.ended
            )
            self._put("study", "study", study, own)

    def _put(self, number: str, name: str, trial: TrackedTrial, own: dict[str, Any]) -> None:
        run = self._runs.get(number, _TrackioRun("", 0))
        digest = digest_of(trial, own)
        if run.digest == digest:
            return
        # A run without rows is not shown. If a run has no new point, its last point is sent again,
        # which Trackio drops.
        points = trial.points[run.points :] or trial.points[-1:] or [Point(0, trial.began, {})]
        identity = f"{self.key}-{number}"
        self._storage.bulk_log(
            project=self._project,
            run=name,
            run_id=identity,
            metrics_list=[_rename(point.metrics) for point in points],
            steps=[point.resource for point in points],
            timestamps=[_time(point.time) for point in points],
            log_ids=[f"{identity}-{point.resource}" for point in points],
            config=with_own(
                trial.configuration,
                {
                    "ashtune": own | {"points": len(trial.points), "digest": digest},
                    "_Created": _time(trial.began),
                    "_Group": self.study.name,
                },
            ),
        )
        self._runs[number] = _TrackioRun(digest, len(trial.points))


class _TrackioRun(NamedTuple):
    """An existing run, with a digest of the run's trial and the number of the run's points."""

    digest: str
    points: int


def _rename(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics. If a metric has the name of a Trackio column, such as ``step``, rename it
    as Trackio does.
    """
    from trackio.utils import RESERVED_KEYS

    return {
        f"__{name}" if name in RESERVED_KEYS or name.startswith("__") else name: value
        for name, value in metrics.items()
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
