"""The options of a session for its engine: :class:`RunOptions` contains their checked values.

Users give these options to a function as ``engine=``, in an object of :class:`Local`, :class:`MPI`
or :class:`Auto`.
"""

from functools import partial
from importlib.util import find_spec
from typing import Annotated, ClassVar, TypedDict, cast

import msgspec

from ashtune._src.core.checks import check_flag, check_name, check_whole
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.option import Count, Flag, Option, Size, Time
from ashtune._src.core.plaintext import shown
from ashtune._src.engines.worker import guardian
from ashtune._src.engines.worker_resources import check_gpus_per_worker
from ashtune._src.study.remote import check_address, is_remote

MOST_WORKERS = 100_000
MOST_RANKS = 1_000
FILES = "files"
MESSAGES = "messages"
FAIL = "fail"
RETRY_ALONE = "retry_alone"


def check_profile(name: str, value: bool) -> bool:
    """Check the option ``profile``, and return its value.

    Raises:
        SettingsError: If the value is not a bool, or if the value is True and pyinstrument is not
            installed.
    """
    if check_flag(name, value) and find_spec("pyinstrument") is None:
        raise SettingsError(
            f"{name}=True needs pyinstrument, which is not installed: pip install "
            f"'ashtune[profile]'"
        )
    return value


def check_one_of(known: tuple[str, ...], name: str, value: str) -> str:
    """Return the value of an option. Raise SettingsError if the value is not one of the known
    values.
    """
    if check_name(name, value) not in known:
        raise SettingsError(f"{name}={shown(value)} is unknown; give one of {', '.join(known)}")
    return value


def check_checkpoints(name: str, value: str) -> str:
    """Check the option ``checkpoints``, and return its value. Raise
    SettingsError if it is unknown.
    """
    if is_remote(check_name(name, value)):
        check_address(name, value)
        return value
    return check_one_of((FILES, MESSAGES, "an address such as 's3://bucket/studies'"), name, value)


def check_processes(name: str, value: int) -> int:
    """Check the option ``processes_per_trial``, and return its value.

    Raises:
        SettingsError: If the value is not a whole number, or if several processes are not possible
            on this system.
    """
    if check_whole(name, value, at_most=MOST_RANKS) > 1 and not guardian.is_available():
        raise SettingsError(f"{name}={value} needs Linux; leave it out")
    return value


check_workers = partial(check_whole, at_most=MOST_WORKERS)
WorkerCount = Annotated[int | None, Option(check=check_workers, parse=int)]
GpusPerWorker = Annotated[
    float | None, Option(check=lambda _, value: check_gpus_per_worker(value), parse=float)
]


class RunOptions(TypedDict, total=False):
    """The options of a session. :func:`~ashtune.tune` describes the
    arguments with the same names.
    """

    trial_timeout: Time
    memory_limit: Size
    on_out_of_memory: Annotated[
        str,
        Option(default=FAIL, check=partial(check_one_of, (FAIL, RETRY_ALONE)), metavar="HOW"),
    ]
    workers: WorkerCount
    threads: Count
    gpus_per_worker: GpusPerWorker
    processes_per_trial: Annotated[int, Option(default=1, check=check_processes, parse=int)]
    ranks_per_trial: Annotated[
        int,
        Option(default=1, check=partial(check_whole, at_most=MOST_RANKS), parse=int),
    ]
    isolate: Annotated[
        bool,
        Option(
            forms="under MPI, train in the rank's own process: faster, but a crash ends the rank",
            default=True,
            check=check_flag,
        ),
    ]
    checkpoints: Annotated[str, Option(default=FILES, check=check_checkpoints, metavar="HOW")]
    quiet: Flag
    profile: Annotated[bool, Option(default=False, check=check_profile)]


class Limits(msgspec.Struct, frozen=True):
    """The limits of the workers on one machine.

    Args:
        seconds: The longest time that one job may take; None for no limit.
        memory: The most bytes of memory that the processes of one worker may hold; None for no
            limit.
        retry_alone: Whether a trial that runs out of memory is trained again while no other trial
            trains.
    """

    seconds: float | None = None
    memory: int | None = None
    retry_alone: bool = False

    @classmethod
    def of(cls, options: RunOptions) -> "Limits":
        """Return the limits that the user has set."""
        seconds = cast("float | None", options["trial_timeout"])
        memory = cast("int | None", options["memory_limit"])
        return cls(seconds, memory, options["on_out_of_memory"] == RETRY_ALONE)


NO_LIMITS = Limits()


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """Run each worker as a process on this machine.

    Args:
        workers: The same as in :func:`~ashtune.tune`.
        threads: BLAS threads of each process that trains; by default, the processes share the cores
            equally.
        gpus_per_worker: GPUs that each worker sees. With a fraction such as 0.5, two workers share
            one GPU.
        processes_per_trial: Processes on one machine that train each trial together, as ranks of
            ``torch.distributed``. The processes share the worker's cores and GPUs equally. More
            than 1 needs Linux.
        trial_timeout: The longest time that one job, from one rung to the next, may take: seconds,
            or a text such as "10m".
        memory_limit: The most memory that the processes of one worker may hold, such as "8GB" (on
            Linux). Beyond the limit, the worker is replaced, and its trial has run out of memory.
        on_out_of_memory: "fail", or "retry_alone": a trial that runs out of memory is trained once
            more while no other trial of its machine trains. The trial may then hold as much memory
            as all workers together.
        checkpoints: "files" to store checkpoints in the study's directory, or the address of a
            folder in a store that fsspec knows, such as "s3://bucket/studies". A store needs
            ``ashtune[remote]`` and the store's library.
        profile: Profile training in every worker, for ``ashtune report --profile`` and a flame
            graph.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train,
        ...     {"x": (0.0, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=8,
        ...     max_resource=2,
        ...     quiet=True,
        ...     engine=Local(workers=2, trial_timeout="10m"),
        ... )
        >>> len(study.trials)
        8
    """

    __module__ = "ashtune"

    name: ClassVar[str] = "local"

    workers: int | None = None
    threads: int | None = None
    gpus_per_worker: float | None = None
    processes_per_trial: int = 1
    trial_timeout: float | str | None = None
    memory_limit: int | str | None = None
    on_out_of_memory: str = FAIL
    checkpoints: str = FILES
    profile: bool = False


class MPI(Local, frozen=True, kw_only=True):
    """Run a worker on each rank of an MPI launch, with the options of :class:`Local` and two more
    options.

    Args:
        isolate: Whether to train in a separate process beside each rank, so that a crash or a hang
            costs one job only. If False, train in the rank itself, which suits functions that take
            less than a millisecond.
        ranks_per_trial: Ranks with consecutive numbers that train each trial together, in the ranks
            themselves as with ``isolate=False``. ``trial.comm`` is their communicator.
        checkpoints: As in :class:`Local`, or "messages" if the ranks share neither a directory nor
            a store.

    Example:
        >>> engine = MPI(checkpoints="messages", trial_timeout="10m")  # tune(..., engine=engine)
    """

    __module__ = "ashtune"

    name: ClassVar[str] = "mpi"

    isolate: bool = True
    ranks_per_trial: int = 1


class Auto(MPI, frozen=True, kw_only=True):
    """Choose :class:`MPI` in an MPI launch and :class:`Local` otherwise, with the options of
    :class:`MPI`.

    Example:
        >>> engine = Auto(gpus_per_worker=1)  # tune(..., engine=engine)
    """

    __module__ = "ashtune"

    name: ClassVar[str] = "auto"
