"""Start a worker process and its guardian on this machine, and exchange data with the worker
process.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.plaintext import without_userinfo
from ashtune._src.core.process import Environment, variables_set_aside
from ashtune._src.engines.stop import SIGNALS
from ashtune._src.engines.worker import guardian
from ashtune._src.processes.child import ChildProcess, module_command, module_environment
from ashtune._src.processes.frames import SendBuffer, read_some
from ashtune._src.study.disk import DISK, append_to, folder_of_a_study

SHUTDOWN_SECONDS = 2.0
LAST_WORDS_CHARACTERS = 1 << 16
SEND_AGAIN_SECONDS = 0.05


class WorkerProcess(ChildProcess):
    """A local worker as a child process. The child has its own session, so that Ctrl-C reaches only
    the driver.

    On Linux the child is the guardian, and the worker is the guardian's child. On other systems the
    child is the worker itself.
    """

    def __init__(self, worker: WorkerId, log: Path, environment: Environment, ranks: int) -> None:
        self.worker = worker
        self.log = log
        self._socket, theirs = socket.socketpair()
        with append_to(log) as output, theirs, _hold_back_signals():
            super().__init__(
                module_command(guardian.MODULE, theirs.fileno(), os.getpid(), ranks),
                {
                    **module_environment(),
                    **environment,
                    **variables_set_aside(),
                    "PYTHONUNBUFFERED": "1",
                },
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
            )
        self._socket.setblocking(False)
        self.file = self._socket.fileno()
        self._unsent = SendBuffer(self.file)

    @property
    def has_more(self) -> bool:
        """Whether the worker has sent data that this process has not read yet."""
        poll = select.poll()  # select() itself refuses file descriptors above 1,023
        poll.register(self.file, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, frame: bytes = b"") -> bool:
        """Send all unsent data, followed by a frame, to the worker. Return False if some data is
        still unsent.

        If the worker is suspended, data may stay unsent. If the worker has ended, only :meth:`read`
        detects this.
        """
        try:
            return self._unsent.send(frame)
        except ConnectionError:
            return True

    def read(self) -> bytes:
        """Return the data that the worker has sent. Raise EOFError if the connection is closed."""
        try:
            return read_some(self.file)
        except BlockingIOError:
            return b""

    def kill(self) -> None:
        """Kill the worker and all processes that the worker has started."""
        if guardian.is_available():
            self._process.send_signal(guardian.end_signal())
            self._process.send_signal(signal.SIGCONT)  # it may have been stopped with its session
        else:
            super().kill()

    def hang_up(self) -> None:
        """Close the connection to the worker. An idle worker without a
        connection ends by itself.
        """
        self._socket.close()

    def end(self, seconds: float = SHUTDOWN_SECONDS) -> str:
        """Wait at most ``seconds`` until the worker ends, then kill it. Return a text about the
        worker's end.
        """
        return super().end(seconds)

    def last_words(self, lines: int = 40) -> str:
        """Return the last lines of the worker's log."""
        try:
            with os.fdopen(DISK.open(str(self.log), os.O_RDONLY), "rb") as file:
                # More bytes are read than are kept: if the beginning of an address were missing,
                # its password would not be found and removed.
                file.seek(max(0, file.seek(0, os.SEEK_END) - 5 * LAST_WORDS_CHARACTERS))
                text = without_userinfo(file.read().decode(errors="replace"))
                return "\n".join(text[-LAST_WORDS_CHARACTERS:].splitlines()[-lines:])
        except OSError:
            return ""


class Host:
    """Starts worker processes on this machine, waits for their messages, and measures time."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._by_file: dict[int, WorkerProcess] = {}
        self._slow: set[WorkerProcess] = set()  # workers with unsent data

    def now(self) -> float:
        """Return the time of a monotonic clock, in seconds."""
        return time.monotonic()

    def start(
        self, worker: WorkerId, logs: Path, environment: Environment, ranks: int
    ) -> WorkerProcess:
        """Start the process of a worker, or its ``ranks`` processes. These processes write their
        output to the worker's own log file.
        """
        folder_of_a_study(logs)
        process = WorkerProcess(worker, logs / f"worker-{worker}.log", environment, ranks)
        self._by_file[process.file] = process
        self._poll.register(process.file, select.POLLIN)
        return process

    def forget(self, process: WorkerProcess) -> None:
        """Stop waiting for data from a worker process."""
        self._poll.unregister(process.file)
        del self._by_file[process.file]
        self._slow.discard(process)

    def send(self, process: WorkerProcess, frame: bytes) -> None:
        """Send as many bytes of a frame as the worker's socket accepts. The other bytes are sent by
        :meth:`ready`.
        """
        if not process.send(frame):
            self._slow.add(process)

    def ready(self, seconds: float) -> list[WorkerProcess]:
        """Wait at most ``seconds`` for data. Return the workers that have
        sent data or have ended.
        """
        if self._slow:
            self._slow = {process for process in self._slow if not process.send()}
            seconds = min(seconds, SEND_AGAIN_SECONDS)
        return [self._by_file[file] for file, _ in self._poll.poll(seconds * 1000)]


@contextmanager
def _hold_back_signals() -> Iterator[None]:
    """Block the signals of a batch system while a process starts. A new process has no signal
    handlers yet.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
