"""The searches in real studies by ``ashtune.tune`` on two processes: two steep worlds, and the
example of the README.

The worlds ``speed`` and ``ill`` of ``worlds/made_up.py`` are gradient descent with one step size:
the losses at the lowest rung have a spread a hundred times that of the top rung. Each epoch
computes for ``--epoch`` seconds. The example of the README trains scikit-learn's network on its
digits. All studies have 64 trials, and run in turns, so that other work on the machine falls on all
searches.

Regret: how far the loss of the named configuration is from the best known, where the median
configuration has 1; for the example, its error on the validation rows in percent. Clump: the
largest group of near trials of which none reached the top. Returns: the most proposals near one
place whose result is in the worst tenth of its rung.

    python benchmarks/search_tuned.py [--seeds 8] [--trials 64] [--epoch 0.01] [--worlds speed ill
    readme] [--json FILE]

Wants scikit-learn, Optuna and a quiet machine.
"""

import argparse
import functools
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ashtune
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME, read_events
from ashtune.events import JobFinished
from quality.against import plus_minus
from table import show
from worlds.made_up import world_named
from worlds.measures import crowding

SEARCHES = {"default": None, "random": "random", "mutation": "mutation", "TPE": "optuna"}
README = "readme"
README_SPACE = {
    "width": [16, 32, 64, 128],
    "learning_rate": (1e-4, 1e-1, "log"),
    "alpha": (0.0, 0.1),
}
README_TOP = 32


class Outcome(NamedTuple):
    """What came of a study: the regret or error, seconds, and how its trials crowd."""

    regret: float
    seconds: float
    clump: int
    returns: int


def compute(seconds: float) -> None:
    """Keep a core busy."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def descend(name: str, epoch_seconds: float, trial: Any) -> None:
    """Report the losses of a world."""
    world = world_named(name)
    point = world.point(trial.config)[None]
    trial.restore()
    for epoch in trial.epochs():
        compute(epoch_seconds)
        trial.report(loss=float(world.loss(point, epoch)[0]))
    trial.save(0)


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits."""
    from sklearn.datasets import load_digits

    pixels, numbers = load_digits(return_X_y=True)
    return pixels / 16, numbers


def classify(trial: Any) -> None:
    """Train the network of the README's example; the loss is its error in percent."""
    from sklearn.neural_network import MLPClassifier

    pixels, numbers = digits()
    model = trial.restore() or MLPClassifier(
        (trial["width"],),
        learning_rate_init=trial["learning_rate"],
        alpha=trial["alpha"],
        random_state=0,
    )
    for _ in trial.epochs():
        model.partial_fit(pixels[:1200], numbers[:1200], classes=range(10))
        trial.report(loss=100 * (1 - model.score(pixels[1200:], numbers[1200:])))
    trial.save(model)


def run(world: str, search: str | None, seed: int, given: argparse.Namespace) -> Outcome:
    """Run one study."""
    space, train, top = README_SPACE, classify, README_TOP
    if world != README:
        made_up = world_named(world)
        space, top = made_up.written, made_up.top
        train = functools.partial(descend, world, given.epoch)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        began = time.perf_counter()
        study = ashtune.tune(
            train, space, metric="loss", mode="min", trials=given.trials, max_resource=top,
            workers=2, seed=seed,
            search=search, directory=f"{folder}/study", quiet=True,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        regret = float(study.best.metrics["loss"])
        if world != README:
            regret = world_named(world).begin(seed).regret(study.best.trial, study.best.config)
        events = [
            event
            for event in read_events(Path(folder, "study", NAME))
            if isinstance(event, JobFinished)
        ]
        places = Space.parse(space)
        points = np.array([places.place(trial.config) for trial in study.trials])
    reached = [0] * len(points)
    for event in events:
        reached[event.trial] = max(reached[event.trial], event.resource)
    results = [(int(event.trial), event.resource, event.metrics["loss"]) for event in events]
    return Outcome(regret, seconds, *crowding(points, reached, results, top))


def main() -> None:
    """Run all studies in turns, and show the means and the paired differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument(
        "--epoch", type=float, default=0.01, help="seconds of an epoch in the made-up worlds"
    )
    parser.add_argument("--worlds", nargs="+", default=["speed", "ill", README])
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    rows = []
    for world in given.worlds:
        found: dict[str, list[Outcome]] = {name: [] for name in SEARCHES}
        for seed in range(given.seeds):
            for name, search in SEARCHES.items():
                found[name].append(run(world, search, seed, given))
        regrets = {
            name: np.array([outcome.regret for outcome in outcomes])
            for name, outcomes in found.items()
        }
        for name, outcomes in found.items():
            rival = "" if name == "default" else plus_minus(regrets["default"] - regrets[name], 4)
            seconds = float(np.mean([outcome.seconds for outcome in outcomes]))
            clump = max(outcome.clump for outcome in outcomes)
            returns = max(outcome.returns for outcome in outcomes)
            rows.append([world, name, regrets[name].mean(), rival, seconds, clump, returns])
    show(
        f"Studies of {given.trials} trials on two processes, {given.seeds} seeds; README: error "
        f"in percent",
        ["world", "search", "regret", "default - it", "seconds", "largest clump", "most returns"],
        rows,
    )


if __name__ == "__main__":
    main()
