"""The journal: one append-only file of JSON lines, one writer, readable with ``less`` and ``jq``.

The first line says what the study is (:class:`~ashtune.study.settings.Settings`); every other line is an event.

Rule 1: an event is written before it is acted on, so a killed driver loses nothing.
Rule 2: a torn last line, which only a kill in the middle of a write leaves, is dropped; a line
that cannot be read anywhere else is an error that names it.
Rule 3: reading executes nothing: the lines are data, decoded into the known types.
Rule 4: every line ends with a check value, ``"crc":"1a2b3c4d"``: the CRC-32 of all lines so far, each without its
own check and the end of the line. A line that is altered, lost, doubled or moved breaks the chain there.
Rule 5: a line survives a power loss once :meth:`Journal.sync` has returned, about a second after it was written. All
lines that are there when a journal is opened for writing survive one from then on: it is written anew first.
"""

import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from ashtune.core.errors import JournalError, LadderError
from ashtune.core.events import Event, JobFinished, JobPaused, SessionStarted
from ashtune.core.ladder import Ladder
from ashtune.study.course import Course, names_of
from ashtune.study.disk import DISK, Disk
from ashtune.study.settings import FORMAT, MOST_SHOWN, Settings

NAME = "journal.jsonl"
SYNC_SECONDS = 1.0
POLL_SECONDS = 0.2
"""From one look at a journal that grows to the next."""
TRIES = 5
MOST_LINE_BYTES = 1 << 24
"""A line of this length takes about 300 MB of memory to read."""
BLOCK = 1 << 18
MANY_BYTES = 1 << 20
"""Read at a time where thousands of events are."""
LINE_BYTES = 1 << 12
"""Most lines are shorter."""

_CHECK = re.compile(rb',"crc":"([0-9a-f]{8})"}')
_CHECK_BYTES = 18
_ALTERED = "a line here was altered, lost, doubled or moved"
_END = re.compile(rb',"crc":"[0-9a-f]{8}"}\n')


_events = msgspec.json.Decoder(Event)
_settings = msgspec.json.Decoder(Settings)
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError, MemoryError)


class _Written(msgspec.Struct):
    """What every format's first line says."""

    format: int
    ashtune: str = "another version"


_format = msgspec.json.Decoder(_Written)


def read_settings(path: Path, disk: Disk = DISK) -> Settings:
    """Return the first line of a journal.

    Raises:
        JournalError: If there is no journal, or its first line is not one.
    """
    with _opened(path, disk) as file:
        return _settings_of(next(_lines(path, disk, file), b""), path)


def read_events(path: Path, disk: Disk = DISK, *, only: bytes | Sequence[bytes] = b"") -> Iterator[tuple[int, Event]]:
    """Yield (line number, event) for every event of a journal, the first at line 2.

    Args:
        path: The journal.
        disk: The disk that it lies on.
        only: Give no lines but those that hold these bytes, or some of several, which is many times faster than
            decoding all. Of these only sessions are asked then whether they follow.

    Raises:
        JournalError: If a line other than a torn last one cannot be read, or does not follow the line before it.
    """
    return ((number, event) for number, _, event in read_records(path, disk, only=only))


def read_records(
    path: Path, disk: Disk = DISK, *, only: bytes | Sequence[bytes] = b"", until: int | None = None
) -> Iterator[tuple[int, int, Event]]:
    """Yield (line number, position, event) for every event of a journal: its line begins at that byte of the file.

    Args:
        path: The journal.
        disk: The disk that it lies on.
        only: As for :func:`read_events`.
        until: Read no line that begins at this byte or later.

    Raises:
        JournalError: As :func:`read_events`.
    """
    sought, *others = (only,) if isinstance(only, bytes) else only
    with _opened(path, disk) as file:
        lines = _lines(path, disk, file)
        line = next(lines, b"")
        settings = _settings_of(line, path)
        course = Course(Ladder.from_record((settings.rungs, settings.kept)), names_of(settings.space))
        check, after = crc32(line[:-_CHECK_BYTES]), len(line) + 1
        for number, line in enumerate(lines, start=2):
            position, after = after, after + len(line) + 1
            if until is not None and position >= until:
                return
            check = _followed(line, check, path, number)
            if sought not in line and not (others and any(each in line for each in others)):
                continue
            try:
                event = _events.decode(line)
                if not only or type(event) is SessionStarted:
                    course.take(event)
            except (*_UNDECODABLE, JournalError, LadderError) as error:
                raise _unreadable(path, number, _shown(error)) from None
            yield number, position, event


