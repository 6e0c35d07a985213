"""The driver's processor time a job, all in, but without sockets and workers: who spends it, layer
by layer.

The driver is the real one: session, loop, controller, journal on the disk, observers, local engine.
Only the worker processes are replaced: each order's frame is answered at once by a result's frame,
and all workers answer together. The time of this replacement is measured and taken off. The rungs
are 1, 2, 4 ... 64, about 2 jobs a trial.

A figure is the lowest tenth of the segments of 1,000 jobs, since these machines are shared. The
table by layer comes from further runs with a timer around each layer, which costs about 0.3 us a
call; so its sum is above the total.

    python benchmarks/driver_cost.py [--jobs 40000] [--workers 2,64,1000] [--searches
    random,default] [--layers]
        [--json FILE]
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

import ashtune
from ashtune._src.core.events import JobFinished, WorkerJoined
from ashtune._src.core.jobs import WorkerId
from ashtune._src.engines.local.local_workers import LocalWorkers
from ashtune._src.processes.frames import FrameWriter
from ashtune._src.training.worker_messages import Assignment, FromWorker, ToWorker
from table import show

SPACE = {
    "learning_rate": (1e-4, 1.0),
    "momentum": (0.0, 0.99),
    "width": [16, 32, 64],
    "depth": (1, 3),
}
SEGMENT = 1_000
MOST_SECONDS = 30e-6
"""The longest that one answer is taken to last: another process may have had the core in the
middle.
"""


def option(name: str, default: str) -> str:
    """Return an option of the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def train(trial: Any) -> float:
    """Return a number; only its messages are used here, as no worker runs."""
    return float(trial["learning_rate"])


class AnsweringHost:
    """Takes the place of ``Host`` and its processes: answers every order, and measures segments of
    jobs.
    """

    def __init__(self) -> None:
        self._writer = FrameWriter()
        self._decode = msgspec.msgpack.Decoder(ToWorker).decode
        self._answers: dict[int, bytes] = {}
        self._processes: dict[int, AnsweringProcess] = {}
        self._own = 0.0  # seconds of this class
        self.jobs = 0
        self._mark = (0.0, 0.0, 0)
        self.turns = 0
        self.segments: list[float] = []

    def now(self) -> float:
        return time.monotonic()

    def start(
        self, worker: WorkerId, logs: Path, environment: Any, processes: int
    ) -> "AnsweringProcess":
        del logs, environment, processes
        process = self._processes[worker] = AnsweringProcess(worker, self)
        return process

    def forget(self, process: "AnsweringProcess") -> None:
        self._processes.pop(process.worker)

    def send(self, process: "AnsweringProcess", frame: bytes) -> None:
        began = time.perf_counter()
        message = self._decode(frame[4:])
        worker = process.worker
        answer: FromWorker | None = None
        if isinstance(message, Assignment):
            value = ((message.trial * 2_654_435_761) % 1_000_003) / 1_000_003
            answer = JobFinished(
                time=0, worker=worker, trial=message.trial, rung=message.rung,
                resource=message.target,
                metrics={"score": value}, seconds=1e-5,
            )  # fmt: skip
            self.jobs += 1
        else:
            answer = WorkerJoined(0, worker, 1, "host")
        self._answers[worker] = self._writer.frame(answer)
        self._own += min(MOST_SECONDS, time.perf_counter() - began)

    def ready(self, seconds: float) -> list["AnsweringProcess"]:
        del seconds
        began = time.perf_counter()
        self.turns += 1
        if (jobs := self.jobs - self._mark[2]) >= SEGMENT:
            now = time.process_time(), self._own, self.jobs
            if self._mark[2]:  # the first segment has the start in it
                self.segments.append(
                    (now[0] - self._mark[0] - (now[1] - self._mark[1])) / jobs * 1e6
                )
            self._mark = now
        ready = [self._processes[worker] for worker in self._answers]
        self._own += min(MOST_SECONDS * len(ready), time.perf_counter() - began)
        return ready

    def read(self, worker: WorkerId) -> bytes:
        return self._answers.pop(worker, b"")


class AnsweringProcess:
    """Takes the place of ``WorkerProcess``."""

    pid, log, is_dead, has_more = 1, Path("log"), False, False

    def __init__(self, worker: WorkerId, host: AnsweringHost) -> None:
        self.worker = worker
        self._host = host

    def read(self) -> bytes:
        return self._host.read(self.worker)

    def hang_up(self) -> None: ...

    def kill(self) -> None: ...

    def end(self, seconds: float = 0.0) -> str:
        return "ended"


