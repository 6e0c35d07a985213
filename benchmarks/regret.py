"""Where trials enter: the regret of the default rungs on recorded learning curves, beside random search.

In virtual time, free of noise: ``curve_sets.py`` reads the curves, and the same configurations come in the same order
for every rule. A set that is used up starts again. Regret at a time: how far the best loss seen so far, at any rung, is
from the best end of the set, over how far the end of its median configuration is. Ratios are of means over the seeds,
each plus 0.003, so that nothing is divided by 0. Times are in full trainings (the set's median), of wall time.

- default: what ``tune`` does without ``min_resource``. adaptive: ``min_resource="auto"``.
- fixed: the paper's rule with its lowest rung at R over each power of the factor, down to R/81 or 1. "Best fixed" is
  the one of them, or of full training, with the least regret at that time on that set: known in hindsight only.

    python benchmarks/regret.py FOLDER [--seeds 40] [--workers 1 8 64] [--factors 2 3 4] [--json FILE]

It ends with status 1 if the default with factor 3 and 8 workers is above random search from 1.4 full trainings on, on
any set.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from ashtune.core.jobs import Goal, Job, Result
from ashtune.core.ladder import Ladder
from ashtune.schedulers.adaptive import AdaptiveAsh
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.full import FullTraining
from ashtune.schedulers.protocol import Machine
from curve_sets import LCBENCH, CurveSet, load
from table import show

MARKS = (1.0, 1.4, 2.0, 4.0, 8.0)
CLAIMED_FROM = 1.4
NEVER_ZERO = 0.003
LOWEST_SHARE = 81
RANDOM, DEFAULT, ADAPTIVE = "random", "default", "adaptive"


def pools(folder: Path) -> list[CurveSet]:
    """Return all sets of a folder: accuracies or perplexities, and the cross-entropies of lcbench."""
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
    """Return the rules by name; those with a fixed lowest rung are named after its part of the top one."""
    default, adaptive = Ash().where_rungs_are_chosen(), AdaptiveAsh()
    named: dict[str, Callable[[], Machine]] = {
        RANDOM: lambda: FullTraining().build(Ladder(top, top), None),
        DEFAULT: lambda: default.build(Ladder.from_above(top, factor, Ash.least_share or 1), None),
        ADAPTIVE: lambda: adaptive.build(Ladder.from_above(top, factor, AdaptiveAsh.least_share or 1), None),
    }
    share = factor
    while share <= LOWEST_SHARE:
        rungs = Ladder.from_above(top, factor, share)
        named[f"R/{share}"] = lambda rungs=rungs: Ash().build(rungs, None)  # type: ignore[misc]  # bound now
        share *= factor
    return named


def regret(machine: Machine, curves: CurveSet, *, workers: int, seed: int) -> list[float]:
    """Run one study in virtual time and return its regret at each mark."""
    sign = 1.0 if curves.goal.mode == "min" else -1.0
    losses = np.where(np.isnan(curves.metric), np.inf, sign * curves.metric)
    optimum, middle = losses[:, -1].min(), float(np.median(losses[:, -1]))
    order = np.random.default_rng([seed, 0]).permutation(len(losses)).tolist()
    clock = np.insert(curves.seconds, 0, 0.0, axis=1)
    until = MARKS[-1] * curves.full_training
    ends: list[tuple[float, int, Job]] = []
    reached: dict[int, int] = {}
    best, improved = middle, [(0.0, middle)]
    now, number, free = 0.0, 0, workers
    while True:
        while free and (job := machine.next_job()) is not None:
            row, before, target = (
                order[job.trial % len(order)],
                reached.get(job.trial, 0),
                machine.ladder.rungs[job.rung],
            )
            heappush(ends, (now + clock[row, target] - clock[row, before], number, job))
            number, free = number + 1, free - 1
        now, _, job = heappop(ends)
        if now > until * (1 + 1e-9):
            break
        free += 1
        reached[job.trial] = machine.ladder.rungs[job.rung]
        loss = float(losses[order[job.trial % len(order)], reached[job.trial] - 1])
        machine.record(Result.of(job, loss))
        if loss < best:
            best = loss
            improved.append((now, loss))
    at = [[loss for time, loss in improved if time <= mark * curves.full_training * (1 + 1e-9)][-1] for mark in MARKS]
    return [max(0.0, float((value - optimum) / (middle - optimum))) for value in at]


Task = tuple[int, int, int, int]
_SETS: list[CurveSet] = []


def _mean(task: Task) -> dict[str, list[float]]:
    """Return the mean regret at each mark of each rule: of one set, factor and number of workers."""
    number, factor, workers, seeds = task
    curves = _SETS[number]
    rules = machines(curves.metric.shape[1], factor)
    return {
        name: np.mean(
            [regret(make(), curves, workers=workers, seed=seed) for seed in range(seeds)], axis=0
        ).tolist()
        for name, make in rules.items()
    }  # fmt: skip


def ratios(means: Mapping[str, Sequence[float]], rule: str) -> tuple[list[float], list[float]]:
    """Return the regret of a rule over that of random search, and over that of the best fixed rung, at each mark."""
    fixed = [name for name in means if name not in (DEFAULT, ADAPTIVE)]
    own = np.array(means[rule]) + NEVER_ZERO
    best = np.min([means[name] for name in fixed], axis=0) + NEVER_ZERO
    return (own / (np.array(means[RANDOM]) + NEVER_ZERO)).tolist(), (own / best).tolist()


def main() -> int:
    """Run all and show the tables; return 1 if the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--factors", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    _SETS.extend(pools(given.folder))
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
                of_all = [ratios(means[number, factor, workers, given.seeds], rule) for number in range(len(_SETS))]
                rows = [
                    [curves.name, *(f"{random:.2f} | {fixed:.2f}" for random, fixed in zip(*both, strict=True))]
                    for curves, both in zip(_SETS, of_all, strict=True)
                ]
                for name, fold in (("geometric mean", _geometric), ("worst", np.max)):
                    folded = [
                        [fold([both[way][mark] for both in of_all]) for way in (0, 1)] for mark in range(len(MARKS))
                    ]
                    rows.append([name, *(f"{random:.2f} | {fixed:.2f}" for random, fixed in folded)])
                if (rule, workers, factor) == (DEFAULT, 8, 3):
                    first = MARKS.index(CLAIMED_FROM)
                    holds = max(max(both[0][first:]) for both in of_all) <= 1.0
                title = f"{rule}, factor {factor}, {workers} workers: regret over random's | over the best fixed rung's"
                show(title, header, rows)
    print("the claim holds" if holds else "the claim does NOT hold")
    return 0 if holds else 1


def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


if __name__ == "__main__":
    sys.exit(main())
