"""The guardian: a small process between the driver and one worker, which ends all that the worker has started.

Started as ``python -m`` with this module, FILE_DESCRIPTOR and DRIVER. On Linux it forks the worker and stays
its parent. A process whose parent ends becomes the guardian's child (``PR_SET_CHILD_SUBREAPER`` in prctl(2)), so all
that training has started descends from the guardian. When the worker or the driver ends, however they end, it kills all
of that, and ends as the worker did. Elsewhere there is no guardian: this process becomes the worker.

Rule 1: it forks before anything large is imported, and does nothing but wait after.
Rule 2: it hears of its children's ends and :func:`end_signal`, which the kernel sends when the driver dies. All other
signals wait for ever: Ctrl-C and a batch system's are for the driver.
"""

import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from typing import NoReturn

END_SECONDS = 5.0
"""How long to wait for killed processes to be gone: one that waits for a disk that is gone may take for ever."""

MODULE = "ashtune._src.engines.worker.guardian"
"""What to start: as the program itself, this module's own name is another one."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36


def is_available() -> bool:
    """Whether workers have guardians on this system."""
    return sys.platform == "linux"


def end_signal() -> int:
    """Return the signal that has a guardian end all: a real-time one, which no batch system sends."""
    return signal.SIGRTMIN


def main() -> None:
    """Guard a worker, or become it. The command line names the file descriptor to the driver, and the driver."""
    file, parent = int(sys.argv[1]), int(sys.argv[2])
    if is_available():
        parent = _fork_the_worker(file, driver=parent)
    from ashtune._src.engines.worker.serve import main as serve

    serve(file, parent)


def _fork_the_worker(file: int, *, driver: int) -> int:
    """Return the guardian's number, in the worker; the guardian does not return."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where the driver ignores it, no end could be waited for
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
        prctl(_PR_SET_DUMPABLE, 0)  # a core file, if any, is to be the worker's
        _end_like(status)
    os.setsid()  # what is sent to the worker's group or session does not reach the guardian
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return guardian


def _wait_for_the_end(worker: int) -> int:
    """Wait until the worker has ended, or shall; return how it ended, as waitpid(2) has it."""
    while signal.sigwait({signal.SIGCHLD, end_signal()}) == signal.SIGCHLD:
        for child, status in _ended_children():
            if child == worker:
                return status
    return signal.SIGKILL


def _ended_children() -> list[tuple[int, int]]:
    """Return the children that have ended since the last call, and how."""
    ended = []
    with suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(child)
        return ended
    if not ended:
        raise ChildProcessError
    return ended


def _end_all_descendants() -> None:
    """Kill them, and those that they start meanwhile, until none is left.

    It gives up only after it has killed all that it sees, however late it was given the processor.
    """
    give_up = time.monotonic() + END_SECONDS
    with suppress(ChildProcessError):  # the way out: no children are left, so no descendants
        while True:
            if not _ended_children():
                for pid in _descendants(os.getpid()):
                    with suppress(OSError):  # it has ended meanwhile, or is another user's
                        os.kill(pid, signal.SIGKILL)
                if time.monotonic() >= give_up:
                    return
                signal.sigtimedwait({signal.SIGCHLD}, 0.05)


def _descendants(ancestor: int) -> list[int]:
    """Return the numbers of all processes that descend from a process."""
    children = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                children[int(file.read().rpartition(b")")[2].split()[1])].append(int(name))
    descendants = children[ancestor]
    for pid in descendants:  # it grows meanwhile
        descendants += children[pid]
    return descendants


def _end_like(status: int) -> NoReturn:
    """End as the worker did, so that the driver finds what it would find without a guardian."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
