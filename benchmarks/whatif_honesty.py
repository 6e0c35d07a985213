"""How honest the what-if is: predictions from studies that ASH cut short, against what full curves
say.

Curves known in full are trained by simulated ASH (8 workers, reduction factors 2, 3 and 4, 256
configurations a seed), its events recorded, and everything it did not train forgotten. From that
the what-if predicts the same trials under reduction factors 2, 3, 4 on 1 to 64 workers; the truth
is the same simulation with nothing forgotten.

The sets are those of ``real_curves.py``; where a set tells no times an epoch takes each
configuration its own time, log-normal with a standard deviation of 0.5.

Claims: median error of the wall time <= 5 %. The best value's error is stated, and how often the
truth lies within the predicted spread.

    python benchmarks/whatif_honesty.py CURVES_FOLDER [--seeds 10] [--json FILE]
"""

import argparse
import math
from array import array
from multiprocessing import Pool
from pathlib import Path

import numpy as np

import curve_sets
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.core.ladder import Ladder
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.simulation.recording import Recorder
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.simulation.traces import Timing, Trace, Traces
from ashtune._src.simulation.whatif import Predictor
from curve_sets import CurveSet
from table import data_folder, show

TRIALS = 256
RECORDED_WORKERS = 8
FACTORS = (2, 3, 4)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
DRAWS = 10


def full(pool: CurveSet, seed: int) -> Traces:
    """Return a seed's configurations with all that is known of them."""
    chance = np.random.default_rng([seed, 7])
    count = min(TRIALS, len(pool.metric))
    chosen = chance.permutation(len(pool.metric))[:count]
    losses = pool.reported(seed)[chosen] * (1 if pool.goal.mode == "min" else -1)
    losses = np.where(np.isfinite(losses), losses, math.inf)
    seconds = pool.seconds[chosen]
    if (pool.seconds == pool.seconds[0]).all():
        seconds = seconds * chance.lognormal(sigma=0.5, size=(count, 1))
    epochs = list(range(1, losses.shape[1] + 1))
    trials = [
        Trace(array("d", row.tolist()), epochs, clock.tolist(), float(clock[-1]) / len(epochs))
        for row, clock in zip(losses, seconds, strict=True)
    ]
    return Traces(goal=pool.goal, trials=trials, timing=Timing())


def cut(truth: Traces, ladder: Ladder) -> Traces:
    """Return what a study by ASH would have recorded of them."""
    goal, trials = truth.goal, truth.trials
    recorder, timeline = Recorder(goal, ladder), Timeline(ladder)
    training = Training(
        metrics=lambda trial, resource: {
            goal.metric: goal.value(trials[trial].losses[resource - 1])
        },
        seconds=lambda trial, start, target: trials[trial].seconds(start, target),
        has_curves=True,
    )
    workers = SimulatedEngine(training, workers=RECORDED_WORKERS)
    simulate(
        AshMachine(ladder, len(trials)),
        workers,
        [recorder, timeline],
        trials=len(trials),
        goal=goal,
    )
    return recorder.traces("ash", timeline)


def errors(job: tuple[CurveSet, int]) -> list[tuple[float, float, float, bool, bool]]:
    """Return for each prediction of a seed: errors of wall time and best, what was continued, and
    if the spans hold.
    """
    pool, seed = job
    truth, top = full(pool, seed), pool.metric.shape[1]
    real = Predictor(truth, draws=0)
    found = []
    for recorded in FACTORS:
        known = Predictor(cut(truth, Ladder(1, top, recorded)), draws=DRAWS)
        for factor in FACTORS:
            for workers in WORKERS:
                choice = known.choice("ash", Ladder(1, top, factor), workers)
                one, fact = known.prediction(choice), real.replay(choice)
                wall, best = one.wall_seconds, one.best
                value = truth.goal.value(fact.best)
                assert best is not None
                found.append((wall.likely / fact.wall - 1, best.likely - value, one.continued,
                              wall.low <= fact.wall <= wall.high,
                              best.low <= value <= best.high))  # fmt: skip
    return found


def main() -> None:
    """Predict, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seeds, pools = given.seeds, curve_sets.load(given.folder)
    rows, all_walls = [], []
    with Pool() as workers:
        found = workers.map(
            errors, [(pool, seed) for pool in pools for seed in range(seeds)], chunksize=1
        )
    for number, pool in enumerate(pools):
        mine = np.array(
            [one for part in found[number * seeds : (number + 1) * seeds] for one in part],
            dtype=float,
        )
        wall, best, continued = np.abs(mine[:, 0]), mine[:, 1], mine[:, 2]
        all_walls.append(wall)
        rows.append([pool.name, len(mine), f"{100 * continued.mean():.1f} %",
                     f"{100 * np.median(wall):.2f} %", f"{100 * np.quantile(wall, 0.9):.1f} %",
                     f"{np.median(np.abs(best)):.3f}",
                     f"{np.median(np.abs(best)) / pool.median_regret:.3f}",
                     f"{np.quantile(np.abs(best), 0.9):.3f}", f"{best.mean():+.3f}",
                     f"{100 * mine[:, 3].mean():.0f} %",
                     f"{100 * mine[:, 4].mean():.0f} %"])  # fmt: skip
    columns = ["set", "predictions", "continued", "wall: median error", "90 % below",
    "best: median error",
               "of median regret", "90 % below", "mean", "wall in span",
               "best in span"]  # fmt: skip
    show(
        f"ASH cut by 1/2, 1/3, 1/4 asked for 1/2, 1/3, 1/4 on 1 to 64 workers, {seeds} seeds",
        columns,
        rows,
    )
    together = np.concatenate(all_walls)
    print(f"wall time, all sets: median error {100 * np.median(together):.2f} %, 90 % below "
          f"{100 * np.quantile(together, 0.9):.1f} %")  # fmt: skip


if __name__ == "__main__":
    main()
