"""What the default search costs: CPU time of a proposal; beside random draws, busy workers, the
driver, memory.

A proposal is asked for after each new result, at some numbers of known trials, while eight other
trials train. Its CPU time includes a fit of the kernels after every 16th result. Shown is the mean
of 32, the lowest of some repeats.

Two workers compute for 10 ms an epoch, with the default search and with random draws in turns. Busy
is their own training time over two times the wall time, as in ``busy.py``; the time in which they
wait for proposals is not busy, and the model has no core of its own. Then a function that only
returns a number, for 100,000 trials: trials come much faster than a model can propose.

Claims: with ten hyperparameters a proposal costs 10 to 20 ms, conditional or not, with 50 or 5,000
known trials; 100,000 trials take at most ten seconds longer than with random draws.

    OMP_NUM_THREADS=1 python benchmarks/proposals.py [--known 50 200 1000 5000] [--trials 500]
        [--many 100000]
        [--repeat 3] [--json FILE]

Linux only: the processor time and the memory of the model's process are read from ``/proc``.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.core.events import JobFinished, TrialStarted, WorkerJoined
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.driver.proposer_process import ProposerProcess
from ashtune._src.search.gp import GP
from ashtune._src.search.origins import Sort, sort_of
from ashtune._src.search.proposals import Proposals
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME, read_events
from table import show

EPOCH_SECONDS = 0.010
WORKERS = 2
SPACE = {
    "rate": (1e-4, 1.0, "log"), "momentum": (0.0, 0.99), "decay": (1e-6, 1e-2, "log"), "depth": (1,
    3),
    "width": (16, 512, "log"), "kind": ["a", "b", "c"], "drop": (0.0, 0.5),
}  # fmt: skip
NUMBERS = {f"number{place}": (0.0, 1.0) for place in range(20)}
SPACES: dict[str, dict[str, Any]] = {
    "7 numbers": dict(list(NUMBERS.items())[:7]),
    "10 numbers": dict(list(NUMBERS.items())[:10]),
    "20 numbers": NUMBERS,
    "14, 8 of them conditional": {
        "kind": ["a", "b", "c", "d"], **dict(list(NUMBERS.items())[:5]),
        **{f"{kind}{place}": ashtune.When("kind", kind, (0.0,
        1.0)) for kind in "abcd" for place in range(2)},
    },
}  # fmt: skip
RUNGS = (1, 3, 9, 27)
PROPOSALS, RUNNING = 32, 8
SORTS = {
    Sort.MODEL: "model %", Sort.STANDING_IN: "mutation, none ready %", Sort.RANDOM: "random %"
}  # fmt: skip


def loss_of(trial: Any) -> float:
    """Return a loss that depends on four of seven hyperparameters, and is never the same twice."""
    return (
        (math.log10(trial["rate"]) + 2) ** 2 + (trial["momentum"] - 0.9) ** 2
        + abs(math.log2(trial["width"]) - 7)
        + 0.3 * (trial["kind"] == "b") + 1e-6 * trial["drop"]
    )  # fmt: skip


def train(trial: Any) -> None:
    """Compute for 10 ms an epoch and save a small state."""
    state = trial.restore() or {"epochs": 0}
    for epoch in trial.epochs():
        end = time.perf_counter() + EPOCH_SECONDS
        while time.perf_counter() < end:
            pass
        state["epochs"] += 1
        trial.report(loss=loss_of(trial) + 1 / epoch)
    trial.save(state)


def returns(trial: Any) -> float:
    """Return a number and do nothing else."""
    return loss_of(trial)


def milliseconds(space: Space, known: int) -> float:
    """Return the mean CPU time of a proposal, when the results of ``known`` trials are known."""
    proposer, design = GP().proposer(space, 0, RUNGS[-1]), Random().build(space, 0)
    configurations: dict[int, dict[str, object]] = {}

    def begin(trial: int, configuration: dict[str, object]) -> None:
        configurations[trial] = configuration
        proposer.started(Job(TrialId(trial), 0), configuration)

    def finish(trial: int, rung: int = 0) -> None:
        places = (
            0.0 if place is None else place - 0.4 for place in space.place(configurations[trial])
        )
        loss = sum(place**2 for place in places) + 1 / RUNGS[rung]
        proposer.observe(
            Result(TrialId(trial), rung, RUNGS[rung], (loss,), 1.0 + trial % 3),
            configurations[trial],
        )
        if rung + 1 < len(RUNGS) and trial % 3 ** (rung + 1) == 0:
            finish(trial, rung + 1)

    for trial in range(known + RUNNING):
        begin(trial, design.configuration(trial))
        if trial < known:
            finish(trial)
    took = 0.0
    for trial in range(known, known + PROPOSALS):
        finish(trial)
        proposal = None
        while proposal is None:  # a tenth of the trials is random
            began = time.process_time()
            proposal = proposer.propose(number := len(configurations))
            took += time.process_time() - began
            begin(
                number, design.configuration(number) if proposal is None else proposal.configuration
            )
    return 1e3 * took / PROPOSALS


class Model:
    """Reads what the model's process has used, before it is ended; counts trials that waited for
    it, and seconds.
    """

    def __init__(self) -> None:
        self.seconds = self.megabytes = 0.0
        self.waits, self.waited = 0, 0.0
        close, close_all = ProposerProcess.close, Proposals.close

        def closing(process: ProposerProcess) -> None:
            child = process._process._child
            if child is not None:
                # it has ended by itself
                with suppress(FileNotFoundError, ProcessLookupError, KeyError):
                    self._read(child.pid)
            close(process)

        def closing_all(proposals: Proposals) -> None:
            self.waits += proposals.waits
            self.waited += proposals.waited
            close_all(proposals)

        ProposerProcess.close = closing  # type: ignore[method-assign]
        Proposals.close = closing_all  # type: ignore[method-assign]

    def _read(self, pid: int) -> None:
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.seconds = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        self.megabytes = int(status["VmHWM"].split()[0]) / 1e3


def measured(what: str, search: str, trials: int) -> dict[str, Any]:
    """Tune, in this process, and return what it took."""
    function, model = {"train": train, "returns": returns}[what], Model()
    common: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "workers": WORKERS,
        "quiet": True,
        "max_resource": 64,
    }
    named = {} if search == "default" else {"search": search}
    with tempfile.TemporaryDirectory() as folder:
        ashtune.tune(returns, SPACE, trials=8, directory=Path(folder, "imports"), **common)
        began = time.process_time()
        study = ashtune.tune(
            function, SPACE, trials=trials, directory=Path(folder, "study"), **common, **named
        )
        driver = time.process_time() - began
        joined, last, busy, jobs, sorts = 0.0, 0.0, 0.0, 0, Counter[Sort]()
        for event in read_events(study.directory / NAME):
            match event:
                case WorkerJoined():
                    joined = joined or event.time
                case JobFinished():
                    busy += (event.resource - event.start) * EPOCH_SECONDS
                    jobs += 1
                case TrialStarted():
                    sorts[sort_of(event.origin)] += 1
                case _:
                    pass
            last = event.time
    wall = last - joined
    return {
        "search": search,
        "trials": trials,
        "jobs": jobs,
        "wall s": wall,
        "busy %": 100 * busy / (WORKERS * wall),
        "waits": model.waits,
        "waited s": model.waited,
        **{name: 100 * sorts[sort] / trials for sort, name in SORTS.items()},
        "driver CPU us a job": 1e6 * driver / jobs,
        "model CPU, % of the cores": 100 * model.seconds / ((os.cpu_count() or 1) * wall),
        "driver peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "model peak MB": model.megabytes,
    }


def in_turns(what: str, trials: int, repeat: int) -> list[dict[str, Any]]:
    """Tune with the default search and at random in turns, each in a process of its own."""
    rows = []
    for _ in range(repeat):
        for search in ("default", "random"):
            one = [sys.executable, __file__, "--one", what, search, str(trials)]
            rows.append(
                json.loads(subprocess.run(one, capture_output=True, text=True, check=True).stdout)
            )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--known", type=int, nargs="+", default=[50, 200, 1000, 5000], metavar="N")
    parser.add_argument("--trials", type=int, default=500, metavar="N", help="with epochs of 10 ms")
    parser.add_argument(
        "--many", type=int, default=100_000, metavar="N", help="of a function that returns at once"
    )
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="turns with epochs of 10 ms"
    )
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, search, trials = options.one
        print(json.dumps(measured(what, search, int(trials))))
        return
    costs = [
        [
            name,
            *(
                min(milliseconds(Space.parse(space), known) for _ in range(options.repeat))
                for known in options.known
            ),
        ]
        for name, space in SPACES.items()
    ]
    show(
        "CPU ms of a proposal, by known trials",
        ["hyperparameters", *map(str, options.known)],
        costs,
    )
    rows = in_turns("train", options.trials, options.repeat)
    show("Epochs of 10 ms, two workers", list(rows[0]), [list(row.values()) for row in rows])
    rows = [
        {name: row[name] for name in row if name != "busy %"}
        for row in in_turns("returns", options.many, 1)
    ]
    show(
        "A function that only returns a number, two workers",
        list(rows[0]),
        [list(row.values()) for row in rows],
    )


if __name__ == "__main__":
    main()