class AnsweringEngine:
    """The local engine without processes."""

    name, must_exit = "local", False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.host = AnsweringHost()

    def worker_count(self, wanted: int | None) -> int:
        return self.workers

    def check(self, options: Any, workers: int) -> None: ...

    def open(self, brief: Any) -> LocalWorkers:
        host: Any = self.host
        return LocalWorkers(
            brief.setup,
            brief.configurations,
            environments=[{}] * self.workers,
            began=brief.began,
            host=host,
        )

    def leave(self, status: int) -> None: ...


class Layers:
    """Timers around methods: the time of each layer without that of the layers that it calls."""

    LAYERS: ClassVar = {
        "read and cut": [("ashtune._src.processes.frames", "FrameReader", "take")],
        "wait, checks": [("ashtune._src.engines.local.local_workers", "LocalWorkers", "wait")],
        "controller": [("ashtune._src.study.controller", "Controller", "handle")],
        "scheduler": [
            ("ashtune._src.schedulers.ash", "AshMachine", name)
            for name in ("next_job", "record", "hopeless")
        ],
        "journal": [
            ("ashtune._src.study.journal_writer", "Journal", name) for name in ("add", "flush")
        ],
        "observers": [
            ("ashtune._src.core.observer", "Observers", name)
            for name in ("tell", "tell_all", "tick", "progress")
        ],
        "a trial's start": [("ashtune._src.study.configurations", "Configurations", "draw")],
        "order to frame, send": [
            ("ashtune._src.engines.local.local_workers", "LocalWorkers", "carry_out")
        ],
        "loop": [("ashtune._src.engines.loop", "Drive", "turn")],
    }

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner: list[float] = [0.0]

    def install(self) -> Callable[[], None]:
        """Wrap all methods; return what takes the timers off."""
        before: list[tuple[Any, str, Any]] = []
        for layer, methods in self.LAYERS.items():
            for module, owner, name in methods:
                where = getattr(__import__(module, fromlist=[owner]), owner)
                if (method := where.__dict__.get(name)) is not None:
                    before.append((where, name, method))
                    setattr(where, name, self._timed(layer, method))
        before.append((AnsweringHost, "send", AnsweringHost.send))
        AnsweringHost.send = self._timed("(the replacement)", AnsweringHost.send)  # type: ignore[method-assign]
        return lambda: [setattr(where, name, method) for where, name, method in before] and None

    def _timed(self, layer: str, method: Callable[..., Any]) -> Callable[..., Any]:
        seconds, inner, clock = self.seconds, self._inner, time.perf_counter

        def timed(*arguments: Any, **named: Any) -> Any:
            inner.append(0.0)
            began = clock()
            try:
                return method(*arguments, **named)
            finally:
                took = clock() - began
                seconds[layer] += took - inner.pop()
                inner[-1] += took

        return timed


def cost(search: str, workers: int, jobs: int) -> tuple[float, int, int, float]:
    """Return the driver's us a job, the jobs, the trials, and the results a turn."""
    engine = AnsweringEngine(workers)
    with tempfile.TemporaryDirectory() as directory:
        study = ashtune.tune(
            train, SPACE, metric="score", mode="max", trials=jobs // 2, min_resource=1,
            max_resource=64,
            reduction_factor=2, engine=engine, search=None if search == "default" else search,
            directory=Path(directory, "study"), quiet=True,
        )  # fmt: skip
        trials = len(study.trials)
    segments, done = sorted(engine.host.segments), engine.host.jobs
    lowest = segments[: max(1, len(segments) // 10)]
    return sum(lowest) / len(lowest), done, trials, done / engine.host.turns


def main() -> None:
    """Measure and print."""
    jobs = int(option("--jobs", "40000"))
    if jobs < 4 * SEGMENT:
        sys.exit(f"--jobs {jobs} is too few for one segment after the start; give {4 * SEGMENT}")
    counts = [int(count) for count in option("--workers", "2,64,1000").split(",")]
    searches = option("--searches", "random,default").split(",")
    rows, by_layer = [], {}
    for search in searches:
        for workers in counts:
            us, done, trials, batch = cost(search, workers, jobs)
            rows.append([search, workers, done, trials, batch, us])
            if "--layers" in sys.argv:
                layers = Layers()
                take_off = layers.install()
                done = cost(search, workers, jobs)[1]
                take_off()
                by_layer[search, workers] = {
                    name: seconds / done * 1e6 for name, seconds in layers.seconds.items()
                }
    show(
        "The driver's processor time a job, without sockets and workers",
        ["search", "workers", "jobs", "trials", "results a turn", "us a job"],
        rows,
    )
    if by_layer:
        names = [*Layers.LAYERS, "(the replacement)"]
        show(
            "By layer, us a job",
            ["layer", *(f"{search}, {workers}" for search, workers in by_layer)],
            [[name, *(layers.get(name, 0.0) for layers in by_layer.values())] for name in names],
        )


if __name__ == "__main__":
    main()
