"""The battery: the searches on forty worlds in virtual time, with ten seeds or more each.

``worlds/`` says what the worlds are: curves that are parallel, steep, crossing, noisy, misleading
or diverging, trials that fail, recorded tables of real networks, and a surrogate. Two workers
train; ashtune's own controller, scheduler and searches run. A proposal takes no time; with
``--charged`` it takes the CPU time that it took, as if an epoch of the median configuration lasted
``--epoch`` seconds.

Regret: how far the true final loss of the trial that the study would name (the best at the highest
rung reached) is from the best known, where the median configuration has 1. Marks: 3, 5, 10, 20 and
40 full trainings of work.

Ways: "default" and three other searches in the same study ("random", "mutation", and Optuna's TPE),
the model without halving ("GP, full trainings"), and TPE without halving ("TPE, full trainings").

    python benchmarks/search_worlds.py [--data FOLDER] [--half report] [--seeds 10] [--worlds ...]
        [--ways ...]
        [--jobs 2] [--results DIR] [--against DIR] [--json FILE]

FOLDER is the folder of the data, with ``curves`` and ``surrogates``; without it, only the worlds
that are made up run. Constants are chosen on the seeds of the half "choose"; what is reported comes
from the half "report". A run that is in the results' folder is not run again. With --against the
runs are compared in pairs with those of another commit in another results' folder. Ten seeds of the
default take a quarter of an hour on two cores; all ways take an hour.
"""

import argparse
import os
from collections.abc import Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.search.gp import GP
from ashtune._src.search.search_protocol import Search
from ashtune._src.search.search_registry import SEARCHES
from quality.against import plus_minus
from quality.store import Store
from quality.virtual import study
from table import show
from worlds.made_up import worlds as made_up
from worlds.measures import Origins, crowding
from worlds.protocol import World

MARKS = (3.0, 5.0, 10.0, 20.0, 40.0)
NAMES = [f"at {mark:g}" for mark in MARKS]
WORKERS = 2
DEFAULT, ALONE = "default", "random"
SEEDS_OF = {"choose": 0, "report": 1000}
"""The first seed of each half."""
CLEAR = 2.0
"""Standard errors from which on a difference is called one."""
KEYS = ("world", "way", "seed")


class Way(NamedTuple):
    """A search, and whether all trials are trained to the end."""

    search: Search | str
    is_full: bool = False


WAYS = {
    DEFAULT: Way(GP()),
    ALONE: Way("random"),
    "mutation": Way("mutation"),
    "GP, full trainings": Way(GP(), is_full=True),
    "TPE": Way("optuna"),
    "TPE, full trainings": Way("optuna", is_full=True),
}


def all_worlds(data: Path | None) -> dict[str, World]:
    """Return the worlds by name."""
    found: list[World] = [*made_up()]
    if data is not None:
        from worlds.of_surrogate import worlds as of_surrogate
        from worlds.recorded import worlds as recorded

        found += recorded(data / "curves")
        found += of_surrogate(data / "surrogates" / "yahpo_lcbench")
    return {world.name: world for world in found}


def run(world: World, way: Way, seed: int) -> dict[str, Any]:
    """Run one study; return its regret at each mark, and how it searched."""
    search = SEARCHES.part(way.search) if isinstance(way.search, str) else way.search
    one, origins = world.begin(seed), Origins()
    until = MARKS[-1] * world.full_training / WORKERS
    found = study(
        search, world.space, one.train, top=world.top, workers=WORKERS, until=until, seed=seed,
        observers=[origins],
        rungs=Ladder.explicit([world.top]) if way.is_full else None,
    )  # fmt: skip
    regrets = []
    for mark in MARKS:
        named = found.named_at(mark * world.full_training / WORKERS)
        regrets.append(
            1.0 if named is None else one.regret(named[0], found.configurations[named[0]])
        )
    trials = range(found.trials)
    points = np.array([_point(world, found.configurations[TrialId(trial)]) for trial in trials])
    reached = [0] * found.trials
    for _, trial, resource, _ in found.results:
        reached[trial] = max(reached[trial], resource)
    clump, returns = crowding(points, reached, [result[1:] for result in found.results], world.top)
    return {
        "trials": found.trials, "regret": regrets, "clump": clump, "returns": returns,
        "origins": dict(origins.counts), "cpu_ms": 1e3 * sum(found.proposal_seconds) / max(1,
        found.trials),
    }  # fmt: skip


def _point(world: World, configuration: Any) -> list[float]:
    return [0.5 if place is None else place for place in world.space.place(configuration)]


_WORLDS: dict[str, World] = {}


def _load(data: Path | None) -> None:
    _WORLDS.update(all_worlds(data))


def _run_key(key: dict[str, Any]) -> dict[str, Any]:
    return key | run(_WORLDS[key["world"]], WAYS[key["way"]], key["seed"])


def run_missing(
    given: argparse.Namespace, names: Sequence[str], seeds: Iterable[int], store: Store
) -> None:
    """Run what is not in the store, seed by seed, so that an interrupted
    battery has whole seeds.
    """
    keys = [
        {"world": name, "way": way,
        "seed": seed} for seed in seeds for name in names for way in given.ways
    ]  # fmt: skip
    missing = [key for key in keys if key not in store]
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")  # a process uses one core
    with get_context("spawn").Pool(given.jobs, _load, (given.data,)) as pool:
        for found in pool.imap_unordered(_run_key, missing):
            store.add(found)


