"""Finds the printed output of a trial. In the worker's log, a mark that names the trial follows
this output.

If a trial has printed something, the mark is written when the trial leaves the worker. If a worker
dies, it writes no mark, but the journal has the end of its log.
"""

import mmap
import os
import re
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from ashtune._src.core.jobs import TrialId
from ashtune._src.study.disk import DISK, Disk

FOLDER = "logs"
_STDOUT = 1
_LOG = re.compile(r"worker-(\d{1,10})\.log", re.ASCII)
_MARK = re.compile(rb"\n--- above: printed by trial (\d{1,10}), trained from (\d{1,16}) on ---\n")


def mark_of(trial: TrialId, start: int) -> str:
    """Return the mark to write after the output of a trial that was trained from resource ``start``
    on.
    """
    return f"\n--- above: printed by trial {trial}, trained from {start} on ---\n"


class Marks:
    """Writes marks to the standard output of a worker if the output is the worker's log."""

    def __init__(self) -> None:
        try:
            self._is_log = stat.S_ISREG(os.fstat(_STDOUT).st_mode)
        except OSError:
            self._is_log = False
        self._place = 0
        self._place = self._current_place()

    def after(self, trial: TrialId, start: int) -> None:
        """Write the mark of a trial that was trained from resource ``start`` on, if the trial
        printed anything.
        """
        if not self._is_log:
            return
        try:  # noqa: SIM105 - this runs after every trial, and suppress() is five times slower
            sys.stdout.flush()
        except (OSError, ValueError):
            # The training function may have replaced or closed standard output.
            pass
        if self._current_place() != self._place:
            os.write(_STDOUT, mark_of(trial, start).encode())
            self._place = self._current_place()

    def _current_place(self) -> int:
        """Return the current position in the standard output. Reading the size of the file would
        take longer.
        """
        try:
            return os.lseek(_STDOUT, 0, os.SEEK_CUR)
        except OSError:
            # The training function has closed standard output, or standard output is not a file.
            return self._place


def read_printed(
    study: Path,
    trial: TrialId,
    *,
    workers: Collection[int] | None = None,
    most: int | None = None,
    disk: Disk = DISK,
) -> list[str]:
    """Return the printed output of a trial, one text for each finished job, in ascending order of
    the jobs' starts.

    By default, the logs of all workers are read. A log that is not a regular file is ignored.
    ``most`` is the largest number of bytes per job. If an output is longer, its beginning is left
    out.

    Raises:
        OSError: If a log cannot be read.
    """
    folder = str(study / FOLDER)
    parts = list[tuple[int, str]]()
    for name, worker in _logs(folder, disk).items():
        path = f"{folder}/{name}"
        if (workers is not None and worker not in workers) or not disk.status(path).is_file:
            continue
        file = disk.open(path, os.O_RDONLY)
        try:
            if disk.size(file):
                with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as text:
                    parts += _parts(text, trial, most)
        finally:
            disk.close(file)
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def _logs(folder: str, disk: Disk) -> dict[str, int]:
    """Return a dict from the name of each log file to its worker. If the folder does not exist or
    is a link, the dict is empty.
    """
    try:
        names = disk.names(folder) if disk.status(folder).is_folder else []
    except FileNotFoundError:
        names = []
    return {name: int(match[1]) for name in names if (match := _LOG.fullmatch(name))}


def unmarked_end(log: str) -> str:
    """Return the text after the last mark of a log, which is the output of a lost worker's last
    trial.
    """
    return log[max((mark.end() for mark in re.finditer(_MARK.pattern.decode(), log)), default=0) :]


def _parts(text: mmap.mmap, trial: TrialId, most: int | None) -> Iterator[tuple[int, str]]:
    """Yield (start, printed text) for each finished job of a trial in a log."""
    begin = 0
    for mark in _MARK.finditer(text):
        if int(mark[1]) == trial:
            first = begin if most is None else max(begin, mark.start() - most)
            yield int(mark[2]), text[first : mark.start()].decode(errors="replace")
        begin = mark.end()
