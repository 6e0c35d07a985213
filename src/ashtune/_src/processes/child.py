"""Starts child processes, each in its own session, so that Ctrl-C does not reach the children.

A child may start other processes. These may run longer than the child and keep the child's pipes
open. Therefore the end of a child is detected from its process, not from its pipes. A module that
calls :func:`serve` reads frames from stdin and writes frames to stdout. All other output of the
module is written to stderr.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ashtune._src.core.errors import EngineError
from ashtune._src.core.process import Environment, environment_now
from ashtune._src.processes.frames import READ_BYTES, FrameReader, read_some, write_all

LOOK_SECONDS = 0.5
"""While the pipes of a child transfer no data, this many seconds pass between two checks whether
the child is alive.
"""
KILLED_SECONDS = 7.0
"""The maximum time to wait for the end of a killed child. A child that waits for a lost disk may
never end.
"""
LAUNCHER_PREFIXES = (
    "PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_LOCAL", "MPIEXEC_", "PALS_",
    "SLURM_STEP",
)  # fmt: skip
LAUNCHER_VARIABLES = (
    "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE",
    "SLURM_TASKS_PER_NODE",
)  # fmt: skip


def module_command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def module_environment() -> dict[str, str]:
    """Return the environment for a module of this package."""
    return {**without_launcher(), "PYTHONPATH": _python_path()}


def _python_path() -> str:
    """Return a ``PYTHONPATH`` with the folders of this process, followed by the folder of this
    package.
    """
    package = sys.modules[__name__.partition(".")[0]]
    own = str(Path(package.__path__[0]).parent)
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([inherited, own] if inherited else [own])


def without_launcher() -> dict[str, str]:
    """Return the environment without the variables that a launcher, such as mpiexec or srun, sets
    for a rank.

    With a launcher's variables, MPI or another library in the child would treat the child as a
    rank.
    """
    return {
        name: value
        for name, value in environment_now().items()
        if not name.startswith(LAUNCHER_PREFIXES) and name not in LAUNCHER_VARIABLES
    }


class ChildProcess:
    """A child process with its pipes. The arguments are the arguments of :class:`subprocess.Popen`.

    Raises:
        OSError: If the process cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Environment,
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
        pass_fds: Collection[int] = (),
        folder: str | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=stdin, stdout=stdout, stderr=stderr,
            pass_fds=pass_fds,
            bufsize=0, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def read_output(self, seconds: float, most: int = READ_BYTES) -> bytes | None:
        """Return the next output of the process. Return b"" at the end of the output, and None if
        nothing arrives within ``seconds``.
        """
        assert self._process.stdout is not None, "the process was started with a pipe"
        file = self._process.stdout.fileno()
        poll = select.poll()  # select() refuses file descriptors above 1,023
        poll.register(file, select.POLLIN)
        return os.read(file, most) if poll.poll(seconds * 1000) else None

    def read_line(self, seconds: float) -> str:
        """Return the next line of the process's output, or the part of the line that arrives within
        ``seconds``.
        """
        line = b""
        until = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            part = self.read_output(max(0.0, until - time.monotonic()))
            if not part:
                break
            line += part
        return line.decode(errors="replace").strip()

    def result(self, seconds: float) -> tuple[int, str, str]:
        """Wait for the end of the process. Return the exit status, stdout and stderr of the
        process.

        Raises:
            subprocess.TimeoutExpired: If the process takes longer than ``seconds``.
        """
        printed, complained = (
            text.decode(errors="replace") for text in self._process.communicate(timeout=seconds)
        )
        return self._process.returncode, printed, complained

    def wait(self) -> int:
        """Wait for the end of the process. Return its exit status. If a signal killed the process,
        return minus the signal's number.
        """
        return self._process.wait()

    def exchange(self, message: bytes, seconds: float) -> bytes | None:
        """Send a message, and return the body of the answer. Return None if the process has ended.

        Raises:
            EOFError, ConnectionError: If the pipe breaks. This can happen even if the process has
                ended.
            TimeoutError: If the answer takes longer than ``seconds``.
        """
        assert self._process.stdin is not None and self._process.stdout is not None, (
            "the process was started with pipes"
        )
        hears = self._process.stdin.fileno()
        says = self._process.stdout.fileno()
        os.set_blocking(hears, False)
        poll = select.poll()
        unsent = bytearray(message)
        reader = FrameReader()
        poll.register(hears, select.POLLOUT)
        poll.register(says, select.POLLIN)
        until = time.monotonic() + seconds
        left = seconds
        while left > 0:
            ready = dict(poll.poll(min(left, LOOK_SECONDS) * 1000))
            if not ready and self.is_dead:
                return None
            if hears in ready:
                del unsent[: os.write(hears, unsent)]
                if not unsent:
                    poll.unregister(hears)
            if says in ready:
                bodies = reader.take(read_some(says))
                if bodies:
                    return bodies[0]
            left = until - time.monotonic()
        raise TimeoutError(f"the process did not finish within {seconds:g} s, and was stopped")

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill the process and all processes of its process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Close the pipes to the process."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def end(self, seconds: float = 0.0) -> str:
        """Wait up to ``seconds`` for the process, then kill its process group. Return a text that
        says how the process ended.
        """
        self._wait(seconds)
        self.kill()  # this also kills the remaining children of the process
        self._wait(KILLED_SECONDS)
        if not self.is_dead:  # the group could not be killed, for example under a debugger
            self._process.kill()
            self._wait(KILLED_SECONDS)
        self.hang_up()
        status = self._process.returncode
        if status is None:
            return "is not gone"
        if status < 0:
            return f"killed by {_signal_name(-status)}"
        return f"left with exit status {status}"

    def _wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class AnsweringChild:
    """A module that answers messages in a child process.

    A message starts the child if no child is alive. The module's function ``main`` must call
    :func:`serve`. Messages from several threads are sent one after another.
    """

    def __init__(self, module: str, variables: Environment) -> None:
        self._module = module
        self._variables = variables
        self._asking = threading.Lock()
        self._child: ChildProcess | None = None
        self.is_closed = False

    def ask(
        self, message: Callable[[bool], bytes], seconds: float = threading.TIMEOUT_MAX
    ) -> bytes | None:
        """Return the body of the answer. Return None if the child died before it answered, or if
        this object is closed.

        ``message`` is a function that returns the frames to send. Its argument is True if the child
        is new. If another thread's message is not answered yet, :meth:`ask` first waits up to
        ``seconds`` for that answer. Then it waits up to ``seconds`` for its own answer.

        Raises:
            TimeoutError: If one of these answers takes longer. If the child does not answer this
                message in time, the child is killed.
        """
        if not self._asking.acquire(timeout=seconds):
            raise TimeoutError(
                f"an earlier question is not yet answered after {seconds:g} s; ask again later"
            )
        body = None
        try:
            body = self._answer(message, seconds)
        except (ConnectionError, EOFError, EngineError):
            pass
        finally:
            if body is None:
                self._end()
            self._asking.release()
        return body

    def close(self) -> None:
        """End the child, without waiting for a pending answer."""
        self.is_closed = True
        child = self._child  # another thread may set the attribute to None at any time
        if child is not None:
            child.kill()
        with self._asking:
            self._end()

    def _answer(self, message: Callable[[bool], bytes], seconds: float) -> bytes | None:
        child = self._child
        is_new = False
        if not self.is_closed and (child is None or child.is_dead):
            self._end()
            is_new = True
            environment = {**module_environment(), **self._variables}
            # The module is run without -m, because a pickle puts names of the user's script into
            # __main__.
            command = [sys.executable, "-P", "-c", f"from {self._module} import main; main()"]
            child = self._child = ChildProcess(command, environment, stdin=subprocess.PIPE)
        # close() may have been called before the child was started
        if child is None or self.is_closed:
            return None
        return child.exchange(message(is_new), seconds)

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer messages of the parent process, until the parent closes the pipe.

    ``answer`` is a function that takes the body of a frame. It returns the frame of the answer, or
    b"" for no answer.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    reader = FrameReader()
    with suppress(EOFError):
        while True:
            for body in reader.take(read_some(0)):
                write_all(answers, answer(body))
