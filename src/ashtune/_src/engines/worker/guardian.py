"""The guardian of one worker: when the worker ends, the guardian ends all processes that the worker has started.

The driver starts the guardian as ``python -m ashtune._src.engines.worker.guardian FILE_DESCRIPTOR DRIVER``. On Linux
the guardian forks the worker and remains the worker's parent. A process whose parent ends becomes a child of the
guardian (``PR_SET_CHILD_SUBREAPER`` in prctl(2)). All processes that the worker starts therefore stay descendants of
the guardian. When the worker or the driver ends, the guardian kills all its descendants, and ends with the worker's
exit status. On systems other than Linux, the started process is the worker itself.

Rule 1: the guardian forks before it imports a large module. After the fork, the guardian only waits.
Rule 2: the guardian handles only two signals. The kernel sends SIGCHLD when a child ends, and :func:`end_signal` when
the driver dies. The guardian blocks all other signals, because Ctrl-C and a batch system's signals are for the driver.
"""

import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from typing import NoReturn

END_SECONDS = 5.0
"""The longest wait for killed processes to end, as a process that waits for a lost disk may never end."""

MODULE = "ashtune._src.engines.worker.guardian"
"""The name of this module for ``python -m``, because ``__name__`` is "__main__" in the program."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36


def is_available() -> bool:
    """Return whether workers have guardian processes on this operating system."""
    return sys.platform == "linux"


def end_signal() -> int:
    """Return the signal that makes a guardian end all processes. No batch system sends this real-time signal."""
    return signal.SIGRTMIN


def main() -> None:
    """Run a worker, on Linux under a guardian. ``sys.argv`` has a file descriptor and the driver's process number."""
    file, parent = int(sys.argv[1]), int(sys.argv[2])
    if is_available():
        parent = _fork_the_worker(file, driver=parent)
    from ashtune._src.engines.worker.serve import main as serve

    serve(file, parent)


def _fork_the_worker(file: int, *, driver: int) -> int:
    """Fork the worker, and return the guardian's process number in the worker. The guardian never returns."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it stayed ignored, waitpid() would not work
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    prctl(_PR_SET_PDEATHSIG, end_signal())
    if os.getppid() != driver:
        os._exit(1)
    guardian = os.getpid()
    worker = os.fork()
    if worker != 0:
        os.close(file)
        status = _wait_for_the_end(worker)
        _end_all_descendants()
        prctl(_PR_SET_DUMPABLE, 0)  # only the worker may leave a core file
        _end_like(status)
    os.setsid()  # signals to the worker's group or session do not reach the guardian
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return guardian


def _wait_for_the_end(worker: int) -> int:
    """Wait until the worker has ended or must be killed. Return the worker's status in the format of waitpid(2)."""
    while signal.sigwait({signal.SIGCHLD, end_signal()}) == signal.SIGCHLD:
        for child, status in _ended_children():
            if child == worker:
                return status
    return signal.SIGKILL


def _ended_children() -> list[tuple[int, int]]:
    """Return the process number and status of each child process that has ended since the last call."""
    ended = []
    with suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(child)
        return ended
    if not ended:
        raise ChildProcessError
    return ended


def _end_all_descendants() -> None:
    """Kill all descendants, including new descendants, until none is left or ``END_SECONDS`` have passed.

    Each descendant is killed at least once, even if this takes more than ``END_SECONDS``.
    """
    give_up = time.monotonic() + END_SECONDS
    with suppress(ChildProcessError):  # raised when no child is left, and so no descendant
        while True:
            if not _ended_children():
                for pid in _descendants(os.getpid()):
                    with suppress(OSError):  # the process has ended meanwhile, or is another user's
                        os.kill(pid, signal.SIGKILL)
                if time.monotonic() >= give_up:
                    return
                signal.sigtimedwait({signal.SIGCHLD}, 0.05)


def _descendants(ancestor: int) -> list[int]:
    children = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                children[int(file.read().rpartition(b")")[2].split()[1])].append(int(name))
    descendants = children[ancestor]
    for pid in descendants:  # the list grows during the loop
        descendants += children[pid]
    return descendants


def _end_like(status: int) -> NoReturn:
    """End this process with the worker's status, so that the driver sees the same status as without a guardian."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
