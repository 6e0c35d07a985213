"""How far one driver scales: 1 to 10,000 simulated workers, jobs of 0.1 to 100 s, asynchronous and
synchronous halving.

The controller, the schedulers and the loop are the real ones; workers are simulated, and each
decision takes the simulated driver what it takes the real one on this machine (measured first, by
tuning a function that only returns a number on two local workers).

Reduction factor 4, rungs 1 to 256, new trials without end (a fixed number of them would end in a
tail of idle workers that says more about that number than about the driver; `ashtune whatif`
answers that), for 6 times a full training, 3 on 10,000 workers. Synchronous halving has brackets of
256 models, or of as many as there are workers, and opens another where all wait. A job's length is
the mean over all jobs; each trial's own speed varies by half around it. ``first``: when the first
trial is trained to the top; ``near``: when a result there is within 1 % of the best of the run.

    python benchmarks/scaling.py [--decision MICROSECONDS] [--workers MOST] [--html FILE]
        [--json FILE]
"""

import math
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import Event, JobFinished, TrialReleased
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import seconds_text
from ashtune._src.engines.engine_protocol import Brief
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine, SimulatedWorkers
from ashtune._src.reports.simulated import Simulated, simulated
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import Bracket, BracketsMachine
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune._src.simulation.simulated_curves import invent_curves
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.study.journal import NAME, read_events
from table import show

LADDER = Ladder(1, 256, 4)
EPOCHS_A_JOB = 3  # 4 epochs a trial and 4/3 jobs
WORKERS = (1, 10, 100, 1_000, 10_000)
LENGTHS = (0.1, 1.0, 10.0, 100.0)


class BusyDriver(SimulatedWorkers):
    """Simulated workers whose driver spends ``decision`` seconds on each event; later events wait
    meanwhile.
    """

    def __init__(self, training: Training, decision: float, **more: Any) -> None:
        super().__init__(training, **more)
        self._decision = decision
        self.busy_seconds = 0.0

    def wait(self, until: float) -> Sequence[Event]:
        """Return the next events, when the driver has decided about them."""
        events = super().wait(until)
        self.busy_seconds += len(events) * self._decision
        self._now += len(events) * self._decision
        return events


class BusyEngine(SimulatedEngine):
    """The engine of :class:`BusyDriver`."""

    def __init__(self, workers: int, training: Training, decision: float) -> None:
        super().__init__(training, workers=workers)
        self._decide = training, decision

    def open(self, brief: Brief) -> BusyDriver:
        """Return the workers."""
        self.opened = BusyDriver(*self._decide, workers=brief.workers)
        return self.opened