def main() -> None:
    """Run what is missing and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--half", choices=SEEDS_OF, default="report")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--worlds", nargs="+", metavar="WORLD")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, metavar="WAY")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("runs/search_worlds"))
    parser.add_argument("--against", type=Path, help="the results' folder of another commit")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = given.worlds or list(all_worlds(given.data))
    seeds = range(SEEDS_OF[given.half], SEEDS_OF[given.half] + given.seeds)
    store = Store(given.results, "worlds", KEYS)
    run_missing(given, names, seeds, store)
    regrets = Regrets(store, seeds)
    show_regrets(regrets, names, given.ways)
    show_habits([each for each in store if each["seed"] in seeds], names, given.ways)
    rivals = [(way, regrets) for way in given.ways if way != DEFAULT]
    if given.against:
        rivals.insert(0, (DEFAULT, Regrets(Store(given.against, "worlds", KEYS), seeds)))
    show_differences(regrets, rivals, names)


class Regrets:
    """The regrets of the runs in a store, by world and way."""

    def __init__(self, runs: Iterable[dict[str, Any]], seeds: range) -> None:
        self._runs = {tuple(each[key] for key in KEYS): each["regret"] for each in runs}
        self._seeds = seeds

    def of(self, world: str, way: str) -> np.ndarray:
        """Return an array of shape (seeds, marks); NaN where a run is missing."""
        none = [np.nan] * len(MARKS)
        return np.array([self._runs.get((world, way, seed), none) for seed in self._seeds])


def show_regrets(regrets: Regrets, names: Sequence[str], ways: Sequence[str]) -> None:
    """Show the mean regret of each way in each world."""
    rows = []
    for name in names:
        for way in ways:
            rows.append(
                [name, way, *(f"{value:.4f}" for value in regrets.of(name, way).mean(axis=0))]
            )
    show("Regret by full trainings of work", ["world", "way", *NAMES], rows)
    rows = []
    for way in ways:
        means = np.array([regrets.of(name, way).mean(axis=0) for name in names])
        beside = np.array([regrets.of(name, ALONE).mean(axis=0) for name in names])
        ratios = np.exp(np.log((means + 1e-4) / (beside + 1e-4)).mean(axis=0))
        rows.append(
            [
                way,
                *(f"{value:.4f}" for value in means.mean(axis=0)),
                *(f"{value:.3f}" for value in ratios),
            ]
        )
    columns = ["way", *NAMES, *(f"ratio {name}" for name in NAMES)]
    show("Mean over all worlds; geometric mean of the ratio to random", columns, rows)


def show_habits(runs: Sequence[dict[str, Any]], names: Sequence[str], ways: Sequence[str]) -> None:
    """Show clumps, returns, origins and the cost of proposals."""
    rows = []
    for way in ways:
        own = [each for each in runs if each["way"] == way and each["world"] in names]
        if not own:
            continue
        trials = sum(each["trials"] for each in own)
        sources = sorted({source for each in own for source in each["origins"]})
        shares = {
            source: sum(each["origins"].get(source, 0) for each in own) / trials
            for source in sources
        }
        rows.append([
            way, len(own), *(f"{np.mean([each[key] for each in own]):.1f}" for key in ("trials",
            "clump", "returns")),
            max(each["clump"] for each in own), ", ".join(f"{share:.0%} {source}" for source,
            share in shares.items()),
            f"{np.mean([each['cpu_ms'] for each in own]):.1f}",
        ])  # fmt: skip
    header = [
        "way",
        "runs",
        "trials",
        "clump",
        "returns",
        "largest clump",
        "origins",
        "CPU ms a trial",
    ]
    show(
        "Clumps without a trial at the top, and proposals near one bad place, among the first 64 "
        "trials",
        header,
        rows,
    )


def show_differences(
    regrets: Regrets, rivals: Sequence[tuple[str, Regrets]], names: Sequence[str]
) -> None:
    """Show the default less each rival, in pairs of equal seeds, and where the default is clearly
    ahead or behind.
    """
    rows, behind = [], []
    for rival, theirs in rivals:
        label = "default before" if rival == DEFAULT else rival
        # by world, seed, mark
        gaps = np.array([regrets.of(name, DEFAULT) - theirs.of(name, rival) for name in names])
        means, errors = gaps.mean(axis=1), gaps.std(axis=1, ddof=1) / gaps.shape[1] ** 0.5
        is_ahead, is_behind = means < -CLEAR * errors, means > CLEAR * errors
        error = gaps.mean(axis=0).std(axis=0, ddof=1) / gaps.shape[1] ** 0.5
        rows.append([
            label, *(f"{mean:+.4f} +- {one:.4f}" for mean, one in zip(means.mean(axis=0), error,
            strict=True)),
            *(f"{ahead} / {bad}" for ahead, bad in zip(is_ahead.sum(axis=0), is_behind.sum(axis=0),
            strict=True)),
        ])  # fmt: skip
        for world, mark in zip(*np.nonzero(is_behind), strict=True):
            behind.append([label, names[world], NAMES[mark], plus_minus(gaps[world, :, mark], 4)])
    header = ["rival", *NAMES, *(f"worlds {name}" for name in NAMES)]
    show(
        "The default's regret less the rival's; worlds where it is clearly ahead / behind",
        header,
        rows,
    )
    show(
        "Where the default is behind by two standard errors",
        ["rival", "world", "mark", "difference"],
        behind,
    )


if __name__ == "__main__":
    main()
