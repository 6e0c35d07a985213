"""The searches where there are many hyperparameters: the regret of what is named, and what a proposal costs.

``quality/toy.py`` is a task with 7, 20 or 50 hyperparameters, of which a fifth matter and whose optimum is known. Each
seed is another such task. ashtune's own controller, default scheduler and searches run in virtual time on 8 workers;
regret is the true loss of the named configuration over that of the median one. The cost is CPU time of one thread.

    python benchmarks/search_width.py [--seeds 10] [--widths 7 20 50] [--known 20 50 100 300 3000] [--json FILE]
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.search.random import Random
from ashtune._src.search.registry import SEARCHES
from quality.toy import FULL_TRAINING, TOP, Toy
from quality.virtual import rungs_of, study
from table import show

MARKS = (1.0, 2.0, 4.0, 8.0)
WAYS = ("random", "mutation", "gp")
WORKERS, PROPOSALS = 8, 7


def regrets(search: str, width: int, seed: int) -> list[float]:
    """Run one study; return its regret at each mark."""
    task = Toy(width, seed)
    found = study(
        SEARCHES.part(search), task.space, partial(task.train, seed),
        top=TOP, workers=WORKERS, until=MARKS[-1] * FULL_TRAINING, seed=seed,
    )  # fmt: skip
    named = [found.named_at(mark * FULL_TRAINING) for mark in MARKS]
    return [1.0 if each is None else task.regret(found.configurations[each[0]]) for each in named]


def milliseconds(search: str, width: int, known: int) -> float:
    """Return the median CPU time of a proposal, so many trials being known, and eight more training."""
    task = Toy(width, 0)
    proposer = SEARCHES.part(search).proposer(task.space, 0, TOP)
    assert proposer is not None
    design, chance = Random().build(task.space, 0), np.random.default_rng(0)
    for number in range(known + WORKERS):
        trial, configuration = TrialId(number), design.configuration(number)
        proposer.started(Job(trial, 0), configuration)
        if number >= known:
            continue
        rung, before = 0, 0
        while True:
            resource = rungs_of(TOP).rungs[rung]
            loss, seconds = task.train(0, trial, configuration, before, resource)
            proposer.observe(Result(trial, rung, resource, (loss,), seconds), configuration)
            rung, before = rung + 1, resource
            if resource == TOP or chance.random() > 1 / 3:
                break
    took: list[float] = []
    number = known + WORKERS
    while len(took) < PROPOSALS:
        began = time.process_time()
        proposal = proposer.propose(number)
        number += 1
        if proposal is not None:
            took.append(1e3 * (time.process_time() - began))
    return float(np.median(took))


def main() -> None:
    """Run all and show the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--widths", type=int, nargs="+", default=[7, 20, 50])
    parser.add_argument("--known", type=int, nargs="+", default=[20, 50, 100, 300, 3000])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[list[Any]] = []
    for width in given.widths:
        found = {way: np.array([regrets(way, width, seed) for seed in range(given.seeds)]) for way in WAYS}
        for way, values in found.items():
            gain = (values - found["random"])[:, -1]
            error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
            less = f"{gain.mean():+.3f} +- {error:.3f}" if way != "random" else ""
            rows.append([width, way, *(f"{value:.3f}" for value in values.mean(axis=0)), less])
    header = ["hyperparameters", "search", *(f"at {mark:g}" for mark in MARKS), f"- random at {MARKS[-1]:g}"]
    show(f"Regret over full trainings, {WORKERS} workers, {given.seeds} tasks", header, rows)
    rows = [
        [width, way, *(f"{milliseconds(way, width, known):.1f}" for known in given.known)]
        for width in given.widths for way in WAYS if way != "random"
    ]  # fmt: skip
    show("CPU ms of a proposal, by trials known", ["hyperparameters", "search", *map(str, given.known)], rows)


if __name__ == "__main__":
    main()
