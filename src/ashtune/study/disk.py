"""The disk: the calls of the operating system by which a study is kept.

Journal, checkpoints and lock reach their files through here only, so that the tests can put a disk in its place
that is full, tears writes, or loses what was not synced.

Rule 1: no call follows a symbolic link in the last part of a path; the folder ``checkpoints`` may be one.
Rule 2: files and folders are made for their owner alone: what they hold is executed by ``resume``.
"""

import os
import stat
from contextlib import suppress

FOR_THE_OWNER = 0o600
FOLDER_FOR_THE_OWNER = 0o700


class Disk:
    """The disk of this machine. Paths are strings; every method raises OSError when the disk refuses."""

    def open(self, path: str, flags: int, mode: int = FOR_THE_OWNER) -> int:
        """Open a file and return its descriptor."""
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)

    def close(self, file: int) -> None:
        """Close a file."""
        os.close(file)

    def read(self, file: int, size: int) -> bytes:
        """Read at most ``size`` bytes; nothing at the end of the file."""
        return os.read(file, size)

    def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
        """Write a part of ``data``; return how many bytes."""
        return os.write(file, data)

    def seek(self, file: int, position: int) -> None:
        """Have the next read begin at a byte."""
        os.lseek(file, position, os.SEEK_SET)

    def is_file(self, file: int) -> bool:
        """Say whether it is a file and no folder, pipe or device; open it with ``O_NONBLOCK`` to ask."""
        return stat.S_ISREG(os.fstat(file).st_mode)

    def size(self, file: int) -> int:
        """Return the size of a file in bytes."""
        return os.fstat(file).st_size

    def truncate(self, file: int, size: int) -> None:
        """Cut a file to ``size`` bytes."""
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        """Have what was written survive a power loss."""
        os.fsync(file)

    def sync_folder(self, path: str) -> None:
        """Have the names in a folder survive a power loss. Where folders cannot be synced nothing happens."""
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                os.fsync(file)
        finally:
            os.close(file)

    def rename(self, path: str, final: str) -> None:
        """Give a file or folder another name."""
        os.rename(path, final)

    def unlink(self, path: str) -> None:
        """Delete a file, or a link itself."""
        os.unlink(path)

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        os.mkdir(path, FOLDER_FOR_THE_OWNER)

    def remove_folder(self, path: str) -> None:
        """Delete an empty folder."""
        os.rmdir(path)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(os.listdir(folder))


DISK = Disk()
"""The disk of this machine."""
