"""Does the advice of a study pay? A first study gives advice. Two second studies of the same budget
follow, in virtual time: one in the ranges of the advice, and one in the ranges of the first study.

Worlds are those of ``search_worlds.py``. In the case "cut", the range of one hyperparameter ends a
tenth of its length before the best configuration, as if the user had chosen a range that is too
narrow; the seed says which hyperparameter. In the case "whole", the range has the best
configuration, so no advice is needed. A wider range ends where the world ends, so only part of the
advice may be followed.

With ``--fix SHARE`` the advice is another: hyperparameters whose importance is below this share
keep the value of the first study's best trial. A study does not give this advice, see
``docs/decisions/0088-advice-that-pays.md``.

Regret: how far the true final loss of the second study's best trial is from the best of the whole
world, where the median configuration has 1.

    python benchmarks/advice.py [--data FOLDER] [--worlds WORLD ...] [--seeds 10]
        [--trainings 10 30] [--fix SHARE] [--half choose] [--json FILE]

FOLDER is the folder of the data, with ``curves`` and ``surrogates``; without it, only the worlds
that are made up run. Ten seeds with 10 full trainings take ten minutes on a core without FOLDER.
"""

import argparse
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune._src.analysis.advice import FEWEST, LEAST, MOST, SHARE, advice
from ashtune._src.analysis.hyperparameters import hyperparameters
from ashtune._src.analysis.results import Results
from ashtune._src.core.errors import SpaceError
from ashtune._src.core.jobs import TrialId
from ashtune._src.figures.importance_figure import importance
from ashtune._src.search.gp import GP
from ashtune._src.space.space import Space
from quality.virtual import GOAL, study
from search_worlds import SEEDS_OF, WORKERS, all_worlds
from table import data_folder, show
from worlds.protocol import World

DRAWN = 3_000
"""The best configuration is that of so many random ones."""
GAP = 0.1
"""The share of the range between the best configuration and the end of the cut range."""
SHORTEST = 0.3
"""The smallest share of a range that is left when it is cut."""
SECOND = 500
"""Added to the seed of the first study."""


class Outcome(NamedTuple):
    """A study: its regret, the configurations of its trials, the best trial first, and the share of
    each hyperparameter in the importance, if it was asked for and is known.
    """

    regret: float
    ordered: list[dict[str, Any]]
    shares: dict[str, float]


def run(
    world: World, written: dict[str, Any], seed: int, trainings: float, *, measured: bool = False
) -> Outcome:
    """Run a study in a space, as a user writes it."""
    one = world.begin(seed)
    until = trainings * world.full_training / WORKERS
    results = Results(GOAL)
    space = Space.parse(written)
    found = study(
        GP(),
        space,
        one.train,
        top=world.top,
        workers=WORKERS,
        until=until,
        seed=seed,
        observers=[results] if measured else [],
    )
    shares = {}
    if measured:
        weights = importance(results, found.configurations.__getitem__, space.to_record()).weights
        shares = {each.name: each.share for each in weights}
    highest: dict[TrialId, tuple[int, float]] = {}
    for _, trial, resource, loss in found.results:
        if resource >= highest.get(trial, (0, 0.0))[0]:
            highest[trial] = (resource, loss)
    order = sorted(highest, key=lambda trial: (-highest[trial][0], highest[trial][1], trial))
    named = found.named_at(until)
    regret = 1.0
    if named is not None:
        regret = one.regret(named[0], found.configurations[named[0]])
    return Outcome(regret, [dict(found.configurations[trial]) for trial in order], shares)


def best_point(world: World) -> list[float | None]:
    """Return the point of the best of many random configurations."""
    chance = np.random.default_rng(0)
    points = world.space.snap(world.space.random_points(chance.random((DRAWN, world.space.draws))))
    one = world.begin(0)
    configurations = world.space.at(points)
    regrets = [one.regret(TrialId(n), each) for n, each in enumerate(configurations)]
    return world.space.place(configurations[int(np.argmin(regrets))])


def cut(world: World, best: list[float | None], seed: int) -> tuple[str, dict[str, Any]] | None:
    """Return a hyperparameter, and the space in which its range ends before the best point."""
    written = world.space.as_written()
    names = [name for name, values in written.items() if isinstance(values, tuple)]
    for name in np.random.default_rng(seed).permutation(names).tolist():
        place = best[world.space.names.index(name)]
        values: Any = written[name]
        if place is None:
            continue
        ends = list(values[:2])
        for end, sign in ((0, 1), (1, -1)):
            new = place + sign * GAP
            left = 1 - new if end == 0 else new
            if SHORTEST <= left <= 1 - GAP - 0.05:
                ends[end] = world.space.columns[name].at(np.array([new]))[0]
                return name, {**written, name: (*ends, *values[2:])}
    return None


