"""Commands to a study's driver. Commands to the driver, which are files that another process of the
same user on the same machine writes.

The folder ``control`` in the study's directory contains one file per command, and the driver's
answers. The driver writes an event to the journal for each command that has an effect.

Rule 1: a driver reads the folder ``control`` only if the user started the driver with ``control``.
At its start, the driver empties this folder, so that commands in a copied study are never executed.
Rule 2: the folder ``control`` is no link, and only the driver's user can access this folder. The
driver opens this folder once. If another folder later replaces the folder ``control``, the driver
ignores the new folder.
Rule 3: the file of a command is first written under another name, and renamed when the file is
complete. The driver deletes the file before it executes the command. A sender withdraws a command
by deleting its file. So a command is executed only if the driver deletes the file before the sender
does.
"""

# Decision 42 (docs/decisions/0042-control-from-the-page.md): a folder needs no thread, port or
# protocol, and belongs to the study's owner. Only the driver writes the journal, so replay, audit
# and resume need only the journal.

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from ashtune._src.core.errors import StudyError, instead_of_os_error
from ashtune._src.study.disk import DISK, write_all

NAME = "control"
MOST_BYTES = 1 << 16
"""Maximum size of one command."""
ANSWER_SECONDS = 5.0
"""The time after which a sender withdraws a command without an answer."""
_LOOK_SECONDS = 0.02
_COMMAND = ".command"
_ANSWER = ".answer"
_UNFINISHED = ".unfinished"
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_ENDED = (
    "the session ended before it read the command; resume the study with --control, and send the "
    "command again"
)
_EARLIER = "the command was sent before the session accepted commands; send it again"
_FILE = re.compile(r"(\d{20}-[0-9a-f]{16})\.command", re.ASCII)


class _Command(msgspec.Struct, frozen=True, tag_field="command", forbid_unknown_fields=True):
    pass


class PauseStudy(_Command, frozen=True, tag="pause"):
    """A command to interrupt the running jobs, and to begin no new job."""


class ContinueStudy(_Command, frozen=True, tag="continue"):
    """A command to continue the study after a pause."""


class StopStudy(_Command, frozen=True, tag="stop"):
    """A command to stop the study in an orderly way, so that the study can be resumed later."""


class AddTrials(_Command, frozen=True, tag="extend"):
    """A command to add ``trials`` trials to the study."""

    trials: int


class ChangeWorkers(_Command, frozen=True, tag="workers"):
    """A command to change the number of workers to ``workers``."""

    workers: int


class EnqueueConfiguration(_Command, frozen=True, tag="enqueue"):
    """A command to train the configuration ``configuration`` in the next new trial."""

    configuration: dict[str, Any]


Command = PauseStudy | ContinueStudy | StopStudy | AddTrials | ChangeWorkers | EnqueueConfiguration
NAMES = ("pause", "continue", "stop", "extend", "workers", "enqueue")
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class _Answer(msgspec.Struct, frozen=True):
    error: str = ""


