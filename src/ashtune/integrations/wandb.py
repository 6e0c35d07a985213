"""Copies a study to offline runs of Weights & Biases. Each trial has a run, and all runs are in one
group.

The runs do not form a sweep of W&B, because sweeps need W&B's server.

Rule 1: each run has its own folder in W&B's offline format. When a trial has changed, its whole
folder is written again, because ``wandb sync`` would treat an extended folder as another run.
Rule 2: ashtune writes a note into the folder of a complete run. The folder of an incomplete run is
written again.

Source: https://docs.wandb.ai/ref/python/init
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.integrations.tracking import (
    Point,
    StudySummary,
    TrackedTrial,
    Tracker,
    digest_of,
    with_own,
)
from ashtune._src.study.disk import read_whole
from ashtune._src.study.folders import place_in, replace_file

__all__ = ["WandbTracker"]

NOTE = "ashtune.json"
"""The note in the folder of a complete run: a digest of its trial."""
MOST_NOTE = 1 << 16
"""The largest number of bytes of a note."""
_NOT_IN_NAMES = re.compile(r"[^\w.\-]")


class WandbTracker(Tracker):
    """Copies a study to offline runs of W&B, by default in the folder ``wandb`` of the study's
    directory.

    A run's configuration is the trial's configuration and the entry ``ashtune``, which has the
    trial's number, state ("running", "paused", "completed", "failed", "withdrawn", "ended early"),
    origin, seed, and failure reason. The run's history has the trial's reports, and the step is the
    resource. One more run, with the job type "study", has the study's results. The W&B project has
    the study's name. The group's name is the study's name and a key.

    Nothing is sent to W&B's server. To send the runs, call ``wandb sync`` in the folder with the
    runs. System metrics, code, git state, machine data and printed output are not recorded.

    Args:
        out: The folder that contains the folder ``wandb``.

    Raises:
        ExtraMissing: If wandb is not installed.

    Example:
        >>> ashtune.tune(train, space, ..., observers=[WandbTracker()])  # doctest: +SKIP
    """

    module = extra = "wandb"
    most_changed = 20

    def open(self) -> None:
        """Find the existing runs of the study, and delete incomplete runs."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._folder = Path(self.out or self.study.directory).absolute()
        if not self.out:
            place_in(self._folder, "wandb", is_folder=True)
        self.place = str(self._folder / "wandb")
        # otherwise W&B would use another folder
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        self._digests: dict[str, str] = {}
        self._folders: dict[str, Path] = {}
        for folder in Path(self.place).glob(f"offline-run-*-{self.key}-*"):
            run = f"{self.key}-{folder.name.rpartition('-')[2]}"
            try:
                self._digests[run] = json.loads(read_whole(str(folder / NOTE), MOST_NOTE))["digest"]
                self._folders[run] = folder
            except (OSError, ValueError, LookupError):
                shutil.rmtree(folder, ignore_errors=True)

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        """Write changed trials. While the study runs, a running trial is written only when the
        trial pauses or ends.
        """
        for trial in trials:
            if trial.state != "running" or not self.is_live:
                kind = "trial" if trial.confirms is None else "confirmation"
                self._put(trial, str(trial.number), trial.name, kind, trial.facts)

    def close(self, summary: StudySummary) -> None:
        if summary.best is None:
            return
        own = {"trials": summary.trials, "failed": summary.failed, "best": summary.best.number}
        last = Point(summary.resource, summary.ended, summary.metrics)
        study = msgspec.structs.replace(
            summary.best,
            state="completed",
            began=self.study.created,
            ended=summary.ended,
            points=[last],
        )
        self._put(study, "study", self.study.name, "study", own)

    def _put(
        self, trial: TrackedTrial, number: str, name: str, kind: str, own: Mapping[str, Any]
    ) -> None:
        """Write the whole folder of a run, unless the same version of the run exists."""
        import wandb

        run_id = f"{self.key}-{number}"
        digest = digest_of(trial, own)
        if self._digests.get(run_id) == digest:
            return
        if (there := self._folders.pop(run_id, None)) is not None:
            shutil.rmtree(there)
        run = wandb.init(
            project=_name(self.study.name),
            group=f"{_name(self.study.name)}-{self.key}",
            id=run_id,
            name=name,
            job_type=kind,
            config=with_own(trial.configuration, {"ashtune": dict(own)}),
            dir=str(self._folder),
            mode="offline",
            reinit="create_new",
            settings=_settings(),
        )
        folder = Path(run.settings.sync_dir)
        for point in trial.points:
            run.log({**point.metrics, "_timestamp": point.time}, step=point.resource)
        run.finish(exit_code=int(trial.state == "failed"))
        replace_file(folder / NOTE, json.dumps({"digest": digest}).encode())
        self._digests[run_id], self._folders[run_id] = digest, folder


def _settings() -> Any:
    """Return settings with which W&B records only the given data."""
    import wandb

    return wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="",
        save_code=False,
        silent=True,
        symlink=False,
        use_dot_wandb=False,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )


def _name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[:100] or "_"
