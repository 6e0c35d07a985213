"""Regret over time on recorded learning curves: ASH, its stopping form, halving, random search, one
epoch.

All methods get the same configurations in the same order (a seed's shuffle of the pool, each once),
on as many workers, in virtual time: ``ashtune._src.simulation`` runs them, ``curve_sets.py`` reads
the curves. Trials continue from where they stopped, saving and loading are free, nothing straggles
beyond the times recorded.

Regret at a time: how far the true end of the configuration that the study would then name
(``Tally.best``: the best report at the highest rung reached) is from the best end in the pool.
True: at full length, without a seed's noise. Before the first result nothing can be named, and the
pool's median configuration counts. Normalised, the median configuration has 1 and the best 0. Times
are in full trainings (the pool's median), of wall time.

The ladder begins at 1 epoch with reduction factor 3: between ashtune's default, 2, and the paper's
4, and the whole number nearest to e, at which Hyperband's bound is smallest (Li et al., JMLR 2018).
It gives 4 to 6 rungs here.

- ASH, Stopping: ``Ash``, ``StoppingAsh``. "ASH from 1/9" has 3 rungs, at 1/9, 1/3 and all of the
  epochs: what ``min_resource`` does where a net's first epoch tells nothing, as in lcbench, whose
  epoch 1 is untrained.
- SH: what ``scheduler="sh"`` does, all of the pool in one bracket. "SH brackets": as many brackets
  as there is work for, each as small as it can be to send one configuration to the top; what Li et
  al. compare with.
- Random: ``FullTraining``. One epoch: all of the pool for an epoch, then the best of it in order of
  rank to the end (Egele et al., Neurocomputing 2024, https://arxiv.org/abs/2404.04111).

Marks: ``?`` some seed had no result yet; ``*`` in all seeds the method had used up the pool and was
over.

Last comes a check: random search has an exact law, and fails (exit status 1) if it is further than
4 standard errors from it anywhere.

    python benchmarks/real_curves.py FOLDER [--seeds 30] [--workers 8] [--json FILE]

All of it takes a minute on two free cores.
"""

import argparse
import math
import sys
from bisect import bisect_right
from collections.abc import Callable
from heapq import heappop, heappush
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.jobs import Goal, Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Order
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import Bracket, BracketsMachine, SuccessiveHalving
from ashtune._src.schedulers.full import FullMachine
from ashtune._src.schedulers.scheduler_protocol import Budget, Machine
from ashtune._src.schedulers.stopping import StoppingMachine
from ashtune._src.simulation.simulated_run import simulate
from curve_sets import CurveSet, load
from table import data_folder, show

REDUCTION_FACTOR = 3
TIMES = (0.5, 1, 2, 4, 8, 16, 32)
CLEAR = 2.0  # standard errors, from which on a difference is called one
MOST_SIGMAS = 4.0  # of random search; its 18 figures share their shuffles


