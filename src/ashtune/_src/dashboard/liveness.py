"""Finds the state of a study, and whether the study's driver still runs.

A driver writes nothing to the journal when the driver ends. The journal has the driver's host name
and process number, and the host's operating system lists the running processes.

Rule 1: this module does not try to lock the study, because a driver that starts at the same time
would fail.
Rule 2: if a driver had file locks and has no lock now, the driver's session has ended. A driver
that was never seen with a lock may still run, because some file systems do not list locks. Only
Linux lists locks.
Rule 3: if the process with the driver's number is much younger than the session, the process is not
the driver.
"""

# Theory of operation
# -------------------
# A killed driver writes no last line, so the journal of a running study looks like the journal of a
# study that was killed an hour ago. FollowedStudy asks DriverProcess.is_alive() once a second, and
# state_of() combines the answer with the facts in the journal. The first line that fits decides:
#
#   state     when
#   --------  ------------------------------------------------------------------------------------
#   complete  all jobs that the scheduler requested are done, even if the driver has ended
#   running   no session has begun
#   stopped   simulated; or a limit or the user stopped it and no job runs; or the driver has ended,
#             no job runs, and the scheduler is not installed here
#   died      its driver has ended before the study was complete
#   running   it is stopping, or paused
#   quiet     the driver is on another machine, and nothing was written for QUIET_SECONDS or for
#             QUIET_TIMES its longest pause so far
#   running   else
#
# FollowedStudy has three more, for a journal that is not read: missing, unreadable, reading.
#
# "quiet" does not mean dead: a job of an hour writes nothing for an hour. Therefore the limit grows
# with the longest pause. Decision 38 (docs/decisions/0038-the-live-page.md) explains the limit of
# two minutes.
#
# What makes is_alive() wrong, and what is done about it:
#
#   the number is another process's now  a lock that was seen and is gone, else the process's age
#   /proc/locks misses a lock            LOOKS_WITHOUT checks in a row
#   /proc hides others' processes        kill(pid, 0): a PermissionError means that it is there
#   the clock was set                    YOUNGER_SECONDS; the age is counted from the machine's
#                                        start
#   it has ended, its parent waits not   a zombie counts as ended
#   containers with the same host name   not found out: the number means another process there, and
#                                        the page says "died". The journal still grows on the page

import os
import socket
import time
from collections.abc import Set
from pathlib import Path
from typing import Literal

import msgspec

from ashtune._src.core.events import SessionStarted
from ashtune._src.core.numbers import seconds_text
from ashtune._src.core.plaintext import one_line
from ashtune._src.study.disk import LINUX

State = Literal[
    "missing", "unreadable", "reading", "running", "complete", "stopped", "died", "quiet"
]
# Decision 38 (docs/decisions/0038-the-live-page.md).
QUIET_SECONDS = 120.0
"""The seconds without news after which a driver on another machine is quiet, if the driver had no
long pauses.
"""
QUIET_TIMES = 3.0
YOUNGER_SECONDS = 600.0
"""A process must be younger than a session by more than these seconds, because clocks may be
adjusted.
"""
LOOKS_WITHOUT = 2
"""The number of checks without a lock after which the lock is gone. Linux's list of locks may miss
a lock.
"""
_GONE = ("Z", "X")


class Standing(msgspec.Struct, frozen=True):
    """The state of a study, a text about this state, and the state of the study's driver.

    ``is_alive`` is None if the driver's state is unknown. ``quiet_seconds`` is the time since the
    journal last grew. ``share_read`` is the share of the journal that is read. ``share_caught_up``
    is the share of the journal that has been read a second time. ``control`` is True if the driver
    accepts the page's commands.
    """

    state: State = "missing"
    text: str = ""
    is_alive: bool | None = None
    quiet_seconds: float = 0.0
    share_read: float = 0.0
    share_caught_up: float = 0.0
    control: bool = False


