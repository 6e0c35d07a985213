"""Jobs a second over MPI: a driver, two worker ranks and a training function that only returns a number.

Everything is on: journal, configurations drawn, the tally. In the same run, under the same ``mpiexec -n 3``: a
bare exchange of as many of the same messages by blocking ``send`` and ``recv`` of mpi4py, which spins and so
takes every core it can get, and ``mpi4py.futures`` with two tasks outstanding.

Claims: >= 12,000 jobs/s trained in the rank (``isolate=False``), >= 6,000 with the worker process.

    python benchmarks/mpi_throughput.py [--trials 100000] [--repeat 3] [--json FILE]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from table import show

SPACE = {"learning_rate": (1e-4, 1.0), "momentum": (0.0, 0.99), "width": [16, 32, 64], "depth": (1, 3)}
RANKS = 3
ORDER = {"trial": 1000, "target": 1, "configuration": {"learning_rate": 0.1, "momentum": 0.5, "width": 32, "depth": 2}}
ANSWER = {"trial": 1000, "rung": 0, "metrics": {"score": 0.5}, "seconds": 0.1}


def train(trial: Any) -> float:
    """Return a number and do nothing else."""
    return float(trial["learning_rate"])


def study(trials: int, *, isolate: bool) -> None:
    """Run under mpiexec: print the jobs a second from the first worker's joining to the last result."""
    import ashtune
    from ashtune._src.core.events import JobFinished, WorkerJoined
    from ashtune._src.study.journal import NAME, read_events

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "study")
        ashtune.tune(
            train, SPACE, metric="score", mode="max", trials=trials, max_resource=64, directory=path, quiet=True,
            search="random", engine=ashtune.MPI(isolate=isolate),
        )  # fmt: skip
        jobs, joined, last = 0, 0.0, 0.0
        for event in read_events(path / NAME):
            if isinstance(event, WorkerJoined) and not joined:
                joined = event.time
            elif isinstance(event, JobFinished):
                jobs, last = jobs + 1, event.time
        print(jobs / (last - joined))


def bare(jobs: int) -> None:
    """Run under mpiexec: print the round trips a second of blocking calls, one job outstanding a rank."""
    from mpi4py import MPI

    comm, status = MPI.COMM_WORLD, MPI.Status()
    if comm.rank:
        while comm.recv(source=0) is not None:
            comm.send(ANSWER, 0)
        return
    began = time.perf_counter()
    sent = received = 0
    for rank in range(1, comm.size):
        comm.send(ORDER, rank)
        sent += 1
    while received < jobs:
        comm.recv(status=status)
        received += 1
        if sent < jobs:
            comm.send(ORDER, status.source)
            sent += 1
    print(jobs / (time.perf_counter() - began))
    for rank in range(1, comm.size):
        comm.send(None, rank)


def echo(order: dict[str, Any]) -> dict[str, Any]:
    """Return the answer."""
    return ANSWER if order else {}


def futures(jobs: int) -> None:
    """Run under mpiexec: print the tasks a second of mpi4py.futures, as many outstanding as there are workers."""
    from concurrent.futures import FIRST_COMPLETED, wait

    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    with MPICommExecutor(MPI.COMM_WORLD) as pool:
        if pool is None:
            return
        began, done = time.perf_counter(), 0
        pending = {pool.submit(echo, ORDER) for _ in range(RANKS - 1)}
        while done < jobs:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            done += len(finished)
            pending |= {pool.submit(echo, ORDER) for _ in finished}
        print(done / (time.perf_counter() - began))


def launched(what: str, jobs: int) -> float:
    """Run one part of this script on three ranks; return what it printed."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [str(mpiexec), "-n", str(RANKS), sys.executable, __file__, "--part", what, str(jobs)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return float(ended.stdout)


def main() -> None:
    """Measure and print."""
    trials = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 100_000
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 3
    rows = []
    for _ in range(repeat):
        in_rank, with_child = launched("rank", trials), launched("child", trials // 3)
        rows.append([in_rank, with_child, launched("bare", trials), launched("futures", trials // 10)])
    show(
        "Over MPI: two worker ranks on two cores, a training function that only returns a number",
        ["in the rank, jobs/s", "with the worker process", "bare send and recv", "mpi4py.futures"],
        rows,
    )


if __name__ == "__main__":
    if "--part" in sys.argv:
        part, count = sys.argv[-2], int(sys.argv[-1])
        match part:
            case "rank" | "child":
                study(count, isolate=part == "child")
            case "bare":
                bare(count)
            case _:
                futures(count)
    else:
        main()
