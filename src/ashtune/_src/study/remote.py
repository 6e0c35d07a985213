"""Stores the checkpoints of a study at an address that fsspec knows, such as
``s3://bucket/studies``.

The file ``checkpoints.url`` in a study's directory has the address of the study's own folder in the
store. All processes that find this file use the store. A checkpoint is one object in the store, a
tar file. A worker first writes a checkpoint to its disk, and then copies the checkpoint to the
store. Before a job, the worker copies the earlier checkpoint to its disk. If an object is
incomplete, its trial begins again.

Each error of a store is raised as an OSError, so that a store is treated like a disk.
"""

# Decision 79 (docs/decisions/0079-checkpoints-in-a-store.md). Why a worker makes a copy on its
# disk: object stores have no rename, and users' libraries need real paths. Why a checkpoint is one
# tar file: one request deletes it, and an interrupted copy of a folder would mix the files of two
# checkpoints. The last member of the tar file shows that the file is complete, because some
# libraries leave an incomplete object after an interrupted upload. Why the folder has a token:
# otherwise two copies of a study would restore each other's checkpoints.

import copy
import errno
import io
import os
import queue
import re
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from ashtune._src.core.errors import SettingsError, StudyError, instead_of_os_error, needs_extra
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import REASON, error_line, one_line, say, shown, without_userinfo
from ashtune._src.study.disk import DISK, read_whole, write_new
from ashtune._src.study.folders import delete, rename

URL_FILE = "checkpoints.url"
MOST_URL_BYTES = 4096
INSIDE = "checkpoint"
END = "complete"
"""The names in a tar file: ``INSIDE`` is the checkpoint, and ``END`` is an empty file at the end.
"""
SUFFIX = ".tar"
OWNER = "owner"
"""An object with the token of the last session. A copy of the study's directory does not know this
token.
"""
LEAST_TOKEN = 16
"""A user name in an address is a secret token only if it has at least this many characters."""
MOST_AT_ONCE = 500
WAIT_SECONDS = 10.0
"""If a store has not answered for this time, a line on the terminal says so."""
STEP_SECONDS = 0.05
LAST_SECONDS = 0.5
"""While the study is being stopped, a store must answer within this time."""
_Result = TypeVar("_Result")


class Patience(msgspec.Struct):
    """Defines what a process does while it waits for a store.

    ``is_stopped`` is a function that returns whether the study is being stopped. ``tell`` is called
    with one line if the store does not answer.
    """

    is_stopped: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = say
    last_seconds: float = LAST_SECONDS


PATIENT = Patience()


class StoreCall:
    """A call to a store, in its own thread, so that the calling thread can handle signals and
    messages.
    """

    def __init__(self) -> None:
        self.is_given_up = False
        self._answered = time.monotonic()

    def note_answer(self) -> None:
        """Record that the store has answered a part of the call.

        Raises:
            InterruptedError: If nobody waits for the call any more.
        """
        if self.is_given_up:
            raise InterruptedError(errno.EINTR, "the study was stopped")
        self._answered = time.monotonic()

    def wait(self, call: Callable[[], _Result], address: str, patience: Patience) -> _Result:
        """Return the result of ``call``, or raise its exception.

        Raises:
            InterruptedError: If the study is stopped and the store does not answer.
        """
        results: list[_Result] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
                errors.append(error)

        thread = threading.Thread(target=run, name="ashtune-store", daemon=True)
        thread.start()
        has_told = False
        stopped: float | None = None
        while thread.is_alive():
            thread.join(STEP_SECONDS)
            now = time.monotonic()
            if stopped is None and patience.is_stopped():
                stopped = now
            if (
                stopped is not None
                and now - max(stopped, self._answered) > patience.last_seconds
                and thread.is_alive()
            ):
                self.is_given_up = True
                patience.last_seconds = 0.0  # the other trials of this worker must not wait again
                raise InterruptedError(
                    errno.EINTR, "the store did not answer before the study was stopped", address
                )
            if not has_told and now - self._answered > WAIT_SECONDS:
                has_told = True
                patience.tell(f"{address} has not answered for {WAIT_SECONDS:g} s; still waiting")
        if errors:
            raise errors[0]
        return results[0]


