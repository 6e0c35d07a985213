"""One local worker process, as the driver holds it."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ashtune.engines.frames import FrameReader, write_all
from ashtune.jobs import WorkerId

DISMISS_SECONDS = 2.0
LAST_WORDS_BYTES = 1 << 16
LAUNCHER_PREFIXES = (
    "PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_LOCAL", "MPIEXEC_", "PALS_", "SLURM_STEP",
)  # fmt: skip
LAUNCHER_VARIABLES = (
    "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE",
)  # fmt: skip


class WorkerProcess:
    """A child process in a session of its own, so that Ctrl-C reaches the driver alone.

    Args:
        worker: Its number.
        log: File that takes its stdout and stderr.
        environment: Added to the driver's own.
    """

    def __init__(self, worker: WorkerId, log: Path, environment: Mapping[str, str]) -> None:
        self.worker = worker
        self.log = log
        self.environment = environment
        self.has_joined = False
        self._socket, theirs = socket.socketpair()
        root = str(Path(__file__).parents[2])
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([inherited, root] if inherited else [root])
        with log.open("ab") as output, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ashtune.engines.worker", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**without_launcher(), **environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            )
        self.file = self._socket.fileno()
        self.reader = FrameReader(self.file)

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    @property
    def has_more(self) -> bool:
        """Whether there is something to read from it."""
        poll = select.poll()  # select() itself refuses file descriptors above 1,023
        poll.register(self.file, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Send a frame; a worker that is gone is noticed when it is read from."""
        with suppress(ConnectionError):
            write_all(self.file, frame)

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Close the connection: an idle worker leaves by itself."""
        self._socket.close()

    def end(self, seconds: float = DISMISS_SECONDS) -> str:
        """Make sure the process is gone, killed after some seconds; return how it ended, in words."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        self.kill()  # what the training function may have started
        self._socket.close()
        if code < 0:
            return f"killed by {_signal_name(-code)}"
        return f"left with exit status {code}"

    def last_words(self, lines: int = 40) -> str:
        """Return the end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def without_launcher() -> dict[str, str]:
    """Return the environment without what says that this process is one rank of many: the worker is none.

    A library that asks, as MPI or a trainer for many nodes does, would take it for the rank.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(LAUNCHER_PREFIXES) and name not in LAUNCHER_VARIABLES
    }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
