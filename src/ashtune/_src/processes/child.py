"""A child process, of this package or of any program, in a session of its own: Ctrl-C does not reach it.

What a child has started may outlive it and hold its pipes open, so the process is asked whether it has ended. A module
that answers (:func:`serve`) takes frames on stdin and writes frames on stdout; what else it prints goes to stderr.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ashtune._src.core.errors import EngineError
from ashtune._src.core.process import environment_now
from ashtune._src.processes.frames import READ_BYTES, FrameReader, read_some, write_all

LOOK_SECONDS = 0.5
"""How often to look whether a child lives, while nothing moves in its pipes."""
KILLED_SECONDS = 7.0
"""How long to wait for a child that was killed: one that waits for a disk that is gone may take for ever."""
LAUNCHER_PREFIXES = (
    "PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_LOCAL", "MPIEXEC_", "PALS_", "SLURM_STEP",
)  # fmt: skip
LAUNCHER_VARIABLES = (
    "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE",
)  # fmt: skip


def module_command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def module_environment() -> dict[str, str]:
    """Return the environment for a module of this package."""
    return {**without_launcher(), "PYTHONPATH": _python_path()}


def _python_path() -> str:
    """Return ``PYTHONPATH`` for a process that has to find this package: the folders of this process, then its own."""
    package = sys.modules[__name__.partition(".")[0]]
    own = str(Path(package.__path__[0]).parent)
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([inherited, own] if inherited else [own])


def without_launcher() -> dict[str, str]:
    """Return the environment without what says that this process is one rank of many: a child is none.

    A library that asks, as MPI or a trainer for many nodes does, would take it for the rank.
    """
    return {
        name: value
        for name, value in environment_now().items()
        if not name.startswith(LAUNCHER_PREFIXES) and name not in LAUNCHER_VARIABLES
    }


class ChildProcess:
    """A process, and its pipes, as for :class:`subprocess.Popen`; ``pass_fds`` are file descriptors that it inherits.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
        pass_fds: Collection[int] = (),
        folder: str | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds,
            bufsize=0, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_dead(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def read_output(self, seconds: float, most: int = READ_BYTES) -> bytes | None:
        """Return what it has printed; nothing at the end, None if nothing has come for some seconds."""
        assert self._process.stdout is not None, "it was started with a pipe"
        file = self._process.stdout.fileno()
        poll = select.poll()  # select() itself refuses file descriptors above 1,023
        poll.register(file, select.POLLIN)
        return os.read(file, most) if poll.poll(seconds * 1000) else None

    def read_line(self, seconds: float) -> str:
        """Return the first line that it prints, or as much of it as comes within some seconds."""
        line, until = b"", time.monotonic() + seconds
        while not line.endswith(b"\n") and (part := self.read_output(max(0.0, until - time.monotonic()))):
            line += part
        return line.decode(errors="replace").strip()

    def result(self, seconds: float) -> tuple[int, str, str]:
        """Wait for its end; return its status, what it has printed, and what it has complained.

        Raises:
            subprocess.TimeoutExpired: If it takes longer.
        """
        printed, complained = (text.decode(errors="replace") for text in self._process.communicate(timeout=seconds))
        return self._process.returncode, printed, complained

    def wait(self) -> int:
        """Wait for its end, and return its status; below 0 it is the signal that has killed it."""
        return self._process.wait()

    def exchange(self, message: bytes, seconds: float) -> bytes | None:
        """Send a message, and return the body of the frame that answers it; None if it has ended.

        Raises:
            EOFError, ConnectionError: If it has ended, too.
            TimeoutError: If it takes longer.
        """
        assert self._process.stdin is not None and self._process.stdout is not None, "it was started with pipes"
        hears, says = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(hears, False)
        poll, unsent, reader = select.poll(), bytearray(message), FrameReader()
        poll.register(hears, select.POLLOUT)
        poll.register(says, select.POLLIN)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ready = dict(poll.poll(min(left, LOOK_SECONDS) * 1000))
            if not ready and self.is_dead:
                return None
            if hears in ready:
                del unsent[: os.write(hears, unsent)]
                if not unsent:
                    poll.unregister(hears)
            if says in ready and (bodies := reader.take(read_some(says))):
                return bodies[0]
        raise TimeoutError(f"this takes longer than {seconds:g} s, and was broken off")

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill it and what it has started in its session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Close its pipes."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def end(self, seconds: float = 0.0) -> str:
        """Make sure that it is gone, killed after some seconds; return how it ended, in words."""
        self._wait(seconds)
        self.kill()  # or what it has left behind
        self._wait(KILLED_SECONDS)
        if not self.is_dead:  # it cannot end what it has to end, as where a debugger holds it
            self._process.kill()
            self._wait(KILLED_SECONDS)
        self.hang_up()
        status = self._process.returncode
        if status is None:
            return "is not gone"
        return f"left with exit status {status}" if status >= 0 else f"killed by {_signal_name(-status)}"

    def _wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class AnsweringChild:
    """A module that answers, in a child that is started when it is first asked, and anew when it has died.

    The module's function ``main`` calls :func:`serve`. One thread asks at a time.
    """

    def __init__(self, module: str, variables: Mapping[str, str]) -> None:
        self._module = module
        self._variables = variables
        self._asking = threading.Lock()
        self._child: ChildProcess | None = None
        self.is_closed = False

    def ask(self, message: Callable[[bool], bytes], seconds: float = threading.TIMEOUT_MAX) -> bytes | None:
        """Return the body of the answer; None if the child has died over it, or this is closed.

        ``message`` returns the frames to send; it is told whether the child is new and knows nothing. For at most
        ``seconds`` another thread's answer is waited for, and then this one.

        Raises:
            TimeoutError: If it takes longer; the child is ended then.
        """
        if not self._asking.acquire(timeout=seconds):
            raise TimeoutError(f"what was asked before this takes longer than {seconds:g} s; ask again")
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
        """End the child; an answer under way is given up."""
        self.is_closed = True
        if (child := self._child) is not None:  # an answer under way may end it meanwhile
            child.kill()
        with self._asking:
            self._end()

    def _answer(self, message: Callable[[bool], bytes], seconds: float) -> bytes | None:
        child, is_new = self._child, False
        if not self.is_closed and (child is None or child.is_dead):
            self._end()
            is_new, environment = True, {**module_environment(), **self._variables}
            # Not by -m: what a pickle needs of the user's script gets its place in __main__.
            command = [sys.executable, "-P", "-c", f"from {self._module} import main; main()"]
            child = self._child = ChildProcess(command, environment, stdin=subprocess.PIPE)
        if child is None or self.is_closed:  # it may have been closed before there was a child to kill
            return None
        return child.exchange(message(is_new), seconds)

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer the process that has started this one, until that closes the pipe.

    ``answer`` is given the body of a frame, and returns the frame of the answer, or nothing if there is none.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    reader = FrameReader()
    with suppress(EOFError):
        while True:
            for body in reader.take(read_some(0)):
                write_all(answers, answer(body))
