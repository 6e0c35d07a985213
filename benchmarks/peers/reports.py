"""What the peers' scripts share: the options, a time stamp at every epoch, and the line that sums
them up.

Rule 1: an epoch is counted where it is trained, in a file of that process, never from a tuner's own
records.
Rule 2: time starts with the script's process, so the tuner's imports and its start are in it. Linux
only.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

WORKERS = 2
_PLACE = "PEERS_REPORTS"  # an environment variable: every tuner's workers inherit it
_THRESHOLDS = (0.97, 0.98, 0.985, 0.99)


@dataclass(frozen=True)
class Options:
    """What a script was asked to do, and where it may write.

    Attributes:
        trials: Configurations to try.
        seed: Of the list of configurations.
        defaults: Whether the tuner's own settings of speed stay as they come.
        directory: Where the tuner keeps its files.
    """

    trials: int
    seed: int
    defaults: bool
    directory: Path


def report(trial: int, epoch: int, accuracy: float) -> None:
    """Note that a trial has trained an epoch, counted from 1, and how well it then does."""
    note(_now(), trial, epoch, accuracy)


def note(at: float, trial: int, epoch: int, accuracy: float) -> None:
    """Note an epoch that was trained by a time on the clock that all processes share."""
    line = {"at": at, "trial": trial, "epoch": epoch, "accuracy": accuracy}
    _file(os.getpid()).write(json.dumps(line) + "\n")


def measure(tuner: str, package: str, search: Callable[[Options], None]) -> None:
    """Run a search as the command line asks, and print what it took as one line of JSON.

    Args:
        tuner: The name to print.
        package: The distribution whose version to print.
        search: Runs the tuner from its start to its end. What it prints goes to stderr.
    """
    asked = _arguments(tuner)
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        place = asked.reports or Path(temporary, "reports")
        place.mkdir(parents=True)
        os.environ[_PLACE] = str(place.absolute())
        with contextlib.redirect_stdout(sys.stderr):
            search(Options(asked.trials, asked.seed, asked.defaults, Path(temporary)))
        wall = _now() - _started()
        lines = list(_lines(place))
    versions = {"version": version(package), "torch": version("torch")}
    print(json.dumps({"tuner": tuner, **versions, **_summary(lines, wall)}))


def _arguments(tuner: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f"{tuner} on the digits, two workers, rungs 1, 2, 4, ..., 64"
    )
    parser.add_argument(
        "--trials", type=int, default=256, metavar="N", help="configurations to try (256)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the list of configurations (0)"
    )
    parser.add_argument(
        "--defaults", action="store_true", help="leave the tuner's settings of speed as they come"
    )
    parser.add_argument(
        "--reports", type=Path, metavar="DIR", help="keep the time stamps in this new folder"
    )
    return parser.parse_args()


def _summary(lines: list[dict[str, Any]], wall: float) -> dict[str, Any]:
    return {
        "trials": len({line["trial"] for line in lines}),
        "wall_seconds": round(wall, 2),
        "epochs": len(lines),
        "first": {str(threshold): _first(lines, threshold) for threshold in _THRESHOLDS},
        "best": round(max(line["accuracy"] for line in lines), 4),
    }


def _first(lines: list[dict[str, Any]], threshold: float) -> float | None:
    """Return the seconds to the first epoch that was at least this accurate, or None."""
    reached = [line["at"] for line in lines if line["accuracy"] >= threshold]
    return round(min(reached) - _started(), 2) if reached else None


def _lines(place: Path) -> Iterator[dict[str, Any]]:
    for path in place.glob("*.jsonl"):
        yield from map(json.loads, path.read_text().splitlines())


@cache
def _file(process: int) -> TextIO:
    """Return the file of this process; a line reaches it whole, even if the process is killed after
    it.
    """
    return Path(os.environ[_PLACE], f"{process}.jsonl").open("a", buffering=1)


def _now() -> float:
    """Return seconds since the machine's start, on a clock that all processes share."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _started() -> float:
    """Return when this process began, on that clock, to 10 ms (``starttime`` in proc(5))."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
