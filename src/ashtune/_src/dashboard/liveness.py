"""Whether a study's driver still works, and in which state the study is.

A driver says nothing when it ends. What is known is the journal, which names the driver's host and process, and, on the
driver's own machine, that process.

Rule 1: the study's lock is not tried: for that moment it would keep a driver out that starts.
Rule 2: a process that held locks of files and holds none any more drives no study: its session has ended. One that was
never seen to hold any may have them on a file system that does not tell. Only Linux tells at all.
Rule 3: a process that is much younger than the session has the number of one that is gone.
"""

import os
import socket
import sys
import time
from collections.abc import Set
from pathlib import Path
from typing import Literal

import msgspec

from ashtune._src.core.events import SessionStarted
from ashtune._src.core.numbers import seconds_text
from ashtune._src.core.plaintext import one_line

State = Literal["missing", "unreadable", "reading", "running", "complete", "stopped", "died", "quiet"]
QUIET_SECONDS = 120.0
"""Of a driver on another machine: after so long without news, and three times the longest pause so far, it is quiet."""
QUIET_TIMES = 3.0
_LINUX = sys.platform == "linux"
YOUNGER_SECONDS = 600.0
"""Clocks are set, so a process counts as younger than a session only if it is so by more than that."""
LOOKS_WITHOUT = 2
"""So often in a row no lock is seen before there is none: Linux lists locks page by page, while others come and go."""
_GONE = ("Z", "X")


class Standing(msgspec.Struct, frozen=True):
    """How a study stands: its state, in words too, and what is known of its driver.

    ``is_alive`` is None where nobody knows. ``quiet_seconds`` have passed since the journal grew. ``share_read`` is how
    much of the journal is read, ``share_caught_up`` how much of it a second time, for who has which job. ``control``:
    the driver takes commands from here.
    """

    state: State = "missing"
    text: str = ""
    is_alive: bool | None = None
    quiet_seconds: float = 0.0
    share_read: float = 0.0
    share_caught_up: float = 0.0
    control: bool = False


class DriverProcess:
    """The driver of a session, as this machine sees it.

    Args:
        session: What the journal says of it.
    """

    def __init__(self, session: SessionStarted) -> None:
        self._session = session
        self._has_held_a_lock = False
        self._looks_without = 0

    def is_alive(self) -> bool | None:
        """Return whether it still drives; None where that cannot be known, as on another machine.

        It is asked again and again: that a lock is gone counts from the second look on.
        """
        session = self._session
        if session.host != socket.gethostname() or session.pid <= 0:
            return None
        if not is_process_alive(session.pid):
            return False
        if session.pid in lock_holders():
            self._has_held_a_lock, self._looks_without = True, 0
            return True
        if self._has_held_a_lock:
            self._looks_without += 1
            return self._looks_without < LOOKS_WITHOUT
        age = _age_of(session.pid)
        return age is None or age + YOUNGER_SECONDS > time.time() - session.unix_time


def is_process_alive(pid: int) -> bool:
    """Whether a process of this machine runs. One that has ended and was not waited for does not."""
    if pid <= 0:
        return False
    if _LINUX:
        try:
            return _stat_of(pid)[0] not in _GONE
        except (OSError, IndexError):
            pass  # it is gone, or hidden as those of other users
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def lock_holders() -> Set[int]:
    """Return the processes of this machine that hold locks of files, where the system tells."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return frozenset()
    # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:131073 0 EOF, and the same with "->" behind the number for one that waits
    return {int(words[4]) for line in lines if len(words := line.split()) > 4 and words[4].isdigit()}


def _stat_of(pid: int) -> list[str]:
    """Return what Linux says of a process, from its state on: the name before it may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _age_of(pid: int) -> float | None:
    """Return how many seconds ago a process began; None where that is not told."""
    try:
        began = int(_stat_of(pid)[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - began
    except (OSError, IndexError, ValueError):
        return None


class ReadStudy(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a study that has been read to the end of its journal.

    ``is_complete`` and ``stopping`` are what its scheduler says of the journal; ``is_known`` False where it was not
    asked. ``is_paused``: the user paused it. ``is_busy``: jobs were under way at the end of the journal.
    ``quiet_seconds``: since the journal grew; ``longest_pause``: between two of its events.
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


def state_of(study: ReadStudy) -> tuple[State, str]:  # noqa: PLR0911 - one for each state, in order
    """Return the state of a study, and what it means in one sentence."""
    session = study.session
    if study.is_known and study.is_complete:
        return "complete", "complete"
    if session is None:
        return "running", "no driver has begun yet"
    if study.is_simulated:
        return "stopped", "a simulation that ended before it was complete"
    if study.stopping and not study.is_busy:
        return "stopped", one_line(f"stopped: {study.stopping}; go on with ashtune resume {study.directory}")
    if study.is_alive is False and not study.is_known and not study.is_busy:
        return "stopped", "its driver has ended, and whether the study is complete is not known here"
    if study.is_alive is False:
        return "died", _gone(study, session)
    if study.stopping:
        return "running", one_line(f"stopping: {study.stopping}")
    limit = max(QUIET_SECONDS, QUIET_TIMES * study.longest_pause)
    if study.is_paused:
        return "running", "paused: no job begins until it is continued"
    if study.is_alive is None and study.quiet_seconds > limit:
        return "quiet", one_line(
            f"no news for {seconds_text(study.quiet_seconds)}, and the driver is on {session.host}: whether it still "
            "runs is not known here"
        )
    where = "on this machine" if study.is_alive else one_line(f"on {session.host}", 60)
    return "running", f"driven by process {session.pid} {where}"


def _gone(study: ReadStudy, session: SessionStarted) -> str:
    what = "before the study was complete" if study.is_known else "and whether the study is complete is not known here"
    return one_line(
        f"the driver, process {session.pid} on this machine, has ended {what}; go on with ashtune resume "
        f"{study.directory}"
    )
