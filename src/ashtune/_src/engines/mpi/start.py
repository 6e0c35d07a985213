"""Where a process finds out whether it is one rank of many.

Rank 0 goes on in the user's script; every other rank serves here until that script has ended. MPI is loaded only when
a launcher's variables say that there are several ranks.
"""

import atexit
import faulthandler
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from ashtune._src.core.errors import StudyError
from ashtune._src.engines.mpi import launcher
from ashtune._src.engines.mpi.world import FAULT_TOLERANT, World

REFUSAL_SECONDS = 1.0
START_SECONDS = 600.0
START_VARIABLE = "ASHTUNE_START_SECONDS"
AWAIT_SECONDS = 0.001
HEAVY_YIELD = "MPIR_CVAR_ENABLE_HEAVY_YIELD"
TIMER_SLACK_NANOSECONDS = 1_000_000
_PR_SET_TIMERSLACK = 29
SHARED_MEMORY = Path("/dev/shm")

_world: World | None = None


def start_mpi(*, workers_given: bool = False) -> World | None:
    """Return the ranks to drive; None if this process is alone. Ranks other than 0 do not return.

    They serve until rank 0's script has ended, then leave with exit status 0.

    Args:
        workers_given: The user named a number of workers, which in a SLURM allocation means: on this node.

    Raises:
        StudyError: If the launch went wrong, on rank 0; the others leave with exit status 2.
    """
    global _world  # noqa: PLW0603 - MPI is one a process
    if _world is not None:
        if _world.has_left:
            raise StudyError("the other ranks have left, as the study was stopped; start again with mpiexec or srun")
        return _world
    launch = launcher.launch_of(os.environ)
    if launch is None:
        return None
    if not launch.is_started_by_it:
        _refuse(launch, launcher.without_world(launch, workers_given=workers_given))
        return None
    with all_ranks_start_within(start_seconds(os.environ)), waiting_asleep(os.environ):
        mpi = _load(launch)
        if why := launcher.alone(launch, mpi.Get_library_version(), mpi.COMM_WORLD.Get_size()):
            mpi.Finalize()  # each is an MPI of its own and would leave its shared memory behind
            _refuse(launch, why)
        _await_all(mpi)
        world = World(mpi)
    if world.rank != 0:
        _serve(world)
    world.heartbeat.start()
    _remember_status(world)
    atexit.register(world.leave)
    _world = world
    return world


@contextmanager
def all_ranks_start_within(seconds: float) -> Iterator[None]:
    """End this process, with the place where it is on stderr, if the block takes longer.

    Initialising MPI waits for every rank and holds the interpreter: nothing but a thread that is not Python's can end
    it.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def waiting_asleep(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Let MPI sleep between its looks at whether the other ranks have come, in place of taking a whole core for it.

    MPICH, asked to yield heavily, sleeps for no time, and Linux makes a sleep longer by the thread's timer slack:
    prctl(2).
    """
    is_asked = HEAVY_YIELD not in environment
    if is_asked:
        environment[HEAVY_YIELD] = "1"
    _set_timer_slack(TIMER_SLACK_NANOSECONDS)
    try:
        yield
    finally:
        _set_timer_slack(0)  # as it was when the thread began
        if is_asked:
            environment.pop(HEAVY_YIELD, None)


def _set_timer_slack(nanoseconds: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, nanoseconds)


def _await_all(mpi: Any) -> None:
    """Wait for all ranks, asleep: the calls that follow would wait for them without a pause."""
    request = mpi.COMM_WORLD.Ibarrier()
    while not request.Test():
        time.sleep(AWAIT_SECONDS)


def start_seconds(environment: Mapping[str, str]) -> float:
    """Return how long the ranks may take to find each other.

    Raises:
        StudyError: If the variable for it is not a number above 0.
    """
    text = environment.get(START_VARIABLE, str(START_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise StudyError(
            f"{START_VARIABLE}={text!r} is not a number of seconds above 0; unset it for {START_SECONDS:g} s"
        )
    return seconds


def _remember_status(world: World) -> None:
    """Have the exit status known when the interpreter ends, which does not tell it."""
    exit_as_usual = sys.exit

    def exit_and_remember(status: Any = None) -> NoReturn:
        world.status = status if isinstance(status, int) else int(status is not None)
        exit_as_usual(status)

    sys.exit = exit_and_remember


def refuse_several(what: str) -> None:
    """Refuse to run a whole study in each of several processes that a launcher started, or in one while others wait.

    Raises:
        StudyError: On rank 0; the others leave with exit status 2.
    """
    launch = launcher.launch_of(os.environ)
    if launch is not None and launch.is_started_by_it:
        _refuse(launch, launcher.several(launch, what) if _world is None else launcher.idle(launch, what))


def leave(status: int) -> None:
    """Shut the other ranks down, if there are any, as the program ends with this exit status."""
    if _world is not None:
        _world.leave(status)


def _serve(world: World) -> NoReturn:
    from ashtune._src.engines.mpi.rank import serve_rank  # not above: every command asks whether it is a rank

    world.finalize(is_whole=serve_rank(world), status=0)
    sys.exit(0)


def _load(launch: launcher.Launch) -> Any:
    """Load and initialise MPI."""
    try:
        import mpi4py

        mpi4py.rc.initialize = mpi4py.rc.finalize = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a suspicious launch is refused in our own words
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        _refuse(launch, launcher.mpi4py_missing(launch, error))
        raise
    if not MPI.Is_initialized():
        _refuse(launch, launcher.mismatch(launch, MPI.Get_library_version()))
        delete_stale_memory(os.environ)
        if FAULT_TOLERANT in os.environ:
            # Otherwise finalising waits for all ranks, which after a death never ends one time in ten (5.0.11).
            os.environ.setdefault("OMPI_MCA_async_mpi_finalize", "1")
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
    return MPI


def _refuse(launch: launcher.Launch, why: str) -> None:
    """Refuse a launch in one line, not in as many as there are processes."""
    if not why:
        return
    if launch.rank != 0:
        time.sleep(REFUSAL_SECONDS)  # some launchers end the others at once, rank 0 before it has said why
        sys.exit(2)
    raise StudyError(why)


def delete_stale_memory(environment: Mapping[str, str], folder: Path = SHARED_MEMORY) -> None:
    """Delete the shared memory that a killed SLURM step of this name has left. Before MPI is initialised, by each rank.

    MPICH 5.0 has the ranks of a node meet in a file named after their job and step. A requeued job has the same number,
    and its ranks hang in MPI_Init or crash. Seen under MPICH 5.0.2 and Slurm 24.11, ``srun --mpi=pmi2``.
    """
    step = environment.get("PMI_JOBID")
    if not step or not folder.is_dir():
        return
    for file in folder.glob(f"mpich_shm_{_hash(step):x}_*"):
        with suppress(OSError):  # another rank was faster, or it is another user's
            if file.stat().st_mtime < _own_start():  # all ranks of a node are there before the first of them runs
                file.unlink()


def _own_start() -> float:
    """Return when this process was started, in seconds since the epoch."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _hash(text: str) -> int:
    """Return the 32-bit FNV-1a hash, http://www.isthe.com/chongo/tech/comp/fnv/."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value
