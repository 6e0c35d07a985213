"""The searches on small made-up tasks: the regret by number of trials, and how often a trial
repeats an earlier one.

``quality/small_tasks.py`` says what each task asks. ashtune's own controller, default scheduler and
searches run in virtual time on one worker; a proposal is made when it is needed, from all results
before it. Each seed is another task of its kind.

Regret: the distance of the named configuration's loss from the optimum's, over that of the median
configuration, at least 1e-9; the table has the geometric mean over the seeds. "repeats" are trials
at the same point as an earlier one (nine digits of the unit cube), "near" those within .001 of an
earlier one in all hyperparameters. "worse" is the share of the second half of the trials that is
worse than the median configuration.

    python benchmarks/search_toys.py [--seeds 6] [--trials 60] [--toys ...] [--ways gp random]
        [--results DIR]
        [--against DIR] [--json FILE]

A run that is in the results' folder is not run again. With --against the runs are compared in pairs
with those of another commit in another results' folder.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.core.jobs import TrialId
from ashtune._src.search.search_registry import SEARCHES
from quality.against import plus_minus, show_gains
from quality.small_tasks import TASKS, SmallTask
from quality.store import Store
from quality.virtual import VirtualStudy, study
from table import show

PARTS = (0.25, 0.5, 1.0)
LEAST = 1e-9
DIGITS, NEAR = 9, 0.001
ALONE = "random"


def run(name: str, way: str, seed: int, trials: int) -> dict[str, Any]:
    """Run one study; return its regret after parts of its trials, and what it repeated."""
    task = TASKS[name](seed)

    def train(
        trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        return task.loss(
            configuration, target, np.random.default_rng([seed, trial, target])
        ), float(target - start)

    search = SEARCHES.part(way)
    found = study(
        search, task.space, train, top=task.top, workers=1, trials=trials, seed=seed, ahead=0
    )
    tried = [found.configurations[TrialId(trial)] for trial in range(found.trials)]
    places = [
        [0.5 if place is None else place for place in task.space.place(each)] for each in tried
    ]
    points, median = np.round(places, DIGITS), task.median()
    nearest = [
        float(np.abs(points[:row] - points[row]).max(axis=1).min()) for row in range(1, len(points))
    ]
    worse = [task.distance(each) > median for each in tried[len(tried) // 2 :]]
    return {
        "task": name, "way": way, "seed": seed, "trials": found.trials,
        "regret": [regret(task, found, round(part * trials), median) for part in PARTS],
        "repeats": sum(each == 0 for each in nearest),
        "near": sum(0 < each < NEAR for each in nearest),
        "worse": float(np.mean(worse)), "cpu_ms": 1e3 * sum(found.proposal_seconds) / max(1,
        found.trials),
    }  # fmt: skip


def regret(task: SmallTask, found: VirtualStudy, trials: int, median: float) -> float:
    """Return the regret of what the study names when the trial after so many is started, or at the
    end.
    """
    named = found.named_at(found.starts[trials] if trials < len(found.starts) else math.inf)
    if named is None or not 0 < median < math.inf:
        return 1.0 if median else 0.0
    return task.distance(found.configurations[named[0]]) / median


def main() -> None:
    """Run what is missing and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--toys", nargs="+", default=list(TASKS), choices=TASKS, metavar="TOY")
    parser.add_argument("--ways", nargs="+", default=["gp", ALONE])
    parser.add_argument("--results", type=Path, default=Path("runs/search_toys"))
    parser.add_argument("--against", type=Path, help="the results' folder of another commit")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    keys = ("task", "way", "seed", "trials_asked")
    store = Store(given.results, "toys", keys)
    for seed in seeds:  # so that a benchmark that was broken off has whole seeds
        for name in given.toys:
            for way in given.ways:
                key = {"task": name, "way": way, "seed": seed, "trials_asked": given.trials}
                if key not in store:
                    store.add(key | run(name, way, seed, given.trials))
    runs = [
        each for each in store
        if each["seed"] in seeds and each["task"] in given.toys and each["way"] in given.ways
        and each["trials_asked"] == given.trials
    ]  # fmt: skip
    marks = [f"at {round(part * given.trials)}" for part in PARTS]
    rows = [row(name, way, runs) for name in given.toys for way in given.ways]
    header = [
        "task, hyperparameters",
        "search",
        "seeds",
        *marks,
        "log10 less random's",
        "repeats",
        "near",
        "worse",
    ]
    show("Regret by number of trials, one worker", [*header, "CPU ms a trial"], rows)
    if given.against:
        others = [
            each
            for each in Store(given.against, "toys", keys)
            if each["trials_asked"] == given.trials
        ]
        show_gains(marks, runs, others, lambda each: each["task"], logs=LEAST)


def row(name: str, way: str, runs: list[dict[str, Any]]) -> list[Any]:
    """Return the row of a search on a task."""
    own, alone = (
        {each["seed"]: each for each in runs if (each["task"], each["way"]) == (name, wanted)}
        for wanted in (way, ALONE)
    )
    logs = {
        seed: np.log10(np.maximum(each["regret"], LEAST)) for seed, each in (alone | own).items()
    }
    random = {seed: np.log10(np.maximum(each["regret"], LEAST)) for seed, each in alone.items()}
    gains = np.array([logs[seed][-1] - random[seed][-1] for seed in own if seed in random])
    means = {
        key: float(np.mean([each[key] for each in own.values()]))
        for key in ("repeats", "near", "worse", "cpu_ms")
    }
    return [
        name, way, len(own), *(f"{10**value:.1e}" for value in np.mean([logs[seed] for seed in own],
        axis=0)),
        "" if way == ALONE else plus_minus(gains, 2), f"{means['repeats']:.1f}",
        f"{means['near']:.1f}",
        f"{means['worse']:.0%}", f"{means['cpu_ms']:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
