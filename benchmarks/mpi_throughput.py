"""Jobs a second over MPI: a driver, two worker ranks and a training function that only returns a number.

Everything is on: journal, configurations drawn, the tally. The rungs are 1, 2, 4 ... 64, about 2 jobs a trial. In the
same run, under the same ``mpiexec -n 3``: a bare exchange of as many of the same messages by blocking ``send`` and
``recv`` of mpi4py, which spins and so takes every core it can get, and ``mpi4py.futures`` with two tasks outstanding.

Beside the jobs a second stands the processor time a job of rank 0 (user and system, from the first event to the last),
which a shared machine changes less. ``--ranks 33`` measures many ranks on one node, more than it has cores.

Claims: >= 4 times the jobs/s of ``mpi4py.futures``, trained in the rank (``isolate=False``) and with the worker
process.

    python benchmarks/mpi_throughput.py [--trials 100000] [--repeat 3] [--ranks 3] [--json FILE]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from table import show

SPACE = {"learning_rate": (1e-4, 1.0), "momentum": (0.0, 0.99), "width": [16, 32, 64], "depth": (1, 3)}
RANKS = int(sys.argv[sys.argv.index("--ranks") + 1]) if "--ranks" in sys.argv else 3
ORDER = {"trial": 1000, "target": 1, "configuration": {"learning_rate": 0.1, "momentum": 0.5, "width": 32, "depth": 2}}
ANSWER = {"trial": 1000, "rung": 0, "metrics": {"score": 0.5}, "seconds": 0.1}


def train(trial: Any) -> float:
    """Return a number and do nothing else."""
    return float(trial["learning_rate"])


def study(trials: int, *, isolate: bool) -> None:
    """Run under mpiexec: print the jobs, the jobs a second from the first joining on, and the driver's us a job."""
    import ashtune
    from ashtune._src.core.events import JobFinished, WorkerJoined
    from ashtune._src.engines.loop import Drive
    from ashtune._src.study.journal import NAME, read_events

    seconds, run = [0.0], Drive.run

    def measured(*arguments: Any) -> None:
        began = time.process_time()
        run(*arguments)
        seconds[0] = time.process_time() - began

    Drive.run = measured  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "study")
        ashtune.tune(
            train, SPACE, metric="score", mode="max", trials=trials, min_resource=1, max_resource=64,
            reduction_factor=2, directory=path, quiet=True, search="random", engine=ashtune.MPI(isolate=isolate),
        )  # fmt: skip
        jobs, joined, last = 0, 0.0, 0.0
        for event in read_events(path / NAME):
            if isinstance(event, WorkerJoined) and not joined:
                joined = event.time
            elif isinstance(event, JobFinished):
                jobs, last = jobs + 1, event.time
        print(jobs, jobs / (last - joined), seconds[0] / jobs * 1e6)


def bare(jobs: int) -> None:
    """Run under mpiexec: print the round trips a second of blocking calls, one job outstanding a rank."""
    from mpi4py import MPI

    comm, status = MPI.COMM_WORLD, MPI.Status()
    if comm.rank:
        while comm.recv(source=0) is not None:
            comm.send(ANSWER, 0)
        return
    began, used = time.perf_counter(), time.process_time()
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
    print(jobs, jobs / (time.perf_counter() - began), (time.process_time() - used) / jobs * 1e6)
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
        began, used, done = time.perf_counter(), time.process_time(), 0
        pending = {pool.submit(echo, ORDER) for _ in range(RANKS - 1)}
        while done < jobs:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            done += len(finished)
            pending |= {pool.submit(echo, ORDER) for _ in finished}
        print(done, done / (time.perf_counter() - began), (time.process_time() - used) / done * 1e6)


def launched(what: str, size: int) -> tuple[int, float, float]:
    """Run one part of this script on all ranks; return its jobs, jobs a second, and processor us a job of rank 0."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [str(mpiexec), "-n", str(RANKS), sys.executable, __file__, "--ranks", str(RANKS), "--part", what]
    ended = subprocess.run([*command, str(size)], capture_output=True, text=True, check=True, timeout=3600)
    jobs, rate, used = ended.stdout.split()
    return int(jobs), float(rate), float(used)


def main() -> None:
    """Measure and print."""
    trials = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 100_000
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 3
    parts = {
        "trained in the rank": ("rank", trials),
        "with the worker process": ("child", trials // 3),
        "bare send and recv": ("bare", 2 * trials),
        "mpi4py.futures": ("futures", trials // 5),
    }
    rows = []
    for turn in range(1, repeat + 1):
        measured = {name: launched(what, size) for name, (what, size) in parts.items()}
        peer = measured["mpi4py.futures"][1]
        for name, (jobs, rate, used) in measured.items():
            tried = parts[name][1] if parts[name][0] in ("rank", "child") else "-"
            rows.append([turn, name, tried, jobs, rate, rate / peer, used])
    show(
        f"Over MPI: {RANKS - 1} worker ranks, a training function that only returns a number",
        ["turn", "by", "trials", "jobs", "jobs/s", "of mpi4py.futures", "rank 0, CPU us a job"],
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
