"""Jobs a second end to end: two local workers and a training function that only returns a number.

Everything is on: journal, random configurations, the tally. Beside it, in the same run, a bare
exchange of as many of the same messages with two processes over ``multiprocessing.Pipe``: as plain Python
objects (``send`` and ``recv``: what one writes in ten lines), and as bytes that are ready-made and not looked
at (``send_bytes``: what the transport alone could do).

The rungs are 1, 2, 4 ... 64, about 2 jobs a trial, whatever rungs ashtune would choose by itself. The processor time
is the driver's alone, from before its start to its end.

Claims: >= 10,000 jobs/s at 10,000 trials and at 100,000 alike, and >= 0.5 of the bare exchange of objects.

    python benchmarks/throughput.py [--trials 10000,100000] [--repeat 3] [--json FILE]
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
from ashtune._src.core.events import JobFinished, StopRequested, WorkerJoined
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.messages import Assignment
from table import show

SPACE = {"learning_rate": (1e-4, 1.0), "momentum": (0.0, 0.99), "width": [16, 32, 64], "depth": (1, 3)}
WORKERS = 2
SIZES = [1_000, 10_000, 100_000]


def train(trial: Any) -> float:
    """Return a number and do nothing else."""
    return float(trial["learning_rate"])


def ashtune_rate(trials: int) -> tuple[int, float, float]:
    """Return (jobs, seconds from the first worker's joining to the last result, the driver's processor seconds)."""
    with tempfile.TemporaryDirectory() as directory:
        study, began = Path(directory, "study"), time.process_time()
        ashtune.tune(
            train, SPACE, metric="score", mode="max", trials=trials, min_resource=1, max_resource=64,
            reduction_factor=2, workers=WORKERS, search="random", directory=study, quiet=True,
        )  # fmt: skip
        processor = time.process_time() - began
        jobs, joined, last = 0, 0.0, 0.0
        for event in read_events(study / NAME):
            if isinstance(event, WorkerJoined) and not joined:
                joined = event.time
            elif isinstance(event, JobFinished):
                jobs, last = jobs + 1, event.time
            else:
                assert not isinstance(event, StopRequested)
        return jobs, last - joined, processor


CONFIGURATION = {"learning_rate": 0.123456789, "momentum": 0.5, "width": 32, "depth": 2}
ORDER = Assignment(WorkerId(1), TrialId(1000), 0, 0, 1, False, msgspec.Raw(msgspec.msgpack.encode(CONFIGURATION)))
ANSWER = JobFinished(
    time=0, worker=WorkerId(1), trial=TrialId(1000), rung=0, resource=1, metrics={"score": 0.5}, seconds=0.1
)


def echo_bytes(connection: multiprocessing.connection.Connection) -> None:
    """Answer every message until an empty one comes."""
    answer = msgspec.msgpack.encode(ANSWER)
    while connection.recv_bytes():
        connection.send_bytes(answer)


def echo_objects(connection: multiprocessing.connection.Connection) -> None:
    """Answer every message until an empty one comes."""
    answer = msgspec.to_builtins(ANSWER)
    while connection.recv():
        connection.send(answer)


def bare_rate(jobs: int, *, as_objects: bool) -> float:
    """Return how many messages a second can be exchanged over ``multiprocessing.Pipe``."""
    order: Any = msgspec.msgpack.encode(ORDER)
    if as_objects:
        order = msgspec.msgpack.decode(order)
    poll = select.poll()
    ends, processes = {}, []
    for _ in range(WORKERS):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(target=echo_objects if as_objects else echo_bytes, args=(there,))
        process.start()
        there.close()
        ends[here.fileno()] = (here.send, here.recv) if as_objects else (here.send_bytes, here.recv_bytes)
        poll.register(here.fileno(), select.POLLIN)
        processes.append((process, here))
    began = time.perf_counter()
    sent = received = 0
    for send, _ in ends.values():
        send(order)
        sent += 1
    while received < jobs:
        for file, _ in poll.poll():
            send, receive = ends[file]
            receive()
            received += 1
            if sent < jobs:
                send(order)
                sent += 1
    seconds = time.perf_counter() - began
    for process, here in processes:
        here.send(b"") if as_objects else here.send_bytes(b"")
        process.join()
    return jobs / seconds


def main() -> None:
    """Measure and print."""
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 3
    sizes = (
        [int(size) for size in sys.argv[sys.argv.index("--trials") + 1].split(",")] if "--trials" in sys.argv else SIZES
    )
    rows = []
    for trials in sizes:
        for _ in range(repeat):
            jobs, seconds, processor = ashtune_rate(trials)
            rate = jobs / seconds
            objects, ready_made = bare_rate(jobs, as_objects=True), bare_rate(jobs, as_objects=False)
            rows.append(
                [trials, jobs, rate, processor / jobs * 1e6, objects, rate / objects, ready_made, rate / ready_made]
            )
    show(
        "End to end: two local workers, a training function that only returns a number",
        ["trials", "jobs", "jobs/s", "driver us/job", "bare objects/s", "share", "bare bytes/s", "share of bytes"],
        rows,
    )


if __name__ == "__main__":
    main()
