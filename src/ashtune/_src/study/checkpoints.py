"""Reads and writes checkpoints, which have the paths ``checkpoints/<trial>.<resource>``.

If the user saves an object, a checkpoint is a file with a pickle and a check value. If the user
saves files, a checkpoint is a folder. A trial's older checkpoint is deleted only after the newer
checkpoint is in the journal. Therefore, even if a process is killed, the checkpoint in the journal
exists.

Rule 1: if a checkpoint has a wrong size or check value, the trial of the checkpoint begins again.
Rule 2: only files and folders whose names have ashtune's own form are deleted, and no link is
followed. If ``checkpoints`` itself is a link to another folder, the study has its own subfolder in
the other folder.
Rule 3: no trial fails because of an error of the disk.

The checkpoints of a study may be in a remote store: see ``remote.py``. Then, during a job, the
worker has its own copy of the earlier checkpoint.

Security: ``save`` writes a pickle, unless another ``dump`` is given. Loading a pickle executes
code, so only the driver's own workers load pickles, while a study is run or resumed. Reading
PyTorch state dicts executes no code.
"""

# Rules 1 and 2: decision 15 (docs/decisions/0015-checkpoints-that-hold.md).

import errno
import io
import os
import pickle
import re
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import CheckpointUnread, StudyError
from ashtune._src.core.jobs import TrialId
from ashtune._src.study import torch_states
from ashtune._src.study.disk import BUFFER_BYTES, DISK, PIECE_BYTES, Disk, OpenFile
from ashtune._src.study.folders import copy_folder, delete, rename, sync_file, sync_tree, walk
from ashtune._src.study.remote import PATIENT, Patience, RemoteFolder, is_remote, refused_by_store

FOLDER = "checkpoints"
SAVED = "saved.pickle"
SAVED_BY_ANY = re.compile(r"saved\.pickle(\.of-rank-\d+)?", re.ASCII)
"""The names of the files with the objects that the processes of a trial have saved: ``SAVED`` for
process 0, and a name with a suffix for each other process.
"""
OURS = re.compile(r"\d+\.(\d+(\.arriving)?|by-\d+\.(unfinished|earlier)(\.d)?)", re.ASCII)
"""The form of the names that ashtune gives to checkpoints. A checkpoint may be complete,
unfinished, received, or copied from a store.
"""
OWN_FOLDER = re.compile(r"ashtune-.*-[0-9a-f]{12}", re.ASCII | re.DOTALL)
END = struct.Struct("<8sI")
"""The end of a checkpoint file after the pickle: a mark, and the CRC-32 of the pickle."""
MARK = b"ashtune1"
# Decision 15 (docs/decisions/0015-checkpoints-that-hold.md).
SYNC_SECONDS = 1.0
"""A pickle is synced if its job trained longer than this. So a power loss costs about one second of
training.
"""


