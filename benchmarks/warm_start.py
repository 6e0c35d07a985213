"""``warm_start=``: the regret of ``search="gp"`` with and without results from before, of the same
data and of others.

Same data: ``quality/toy.py`` is a task with 7 hyperparameters, of which 3 matter and whose optimum
is known; each seed is another such task. Known are 30 random configurations, fully trained, with
the noise of the task. Trials are fully trained one by one, and each proposal knows all results
before it. Regret is the true loss of the best configuration of the study so far over that of the
median one; the known configurations do not count as found.

Other data: each task of LCBench's surrogate in turn (``quality/surrogate.py``), in virtual time
with eight workers. The list of sources are studies of 60 trials of other tasks, drawn for each run.
Regret is as in ``search_surrogate.py``.

    python benchmarks/warm_start.py [FOLDER] [--toys 20] [--known 30] [--seeds 3] [--sources 8]
        [--results DIR]
        [--json FILE]

FOLDER holds YAHPO's ``model.onnx`` for LCBench; without it the other data are left out, else
onnxruntime is needed. A run that is in the results' folder is not run again.
"""

import argparse
import statistics
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.api.warm_start import best_of_other_tasks
from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.search.arranged import Enqueued
from ashtune._src.search.gp import GP
from ashtune._src.search.random import Random
from ashtune._src.search.search_protocol import Design
from ashtune._src.space.space import Space
from quality.store import Store
from quality.surrogate import CHOSEN_ON, Surrogate, Task
from quality.surrogate import TOP as EPOCHS
from quality.toy import TOP, Toy
from quality.virtual import GOAL, study
from search_surrogate import MARKS as FULL_TRAININGS
from search_surrogate import is_behind, plus_minus
from table import data_folder, show

WIDTH = 7
MARKS = (1, 3, 5, 10, 20, 30)
OTHER_SEED = 1_000
"""The known configurations are those of another study."""


def regrets(seed: int, known: int) -> tuple[list[float], float]:
    """Return the regret of a study at each mark, and that of the best known configuration by its
    result.
    """
    task, search = Toy(WIDTH, seed), GP(price=0.0)
    design, proposer = search.build(task.space, seed), search.proposer(task.space, seed, TOP)
    before = Random().build(task.space, seed + OTHER_SEED)
    results = []
    for number in range(known):
        configuration = before.configuration(number)
        loss, _ = task.train(seed + OTHER_SEED, TrialId(number), configuration, 0, TOP)
        proposer.know(Result(TrialId(-1 - number), 0, TOP, (loss,), 0.0), configuration)
        results.append((loss, task.regret(configuration)))
    found: list[float] = []
    for number in range(MARKS[-1]):
        trial, proposal = TrialId(number), proposer.propose(number)
        configuration = design.configuration(number) if proposal is None else proposal.configuration
        loss, seconds = task.train(seed, trial, configuration, 0, TOP)
        proposer.started(Job(trial, 0), configuration)
        proposer.observe(Result(trial, 0, TOP, (loss,), seconds), configuration)
        found.append(task.regret(configuration))
    return [min(found[:mark]) for mark in MARKS], min(results)[1] if results else float("nan")


class Results(Observer):
    """The results of a study: (trial, resource, loss)."""

    def __init__(self) -> None:
        self.found: list[tuple[TrialId, int, float]] = []

    def event(self, event: Event) -> None:
        """Take in a result."""
        if isinstance(event, JobFinished):
            self.found.append((event.trial, event.resource, GOAL.loss(event.metrics)))


class Begun(GP, frozen=True):
    """The default search after some given configurations."""

    begin: tuple[dict[str, Any], ...] = ()

    def build(self, space: Space, seed: int) -> Design:
        """Return the design."""
        return Enqueued(self.begin, super().build(space, seed))


def source(task: Task, trials: int = 60) -> list[dict[str, Any]]:
    """Return the results of a study of a task as a table."""
    results = Results()
    found = study(
        GP(), task.space, partial(task.train, OTHER_SEED),
        top=EPOCHS, workers=8, trials=trials, seed=OTHER_SEED, observers=[results],
    )  # fmt: skip
    return [
        {**found.configurations[trial], "resource": resource, "loss": loss}
        for trial, resource, loss in results.found
    ]


