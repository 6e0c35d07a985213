"""The journal: one append-only file of JSON lines, one writer, readable with ``less`` and ``jq``.

The first line says what the study is (:class:`Settings`); every other line is an event.

Rule 1: an event is written before it is acted on, so a killed driver loses nothing.
Rule 2: a torn last line, which only a kill in the middle of a write leaves, is dropped; a line
that cannot be read anywhere else is an error that names it.
Rule 3: reading executes nothing: the lines are data, decoded into the known types.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ashtune.errors import JournalError
from ashtune.events import Event
from ashtune.jobs import Goal

NAME = "journal.jsonl"
FORMAT = 1
SYNC_SECONDS = 1.0
MOST_SHOWN = 60


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a study is: the first line of its journal, never changed after.

    ``rungs`` and ``kept`` are the ladder's record, ``space`` the search space's, ``search`` the
    kind of search with its options, ``enqueued`` the configurations that come first. ``simulated``: nothing was
    trained, and there is nothing to resume.
    """

    format: int = FORMAT
    ashtune: str
    created: float
    name: str
    goal: Goal
    scheduler: str
    rungs: tuple[int, ...]
    kept: tuple[tuple[int, int], ...]
    space: dict[str, Any]
    search: dict[str, Any]
    enqueued: list[dict[str, Any]] = []
    seed: int
    checkpoint_limit: int | None = None
    simulated: bool = False


_events = msgspec.json.Decoder(Event)
_settings = msgspec.json.Decoder(Settings)


def read_settings(path: Path) -> Settings:
    """Return the first line of a journal.

    Raises:
        JournalError: If there is no journal, or its first line is not one.
    """
    try:
        with path.open("rb") as file:
            line = file.readline()
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; give the directory of a study") from None
    try:
        settings = _settings.decode(line)
    except msgspec.MsgspecError as error:
        raise JournalError(f"{path} line 1: not the first line of a study's journal ({error})") from None
    if settings.format != FORMAT:
        raise JournalError(
            f"{path} line 1: format={settings.format}, this ashtune reads {FORMAT}; use ashtune {settings.ashtune}"
        )
    return settings


def differences(there: Settings, here: Settings) -> list[str]:
    """Return in words where two studies differ, names and dates aside; nothing if they are the same."""
    same = msgspec.json.decode(msgspec.json.encode(here), type=Settings)  # tuples read back as the file has them
    return [
        f"{field} = {_short(getattr(there, field))} and not {_short(getattr(same, field))}"
        for field in Settings.__struct_fields__
        if field not in ("format", "ashtune", "created", "name") and getattr(there, field) != getattr(same, field)
    ]


def _short(value: object) -> str:
    text = f"{value.metric} ({value.mode})" if isinstance(value, Goal) else repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def read_events(path: Path) -> Iterator[tuple[int, Event]]:
    """Yield (line number, event) for every event of a journal, the first at line 2.

    Raises:
        JournalError: If a line other than a torn last one cannot be read.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                continue
            if not line.endswith(b"\n"):
                return
            try:
                event = _events.decode(line)
            except msgspec.MsgspecError as error:
                raise JournalError(
                    f"{path} line {number}: {error}; the lines before it are whole: keep them "
                    f"(head -n {number - 1}) to go on from there"
                ) from None
            yield number, event


def whole_bytes(path: Path) -> int:
    """Return the length of a journal up to its last whole line, in bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        end, block = size, 1 << 16
        while end > 0:
            begin = max(0, end - block)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


class Journal:
    """The writing end. Use it as a context manager; a thread of its own syncs it once a second.

    Args:
        path: An existing journal; a torn last line is cut off.

    Raises:
        JournalError: From any method, when the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffer = bytearray()
        self._encoder = msgspec.json.Encoder()
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.ftruncate(self._file, whole_bytes(path))
        except OSError as error:
            raise self._refused(error) from None
        self._is_unsynced = False
        self._sync_error: OSError | None = None
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._keep_synced, name="ashtune-journal-sync", daemon=True)
        self._syncer.start()

    def add(self, event: Event) -> None:
        """Write an event to the buffer; :meth:`flush` hands it to the file."""
        self._encoder.encode_into(event, self._buffer, -1)
        self._buffer += b"\n"

    def flush(self) -> None:
        """Hand what was added to the operating system: it now survives the driver's death."""
        if self._sync_error is not None:
            raise self._refused(self._sync_error)
        if not self._buffer:
            return
        try:
            written = os.write(self._file, self._buffer)
            while written < len(self._buffer):
                del self._buffer[:written]
                written = os.write(self._file, self._buffer)
        except OSError as error:
            raise self._refused(error) from None
        self._buffer.clear()
        self._is_unsynced = True

    def close(self) -> None:
        """Flush, sync to the disk, and close."""
        self._closing.set()
        self._syncer.join()
        try:
            self.flush()
            os.fsync(self._file)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            os.close(self._file)

    def _keep_synced(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            if self._is_unsynced:
                self._is_unsynced = False
                try:
                    os.fsync(self._file)
                except OSError as error:
                    self._sync_error = error
                    return

    def _refused(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self._path}: {error.strerror}; what is written so far is kept: make room, then "
            f"`ashtune resume {self._path.parent}`"
        )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create(path: Path, settings: Settings) -> None:
    """Write the first line of a new journal, whole or not at all.

    Raises:
        JournalError: If the disk refuses.
    """
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(settings) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; choose a directory that can be written") from None
