"""Stores the checkpoints of a study at an address that fsspec knows, such as ``s3://bucket/studies``.

The file ``checkpoints.url`` in a study's directory has the address of the study's own folder in the store. All
processes that see this file use the store. A checkpoint is one object in the store, a tar file. A worker first writes a
checkpoint to its disk, and then copies the checkpoint to the store. Before a job, the worker copies the earlier
checkpoint to its disk. If an object is incomplete, its trial begins again.

Each error of a store is raised as an OSError, so that a store is treated like a disk.
"""

import errno
import os
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import SettingsError, StudyError, instead_of_os_error, needs_extra
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.study.disk import DISK, Disk, read_whole, write_new
from ashtune._src.study.folders import delete, rename

URL_FILE = "checkpoints.url"
MOST_URL_BYTES = 4096
INSIDE = "checkpoint"
"""The name of the checkpoint in its tar file."""
SUFFIX = ".tar"
FIRST = "begun"
"""An object that shows at the start of a study that the store can be written."""


def is_remote(checkpoints: str) -> bool:
    """Return whether a value of the option ``checkpoints`` is the address of a store."""
    return "://" in checkpoints


def check_address(name: str, address: str) -> None:
    """Check that fsspec can use an address.

    Raises:
        ExtraMissing: If fsspec is not installed.
        SettingsError: If fsspec does not know the kind of address, or lacks a library for it.
    """
    with needs_extra("remote", "fsspec"):
        import fsspec
    try:
        fsspec.get_filesystem_class(address.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{name}={shown(address)}: {error}") from None


class RemoteFolder:
    """The folder of a study in a store."""

    def __init__(self, address: str) -> None:
        self.address = address

    @classmethod
    def of(cls, study: Path) -> "RemoteFolder | None":
        """Return the folder that the file ``checkpoints.url`` names, or None if there is no such file."""
        with instead_of_os_error(StudyError, study / URL_FILE, "make it readable"), suppress(FileNotFoundError):
            return cls(read_whole(str(study / URL_FILE), MOST_URL_BYTES).decode("utf-8", "replace").strip())
        return None

    @classmethod
    def begin(cls, study: Path, address: str, disk: Disk) -> None:
        """Let a study store its later checkpoints in a new folder at an address, unless the study has a folder there.

        Raises:
            StudyError: If the study's checkpoints are elsewhere, or the store refuses a new object.
        """
        address = address.rstrip("/")
        there = cls.of(study)
        if there is not None and there.address.rpartition("/")[0] != address:
            raise StudyError(
                f"the checkpoints of {study} are at {there.address}; leave checkpoints={shown(address)} out"
            )
        if there is not None:
            return
        folder = cls(f"{address}/ashtune-{study.name[:40]}-{os.urandom(6).hex()}")
        option = f"checkpoints={shown(address)}"
        with instead_of_os_error(StudyError, option, "give a folder that exists"), folder._errors():
            folder._files.mkdir(folder._root, create_parents=False)
            folder._files.pipe_file(f"{folder._root}/{FIRST}", b"")
        write_new(disk, str(study / URL_FILE), folder.address.encode())

    def push(self, path: str, name: str) -> None:
        """Copy a checkpoint, which is a file or a folder, to the store. O(bytes)."""
        with (
            self._errors(),
            self._files.open(f"{self._root}/{name}{SUFFIX}", "wb") as file,
            tarfile.open(fileobj=file, mode="w|") as tar,
        ):
            tar.add(path, INSIDE)

    def pull(self, name: str, path: str, temporary: str) -> None:
        """Copy a checkpoint from the store to ``path``, with the help of a temporary folder. O(bytes)."""
        delete(DISK, temporary)
        DISK.make_folder(temporary)
        with (
            self._errors(),
            self._files.open(f"{self._root}/{name}{SUFFIX}", "rb") as file,
            tarfile.open(fileobj=file, mode="r|") as tar,
        ):
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 has no filter
            tar.extractall(temporary)
        rename(DISK, f"{temporary}/{INSIDE}", path)
        delete(DISK, temporary)

    def names(self) -> list[str]:
        """Return the names of all checkpoints in the store."""
        paths: list[str] = []
        with suppress(FileNotFoundError), self._errors():  # a store without folders may find no object
            self._files.invalidate_cache()
            paths = self._files.ls(self._root, detail=False)
        return [path.rpartition("/")[2].removesuffix(SUFFIX) for path in paths if path.endswith(SUFFIX)]

    def delete(self, names: Iterable[str]) -> None:
        """Delete checkpoints, in a thread: the driver does not wait for the store. Errors are ignored."""
        for name in names:
            self._thread.submit(self._delete, name)

    def _delete(self, name: str) -> None:
        with suppress(OSError), self._errors():
            self._files.rm_file(f"{self._root}/{name}{SUFFIX}")

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "ashtune-remote")  # Python ends after the last deletion

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.address)
        return files, root.rstrip("/")

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise an error of the store's library as an OSError with a reason."""
        try:
            yield
        except Exception as error:  # each library has errors of its own
            is_missing = isinstance(error, FileNotFoundError)
            number, reason = (errno.ENOENT, os.strerror(errno.ENOENT)) if is_missing else (errno.EIO, error_line(error))
            raise OSError(number, reason, self.address) from error
