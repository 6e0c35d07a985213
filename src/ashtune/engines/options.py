"""The options of a session that go to its engine: :class:`RunOptions`. They are checked before."""

from functools import partial
from importlib.util import find_spec
from typing import Annotated, TypedDict

from ashtune.core.checks import check_flag, check_name, check_whole
from ashtune.core.errors import SettingsError
from ashtune.core.options import TIME, Option
from ashtune.core.plaintext import shown
from ashtune.engines.resources.shares import check_gpus_per_worker

MOST_WORKERS = 100_000
MOST_THREADS = 65_536
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
    """Return how checkpoints come to the workers, or refuse it.

    Raises:
        SettingsError: If there is no such way.
    """
    if check_name(name, value) not in CHECKPOINTS:
        raise SettingsError(f"{name}={shown(value)} is unknown; give one of {', '.join(CHECKPOINTS)}")
    return value


class RunOptions(TypedDict, total=False):
    """What a session runs on: see the arguments of the same names of :func:`~ashtune.tune`."""

    trial_timeout: Annotated[
        float | str | None,
        Option(help='Seconds, or a time as "10m", that one job, from one rung to the next, may take.', **TIME),
    ]
    workers: Annotated[
        int | None,
        Option(
            help="Processes, all cores by default; under MPI the most ranks to use, all by default.",
            check=partial(check_whole, at_most=MOST_WORKERS),
            parse=int,
            metavar="N",
        ),
    ]
    threads: Annotated[
        int | None,
        Option(
            help="BLAS threads of each; by default the cores are shared out.",
            check=partial(check_whole, at_most=MOST_THREADS),
            parse=int,
            metavar="N",
        ),
    ]
    gpus_per_worker: Annotated[
        float | None,
        Option(
            help="GPUs that each worker sees, or a part of one, as 0.5: two workers share it.",
            check=lambda _, value: check_gpus_per_worker(value),
            parse=float,
            metavar="N",
        ),
    ]
    isolate: Annotated[
        bool,
        Option(
            help="Under MPI, train in a process of its own beside the rank, so that a crash or a hang costs one job; "
            "without, in the rank itself, for functions shorter than a millisecond.",
            forms="under MPI, train in the rank itself: for very short jobs; a crash costs the rank",
            default=True,
            check=check_flag,
        ),
    ]
    checkpoints: Annotated[
        str,
        Option(
            help='"files" in the study\'s directory, or "messages" where ranks share no directory.',
            default="files",
            check=check_checkpoints,
            parse=str,
            metavar="HOW",
        ),
    ]
    quiet: Annotated[bool, Option(help="Show nothing while it runs.", default=False, check=check_flag)]
    profile: Annotated[
        bool,
        Option(
            help="Profile training in every worker, for ``ashtune report --profile`` and a flame graph.",
            default=False,
            check=check_profile,
        ),
    ]