class Lines(NamedTuple):
    """Events of lines one after another, the bytes at which these begin, and the one at which they end."""

    events: list[Event]
    begins: list[int]
    end: int


def read_many(path: Path, disk: Disk = DISK) -> Iterator[Lines]:
    """Yield the events of a journal, thousands at a time, several times as fast as one after another.

    It ends where that does not go on: at the end, at a torn last line, and before lines of which one cannot be read:
    a :class:`Follower` from there on says what is wrong. That no line was altered is known of all of them together, but
    for their check values themselves; whether events follow from those before is not checked.

    Raises:
        JournalError: If there is no journal.
    """
    with _opened(path, disk) as file:
        first = next(_lines(path, disk, file), b"")
        _settings_of(first, path)
        check, begin = crc32(first[:-_CHECK_BYTES]), len(first) + 1
        while True:
            try:
                block = disk.read_at(file, MANY_BYTES, begin)
            except OSError:
                return
            lines = block[: block.rfind(b"\n") + 1]
            bodies, count = _END.subn(b"", lines)
            check = crc32(bodies, check)
            ends = [place.end() for place in re.finditer(b"\n", lines)]
            if not lines or count != len(ends) or lines[-_CHECK_BYTES - 1 :] != b',"crc":"%08x"}\n' % check:
                return
            try:
                events: list[Event] = _events.decode_lines(lines)
            except _UNDECODABLE:
                return
            yield Lines(events, [begin, *(begin + end for end in ends[:-1])], begin + len(lines))
            begin += len(lines)


def events_at(path: Path, positions: Sequence[int], disk: Disk = DISK) -> list[Event]:
    """Return the events whose lines begin at some bytes of a journal, in the order given. O(their lines).

    The lines are taken for read before: their check values are not compared.

    Raises:
        JournalError: If there is no journal, or no event begins at one of these bytes.
    """
    with _opened(path, disk) as file:
        return [_event_at(path, disk, file, position) for position in positions]


def _event_at(path: Path, disk: Disk, file: int, position: int) -> Event:
    line, size = b"", LINE_BYTES
    try:
        while b"\n" not in line and len(line) <= MOST_LINE_BYTES:
            if not (part := disk.read_at(file, size, position + len(line))):
                break
            line, size = line + part, BLOCK
        event: Event = _events.decode(line.partition(b"\n")[0])
    except (OSError, *_UNDECODABLE) as error:
        raise JournalError(f"{path}: no event begins at byte {position:,} ({_shown(error)}); read it anew") from None
    return event


class Follower:
    """Reads the events of a journal while a driver writes it, from this process, another one, or another host.

    The file is opened anew for each :meth:`read`: a file system between hosts shows what was written since at that
    moment, and a journal that was written anew under its name is the same journal. No lock is taken.

    Args:
        path: The journal.
        position: The byte at which to begin, where a line begins; 0 for the first event. Whether events follow from
            those before is only checked from the first event on.
        disk: The disk that it lies on.

    Raises:
        JournalError: If there is no journal, or no line of it begins at that byte.
    """

    def __init__(self, path: Path, position: int = 0, disk: Disk = DISK) -> None:
        self._path = path
        self._disk = disk
        self.settings = read_settings(path, disk)
        with _opened(path, disk) as file:
            first = len(next(_lines(path, disk, file), b"")) + 1
            self.position = max(position, first)
            """The byte at which the next event's line begins: another follower may go on from there."""
            ladder = Ladder.from_record((self.settings.rungs, self.settings.kept))
            self._course = Course(ladder, names_of(self.settings.space)) if self.position == first else None
            self._check = self._check_before(file)
        self._start, self._lines = self.position, 0

    def read(self) -> Iterator[Event]:
        """Yield the events whose lines are whole by now; none if there is nothing new. A torn last line waits.

        Raises:
            JournalError: If a line cannot be read, or the file is not the one that was read before.
        """
        with _opened(self._path, self._disk) as file:
            if self._check_before(file) != self._check:
                raise self._is_another(f"another line ends at byte {self.position:,} now")
            rest = b""
            while block := self._read_at(file, BLOCK, self.position + len(rest)):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    yield self._take(line)
                if len(rest) > MOST_LINE_BYTES:
                    raise _unreadable(self._path, self._line_number(), f"longer than {MOST_LINE_BYTES:,} bytes")

    def _take(self, line: bytes) -> Event:
        check = crc32(line[:-_CHECK_BYTES], self._check)
        if line[-_CHECK_BYTES:] != b',"crc":"%08x"}' % check:
            raise _unreadable(self._path, self._line_number(), _ALTERED)
        try:
            event: Event = _events.decode(line)
            if self._course is not None:
                self._course.take(event)
        except (*_UNDECODABLE, JournalError, LadderError) as error:
            raise _unreadable(self._path, self._line_number(), _shown(error)) from None
        self._check = check
        self._lines += 1
        self.position += len(line) + 1
        return event

    def _check_before(self, file: int) -> int:
        """Return the check value of the line that ends where the next one begins."""
        if (size := self._size(file)) < self.position:
            raise self._is_another(f"it ends at byte {size:,}, before byte {self.position:,}")
        before = self._read_at(file, _CHECK_BYTES + 1, self.position - _CHECK_BYTES - 1)
        check = _CHECK.fullmatch(before[:-1])
        if check is None or before[-1:] != b"\n":
            raise JournalError(f"{self._path}: no line begins at byte {self.position:,}; begin at 0")
        return int(check[1], 16)

    def _line_number(self) -> int:
        """Return the number of the next line, from 1. O(bytes before the first one that was read)."""
        count, position = 0, 0
        with _opened(self._path, self._disk) as file:
            while position < self._start and (
                block := self._read_at(file, min(BLOCK, self._start - position), position)
            ):
                count += block.count(b"\n")
                position += len(block)
        return 1 + count + self._lines

    def _read_at(self, file: int, count: int, position: int) -> bytes:
        try:
            return self._disk.read_at(file, count, position)
        except OSError as error:  # as of a file that another host has renamed
            raise JournalError(f"{self._path}: {error.strerror}; read it anew") from None

    def _size(self, file: int) -> int:
        try:
            return self._disk.size(file)
        except OSError as error:
            raise JournalError(f"{self._path}: {error.strerror}; read it anew") from None

    def _is_another(self, why: str) -> JournalError:
        return JournalError(
            f"{self._path}: {why}; it is another journal, or its last lines were lost in a power loss: read it anew"
        )