def regrets_after(task: Task, sources: list[list[dict[str, Any]]], seed: int) -> list[float]:
    """Return the regret of a study at each number of full trainings."""
    begin: tuple[dict[str, Any], ...] = ()
    if sources:
        begin = tuple(
            each.configuration
            for each in best_of_other_tasks(
                sources, task.space, GOAL, top=EPOCHS, unit="epoch"
            ).results
        )
    found = study(
        Begun(begin=begin), task.space, partial(task.train, seed),
        top=EPOCHS, workers=8, until=FULL_TRAININGS[-1] * task.full_training, seed=seed,
    )  # fmt: skip
    named = [found.named_at(mark * task.full_training) for mark in FULL_TRAININGS]
    return [1.0 if each is None else task.regret(found.configurations[each[0]]) for each in named]


def other_data(given: argparse.Namespace) -> None:
    """Run what is missing and show the tables of other data."""
    surrogate, store = (
        Surrogate(given.folder),
        Store(given.results, "runs", ("task", "seed", "sources")),
    )
    tasks = {name: Task(surrogate, name) for name in surrogate.codes}
    table_of = cache(lambda name: source(tasks[name]))
    for place, (name, task) in enumerate(tasks.items()):
        for seed in range(given.seeds):
            if {"task": name, "seed": seed, "sources": 0} not in store:
                store.add(
                    {
                        "task": name,
                        "seed": seed,
                        "sources": 0,
                        "regret": regrets_after(task, [], seed),
                    }
                )
            if {"task": name, "seed": seed, "sources": given.sources} in store:
                continue
            others = [each for each in tasks if each != name]
            drawn = (
                np.random.default_rng([place, seed]).permutation(others)[: given.sources].tolist()
            )
            regret = regrets_after(task, [table_of(each) for each in drawn], seed)
            store.add({"task": name, "seed": seed, "sources": given.sources, "regret": regret})
    kept = {(run["task"], run["seed"], run["sources"]): run["regret"] for run in store}
    held_out = [name for name in tasks if name not in CHOSEN_ON]
    for group, names in {
        "tasks that the search was made on": list(CHOSEN_ON),
        "held out": held_out,
    }.items():
        cold, warm = (
            np.array([[kept[name, seed, count] for seed in range(given.seeds)] for name in names])
            for count in (0, given.sources)
        )
        gain = warm - cold
        show(
            f"Mean regret, {len(names)} {group}, {given.seeds} seeds, {given.sources} studies of "
            f"other tasks",
            ["full trainings", "without", "with", "difference", "tasks ahead",
            "tasks behind by 2 s.e."],
            [
                [
                    mark, cold[..., at].mean(), warm[..., at].mean(), plus_minus(gain[...,
                    at].mean(axis=1)),
                    int((gain[..., at].mean(axis=1) < 0).sum()),
                    sum(is_behind(each.tolist()) for each in gain[..., at]),
                ]
                for at, mark in enumerate(FULL_TRAININGS)
            ],
        )  # fmt: skip


def main() -> None:
    """Run all and show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder, nargs="?")
    parser.add_argument("--toys", type=int, default=20)
    parser.add_argument("--known", type=int, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--results", type=Path, default=Path("runs/warm_start"))
    given = parser.parse_args()
    without = [regrets(seed, 0)[0] for seed in range(given.toys)]
    both = [regrets(seed, given.known) for seed in range(given.toys)]
    best_known = statistics.fmean(best for _, best in both)
    rows: list[list[Any]] = []
    for place, mark in enumerate(MARKS):
        cold, warm = [each[place] for each in without], [each[place] for each, _ in both]
        better = sum(one < other for one, other in zip(warm, cold, strict=True))
        rows.append([mark, statistics.fmean(cold), statistics.fmean(warm), better, best_known])
    show(
        f"Mean regret over {given.toys} tasks by number of full trainings, without and with "
        f"{given.known} results",
        [
            "trials",
            "without",
            "with",
            "seeds in which it is better with",
            "the best known configuration itself",
        ],
        rows,
    )
    if given.folder is not None:
        other_data(given)


if __name__ == "__main__":
    main()
