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
import shutil
from pathlib import Path
from typing import Any

from ashtune._src.integrations.tracking import RunTracker, TrackedRun, short_name, with_own
from ashtune._src.study.disk import read_whole
from ashtune._src.study.folders import place_in, replace_file

__all__ = ["WandbTracker"]

NOTE = "ashtune.json"
"""The name of the note in the folder of a complete run. The note has a digest of the run's trial.
"""
MOST_NOTE = 1 << 16
"""The largest number of bytes of a note."""


class WandbTracker(RunTracker):
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
    # This number is smaller than in other trackers, because W&B needs 20 ms or more for a run.
    most_changed = 20
    # Running trials are not written, because each change would write the trial's whole folder
    # again.
    takes_running = False

    def open(self) -> None:
        """Find the existing runs of the study, and delete incomplete runs."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._folder = Path(self.out or self.study.directory).absolute()
        if not self.out:
            place_in(self._folder, "wandb", is_folder=True)
        self.place = str(self._folder / "wandb")
        # If this folder does not exist, W&B uses another one.
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        self.digests = {}
        self._folders: dict[str, Path] = {}
        for folder in Path(self.place).glob(f"offline-run-*-{self.key}-*"):
            run = folder.name.rpartition("-")[2]
            try:
                self.digests[run] = json.loads(read_whole(str(folder / NOTE), MOST_NOTE))["digest"]
                self._folders[run] = folder
            except (OSError, ValueError, LookupError):
                shutil.rmtree(folder, ignore_errors=True)

    def put(self, run: TrackedRun) -> None:
        """Write the whole folder of a run."""
        import wandb

        trial = run.trial
        name = short_name(self.study.name)
        earlier = self._folders.pop(run.number, None)
        if earlier is not None:
            shutil.rmtree(earlier)
        opened = wandb.init(
            project=name,
            group=f"{name}-{self.key}",
            id=run.identity,
            name=self.study.name if run.kind == "study" else trial.name,
            job_type=run.kind,
            config=with_own(trial.configuration, {"ashtune": run.own}),
            dir=str(self._folder),
            mode="offline",
            reinit="create_new",
            settings=_settings(),
        )
        folder = Path(opened.settings.sync_dir)
        for point in trial.points:
            opened.log({**point.metrics, "_timestamp": point.time}, step=point.resource)
        opened.finish(exit_code=int(trial.state == "failed"))
        # The note is written last. If a folder has no note, the driver was killed, and the folder
        # is written again.
        replace_file(folder / NOTE, json.dumps({"digest": run.digest}).encode())
        self._folders[run.number] = folder


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