def follow(
    path: Path,
    position: int = 0,
    *,
    is_over: Callable[[], bool] = lambda: False,
    seconds: float = POLL_SECONDS,
    disk: Disk = DISK,
) -> Iterator[Event]:
    """Yield the events of a journal, those that are there and then each as it is written.

    Args:
        path: The journal.
        position: As for :class:`Follower`.
        is_over: Asked before each look at the file; once it says so, what is there by then is yielded and nothing more.
            By default there is no end.
        seconds: From one look at the file to the next, when there was nothing new.
        disk: The disk that it lies on.

    Raises:
        JournalError: As :class:`Follower` and its ``read``.
    """
    follower = Follower(path, position, disk)
    while True:
        is_last = is_over()
        before = follower.position
        yield from follower.read()
        if is_last:
            return
        if follower.position == before:
            time.sleep(seconds)


def _followed(line: bytes, check: int, path: Path, number: int) -> int:
    """Return the check value of a line, if it follows the check value of the line before it."""
    check = crc32(line[:-_CHECK_BYTES], check)
    if line[-_CHECK_BYTES:] != b',"crc":"%08x"}' % check:
        raise _unreadable(path, number, _ALTERED)
    return check


def _settings_of(line: bytes, path: Path) -> Settings:
    try:
        written = _format.decode(line)
        if written.format == FORMAT:
            settings = _settings.decode(line)
            Ladder.from_record((settings.rungs, settings.kept))
            _followed(line, 0, path, 1)
            return settings
    except (*_UNDECODABLE, LadderError) as error:
        raise JournalError(
            f"{path} line 1: not the first line of a study's journal ({_shown(error)}); give the directory of a study"
        ) from None
    raise JournalError(
        f"{path} line 1: format={written.format}, this ashtune reads {FORMAT}; use ashtune {_shown(written.ashtune)}"
    )


def _unreadable(path: Path, number: int, what: str) -> JournalError:
    if number == 1:
        return JournalError(f"{path} line 1: {what}; take the file from a copy, or begin the study again")
    return JournalError(
        f"{path} line {number}: {what}; the lines before it are whole: keep them "
        f"(head -n {number - 1}) to go on from there"
    )


def _shown(what: object) -> str:
    """Return a text that came from a file on one line, without what a terminal would obey, and not too long."""
    text = str(what) or type(what).__name__
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: 2 * MOST_SHOWN])
    return shown + "..." * (len(text) > 2 * MOST_SHOWN)


