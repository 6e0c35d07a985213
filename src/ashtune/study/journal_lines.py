"""The lines of a journal, which all that reads or writes one shares: how they are found, checked, decoded and refused.

The rules are those of ``journal.py``.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import msgspec

from ashtune.core.errors import JournalError, LadderError
from ashtune.core.events import Event
from ashtune.core.ladder import Ladder
from ashtune.study.disk import Disk
from ashtune.study.settings import FORMAT, MOST_SHOWN, Settings

MOST_LINE_BYTES = 1 << 24
"""A line of this length takes about 300 MB of memory to read."""
BLOCK = 1 << 18
"""Read at a time."""
CHECK = re.compile(rb',"crc":"([0-9a-f]{8})"}')
CHECK_BYTES = 18
ALTERED = "a line here was altered, lost, doubled or moved"

EVENTS = msgspec.json.Decoder(Event)
_settings = msgspec.json.Decoder(Settings)
UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError, MemoryError)


class _Written(msgspec.Struct):
    """What every format's first line says."""

    format: int
    ashtune: str = "another version"


_format = msgspec.json.Decoder(_Written)


def followed(line: bytes, check: int, path: Path, number: int) -> int:
    """Return the check value of a line, if it follows the check value of the line before it.

    Raises:
        JournalError: If it does not.
    """
    check = crc32(line[:-CHECK_BYTES], check)
    if line[-CHECK_BYTES:] != b',"crc":"%08x"}' % check:
        raise unreadable(path, number, ALTERED)
    return check


def settings_of(line: bytes, path: Path) -> Settings:
    """Return what the first line of a journal says.

    Raises:
        JournalError: If it is none, or one of another format.
    """
    try:
        written = _format.decode(line)
        if written.format == FORMAT:
            settings = _settings.decode(line)
            Ladder.from_record((settings.rungs, settings.kept))
            followed(line, 0, path, 1)
            return settings
    except (*UNDECODABLE, LadderError) as error:
        raise JournalError(
            f"{path} line 1: not the first line of a study's journal ({as_shown(error)}); give the directory of a study"
        ) from None
    raise JournalError(
        f"{path} line 1: format={written.format}, this ashtune reads {FORMAT}; use ashtune {as_shown(written.ashtune)}"
    )


def unreadable(path: Path, number: int, what: str) -> JournalError:
    """Return the error of a line that cannot be read, which says what can be kept."""
    if number == 1:
        return JournalError(f"{path} line 1: {what}; take the file from a copy, or begin the study again")
    return JournalError(
        f"{path} line {number}: {what}; the lines before it are whole: keep them "
        f"(head -n {number - 1}) to go on from there"
    )


def as_shown(what: object) -> str:
    """Return a text that came from a file on one line, without what a terminal would obey, and not too long."""
    text = str(what) or type(what).__name__
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: 2 * MOST_SHOWN])
    return shown + "..." * (len(text) > 2 * MOST_SHOWN)


@contextmanager
def opened(path: Path, disk: Disk) -> Iterator[int]:
    """Open a journal for reading. Nothing but a file is read.

    Raises:
        JournalError: If there is none.
    """
    try:
        file = disk.open(str(path), os.O_RDONLY)
    except (OSError, ValueError) as error:  # a ValueError for a NUL in the path
        raise JournalError(f"{path}: {reason_of(error)}; give the directory of a study") from None
    try:
        yield file
    finally:
        disk.close(file)


def reason_of(error: OSError | ValueError) -> str:
    """Return in words why a file was refused."""
    if not isinstance(error, OSError):
        return str(error)
    return "a symbolic link, which is not followed" if error.errno == errno.ELOOP else str(error.strerror)


def lines_of(path: Path, disk: Disk, file: int) -> Iterator[bytes]:
    """Yield the whole lines of a file, without their ends.

    Raises:
        JournalError: If one is too long, or the file cannot be read.
    """
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
        raise unreadable(path, number, f"longer than {MOST_LINE_BYTES:,} bytes")


def _read(path: Path, disk: Disk, file: int) -> bytes:
    try:
        return disk.read(file, BLOCK)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; take the file from a copy") from None
