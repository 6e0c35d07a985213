"""Each way of running, in one run: jobs a second, the driver's processor time a job, and how busy
the workers are.

Every way has the same number of workers. For the jobs a second, the training function only returns
a number, and the rungs are 1, 2, 4 ... 64, about 2 jobs a trial. Everything is on: journal,
configurations drawn, the tally. The rate counts from the first worker's joining to the last result.
The processor time is that of the driver's process in its main loop, which for threads includes the
training. With Dask, that of Dask's scheduler is added, a process of its own.

Beside them, the same number of workers under other libraries alone, each of which answers an order
of the same size with one task outstanding a worker: a bare exchange over ``multiprocessing.Pipe``,
loky, ``dask.distributed`` with ``as_completed``, and ``mpi4py.futures``.

Busy is the time in epochs of 100 ms over the time in which workers were there, from their joining
to their end or to the last result, idle tail included. An epoch sleeps, so that it takes 100 ms
also on a busy machine. The last row has 1, 8, 2 and 5 workers of a cluster one after another; what
the killed workers trained and did not finish is not counted.

A rate is the median of the turns. A ratio is the median of the ratios within one turn.

Claims: the cluster >= 0.5 of MPI's rate; MPI >= 3 times ``mpi4py.futures`` if trained in the rank;
all workers >= 95 % busy.

    python benchmarks/engines.py [--trials 5000] [--repeat 3] [--workers 2] [--busy-trials 100]
        [--json FILE]

Without Dask's distributed its rows are left out: the environment of ``make test-integrations`` has
it.
"""

import multiprocessing
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.core.events import JobFinished, JobPaused, WorkerJoined, WorkerLost
from ashtune._src.engines.loop import Drive
from ashtune._src.study.journal import NAME, read_events
from busy import train_for
from mpi_busy import MPIEXEC, processor_seconds
from table import show

SPACE = {
    "learning_rate": (1e-4, 1.0),
    "momentum": (0.0, 0.99),
    "width": [16, 32, 64],
    "depth": (1, 3),
}
CONFIGURATION = {"learning_rate": 0.123456789, "momentum": 0.5, "width": 32, "depth": 2}
ORDER = {"trial": 1000, "target": 1, "configuration": CONFIGURATION}
ANSWER = {"trial": 1000, "rung": 0, "metrics": {"score": 0.5}, "seconds": 0.1}
EPOCH_SECONDS = 0.1
MPI = "MPI"
ENGINES = [
    "local",
    "threads",
    MPI,
    "MPI, in the rank",
    "cluster",
    "Executors(loky)",
    "Executors(Dask)",
]
ALONE = {"bare exchange by pipes": 4, "mpi4py.futures": 1, "loky": 1, "dask.distributed": 0.1}
"""Other libraries, and how many jobs each does for each trial of the engines, so that each takes
seconds.
"""
OF_DASK = ("Executors(Dask)", "dask.distributed")
UNDER_MPIEXEC = (MPI, "MPI, in the rank", "mpi4py.futures")


def train(trial: Any) -> float:
    """Return a number and do nothing else."""
    return float(trial["learning_rate"])


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Return the answer."""
    return ANSWER if order else {}


@contextmanager
def dask(workers: int) -> Iterator[tuple[Any, int]]:
    """Start a scheduler and workers of Dask as processes; yield a client and the scheduler's
    process number.
    """
    from distributed import Client

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "scheduler.json"))
        common = ["--scheduler-file", file, "--no-dashboard"]
        options = {
            "scheduler": ["--port", "0"],
            "worker": ["--nworkers", str(workers), "--nthreads", "1"],
        }
        started = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{name}", *common, *more],
                stderr=subprocess.DEVNULL, cwd=folder,
            )
            for name, more in options.items()
        ]  # fmt: skip
        try:
            while not Path(file).exists():
                time.sleep(0.1)
            with Client(scheduler_file=file) as client:
                client.wait_for_workers(workers, timeout=60)
                yield client, started[0].pid
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()


@contextmanager
def host(study: Path, slots: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start workers of a cluster."""
    command = [sys.executable, "-m", "ashtune", "worker", str(study), "--wait", "--slots", slots]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        yield process


