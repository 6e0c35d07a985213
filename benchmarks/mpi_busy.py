"""What a driver costs those who train: three ranks on two cores, a pure Python loop of 100 ms an
epoch.

Two plain processes that train and do nothing else, and a study under ``mpiexec -n 3`` (a driver and
two workers, each with its worker process), checkpoints saved and the journal written, are there at
the same time; by SIGSTOP and SIGCONT the cores belong to one of them for some seconds, then to the
other. Both count the hundredths of epochs that they train in a file, so what is compared are
neighbouring moments: the speed of a shared machine changes by half within minutes. The first turns,
in which processes start, are not counted. Then the processor time of ranks that have nothing to do.

Claims: >= 97 % of the throughput without a driver; an idle rank takes < 2 % of a core.

    python benchmarks/mpi_busy.py [--seconds 3] [--repeat 40] [--json FILE]
"""

import math
import mmap
import multiprocessing
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import show
from turns import processes_of, tell

EPOCH_SECONDS = 0.1
PARTS = 100
WORKERS = 2
WARM_UP_SECONDS = 4.0
IDLE_SECONDS = 8.0
MPIEXEC = str(Path(sys.executable).with_name("mpiexec"))


def work(turns: int) -> int:
    """Train a part of an epoch."""
    total = 0
    for turn in range(turns):
        total += turn * turn
    return total


def turns_of_a_part() -> int:
    """Return how many turns of the loop take the time of a part of an
    epoch, on a core of its own.
    """
    turns, best = 200_000, float("inf")
    for _ in range(20):
        began = time.perf_counter()
        work(turns)
        best = min(best, time.perf_counter() - began)
    return round(turns * EPOCH_SECONDS / PARTS / best)


def epoch_counted_in(folder: Path, turns: int) -> Callable[[], None]:
    """Return a function that trains an epoch and counts its parts, in a file of this process."""
    file = folder / str(os.getpid())
    file.write_bytes(bytes(8))
    with file.open("r+b") as opened:
        counter = mmap.mmap(opened.fileno(), 8)
    done = 0

    def epoch() -> None:
        nonlocal done
        for _ in range(PARTS):
            work(turns)
            done += 1
            struct.pack_into("q", counter, 0, done)

    return epoch


def counted(folder: Path) -> float:
    """Return the epochs trained so far by all who count in a folder."""
    return sum(struct.unpack("q", file.read_bytes())[0] for file in folder.iterdir()) / PARTS


def train_plainly(folder: Path, turns: int) -> None:
    """Train epoch after epoch."""
    os.setsid()  # as workers do: Linux shares cores out by session
    epoch = epoch_counted_in(folder, turns)
    while True:
        epoch()


def study(path: Path, folder: Path, turns: int, seconds: float) -> None:
    """Run under mpiexec: tune for some seconds."""
    import ashtune

    def train(trial: Any) -> None:
        global epoch  # noqa: PLW0603 - one a worker process
        if "epoch" not in globals():
            epoch = epoch_counted_in(folder, turns)
        state = trial.restore() or {"epochs": 0}
        for _ in trial.epochs():
            epoch()
            state["epochs"] += 1
            trial.report(score=trial["x"] * state["epochs"])
        trial.save(state)

    ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", max_resource=16, time_limit=seconds,
        directory=path,
        search="random", quiet=True,
    )  # fmt: skip


def turn_by_turn(seconds: float, repeat: int) -> list[tuple[float, float]]:
    """Return the epochs a second of two plain processes and of the study in the turns that follow
    each other.
    """
    turns = turns_of_a_part()
    with tempfile.TemporaryDirectory() as directory:
        folders = Path(directory, "plain"), Path(directory, "ranks")
        for folder in folders:
            folder.mkdir()
        command = [
            MPIEXEC,
            "-n",
            str(WORKERS + 1),
            sys.executable,
            __file__,
            "--study",
            str(Path(directory, "study")),
        ]
        limit = WARM_UP_SECONDS + 2 * seconds * (repeat + 1)
        launch = subprocess.Popen([*command, str(folders[1]), str(turns), str(limit)])
        time.sleep(WARM_UP_SECONDS)
        ranks = processes_of(launch.pid)
        plain = [
            multiprocessing.Process(target=train_plainly, args=(folders[0], turns))
            for _ in range(WORKERS)
        ]
        for process in plain:
            process.start()
        groups = [process.pid for process in plain if process.pid], ranks
        rates: tuple[list[float], list[float]] = [], []
        try:
            tell(groups[1], signal.SIGSTOP)
            for arm in (0, 1) * (repeat + 1):
                tell(groups[arm], signal.SIGCONT)
                began, before = time.monotonic(), counted(folders[arm])
                time.sleep(seconds)
                rates[arm].append((counted(folders[arm]) - before) / (time.monotonic() - began))
                tell(groups[arm], signal.SIGSTOP)
        finally:
            tell(groups[1], signal.SIGCONT)
            for process in plain:
                process.kill()
            launch.wait(timeout=60)
    return list(zip(rates[0][1:], rates[1][1:], strict=True))