class OneEpoch(Machine):
    """Train all to the lowest rung, then one after another, best first, to the top.

    A worker that is idle while the last are still in the lowest rung takes the best so far.

    Args:
        ladder: Only its lowest and top rung are used.
        trials: How many trials may be started.
    """

    def __init__(self, ladder: Ladder, trials: int | None) -> None:
        self.ladder = Ladder.explicit([ladder.rungs[0], ladder.rungs[-1]])
        self._budget = Budget(trials)
        self._ranked: list[tuple[float, TrialId]] = []

    def next_job(self) -> Job | None:
        """Return a new trial, else the best of those not finished."""
        if (newborn := self._budget.start()) is not None:
            return Job(newborn, 0)
        return Job(heappop(self._ranked)[1], 1) if self._ranked else None

    def record(self, result: Result) -> None:
        """Take in a result; a failure is never finished."""
        if result.rung == 0 and not result.is_failure:
            heappush(self._ranked, (result.losses[0], result.trial))

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Let a new trial replace it."""
        self._budget.withdraw(replace=replace)

    def extend(self, trials: int | None) -> None:
        """Raise the number of trials."""
        self._budget.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        """Do nothing: each session says its rungs, and no benchmark has another."""

    def expected(self, trials: int) -> list[int]:
        """Return all trials at both rungs."""
        return [trials, trials]


def brackets(ladder: Ladder, trials: int) -> BracketsMachine:
    """Return halving in brackets that each send one trial to the top."""
    return BracketsMachine(ladder, [Bracket(0, REDUCTION_FACTOR**ladder.top)], trials)


def from_a_ninth(ladder: Ladder, trials: int) -> AshMachine:
    """Return ASH on rungs at 1/9, 1/3 and all of the epochs."""
    epochs = ladder.rungs[-1]
    return AshMachine(Ladder.explicit([round(epochs / 9), round(epochs / 3), epochs]), trials)


METHODS: dict[str, Callable[[Ladder, int], Machine]] = {
    "ASH": AshMachine,
    "ASH from 1/9": from_a_ninth,
    "Stopping": StoppingMachine,
    "SH": SuccessiveHalving().build,
    "SH brackets": brackets,
    "Random": FullMachine,
    "One epoch": OneEpoch,
}
OURS = ("ASH", "ASH from 1/9")
OTHERS = [name for name in METHODS if name not in OURS]


class Naming(Observer):
    """Notes whom the study would name, and from when on; an observer."""

    def __init__(self, ladder: Ladder, goal: Goal) -> None:
        self._tally = Tally(ladder, goal)
        self.times: list[float] = []
        self.trials: list[TrialId] = []

    def event(self, event: Event) -> None:
        """Take in one event."""
        self._tally.event(event)
        if type(event) is JobFinished:
            best = self._tally.best
            if best is not None and (not self.trials or best.trial != self.trials[-1]):
                self.times.append(event.time)
                self.trials.append(best.trial)

    def followed(self, order: Order) -> None:
        """Take in one order."""
        self._tally.followed(order)


class Found(NamedTuple):
    """What a method came to under each seed, (seeds, times); ``end``: (seeds,), when it had used up
    the pool.
    """

    regret: np.ndarray
    is_named: np.ndarray
    end: np.ndarray


def run(
    curves: CurveSet, method: str, *, workers: int, seed: int
) -> tuple[list[float], list[bool], float]:
    """Run one study; return at each time its regret, and whether it had a result; and when it was
    over.
    """
    order = np.random.default_rng([seed, 0]).permutation(len(curves.metric))
    reports = curves.reported(seed)[order].tolist()
    seconds = np.insert(curves.seconds, 0, 0.0, axis=1)[order].tolist()
    metric = curves.goal.metric
    training = Training(
        metrics=lambda trial, resource: {metric: reports[trial][resource - 1]},
        seconds=lambda trial, start, target: seconds[trial][target] - seconds[trial][start],
    )
    scheduler = METHODS[method](Ladder(1, curves.metric.shape[1], REDUCTION_FACTOR), len(order))
    naming = Naming(scheduler.ladder, curves.goal)
    times = [time * curves.full_training for time in TIMES]
    until = times[-1] * (1 + 1e-9)  # what ends at the last time itself still counts
    simulated = SimulatedEngine(training, workers=workers, seed=seed)
    end = simulate(scheduler, simulated, [naming], trials=len(order), until=until, goal=curves.goal)
    named = [bisect_right(naming.times, time * (1 + 1e-9)) for time in times]
    regret = [
        float(curves.regret[order[naming.trials[n - 1]]]) if n else curves.median_regret
        for n in named
    ]
    return regret, [n > 0 for n in named], end / curves.full_training if end < until else math.inf


_pools: list[CurveSet] = []


def read(folder: Path) -> None:
    """Read the curves, in each process."""
    _pools[:] = load(folder)


def one(job: tuple[int, int, int]) -> list[tuple[list[float], list[bool], float]]:
    """Run all methods on one pool with one seed."""
    pool, workers, seed = job
    return [run(_pools[pool], method, workers=workers, seed=seed) for method in METHODS]


def estimate(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over the seeds, the first axis."""
    spread = values.std(axis=0, ddof=1)
    spread = np.where(np.ptp(values, axis=0) > 0, spread, 0.0)  # rounding is no spread
    return values.mean(axis=0), spread / math.sqrt(len(values))


