"""Hypervolume of the front over the budget, with two objectives: ashtune, random search, and Optuna
by its own code.

Three tasks: a made-up one whose front is known (``zdt``: ZDT1 of Zitzler, Deb, Thiele, Evol. Comp.
8(2), 2000, at a distance that falls with the resource); networks on scikit-learn's digits, error
against multiply-adds (``digits``); and gradient boosting on its diabetes set, error against the
number of leaves of all trees (``boosting``).

All tuners have the same space, the same training code and four workers in virtual time: an epoch,
or a tree, takes one unit, whatever the configuration. A tuner's front at a time is what no other of
its results dominates: of ashtune, as ``study.front``, at the highest rung that has one; of the
others, whose trainings are all full ones, of all. Shown is the part of the best hypervolume that is
missing; the best is that of the known front, or of all full trainings of all tuners.

    python benchmarks/several_objectives.py [--tasks ...] [--tuners ...] [--seeds 5] [--budget 12]
        [--json FILE]

Optuna's rows are left out where it is not installed. Figures are the same when the command is run
again.
"""

import argparse
import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.order import front_of
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.search.gp import GP
from ashtune._src.search.mutation import Mutation
from ashtune._src.search.random import Random
from ashtune._src.search.search_protocol import Search
from ashtune._src.space.space import Space
from table import show

WORKERS = 4
ASH = Ash().where_rungs_are_chosen()
PARTS = (0.25, 0.5, 1.0)
Losses = tuple[float, float]
Reports = list[tuple[float, int, Losses]]
"""Of each result: the time, the rung counted from the top one (0) down, the losses."""


class Task(NamedTuple):
    """What is tuned: ``train(configuration, resource)`` returns the losses there. ``worst`` bounds
    the hypervolume.
    """

    space: Mapping[str, Any]
    top: int
    worst: Losses
    train: Callable[[Mapping[str, Any], int], Losses]
    best: float | None = None


def hypervolume(points: Sequence[Losses], worst: Losses) -> float:
    """Return the area that two losses dominate up to the worst ones that count. O(n log n).

    The points are walked from the least first loss on; each adds the rectangle below those before
    it.
    """
    area, ceiling = 0.0, worst[1]
    for first, second in sorted(points):
        if first < worst[0] and second < ceiling:
            area += (worst[0] - first) * (ceiling - second)
            ceiling = second
    return area


def zdt() -> Task:
    """ZDT1 with six hyperparameters, farther from its front the shorter the training: up to five
    times ``g - 1``.
    """
    space = {f"x{number}": (0.0, 1.0) for number in range(6)}

    def train(configuration: Mapping[str, Any], resource: int) -> Losses:
        first, *rest = configuration.values()
        g = 1 + 9 * float(np.mean(rest)) + 2 * (1 - resource / 27) * (1 + math.sin(40 * sum(rest)))
        return first, g * (1 - math.sqrt(first / g))

    worst = (1.1, 6.0)
    return Task(space, 27, worst, train, best=1.0 * 5.0 + 0.1 * 6.0 + 2 / 3)


def digits() -> Task:
    """A network of one or two layers on the digits: its error, and the logarithm of the
    multiply-adds for one image.
    """
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    images = images / 16
    space = {
        "width": (4, 128, "log"), "second": (0, 64), "rate": (1e-4, 1e-1, "log"), "alpha": (1e-6,
        1e-1, "log"),
        "batch": (32, 256, "log"),
    }  # fmt: skip

    @cache
    def begun(pairs: tuple[tuple[str, Any], ...]) -> tuple[Any, float, list[float]]:
        """Return a network that trains on where it stopped, its size, and its errors so far."""
        given = dict(pairs)
        layers = (given["width"], given["second"]) if given["second"] else (given["width"],)
        model = MLPClassifier(
            layers,
            learning_rate_init=given["rate"],
            alpha=given["alpha"],
            batch_size=given["batch"],
            random_state=0,
        )
        sizes = (64, *layers, 10)
        return model, math.log10(sum(a * b for a, b in pairwise(sizes))), []

    def train(given: Mapping[str, Any], resource: int) -> Losses:
        model, size, errors = begun(tuple(given.items()))
        while len(errors) < resource:
            model.partial_fit(images[:500], labels[:500], classes=range(10))
            errors.append(1 - float(model.score(images[900:], labels[900:])))
        return errors[resource - 1], size

    return Task(space, 27, (0.5, 4.2), train)


def boosting() -> Task:
    """Trees on the diabetes set: the part of the variance that is left, and the logarithm of the
    number of leaves.
    """
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    rows, target = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(rows))
    train, test = order[:260], order[260:]
    space = {
        "rate": (0.01, 0.5, "log"), "leaves": (2, 32, "log"), "least": (1, 40, "log"), "rows": (0.3,
        1.0),
        "columns": (0.2, 1.0),
    }  # fmt: skip

    @cache
    def curve(pairs: tuple[tuple[str, Any], ...]) -> list[Losses]:
        given = dict(pairs)
        model = GradientBoostingRegressor(
            n_estimators=81, learning_rate=given["rate"], max_leaf_nodes=given["leaves"],
            max_depth=None,
            min_samples_leaf=given["least"], subsample=given["rows"], max_features=given["columns"],
            random_state=0,
        )  # fmt: skip
        model.fit(rows[train], target[train])
        leaves = np.cumsum([tree.get_n_leaves() for tree in model.estimators_[:, 0]])
        residuals = np.array(
            [target[test] - predicted for predicted in model.staged_predict(rows[test])]
        )
        left = (residuals**2).mean(axis=1) / target[test].var()
        return list(zip(left.tolist(), np.log10(leaves).tolist(), strict=True))

    return Task(
        space, 81, (1.0, 3.5), lambda given, resource: curve(tuple(given.items()))[resource - 1]
    )


