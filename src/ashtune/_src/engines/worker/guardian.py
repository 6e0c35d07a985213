"""The guardian of one worker: when the worker ends, the guardian ends all processes that the worker
has started.

The driver starts the guardian as
``python -m ashtune._src.engines.worker.guardian FILE_DESCRIPTOR DRIVER RANKS``. On Linux the
guardian forks the worker and remains the worker's parent. If several processes train each trial,
the guardian forks all of them: the worker is rank 0, and the end of any rank is the end of the
worker. A process whose parent ends becomes a child of the guardian (``PR_SET_CHILD_SUBREAPER`` in
prctl(2)). All processes that the worker starts therefore stay descendants of the guardian. When the
worker or the driver ends, the guardian kills all its descendants, and ends with the worker's exit
status. On systems other than Linux, the started process is the worker itself.

Rule 1: the guardian forks before it imports a large module. After the fork, the guardian only
waits.
Rule 2: the guardian handles only two signals. The kernel sends SIGCHLD when a child ends, and
:func:`end_signal` when the driver dies. The guardian blocks all other signals, because Ctrl-C and a
batch system's signals are for the driver.
"""

# Decision 17 (docs/decisions/0017-a-guardian-for-each-worker.md).

import os
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

from ashtune._src.processes.memory import ProcessTable

END_SECONDS = 5.0
"""The longest wait for killed processes to end, as a process that waits for a lost disk may never
end.
"""

MODULE = "ashtune._src.engines.worker.guardian"
"""The name of this module for ``python -m``, because ``__name__`` is "__main__" in the program."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def is_available() -> bool:
    """Return whether workers have guardian processes on this operating system."""
    return sys.platform == "linux"


def end_signal() -> int:
    """Return the signal that makes a guardian end all processes. No batch system sends this
    real-time signal.
    """
    return signal.SIGRTMIN


def main() -> None:
    """Run a worker, on Linux under a guardian.

    ``sys.argv`` has a file descriptor, the driver's process number, and the number of processes
    that train each trial.
    """
    file, parent, ranks = (int(argument) for argument in sys.argv[1:])
    rank = 0
    files = [file]
    if is_available():
        parent, rank, files = _fork_the_worker(file, driver=parent, ranks=ranks)
    else:
        ranks = 1
    from ashtune._src.engines.worker.serve import main as serve

    serve(files, parent, rank=rank, size=ranks)


def _fork_the_worker(file: int, *, driver: int, ranks: int) -> tuple[int, int, list[int]]:
    """Fork the worker, and its other ranks. The guardian never returns.

    Returns:
        In each rank, the guardian's process number, the rank, and its connections. Rank 0 has
        connections to the driver and to the other ranks. Any other rank has a connection to rank 0.
    """
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it stayed ignored, waitpid() would not work
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    prctl(_PR_SET_PDEATHSIG, end_signal())
    if os.getppid() != driver:
        os._exit(1)
    guardian = os.getpid()
    files = _connections(file, ranks)
    of_all = {each for own in files for each in own}
    workers: dict[int, int] = {}
    for rank, own in enumerate(files):
        worker = os.fork()
        if worker == 0:
            for other in of_all.difference(own):
                os.close(other)
            os.setsid()  # signals to the worker's group or session do not reach the guardian
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return guardian, rank, own
        workers[worker] = rank
    for each in of_all:
        os.close(each)
    status = _wait_for_the_end(workers)
    _end_all_descendants()
    prctl(_PR_SET_DUMPABLE, 0)  # only the worker may leave a core file
    return _end_like(status)


def _connections(file: int, ranks: int) -> list[list[int]]:
    """Return the file descriptors of each rank. ``file`` is rank 0's connection to the driver."""
    files = [[file]]
    if ranks > 1:
        import socket

        for _ in range(1, ranks):
            here, there = socket.socketpair()
            files[0].append(here.detach())
            files.append([there.detach()])
    return files


def _wait_for_the_end(workers: dict[int, int]) -> int:
    """Wait until a rank of the worker has ended or must be killed. Return its status in the format
    of waitpid(2).

    ``workers`` has the rank of each process. A rank other than 0 is named in the worker's log.
    """
    while signal.sigwait({signal.SIGCHLD, end_signal()}) == signal.SIGCHLD:
        for child, status in _ended_children():
            if child in workers:
                rank = workers[child]
                if rank:
                    os.write(
                        2,
                        f"rank {rank} of {len(workers)} has ended, and with it the "
                        f"worker\n".encode(),
                    )
                return status
    return signal.SIGKILL


def _ended_children() -> list[tuple[int, int]]:
    """Return the process number and status of each child process that has ended since the last
    call.
    """
    ended: list[tuple[int, int]] = []
    try:
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:  # the children that are left are running
                return ended
            ended.append((child, status))
    except ChildProcessError:
        if not ended:
            raise
        return ended


def _end_all_descendants() -> None:
    """Kill all descendants, including new descendants, until none is left or ``END_SECONDS`` have
    passed.

    Each descendant is killed at least once, even if this takes more than ``END_SECONDS``.
    """
    give_up = time.monotonic() + END_SECONDS
    with suppress(ChildProcessError):  # raised when no child is left, and so no descendant
        while True:
            if not _ended_children():
                for pid in ProcessTable().descendants(os.getpid()):
                    with suppress(OSError):  # the process has ended meanwhile, or is another user's
                        os.kill(pid, signal.SIGKILL)
                if time.monotonic() >= give_up:
                    return
                signal.sigtimedwait({signal.SIGCHLD}, 0.05)


def _end_like(status: int) -> NoReturn:
    """End this process with the worker's status, so that the driver sees the same status as without
    a guardian.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