def wait_for(trials: int, folder: Path) -> None:
    """Run under mpiexec: two studies; one trial of the first waits, the other rank has nothing to
    do.
    """
    import ashtune

    def sleep(trial: Any) -> float:
        if trial.number == 0:
            time.sleep(IDLE_SECONDS + 3)
        return 0.0

    ashtune.tune(
        sleep,
        {"x": (0.0, 1.0)},
        metric="score",
        mode="max",
        trials=trials,
        search="random",
        max_resource=1,
        directory=folder,
        quiet=True,
    )


@contextmanager
def waiting(folder: Path) -> Iterator[dict[int, int]]:
    """Run the above; yield the process number of each rank."""
    command = [MPIEXEC, "-n", "4", sys.executable, __file__, "--wait", str(folder)]
    with subprocess.Popen(command) as process:
        time.sleep(2.0)
        ranks = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = dict(
                    pair.split("=", 1)
                    for pair in (entry / "environ").read_text().split("\0")
                    if "=" in pair
                )
                if "PMI_RANK" in environment and str(folder) in (entry / "cmdline").read_text():
                    ranks[int(environment["PMI_RANK"])] = int(entry.name)
            except OSError:
                continue  # it has ended, or is another user's
        yield ranks
        process.wait()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has had, by the scheduler's own clock: ticks miss
    short wakes.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def idle_shares() -> list[list[Any]]:
    """Return the share of a core that each rank takes while one trial sleeps."""
    roles = {
        0: "driver, one trial under way",
        1: "rank whose worker trains",
        2: "rank whose worker has nothing to do",
        3: "rank that the study has no use for",
    }
    with tempfile.TemporaryDirectory() as directory, waiting(Path(directory, "study")) as ranks:
        before = {rank: processor_seconds(pid) for rank, pid in ranks.items()}
        time.sleep(IDLE_SECONDS)
        used = {rank: processor_seconds(pid) - before[rank] for rank, pid in ranks.items()}
    return [[roles[rank], 100 * used[rank] / IDLE_SECONDS] for rank in sorted(used)]


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 3.0
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 40
    pairs = turn_by_turn(seconds, repeat)
    shares = sorted(100 * ranks / plain for plain, ranks in pairs)
    low, middle, high = statistics.quantiles(shares, n=4)
    show(
        "Three ranks on two cores, epochs of 100 ms, in turn with two plain processes",
        [
            "turns",
            "two plain processes, epochs/s",
            "mpiexec -n 3",
            "share %",
            "+-",
            "quartile",
            "median",
            "quartile",
        ],
        [
            [
                len(pairs),
                statistics.mean(plain for plain, _ in pairs),
                statistics.mean(ranks for _, ranks in pairs),
                100 * sum(ranks for _, ranks in pairs) / sum(plain for plain, _ in pairs),
                statistics.stdev(shares) / math.sqrt(len(shares)),
                low,
                middle,
                high,
            ]
        ],
    )
    show("Ranks with nothing to do", ["rank", "% of a core"], idle_shares())


if __name__ == "__main__":
    if "--study" in sys.argv:
        at = sys.argv.index("--study")
        study(
            Path(sys.argv[at + 1]),
            Path(sys.argv[at + 2]),
            int(sys.argv[at + 3]),
            float(sys.argv[at + 4]),
        )
    elif "--wait" in sys.argv:
        wait_for(2, Path(sys.argv[-1]))
    else:
        main()
