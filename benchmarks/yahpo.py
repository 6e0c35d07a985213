"""The default search beside seven published tuners: the protocol of YAHPO-MF on LCBench's
surrogate.

Source: Pfisterer et al., *YAHPO Gym*, AutoML 2022, https://arxiv.org/abs/2109.03670, the
multi-fidelity benchmark. Its peers: HpBandSter 0.7.4 (HB, BOHB), SMAC 1.1.1, SMAC with Hyperband,
DEHB, Optuna 2.10 (TPE, median pruner) and random search at 52 epochs, each with 30 seeds.

Rule 1: one worker, and the epochs of 20 + 40 sqrt(7) = 126 full trainings. Nothing is resumed: an
evaluation costs all epochs up to its own. There is no noise, and a proposal costs nothing.
Rule 2: the regret is (error - best) / (worst - best). Best and worst are those that any published
tuner met in any of its evaluations. The regret is below 0 where ashtune finds a better one.
Rule 3: the incumbent is the best evaluation so far after any number of epochs, as published. A
second table counts only evaluations after all 52 epochs.
Rule 4: the instance on which constants of the search were chosen is in a table of its own.

The rows of ashtune: "default", "random", and the model without halving, "GP, full trainings".
"random, full trainings" is a control: it does what the published random search does. "one epoch" is
a baseline: it trains random configurations for one epoch, and the best one in 52 of them to the
end.

    python benchmarks/yahpo.py FOLDER PUBLISHED [--seeds 10] [--instances ...] [--ways ...]
        [--results DIR]
        [--against DIR] [--json FILE]

FOLDER holds YAHPO's ``model.onnx`` for LCBench. PUBLISHED holds two files that were taken from the
paper's figures: ``yahpo_mf_published.csv`` with the columns scenario, instance, method,
regret_at_0.25, regret_at_0.50 and regret_at_1.00, and ``yahpo_mf_bounds.csv`` with problem
("lcbench:167168"), best_error_seen and worst_error_seen. A run that is in the results' folder is
not run again. With --against the runs are compared in pairs with those of another commit in another
results' folder. Needs onnxruntime.
"""

import argparse
import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.search.gp import GP
from ashtune._src.search.random import Random
from ashtune._src.search.search_protocol import Search
from quality.against import show_gains
from quality.store import Store
from quality.surrogate import CHOSEN_ON, SPACE, TOP, Surrogate, Task
from quality.virtual import study
from table import data_folder, show

INSTANCES = ("167168", "189873", "189906")
BUDGET = math.ceil(20 + 40 * math.sqrt(len(SPACE)))
PARTS = (0.25, 0.5, 1.0)
MARKS = [f"at {part:.0%}" for part in PARTS]
DEFAULT = "default"


class Way(NamedTuple):
    """A search and the rungs of its study; None for those that ashtune chooses."""

    search: Search
    rungs: Ladder | None = None


WAYS = {
    DEFAULT: Way(GP(price=0)), "random": Way(Random()), "GP, full trainings": Way(GP(price=0),
    Ladder.explicit([TOP])),
    "random, full trainings": Way(Random(), Ladder.explicit([TOP])), "one epoch": Way(Random(),
    Ladder(1, TOP, TOP)),
}  # fmt: skip


class Bounds(NamedTuple):
    """The best and the worst error that a published tuner met on an instance."""

    best: float
    worst: float

    def regret(self, losses: Iterable[float]) -> float:
        """Return the regret of the best of some losses in %; 1 where there is none."""
        error = min(losses, default=100 * self.worst) / 100
        return (error - self.best) / (self.worst - self.best)


class Published(NamedTuple):
    """What the paper shows: by instance its bounds, and the regret of each tuner at each mark."""

    bounds: dict[str, Bounds]
    regrets: dict[str, dict[str, list[float]]]

    @classmethod
    def read(cls, folder: Path) -> "Published":
        """Read the two files."""
        bounds = {
            row["problem"].removeprefix("lcbench:"): Bounds(
                float(row["best_error_seen"]), float(row["worst_error_seen"])
            )
            for row in _rows(folder / "yahpo_mf_bounds.csv")
        }
        regrets: dict[str, dict[str, list[float]]] = {}
        for row in _rows(folder / "yahpo_mf_published.csv"):
            if row["scenario"] == "lcbench":
                values = [float(row[f"regret_at_{part:.2f}"]) for part in PARTS]
                regrets.setdefault(row["instance"], {})[row["method"]] = values
        return cls(bounds, regrets)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(task: Task, way: str, seed: int, bounds: Bounds) -> dict[str, Any]:
    """Run one study; return its regret at each mark, by all evaluations and by those after all
    epochs.
    """

    def train(
        _: TrialId, configuration: Mapping[str, Any], __: int, target: int
    ) -> tuple[float, float]:
        return task.loss(configuration, target), float(target)  # nothing is resumed

    until = float(BUDGET * TOP)
    search, rungs = WAYS[way]
    found = study(
        search, task.space, train, top=TOP, workers=1, until=until, seed=seed, ahead=0, rungs=rungs
    )

    def regrets(least: int) -> list[float]:
        return [
            bounds.regret(
                loss
                for at, _, epoch, loss in found.results
                if at <= part * until and epoch >= least
            )
            for part in PARTS
        ]

    return {
        "task": task.name, "way": way, "seed": seed, "trials": found.trials, "regret": regrets(0),
        "top": regrets(TOP),
        "cpu_ms": 1e3 * sum(found.proposal_seconds) / max(1, found.trials),
    }  # fmt: skip


