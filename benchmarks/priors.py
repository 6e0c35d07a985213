"""What a prior is worth, right or wrong: the searches on LCBench's surrogate with and without one,
in virtual time.

A prior is a value for each of the seven hyperparameters: "right", those of the best of 250 random
configurations after a full training; "fair", of the best of 25; "wrong", of the worst of 25; drawn
anew for each seed. As of ``search_surrogate.py``, regret is how far the true loss of the named
configuration is from the best known, over how far the median one is; differences are to the same
search without a prior, on the same tasks and seeds.

    python benchmarks/priors.py FOLDER [--tasks reported chosen] [--seeds 4] [--searches random gp]
        [--results DIR]
        [--share 0.5] [--deviation 0.15] [--belief 1] [--json FILE]

FOLDER holds YAHPO's ``model.onnx`` for LCBench. The three constants of priors were chosen on
"chosen". Needs onnxruntime and scipy.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import ashtune._src.search.gp_score as model
import ashtune._src.space.space as spaces
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space import priors
from ashtune._src.space.priors import Prior
from ashtune._src.space.space import Space
from quality.store import Store
from quality.surrogate import SPACE, TOP, Surrogate, Task
from quality.virtual import study
from table import data_folder, show

MARKS = (0.5, 1.0, 2.0, 4.0)
TASKS = {
    "chosen": ("189908", "126025", "167200", "7593", "34539"),
    "reported": ("168335", "168868", "189906", "146212", "168908"),
}
KINDS = {"none": (0, 0), "right": (250, 0), "fair": (25, 0), "wrong": (25, -1)}
"""Of so many random configurations, the one of this place by its loss."""


def believed(task: Task, kind: str, seed: int) -> Space:
    """Return the space with a prior for each hyperparameter, or without."""
    count, place = KINDS[kind]
    if not count:
        return task.space
    points = np.random.default_rng([seed, 77]).random((count, len(SPACE)))
    configurations = task.space.at(points)
    order = np.argsort([task.regret(each) for each in configurations], kind="stable")
    at = configurations[order[place]]
    return Space.parse({name: Prior(values, at=at[name]) for name, values in SPACE.items()})


def run(task: Task, search: str, kind: str, seed: int, workers: int) -> list[float]:
    """Run one study; return its regret at each mark."""
    found = study(
        SEARCHES.part(search), believed(task, kind, seed), partial(task.train, seed),
        top=TOP, workers=workers, until=MARKS[-1] * task.full_training, seed=seed,
    )  # fmt: skip
    named = [found.named_at(mark * task.full_training) for mark in MARKS]
    return [1.0 if each is None else task.regret(found.configurations[each[0]]) for each in named]


def main() -> None:
    """Run what is missing and show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder)
    parser.add_argument("--tasks", nargs="+", default=["reported"], choices=TASKS)
    parser.add_argument("--searches", nargs="+", default=["random", "gp"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--share", type=float, default=spaces.SHARE)
    parser.add_argument("--deviation", type=float, default=priors.DEVIATION)
    parser.add_argument("--belief", type=float, default=model.BELIEF)
    parser.add_argument("--results", type=Path, default=Path("runs/priors"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    spaces.SHARE, priors.DEVIATION, model.BELIEF = given.share, given.deviation, given.belief
    constants = {
        "share": given.share,
        "deviation": given.deviation,
        "belief": given.belief,
        "workers": given.workers,
    }
    store = Store(given.results, "runs", ("task", "search", "kind", "seed", *constants))
    surrogate = Surrogate(given.folder)
    tasks = [Task(surrogate, name) for group in given.tasks for name in TASKS[group]]
    for seed in range(given.seeds):
        for task in tasks:
            for search in given.searches:
                for kind in KINDS:
                    key = {
                        "task": task.name,
                        "search": search,
                        "kind": kind,
                        "seed": seed,
                        **constants,
                    }
                    if key not in store:
                        store.add({**key, "regret": run(task, search, kind, seed, given.workers)})
    names = {task.name for task in tasks}
    wanted: list[dict[str, Any]] = [
        each for each in store if each["task"] in names and constants.items() <= each.items()
    ]
    rows = []
    for search in given.searches:
        regrets = {
            kind: {
                (each["task"], each["seed"]): np.array(each["regret"])
                for each in wanted if each["search"] == search and each["kind"] == kind
            }
            for kind in KINDS
        }  # fmt: skip
        for kind, own in regrets.items():
            gains = np.array([own[key] - regrets["none"][key] for key in own])
            mean, error = gains.mean(axis=0), gains.std(axis=0, ddof=1) / len(gains) ** 0.5
            rows.append([
                search, kind, len(own), *(f"{value:.3f}" for value in np.mean(list(own.values()),
                axis=0)),
                *(["" for _ in MARKS] if kind == "none" else map("{:+.3f} +- {:.3f}".format, mean,
                error)),
            ])  # fmt: skip
    header = [
        "search",
        "prior",
        "runs",
        *(f"at {mark:g}" for mark in MARKS),
        *(f"- none at {mark:g}" for mark in MARKS),
    ]
    show("regret by time in full trainings", header, rows)


if __name__ == "__main__":
    main()