class Answered:
    """A file in a store. Each piece that was read or written counts as an answer of the store."""

    def __init__(self, file: Any, call: StoreCall) -> None:
        self._file = file
        self._call = call

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes."""
        data: bytes = self._file.read(size)
        self._call.note_answer()
        return data

    def write(self, data: bytes) -> int:
        """Write all of ``data``; return the number of written bytes."""
        self._file.write(data)
        self._call.note_answer()
        return len(data)


@contextmanager
def refused_by_store(address: str) -> Iterator[None]:
    """Replace an OSError by a StudyError.

    Only if another attempt cannot succeed, the message advises to train all trials again.
    """
    try:
        yield
    except OSError as error:
        advice = f"remove {URL_FILE} to train all trials again"
        if error.errno == errno.ENOENT:
            advice = f"restore it, or {advice}"
        # EINVAL and EBUSY come from this module itself. Errors of a store are ENOENT or EIO,
        # because of _errors().
        elif error.errno not in (errno.EINVAL, errno.EBUSY):
            advice = "try again when the store is available; the checkpoints are unchanged"
        raise StudyError(f"{address}: {error.strerror}; {advice}") from None


def is_remote(checkpoints: str) -> bool:
    """Return whether a value of the option ``checkpoints`` is the address of a store."""
    return "://" in checkpoints


def check_address(name: str, address: str) -> None:
    """Check that fsspec can use an address.

    Raises:
        ExtraMissing: If fsspec is not installed.
        SettingsError: If fsspec does not know the kind of address, or if the address means
            different places in different processes.
    """
    with needs_extra("remote", "fsspec"):
        import fsspec
    kind, _, place = address.partition("://")
    reason = ""
    try:
        fsspec.get_filesystem_class(kind)
    except (ImportError, ValueError) as error:
        reason = str(error)
    if kind == "memory":
        reason = "each worker has its own memory; give a store that all workers share"
    elif not place.strip("/") or (kind in ("file", "local") and not place.startswith("/")):
        reason = "give the absolute path of a folder"
    if reason:
        raise SettingsError(f"{name}={shown(address)}: {reason}")


class RemoteFolder:
    """The folder of a study in a store. ``tokens`` has the tokens that the object ``owner`` may
    contain at the start of the next session.
    """

    def __init__(
        self, address: str, tokens: Sequence[str] = (), patience: Patience = PATIENT
    ) -> None:
        self.address = address
        self._tokens = tokens
        self._patience = patience

    @classmethod
    def of(cls, study: Path, patience: Patience = PATIENT) -> "RemoteFolder | None":
        """Return the folder that the file ``checkpoints.url`` names, or None if the file was not
        found.

        Raises:
            StudyError: If the file cannot be read, or has no address.
        """
        path = study / URL_FILE
        with (
            instead_of_os_error(StudyError, path, "write an address into it, or remove it"),
            suppress(FileNotFoundError),
        ):
            address, *tokens = read_whole(str(path), MOST_URL_BYTES).decode(
                "utf-8", "replace"
            ).splitlines() or [""]
            if not is_remote(address):
                raise OSError(
                    errno.EINVAL, "the file does not contain the address of a store", str(path)
                )
            return cls(address, tokens, patience)
        return None

    @classmethod
    def begin(cls, study: Path, address: str, patience: Patience = PATIENT) -> None:
        """At the start of a session, write to the store a note which says that this study uses its
        folder. Make a new folder if necessary.

        ``address`` is the address that the user gives, or an empty text.

        Raises:
            StudyError: If the study's folder is at another address, another copy of the study has
                used the folder, or the store refuses an object.
        """
        folder = cls.of(study, patience)
        if folder is None and not address:
            return
        if folder is None:
            # other characters have a special meaning in fsspec
            name = re.sub(r"[^\w.-]", "_", study.name[:40], flags=re.ASCII)
            folder = cls(
                f"{address.rstrip('/')}/ashtune-{name}-{os.urandom(6).hex()}", patience=patience
            )
            with instead_of_os_error(
                StudyError, f"checkpoints={shown(address)}", "give a folder that exists"
            ):
                folder._claim(study, is_new=True)
        else:
            with refused_by_store(folder.address):
                if address:
                    folder = folder._moved_to(address.rstrip("/"))
                folder._claim(study, is_new=False)

    def _moved_to(self, address: str) -> "RemoteFolder":
        """Return this folder at another address. The addresses may differ only in the user and the
        password.
        """
        above, _, name = self.address.rpartition("/")
        if without_userinfo(above) != without_userinfo(address):
            raise OSError(errno.EINVAL, "the study's checkpoints are at this address")
        return RemoteFolder(f"{address}/{name}", self._tokens, self._patience)

    def _claim(self, study: Path, *, is_new: bool) -> None:
        token = os.urandom(8).hex()
        earlier = self._wait(lambda: self._earlier_owner(is_new=is_new))
        # This code is outside of _errors(), which would replace EBUSY by EIO.
        if not is_new and earlier not in self._tokens:
            raise OSError(errno.EBUSY, "another copy of the study has used this folder")
        write_new(DISK, str(study / URL_FILE), "\n".join([self.address, token, earlier]).encode())
        self._wait(lambda: self._files.pipe_file(f"{self._root}/{OWNER}", token.encode()))

    def _earlier_owner(self, *, is_new: bool) -> str:
        path = f"{self._root}/{OWNER}"
        if is_new:
            self._files.mkdir(self._root, create_parents=False)
            self._files.pipe_file(path, b"new")
        return str(self._files.cat_file(path).decode("utf-8", "replace"))

    def _wait(self, function: Callable[[], _Result], call: StoreCall | None = None) -> _Result:
        """Return the result of calls to the store; see :class:`StoreCall`.

        Raises:
            OSError: If the store refuses a call, or does not answer before the study is stopped.
        """

        def checked() -> _Result:
            with self._errors():
                return function()

        return (call or StoreCall()).wait(checked, without_userinfo(self.address), self._patience)

    def push(self, path: str, name: str) -> None:
        """Copy a checkpoint, which is a file or a folder, to the store. O(bytes)."""
        call = StoreCall()
        self._wait(lambda: self._push(path, name, call), call)

    def _push(self, path: str, name: str, call: StoreCall) -> None:
        there = f"{self._root}/{name}{SUFFIX}"
        try:
            with (
                self._files.open(there, "wb") as file,
                tarfile.open(fileobj=Answered(file, call), mode="w|") as tar,  # type: ignore[call-overload]
            ):
                tar.add(path, INSIDE, filter=_if_stored)
                tar.addfile(tarfile.TarInfo(END), io.BytesIO())
        except Exception:
            with suppress(Exception):
                self._files.rm_file(there)  # an interrupted upload may leave an incomplete object
            raise

    def pull(self, name: str, path: str) -> None:
        """Copy a checkpoint from the store to ``path``. O(bytes)."""
        temporary = f"{path}.d"
        delete(DISK, temporary)
        delete(DISK, path)
        DISK.make_folder(temporary)
        try:
            call = StoreCall()
            self._wait(lambda: self._pull(name, temporary, call), call)
            if END not in DISK.names(temporary):
                raise OSError(errno.EIO, "the checkpoint is not complete", name)
            rename(DISK, f"{temporary}/{INSIDE}", path)
        finally:
            delete(DISK, temporary)

    def _pull(self, name: str, temporary: str, call: StoreCall) -> None:
        with (
            self._files.open(f"{self._root}/{name}{SUFFIX}", "rb") as file,
            tarfile.open(fileobj=Answered(file, call), mode="r|") as tar,  # type: ignore[call-overload]
        ):
            tar.extraction_filter = _as_written
            tar.extractall(temporary)

    def names(self) -> list[str]:
        """Return the names of all checkpoints in the store."""

        def listed() -> list[str]:
            self._files.invalidate_cache()
            return list(self._files.ls(self._root, detail=False))

        paths = self._wait(listed)
        return [
            path.rpartition("/")[2].removesuffix(SUFFIX) for path in paths if path.endswith(SUFFIX)
        ]

    def delete(self, names: Iterable[str]) -> None:
        """Delete checkpoints in another thread, since the driver must not wait for a store. Errors
        are ignored.
        """
        for name in names:
            DELETIONS.add(self, f"{name}{SUFFIX}")

    def rm(self, names: Sequence[str]) -> None:
        """Delete objects now, and ignore errors."""
        with suppress(Exception):
            paths = [f"{self._root}/{name}" for name in names]
            try:
                self._files.rm(paths)  # one request in most stores
            except Exception:  # noqa: BLE001 - one object is missing, or the store refuses
                for path in paths:
                    with suppress(Exception):
                        self._files.rm_file(path)

    def wait_for_deletions(self) -> None:
        """Wait until the objects are deleted. If the wait is too long, print which objects are
        left, and continue.
        """
        before = DELETIONS.left
        left = DELETIONS.wait(self._patience.is_stopped)
        if left:
            names = plural(left, "checkpoint")
            self._patience.tell(
                f"{without_userinfo(self.address)} does not answer: {names} of {before:,} could "
                "not be deleted; the study's next session deletes them"
            )

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.address)
        return files, root.rstrip("/")

    @property
    def _secrets(self) -> list[str]:
        """The secrets in the address: the user with the password, and the password alone. Each
        secret is given in two forms: as it is written in the address, and decoded as a library
        decodes it.

        A user without a password is a secret only if the name is long enough for a token.
        """
        hidden = len(self.address) - len(without_userinfo(self.address))
        userinfo = self.address.partition("://")[2][:hidden].removesuffix("@")
        password = userinfo.partition(":")[2]
        if not password and len(userinfo) < LEAST_TOKEN:
            return []
        secrets = [userinfo, password]
        return [secret for secret in (*secrets, *map(unquote, secrets)) if secret]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert an error of the store's library to an OSError that has the reason but no
        password.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each library has other errors
            if isinstance(error, FileNotFoundError):
                number = errno.ENOENT
                reason = os.strerror(number)
            else:
                number = errno.EIO
                reason = getattr(error, "strerror", "") or error_line(error, sys.maxsize)
            for secret in self._secrets:
                reason = reason.replace(secret, "***")
            # A traceback must not show the library's own text, because it may contain the password.
            raise OSError(
                number, one_line(reason, REASON), without_userinfo(self.address)
            ) from None


def _if_stored(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out pipes, sockets and devices, as all copies of checkpoints do."""
    if member.isreg() or member.isdir() or member.issym() or member.islnk():
        return member
    return None