def within(world: World, name: str, wider: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a range that ends where the world ends."""
    column = world.space.columns[name]
    return (max(wider[0], column.low), min(wider[1], column.high), *wider[2:])


def compared(world: World, written: dict[str, Any], seed: int, trainings: float) -> dict[str, Any]:
    """Return the names of the widened hyperparameters, and the regrets of both second studies."""
    first = run(world, written, seed, trainings)
    count = min(MOST, max(LEAST, round(SHARE * len(first.ordered))))
    spaces = hyperparameters(Space.parse(written).to_record())
    given = []
    if len(first.ordered) >= FEWEST:
        given = advice(spaces, first.ordered[:count])
    names = [each.name for each in given]
    wider = written | {each.name: within(world, each.name, each.range) for each in given}
    if wider == written:
        return {"names": names}
    without = run(world, written, seed + SECOND, trainings).regret
    return {
        "names": names,
        "without": without,
        "with": run(world, wider, seed + SECOND, trainings).regret,
    }


def compared_fixed(
    world: World, written: dict[str, Any], seed: int, trainings: float, share: float
) -> dict[str, Any]:
    """Return the names of the fixed hyperparameters, and the regrets of both second studies."""
    first = run(world, written, seed, trainings, measured=True)
    best = first.ordered[0]
    # A hyperparameter of a condition may be inactive in the best trial.
    names = [name for name, part in first.shares.items() if part < share and name in best]
    if not names:
        return {"names": names}
    fixed = written | {name: [best[name]] for name in names}
    try:
        Space.parse(fixed)
    except SpaceError:  # a condition asks for a value that is fixed away
        return {"names": []}
    return {
        "names": names,
        "without": run(world, written, seed + SECOND, trainings).regret,
        "with": run(world, fixed, seed + SECOND, trainings).regret,
    }


def main() -> None:
    """Run and show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=data_folder)
    parser.add_argument("--worlds", nargs="+", metavar="WORLD")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trainings", type=float, nargs="+", default=[10.0, 30.0])
    parser.add_argument("--fix", type=float, metavar="SHARE")
    parser.add_argument("--half", choices=SEEDS_OF, default="choose")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    worlds = all_worlds(given.data)
    cases = ["cut", "whole"] if given.fix is None else ["whole"]
    for trainings in given.trainings:
        rows = []
        runs: dict[str, list[dict[str, Any]]] = {case: [] for case in cases}
        for name in given.worlds or worlds:
            world = worlds[name]
            whole = world.space.as_written()
            best = best_point(world)
            for case in runs:
                own = []
                first = SEEDS_OF[given.half]
                for seed in range(first, first + given.seeds):
                    narrow = cut(world, best, seed) if case == "cut" else ("", whole)
                    if narrow is None:
                        continue
                    name_of_cut, written = narrow
                    if given.fix is None:
                        pair = compared(world, written, seed, trainings)
                    else:
                        pair = compared_fixed(world, written, seed, trainings, given.fix)
                    own.append({"cut": name_of_cut, **pair})
                if own:
                    rows.append([name, case, *summed(own)])
                runs[case] += own
        for case, all_runs in runs.items():
            if all_runs:
                rows.append(["all", case, *summed(all_runs)])
        show(f"A second study with and without advice, {trainings:g} full trainings", COLUMNS, rows)


COLUMNS = [
    "world",
    "case",
    "first studies",
    "right advice",
    "other advice",
    "second studies",
    "without",
    "with",
    "difference",
    "better",
    "worse",
]


def summed(runs: list[dict[str, Any]]) -> list[object]:
    """Return the cells of a row."""
    right = sum(each["cut"] in each["names"] for each in runs if each["cut"])
    other = sum(len(set(each["names"]) - {each["cut"]}) for each in runs)
    pairs = np.array([(each["without"], each["with"]) for each in runs if "with" in each])
    cells: list[object] = [len(runs), right, other, len(pairs)]
    if not len(pairs):
        return [*cells, *[""] * 5]
    gains = pairs[:, 0] - pairs[:, 1]
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    means = [f"{mean:.4f}" for mean in pairs.mean(axis=0)]
    difference = f"{-gains.mean():+.4f} +- {error:.4f}"
    return [*cells, *means, difference, int((gains > 0).sum()), int((gains < 0).sum())]


if __name__ == "__main__":
    main()
