"""Copies a study to Trackio, as a local project with one run for each trial.

Trackio's own writer handles one run at a time and starts threads for each run. Because a study has
thousands of runs, this module writes to Trackio's storage directly, as Trackio's importers do
(``trackio.imports``).

Rule: the id of a row contains the study, the trial and the resource, because Trackio writes each id
only once.

Source: https://huggingface.co/docs/trackio
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.integrations.tracking import Point, RunTracker, TrackedRun, short_name, with_own

__all__ = ["TrackioTracker"]

FOLDER = "TRACKIO_DIR"


class TrackioTracker(RunTracker):
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
                f"out={self.out}: Trackio already uses {TRACKIO_DIR} in this process; remove out="
            )
        self._storage: type[Any] = SQLiteStorage
        name = "".join(c for c in self.study.name if c.isalnum() or c in "-_")
        self._project = f"{short_name(name)}-{self.key}"
        self.place = str(self._storage.get_project_db_path(self._project))
        self.digests = {}
        self._points: dict[str, int] = {}
        for configuration in self._storage.get_all_run_configs(self._project).values():
            own = configuration.get("ashtune", {})
            if isinstance(own, Mapping) and "digest" in own:
                number = str(own.get("trial"))
                self.digests[number] = str(own["digest"])
                self._points[number] = int(own.get("points", 0))

    def put(self, run: TrackedRun) -> None:
        trial = run.trial
        # The results are written to the configuration and not as a point, because Trackio would
        # ignore a later point at the same resource.
        points = [] if run.kind == "study" else trial.points
        # A run without rows is not shown. If a run has no new point, its last point is sent again,
        # and Trackio ignores this point.
        new = points[self._points.get(run.number, 0) :] or points[-1:]
        new = new or [Point(0, trial.began, {})]
        self._storage.bulk_log(
            project=self._project,
            run="study" if run.kind == "study" else trial.name,
            run_id=run.identity,
            metrics_list=[_rename(point.metrics) for point in new],
            steps=[point.resource for point in new],
            timestamps=[_time(point.time) for point in new],
            log_ids=[f"{run.identity}-{point.resource}" for point in new],
            config=with_own(
                trial.configuration,
                {
                    "ashtune": run.own | {"points": len(points), "digest": run.digest},
                    "_Created": _time(trial.began),
                    "_Group": self.study.name,
                },
            ),
        )
        self._points[run.number] = len(points)


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
