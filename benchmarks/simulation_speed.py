"""Jobs a second of wall time through events, loop, controller and scheduler, in virtual time.

Claims: >= 60,000 jobs/s with 10,000 workers; 10^6 trials on 10,000 workers, rungs 1 to 256, in
under 60 s and 2 GB. (Syne Tune's simulator on this kind of machine: 340 to 890 results/s with 25 to
500 workers at 2,000 to 10,000 trials.)

    python benchmarks/simulation_speed.py [--trials MOST] [--json FILE]
"""

import random
import resource
import subprocess
import sys
import time

from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.simulation.simulated_run import simulate
from table import show

CASES = (
    (4, 10, 100_000),
    (4, 1_000, 100_000),
    (4, 10_000, 100_000),
    (2, 10_000, 100_000),
    (4, 10_000, 1_000_000),
)


class Count(Observer):
    """Counts jobs; an observer."""

    jobs = 0

    def event(self, event: Event) -> None:
        """Take in an event."""
        self.jobs += type(event) is JobFinished


def one(factor: int, workers: int, trials: int) -> None:
    """Simulate in this process and print jobs, seconds and the most memory it had."""
    chance = random.Random(0)
    losses = [chance.random() for _ in range(trials)]
    training = Training(
        metrics=lambda trial, resource: {"loss": losses[trial]},
        seconds=lambda trial, start, target: (target - start) * (0.5 + losses[trial]),
    )
    count = Count()
    began = time.perf_counter()
    simulate(
        AshMachine(Ladder(1, 256, factor), trials),
        SimulatedEngine(training, workers=workers),
        [count],
        trials=trials,
    )
    print(
        count.jobs,
        time.perf_counter() - began,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )


def main() -> None:
    """Simulate each case in a process of its own and print."""
    most = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else sys.maxsize
    rows = []
    for factor, workers, of_case in CASES:
        trials = min(of_case, most)
        command = [sys.executable, __file__, "--one", str(factor), str(workers), str(trials)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        jobs, seconds, memory = int(said[0]), float(said[1]), float(said[2])
        rows.append([trials, workers, factor, jobs, seconds, round(jobs / seconds), memory])
    columns = ["trials", "workers", "reduction factor", "jobs", "seconds", "jobs/s", "GB"]
    show("Simulated studies by ASH, rungs 1 to 256", columns, rows)


if __name__ == "__main__":
    if "--one" in sys.argv:
        one(*map(int, sys.argv[sys.argv.index("--one") + 1 :]))
    else:
        main()