TASKS = {"zdt": zdt, "digits": digits, "boosting": boosting}


def ours(
    search: Search,
    task: Task,
    seed: int,
    budget: float,
    *,
    scheduler: Scheduler = ASH,
    is_full: bool = False,
) -> Reports:
    """Return the reports of a study with the default rungs, or of full trainings alone."""
    ladder = (
        Ladder(task.top, task.top, 3)
        if is_full
        else Ladder.from_above(task.top, 3, Ash.least_share or 1)
    )
    machine = scheduler.build(ladder, None)
    space = Space.parse(dict(task.space))
    design, proposer = search.build(space, seed), search.proposer(space, seed, task.top)
    configurations: dict[TrialId, dict[str, Any]] = {}
    running: list[tuple[float, int, Job]] = []
    reports: Reports = []
    now = 0.0
    while True:
        while len(running) < WORKERS and (job := machine.next_job()) is not None:
            if job.trial not in configurations:
                proposal = proposer.propose(job.trial) if proposer else None
                configurations[job.trial] = (
                    design.configuration(job.trial)
                    if proposal is None
                    else dict(proposal.configuration)
                )
            if proposer:
                proposer.started(job, configurations[job.trial])
            heapq.heappush(running, (now + _takes(ladder, job), job.trial, job))
        now, _, job = heapq.heappop(running)
        if now > budget:
            return reports
        losses = task.train(configurations[job.trial], ladder.rungs[job.rung])
        result = Result(
            job.trial, job.rung, ladder.rungs[job.rung], losses, float(_takes(ladder, job))
        )
        machine.record(result)
        if proposer:
            proposer.observe(result, configurations[job.trial])
        reports.append((now, job.rung - ladder.top, losses))


def _takes(ladder: Ladder, job: Job) -> int:
    return ladder.rungs[job.rung] - (ladder.rungs[job.rung - 1] if job.rung else 0)


def optunas(sampler: str, task: Task, seed: int, budget: float) -> Reports:
    """Return the reports of a sampler of Optuna that is asked and told, four full trainings at a
    time.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=getattr(optuna.samplers, sampler)(seed=seed)
    )
    reports: Reports = []
    for number in range(1, math.floor(budget / task.top) + 1):
        trials = [study.ask() for _ in range(WORKERS)]
        for trial in trials:
            losses = task.train(
                {name: _suggested(trial, name, what) for name, what in task.space.items()}, task.top
            )
            reports.append((float(number * task.top), 0, losses))
            study.tell(trial, losses)
    return reports


def _suggested(trial: Any, name: str, what: tuple[Any, ...]) -> Any:
    suggest = trial.suggest_float if isinstance(what[0], float) else trial.suggest_int
    return suggest(name, what[0], what[1], log="log" in what)


TUNERS: dict[str, Callable[[Task, int, float], Reports]] = {
    "ashtune gp": partial(ours, GP(price=0.0)),
    "ashtune mutation": partial(ours, Mutation()),
    "ashtune random": partial(ours, Random()),
    "random, full trainings": partial(ours, Random(), is_full=True),
    "gp, full trainings": partial(ours, GP(price=0.0), is_full=True),
}
if find_spec("optuna"):
    TUNERS |= {
        "Optuna TPE": partial(optunas, "TPESampler"),
        "Optuna NSGA-II": partial(optunas, "NSGAIISampler"),
    }


def front_at(reports: Reports, time: float) -> list[Losses]:
    """Return the front that a tuner names at a time."""
    past = [(rung, losses) for when, rung, losses in reports if when <= time]
    highest = max((rung for rung, _ in past), default=0)
    entries = [
        ((0.0, *losses), place) for place, (rung, losses) in enumerate(past) if rung == highest
    ]
    return [(key[1], key[2]) for key, _ in front_of(entries, key=lambda entry: entry)]


def main() -> None:
    """Run all tuners on all tasks, and print a table for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--tuners", nargs="*", default=list(TUNERS), choices=TUNERS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=12, help="in times of a full training")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    for name in given.tasks:
        task = TASKS[name]()
        end = given.budget * task.top
        runs = {
            tuner: [TUNERS[tuner](task, seed, end) for seed in range(given.seeds)]
            for tuner in given.tuners
        }
        full = [
            losses
            for each in runs.values()
            for reports in each
            for _, rung, losses in reports
            if rung == 0
        ]
        best = task.best or hypervolume(full, task.worst)
        rows = []
        for tuner, of_seeds in runs.items():
            row: list[Any] = [tuner]
            for part in PARTS:
                missing = [
                    1 - hypervolume(front_at(reports, part * end), task.worst) / best
                    for reports in of_seeds
                ]
                error = stdev(missing) / math.sqrt(len(missing)) if len(missing) > 1 else math.nan
                row += [f"{mean(missing):.3f}", f"{error:.3f}"]
            rows.append([*row, round(mean(len(front_at(reports, end)) for reports in of_seeds))])
        times = [f"after {part * given.budget:g}" for part in PARTS]
        columns = ["tuner", *(column for time in times for column in (time, "+-")), "on the front"]
        show(
            f"{name}: part of the hypervolume that is missing, by full trainings of each of 4 "
            f"workers",
            columns,
            rows,
        )


if __name__ == "__main__":
    main()
