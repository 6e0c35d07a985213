"""Decisions a second: the scheduler alone, and with the controller, at 10^4 to 10^6 trials.

Claims: >= 500,000 jobs/s alone, >= 200,000 with the controller, and a job at 10^6 trials costs at
most 1.3 times one at 10^4. A job is one call of ``next_job`` and one of ``record``; with the
controller it is one event made, handled and answered. Each figure is the best of several runs, and
the three sizes are taken in turn, so that a busy neighbour does not fall on one of them alone.

    python benchmarks/decisions.py [--repeat 5] [--trials MOST] [--json FILE]
"""

import random
import sys
import time
from collections.abc import Callable

from ashtune._src.core.events import JobFinished, SessionStarted, WorkerJoined
from ashtune._src.core.jobs import Goal, Result, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Train
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.study.controller import Controller
from table import show

LADDER = Ladder(1, 64, 2)
SIZES = (10_000, 100_000, 1_000_000)


def scheduler_alone(trials: int, losses: list[float]) -> tuple[int, float]:
    """Return (jobs, seconds) of a study on one worker."""
    scheduler = AshMachine(LADDER, trials)
    jobs = 0
    began = time.perf_counter()
    while (job := scheduler.next_job()) is not None:
        scheduler.record(Result(job.trial, job.rung, 1, (losses[job.trial],), 1.0))
        jobs += 1
    return jobs, time.perf_counter() - began


def with_controller(trials: int, losses: list[float]) -> tuple[int, float]:
    """Return (jobs, seconds) of a study on one worker, through events and orders."""
    controller = Controller(AshMachine(LADDER, 0), Goal("loss", "min"))
    controller.handle(SessionStarted(0, 0, "", "", 0, trials=trials))
    orders = controller.handle(WorkerJoined(0, WorkerId(0)))
    jobs = 0
    began = time.perf_counter()
    while orders:
        order = orders[-1]
        assert isinstance(order, Train)
        orders = controller.handle(
            JobFinished(
                time=1.0,
                worker=order.worker,
                trial=order.trial,
                rung=order.rung,
                resource=order.target,
                start=order.start,
                metrics={"loss": losses[order.trial]},
                seconds=1.0,
            )
        )
        jobs += 1
    return jobs, time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 5
    draw = random.Random(0).random
    most = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else SIZES[-1]
    sizes = [size for size in SIZES if size < most] + [most]
    losses = [draw() for _ in range(most)]
    measured: dict[tuple[str, int], list[float]] = {}
    what: dict[str, Callable[[int, list[float]], tuple[int, float]]] = {
        "scheduler alone": scheduler_alone,
        "with controller": with_controller,
    }
    jobs_of: dict[int, int] = {}
    for _ in range(repeat):
        for name, run in what.items():
            for trials in sizes:
                jobs, seconds = run(trials, losses)
                jobs_of[trials] = jobs
                measured.setdefault((name, trials), []).append(seconds / jobs)
    rows = []
    for name in what:
        least = min(measured[name, sizes[0]])
        for trials in sizes:
            cost = min(measured[name, trials])
            rows.append([name, trials, jobs_of[trials], 1 / cost, cost * 1e6, cost / least])
    show(
        "Decisions: one job is one order and one result",
        ["what", "trials", "jobs", "jobs/s", "us/job", f"cost/cost at {sizes[0]:,}"],
        rows,
    )


if __name__ == "__main__":
    main()
