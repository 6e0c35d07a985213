"""A journal read while it grows."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from ashtune.core.errors import JournalError, LadderError
from ashtune.core.events import Event
from ashtune.core.ladder import Ladder
from ashtune.study.course import Course, names_of
from ashtune.study.disk import DISK, Disk
from ashtune.study.journal import read_settings
from ashtune.study.journal_lines import (
    ALTERED,
    BLOCK,
    CHECK,
    CHECK_BYTES,
    EVENTS,
    MOST_LINE_BYTES,
    UNDECODABLE,
    as_shown,
    lines_of,
    opened,
    unreadable,
)

POLL_SECONDS = 0.2
"""From one look at a journal that grows to the next."""


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
        with opened(path, disk) as file:
            first = len(next(lines_of(path, disk, file), b"")) + 1
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
        with opened(self._path, self._disk) as file:
            if self._check_before(file) != self._check:
                raise self._is_another(f"another line ends at byte {self.position:,} now")
            rest = b""
            while block := self._read_at(file, BLOCK, self.position + len(rest)):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    yield self._take(line)
                if len(rest) > MOST_LINE_BYTES:
                    raise unreadable(self._path, self._line_number(), f"longer than {MOST_LINE_BYTES:,} bytes")

    def _take(self, line: bytes) -> Event:
        check = crc32(line[:-CHECK_BYTES], self._check)
        if line[-CHECK_BYTES:] != b',"crc":"%08x"}' % check:
            raise unreadable(self._path, self._line_number(), ALTERED)
        try:
            event: Event = EVENTS.decode(line)
            if self._course is not None:
                self._course.take(event)
        except (*UNDECODABLE, JournalError, LadderError) as error:
            raise unreadable(self._path, self._line_number(), as_shown(error)) from None
        self._check = check
        self._lines += 1
        self.position += len(line) + 1
        return event

    def _check_before(self, file: int) -> int:
        """Return the check value of the line that ends where the next one begins."""
        if (size := self._size(file)) < self.position:
            raise self._is_another(f"it ends at byte {size:,}, before byte {self.position:,}")
        before = self._read_at(file, CHECK_BYTES + 1, self.position - CHECK_BYTES - 1)
        check = CHECK.fullmatch(before[:-1])
        if check is None or before[-1:] != b"\n":
            raise JournalError(f"{self._path}: no line begins at byte {self.position:,}; begin at 0")
        return int(check[1], 16)

    def _line_number(self) -> int:
        """Return the number of the next line, from 1. O(bytes before the first one that was read)."""
        count, position = 0, 0
        with opened(self._path, self._disk) as file:
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
