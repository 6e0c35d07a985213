"""The journal of a study: an append-only file of JSON lines with one writer, readable with ``less``
and ``jq``.

The first line describes the study (``Settings``). Every other line is an event.

Rule 1: an event is written before the driver acts on the event, so a killed driver loses no event.
Rule 2: a *turn* is the group of events that the driver handles and writes together. An incomplete
last turn is ignored, because only a kill during a write can cause an incomplete turn. Any other
unreadable line is an error, whose message names the line.
Rule 3: reading a journal executes no code, since lines are only decoded into known types. Rule 4:
the last line of a turn ends with a check value, such as ``"crc":"1a2b3c4d"``. The check value is
the CRC-32 of all turns up to this turn, without the check values and the line ends after them. If a
line is altered, lost, doubled or moved, the next check value and all later check values are wrong.
The first line of the journal is a turn.
Rule 5: after the next :meth:`Journal.sync`, which is about a second after a line was written, the
line survives a power loss. When a journal is opened for writing, the whole file is first copied, so
that all earlier lines survive a power loss.
Rule 6: the controller or ``Replay``, not this module, checks whether an event may follow the
earlier events.
"""

# Rule 5: decision 3 (docs/decisions/0003-journal.md).
# Rule 2: decision 60 (docs/decisions/0060-a-turn-is-the-unit.md).
# Rule 4: decision 14 (docs/decisions/0014-journal-check-values.md).

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from glob import glob
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from ashtune._src.core.errors import JournalError, SettingsError
from ashtune._src.core.events import Event, SessionStarted
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import shortened
from ashtune._src.study.disk import DISK, Disk, read_part, reason_of
from ashtune._src.study.settings import FORMAT, MOST_SHOWN, Settings, first_ladder, next_ladder

NAME = "journal.jsonl"
MOST_LINE_BYTES = 1 << 24
"""Maximum total length of the lines of a turn. Reading a line of this length takes about 300 MB of
memory.
"""
BLOCK = 1 << 18
"""Number of bytes read at a time."""
CHECK_BYTES = 18
_CHECK = re.compile(rb',"crc":"([0-9a-f]{8})"}\n')
"""The end of a turn. These bytes cannot occur inside a line, since JSON text has no line end."""

_events = msgspec.json.Decoder(Event)
_settings = msgspec.json.Decoder(Settings)
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError, MemoryError)
_ALTERED = "a line here was altered, lost, repeated or moved"


class _Written(msgspec.Struct):
    """The fields of a journal's first line that exist in every version of the format."""

    format: int
    ashtune: str = "another version"


_format = msgspec.json.Decoder(_Written)


class Batch(NamedTuple):
    """Events in the order of their lines, and the byte at which each line begins."""

    events: list[Event]
    begins: list[int]