@contextmanager
def engine_of(way: str, study: Path, workers: int) -> Iterator[tuple[Any, Callable[[], float]]]:
    """Yield an engine, and a function that returns the processor seconds so far of its driver."""
    of_this = time.process_time
    if way in UNDER_MPIEXEC:
        yield ashtune.MPI(isolate=way == MPI), of_this
    elif way == "cluster":
        with host(study, str(workers)):
            yield way, of_this
    elif way == "Executors(loky)":
        from joblib.externals.loky import ProcessPoolExecutor

        with ProcessPoolExecutor(workers) as pool:
            yield ashtune.Executors(pool), of_this
    elif way == "Executors(Dask)":
        with dask(workers) as (client, scheduler):
            pool = client.get_executor(pure=False, retries=0)
            yield ashtune.Executors(pool), lambda: of_this() + processor_seconds(scheduler)
    else:
        yield way, of_this


def rate_of_a_study(way: str, trials: int, workers: int) -> None:
    """Print the jobs, the jobs a second and the driver's us a job."""
    used, run = [0.0], Drive.run
    with tempfile.TemporaryDirectory() as directory:
        study = Path(directory, "study")
        with engine_of(way, study, workers) as (engine, processor):

            def measured(*arguments: Any) -> None:
                began = processor()
                run(*arguments)
                used[0] = processor() - began

            Drive.run = measured  # type: ignore[method-assign]
            ashtune.tune(
                train, SPACE, metric="score", mode="max", trials=trials, min_resource=1,
                max_resource=64,
                reduction_factor=2, search="random", engine=engine, directory=study, quiet=True,
                workers=None if way in UNDER_MPIEXEC else workers,
            )  # fmt: skip
        jobs, joined, last = 0, 0.0, 0.0
        for event in read_events(study / NAME):
            if isinstance(event, WorkerJoined) and not joined:
                joined = event.time
            elif isinstance(event, JobFinished):
                jobs, last = jobs + 1, event.time
    print(jobs, jobs / (last - joined), used[0] / jobs * 1e6)


def busy_share(way: str, trials: int, workers: int) -> None:
    """Print how busy the workers are, in percent."""
    with tempfile.TemporaryDirectory() as directory:
        study = Path(directory, "study")
        with engine_of(way, study, workers) as (engine, _):
            tune_epochs(engine, None if way in UNDER_MPIEXEC else workers, trials, study)
        print(busy(study))


def tune_epochs(engine: Any, workers: int | None, trials: int, study: Path) -> None:
    """Tune a function whose epochs take 100 ms."""
    ashtune.tune(
        train_for(EPOCH_SECONDS, time.sleep), {"x": (0.0, 1.0)}, metric="score", mode="max",
        trials=trials,
        min_resource=1, max_resource=4, reduction_factor=2, search="random", engine=engine,
        workers=workers,
        directory=study, quiet=True,
    )  # fmt: skip


def busy(study: Path) -> float:
    """Return the time in epochs over the time in which workers were there, in percent."""
    joined: dict[int, float] = {}
    present = trained = end = 0.0
    for event in read_events(study / NAME):
        if isinstance(event, WorkerJoined):
            joined[event.worker] = event.time
        elif isinstance(event, WorkerLost):
            present += event.time - joined.pop(event.worker)
        elif isinstance(event, JobFinished | JobPaused):
            trained += (event.resource - event.start) * EPOCH_SECONDS
            end = event.time
    return 100 * trained / (present + sum(end - begun for begun in joined.values()))


def come_and_go(trials: int) -> None:
    """Print how busy 1, 8, 2 and 5 workers of a cluster are, each for some seconds."""

    def others() -> None:
        with host(study, "1"):
            time.sleep(5)
            with host(study, "7") as seven:
                time.sleep(10)
                seven.kill()
            with host(study, "1"):
                time.sleep(10)
                with host(study, "3"):
                    pass  # until the end of the study

    with tempfile.TemporaryDirectory() as directory:
        study = Path(directory, "study")
        hosts = threading.Thread(target=others)
        hosts.start()
        tune_epochs("cluster", 8, trials, study)
        hosts.join()
        print(busy(study))


def echo(connection: Any) -> None:
    """Answer every message until an empty one comes."""
    while connection.recv():
        connection.send(ANSWER)


def by_pipes(jobs: int, workers: int) -> None:
    """Exchange orders and answers, which are pickled, with processes."""
    poll, ends, processes = select.poll(), {}, []
    for _ in range(workers):
        here, there = multiprocessing.Pipe()
        processes.append(multiprocessing.Process(target=echo, args=(there,)))
        processes[-1].start()
        there.close()
        ends[here.fileno()] = here
        poll.register(here.fileno(), select.POLLIN)
    with printed_rate(jobs):
        sent = received = 0
        for end in ends.values():
            end.send(ORDER)
            sent += 1
        while received < jobs:
            for file, _ in poll.poll():
                ends[file].recv()
                received += 1
                if sent < jobs:
                    ends[file].send(ORDER)
                    sent += 1
    for end, process in zip(ends.values(), processes, strict=True):
        end.send(None)
        process.join()


