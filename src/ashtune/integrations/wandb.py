"""Weights & Biases, offline: each trial is a run, and the runs of a study are one group.

W&B's sweeps need its server, so trials are not a sweep: a parallel-coordinates panel over the group shows the same.

Rule 1: a run lies in a folder of its own, as W&B writes it offline, and is written whole. When its trial has changed,
the folder is written anew: a folder that was added to would be another run to ``wandb sync``.
Rule 2: a folder that is whole has our note in it, which is written last. A folder without one was torn by a kill, and
is written anew.

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

from ashtune._src.integrations.tracking import Point, StudySummary, TrackedTrial, Tracker, digest_of, with_own
from ashtune._src.study.disk import read_whole
from ashtune._src.study.folders import place_in, replace_file

__all__ = ["WandbTracker"]

NOTE = "ashtune.json"
"""The note in the folder of a run that is whole: a digest of its trial."""
MOST_NOTE = 1 << 16
"""Bytes of a note."""
_NOT_IN_NAMES = re.compile(r"[^\w.\-]")


class WandbTracker(Tracker):
    """Keeps a study as offline runs of W&B: by default in the folder ``wandb`` in the study's directory.

    The configuration of a run is the trial's, and under ``ashtune`` its number, state ("running", "paused",
    "completed", "failed", "withdrawn", "ended early"), origin, seed, and why it failed. Its history is what the trial
    reported, with the resource as step. One more run, of the job type "study", says what the study has found. The
    project is the study's name, and the group its name and a key.

    Nothing is sent: ``wandb sync`` in the folder does that, when you want. System metrics, code, git state, the
    machine, and what is printed are not recorded.

    Args:
        out: The folder in which ``wandb`` is.

    Raises:
        ExtraMissing: If wandb is not installed.

    Example:
        >>> ashtune.tune(train, space, ..., observers=[WandbTracker()])  # doctest: +SKIP
    """

    module = extra = "wandb"
    most_changed = 20

    def open(self) -> None:
        """Find out which runs are there, and take away those that were torn."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._folder = Path(self.out or self.study.directory).absolute()
        if not self.out:
            place_in(self._folder, "wandb", is_folder=True)
        self.place = str(self._folder / "wandb")
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)  # W&B would go elsewhere without it
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
        """Write trials that have changed, but for those that go on now: they are written when they come to rest."""
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
            summary.best, state="completed", began=self.study.created, ended=summary.ended, points=[last]
        )
        self._put(study, "study", self.study.name, "study", own)

    def _put(self, trial: TrackedTrial, number: str, name: str, kind: str, own: Mapping[str, Any]) -> None:
        """Write a run whole, unless it is there as it is."""
        import wandb

        run_id, digest = f"{self.key}-{number}", digest_of(trial, own)
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
    """Return settings under which W&B records nothing but what it is given."""
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
