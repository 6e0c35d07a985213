"""What a driver costs those who train: three ranks on two cores, a pure Python loop of 100 ms an epoch.

An epoch is a fixed amount of work, calibrated on one core, so time lost to others shows. In turn, in one run: two
plain processes that train and do nothing else (half before, half after), and a study under ``mpiexec -n 3`` (a
driver and two workers, each with its worker process), checkpoints saved and the journal written. Their
throughput is epochs over the time that each worker was there. Then the processor time of ranks that have nothing to do.

Claims: >= 97 % of the throughput without a driver; an idle rank takes < 2 % of a core.

    python benchmarks/mpi_busy.py [--seconds 6] [--repeat 8] [--json FILE]
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import show

EPOCH_SECONDS = 0.1
WORKERS = 2
IDLE_SECONDS = 8.0
MPIEXEC = str(Path(sys.executable).with_name("mpiexec"))


def work(turns: int) -> int:
    """Train an epoch."""
    total = 0
    for turn in range(turns):
        total += turn * turn
    return total


def turns_of_an_epoch() -> int:
    """Return how many turns of the loop take an epoch's time, on a core of its own."""
    turns, best = 200_000, float("inf")
    for _ in range(20):
        began = time.perf_counter()
        work(turns)
        best = min(best, time.perf_counter() - began)
    return round(turns * EPOCH_SECONDS / best)


def train_plainly(turns: int, seconds: float, found: Any) -> None:
    """Train epoch after epoch; report epochs a second."""
    os.setsid()  # as workers do: Linux shares cores out by session
    began = time.monotonic()
    epochs = 0
    while time.monotonic() < began + seconds:
        work(turns)
        epochs += 1
    found.put(epochs / (time.monotonic() - began))


def plain_throughput(turns: int, seconds: float) -> float:
    """Return the epochs a second of two processes without a driver."""
    found: multiprocessing.SimpleQueue[float] = multiprocessing.SimpleQueue()
    processes = [multiprocessing.Process(target=train_plainly, args=(turns, seconds, found)) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    rates = [found.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rates)


def study(path: Path, turns: int, seconds: float) -> None:
    """Run under mpiexec: tune for some seconds."""
    import ashtune

    def train(trial: Any) -> None:
        state = trial.restore() or {"epochs": 0}
        for _ in trial.epochs():
            work(turns)
            state["epochs"] += 1
            trial.report(score=trial["x"] * state["epochs"])
        trial.save(state)

    ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", max_resource=16, time_limit=seconds, directory=path,
        quiet=True,
    )  # fmt: skip


def study_throughput(turns: int, seconds: float) -> tuple[float, int]:
    """Return the epochs a second of a study under mpiexec, and how many jobs that was."""
    from ashtune.events import JobFinished, JobPaused, WorkerJoined
    from ashtune.study.journal import NAME, read_events

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "study")
        command = [MPIEXEC, "-n", str(WORKERS + 1), sys.executable, __file__, "--study", str(path)]
        subprocess.run([*command, str(turns), str(seconds)], check=True, timeout=seconds + 60)
        epochs, joined, last, jobs = 0, {}, {}, 0
        for _, event in read_events(path / NAME):
            if isinstance(event, WorkerJoined):
                joined[event.worker] = event.time
            elif isinstance(event, JobFinished | JobPaused):
                epochs += event.resource - event.start
                last[event.worker] = event.time
                jobs += 1
        presence = sum(last[worker] - joined[worker] for worker in last)
        return epochs * WORKERS / presence, jobs


def wait_for(trials: int, folder: Path) -> None:
    """Run under mpiexec: two studies; one trial of the first waits, the other rank has nothing to do."""
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
                    pair.split("=", 1) for pair in (entry / "environ").read_text().split("\0") if "=" in pair
                )
                if "PMI_RANK" in environment and str(folder) in (entry / "cmdline").read_text():
                    ranks[int(environment["PMI_RANK"])] = int(entry.name)
            except OSError:
                continue  # it has ended, or is another user's
        yield ranks
        process.wait()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 6.0
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 8
    rows = []
    turns = turns_of_an_epoch()
    for _ in range(repeat):
        before = plain_throughput(turns, seconds / 2)
        rate, jobs = study_throughput(turns, seconds)
        plain = (before + plain_throughput(turns, seconds / 2)) / 2
        rows.append([jobs, plain, rate, 100 * rate / plain])
    rows.append(["median", *(statistics.median(row[column] for row in rows) for column in (1, 2, 3))])
    show(
        "Three ranks on two cores, epochs of 100 ms",
        ["jobs", "two plain processes, epochs/s", "mpiexec -n 3", "share %"],
        rows,
    )
    show("Ranks with nothing to do", ["rank", "% of a core"], idle_shares())


if __name__ == "__main__":
    if "--study" in sys.argv:
        at = sys.argv.index("--study")
        study(Path(sys.argv[at + 1]), int(sys.argv[at + 2]), float(sys.argv[at + 3]))
    elif "--wait" in sys.argv:
        wait_for(2, Path(sys.argv[-1]))
    else:
        main()
