"""Checkpoints on disk: ``checkpoints/<trial>/<resource>/``, written under another name, then renamed.

A trial's older checkpoint stays until the driver has the newer one in its journal, so a kill at any
moment leaves the one that the journal names.

Security: what :meth:`CheckpointWriter.save` writes is a pickle. Loading one executes what it says, so
only the driver's own workers do, and only when a study is run or resumed.
"""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from ashtune.jobs import TrialId

FOLDER = "checkpoints"
SAVED = "saved.pickle"
_UNFINISHED = "unfinished"


class Checkpoints:
    """The checkpoint folder of a study."""

    def __init__(self, study: Path) -> None:
        self._folder = study / FOLDER

    def of(self, trial: TrialId, resource: int) -> Path:
        """Return where the checkpoint of a trial at a resource lies, whether or not it exists."""
        return self._folder / str(trial) / str(resource)

    def discard(self, trial: TrialId, but: int = 0) -> None:
        """Delete a trial's checkpoints, except the one at resource ``but``."""
        for path in self._entries(self._folder / str(trial)):
            if path.name != str(but):
                shutil.rmtree(path, ignore_errors=True)
        if not but:
            shutil.rmtree(self._folder / str(trial), ignore_errors=True)

    def sweep(self, wanted: dict[TrialId, int]) -> None:
        """Delete whatever a killed driver left behind: all but the ``wanted`` trial -> resource."""
        for path in self._entries(self._folder):
            trial = TrialId(int(path.name)) if path.name.isdigit() else None
            if trial is not None and trial in wanted:
                self.discard(trial, but=wanted[trial])
            else:
                shutil.rmtree(path, ignore_errors=True)

    def missing(self, wanted: dict[TrialId, int]) -> list[TrialId]:
        """Return the trials whose wanted checkpoint is not there."""
        return [trial for trial, resource in wanted.items() if not self.of(trial, resource).is_dir()]

    @staticmethod
    def _entries(folder: Path) -> list[Path]:
        return sorted(folder.iterdir()) if folder.is_dir() else []


class CheckpointWriter:
    """The checkpoint of one job, in the worker: what it resumes from, and what it leaves.

    Args:
        checkpoints: The study's folder.
        trial: The trial.
        start: The resource it resumes at; 0 for a new one.
    """

    def __init__(self, checkpoints: Checkpoints, trial: TrialId, start: int) -> None:
        self._checkpoints = checkpoints
        self._trial = trial
        self._earlier = checkpoints.of(trial, start) if start else None
        if self._earlier is not None and not self._earlier.is_dir():
            self._earlier = None
        self.problem = ""
        self._is_open = False
        self._at_opening: dict[Path, tuple[int, int]] = {}

    @cached_property
    def _working(self) -> Path:
        """Where the next checkpoint is written; most jobs never ask."""
        return self._checkpoints.of(self._trial, 0).with_name(_UNFINISHED)

    @property
    def exists(self) -> bool:
        """Whether there is an earlier checkpoint to resume from."""
        return self._earlier is not None

    def restore(self) -> Any:
        """Return the object that was saved, or None if there is none."""
        if self._earlier is None or not (saved := self._earlier / SAVED).is_file():
            return None
        import cloudpickle

        with saved.open("rb") as file:
            return cloudpickle.load(file)

    def save(self, state: object) -> None:
        """Save an object with cloudpickle, in place of what was saved before.

        A disk that refuses does not end the training: it is noted in ``problem``, and the trial
        begins again if it is promoted.
        """
        import cloudpickle

        try:
            self._open()
            with (self._working / SAVED).open("wb") as file:
                cloudpickle.dump(state, file)
        except OSError as error:
            self.problem = f"checkpoint not saved: {error.strerror}"

    def directory(self) -> Path:
        """Return a folder for the user's own files; it holds those of the earlier checkpoint."""
        self._open()
        return self._working

    def _open(self) -> None:
        if self._is_open:
            return
        shutil.rmtree(self._working, ignore_errors=True)
        if self._earlier is not None:
            shutil.copytree(self._earlier, self._working, ignore=shutil.ignore_patterns(SAVED))
        else:
            self._working.mkdir(parents=True)
        self._at_opening = self._contents()
        self._is_open = True

    def _contents(self) -> dict[Path, tuple[int, int]]:
        """Return the size and time of change of every file written so far."""
        files = ((path, path.stat()) for path in self._working.rglob("*") if path.is_file())
        return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in files}

    def commit(self, resource: int) -> int | None:
        """Make what was written the trial's checkpoint at ``resource``.

        Returns:
            Its size in bytes, or None if nothing was written: files that were only read are not
            a checkpoint of the training that came after.
        """
        if not self._is_open or self.problem:
            return None
        contents = self._contents()
        if contents == self._at_opening:
            self.abandon()
            return None
        final = self._checkpoints.of(self._trial, resource)
        shutil.rmtree(final, ignore_errors=True)
        self._working.rename(final)
        self._is_open = False
        self._earlier = final
        return sum(size for size, _ in contents.values())

    def abandon(self) -> None:
        """Throw away what was written since the last commit."""
        if self._is_open:
            shutil.rmtree(self._working, ignore_errors=True)
            self._is_open = False