def option(name: str, default: float) -> float:
    """Return the number that the command line gives."""
    return float(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def run(job: tuple[str, int, float, float]) -> tuple[Simulated, float]:
    """Simulate one study; return it and how busy its driver was."""
    name, workers, length, decision = job
    models = 4 ** max(LADDER.top, math.ceil(math.log(workers, 4)))
    scheduler: Machine = (
        AshMachine(LADDER) if name == "ash" else BracketsMachine(LADDER, [Bracket(0, models)])
    )
    curves = invent_curves(epoch_seconds=length / EPOCHS_A_JOB)
    until = (3 if workers == WORKERS[-1] else 6) * LADDER.rungs[-1] * length / EPOCHS_A_JOB
    crew = BusyEngine(workers, curves.training(), decision)
    tally, progress = Tally(LADDER, curves.goal), Results(curves.goal)
    began = time.perf_counter()
    end = simulate(scheduler, crew, [tally, progress], until=until)
    study = simulated(
        name, workers, tally, progress, wall_seconds=end, real_seconds=time.perf_counter() - began
    )
    return study, crew.opened.busy_seconds / end


def measured_decision_seconds() -> float:
    """Return the processor time of the driver for one result, or one trial let go, in a study that
    trains nothing.

    It is what more trials of the same study take more, so that its start is not in it.
    """
    _cost(1)  # imports
    (few, few_decisions), (many, many_decisions) = _cost(300), _cost(2_000)
    return max(0.0, many - few) / (many_decisions - few_decisions)


def _cost(trials: int) -> tuple[float, int]:
    """Return the driver's processor time for a study, and its decisions."""
    with tempfile.TemporaryDirectory() as folder:
        before, place = time.process_time(), Path(folder, "study")
        ashtune.tune(
            _train_nothing, {"x": (0.0, 1.0)}, metric="score", mode="min", trials=trials,
            max_resource=4,
            search="random", workers=2, directory=place, quiet=True,
        )  # fmt: skip
        seconds = time.process_time() - before
        return seconds, sum(
            isinstance(event, JobFinished | TrialReleased) for event in read_events(place / NAME)
        )


def _train_nothing(trial: ashtune.Trial) -> None:
    for _ in trial.epochs():
        trial.report(score=trial["x"])


def write_figure(file: Path, found: list[tuple[float, Simulated]]) -> None:
    """Write utilisation by number of workers as a page."""
    from ashtune._src.dashboard.one_file import blocks_page, write
    from ashtune._src.figures.axes import log_axis
    from ashtune._src.figures.figure import Axis, Figure, Series
    from ashtune._src.figures.looks import CATEGORIES
    from ashtune._src.reports import html

    series = []
    for color, length in zip(CATEGORIES, LENGTHS, strict=False):
        for name, width in (("ash", 3), ("sh", 1)):
            line = [one for at, one in found if at == length and one.scheduler == name]
            x, y = [one.workers for one in line], [one.utilisation for one in line]
            words = f"{name}, jobs of {length:g} s"
            series.append(Series(kind="line", x=x, y=y, name=words, color=color, width=width))
    workers = [one.workers for _, one in found]
    x_axis = log_axis("workers", min(workers) * 0.8, max(workers) * 1.2)
    y_axis = Axis(name="utilisation", high=1.02, written="share")
    figure = Figure(x=x_axis, y=y_axis, series=series, height=420)
    section = html.PageSection(
        "Utilisation by number of workers", [html.figures(utilisation=figure)]
    )
    write(blocks_page("How far one driver scales", [section]), file)


def main() -> None:
    """Simulate and print."""
    decision = option("--decision", 0) / 1e6 or measured_decision_seconds()
    most = option("--workers", WORKERS[-1])
    jobs = [
        (name, workers, length, decision)
        for length in LENGTHS
        for workers in WORKERS
        if workers <= most
        for name in ("ash", "sh")
    ]
    with Pool() as pool:
        found = pool.map(run, jobs, chunksize=1)
    rows: list[list[Any]] = []
    for (name, workers, length, _), (one, driver_share) in zip(jobs, found, strict=True):
        rows.append([
            f"{length:g} s", workers, name, f"{100 * one.utilisation:.1f} %",
            f"{100 * driver_share:.1f} %",
            one.jobs, _time(one.first_seconds), _time(one.near_seconds), one.best,
        ])  # fmt: skip
    columns = [
        "jobs of",
        "workers",
        "scheduler",
        "utilisation",
        "driver busy",
        "jobs",
        "first",
        "near",
        "best",
    ]
    show(f"{1e6 * decision:.1f} us a decision", columns, rows)
    print(
        "Where the driver saturates: it decides on a result and on each trial let go, so a job "
        f"costs it {2e6 * decision:.0f} us at most. Workers it keeps busy at most, by length of "
        "their jobs:"
    )
    print(", ".join(f"{length:g} s: {length / (2 * decision):,.0f}" for length in LENGTHS))
    studies = [one for one, _ in found]
    print(f"{sum(one.jobs for one in studies):,} jobs simulated in "
          f"{sum(one.real_seconds for one in studies):.0f} s of two processes")  # fmt: skip
    if "--html" in sys.argv:
        write_figure(
            Path(sys.argv[sys.argv.index("--html") + 1]),
            list(zip([job[2] for job in jobs], studies, strict=True)),
        )


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else seconds_text(seconds)


if __name__ == "__main__":
    main()
