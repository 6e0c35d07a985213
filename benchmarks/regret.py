"""The default rungs: regret on recorded learning curves, relative to random search.

In virtual time, free of noise: ``curve_sets.py`` reads the curves, and the same configurations come
in the same order for every rule. A set that is used up starts again. Regret at a time: how far the
best loss seen so far, at any rung, is from the best end of the set, over how far the end of its
median configuration is. Ratios are of means over the seeds, each plus 0.003, so that nothing is
divided by 0. Times are in full trainings (the set's median), of wall time.

- default: what ``tune`` does without ``min_resource``. adaptive: ``min_resource="auto"``.
- fixed: the paper's rule with its lowest rung at R over each power of the factor, down to R/81 or
  1. "Best fixed" is the one of them, or of full training, with the least regret at that time on
  that set: known in hindsight only.

    python benchmarks/regret.py FOLDER [--seeds 40] [--workers 1 8 64] [--factors 2 3 4] [--json
        FILE]

``--family`` compares the schedulers instead, with 8 workers and factor 3. Beside the best loss
seen, which is what somebody has who stops the study, it shows the end of the chosen trial: the best
one of the highest rung so far, as it is once it has been trained to the top. That is what somebody
has who trains it on, as is meant with ``pasha``. The time of doing so does not count. "one epoch"
is a baseline: all trials train for one epoch, and the best one in R to the end.

    python benchmarks/regret.py FOLDER --family [--seeds 20]

Without ``--family`` it ends with status 1 if the default with factor 3 and 8 workers is above
random search from 1.4 full trainings on, on any set.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ashtune._src.core.jobs import Goal, Job, Result
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.full import FullTraining
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband
from ashtune._src.schedulers.pasha import Pasha
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.schedulers.stopping import StoppingAsh
from curve_sets import LCBENCH, CurveSet, load
from table import data_folder, show

MARKS = (1.0, 1.4, 2.0, 4.0, 8.0)
CLAIMED_FROM = 1.4
NEVER_ZERO = 0.003
LOWEST_SHARE = 81
RANDOM, DEFAULT, ADAPTIVE, ONE_EPOCH = "random", "default", "adaptive", "one epoch"
FAMILY_MARKS = (1.0, 2.0, 4.0, 8.0)
FAMILY_FACTOR, FAMILY_WORKERS = 3, 8
FAMILY = (Ash(), AdaptiveAsh(), StoppingAsh(), Pasha(), Hyperband(), AsyncHyperband())


def pools(folder: Path) -> list[CurveSet]:
    """Return all sets of a folder: accuracies or perplexities, and the
    cross-entropies of lcbench.
    """
    sets = load(folder)
    table = np.load(folder / LCBENCH, allow_pickle=False)
    for task, name in enumerate(table["task_names"]):
        sets.append(CurveSet(
            name=f"lcbench {name} ce", goal=Goal("cross_entropy", "min"), unit="nats",
            metric=table["val_cross_entropy"][task].astype(float),
            seconds=np.maximum.accumulate(table["time"][task].astype(float), axis=1),
        ))  # fmt: skip
    return sets


def machines(top: int, factor: int) -> dict[str, Callable[[], Machine]]:
    """Return the rules by name; those with a fixed lowest rung are named after its part of the top
    one.
    """
    default, adaptive = Ash().where_rungs_are_chosen(), AdaptiveAsh()
    named: dict[str, Callable[[], Machine]] = {
        RANDOM: lambda: FullTraining().build(Ladder(top, top), None),
        DEFAULT: lambda: default.build(Ladder.from_above(top, factor, Ash.least_share or 1), None),
        ADAPTIVE: lambda: adaptive.build(
            Ladder.from_above(top, factor, AdaptiveAsh.least_share or 1), None
        ),
    }
    share = factor
    while share <= LOWEST_SHARE:
        rungs = Ladder.from_above(top, factor, share)
        named[f"R/{share}"] = lambda rungs=rungs: Ash().build(rungs, None)  # type: ignore[misc]  # bound now
        share *= factor
    return named


def family(top: int) -> dict[str, Callable[[], Machine]]:
    """Return the schedulers that can be named and need no number of trials: as ``tune`` has them,
    and from 1 on.
    """
    named: dict[str, Callable[[], Machine]] = {
        RANDOM: lambda: FullTraining().build(Ladder(top, top), None),
        ONE_EPOCH: partial(Ash().build, Ladder(1, top, top), None),
    }
    lowest = Ladder(1, top, FAMILY_FACTOR)
    for scheduler in FAMILY:
        name = SCHEDULERS.text(scheduler)
        if scheduler.least_share is not None:
            chosen = scheduler.where_rungs_are_chosen()
            ladder = Ladder.from_above(top, FAMILY_FACTOR, scheduler.least_share)
            named[name] = partial(chosen.build, ladder, None)
        if scheduler != AdaptiveAsh():
            named[f"{name} from 1"] = partial(scheduler.build, lowest, None)
    return named


class Course(NamedTuple):
    """What a study has at each mark, as normalised regret: the best loss seen, and the end of the
    chosen trial.
    """

    seen: list[float]
    chosen: list[float]


def course(
    machine: Machine, curves: CurveSet, *, workers: int, seed: int, marks: Sequence[float] = MARKS
) -> Course:
    """Run one study in virtual time."""
    sign = 1.0 if curves.goal.mode == "min" else -1.0
    losses = np.where(np.isnan(curves.metric), np.inf, sign * curves.metric)
    optimum, middle = losses[:, -1].min(), float(np.median(losses[:, -1]))
    order = np.random.default_rng([seed, 0]).permutation(len(losses)).tolist()
    clock, rows = np.insert(curves.seconds, 0, 0.0, axis=1).tolist(), losses.tolist()
    until = marks[-1] * curves.full_training
    ends: list[tuple[float, int, Job, float]] = []
    reached: dict[int, int] = {}
    best, improved = middle, [(0.0, middle)]
    # the highest rung and the least loss there; the end of that trial
    lead, leaders = (-1, math.inf), [(0.0, middle)]
    now, number, free = 0.0, 0, workers
    while True:
        while free and (job := machine.next_job()) is not None:
            row, before = order[job.trial % len(order)], reached.get(job.trial, 0)
            seconds = clock[row][machine.ladder.rungs[job.rung]] - clock[row][before]
            heappush(ends, (now + seconds, number, job, seconds))
            number, free = number + 1, free - 1
        now, _, job, seconds = heappop(ends)
        if now > until * (1 + 1e-9):
            break
        free += 1
        row, before, target = (
            order[job.trial % len(order)],
            reached.get(job.trial, 0),
            machine.ladder.rungs[job.rung],
        )
        reached[job.trial] = target
        loss = rows[row][target - 1]
        curve = tuple(zip(range(before + 1, target), rows[row][before : target - 1], strict=True))
        machine.record(Result(job.trial, job.rung, target, (loss,), seconds, curve))
        if loss < best:
            best = loss
            improved.append((now, loss))
        if loss < math.inf and (-job.rung, loss) < (-lead[0], lead[1]):
            lead = (job.rung, loss)
            leaders.append((now, rows[row][-1]))

    def at_marks(steps: Sequence[tuple[float, float]]) -> list[float]:
        at = [
            [loss for time, loss in steps if time <= mark * curves.full_training * (1 + 1e-9)][-1]
            for mark in marks
        ]
        return [
            max(0.0, float((min(value, middle) - optimum) / (middle - optimum))) for value in at
        ]

    return Course(at_marks(improved), at_marks(leaders))


def regret(machine: Machine, curves: CurveSet, *, workers: int, seed: int) -> list[float]:
    """Run one study in virtual time and return its regret at each mark."""
    return course(machine, curves, workers=workers, seed=seed).seen


Task = tuple[int, int, int, int]
_SETS: list[CurveSet] = []


def _mean(task: Task) -> dict[str, list[float]]:
    """Return the mean regret at each mark of each rule: of one set, factor
    and number of workers.
    """
    number, factor, workers, seeds = task
    curves = _SETS[number]
    rules = machines(curves.metric.shape[1], factor)
    return {
        name: np.mean(
            [regret(make(), curves, workers=workers, seed=seed) for seed in range(seeds)], axis=0
        ).tolist()
        for name, make in rules.items()
    }  # fmt: skip


def _mean_of_family(task: tuple[int, str, int]) -> tuple[list[float], list[float]]:
    """Return the mean regret of a scheduler on a set at each mark: of the best loss seen, and of
    the chosen trial.
    """
    number, name, seeds = task
    curves = _SETS[number]
    make = family(curves.metric.shape[1])[name]
    runs = [
        course(make(), curves, workers=FAMILY_WORKERS, seed=seed,
        marks=FAMILY_MARKS) for seed in range(seeds)
    ]  # fmt: skip
    return np.mean([run.seen for run in runs], axis=0).tolist(), np.mean(
        [run.chosen for run in runs], axis=0
    ).tolist()


def show_family(seeds: int) -> None:
    """Show the regret of each scheduler over that of random search, over
    all sets and at each mark.
    """
    names = list(family(81))
    tasks = [(number, name, seeds) for name in names for number in range(len(_SETS))]
    with Pool() as pool:
        means = dict(zip(tasks, pool.map(_mean_of_family, tasks, chunksize=1), strict=True))
    header = ["scheduler", *(f"at {mark:g}" for mark in FAMILY_MARKS)]
    for way, what in enumerate(("the best loss seen", "the end of the chosen trial")):
        rows = []
        for name in names:
            own = (
                np.array([means[number, name, seeds][way] for number in range(len(_SETS))])
                + NEVER_ZERO
            )
            random = (
                np.array([means[number, RANDOM, seeds][0] for number in range(len(_SETS))])
                + NEVER_ZERO
            )
            over = own / random
            rows.append(
                [name, *(f"{_geometric(column):.2f} | {column.max():.2f}" for column in over.T)]
            )
        title = (
            f"factor {FAMILY_FACTOR}, {FAMILY_WORKERS} workers, {seeds} seeds: regret of {what} "
            f"over random's, geometric mean | worst of {len(_SETS)} sets"
        )
        show(title, header, rows)


def ratios(means: Mapping[str, Sequence[float]], rule: str) -> tuple[list[float], list[float]]:
    """Return the regret of a rule over that of random search, and over that of the best fixed rung,
    at each mark.
    """
    fixed = [name for name in means if name not in (DEFAULT, ADAPTIVE)]
    own = np.array(means[rule]) + NEVER_ZERO
    best = np.min([means[name] for name in fixed], axis=0) + NEVER_ZERO
    return (own / (np.array(means[RANDOM]) + NEVER_ZERO)).tolist(), (own / best).tolist()


def main() -> int:
    """Run all and show the tables; return 1 if the claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--factors", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--family", action="store_true", help="compare the schedulers")
    given = parser.parse_args()
    _SETS.extend(pools(given.folder))
    if given.family:
        show_family(given.seeds)
        return 0
    tasks = [
        (number, factor, workers, given.seeds)
        for workers in given.workers
        for factor in given.factors
        for number in range(len(_SETS))
    ]
    with Pool() as pool:
        means = dict(zip(tasks, pool.map(_mean, tasks, chunksize=1), strict=True))
    holds = True
    header = ["set", *(f"at {mark:g}" for mark in MARKS)]
    for workers in given.workers:
        for factor in given.factors:
            for rule in (DEFAULT, ADAPTIVE):
                of_all = [
                    ratios(means[number, factor, workers, given.seeds], rule)
                    for number in range(len(_SETS))
                ]
                rows = [
                    [
                        curves.name,
                        *(
                            f"{random:.2f} | {fixed:.2f}"
                            for random, fixed in zip(*both, strict=True)
                        ),
                    ]
                    for curves, both in zip(_SETS, of_all, strict=True)
                ]
                for name, fold in (("geometric mean", _geometric), ("worst", np.max)):
                    folded = [
                        [fold([both[way][mark] for both in of_all]) for way in (0, 1)]
                        for mark in range(len(MARKS))
                    ]
                    rows.append(
                        [name, *(f"{random:.2f} | {fixed:.2f}" for random, fixed in folded)]
                    )
                if (rule, workers, factor) == (DEFAULT, 8, 3):
                    first = MARKS.index(CLAIMED_FROM)
                    holds = max(max(both[0][first:]) for both in of_all) <= 1.0
                title = (
                    f"{rule}, factor {factor}, {workers} workers: regret over random's | over the "
                    f"best fixed rung's"
                )
                show(title, header, rows)
    print("the claim holds" if holds else "the claim does NOT hold")
    return 0 if holds else 1


def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


if __name__ == "__main__":
    sys.exit(main())