class DriverProcess:
    """The process of a session's driver.

    Args:
        session: The journal's record of the session.
    """

    def __init__(self, session: SessionStarted) -> None:
        self._session = session
        self._has_held_a_lock = False
        self._looks_without = 0

    def is_alive(self) -> bool | None:
        """Return whether the driver still runs. If the driver runs on another machine, return None.

        Call this method repeatedly: if only one call finds no lock, the driver may still run.
        """
        session = self._session
        if session.host != socket.gethostname() or session.pid <= 0:
            return None
        if not is_process_alive(session.pid):
            return False
        if session.pid in lock_holders():
            self._has_held_a_lock = True
            self._looks_without = 0
            return True
        if self._has_held_a_lock:
            self._looks_without += 1
            return self._looks_without < LOOKS_WITHOUT
        age = _age_of(session.pid)
        return age is None or age + YOUNGER_SECONDS > time.time() - session.unix_time


def is_process_alive(pid: int) -> bool:
    """Return whether a process of this machine runs. A zombie process has ended, so it does not
    run.
    """
    if pid <= 0:
        return False
    if LINUX:
        try:
            return _stat_of(pid)[0] not in _GONE
        except (OSError, IndexError):
            pass  # ended, or hidden as the processes of other users are
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def lock_holders() -> Set[int]:
    """Return the process numbers of this machine's processes that have file locks."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return frozenset()
    # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:131073 0 EOF; a waiting process has "->" after the number
    fields = [line.split() for line in lines]
    return {int(words[4]) for words in fields if len(words) > 4 and words[4].isdigit()}


def _stat_of(pid: int) -> list[str]:
    """Return the fields of a process in ``/proc``, beginning with the field "state"."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _age_of(pid: int) -> float | None:
    try:
        began = int(_stat_of(pid)[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - began
    except (OSError, IndexError, ValueError):
        return None


class ReadStudy(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a study whose journal has been read to the end.

    The study's scheduler gives ``is_complete`` and ``stopping``. If the scheduler is unknown,
    ``is_known`` is False. ``is_paused`` is True if the user paused the study. ``is_busy`` is True
    if jobs were running at the journal's end. ``quiet_seconds`` is the time since the journal last
    grew. ``longest_pause`` is the longest time between two events.
    """

    directory: str
    session: SessionStarted | None
    is_simulated: bool
    is_known: bool
    is_complete: bool
    stopping: str
    is_busy: bool
    is_alive: bool | None
    quiet_seconds: float
    longest_pause: float
    is_paused: bool = False
    has_workers: bool = True


def state_of(study: ReadStudy) -> tuple[State, str]:  # noqa: PLR0911 - one for each state, in order
    """Return the state of a study, and a text about this state."""
    session = study.session
    if study.is_known and study.is_complete:
        return "complete", "complete"
    if session is None:
        return "running", "no driver has begun yet"
    if study.is_simulated:
        return "stopped", "the simulation ended before the study was complete"
    if study.stopping and not study.is_busy:
        return "stopped", one_line(
            f"stopped: {study.stopping}; continue with ashtune resume {study.directory}"
        )
    if study.is_alive is False and not study.is_known and not study.is_busy:
        return (
            "stopped",
            "the driver has ended; it is unknown whether the study is complete: its scheduler "
            "cannot be loaded",
        )
    if study.is_alive is False:
        return "died", _gone(study, session)
    if study.stopping:
        return "running", one_line(f"stopping: {study.stopping}")
    limit = max(QUIET_SECONDS, QUIET_TIMES * study.longest_pause)
    if study.is_paused:
        return "running", "paused: no job begins until the study is continued"
    if study.is_alive is None and study.quiet_seconds > limit:
        return "quiet", one_line(
            f"no news of the driver on {session.host} for {seconds_text(study.quiet_seconds)}; "
            "this machine cannot tell whether the driver still runs"
        )
    text = f"driven by process {session.pid} on "
    text += "this machine" if study.is_alive else one_line(session.host, 57)
    if not study.has_workers:
        text = f"waiting for workers; {text}"
    return "running", text


def _gone(study: ReadStudy, session: SessionStarted) -> str:
    what = "and it is unknown whether the study is complete"
    if study.is_known:
        what = "before the study was complete"
    return one_line(
        f"the driver, process {session.pid} on this machine, has ended {what}; continue with "
        f"ashtune resume {study.directory}"
    )