class JournalReader:
    """Reads the events of a journal from a position on, even while a driver writes the journal on
    any machine.

    Each :meth:`read` opens the file again, so that a shared file system shows new lines. A journal
    that was rewritten under the same name counts as the same journal. A reader takes no lock.

    Args:
        position: The byte at which to begin, which must be the start of a turn; 0 for the first
            event.
        only: If given, yield only events whose lines contain one of these byte strings. This is
            many times faster.

    Raises:
        JournalError: If the journal was not found, or no turn begins at ``position``.
    """

    def __init__(
        self, path: Path, position: int = 0, disk: Disk = DISK, *, only: Sequence[bytes] = ()
    ) -> None:
        self._path = path
        self._disk = disk
        self._only = re.compile(b"|".join(map(re.escape, only))) if only else None
        self._start = 0
        self._lines = 0
        with _open_for_reading(path, disk) as file:
            first = self._whole(file, 0, lambda block: block.find(b"\n") + 1)[:-1]
            self.settings = _settings_of(first, path)
            """The settings of the study, from the first line."""
            self._start = self.position = max(position, len(first) + 1)
            """The byte at which the next batch's lines begin; another reader can begin at this
            byte.
            """
            self._check = self._check_before(file)

    def read(self) -> Iterator[Batch]:
        """Yield the events of all new complete turns, in batches. Without a new turn, yield
        nothing.

        Raises:
            JournalError: If a line cannot be read, or the file is not the journal that was read
                before.
        """
        with _open_for_reading(self._path, self._disk) as file:
            if self._check_before(file) != self._check:
                raise self._is_another(f"the line that ends at byte {self.position:,} has changed")
            while block := self._whole(file, self.position, end_of_turns):
                batch, problem, line = self._decoded(block)
                if batch.events:
                    yield batch
                if problem:
                    raise unreadable(self._path, self._line_number() + line, problem)

    def _decoded(self, block: bytes) -> tuple[Batch, str, int]:
        """Return the events of complete turns up to the first unreadable turn.

        If a turn is unreadable, also return the reason and the index of the turn's unreadable line.
        """
        ends, checks, problem = self._turns(block)
        block = block[: ends[-1]]
        unreadable_line = 0
        # Most blocks have no wanted line, so their lines need not be split.
        if self._only and not self._only.search(block):
            self._lines += block.count(b"\n")
            self.position += ends[-1]
            self._check = checks[-1]
            return Batch([], []), problem, 0
        lines = block.split(b"\n")[:-1]
        begins = list(accumulate((len(line) + 1 for line in lines), initial=0))
        wanted = self._wanted(block, begins)
        try:
            events: list[Event] = _events.decode_lines(
                block if len(wanted) == len(lines) else b"\n".join(lines[place] for place in wanted)
            )
        except _UNDECODABLE:
            events = []
            for place in wanted:
                try:
                    events.append(_events.decode(lines[place]))
                except _UNDECODABLE as error:
                    problem = _as_shown(error)
                    del ends[bisect_right(ends, begins[place]) :]
                    count = bisect_left(begins, ends[-1])
                    unreadable_line = place - count
                    wanted = [each for each in wanted if each < count]
                    del events[len(wanted) :]
                    break
        self._lines += bisect_left(begins, ends[-1])
        begin = self.position
        self.position += ends[-1]
        self._check = checks[len(ends) - 1]
        return Batch(events, [begin + begins[place] for place in wanted]), problem, unreadable_line

    def _turns(self, block: bytes) -> tuple[list[int], list[int], str]:
        """Return the ends and the check values of a block's turns. If there is an error after the
        last turn, return this error too.
        """
        ends = [0]
        checks = [self._check]
        for turn in _CHECK.finditer(block):
            check = crc32(block[ends[-1] : turn.start()], checks[-1])
            if turn[1] != b"%08x" % check:
                return ends, checks, _ALTERED
            ends.append(turn.end())
            checks.append(check)
        return ends, checks, ""

    def _wanted(self, block: bytes, begins: Sequence[int]) -> Sequence[int]:
        """Return the indices of the lines to decode."""
        if not self._only:
            return range(len(begins) - 1)
        return list(
            dict.fromkeys(
                bisect_right(begins, found.start()) - 1 for found in self._only.finditer(block)
            )
        )

    def _whole(self, file: int, position: int, end_of: Callable[[bytes], int]) -> bytes:
        """Return some complete turns or lines from ``position`` on. If no complete line follows,
        return nothing.
        """
        size = BLOCK
        while True:
            block = self._read_at(file, size, position)
            end = end_of(block)
            if end:
                return block[:end]
            if len(block) > MOST_LINE_BYTES:
                raise unreadable(
                    self._path, self._line_number(), f"longer than {MOST_LINE_BYTES:,} bytes"
                )
            if len(block) < size:  # the end of the file
                return b""
            size = min(4 * size, MOST_LINE_BYTES + 1)

    def _check_before(self, file: int) -> int:
        """Return the check value of the line before the current position."""
        try:
            size = self._disk.size(file)
        except OSError as error:
            raise self._refusal(error) from None
        if size < self.position:
            raise self._is_another(
                f"the file became shorter: it ends at byte {size:,} now, but {self.position:,} "
                "bytes had been read"
            )
        check = _CHECK.fullmatch(
            self._read_at(file, CHECK_BYTES + 1, self.position - CHECK_BYTES - 1)
        )
        if check is None:
            raise JournalError(
                f"{self._path}: byte {self.position:,} is not the start of a group of events; read "
                "from byte 0"
            )
        return int(check[1], 16)

    def _line_number(self) -> int:
        """Return the number of the next line, counted from 1."""
        with _open_for_reading(self._path, self._disk) as file:
            blocks = (
                self._read_at(file, min(BLOCK, self._start - at), at)
                for at in range(0, self._start, BLOCK)
            )
            return 1 + self._lines + sum(block.count(b"\n") for block in blocks)

    def _read_at(self, file: int, size: int, position: int) -> bytes:
        try:
            return read_part(self._disk, file, size, position)
        except OSError as error:  # for example if another host has renamed the file
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> JournalError:
        return JournalError(f"{self._path}: {error.strerror}; read it again")

    def _is_another(self, why: str) -> JournalError:
        return JournalError(
            f"{self._path}: {why}; either this is another journal, or a power loss removed the "
            "last lines; read the file again"
        )


