"""Programs side by side, of which one runs at a time: SIGSTOP and SIGCONT give the cores to one,
then to the other.

The speed of a shared machine changes by half within minutes. What ran in neighbouring moments can
be compared.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def processes_of(ancestor: int) -> list[int]:
    """Return the numbers of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [ancestor]
    for pid in found:
        found += children.get(pid, [])
    return found


def tell(group: Sequence[int], what: signal.Signals) -> None:
    """Send a signal to each process of a group that is still there."""
    for pid in group:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


def seconds_in_turns(commands: Sequence[Sequence[str]], *, turn: float = 1.0) -> list[float]:
    """Run commands to their ends, in turns of some seconds; return how long each of them had the
    cores.
    """
    started: list[subprocess.Popen[bytes] | None] = [None] * len(commands)
    used = [0.0] * len(commands)
    ended = [False] * len(commands)
    try:
        while not all(ended):
            for at, command in enumerate(commands):
                if ended[at]:
                    continue
                began = time.perf_counter()
                process = started[at]
                if process is None:
                    process = started[at] = subprocess.Popen(command)
                else:
                    tell(processes_of(process.pid), signal.SIGCONT)
                with suppress(subprocess.TimeoutExpired):
                    ended[at] = process.wait(turn) is not None
                if not ended[at]:
                    tell(processes_of(process.pid), signal.SIGSTOP)
                used[at] += time.perf_counter() - began
    finally:
        for process in started:
            if process is not None and process.poll() is None:
                group = processes_of(process.pid)
                tell(group, signal.SIGKILL)
    if any(process is None or process.returncode for process in started):
        raise RuntimeError(f"one of {commands} failed")
    return used
