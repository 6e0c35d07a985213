"""Trackio: each trial is a run in a local project, one project a study.

Trackio's own writer takes one run at a time and threads for it. A study has thousands, so this writes to Trackio's
storage as its importers do (``trackio.imports``).

Rule: a row has an id that comes from the study, the trial and the resource, of which Trackio keeps the first.

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
    """Keeps a study in Trackio on this machine: in the folder that Trackio uses, which ``TRACKIO_DIR`` names.

    The project has the study's name and a key. The configuration of a run is the trial's, and under ``ashtune`` its
    number, state ("running", "paused", "completed", "failed", "withdrawn", "ended early"), origin, seed, and why it
    failed. What a trial reported are its metrics, with the resource as step. The run ``study`` says what was found.
    ``trackio show`` shows it. Nothing is sent, unless variables of Trackio itself name a place elsewhere.

    Args:
        out: Another folder. Trackio looks for its own when it is imported, so one process can use one folder only.

    Raises:
        ExtraMissing: If Trackio is not installed.
        SettingsError: When a study begins, if Trackio is imported already and uses another folder.

    Example:
        >>> ashtune.tune(train, space, ..., observers=[TrackioTracker()])  # doctest: +SKIP
    """

    module = extra = "trackio"

    def open(self) -> None:
        """Find out which runs are there."""
        if self.out is not None:
            os.environ[FOLDER] = str(Path(self.out).absolute())
        from trackio.sqlite_storage import SQLiteStorage
        from trackio.utils import TRACKIO_DIR

        if self.out is not None and Path(self.out).absolute() != Path(TRACKIO_DIR).absolute():
            raise SettingsError(f"out={self.out}: Trackio uses {TRACKIO_DIR} in this process already; leave out= out")
        self._storage: type[Any] = SQLiteStorage
        name = "".join(c for c in self.study.name if c.isalnum() or c in "-_")
        self._project = f"{short_name(name)}-{self.key}"
        self.place = str(self._storage.get_project_db_path(self._project))
        self._runs: dict[str, _TrackioRun] = {}
        for configuration in self._storage.get_all_run_configs(self._project).values():
            own = configuration.get("ashtune", {})
            if isinstance(own, Mapping) and "digest" in own:
                self._runs[str(own.get("trial"))] = _TrackioRun(str(own["digest"]), int(own.get("points", 0)))

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        for trial in trials:
            self._put(str(trial.number), trial.name, trial, trial.facts)

    def close(self, summary: StudySummary) -> None:
        if summary.best is not None:
            own = {"trial": "study", "trials": summary.trials, "failed": summary.failed, "best": summary.best.number}
            own |= {"resource": summary.resource, "metrics": summary.metrics}
            study = msgspec.structs.replace(summary.best, points=(), began=self.study.created, ended=summary.ended)
            self._put("study", "study", study, own)

    def _put(self, number: str, name: str, trial: TrackedTrial, own: dict[str, Any]) -> None:
        run, digest = self._runs.get(number, _TrackioRun("", 0)), digest_of(trial, own)
        if run.digest == digest:
            return
        # A run without a row is not shown. Of one without a new point, the last one goes again, which Trackio drops.
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
    """A run that is there: a digest of its trial, and how many points of it."""

    digest: str
    points: int


def _rename(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics, renamed as Trackio does where a name is that of one of its columns, as ``step``."""
    from trackio.utils import RESERVED_KEYS

    return {
        f"__{name}" if name in RESERVED_KEYS or name.startswith("__") else name: value
        for name, value in metrics.items()
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