class Checkpoints:
    """The checkpoint folder of a study."""

    def __init__(self, study: Path, disk: Disk = DISK, patience: Patience = PATIENT) -> None:
        self.disk = disk
        self.patience = patience
        self._study = study
        self.folder = str(study / FOLDER)

    @cached_property
    def remote(self) -> RemoteFolder | None:
        """The study's folder in a store, or None if checkpoints are in the
        study's directory only.
        """
        return RemoteFolder.of(self._study, self.patience)

    def begin_session(self, checkpoints: str) -> None:
        """Open the study's store, if the study has a store or the option ``checkpoints`` is the
        address of a store.

        Raises:
            StudyError: If the store cannot be used.
        """
        if not is_remote(checkpoints):
            checkpoints = ""
        RemoteFolder.begin(self._study, checkpoints, self.patience)

    def of(self, trial: TrialId, resource: int) -> str:
        """Return the path of a trial's checkpoint at a resource, whether or not it exists."""
        return f"{self.folder}/{trial}.{resource}"

    def discard(self, trial: TrialId, resource: int) -> None:
        """Delete a trial's checkpoint at a resource."""
        delete(self.disk, self.of(trial, resource))
        if self.remote is not None:
            self.remote.delete([f"{trial}.{resource}"])

    def wait_for_deletions(self) -> None:
        """Wait a short time until the store has deleted checkpoints. Print the checkpoints that are
        not deleted yet.
        """
        if self.remote is not None:
            self.remote.wait_for_deletions()

    def make_durable(self, trial: TrialId, resource: int) -> None:
        """If a trial has a checkpoint at a resource, make this checkpoint survive a power loss."""
        path = self.of(trial, resource)
        with suppress(OSError):
            if self.disk.status(path).is_file:  # a folder was already synced when it was committed
                sync_file(self.disk, path)
                self.disk.sync_folder(self.folder)

    def has_unwanted(self, wanted: dict[TrialId, int]) -> bool:
        """Return whether ``sweep`` would delete a checkpoint, or False if the folder is unreadable.
        O(checkpoints).
        """
        with suppress(OSError):
            return bool(_unwanted(self.disk.names(self.folder), wanted))
        return False

    def sweep(self, wanted: dict[TrialId, int]) -> None:
        """Delete all checkpoints that a killed driver left, except the
        checkpoints in ``wanted``.
        """
        if self.remote is not None:
            with refused_by_store(self.remote.address):
                names = self.remote.names()
            self.remote.delete(_unwanted(names, wanted))
        try:
            if self.disk.status(self.folder).is_link:
                self._move_in(_names_of(wanted))
            names = self.disk.names(self.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StudyError(
                f"cannot read the checkpoints in {self.folder}: {error.strerror}; make the folder "
                "readable, or move it away (trials then begin again)"
            ) from None
        for name in _unwanted(names, wanted):
            delete(self.disk, f"{self.folder}/{name}")

    def _move_in(self, keep: set[str]) -> None:
        """Change the link ``checkpoints``: let it point to this study's own subfolder. Other
        studies may use the folder to which the link pointed.
        """
        disk = self.disk
        folder = self.folder
        target = disk.read_link(folder)
        if OWN_FOLDER.fullmatch(os.path.basename(target)):
            return
        try:
            disk.names(folder)
        except FileNotFoundError:
            raise StudyError(
                f"{folder} is a link to {target}, which was not found; make that folder, or remove "
                f"the link"
            ) from None
        own = f"ashtune-{self._study.name[:40]}-{os.urandom(6).hex()}"
        disk.make_folder(f"{folder}/{own}")
        for name in keep:  # the user may have moved a folder with checkpoints to this place
            with suppress(OSError):
                disk.rename(f"{folder}/{name}", f"{folder}/{own}/{name}")
        disk.sync_folder(folder)
        with suppress(FileNotFoundError):
            disk.unlink(f"{folder}.new")
        disk.make_link(f"{target.rstrip('/')}/{own}", f"{folder}.new")
        disk.rename(f"{folder}.new", folder)


def _names_of(wanted: dict[TrialId, int]) -> set[str]:
    return {f"{trial}.{resource}" for trial, resource in wanted.items()}


def _unwanted(names: list[str], wanted: dict[TrialId, int]) -> list[str]:
    """Return the names that have ashtune's own form (Rule 2), without the names of wanted
    checkpoints.
    """
    keep = _names_of(wanted)
    return [name for name in names if OURS.fullmatch(name) and name not in keep]


class CheckpointWriter:
    """Reads the earlier checkpoint of a worker's job, and writes the next checkpoint.

    Args:
        start: The resource of the earlier checkpoint; 0 for a new trial.
        worker: The number of the writing worker. Files of different workers have different names,
            because a worker that counts as lost may still train this trial.
        size: The size of the earlier checkpoint in bytes, from the journal; None if unknown.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        trial: TrialId,
        start: int,
        *,
        worker: int = 0,
        size: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoints = checkpoints
        self._disk = checkpoints.disk
        self._unfinished = f"{checkpoints.folder}/{trial}.by-{worker}"
        self._trial = trial
        self._clock = clock
        self._began = clock()
        self._not_read = self._not_saved = self._left_here = ""
        self._earlier = ""
        self._copy = f"{self._unfinished}.earlier"
        if start:
            self._earlier = checkpoints.of(trial, start)
            flaw = self._flaw_of_earlier(size)
            if flaw:
                self._not_read = (
                    f"the checkpoint was not read: {flaw}; the trial was trained again from the "
                    "start"
                )
                self._earlier = ""
        self._has_begun = self._has_saved = False
        self._at_opening: dict[str, tuple[int, int]] | None = None
        # the folder's contents at the last rung, if the trial continued in place
        self._at_rung: dict[str, tuple[int, int]] = {}
        self._elsewhere = ""

    def _flaw_of_earlier(self, size: int | None) -> str:
        """Return a text that says what is wrong with the earlier checkpoint, or "". If the
        checkpoint is in a remote store, first copy it.
        """
        # The disk is searched first, even if there is a store, because an interrupted session may
        # have left the checkpoint on the disk.
        flaw = flaw_of(self._disk, self._earlier, size)
        remote = self._checkpoints.remote
        if not flaw or remote is None:
            return flaw
        try:
            self._make_folders()
            remote.pull(os.path.basename(self._earlier), self._copy)
        except OSError as error:
            return str(error.strerror)
        self._earlier = self._copy
        return flaw_of(self._disk, self._earlier, size)

    @property
    def exists(self) -> bool:
        """Whether there is an earlier checkpoint to resume from."""
        return bool(self._earlier)

    @property
    def has_begun(self) -> bool:
        """Whether the saving of an object has begun since the last commit."""
        return self._has_begun

    @property
    def problem(self) -> str:
        """The error in reading or saving the checkpoint as text, or an empty text if there was no
        error.
        """
        return "; ".join(filter(None, (self._not_read, self._not_saved, self._left_here)))

    def restore(self, unpickle: Callable[[Any], Any] = pickle.load) -> Any:
        """Return the object in the earlier checkpoint, or None if the checkpoint has no object.

        Raises:
            CheckpointUnread: If the checkpoint existed when this job began, but cannot be read now.
        """
        if not self._earlier:
            return None
        try:
            path = self._path_of_saved()
            with suppress(FileNotFoundError), OpenFile(self._disk, path, os.O_RDONLY) as opened:
                reader = io.BufferedReader(opened, BUFFER_BYTES)
                return read_saved(reader, self._disk.status(path).size, unpickle)
            # raises if the checkpoint does not exist any more, but not if a folder has no pickle
            self._disk.status(self._earlier)
        except OSError as error:
            raise self._unread(error) from None
        return None

    def _path_of_saved(self) -> str:
        if self._disk.status(self._earlier).is_folder:
            return f"{self._earlier}/{SAVED}"
        return self._earlier

    def _unread(self, error: OSError) -> CheckpointUnread:
        self._not_read = (
            f"the checkpoint was not read: {error.strerror}; the trial was trained again from the "
            "start"
        )
        return CheckpointUnread(f"{self._earlier}: {error.strerror}")

    def forget_earlier(self) -> bool:
        """Ignore the earlier checkpoint from now on. If the checkpoint's files were already copied,
        return False.
        """
        self._earlier = ""
        return self._at_opening is None

    def save(self, state: Any, dump: Callable[[Any, "Checked"], None] | None = None) -> None:
        """Save an object with ``dump``, which is cloudpickle by default. This object replaces an
        object that was saved before.

        An error of the disk is recorded in ``problem``. If a promoted trial has no saved object, it
        begins again.
        """
        if dump is None:
            from ashtune._src.pickles.pickler import dump as by_cloudpickle

            dump = by_cloudpickle
        self._has_begun = True
        self._has_saved = False
        try:
            with io.BufferedWriter(self._open_for_writing(), BUFFER_BYTES) as file:
                checked = Checked(file)
                dump(state, checked)
                file.write(END.pack(MARK, checked.crc))
            self._has_saved = True
        except OSError as error:
            self._note(error)

    def _open_for_writing(self) -> OpenFile:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        try:
            return OpenFile(self._disk, self._unfinished_file, flags)
        except FileNotFoundError:
            self._make_folders()
            return OpenFile(self._disk, self._unfinished_file, flags)

    def _make_folders(self) -> None:
        with suppress(FileExistsError):
            self._disk.make_folder(self._checkpoints.folder)
            self._disk.sync_folder(os.path.dirname(self._checkpoints.folder))

    def directory(self) -> Path:
        """Return a folder for the user's own files, with a copy of the earlier checkpoint's files.

        If the disk refuses a new folder, return a temporary folder of the machine, whose files are
        not saved.

        Raises:
            CheckpointUnread: If the earlier checkpoint cannot be copied.
        """
        if self._at_opening is None:
            # a worker that was killed may have left this folder
            delete(self._disk, self._unfinished_folder)
            try:
                self._fill_folder()
            except OSError as error:
                delete(self._disk, self._unfinished_folder)
                if self._earlier:  # a resumed trial must not get an empty folder
                    raise self._unread(error) from None
                self._note(error)
                import tempfile

                self._elsewhere = tempfile.mkdtemp(prefix="ashtune-")
            self._at_opening = self._at_rung = self._contents()
        return Path(self._elsewhere or self._unfinished_folder)

    def _fill_folder(self) -> None:
        # The files are copied. Otherwise a job that is killed, or changes a file and then cannot
        # save, would destroy the checkpoint (decision 66,
        # docs/decisions/0066-no-checkpoint-is-moved.md).
        if self._earlier and self._disk.status(self._earlier).is_folder:
            copy_folder(self._disk, self._earlier, self._unfinished_folder, leave_out=SAVED_BY_ANY)
        else:
            self._make_folders()
            self._disk.make_folder(self._unfinished_folder)

    def _contents(self) -> dict[str, tuple[int, int]]:
        if self._elsewhere:
            return {}
        folder = self._unfinished_folder
        # the user may have put a link here, for example to the whole disk
        if not self._disk.status(folder).is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
        return {path: (status.size, status.changed_ns) for path, status in walk(self._disk, folder)}

    def commit(self, resource: int) -> int | None:
        """Turn the written files into the trial's checkpoint at ``resource``. Return its size in
        bytes.

        If nothing was written, return None, since the files of the earlier checkpoint do not
        contain the training after that checkpoint.
        """
        if self._not_saved or not (self._has_saved or self._at_opening is not None):
            return None
        try:
            return self._commit(self._checkpoints.of(self._trial, resource))
        except OSError as error:
            self._note(error)
            return None

    def _commit(self, final: str) -> int | None:
        disk = self._disk
        remote = self._checkpoints.remote
        if self._at_opening is None:
            written = self._unfinished_file
            is_synced = remote is None and self._clock() - self._began >= SYNC_SECONDS
            if is_synced:
                sync_file(disk, written)
            size = disk.status(written).size
        else:
            written = self._unfinished_folder
            if self._has_saved:
                disk.rename(self._unfinished_file, f"{self._unfinished_folder}/{SAVED}")
            contents = self._contents()
            if contents == self._at_rung:
                return None
            is_synced = remote is None
            if is_synced:
                sync_tree(disk, written)  # the user's files have no check value
            size = sum(length for length, _ in contents.values())
        try:
            if remote is not None:
                remote.push(written, os.path.basename(final))
                delete(disk, written)
        except InterruptedError as error:
            # The study stops, so the checkpoint stays on this disk. The next session finds it here.
            remote = None
            folder = self._checkpoints.folder
            self._left_here = f"checkpoint left in {folder}: {error.strerror}"
            self._checkpoints.patience.tell(
                f"{error.filename}: {error.strerror}; a checkpoint was left in {folder}"
            )
        if remote is None:
            rename(disk, written, final)
        if is_synced:
            disk.sync_folder(self._checkpoints.folder)
        self._has_begun = False
        self._has_saved = False
        self._at_opening = None
        self._began = self._clock()
        return size

    def go_on(self) -> None:
        """Record that the worker continues the trial, and delete the object that was saved at the
        previous rung.

        The user's files stay in the folder. The files become a checkpoint only if the user changes
        a file.
        """
        self._forget_saved()
        if self._at_opening is not None:
            try:
                self._at_rung = self._contents()
            except OSError as error:
                self._note(error)

    def _forget_saved(self) -> None:
        if self._has_begun:
            delete(self._disk, self._unfinished_file)
            self._has_begun = self._has_saved = False

    def abandon(self) -> None:
        """Delete all files that were written since the last commit, and the copy of an earlier
        remote checkpoint.
        """
        if self._checkpoints.remote is not None:
            delete(self._disk, self._copy)
        if self._at_opening is not None:
            if self._elsewhere:
                delete(DISK, self._elsewhere)
                self._elsewhere = ""
            else:
                delete(self._disk, self._unfinished_folder)
            self._at_opening = None
        self._forget_saved()

    def fail(self, problem: str) -> None:
        """Record that another process of the trial could not save its part. Then no checkpoint is
        committed.
        """
        self._not_saved = problem

    def _note(self, error: OSError) -> None:
        self.fail(f"checkpoint not saved: {error.strerror}")

    @cached_property
    def _unfinished_file(self) -> str:
        return f"{self._unfinished}.unfinished"

    @cached_property
    def _unfinished_folder(self) -> str:
        return f"{self._unfinished}.unfinished.d"


class PartWriter(CheckpointWriter):
    """Used if several processes train a trial, in every process except process 0. It writes the
    saved objects of its process into the folder that process 0 commits.

    Args:
        folder: The unfinished folder, which process 0 has made.
        process: The number of this process.
    """

    def __init__(
        self, checkpoints: Checkpoints, trial: TrialId, start: int, *, folder: str, process: int
    ) -> None:
        super().__init__(checkpoints, trial, 0)
        # if the store is remote, process 0 has created the folder
        copy = f"{folder.removesuffix('.unfinished.d')}.earlier"
        if start:
            self._earlier = checkpoints.of(trial, start)
            if os.path.lexists(copy):
                self._earlier = copy
        self._folder = folder
        self._name = f"{SAVED}.of-rank-{process}"

    def _path_of_saved(self) -> str:
        """Return the path of the object that this process has saved. If this process has saved
        nothing, return the path of the object that process 0 has saved for all processes.
        """
        own = f"{self._earlier}/{self._name}"
        with suppress(FileNotFoundError, NotADirectoryError):
            self._disk.status(own)
            return own
        return super()._path_of_saved()

    def directory(self) -> Path:
        """Return the folder of all processes of the trial."""
        return Path(self._folder)

    @cached_property
    def _unfinished_file(self) -> str:
        return f"{self._folder}/{self._name}"


# Paths are strings here, because for thousands of small files pathlib and shutil.rmtree would take
# longer than the writing.


class Checked:
    """A writable file that computes the CRC-32 of all written data."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.crc = 0

    def write(self, data: Any) -> int:
        """Write all of ``data``. Return the number of written bytes."""
        self.crc = zlib.crc32(data, self.crc)
        return int(self._file.write(data))


def read_saved(file: "io.BufferedReader[Any]", size: int, unpickle: Callable[[Any], Any]) -> Any:
    """Return the object that a file of ``size`` bytes contains. Unpickling executes code from the
    file.

    Raises:
        StudyError: If the file is in PyTorch's format, and cannot be read as state dicts.
    """
    if file.peek(len(torch_states.BEGINNING)).startswith(torch_states.BEGINNING):
        return torch_states.load(file, size - END.size)
    return unpickle(file)


def flaw_of(disk: Disk, path: str, size: int | None) -> str:
    """Return a text that says what is wrong with a checkpoint, or "" if nothing is wrong. The size
    is checked unless ``size`` is None.
    """
    try:
        status = disk.status(path)
        pickled = [path]
        total = status.size
        if status.is_folder:
            pickled = []
            total = 0
            for inside, one in walk(disk, path):
                total += one.size
                if SAVED_BY_ANY.fullmatch(inside.removeprefix(f"{path}/")):
                    pickled.append(inside)
        elif not status.is_file:
            return "it is not a file"
        if size is not None and total != size:
            return f"it has {total:,} bytes instead of {size:,}"
        if not all(_is_whole(disk, inside) for inside in pickled):
            return "its check value is wrong"
    except FileNotFoundError:
        return "it was not found"
    except OSError as error:
        return str(error.strerror)
    return ""


def _is_whole(disk: Disk, path: str) -> bool:
    file = disk.open(path, os.O_RDONLY)
    try:
        left = disk.size(file) - END.size
        if left < 0:
            return False
        crc = 0
        while left > 0:
            piece = disk.read(file, min(left, PIECE_BYTES))
            if not piece:
                return False
            crc = zlib.crc32(piece, crc)
            left -= len(piece)
        return disk.read(file, END.size + 1) == END.pack(MARK, crc)
    finally:
        disk.close(file)
