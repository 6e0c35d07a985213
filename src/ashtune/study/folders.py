"""Files and folders on the disk of a study: walked, copied, synced, deleted. No link is followed.

Paths are strings, as in ``checkpoints.py``: a study of short trials has thousands of small files.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from ashtune.study.disk import PIECE_BYTES, Disk, OpenFile, Status


def walk(disk: Disk, folder: str) -> Iterator[tuple[str, Status]]:
    """Yield the path and status of all but the folders in a folder, at any depth; no link is followed."""
    for name in disk.names(folder):
        path = f"{folder}/{name}"
        status = disk.status(path)
        if status.is_folder:
            yield from walk(disk, path)
        else:
            yield path, status


def copy_folder(disk: Disk, source: str, final: str, *, leave_out: str = "") -> None:
    """Copy a folder and all that is in it. Links are copied as links; pipes, sockets and devices are left out."""
    disk.make_folder(final)
    for name in disk.names(source):
        if name == leave_out:
            continue
        path, copy = f"{source}/{name}", f"{final}/{name}"
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
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
        disk.set_changed(file.descriptor, changed_ns)


def sync_file(disk: Disk, path: str) -> None:
    """Have a file survive a power loss."""
    file = disk.open(path, os.O_RDONLY)
    try:
        disk.sync(file)
    finally:
        disk.close(file)


def sync_tree(disk: Disk, folder: str) -> None:
    """Have a folder and all that is in it survive a power loss."""
    for name in disk.names(folder):
        path = f"{folder}/{name}"
        status = disk.status(path)
        if status.is_folder:
            sync_tree(disk, path)
        elif status.is_file:
            sync_file(disk, path)
    disk.sync_folder(folder)


def delete(disk: Disk, path: str) -> None:
    """Delete a file, a link, or a folder with all that is in it; what is gone already is no matter."""
    with suppress(OSError):  # what cannot be deleted now is swept when the study is opened again
        _delete(disk, path, None)


def _delete(disk: Disk, path: str, at: int | None) -> None:
    try:
        disk.unlink(path, at=at)
    except (IsADirectoryError, PermissionError) as error:  # a folder, in the words of Linux and of macOS
        status = disk.status(path, at=at)
        if not status.is_folder:
            raise error from None
        if status.mode & 0o700 != 0o700:
            disk.make_writable(path, at=at)
        folder = disk.open(path, os.O_RDONLY | os.O_DIRECTORY, at=at)  # not if it has become a link meanwhile
        try:
            for name in disk.names(folder):
                with suppress(OSError):
                    _delete(disk, name, folder)
        finally:
            disk.close(folder)
        disk.remove_folder(path, at=at)


def rename(disk: Disk, path: str, final: str) -> None:
    """Rename a file or folder; what has the new name already, which the journal does not know of, is deleted."""
    try:
        disk.rename(path, final)
    except OSError:
        delete(disk, final)
        disk.rename(path, final)
