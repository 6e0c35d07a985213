"""Writes a journal. The module ``journal.py`` describes and reads journals."""

# Theory of operation
# -------------------
# The journal is the only file that must survive. Events pass through three places. Each place
# protects them from more kinds of accidents:
#
#   place               reached by  survives               who calls it
#   ------------------  ----------  ---------------------  ----------------------------------------
#   _turn, _buffer      add()       nothing                the driver, for each event
#   the kernel's cache  flush()     kill -9 of the driver  the driver, before it acts on the events
#   the disk            sync()      a power loss           a thread, once per second
#
# flush() is called before the orders of a turn are sent (Rule 1 of ``journal.py``). If an order
# were sent before its events are in the file, the next driver would not know the order. There is
# one exception: the start of a new trial is written with the next turn, unless its origin is a
# model or a mutation (``engines/loop.py``). The next driver chooses the configuration again. A
# random draw then gives the same configuration; the stand-in (``search/proposals.py``) may give
# another one, which is accepted (decision 43).
#
# The driver does not wait for sync(), because a sync of a network disk is slow. After a power loss,
# the results of the last second may be missing, and their trials are trained again. Therefore a
# checkpoint is deleted only two seconds after the order to delete it, because normally a sync has
# ended by then. At the session's end, checkpoints are deleted only after a successful sync
# (``engines/checkpoint_store.py``). There is one exception: if a trial starts again from 0, its
# checkpoints in this queue are deleted at once, because the trial will write files of the same
# names.
#
# There is only one writer, because the caller holds the study's lock. A session replays the whole
# journal before it opens the journal for writing. So a damaged journal, or a journal of another
# format, is refused before anything is written.
#
# Turns: all events that the driver handles together are written with one check value. Each check
# value depends on the previous check value, so it covers the whole file up to its turn. If a line
# is changed, lost, doubled or moved, the next check value is wrong. An incomplete turn does not
# count: a reader waits for the rest of the turn, and the next driver deletes it.
#
# What happens when
#
#   kill -9 while writing    the file ends within a turn. _cut_torn_turn() removes it at the next
#                            opening. No order was sent that followed from its events.
#   Ctrl-C while writing     Python may raise KeyboardInterrupt between two writes of one buffer.
#                            _is_writing stays True and every later flush() refuses: to write
#                            again would double what was written. The next session cuts the
#                            incomplete turn.
#   the disk is full         flush() raises, the driver ends, and says which directory to resume.
#                            What was written before stays valid. The next flush, also that of
#                            close(), writes the rest if there is room by then; otherwise the next
#                            opening cuts the partial turn. No order of this turn was sent, and no
#                            observer heard of its events.
#   it is full at opening    the copy needs as much room as the journal. If there is too little,
#                            __init__ raises, and the old file keeps its name.
#   kill -9 while copying    before the rename the old file has the name, after it the complete,
#                            synced copy. The next opening deletes a partial copy (.new).
#   a sync fails             Linux marks the pages as clean after a failed sync, so a second sync
#                            succeeds without writing anything (see _write_anew). So a failed sync
#                            is final: flush() raises from then on, and close() copies the journal
#                            to a new file whose pages are all written again.
#   the session ends         ``driver/services.py`` calls sync() before the last checkpoints are
#                            deleted, and close() when workers and proposer are closed.
#   a turn is too long       above 16 MiB, each event becomes a turn of its own. A curve that alone
#                            is too long loses every second report; then controller and observers
#                            got more reports than a replay will give. For any other event that is
#                            too long, flush() raises.
#   a reader follows         it opens the path again for each read and compares the check value
#                            before its position. After _copy_over() the name is another file with
#                            the same bytes, which it accepts.
#   a fork of the driver     a training function may fork. The child has the same file descriptor;
#                            close() in the child must not flush what the parent will write
#                            itself, so it compares process numbers.
#
# The file is copied each time it is opened, even though most files have no damage, because a sync
# may have failed in an earlier driver (decision 3, docs/decisions/0003-journal.md).
#
# The check value is a CRC-32 and not a cryptographic hash, because it must only find accidents. It
# does not protect against a person who forges a journal. Readers of a journal therefore check its
# numbers.

