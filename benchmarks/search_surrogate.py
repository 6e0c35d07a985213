"""The searches on LCBench's surrogate, in virtual time: the regret of what a study would name, over
full trainings.

ashtune's own controller, default scheduler and searches run on simulated workers;
``quality/surrogate.py`` says what training gives and takes. Proposals take no time; "gp" and
"optuna", which is its TPE, have two of them made ahead, as in a real study, "gp, 0 ahead" none.
Regret: how far the true loss of the named configuration is from the best known, over how far the
median one is. "one epoch" is a baseline: it trains random configurations for one epoch, and the
best one in 52 of them to the end.

    python benchmarks/search_surrogate.py FOLDER [--seeds 3] [--tasks chosen held_out] [--results
        DIR] [--against DIR]
        [--json FILE]

FOLDER holds YAHPO's ``model.onnx`` for LCBench. A run that is in the results' folder is not run
again. With --against the runs are compared in pairs with those of another commit in another
results' folder. The tasks on which the constants of the searches were chosen are shown apart from
the others. Needs onnxruntime, scipy and Optuna.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.core.ladder import Ladder
from ashtune._src.search.search_registry import SEARCHES
from quality.against import plus_minus, show_gains
from quality.store import Store
from quality.surrogate import CHOSEN_ON, TOP, Surrogate, Task
from quality.virtual import study
from table import data_folder, show

MARKS = (0.5, 1.0, 2.0, 4.0, 8.0)
ALONE, ONE_EPOCH = "random", "one epoch"
WAYS = {
    "random": ("random", None), "mutation": ("mutation", None), "optuna": ("optuna", None),
    "gp": ("gp", None),
    "gp, 0 ahead": ("gp", 0), ONE_EPOCH: ("random", None),
}  # fmt: skip


def run(task: Task, way: str, seed: int, workers: int) -> dict[str, Any]:
    """Run one study; return its regret at each mark, and what it took."""
    search, ahead = WAYS[way]
    found = study(
        SEARCHES.part(search), task.space, partial(task.train, seed),
        top=TOP, workers=workers, until=MARKS[-1] * task.full_training, seed=seed, ahead=ahead,
        rungs=Ladder(1, TOP, TOP) if way == ONE_EPOCH else None,
    )  # fmt: skip
    named = [found.named_at(mark * task.full_training) for mark in MARKS]
    return {
        "task": task.name, "way": way, "seed": seed, "workers": workers, "trials": found.trials,
        "jobs": found.jobs,
        "regret": [
            1.0 if each is None else task.regret(found.configurations[each[0]]) for each in named
        ],
        "cpu_ms": 1e3 * sum(found.proposal_seconds) / max(1, found.trials),
    }  # fmt: skip


def main() -> None:
    """Run what is missing and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--tasks", nargs="+", default=["chosen", "held_out"], help="or numbers of OpenML's"
    )
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--results", type=Path, default=Path("runs/search_surrogate"))
    parser.add_argument("--against", type=Path, help="the results' folder of another commit")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    surrogate = Surrogate(given.folder)
    held_out = [name for name in surrogate.codes if name not in CHOSEN_ON]
    groups = {"chosen": list(CHOSEN_ON), "held_out": held_out}
    tasks = [name for group in given.tasks for name in groups.get(group, [group])]
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    keys = ("task", "way", "seed", "workers")
    store = Store(given.results, "runs", keys)
    for name in tasks:
        task = Task(surrogate, name)
        for seed in seeds:
            for way in given.ways:
                if {"task": name, "way": way, "seed": seed, "workers": given.workers} not in store:
                    store.add(run(task, way, seed, given.workers))
    wanted = [each for each in store if each["workers"] == given.workers and each["seed"] in seeds]
    for group, names in groups.items():
        if shown := [name for name in names if name in tasks]:
            table(
                f"{group}: {len(shown)} tasks, {len(seeds)} seeds, {given.workers} workers",
                shown,
                wanted,
            )
    if given.against:
        runs = [each for each in wanted if each["task"] in tasks and each["way"] in given.ways]
        others = [
            each for each in Store(given.against, "runs", keys) if each["workers"] == given.workers
        ]
        marks = [f"at {mark:g}" for mark in MARKS]
        show_gains(
            marks, runs, others, lambda each: "chosen" if each["task"] in CHOSEN_ON else "held_out"
        )


def table(title: str, tasks: list[str], runs: list[dict[str, Any]]) -> None:
    """Show the mean regret of each search at each mark, and its difference to random search on the
    same runs.
    """
    by_way: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for each in runs:
        if each["task"] in tasks:
            by_way.setdefault(each["way"], {})[each["task"], each["seed"]] = each
    rows = []
    for way in WAYS:
        if not (own := by_way.get(way)):
            continue
        regrets = np.array([each["regret"] for each in own.values()])
        shared = [key for key in own if key in by_way.get(ALONE, {})]
        gain = np.array(
            [np.subtract(own[key]["regret"], by_way[ALONE][key]["regret"]) for key in shared]
        )
        cells = [
            "" if way == ALONE or not shared else plus_minus(gain[:, place])
            for place in range(2, len(MARKS))
        ]
        behind = [
            name for name in tasks
            if way != ALONE and is_behind([gain[row, -1] for row,
            key in enumerate(shared) if key[0] == name])
        ]  # fmt: skip
        rows.append([
            way, len(own), *(f"{value:.3f}" for value in regrets.mean(axis=0)), *cells,
            ", ".join(behind) or "-",
            f"{np.mean([each['trials'] for each in own.values()]):.0f}",
            f"{np.mean([each['cpu_ms'] for each in own.values()]):.1f}",
        ])  # fmt: skip
    marks = [f"{mark:g}" for mark in MARKS]
    header = ["search", "runs", *marks, *(f"- random at {mark}" for mark in marks[2:])]
    show(
        title + ": regret by time in full trainings",
        [*header, "behind by 2 s.e.", "trials", "CPU ms a trial"],
        rows,
    )


def is_behind(values: list[float]) -> bool:
    """Say whether differences are above 0 by more than two standard errors."""
    return (
        len(values) > 2
        and float(np.mean(values)) > 2 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    )


if __name__ == "__main__":
    main()
