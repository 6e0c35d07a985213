"""The options of a session that go to its engine: :class:`RunOptions`. They are checked before.

A function takes them in a value with the name of the engine: :class:`Local`, :class:`MPI`, :class:`Auto`.
"""

from functools import partial
from importlib.util import find_spec
from typing import Annotated, ClassVar, TypedDict

import msgspec

from ashtune._src.core.checks import check_flag, check_name, check_whole
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.options import COUNT, TIME, Option
from ashtune._src.core.plaintext import shown
from ashtune._src.engines.resources import check_gpus_per_worker

MOST_WORKERS = 100_000
CHECKPOINTS = ("files", "messages")


def check_profile(name: str, value: bool) -> bool:
    """Return whether training is profiled, or refuse it.

    Raises:
        SettingsError: If it is neither true nor false, or the library is not installed.
    """
    if check_flag(name, value) and find_spec("pyinstrument") is None:
        raise SettingsError(f"{name}=True needs pyinstrument, which is not installed: pip install 'ashtune[profile]'")
    return value


def check_checkpoints(name: str, value: str) -> str:
    """Return how checkpoints come to the workers, or refuse it."""
    if check_name(name, value) not in CHECKPOINTS:
        raise SettingsError(f"{name}={shown(value)} is unknown; give one of {', '.join(CHECKPOINTS)}")
    return value


class RunOptions(TypedDict, total=False):
    """What a session runs on: see the arguments of the same names of :func:`~ashtune.tune`."""

    trial_timeout: Annotated[float | str | None, Option(**TIME)]
    workers: Annotated[int | None, Option(check=partial(check_whole, at_most=MOST_WORKERS), parse=int, metavar="N")]
    threads: Annotated[int | None, Option(**COUNT)]
    gpus_per_worker: Annotated[
        float | None, Option(check=lambda _, value: check_gpus_per_worker(value), parse=float, metavar="N")
    ]
    isolate: Annotated[
        bool,
        Option(
            forms="under MPI, train in the rank itself: for very short jobs; a crash costs the rank",
            default=True,
            check=check_flag,
        ),
    ]
    checkpoints: Annotated[str, Option(default="files", check=check_checkpoints, parse=str, metavar="HOW")]
    quiet: Annotated[bool, Option(default=False, check=check_flag)]
    profile: Annotated[bool, Option(default=False, check=check_profile)]


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """Processes on this machine.

    Args:
        workers: As of :func:`~ashtune.tune`.
        threads: BLAS threads of each; by default the cores are shared out.
        gpus_per_worker: GPUs that each worker sees, or a part of one, as 0.5: two workers share it.
        trial_timeout: Seconds, or a time as "10m", that one job, from one rung to the next, may take.
        profile: Profile training in every worker, for ``ashtune report --profile`` and a flame graph.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2, quiet=True,
        ...     engine=Local(workers=2, trial_timeout="10m"),
        ... )
        >>> len(study.trials)
        8
    """

    name: ClassVar[str] = "local"

    workers: int | None = None
    threads: int | None = None
    gpus_per_worker: float | None = None
    trial_timeout: float | str | None = None
    profile: bool = False


class MPI(Local, frozen=True, kw_only=True):
    """The ranks of an MPI launch. It takes what :class:`Local` takes, and two options more.

    Args:
        isolate: Under MPI, train in a process of its own beside the rank, so that a crash or a hang costs one job;
            without, in the rank itself, for functions shorter than a millisecond.
        checkpoints: "files" in the study's directory, or "messages" where ranks share no directory.

    Example:
        >>> engine = MPI(checkpoints="messages", trial_timeout="10m")  # tune(..., engine=engine)
    """

    name: ClassVar[str] = "mpi"

    isolate: bool = True
    checkpoints: str = "files"


class Auto(MPI, frozen=True, kw_only=True):
    """The ranks of an MPI launch, else processes on this machine: for a script that runs on both.

    It takes what :class:`MPI` takes.

    Example:
        >>> engine = Auto(gpus_per_worker=1)  # tune(..., engine=engine)
    """

    name: ClassVar[str] = "auto"
