"""The calls to the operating system that store a study. Tests replace :class:`Disk` with a disk
that fails.

Rule 1: no call follows a symbolic link at the end of a path. The folder ``checkpoints`` itself may
be a link.
Rule 2: only the owner can access new files and folders, since ``resume`` executes code from these
files.
Rule 3: only regular files are opened. A pipe or device is refused immediately, without waiting.
"""

import errno
import fcntl
import io
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

FOR_THE_OWNER = 0o600
FOLDER_FOR_THE_OWNER = 0o700
LINUX = sys.platform == "linux"
PIECE_BYTES = 1 << 20
"""The size of the pieces in which a file is read or copied."""
BUFFER_BYTES = 1 << 17
READ_BYTES = 1 << 24
NO_SYNC_OF_FOLDERS = frozenset(
    (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
)
"""The errors by which a file system says that it cannot sync folders."""


class Status(NamedTuple):
    """The status of a path: kind and permissions, size in bytes, and time of the last change."""

    mode: int
    size: int
    changed_ns: int

    @property
    def is_file(self) -> bool:
        """Whether the path is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether the path is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether the path is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Disk:
    """The disk of this machine. Paths are strings. Every method raises OSError if the operation
    fails.

    ``at`` is the descriptor of the folder to which a path is relative. If a walk through folders
    uses descriptors, the walk never leaves its folder tree, even if folders are renamed during the
    walk.
    """

    def open(
        self, path: str, flags: int, mode: int = FOR_THE_OWNER, *, at: int | None = None
    ) -> int:
        """Open a regular file, and return its descriptor. If ``flags`` has ``O_DIRECTORY``, open a
        folder.
        """
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode, dir_fd=at)
        kind = os.fstat(file).st_mode
        if not (stat.S_ISDIR(kind) if flags & os.O_DIRECTORY else stat.S_ISREG(kind)):
            os.close(file)
            if stat.S_ISDIR(kind):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return file

    def close(self, file: int) -> None:
        """Close a file."""
        os.close(file)

    def read(self, file: int, size: int) -> bytes:
        """Read at most ``size`` bytes. At the end of the file, return no bytes."""
        return os.read(file, size)

    def read_at(self, file: int, size: int, offset: int) -> bytes:
        """Read at most ``size`` bytes from ``offset`` on. The file position does not change."""
        return os.pread(file, size, offset)

    def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
        """Write the first bytes of ``data``, and return the number of written bytes."""
        return os.write(file, data)

    def size(self, file: int) -> int:
        """Return the size of a file in bytes."""
        return os.fstat(file).st_size

    def truncate(self, file: int, size: int) -> None:
        """Cut a file to ``size`` bytes."""
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        """Make written data survive a power loss."""
        os.fsync(file)

    def lock(self, file: int) -> None:
        """Lock a file until this process closes the file. Raise BlockingIOError if another process
        holds the lock.
        """
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def sync_folder(self, path: str) -> bool:
        """Make the names in a folder survive a power loss. Return True if the sync succeeded or is
        not supported.
        """
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        except OSError as error:
            return error.errno in NO_SYNC_OF_FOLDERS
        finally:
            os.close(file)
        return True

    def rename(self, path: str, final: str) -> None:
        """Rename a file or folder."""
        os.rename(path, final)

    def unlink(self, path: str, *, at: int | None = None) -> None:
        """Delete a file or a link. The target of a link stays."""
        os.unlink(path, dir_fd=at)

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        os.mkdir(path, FOLDER_FOR_THE_OWNER)

    def make_writable(self, path: str, *, at: int | None = None) -> None:
        """Allow the owner to read and write in a folder."""
        if not LINUX:
            os.chmod(path, FOLDER_FOR_THE_OWNER, dir_fd=at, follow_symlinks=False)
            return
        # On Linux, chmod follows links. Therefore the folder is first opened with O_NOFOLLOW, which
        # never opens the target of a link.
        folder = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
        try:
            os.chmod(f"/proc/self/fd/{folder}", FOLDER_FOR_THE_OWNER)
        finally:
            os.close(folder)

    def set_changed(self, file: int, changed_ns: int) -> None:
        """Set the time of a file's last change."""
        os.utime(file, ns=(changed_ns, changed_ns))

    def remove_folder(self, path: str, *, at: int | None = None) -> None:
        """Delete an empty folder."""
        os.rmdir(path, dir_fd=at)

    def names(self, folder: str | int) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(os.listdir(folder))

    def status(self, path: str, *, at: int | None = None) -> Status:
        """Return the status of a path. If the path is a link, return the
        status of the link itself.
        """
        status = os.stat(path, dir_fd=at, follow_symlinks=False)
        return Status(status.st_mode, status.st_size, status.st_mtime_ns)

    def make_link(self, target: str, path: str) -> None:
        """Make a symbolic link from ``path`` to ``target``."""
        os.symlink(target, path)

    def read_link(self, path: str) -> str:
        """Return the target of a symbolic link."""
        return os.readlink(path)


def read_whole(path: str, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: If the path is no regular file, the file has more than ``most`` bytes, or the disk
            refuses to read it.
    """
    with OpenFile(DISK, path, os.O_RDONLY) as file:
        data = io.BufferedReader(file, BUFFER_BYTES).read(most + 1)
        if len(data) > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return data


class OpenFile(io.RawIOBase):
    """A file of a :class:`Disk` for Python's ``BufferedReader`` and ``BufferedWriter``."""

    def __init__(self, disk: Disk, path: str, flags: int, mode: int = FOR_THE_OWNER) -> None:
        super().__init__()
        self._disk = disk
        self._writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        self.descriptor = disk.open(path, flags, mode)

    def readable(self) -> bool:
        """Whether the file is open for reading."""
        return not self._writes

    def writable(self) -> bool:
        """Whether the file is open for writing."""
        return self._writes

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer. Return the number of bytes that were read."""
        data = self._disk.read(self.descriptor, min(len(buffer), READ_BYTES))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        """Write the first bytes of ``data``, and return the number of written bytes."""
        return self._disk.write(self.descriptor, data)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            self._disk.close(self.descriptor)


def read_part(disk: Disk, file: int, size: int, position: int) -> bytes:
    """Return ``size`` bytes of a file from ``position`` on. At the end of the file, return fewer
    bytes.
    """
    parts = []
    while size > 0:
        part = disk.read_at(file, size, position)
        if not part:
            break
        parts.append(part)
        position += len(part)
        size -= len(part)
    return b"".join(parts)


def write_all(disk: Disk, file: int, data: bytes) -> None:
    """Write all of ``data``."""
    left = memoryview(data)
    while left:
        left = left[disk.write(file, left) :]


def write_new(
    disk: Disk,
    path: str,
    data: bytes,
    *,
    mark: str = "new",
    mode: int = FOR_THE_OWNER,
    is_synced: bool = True,
) -> None:
    """Write ``data`` to a file, completely or not at all. An existing file is replaced.

    Args:
        mark: The end of the temporary name. Processes that write the same file at the same time
            need different marks.
        mode: The permissions before the umask is applied.
        is_synced: Whether the new file survives a power loss.
    """
    temporary = f"{path}.{mark}"
    with suppress(FileNotFoundError):
        disk.unlink(temporary)  # a file that a killed process left, or a link
    with OpenFile(disk, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) as file:
        write_all(disk, file.descriptor, data)
        if is_synced:
            disk.sync(file.descriptor)
    disk.rename(temporary, path)
    if is_synced:
        disk.sync_folder(os.path.dirname(path) or ".")


def append_to(path: Path) -> BinaryIO:
    """Open a file of a study for appending, for example a worker's output."""
    return os.fdopen(DISK.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")


def folder_of_a_study(path: Path) -> Path:
    """Make a folder of a study, unless it exists, and return its path."""
    path.mkdir(FOLDER_FOR_THE_OWNER, exist_ok=True)
    return path


def reason_of(error: OSError | ValueError) -> str:
    """Return in words why a file operation failed."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.ELOOP:  # the system's own text is about too many links
        return "a symbolic link, which is not followed"
    return str(error.strerror)


DISK = Disk()
"""The disk of this machine."""
