"""Can the results so far tell how much twice the time will gain? No: so a study does not say it.

Studies in virtual time on the worlds of ``search_worlds.py``, as long as forty full trainings of
work for two workers. After twenty full trainings, two predictions of what twenty more will gain are
compared with what they gained: what the second half of the time gained ("last half"), and what it
would have gained if the results had come in random order ("random order",
``driver/gain_rate.py``). Gains are in shares of the distance between the median and the best result
at the top rung.

A prediction would be advice if it told studies that gain much from studies that gain little: see
the correlation of ranks, and the gains that followed the lowest and the highest third of the
predictions.

    python benchmarks/more_time.py [--data FOLDER] [--half report] [--seeds 3] [--jobs 2]
        [--json FILE]

FOLDER is the folder of the data, with ``curves`` and ``surrogates``; without it, only the worlds
that are made up run. Three seeds take four minutes on two cores.
"""

import argparse
import math
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ashtune._src.driver.gain_rate import expected_best
from ashtune._src.search.gp import GP
from quality.virtual import study
from search_worlds import SEEDS_OF, WORKERS, all_worlds
from table import data_folder, show

MARK = 20.0
FEWEST = 8
"""Results at the top rung that a prediction needs."""


def run(asked: tuple[Path | None, str, int]) -> list[float]:
    """Run one study; return both predictions and the gain, or nothing if too few trials arrive."""
    data, name, seed = asked
    world = all_worlds(data)[name]
    second = world.full_training / WORKERS
    found = study(
        GP(),
        world.space,
        world.begin(seed).train,
        top=world.top,
        workers=WORKERS,
        until=2 * MARK * second,
        seed=seed,
    )
    top = [
        (when / second, loss)
        for when, _, resource, loss in found.results
        if resource == world.top and loss < math.inf
    ]
    early = [loss for when, loss in top if when <= MARK / 2]
    before = [loss for when, loss in top if when <= MARK]
    if len(before) < FEWEST or not early:
        return []
    losses = [loss for _, loss in top]
    scale = float(np.median(losses)) - min(losses)
    if not scale:
        return []
    best = min(before)
    gains = [
        min(early) - best,
        expected_best(before, len(before) // 2) - best,
        best - min(losses),
    ]
    return [gain / scale for gain in gains]


def main() -> None:
    """Run and show the table."""
    from scipy.stats import spearmanr

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=data_folder)
    parser.add_argument("--half", choices=SEEDS_OF, default="report")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--worlds", nargs="+", metavar="WORLD")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    first = SEEDS_OF[given.half]
    asked = [
        (given.data, name, seed)
        for name in given.worlds or all_worlds(given.data)
        for seed in range(first, first + given.seeds)
    ]
    with get_context("spawn").Pool(given.jobs) as pool:
        points = np.array([each for each in pool.imap_unordered(run, asked) if each])
    rows = []
    followed = points[:, 2]
    for name, predicted in (("last half", points[:, 0]), ("random order", points[:, 1])):
        low, high = np.quantile(predicted, [1 / 3, 2 / 3])
        rows.append(
            [
                name,
                len(points),
                f"{np.median(predicted):.3f}",
                f"{np.median(followed):.3f}",
                f"{spearmanr(predicted, followed).statistic:.2f}",
                f"{followed[predicted <= low].mean():.3f}",
                f"{followed[predicted >= high].mean():.3f}",
            ]
        )
    show("What twenty more full trainings gain, predicted and seen", COLUMNS, rows)


COLUMNS = [
    "prediction",
    "studies",
    "predicted, median",
    "followed, median",
    "correlation of ranks",
    "followed the lowest third",
    "followed the highest third",
]


if __name__ == "__main__":
    main()