def by_futures(pool: Any, jobs: int, workers: int) -> None:
    """Let a pool of ``concurrent.futures`` answer orders."""
    pool.submit(answer, ORDER).result()
    with printed_rate(jobs):
        done, pending = 0, {pool.submit(answer, ORDER) for _ in range(workers)}
        while done < jobs:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            done += len(finished)
            pending |= {pool.submit(answer, ORDER) for _ in finished}


def by_dask(jobs: int, workers: int) -> None:
    """Let Dask answer orders, by ``as_completed``."""
    from distributed import as_completed

    with dask(workers) as (client, scheduler):
        client.submit(answer, ORDER, pure=False).result()
        with printed_rate(jobs, lambda: time.process_time() + processor_seconds(scheduler)):
            completed = as_completed(
                [client.submit(answer, ORDER, pure=False) for _ in range(workers)]
            )
            for done, future in enumerate(completed, start=workers):
                future.result()
                if done < jobs:
                    completed.add(client.submit(answer, ORDER, pure=False))


@contextmanager
def printed_rate(jobs: int, processor: Callable[[], float] = time.process_time) -> Iterator[None]:
    """Print the jobs, the jobs a second and the processor time a job of what the block does."""
    began, used = time.perf_counter(), processor()
    yield
    print(jobs, jobs / (time.perf_counter() - began), (processor() - used) / jobs * 1e6)


def alone(way: str, jobs: int, workers: int) -> None:
    """Print the rate of another library."""
    if way == "dask.distributed":
        by_dask(jobs, workers)
    elif way == "loky":
        from joblib.externals.loky import ProcessPoolExecutor

        with ProcessPoolExecutor(workers) as pool:
            by_futures(pool, jobs, workers)
    elif way == "mpi4py.futures":
        from mpi4py.futures import MPICommExecutor

        with MPICommExecutor() as pool:
            if pool is not None:
                by_futures(pool, jobs, workers)
    else:
        by_pipes(jobs, workers)


PARTS: dict[str, Callable[[str, int, int], None]] = {
    "rate": rate_of_a_study,
    "busy": busy_share,
    "alone": alone,
    "come-and-go": lambda _, trials, __: come_and_go(trials),
}


def launched(part: str, way: str, size: int, workers: int) -> list[float]:
    """Run a part of this script in a process of its own, or on ranks; return the numbers that it
    prints.
    """
    ranks = [MPIEXEC, "-n", str(workers + 1)] if way in UNDER_MPIEXEC else []
    command = [*ranks, sys.executable, __file__, "--part", part, way, str(size), str(workers)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    return [float(number) for number in ended.stdout.split()]


def option(name: str, default: int) -> int:
    """Return an option of the command line."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main() -> None:
    """Measure and print."""
    trials, repeat, workers = (
        option("--trials", 5_000),
        option("--repeat", 3),
        option("--workers", 2),
    )
    busy_trials = option("--busy-trials", 100)
    has_dask = find_spec("distributed") is not None
    engines, others = (
        [way for way in ways if has_dask or way not in OF_DASK] for ways in (ENGINES, ALONE)
    )
    rates: dict[str, list[list[float]]] = {way: [] for way in (*engines, *others)}
    for _ in range(repeat):
        for way in engines:
            rates[way].append(launched("rate", way, trials, workers))
        for way in others:
            rates[way].append(launched("alone", way, int(ALONE[way] * trials), workers))
    shares = {way: launched("busy", way, busy_trials * workers // 2, workers)[0] for way in engines}
    rows = []
    for way, measured in rates.items():
        ratios = [turn[1] / of_mpi[1] for turn, of_mpi in zip(measured, rates[MPI], strict=True)]
        jobs, rate, used = (statistics.median(numbers) for numbers in zip(*measured, strict=True))
        rows.append([way, int(jobs), rate, statistics.median(ratios), used, shares.get(way, "-")])
    (share,) = launched("come-and-go", "cluster", 8 * busy_trials, 8)
    rows.append(["cluster, 1 to 8 to 2 to 5 workers", "-", "-", "-", "-", share])
    show(
        f"{workers} workers, a function that only returns a number; epochs of 100 ms; {repeat} "
        f"turns",
        ["by", "jobs", "jobs/s", "of MPI's", "driver, CPU us a job", "busy %, epochs of 100 ms"],
        rows,
    )


if __name__ == "__main__":
    if "--part" in sys.argv:
        part, way, size, workers = sys.argv[-4:]
        PARTS[part](way, int(size), int(workers))
    else:
        main()