def _as_written(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Refuse a name outside of ``path``. The target of a symbolic link stays as it is, because no
    reader follows the link.
    """
    # Python 3.11.3 has no filter
    check = getattr(tarfile, "data_filter", lambda member, path: member)
    if not member.issym():
        return check(member, path)  # type: ignore[no-any-return]
    as_file = copy.copy(member)
    as_file.type = tarfile.REGTYPE
    name = check(as_file, path).name
    return member.replace(name=name, uid=None, gid=None, uname=None, gname=None, deep=False)  # type: ignore[arg-type]


class Deletions:
    """Deletes objects in a thread. If objects are left at the end of the process, the study's next
    session deletes them.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[RemoteFolder, str]] = queue.Queue()
        self._thread: threading.Thread | None = None

    @property
    def left(self) -> int:
        """The number of objects that are not deleted yet."""
        return self._queue.unfinished_tasks

    def add(self, folder: RemoteFolder, name: str) -> None:
        """Queue the deletion of an object."""
        self._queue.put((folder, name))
        # a forked process does not have the thread
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="ashtune-deletions", daemon=True)
            self._thread.start()

    def wait(self, is_stopped: Callable[[], bool] = PATIENT.is_stopped) -> int:
        """Wait until all objects are deleted, or the wait is too long. Return the number of objects
        that are left.
        """
        until = time.monotonic() + WAIT_SECONDS
        while self.left and time.monotonic() < until:
            if is_stopped():
                until = min(until, time.monotonic() + LAST_SECONDS)
                is_stopped = PATIENT.is_stopped
            time.sleep(STEP_SECONDS)
        return self.left

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < MOST_AT_ONCE:
                    batch.append(self._queue.get_nowait())
            for folder in {id(folder): folder for folder, _ in batch}.values():
                folder.rm([name for of_folder, name in batch if of_folder is folder])
            for _ in batch:
                self._queue.task_done()


DELETIONS = Deletions()