def end_of_turns(block: bytes) -> int:
    """Return where the last complete turn in a block ends, or 0 if no turn ends in the block."""
    # The search starts at the end, because a block has thousands of turns and only the last turn is
    # needed.
    end = block.rfind(b"\n")
    while end >= 0:
        if _CHECK.match(block, max(0, end - CHECK_BYTES)):
            return end + 1
        end = block.rfind(b"\n", 0, end)
    return 0


def read_settings(path: Path, disk: Disk = DISK) -> Settings:
    """Return the settings in the first line of a journal.

    Raises:
        JournalError: If the journal was not found, or its first line is not valid.
    """
    return JournalReader(path, disk=disk).settings


def read_events(path: Path, disk: Disk = DISK, *, only: Sequence[bytes] = ()) -> Iterator[Event]:
    """Yield the events of a journal. ``only`` selects events as for :class:`JournalReader`.

    Raises:
        JournalError: If a line cannot be read. An incomplete last line is no error.
    """
    return chain.from_iterable(
        batch.events for batch in JournalReader(path, disk=disk, only=only).read()
    )


def sessions(journal: Path, disk: Disk = DISK) -> Iterator[SessionStarted]:
    """Yield the first event of each session of a study."""
    events = read_events(journal, disk, only=(b"session_started",))
    return (event for event in events if isinstance(event, SessionStarted))


def ladder_in_force(journal: Path, disk: Disk = DISK) -> Ladder:
    """Return the ladder of a study's last session."""
    return reduce(next_ladder, sessions(journal, disk), first_ladder(read_settings(journal, disk)))


def _settings_of(line: bytes, path: Path) -> Settings:
    try:
        written = _format.decode(line)
        if written.format == FORMAT:
            settings = _settings.decode(line)
            Ladder.from_record((settings.rungs, settings.kept))
            if line[-CHECK_BYTES:] != b',"crc":"%08x"}' % crc32(line[:-CHECK_BYTES]):
                raise unreadable(path, 1, _ALTERED)
            return settings
    except (*_UNDECODABLE, SettingsError) as error:
        raise JournalError(
            f"{path} is not a study's journal: its line 1 is not what a journal starts with "
            f"({_as_shown(error)}); give a study's directory"
        ) from None
    raise JournalError(
        f"{path} line 1: format={written.format}, but this ashtune reads format {FORMAT}; use "
        f"ashtune {_as_shown(written.ashtune)}"
    )


def unreadable(path: Path, number: int, what: str) -> JournalError:
    """Return the error for an unreadable line. The error's message says which lines can be kept."""
    if number == 1:
        return JournalError(
            f"{path} line 1: {what}; restore the file from a copy, or start the study again"
        )
    return JournalError(
        f"{path} line {number}: {what}; the lines before it are complete: keep only them "
        f"(head -n {number - 1}) to continue from there"
    )


def _as_shown(what: object) -> str:
    """Return a short text from a file as one line, without the control characters of a terminal."""
    return shortened(str(what) or type(what).__name__, 2 * MOST_SHOWN)


@contextmanager
def _open_for_reading(path: Path, disk: Disk) -> Iterator[int]:
    """Open a journal for reading, if it is a regular file."""
    try:
        file = disk.open(str(path), os.O_RDONLY)
    except (OSError, ValueError) as error:  # ValueError: the path contains NUL
        raise JournalError(f"{path}: {reason_of(error)}; give the directory of a study") from None
    try:
        yield file
    finally:
        disk.close(file)


def studies_in(folder: Path) -> list[Path]:
    """Return ``folder`` if it has a journal, or else the directories of studies one or two levels
    below, sorted.

    A study inside of another study's directory, such as ``failed-1``, is left out.
    """
    for patterns in ([NAME], [f"*/{NAME}", f"*/*/{NAME}"]):
        names = [name for each in patterns for name in glob(each, root_dir=folder)]  # noqa: PTH207 - may raise
        found = {Path(folder, name).parent for name in names}
        if found:
            return sorted(place for place in found if place.parent not in found)
    return []