def read_command(data: bytes) -> Command:
    """Decode a command from JSON."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise StudyError(
            f"this is not a command ({error}); send one of {', '.join(NAMES)} as JSON"
        ) from None


class CommandFolder:
    """The driver's access to the folder of commands. The constructor makes this folder, or empties
    an existing folder.

    Raises:
        StudyError: If the folder cannot be made, is not a folder, or is accessible to other users.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / NAME
        advice = (
            "this folder is needed for commands; make it readable and writable, or leave control "
            "out"
        )
        with instead_of_os_error(StudyError, path, advice), suppress(FileExistsError):
            DISK.make_folder(str(path))
        self._path = path
        self._folder = _open_folder(path)
        for file in DISK.names(self._folder):
            # the command was withdrawn, or this is a folder, which is harmless
            with suppress(OSError):
                DISK.unlink(file, at=self._folder)
                found = _FILE.fullmatch(file)
                if found is not None:
                    self.answer(found[1], _EARLIER)

    def take(self) -> Iterator[tuple[str, Command | StudyError]]:
        """Yield each new command with its name, the oldest first. If a command is unreadable, yield
        an error.
        """
        names: list[str] = []
        with suppress(OSError):  # the file system does not respond at the moment
            names = DISK.names(self._folder)
        for found in filter(None, map(_FILE.fullmatch, names)):
            command = self._read_and_delete(found[0])
            if command is not None:
                yield found[1], command

    def answer(self, name: str, error: str = "") -> None:
        """Answer a command. If the command was refused, ``error`` says why; if not, ``error`` is
        empty.
        """
        with suppress(OSError):  # the sender gets no answer; the study continues
            _write(self._folder, name + _ANSWER, msgspec.json.encode(_Answer(error)))

    def close(self) -> None:
        """Refuse the waiting commands, and accept no more commands. Answers to commands stay in the
        folder.
        """
        # The loop runs until no command is left, because a sender may add a command while the
        # others are answered.
        while taken := list(self.take()):
            for name, _ in taken:
                self.answer(name, _ENDED)
        names: list[str] = []
        with suppress(OSError):
            names = DISK.names(self._folder)
        for file in names:
            if not (file.endswith(_ANSWER) or _FILE.fullmatch(file)):
                with suppress(OSError):  # a folder is harmless
                    DISK.unlink(file, at=self._folder)
        DISK.close(self._folder)
        with suppress(OSError):  # this fails if an answer or a command is left
            DISK.remove_folder(str(self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_and_delete(self, file: str) -> Command | StudyError | None:
        """Return the command in a file, or an error if it is unreadable. Return None if the sender
        deleted the file.
        """
        try:
            command: Command | StudyError = read_command(_read(self._folder, file))
        except StudyError as error:
            command = error
        except OSError as error:
            command = StudyError(f"the command cannot be read ({error.strerror}); send it again")
        try:
            DISK.unlink(file, at=self._folder)
        except OSError:
            return None  # the command was withdrawn, or a folder has this name
        return command


def send(directory: Path, command: Command, *, seconds: float = ANSWER_SECONDS) -> None:
    """Send a command to the driver of a study, and wait for its answer.

    Args:
        seconds: The time after which the command is withdrawn. If the driver has already read the
            command then, the function waits for the answer for this time again.

    Raises:
        StudyError: If the driver refuses the command, or does not answer.
    """
    folder = _open_folder(directory / NAME)
    name = f"{time.time_ns():020d}-{os.urandom(8).hex()}"
    try:
        with instead_of_os_error(StudyError, directory / NAME, "the command could not be sent"):
            _write(folder, name + _UNFINISHED, msgspec.json.encode(command))
            os.rename(name + _UNFINISHED, name + _COMMAND, src_dir_fd=folder, dst_dir_fd=folder)
        answer = _wait_for(folder, name, seconds)
        if answer is None:
            with suppress(FileNotFoundError):
                DISK.unlink(name + _COMMAND, at=folder)
                raise StudyError(
                    f"the driver did not read the command within {seconds:g} s, so it was "
                    f"withdrawn; send it again"
                )
            answer = _wait_for(folder, name, seconds)
        if answer is None:
            raise StudyError(
                "the driver has read the command, but has not answered; the page shows whether "
                "the command was executed"
            )
        if answer.error:
            raise StudyError(answer.error)
    finally:
        with suppress(OSError):
            DISK.unlink(name + _ANSWER, at=folder)
        DISK.close(folder)


def _wait_for(folder: int, name: str, seconds: float) -> _Answer | None:
    """Wait for the answer to a command, and return the answer. Return None if no answer comes
    within ``seconds``.
    """
    until = time.monotonic() + seconds
    while True:
        with suppress(OSError, msgspec.MsgspecError):  # no answer yet, or an incomplete one
            return msgspec.json.decode(_read(folder, name + _ANSWER), type=_Answer)
        if time.monotonic() >= until:
            return None
        time.sleep(_LOOK_SECONDS)


def _open_folder(path: Path) -> int:
    """Open the folder of commands. Raise StudyError if other users can access this folder."""
    try:
        folder = DISK.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise StudyError(
            f"{path} was not found, so no driver accepts commands; run or resume with --control"
        ) from None
    except OSError as error:
        why = str(error.strerror)
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            why = f"{why}: this path is a file or a symbolic link, but must be a folder; remove it"
        raise StudyError(f"{path}: {why}") from None
    status = os.fstat(folder)
    if status.st_uid != os.geteuid() or status.st_mode & _FOR_OTHERS:
        DISK.close(folder)
        whose = f"owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):o}"
        raise StudyError(f"{path}: other users can read or write this folder ({whose}); remove it")
    return folder


def _read(folder: int, name: str) -> bytes:
    """Return the content of a file, or the beginning of the content if the file is too large."""
    file = DISK.open(name, os.O_RDONLY, at=folder)
    try:
        return DISK.read(file, MOST_BYTES + 1)
    finally:
        DISK.close(file)


def _write(folder: int, name: str, data: bytes) -> None:
    file = DISK.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, at=folder)
    try:
        write_all(DISK, file, data)
    finally:
        DISK.close(file)
