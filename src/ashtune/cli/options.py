"""Options that commands share, and how their values are read."""

import argparse
import re
from typing import Any

_SECONDS = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Read a duration: 90, 90s, 15m, 2h, 1d."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(us|ms|s|m|min|h|d|)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; give seconds, or as in 90s, 15m, 2h")
    return float(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """Read a size in bytes: 500MB, 2GB."""
    from ashtune.errors import SettingsError
    from ashtune.limits import check_size

    try:
        return check_size("--checkpoint-limit", text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error).partition("=")[2]) from None


def rungs(text: str) -> list[int]:
    """Read a list of resources: 1,5,20."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers; give as in 1,5,20") from None


def whole_numbers(text: str) -> list[int]:
    """Read a list of numbers of models or workers: 8,16,32."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers of at least 1; give as in 8,16,32")
    return list(dict.fromkeys(found))


def factors(text: str) -> list[int | float]:
    """Read a list of reduction factors: 2,3,4."""
    return list(dict.fromkeys(factor(part) for part in text.split(",")))


def names(text: str) -> list[str]:
    """Read a list of names: ash,sh."""
    return list(dict.fromkeys(text.replace(" ", "").split(",")))


def hours(text: str) -> float:
    """Read a number of hours: 500, 500h, 0.5."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*h?", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours; give as in 500 or 0.5h")
    return float(found[1])


def profiler(text: str) -> str:
    """Read how to profile."""
    if text not in ("flat", "flame"):
        raise argparse.ArgumentTypeError(f"{text!r} is not flat or flame; `--profile` alone is flat, and goes last")
    return text


def factor(text: str) -> int | float:
    """Read a reduction factor."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number; give 2, 3, 4 ...") from None


def add_ladder(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how many trials are halved, how, and by whom."""
    group = add_rungs(parser)
    group.add_argument("--trials", type=int, metavar="N", help="configurations to try")
    group.add_argument(
        "--scheduler", default="ash", metavar="NAME", help="ash (default), stopping, sh (synchronous), full ..."
    )


def add_rungs(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the options that say where trials are compared; return their group."""
    group = parser.add_argument_group("halving")
    group.add_argument("--max-resource", type=int, metavar="EPOCHS", help="epochs of the top rung")
    group.add_argument("--min-resource", type=int, default=1, metavar="EPOCHS", help="epochs of the lowest rung (1)")
    group.add_argument("--reduction-factor", type=factor, default=2, metavar="N", help="keep 1/N at each rung (2)")
    group.add_argument("--rungs", type=rungs, metavar="LIST", help="the rungs themselves, as 1,5,20")
    return group


def add_limits(parser: argparse.ArgumentParser, *, max_failures: int | None) -> None:
    """Add the options that end a study; ``max_failures`` is the default of that one, None for as before."""
    group = parser.add_argument_group("ending")
    group.add_argument("--time-limit", type=seconds, metavar="TIME", help="pause after this time, as 90s, 15m, 2h")
    group.add_argument("--total-resource", type=int, metavar="EPOCHS", help="stop after so many epochs in all")
    group.add_argument("--target", type=float, metavar="VALUE", help="stop when the metric reaches this value")
    usual = "as before" if max_failures is None else max_failures
    group.add_argument(
        "--max-failures", type=int, default=max_failures, metavar="N",
        help=f"stop when the first N trials have all failed ({usual})",
    )  # fmt: skip


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to run on."""
    group = parser.add_argument_group("running")
    group.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="local, mpi, threads, or auto (default): as it was started",
    )
    group.add_argument("--workers", type=int, metavar="N", help="processes (all cores); under MPI, ranks (all)")
    group.add_argument("--threads", type=int, metavar="N", help="BLAS threads of each (the cores shared out)")
    group.add_argument("--gpus-per-worker", type=float, metavar="N", help="GPUs that each sees, or a part: 0.5")
    group.add_argument(
        "--trial-timeout", type=seconds, metavar="TIME", help="time one job may take before its trial fails"
    )
    group.add_argument(
        "--no-isolate", action="store_true", help="under MPI, train in the rank itself: for very short jobs"
    )
    group.add_argument(
        "--checkpoints", default="files", metavar="HOW", help="files (default), or messages: no shared directory"
    )
    group.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    group.add_argument(
        "--profile",
        nargs="?",
        type=profiler,
        const="flat",
        default=False,
        metavar="flame",
        help="time every function of training, in all workers; flame: sample the stack instead, for a flame graph",
    )


def run_options(given: argparse.Namespace) -> dict[str, Any]:
    """Return what :func:`add_run_options` added as arguments of ``tune`` and ``resume``."""
    return {
        "engine": given.engine,
        "workers": given.workers,
        "threads": given.threads,
        "gpus_per_worker": given.gpus_per_worker,
        "trial_timeout": given.trial_timeout,
        "isolate": not given.no_isolate,
        "checkpoints": given.checkpoints,
        "quiet": given.quiet,
        "profile": given.profile,
    }
