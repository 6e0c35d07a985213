"""Jobs a second end to end: two local workers and a training function that only returns a number.

Everything is on: journal, configurations drawn by ConfigSpace, the tally. Beside it, in the same run, a bare
exchange of the same number of messages of the same bytes with two processes over
``multiprocessing.Pipe``: what Python's own transport could do at most.

Claims: >= 15,000 jobs/s and >= 0.4 of the bare exchange, at 10,000 trials and at 100,000 alike.

    python benchmarks/throughput.py [--repeat 3] [--json FILE]
"""

import multiprocessing
import multiprocessing.connection
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

import ashtune
from ashtune.events import JobFinished, StopRequested, WorkerJoined
from ashtune.jobs import TrialId, WorkerId
from ashtune.study.journal import NAME, read_events
from ashtune.training.messages import Assignment
from table import show

SPACE = {"learning_rate": (1e-4, 1.0), "momentum": (0.0, 0.99), "width": [16, 32, 64], "depth": (1, 3)}
WORKERS = 2
SIZES = [1_000, 10_000, 100_000]


def train(trial: Any) -> float:
    """Return a number and do nothing else."""
    return float(trial["learning_rate"])


def ashtune_rate(trials: int) -> tuple[int, float]:
    """Return (jobs, seconds) from the first worker's joining to the last result."""
    with tempfile.TemporaryDirectory() as directory:
        study = Path(directory, "study")
        ashtune.tune(
            train, SPACE, metric="score", mode="max", trials=trials, max_resource=64, workers=WORKERS,
            directory=study, quiet=True,
        )  # fmt: skip
        jobs, joined, last = 0, 0.0, 0.0
        for _, event in read_events(study / NAME):
            if isinstance(event, WorkerJoined) and not joined:
                joined = event.time
            elif isinstance(event, JobFinished):
                jobs, last = jobs + 1, event.time
            else:
                assert not isinstance(event, StopRequested)
        return jobs, last - joined


def echo(connection: multiprocessing.connection.Connection, answer: bytes) -> None:
    """Answer every message until an empty one comes."""
    while connection.recv_bytes():
        connection.send_bytes(answer)


def bare_rate(jobs: int) -> float:
    """Return the seconds that exchanging the same messages over ``multiprocessing.Pipe`` takes."""
    configuration = {"learning_rate": 0.123456789, "momentum": 0.5, "width": 32, "depth": 2}
    order = msgspec.msgpack.encode(
        Assignment(TrialId(1000), 0, 0, 1, False, msgspec.Raw(msgspec.msgpack.encode(configuration)))
    )
    answer = msgspec.msgpack.encode(
        JobFinished(
            time=0, worker=WorkerId(1), trial=TrialId(1000), rung=0, resource=1, metrics={"score": 0.5}, seconds=0.1
        )
    )
    poll = select.poll()
    ends, processes = {}, []
    for _ in range(WORKERS):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(target=echo, args=(there, answer))
        process.start()
        there.close()
        ends[here.fileno()] = here
        poll.register(here.fileno(), select.POLLIN)
        processes.append(process)
    began = time.perf_counter()
    sent = received = 0
    for end in ends.values():
        end.send_bytes(order)
        sent += 1
    while received < jobs:
        for file, _ in poll.poll():
            ends[file].recv_bytes()
            received += 1
            if sent < jobs:
                ends[file].send_bytes(order)
                sent += 1
    seconds = time.perf_counter() - began
    for end, process in zip(ends.values(), processes, strict=True):
        end.send_bytes(b"")
        process.join()
    return seconds


def main() -> None:
    """Measure and print."""
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 3
    rows = []
    sizes = (
        [int(size) for size in sys.argv[sys.argv.index("--trials") + 1].split(",")] if "--trials" in sys.argv else SIZES
    )
    for trials in sizes:
        for _ in range(repeat):
            jobs, seconds = ashtune_rate(trials)
            bare = jobs / bare_rate(jobs)
            rows.append([trials, jobs, jobs / seconds, trials / seconds, bare, jobs / seconds / bare])
    show(
        "End to end: two local workers, a training function that only returns a number",
        ["trials", "jobs", "jobs/s", "trials/s", "bare Pipe exchanges/s", "share of bare"],
        rows,
    )


if __name__ == "__main__":
    main()