import errno
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import msgspec

from ashtune._src.core.errors import JournalError, instead_of_os_error
from ashtune._src.core.events import Event, JobFinished, JobPaused
from ashtune._src.study.disk import DISK, Disk, read_part, reason_of, write_all, write_new
from ashtune._src.study.journal import BLOCK, CHECK_BYTES, MOST_LINE_BYTES, end_of_turns
from ashtune._src.study.settings import Settings

SYNC_SECONDS = 1.0
TRIES = 5


class Journal:
    """A context manager that writes to a journal.

    Opening a journal copies the journal's file, since a sync of an earlier driver may have failed
    (see
    :meth:`_write_anew`). The copy takes O(bytes) of time and of disk space.

    Args:
        path: An existing journal; an incomplete last turn is cut off.
        syncs_itself: Whether a thread calls :meth:`sync` once per second; otherwise the caller must
            call it.

    Raises:
        JournalError: From the constructor, :meth:`flush` and :meth:`close`, if the disk returns an
            error. :meth:`sync` raises nothing and returns False.
    """

    def __init__(self, path: Path, *, disk: Disk = DISK, syncs_itself: bool = True) -> None:
        self._path = path
        self._disk = disk
        self._turn: list[Event] = []
        self._buffer = bytearray()
        self._encoder = msgspec.json.Encoder()
        try:
            self._file = disk.open(str(path), os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise self._refusal(error) from None
        try:
            self._check = self._cut_torn_turn()
            self._write_anew()
        except OSError as error:
            disk.close(self._file)
            raise self._refusal(error) from None
        except JournalError:
            disk.close(self._file)
            raise
        self.position = disk.size(self._file)
        """The byte at which the next event's line will begin."""
        self._is_unsynced = False
        self._syncing = threading.Lock()
        self._is_writing = False
        self._sync_error: OSError | None = None
        self._process = os.getpid()
        self._closing = threading.Event()
        self._syncer: threading.Thread | None = None
        if syncs_itself:
            self._syncer = threading.Thread(
                target=self._keep_synced, name="ashtune-journal-sync", daemon=True
            )
            self._syncer.start()

    def add(self, *events: Event) -> None:
        """Add events to the turn. The next :meth:`flush` writes the turn to the file."""
        self._turn += events

    def flush(self) -> None:
        """Hand the turn to the operating system, so that its events survive the driver's death.

        If Ctrl-C interrupted a write, every later :meth:`flush` raises an error, since the end of
        the file is unknown.
        """
        if self._sync_error is not None:
            raise self._refusal(self._sync_error)
        if self._is_writing:
            raise JournalError(
                f"{self._path}: a write was interrupted; open the study again (no written event is "
                f"lost)"
            )
        if self._turn:
            self._close_turn()
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
            raise self._refusal(error) from None
        finally:
            self._is_unsynced = True  # a part may have been written
        self._buffer.clear()
        self._is_writing = False

    def _close_turn(self) -> None:
        turn = self._turn
        self._turn = []
        lines = self._encoder.encode_lines(turn)
        if len(lines) <= MOST_LINE_BYTES - CHECK_BYTES:
            self._put(lines)
            return
        for event in turn:  # each line becomes a turn
            self._put(self._line(event))

    def _line(self, event: Event) -> bytes:
        """Return an event as a line that is short enough for a reader.

        If a curve makes the line too long, every second report of the curve is left out until the
        line is short enough.
        """
        while len(line := self._encoder.encode_lines([event])) > MOST_LINE_BYTES - CHECK_BYTES:
            event = self._with_half_the_curve(event, len(line))
        return line

    def _put(self, lines: bytes) -> None:
        """Put a turn into the buffer. The check value of a turn is the last field of the turn's
        last line.
        """
        body = lines[:-2]  # the line without its last brace and line end
        self._check = check = crc32(body, self._check)
        self._buffer += body
        self._buffer += b',"crc":"%08x"}\n' % check
        self.position += len(body) + CHECK_BYTES + 1

    def sync(self) -> bool:
        """Make all flushed events survive a power loss. After an error of the disk, the next
        :meth:`flush` raises.

        If another thread runs a sync, wait for the end of that sync.

        Returns:
            Whether all flushed events survive a power loss. After the disk has refused a sync, the
                result is always False.
        """
        with self._syncing:
            if self._is_unsynced and self._sync_error is None:
                self._is_unsynced = False
                try:
                    self._disk.sync(self._file)
                except OSError as error:
                    self._sync_error = error
            return self._sync_error is None

    def close(self) -> None:
        """Flush, sync and close the journal. Sync even if the flush fails. In a forked process,
        only close the file.
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
                refused = refused or self._refusal(self._sync_error)
                with suppress(OSError):  # if this fails too, the next session tries again
                    self._write_anew()
        finally:
            self._disk.close(self._file)
        if refused is not None:
            raise refused

    def _write_anew(self) -> None:
        """Copy the whole journal to a new file, and rename the new file to the journal's name.

        After a failed sync, Linux treats unwritten data as written. Later syncs of the file
        succeed, but after a power loss the file has holes (Rebello et al., *Can Applications
        Recover from fsync Failures?*, ATC 2020).
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._copy_over()
                return
            except OSError:
                if not tries_left:
                    raise

    def _copy_over(self) -> None:
        """Copy by reading and writing, since a copy by the file system may share blocks that were
        not written.
        """
        disk = self._disk
        temporary = f"{self._path}.new"
        with suppress(FileNotFoundError):
            disk.unlink(temporary)  # a killed driver may have left this file
        # the owner may have allowed others to read it
        mode = stat.S_IMODE(disk.status(str(self._path)).mode)
        file = disk.open(temporary, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, mode)
        try:
            position = 0
            size = disk.size(self._file)
            while position < size:
                block = read_part(disk, self._file, min(BLOCK, size - position), position)
                position += len(block)
                write_all(disk, file, block)
            disk.sync(file)
            disk.rename(temporary, str(self._path))
            # without this sync, a power loss may restore the old file
            if not disk.sync_folder(str(self._path.parent)):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError:
            disk.close(file)
            with suppress(OSError):
                disk.unlink(temporary)  # on a full disk, the space is needed
            raise
        before = self._file
        self._file = file
        with suppress(OSError):
            disk.close(before)

    def _keep_synced(self) -> None:
        while not self._closing.wait(SYNC_SECONDS) and self._sync_error is None:
            self.sync()

    def _with_half_the_curve(self, event: Event, size: int) -> Event:
        if not isinstance(event, JobFinished | JobPaused) or len(event.curve) < 2:
            raise JournalError(
                f"{self._path}: an event of {size:,} bytes is longer than the limit of "
                f"{MOST_LINE_BYTES:,}; report fewer metrics"
            )
        return msgspec.structs.replace(event, curve=event.curve[1::2])

    def _cut_torn_turn(self) -> int:
        """Cut off everything after the last complete turn, and return the
        check value of that turn.
        """
        disk = self._disk
        file = self._file
        size = end = disk.size(file)
        tail = b""
        while (whole := end_of_turns(tail)) == 0 and end > 0 and len(tail) <= 2 * MOST_LINE_BYTES:
            begin = max(0, end - BLOCK)
            tail = read_part(disk, file, end - begin, begin) + tail
            end = begin
        if not whole:
            raise JournalError(
                f"{self._path}: its last line has no check value; `ashtune report "
                f"{self._path.parent}` shows the reason"
            )
        if end + whole < size:
            disk.truncate(file, end + whole)
        return int(tail[whole - 11 : whole - 3], 16)

    def _refusal(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self._path}: {reason_of(error)}; free some disk space, then run `ashtune resume "
            f"{self._path.parent}` (no written event is lost)"
        )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create(path: Path, settings: Settings, disk: Disk = DISK) -> None:
    """Write the first line of a new journal, completely or not at all."""
    body = msgspec.json.encode(settings)[:-1]
    with instead_of_os_error(JournalError, path, "choose a directory that can be written"):
        write_new(disk, str(path), b'%b,"crc":"%08x"}\n' % (body, crc32(body)))