def main() -> None:
    """Run what is missing and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder)
    parser.add_argument("published", type=data_folder)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--instances", nargs="+", default=list(INSTANCES), metavar="NUMBER")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--results", type=Path, default=Path("runs/yahpo"))
    parser.add_argument("--against", type=Path, help="the results' folder of another commit")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    surrogate, published = Surrogate(given.folder), Published.read(given.published)
    tasks = {name: Task(surrogate, name) for name in given.instances}
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    keys = ("task", "way", "seed")
    store = Store(given.results, "yahpo", keys)
    for seed in seeds:  # so that a benchmark that was broken off has whole seeds
        for name, task in tasks.items():
            for way in given.ways:
                if {"task": name, "way": way, "seed": seed} not in store:
                    store.add(run(task, way, seed, published.bounds[name]))
    runs = [
        each
        for each in store
        if each["seed"] in seeds and each["task"] in tasks and each["way"] in given.ways
    ]
    groups = {
        "the search's constants were chosen on other tasks": [
            name for name in tasks if name not in CHOSEN_ON
        ],
        "constants were chosen on this instance too": [name for name in tasks if name in CHOSEN_ON],
    }
    for text, names in groups.items():
        if names:
            show_regrets(
                f"{', '.join(names)} ({text}): regret at parts of the budget",
                names,
                runs,
                published,
            )
    show_top(list(tasks), runs)
    show_behind(list(tasks), runs, published)
    if given.against:
        named = {name: text for text, names in groups.items() for name in names}
        show_gains(
            MARKS, runs, Store(given.against, "yahpo", keys), lambda each: named[each["task"]]
        )


def show_regrets(
    title: str, names: Sequence[str], runs: Sequence[dict[str, Any]], published: Published
) -> None:
    """Show the regrets of ashtune's searches, and below them those of the published tuners, best at
    the end first.
    """
    rows: list[list[Any]] = []
    for way in WAYS:
        own = [_matrix(runs, name, way) for name in names]
        if all(map(len, own)):
            rows.append(
                [f"ashtune, {way}", len(own[0]), *(cell for each in own for cell in _cells(each))]
            )
    shared = set.intersection(*(set(published.regrets[name]) for name in names))
    for tuner in sorted(
        shared, key=lambda tuner: sum(published.regrets[name][tuner][-1] for name in names)
    ):
        rows.append(
            [
                tuner,
                30,
                *(f"{value:.4f}" for name in names for value in published.regrets[name][tuner]),
            ]
        )
    show(title, ["tuner", "seeds", *(f"{name} {mark}" for name in names for mark in MARKS)], rows)


def show_top(names: Sequence[str], runs: Sequence[dict[str, Any]]) -> None:
    """Show the regrets by the evaluations after all epochs alone; there are none of the published
    tuners.
    """
    rows = []
    for way in WAYS:
        own = [_matrix(runs, name, way, "top") for name in names]
        if all(map(len, own)):
            kept = [each for each in runs if each["way"] == way]
            costs = [
                f"{np.mean([each[key] for each in kept]):.{digits}f}"
                for key, digits in (("trials", 0), ("cpu_ms", 1))
            ]
            rows.append(
                [
                    f"ashtune, {way}",
                    len(own[0]),
                    *(cell for each in own for cell in _cells(each)),
                    *costs,
                ]
            )
    header = [
        "tuner",
        "seeds",
        *(f"{name} {mark}" for name in names for mark in MARKS),
        "trials",
        "CPU ms a trial",
    ]
    show(f"Only evaluations after all {TOP} epochs count", header, rows)


def show_behind(names: Sequence[str], runs: Sequence[dict[str, Any]], published: Published) -> None:
    """Show where a published tuner has a smaller regret than the default search."""
    rows = []
    for name in names:
        if not len(own := _matrix(runs, name, DEFAULT)):
            continue
        for place, mark in enumerate(MARKS):
            for tuner, regrets in published.regrets[name].items():
                if regrets[place] < own[:, place].mean():
                    rows.append([name, mark, tuner, f"{regrets[place]:.4f}", _cells(own)[place]])
    show(
        "Where a published tuner is ahead of ashtune's default",
        ["instance", "mark", "tuner", "its regret", "ashtune's"],
        rows,
    )


def _matrix(runs: Iterable[dict[str, Any]], name: str, way: str, key: str = "regret") -> np.ndarray:
    """Return the regrets of a search on an instance, shape (seeds, marks)."""
    return np.array([each[key] for each in runs if (each["task"], each["way"]) == (name, way)])


def _cells(regrets: np.ndarray) -> list[str]:
    """Return the mean at each mark, with its standard error if there are several seeds."""
    means, count = regrets.mean(axis=0), len(regrets)
    errors = (
        regrets.std(axis=0, ddof=1) / count**0.5 if count > 1 else np.full(len(means), math.nan)
    )
    return [f"{mean:.4f} +- {error:.4f}" for mean, error in zip(means, errors, strict=True)]


if __name__ == "__main__":
    main()