@contextmanager
def _opened(path: Path, disk: Disk) -> Iterator[int]:
    """Open a journal for reading. Nothing but a file is read."""
    try:
        file = disk.open(str(path), os.O_RDONLY)
    except (OSError, ValueError) as error:  # a ValueError for a NUL in the path
        raise JournalError(f"{path}: {_why(error)}; give the directory of a study") from None
    try:
        yield file
    finally:
        disk.close(file)


def _why(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return "a symbolic link, which is not followed" if error.errno == errno.ELOOP else str(error.strerror)


def _lines(path: Path, disk: Disk, file: int) -> Iterator[bytes]:
    """Yield the whole lines of a file, without their ends."""
    rest, number = b"", 1
    while block := _read(path, disk, file):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if len(line) > MOST_LINE_BYTES:
                break
            yield line
            number += 1
        else:
            if len(rest) <= MOST_LINE_BYTES:
                continue
        raise _unreadable(path, number, f"longer than {MOST_LINE_BYTES:,} bytes")


def _read(path: Path, disk: Disk, file: int) -> bytes:
    try:
        return disk.read(file, BLOCK)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; take the file from a copy") from None


class Journal:
    """The writing end. Use it as a context manager.

    Opening it takes one copy of the file, O(bytes) in time and room on the disk: nobody can tell whether the driver
    before, which may have been killed, had met a sync that failed (see :meth:`_write_anew`).

    Args:
        path: An existing journal; a torn last line is cut off.
        disk: The disk that it lies on.
        syncs_itself: Whether a thread calls :meth:`sync` once a second; otherwise someone else does.

    Raises:
        JournalError: From any method, when the disk refuses.
    """

    def __init__(self, path: Path, *, disk: Disk = DISK, syncs_itself: bool = True) -> None:
        self._path = path
        self._disk = disk
        self._buffer = bytearray()
        self._encode = msgspec.json.Encoder().encode
        try:
            self._file = disk.open(str(path), os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise self._refused(error) from None
        try:
            self._check = self._cut_torn_line()
            self._write_anew()
        except OSError as error:
            disk.close(self._file)
            raise self._refused(error) from None
        except JournalError:
            disk.close(self._file)
            raise
        self.position = disk.size(self._file)
        """Where the next event's line begins, in bytes."""
        self._is_unsynced = False
        self._is_writing = False
        self._sync_error: OSError | None = None
        self._process = os.getpid()
        self._closing = threading.Event()
        self._syncer: threading.Thread | None = None
        if syncs_itself:
            self._syncer = threading.Thread(target=self._keep_synced, name="ashtune-journal-sync", daemon=True)
            self._syncer.start()

    def add(self, event: Event) -> None:
        """Write an event to the buffer; :meth:`flush` hands it to the file.

        A line must not be longer than a reader accepts. If a curve makes it longer, every second report of the curve is
        left out, again and again until the line fits.
        """
        body = self._encode(event)
        while len(body) > MOST_LINE_BYTES - _CHECK_BYTES:
            event = self._with_half_the_curve(event, len(body))
            body = self._encode(event)
        body = body[:-1]
        self._check = check = crc32(body, self._check)
        self._buffer += body
        self._buffer += b',"crc":"%08x"}\n' % check
        self.position += len(body) + _CHECK_BYTES + 1

    def flush(self) -> None:
        """Hand what was added to the operating system: it now survives the driver's death.

        After a write that something else than the disk has broken off, as Ctrl-C, nothing more is written: what the
        file holds of it is not known, and a line that is written twice makes the file unreadable.
        """
        if self._sync_error is not None:
            raise self._refused(self._sync_error)
        if self._is_writing:
            raise JournalError(f"{self._path}: a write was interrupted; open the study again: what is written is kept")
        if not self._buffer:
            return
        self._is_writing = True
        try:
            written = self._disk.write(self._file, self._buffer)
            while written < len(self._buffer):
                del self._buffer[:written]
                written = self._disk.write(self._file, self._buffer)
        except OSError as error:
            self._is_writing = False
            raise self._refused(error) from None
        finally:
            self._is_unsynced = True  # a part may have been written
        self._buffer.clear()
        self._is_writing = False

    def sync(self) -> None:
        """Have what was flushed survive a power loss; what the disk refuses is raised by the next :meth:`flush`."""
        if self._is_unsynced and self._sync_error is None:
            self._is_unsynced = False
            try:
                self._disk.sync(self._file)
            except OSError as error:
                self._sync_error = error

    def close(self) -> None:
        """Flush, sync to the disk, and close. What was flushed is synced even if the flush is refused.

        A process that was forked only closes its descriptor: what is in the buffer is the driver's to write.
        """
        if os.getpid() != self._process:
            self._disk.close(self._file)
            return
        self._closing.set()
        if self._syncer is not None:
            self._syncer.join()
        refused: JournalError | None = None
        try:
            try:
                if not self._is_writing:
                    self.flush()
            except JournalError as error:
                refused = error
            self.sync()
            if self._sync_error is not None:
                refused = refused or self._refused(self._sync_error)
                with suppress(OSError):  # then it is as safe as it was, until the next session opens it
                    self._write_anew()
        finally:
            self._disk.close(self._file)
        if refused is not None:
            raise refused

    def _write_anew(self) -> None:
        """Write all of the file once more, under another name, then in its place.

        After a sync that failed, Linux takes what was not written for written: later syncs succeed, and a power loss
        leaves holes in the middle (Rebello et al., *Can Applications Recover from fsync Failures?*, ATC 2020).

        Raises:
            OSError: If the disk refuses several times.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._copy_over()
                return
            except OSError:
                if not tries_left:
                    raise

    def _copy_over(self) -> None:
        """Copy by reading and writing: a copy that the file system makes may share the blocks with the hole."""
        disk, temporary = self._disk, f"{self._path}.new"
        with suppress(FileNotFoundError):
            disk.unlink(temporary)  # left by a driver that was killed here
        mode = stat.S_IMODE(disk.status(str(self._path)).mode)  # its owner may have let others read it
        file = disk.open(temporary, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, mode)
        try:
            position, size = 0, disk.size(self._file)
            while position < size:
                block = self._read_at(position, min(BLOCK, size - position))
                position += len(block)
                while block:
                    block = block[disk.write(file, block) :]
            disk.sync(file)
            disk.rename(temporary, str(self._path))
            if not disk.sync_folder(str(self._path.parent)):  # else a power loss might bring the old file back
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError:
            disk.close(file)
            with suppress(OSError):
                disk.unlink(temporary)  # a full disk needs the room
            raise
        before, self._file = self._file, file
        with suppress(OSError):
            disk.close(before)

    def _keep_synced(self) -> None:
        while not self._closing.wait(SYNC_SECONDS) and self._sync_error is None:
            self.sync()

    def _with_half_the_curve(self, event: Event, size: int) -> Event:
        if not isinstance(event, JobFinished | JobPaused) or len(event.curve) < 2:
            raise JournalError(
                f"{self._path}: an event of {size:,} bytes is longer than a line may be, {MOST_LINE_BYTES:,}; "
                "report fewer metrics"
            )
        return msgspec.structs.replace(event, curve=event.curve[1::2])

    def _cut_torn_line(self) -> int:
        """Cut off what follows the last whole line, and return that line's check value."""
        disk, file = self._disk, self._file
        size = end = disk.size(file)
        tail = b""
        while (line_end := tail.rfind(b"\n")) < 0 and end > 0 and len(tail) <= MOST_LINE_BYTES:
            begin = max(0, end - BLOCK)
            tail, end = self._read_at(begin, end - begin) + tail, begin
        whole = end + line_end + 1
        check = _CHECK.fullmatch(self._read_at(max(0, whole - 1 - _CHECK_BYTES), _CHECK_BYTES))
        if line_end < 0 or check is None:
            raise JournalError(
                f"{self._path}: its last line has no check value; `ashtune report {self._path.parent}` says more"
            )
        if whole < size:
            disk.truncate(file, whole)
        return int(check[1], 16)

    def _read_at(self, position: int, size: int) -> bytes:
        parts = []
        while size > 0 and (part := self._disk.read_at(self._file, size, position)):
            parts.append(part)
            position += len(part)
            size -= len(part)
        return b"".join(parts)

    def _refused(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self._path}: {_why(error)}; what is written so far is kept: make room, then "
            f"`ashtune resume {self._path.parent}`"
        )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create(path: Path, settings: Settings, disk: Disk = DISK) -> None:
    """Write the first line of a new journal, whole or not at all.

    Raises:
        JournalError: If the disk refuses.
    """
    temporary = str(path.with_suffix(".new"))
    body = msgspec.json.encode(settings)[:-1]
    line = memoryview(b'%b,"crc":"%08x"}\n' % (body, crc32(body)))
    try:
        with suppress(FileNotFoundError):
            disk.unlink(temporary)  # left by a driver that was killed here
        file = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            while line:
                line = line[disk.write(file, line) :]
            disk.sync(file)
        finally:
            disk.close(file)
        disk.rename(temporary, str(path))
        disk.sync_folder(str(path.parent))
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; choose a directory that can be written") from None
