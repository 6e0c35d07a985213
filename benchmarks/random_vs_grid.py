"""Random against grid search: the law of 60 trials, why few important dimensions favour random, one
real task.

Three parts, each beside what ``papers.md`` 4 says:

1. P(the best of ``n`` random trials is in the top 5 %) = 1 - 0.95**n, at several ``n`` and for the
  top 1 %.
2. The probability that some trial lands within a window of side ``w`` around the optimum, in the
   ``e`` important ones of ``d`` dimensions, for a grid and for random search.
3. The demo's network on the digits, three hyperparameters: a grid of 4**3 = 64 points against 64
  random trials.

The first two fail (exit status 1) if a simulated probability, or one of papers.md, is further than
3 standard errors from the exact one.

    python benchmarks/random_vs_grid.py [--seeds 20] [--quick] [--json FILE]

All of it takes two and a half minutes on two free cores. Of several tables ``--json`` keeps what
``table.show`` keeps.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from random_vs_grid_laws import (
    best_of,
    best_quantiles,
    cube,
    drawn,
    fewest,
    grid_hits,
    hits,
    laid_out,
    random_hits,
    sigmas,
)
from random_vs_grid_nearness import digits_task
from table import show

REPETITIONS = 2000
# papers.md 4 names none for its table; these are those of the benchmark it asks for
PAPERS_REPETITIONS = 2000
MOST_SIGMAS = 3.0
LAW = [(0.05, 58), (0.05, 59), (0.05, 60), (0.05, 90), (0.01, 299), (0.01, 459)]
PAPERS_LAW = {58: "0.9490", 59: "0.9515", 60: "0.9539", 90: "0.99", 299: "0.95", 459: "0.99"}
WINDOWS = [  # budget, d, e, w; papers.md's values for grid and random
    (9, 2, 1, 0.05, 0.157, 0.369),
    (64, 2, 1, 0.05, 0.416, 0.963),
    (64, 6, 1, 0.05, 0.098, 0.962),
    (64, 6, 2, 0.20, 0.171, 0.892),
    (729, 6, 2, 0.10, 0.095, 0.997),
]

READING = f"""formula: papers.md's min(1, g w)^e and 1 - (1 - w^e)^B, edges aside.
exact: edges counted.
grid, ends: GridDesign as it is, g points from end to end. Half of each outer window lies outside
the cube: (g - 1) w takes the place of g w.
grid, middles: the same GridDesign in ranges shorter by 1/(2 g) at either end. No window crosses an
edge, so the formula is exact; this is papers.md's grid.
random: papers.md's values agree with the edges counted, not with its formula, which is too high
where windows are wide.
its sigmas: how far papers.md's value is from exact, if it came of {PAPERS_REPETITIONS:,}
repetitions (it does not say).
"""


def law(repetitions: int) -> float:
    """Print the law of 60 trials; return the most standard errors that any line is off."""
    quantiles = best_quantiles([n for _, n in LAW], repetitions)
    rows, off = [], []
    for (top, n), best in zip(LAW, quantiles.T, strict=True):
        exact, measured = best_of(n, top), float((best < top).mean())
        least = [f"{confidence:.0%}" for confidence in (0.95, 0.99) if fewest(top, confidence) == n]
        off.append(sigmas(measured, exact, repetitions))
        error = (exact * (1 - exact) / repetitions) ** 0.5
        rows.append([
            f"{top:.0%}", n, f"{exact:.4f}", " ".join(least), PAPERS_LAW[n], f"{measured:.4f}",
            f"{error:.4f}",
            f"{off[-1]:+.1f}",
        ])  # fmt: skip
    show(
        f"P(best of n random trials in the top share); simulated: {repetitions:,} seeds of "
        f"Random, the same for all n",
        ["top", "n", "exact", "fewest n for", "papers.md", "simulated", "s.e.", "sigmas"],
        rows,
    )
    return max(map(abs, off))


def windows(repetitions: int) -> float:
    """Print how often a trial lands near the optimum; return the most standard errors that any line
    is off.
    """
    rows, off = [], []
    for number, (budget, d, e, w, papers_grid, papers_random) in enumerate(WINDOWS):
        points = round(budget ** (1 / d))
        optima = np.random.default_rng(number).random((repetitions, e))
        formula = min(1.0, points * w) ** e
        both_ends, middle = laid_out(cube(d), points), laid_out(cube(d, 1 / (2 * points)), points)
        # other trials on every line
        seeds = range(number * repetitions, (number + 1) * repetitions)
        space = cube(d)
        found = [hits(drawn(space, s, budget), optima[[i]], w)[0] for i, s in enumerate(seeds)]
        cases = [
            (
                "grid, ends",
                formula,
                grid_hits(both_ends[:, 0], e, w),
                hits(both_ends, optima, w),
                None,
            ),
            (
                "grid, middles",
                formula,
                grid_hits(middle[:, 0], e, w),
                hits(middle, optima, w),
                papers_grid,
            ),
            (
                "random",
                best_of(budget, w**e),
                random_hits(budget, e, w),
                np.array(found),
                papers_random,
            ),
        ]
        for search, rule, exact, hit, papers in cases:
            off.append(sigmas(float(hit.mean()), exact, repetitions))
            papers_off = None if papers is None else sigmas(papers, exact, PAPERS_REPETITIONS)
            rows.append([
                budget, d, e, w, search, f"{rule:.3f}", f"{exact:.3f}", f"{hit.mean():.3f}",
                f"{off[-1]:+.1f}",
                "-" if papers is None else f"{papers:.3f}",
                "-" if papers_off is None else f"{papers_off:+.1f}",
            ])  # fmt: skip
            off += [] if papers_off is None else [papers_off]
    show(
        "P(some trial within w/2 of the optimum in the e important of d dimensions); simulated: "
        f"{repetitions:,} optima, uniform in the whole cube",
        [
            "budget",
            "d",
            "e",
            "w",
            "search",
            "formula",
            "exact",
            "simulated",
            "sigmas",
            "papers.md",
            "its sigmas",
        ],
        rows,
    )
    print(READING)
    return max(map(abs, off))


def main() -> int:
    """Run the three parts; return 1 if a probability of the first two is
    off by more than chance.
    """
    parser = argparse.ArgumentParser(description="Random against grid search.")
    parser.add_argument(
        "--seeds", type=int, default=20, metavar="N", help="of the real task (default 20)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the repetitions, and 2 seeds"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what table.show keeps here"
    )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds} is too few; give at least 1")
    repetitions = REPETITIONS // 4 if options.quick else REPETITIONS
    off = max(law(repetitions), windows(repetitions))
    print(
        f"Of all these, the one furthest from its exact value is {off:.1f} standard errors off.\n",
        flush=True,
    )
    digits_task(2 if options.quick else options.seeds)
    return int(off > MOST_SIGMAS)


if __name__ == "__main__":
    sys.exit(main())
