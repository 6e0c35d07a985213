"""Checkpoints on disk: ``checkpoints/<trial>.<resource>``, written under another name, then renamed.

One is a file (what :meth:`CheckpointWriter.save` pickled) or, where the user keeps files of their own, a
folder. A trial's older checkpoint stays until the driver has the newer one in its journal, so a kill at
any moment leaves the one that the journal names.

Security: what ``save`` writes is a pickle. Loading one executes what it says, so only the driver's own
workers do, and only when a study is run or resumed.
"""

import os
import shutil
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ashtune.errors import StudyError
from ashtune.jobs import TrialId

FOLDER = "checkpoints"
SAVED = "saved.pickle"


class Checkpoints:
    """The checkpoint folder of a study."""

    def __init__(self, study: Path) -> None:
        self.folder = str(study / FOLDER)

    def of(self, trial: TrialId, resource: int) -> str:
        """Return where the checkpoint of a trial at a resource lies, whether or not it exists."""
        return f"{self.folder}/{trial}.{resource}"

    def discard(self, trial: TrialId, resource: int) -> None:
        """Delete the checkpoint of a trial at a resource."""
        _delete(self.of(trial, resource))

    def sweep(self, wanted: dict[TrialId, int]) -> None:
        """Delete whatever a killed driver left behind: all but the ``wanted`` trial -> resource."""
        keep = {f"{trial}.{resource}" for trial, resource in wanted.items()}
        for name in _names(self.folder):
            if name not in keep:
                _delete(f"{self.folder}/{name}")


class CheckpointWriter:
    """The checkpoint of one job, in the worker: what it resumes from, and what it leaves.

    Args:
        checkpoints: The study's folder.
        trial: The trial.
        start: The resource it resumes at; 0 for a new one.
        worker: Who writes. A worker given up for lost may still be at the same trial, on another machine.
    """

    def __init__(self, checkpoints: Checkpoints, trial: TrialId, start: int, *, worker: int = 0) -> None:
        self._checkpoints = checkpoints
        self._unfinished = f"{checkpoints.folder}/{trial}.by-{worker}"
        self._trial = trial
        self._earlier = checkpoints.of(trial, start) if start else ""
        if self._earlier and not os.path.exists(self._earlier):
            self._earlier = ""
        self.problem = ""
        self._has_begun = self._has_saved = False
        self._at_opening: dict[str, tuple[int, int]] | None = None

    @property
    def exists(self) -> bool:
        """Whether there is an earlier checkpoint to resume from."""
        return bool(self._earlier)

    def restore(self) -> Any:
        """Return the object that was saved, or None if there is none."""
        if self._earlier and not os.path.exists(self._earlier):
            raise StudyError(f"{self._earlier} has gone since this job began; its trial cannot be resumed")
        path = f"{self._earlier}/{SAVED}" if os.path.isdir(self._earlier) else self._earlier
        if not os.path.isfile(path):
            return None
        import cloudpickle

        with open(path, "rb") as file:
            return cloudpickle.load(file)

    def save(self, state: object) -> None:
        """Save an object with cloudpickle, in place of what was saved before.

        A disk that refuses does not end the training: it is noted in ``problem``, and the trial
        begins again if it is promoted.
        """
        import cloudpickle

        self._has_begun, self._has_saved = True, False
        try:
            with self._open_for_writing() as file:
                cloudpickle.dump(state, file)
            self._has_saved = True
        except OSError as error:
            self.problem = f"checkpoint not saved: {error.strerror}"

    def _open_for_writing(self) -> Any:
        try:
            return open(self._unfinished_file, "wb")
        except FileNotFoundError:
            os.makedirs(self._checkpoints.folder, exist_ok=True)
            return open(self._unfinished_file, "wb")

    def directory(self) -> Path:
        """Return a folder for the user's own files; it holds those of the earlier checkpoint."""
        if self._at_opening is None:
            _delete(self._unfinished_folder)  # left by a worker that was killed
            if os.path.isdir(self._earlier):
                shutil.copytree(self._earlier, self._unfinished_folder, ignore=shutil.ignore_patterns(SAVED))
            else:
                os.makedirs(self._unfinished_folder)
            self._at_opening = _contents(self._unfinished_folder)
        return Path(self._unfinished_folder)

    def commit(self, resource: int) -> int | None:
        """Make what was written the trial's checkpoint at ``resource``.

        Returns:
            Its size in bytes, or None if nothing was written: files that were only read are not
            a checkpoint of the training that came after.
        """
        if self.problem:
            return None
        try:
            return self._commit(self._checkpoints.of(self._trial, resource))
        except OSError as error:
            self.problem = f"checkpoint not saved: {error.strerror}"
            return None

    def _commit(self, final: str) -> int | None:
        if self._at_opening is None:
            if not self._has_saved:
                return None
            size = os.path.getsize(self._unfinished_file)
            _rename(self._unfinished_file, final)
        else:
            if self._has_saved:
                os.rename(self._unfinished_file, f"{self._unfinished_folder}/{SAVED}")
            contents = _contents(self._unfinished_folder)
            if contents == self._at_opening:
                return None
            size = sum(length for length, _ in contents.values())
            _rename(self._unfinished_folder, final)
        self._has_begun, self._has_saved, self._at_opening = False, False, None
        return size

    def abandon(self) -> None:
        """Throw away what was written since the last commit."""
        if self._at_opening is not None:
            _delete(self._unfinished_folder)
            self._at_opening = None
        if self._has_begun:
            _delete(self._unfinished_file)
            self._has_begun = self._has_saved = False

    @cached_property
    def _unfinished_file(self) -> str:
        return f"{self._unfinished}.unfinished"

    @cached_property
    def _unfinished_folder(self) -> str:
        return f"{self._unfinished}.unfinished.d"


# A study of short trials saves and deletes thousands of small files; pathlib and shutil.rmtree would
# cost it more than the writing itself, so here paths are strings.


def _rename(path: str, final: str) -> None:
    try:
        os.rename(path, final)
    except OSError:  # one is there already, which the journal does not know of
        _delete(final)
        os.rename(path, final)


def _names(folder: str) -> list[str]:
    """Return what is in a folder; nothing if there is none."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _contents(folder: str) -> dict[str, tuple[int, int]]:
    """Return the size and time of change of every file in a folder, at any depth."""
    found: dict[str, tuple[int, int]] = {}
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            found |= _contents(entry.path)
        else:
            stat = entry.stat()
            found[entry.path] = (stat.st_size, stat.st_mtime_ns)
    return found


def _delete(path: str) -> None:
    """Delete a file or a folder with all that is in it; what is gone already is no matter."""
    with suppress(OSError):  # what cannot be deleted now is swept when the study is opened again
        try:
            os.unlink(path)
        except (IsADirectoryError, PermissionError):  # a folder, in the words of Linux and of macOS
            for name in _names(path):
                _delete(f"{path}/{name}")
            os.rmdir(path)