def cells(values: np.ndarray, marks: list[str]) -> list[str]:
    """Return a row of means and standard errors."""
    return [
        f"{mean:.3g} +- {error:.1g}{mark}"
        for mean, error, mark in zip(*estimate(values), marks, strict=True)
    ]


def marks_of(found: Found) -> list[str]:
    """Return a mark for each time: no result yet in some seed, or over in all."""
    return [
        "?" if not found.is_named[:, number].all() else "*" if (found.end <= time).all() else " "
        for number, time in enumerate(TIMES)
    ]


def show_pool(curves: CurveSet, results: dict[str, Found]) -> None:
    """Print one pool's regret."""
    rows = []
    for method, found in results.items():
        end = f"{found.end.mean():.1f}" if np.isfinite(found.end).all() else f"> {TIMES[-1]}"
        rows.append([method, *cells(found.regret, marks_of(found)), end])
    configurations, epochs = curves.metric.shape
    failed = int(np.isinf(curves.regret).sum())
    show(
        f"{curves.name}: regret in {curves.unit}; {configurations} configurations ({failed} "
        f"failed), {epochs} epochs, median to best {curves.median_regret:.3g}",
        ["method", *map(str, TIMES), "over at"],
        rows,
    )


def show_mean(title: str, pools: list[CurveSet], results: list[dict[str, Found]]) -> None:
    """Print the normalised regret of several pools, averaged for each seed."""
    rows = []
    for method in METHODS:
        parts = [
            found[method].regret / curves.median_regret
            for curves, found in zip(pools, results, strict=True)
        ]
        rows.append([method, *cells(np.mean(parts, axis=0), [""] * len(TIMES))])
    show(
        f"{title}: normalised regret (median configuration 1, best 0)",
        ["method", *map(str, TIMES)],
        rows,
    )


def sigmas(difference: np.ndarray) -> tuple[float, float, float]:
    """Return a paired difference's mean, its standard error, and how many of them it is."""
    mean, error = map(float, estimate(difference))
    return (
        mean,
        error,
        mean / error if error else 0.0 if mean == 0 else math.copysign(math.inf, mean),
    )


def show_where_it_loses(own: str, pools: list[CurveSet], results: list[dict[str, Found]]) -> None:
    """Print the paired difference between a method of ours and the best of
    the others, everywhere.
    """
    rows: list[list[Any]] = []
    for curves, found in zip(pools, results, strict=True):
        regret = {name: found[name].regret / curves.median_regret for name in (own, *OTHERS)}
        for number, (time, mark) in enumerate(zip(TIMES, marks_of(found[own]), strict=True)):
            means = {name: float(regret[name][:, number].mean()) for name in regret}
            other = min(OTHERS, key=lambda name: means[name])
            mean, error, distance = sigmas((regret[own] - regret[other])[:, number])
            verdict = (
                "tie"
                if abs(distance) <= CLEAR
                else f"{own} ahead"
                if distance < 0
                else f"{other} WINS"
            )
            rows.append([
                curves.name, f"{time}{mark.strip()}", f"{means[own]:.4f}", other,
                f"{means[other]:.4f}",
                f"{mean:+.4f}", f"{error:.4f}", f"{distance:+.1f}", verdict,
            ])  # fmt: skip
    show(
        f"Where {own} loses: normalised regret, minus that of the best of the others at that time "
        "(chosen afterwards, which favours that one), paired by seed; ahead, or WINS: by more than "
        f"{CLEAR:g} standard errors; *: {own} is over",
        ["set", "time", own, "best other", "its", "difference", "s.e.", "sigmas", ""],
        rows,
    )


