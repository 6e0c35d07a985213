"""Functions that walk, copy, sync and delete folders, check the paths of copies of a study, and
make temporary folders.

Paths are strings, as in ``checkpoints.py``, because a study of short trials has thousands of small
files. No function follows a link. A study's directory may belong to another user, so no copy is
written through a link in the directory. A path that the user gives may be a link.
"""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.plaintext import shown, visible
from ashtune._src.study.disk import DISK, PIECE_BYTES, Disk, OpenFile, Status, write_all, write_new


def check_directory(directory: "str | os.PathLike[str]") -> Path:
    """Return the path of a folder that the user named. ``~`` means the user's home.

    Raises:
        SettingsError: If the name is empty, is not a path, or has characters that cannot be shown.
    """
    path = os.fspath(directory) if isinstance(directory, str | os.PathLike) else ""
    if not isinstance(path, str) or not path.strip() or visible(path) != path:
        raise SettingsError(
            f"directory={shown(directory)} is not a path; give one, such as 'runs/digits'"
        )
    return Path(os.path.expanduser(path))


def walk(disk: Disk, folder: str) -> Iterator[tuple[str, Status]]:
    """Yield the path and the status of each file and link in a folder and its subfolders. No link
    is followed.
    """
    for name in disk.names(folder):
        path = f"{folder}/{name}"
        status = disk.status(path)
        if status.is_folder:
            yield from walk(disk, path)
        else:
            yield path, status


def copy_folder(
    disk: Disk, source: str, final: str, *, leave_out: "re.Pattern[str] | None" = None
) -> None:
    """Copy a folder with its content. Links are copied as links. Pipes, sockets and devices are
    left out.
    """
    disk.make_folder(final)
    for name in disk.names(source):
        if leave_out is not None and leave_out.fullmatch(name):
            continue
        path = f"{source}/{name}"
        copy = f"{final}/{name}"
        status = disk.status(path)
        if status.is_folder:
            copy_folder(disk, path, copy)
        elif status.is_link:
            disk.make_link(disk.read_link(path), copy)
        elif status.is_file:
            _copy_file(disk, path, copy, status.changed_ns)


def _copy_file(disk: Disk, path: str, copy: str, changed_ns: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with OpenFile(disk, path, os.O_RDONLY) as source, OpenFile(disk, copy, flags) as file:
        while piece := disk.read(source.descriptor, PIECE_BYTES):
            write_all(disk, file.descriptor, piece)
        disk.set_changed(file.descriptor, changed_ns)


def sync_file(disk: Disk, path: str) -> None:
    """Make a file survive a power loss."""
    file = disk.open(path, os.O_RDONLY)
    try:
        disk.sync(file)
    finally:
        disk.close(file)


def sync_tree(disk: Disk, folder: str) -> None:
    """Make a folder with its content survive a power loss."""
    for name in disk.names(folder):
        path = f"{folder}/{name}"
        status = disk.status(path)
        if status.is_folder:
            sync_tree(disk, path)
        elif status.is_file:
            sync_file(disk, path)
    disk.sync_folder(folder)


def delete(disk: Disk, path: str) -> None:
    """Delete a file, a link, or a folder with its content. Errors are ignored."""
    with suppress(OSError):  # the next session deletes remaining files
        _delete(disk, path, None)


def _delete(disk: Disk, path: str, at: int | None) -> None:
    try:
        disk.unlink(path, at=at)
    # Linux answers IsADirectoryError for a folder, and macOS PermissionError.
    except (IsADirectoryError, PermissionError) as error:
        status = disk.status(path, at=at)
        if not status.is_folder:
            raise error from None
        # A training function may have copied read-only folders, which cannot be emptied.
        if status.mode & 0o700 != 0o700:
            disk.make_writable(path, at=at)
        # this fails if a link has replaced the folder
        folder = disk.open(path, os.O_RDONLY | os.O_DIRECTORY, at=at)
        try:
            for name in disk.names(folder):
                with suppress(OSError):
                    _delete(disk, name, folder)
        finally:
            disk.close(folder)
        disk.remove_folder(path, at=at)


def rename(disk: Disk, path: str, final: str) -> None:
    """Rename a file or folder. If an older file or folder has the new name, it is replaced, since
    no journal refers to it.
    """
    try:
        disk.rename(path, final)
    except OSError:
        delete(disk, final)
        disk.rename(path, final)


class ScratchDirectory:
    """The temporary folder of this process. The folder is made when it is first used.

    A killed process cannot delete its folder. The next process on the machine deletes such a
    folder.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process = os.getpid()

    def folder(self) -> Path:
        """Return the temporary folder, and make it if necessary."""
        if self._folder is None:
            import tempfile

            ours = f"ashtune-{os.uname().nodename}-"
            _delete_those_of_the_dead(Path(tempfile.gettempdir()), ours)
            self._folder = Path(tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-"))
        return self._folder

    def delete(self) -> None:
        """Delete the temporary folder, unless this process was forked."""
        if self._folder is not None and self._process == os.getpid():
            delete(DISK, str(self._folder))
            self._folder = None

    @contextmanager
    def deleted_at_sigterm(self) -> Iterator[None]:
        """Delete the temporary folder when SIGTERM ends the process, unless SIGTERM has another
        handler.
        """

        def end(number: int, frame: FrameType | None) -> None:
            del frame
            self.delete()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a temporary folder. The folder is deleted after the ``with`` block."""
    scratch = ScratchDirectory()
    try:
        with scratch.deleted_at_sigterm():
            yield scratch.folder()
    finally:
        scratch.delete()


def _delete_those_of_the_dead(temporary: Path, prefix: str) -> None:
    for folder in temporary.glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        with suppress(FileNotFoundError):
            if pid.isdecimal() and not _lives(int(pid)) and folder.lstat().st_uid == os.geteuid():
                delete(DISK, str(folder))  # a folder of another user is not deleted


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


FOR_ALL = 0o666
"""The permissions of a copy before the umask is applied."""

MARK = "new"
"""The suffix of a file's name until the file is complete."""


def place_in(directory: str | Path, name: str, *, is_folder: bool = False) -> Path:
    """Return the path of a copy in a study's directory or in a subfolder. No file is read or
    written.

    Raises:
        StudyError: If something else has this path, for example a link.
    """
    path = Path(directory, name)
    try:
        status = DISK.status(str(path))
    except FileNotFoundError:
        return path
    if not (status.is_folder if is_folder else status.is_file):
        what = "not a folder" if is_folder else "not a regular file"
        if status.is_link:
            what = "a link"
        raise StudyError(
            f"{path} is {what}, so no copy is written there; delete it, or give another path"
        )
    return path


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` to a file of a copy, completely or not at all. If the file is a link, the link
    is replaced.
    """
    try:
        write_new(DISK, str(path), data, mark=MARK, mode=FOR_ALL, is_synced=False)
    except OSError:
        with suppress(OSError):
            DISK.unlink(f"{path}.{MARK}")
        raise
