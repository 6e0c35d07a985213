"""Find out whether this process is one of several MPI ranks. If so, start MPI.

Rank 0 continues the user's script as the driver. Every other rank works for the driver until the
user's script has ended. MPI is loaded only if the environment variables of a launcher say that
there are several ranks.
"""

import atexit
import faulthandler
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from ashtune._src.core.errors import StudyError
from ashtune._src.core.process import Environment
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
    """Start MPI and return all ranks, or return None if this process is alone. Only rank 0 returns
    from ``start_mpi``.

    Every other rank works for rank 0 until the script of rank 0 has ended. The other ranks then
    exit with status 0.

    Args:
        workers_given: Whether the user gave a number of workers. If so, in a SLURM allocation, only
            this node is used.

    Raises:
        StudyError: On rank 0, if the launch failed; the other ranks exit with status 2.
    """
    global _world  # noqa: PLW0603 - one MPI per process
    if _world is not None:
        if _world.has_left:
            raise StudyError(
                "the other ranks have left, because the study was stopped; start again with "
                "mpiexec or srun"
            )
        return _world
    launch = launcher.launch_of(os.environ)
    if launch is None:
        return None
    if not launch.is_started_by_it:
        _refuse(launch, launcher.without_world(launch, workers_given=workers_given))
        return None
    with all_ranks_start_within(start_seconds(os.environ)), waiting_asleep(os.environ):
        mpi = _load(launch)
        why = launcher.alone(launch, mpi.Get_library_version(), mpi.COMM_WORLD.Get_size())
        if why:
            mpi.Finalize()  # each process has its own MPI, whose shared memory would remain
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
    """End this process, with a traceback on stderr, if the code in the block takes longer than
    ``seconds``.

    MPI's initialisation waits for every rank and holds Python's interpreter lock. Only a thread
    outside Python can therefore end this process.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def waiting_asleep(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Let MPI sleep between its checks for other ranks, so that waiting does not use a whole core.

    In the mode "heavy yield", MPICH sleeps for 0 s between two checks. Linux makes each sleep
    longer by the timer slack of the thread, see prctl(2).
    """
    is_asked = HEAVY_YIELD not in environment
    if is_asked:
        environment[HEAVY_YIELD] = "1"
    _set_timer_slack(TIMER_SLACK_NANOSECONDS)
    try:
        yield
    finally:
        _set_timer_slack(0)  # back to the thread's default
        if is_asked:
            environment.pop(HEAVY_YIELD, None)


def _set_timer_slack(nanoseconds: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, nanoseconds)


def _await_all(mpi: Any) -> None:
    """Wait for all ranks, and sleep between checks. Without this call, later MPI calls would wait
    without sleeping.
    """
    request = mpi.COMM_WORLD.Ibarrier()
    while not request.Test():
        time.sleep(AWAIT_SECONDS)


def start_seconds(environment: Environment) -> float:
    """Return the number of seconds that the ranks may take to find each other.

    Raises:
        StudyError: If the environment variable is not a number above 0.
    """
    text = environment.get(START_VARIABLE, str(START_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise StudyError(
            f"{START_VARIABLE}={text!r} is not a number of seconds above 0; unset it to use the "
            f"default of {START_SECONDS:g} s"
        )
    return seconds


def _remember_status(world: World) -> None:
    """Make ``sys.exit`` record the exit status in ``world``. Code after ``sys.exit`` cannot read
    the exit status.
    """
    exit_as_usual = sys.exit

    def exit_and_remember(status: Any = None) -> NoReturn:
        world.status = status if isinstance(status, int) else int(status is not None)
        exit_as_usual(status)

    sys.exit = exit_and_remember


def refuse_several(what: str) -> None:
    """Refuse an option that would run the whole study in each process, or make one process train
    while others wait.

    Raises:
        StudyError: On rank 0; the other ranks exit with status 2.
    """
    launch = launcher.launch_of(os.environ)
    if launch is not None and launch.is_started_by_it:
        _refuse(launch, launcher.error_of_several(launch, what, has_world=_world is not None))


def leave(status: int) -> None:
    """If there are other ranks, end them before this program ends with the
    exit status ``status``.
    """
    if _world is not None:
        _world.leave(status)


def _serve(world: World) -> NoReturn:
    # not at the top: every command imports this module
    from ashtune._src.engines.mpi.rank import serve_rank

    world.finalize(is_whole=serve_rank(world), status=0)
    sys.exit(0)


def _load(launch: launcher.Launch) -> Any:
    try:
        import mpi4py

        mpi4py.rc.initialize = mpi4py.rc.finalize = False
        with warnings.catch_warnings():
            # our own message refuses a suspicious launch
            warnings.simplefilter("ignore", RuntimeWarning)
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        _refuse(launch, launcher.mpi4py_missing(launch, error))
        raise
    if not MPI.Is_initialized():
        _refuse(launch, launcher.mismatch(launch, MPI.Get_library_version()))
        delete_stale_memory(os.environ)
        if FAULT_TOLERANT in os.environ:
            # By default, MPI_Finalize waits for all ranks. After a death, 1 of 10 such waits never
            # ends (Open MPI 5.0.11).
            os.environ.setdefault("OMPI_MCA_async_mpi_finalize", "1")
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
    return MPI


def _refuse(launch: launcher.Launch, why: str) -> None:
    """Raise StudyError with the message ``why`` on rank 0. Exit silently on other ranks."""
    if not why:
        return
    if launch.rank != 0:
        # some launchers would end rank 0 before it has printed the reason
        time.sleep(REFUSAL_SECONDS)
        sys.exit(2)
    raise StudyError(why)


def delete_stale_memory(environment: Environment, folder: Path = SHARED_MEMORY) -> None:
    """Delete shared memory that a killed SLURM step has left. Every rank calls this function before
    MPI_Init.

    In MPICH 5.0, the ranks of a node share a file that is named after the SLURM job and step. A
    requeued SLURM job keeps its number, so its ranks find the old file, and hang in MPI_Init or
    crash. The crash was seen with ``srun --mpi=pmi2`` of Slurm 24.11 and MPICH 5.0.2.
    """
    step = environment.get("PMI_JOBID")
    if not step or not folder.is_dir():
        return
    for file in folder.glob(f"mpich_shm_{_hash(step):x}_*"):
        with suppress(OSError):  # another rank has deleted it, or it is another user's
            # all ranks of a node start before one of them makes the file
            if file.stat().st_mtime < _own_start():
                file.unlink()


def _own_start() -> float:
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _hash(text: str) -> int:
    """Return the 32-bit FNV-1a hash of a text (http://www.isthe.com/chongo/tech/comp/fnv/)."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value