def show_duels(results: list[dict[str, Found]]) -> None:
    """Print against each method in how many sets and times ours is ahead, ties, and is behind."""
    rows = []
    for own in OURS:
        for other in (name for name in METHODS if name != own):
            counts = {(is_over, sign): 0 for is_over in (False, True) for sign in (-1, 0, 1)}
            for found in results:
                for number, mark in enumerate(marks_of(found[own])):
                    distance = sigmas((found[own].regret - found[other].regret)[:, number])[2]
                    sign = 0 if abs(distance) <= CLEAR else int(math.copysign(1, distance))
                    counts[mark == "*", sign] += 1
            rows.append([own, other, *counts.values()])
    columns = [
        "ours",
        "against",
        "ahead",
        "tie",
        "behind",
        "over: ahead",
        "over: tie",
        "over: behind",
    ]
    show("In how many of all sets and times; over: when ours has used up the pool", columns, rows)


def expected_best(curves: CurveSet, drawn: int) -> tuple[float, float]:
    """Return the mean and standard deviation of the least regret of some configurations drawn
    without replacement.
    """
    regret = np.sort(curves.regret)
    regret[np.isinf(regret)] = curves.median_regret  # only failures were drawn: nothing to name
    m = len(regret)
    chance = [math.comb(m - 1 - rank, drawn - 1) / math.comb(m, drawn) for rank in range(m)]
    mean = float(np.dot(chance, regret))
    return mean, math.sqrt(max(0.0, float(np.dot(chance, regret**2)) - mean**2))


def check_random(pools: list[CurveSet], results: list[dict[str, Found]], workers: int) -> float:
    """Compare random search with its exact law, where all trainings take the same time and there is
    no noise.

    Returns:
        The most standard errors that it is off.
    """
    rows: list[list[Any]] = []
    off = [0.0]
    for curves, found in zip(pools, results, strict=True):
        if np.ptp(curves.seconds[:, -1]) > 0:
            continue
        regret = found["Random"].regret
        for number, time in enumerate(TIMES):
            drawn = min(int(time) * workers, len(curves.metric))
            if drawn == 0:
                continue
            mean, deviation = expected_best(curves, drawn)
            error = deviation / math.sqrt(len(regret))
            own = float(regret[:, number].mean())
            off.append((own - mean) / error if error else 0.0)
            rows.append(
                [
                    curves.name,
                    time,
                    drawn,
                    f"{own:.4g}",
                    f"{mean:.4g}",
                    f"{error:.2g}",
                    f"{off[-1]:+.1f}",
                ]
            )
    columns = ["set", "time", "configurations", "simulated", "exact", "s.e.", "sigmas"]
    show("Check: random search's mean regret against the exact one of as many draws", columns, rows)
    return max(map(abs, off))


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="Regret over time on recorded learning curves.")
    parser.add_argument("folder", type=data_folder, help="where the curves are")
    parser.add_argument(
        "--seeds", type=int, default=30, metavar="N", help="shuffles of each pool (default 30)"
    )
    parser.add_argument(
        "--workers", type=int, default=8, metavar="N", help="of each study (default 8)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables here as well")
    options = parser.parse_args()
    if options.seeds < 2 or options.workers < 1:
        parser.error(f"--seeds {options.seeds} --workers {options.workers}: give at least 2 and 1")
    pools = load(options.folder)
    jobs = [
        (pool, options.workers, seed) for pool in range(len(pools)) for seed in range(options.seeds)
    ]
    with Pool(initializer=read, initargs=(options.folder,)) as processes:
        outcomes = processes.map(one, jobs, chunksize=1)
    results = []
    for pool, curves in enumerate(pools):
        seeds = outcomes[pool * options.seeds : (pool + 1) * options.seeds]
        methods = zip(METHODS, zip(*seeds, strict=True), strict=True)
        results.append(
            {name: Found(*map(np.array, zip(*runs, strict=True))) for name, runs in methods}
        )
        show_pool(curves, results[-1])
    lcbench = [pool for pool, curves in enumerate(pools) if curves.name.startswith("lcbench")]
    show_mean(
        "lcbench, mean of its tasks", [pools[i] for i in lcbench], [results[i] for i in lcbench]
    )
    show_mean("all sets", pools, results)
    for own in OURS:
        show_where_it_loses(own, pools, results)
    show_duels(results)
    return int(check_random(pools, results, options.workers) > MOST_SIGMAS)


if __name__ == "__main__":
    sys.exit(main())
