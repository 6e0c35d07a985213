"""The searches where there are many hyperparameters: the regret of what is named.

``quality/toy.py`` is a task with 7, 20 or 50 hyperparameters, of which a fifth matter and whose
optimum is known. Each seed is another such task. ashtune's own controller, default scheduler and
searches run in virtual time on 8 workers; regret is the true loss of the named configuration over
that of the median one. ``proposals.py`` measures what a proposal costs.

    python benchmarks/search_width.py [--seeds 10] [--widths 7 20 50]
        [--searches mutation gp] [--json FILE]
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.search.search_registry import SEARCHES
from quality.toy import FULL_TRAINING, TOP, Toy
from quality.virtual import study
from table import show

MARKS = (1.0, 2.0, 4.0, 8.0)
WAYS = ("random", "mutation", "gp")
WORKERS = 8


def regrets(search: str, width: int, seed: int) -> list[float]:
    """Run one study; return its regret at each mark."""
    task = Toy(width, seed)
    found = study(
        SEARCHES.part(search), task.space, partial(task.train, seed),
        top=TOP, workers=WORKERS, until=MARKS[-1] * FULL_TRAINING, seed=seed,
    )  # fmt: skip
    named = [found.named_at(mark * FULL_TRAINING) for mark in MARKS]
    return [1.0 if each is None else task.regret(found.configurations[each[0]]) for each in named]


def main() -> None:
    """Run all and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--widths", type=int, nargs="+", default=[7, 20, 50])
    parser.add_argument("--searches", nargs="+", default=list(WAYS[1:]), choices=WAYS[1:])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ways = (WAYS[0], *given.searches)
    rows: list[list[Any]] = []
    for width in given.widths:
        found = {
            way: np.array([regrets(way, width, seed) for seed in range(given.seeds)])
            for way in ways
        }
        for way, values in found.items():
            gain = (values - found["random"])[:, -1]
            error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
            less = f"{gain.mean():+.3f} +- {error:.3f}" if way != "random" else ""
            rows.append([width, way, *(f"{value:.3f}" for value in values.mean(axis=0)), less])
    header = [
        "hyperparameters",
        "search",
        *(f"at {mark:g}" for mark in MARKS),
        f"- random at {MARKS[-1]:g}",
    ]
    show(f"Regret over full trainings, {WORKERS} workers, {given.seeds} tasks", header, rows)


if __name__ == "__main__":
    main()
