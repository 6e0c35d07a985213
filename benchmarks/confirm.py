"""``confirm=``: how much better the named winner is, and how often its interval holds.

Whole studies in virtual time (default rungs, eight workers) on noisy tasks whose true means are
known. Each is run three times with the same configurations: without ``confirm``; with it; and
without it on the same total resource, as more trials. What is named is compared by its true mean,
paired by study. All of it is in units of the noise: the standard deviation of what another seed
adds to the last result.

- The toys: trial ``i`` has a true mean from a law (normal, squared distances from an optimum in
  three dimensions, lognormal; scaled to a deviation of 1), what it reports comes down to it, and of
  its noise half is of its seed and half of each epoch, so that a lucky trial is lucky at every
  rung. "Spread" is the deviation of the means over the noise.
- The digits: a network of scikit-learn on its digits, 60 configurations trained for 9 epochs with
  24 seeds each; the true mean is that of the 24, and each training of a study draws one of them.

How many seeds each configuration should get is chosen on the normal toy alone; the others are
looked at afterwards.

    python benchmarks/confirm.py [--studies 200] [--digits FILE] [--json FILE]

``--digits`` names a file for the table of digits, which is made if it is not there: some minutes.
"""

import argparse
import sys
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.analysis.confirmed_winner import LEVEL
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Train
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import Ash
from ashtune._src.simulation.simulated_run import LOSS, simulate
from table import show

TRIALS, WORKERS, TOP = 100, 8, 27
SIZES = [Confirm(*sizes) for sizes in ((5, 1), (10, 1), (3, 2), (5, 2), (5, 3))]
SPREADS = (0.5, 2.0)
TOLERATED = 0.03
"""How much less often than it says an interval may hold where its assumptions do not."""
DIGITS = "digits"
CONFIGURATIONS, SEEDS, EPOCHS = 60, 24, 9
Report = Callable[[int, int, int], float]
"""(configuration, trial, epoch) -> what is reported there; the noise follows from the number of the
trial.
"""


class Confirming(Observer):
    """Notes whose configuration a trial has."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def followed(self, what: Followed) -> None:
        if isinstance(what, Train) and what.confirms is not None:
            self.of[what.trial] = what.confirms


def toy(law: str, spread: float, study: int) -> tuple[np.ndarray, Report, int]:
    """Return the true means of the configurations, what they report, and the top resource."""
    laws = {
        "normal": lambda random: random.normal(size=1000),
        "squares": lambda random: (
            (random.uniform(-1, 1, (1000, 3)) ** 2 @ [1.0, 0.5, 0.1] - 0.533) / 0.335
        ),
        "lognormal": lambda random: (random.lognormal(size=1000) - 1.649) / 2.161,
    }
    true = spread * laws[law](np.random.default_rng([study, 1]))

    def report(configuration: int, trial: int, epoch: int) -> float:
        random = np.random.default_rng([study, 2, trial])
        way = 1 + 0.3 * random.normal()
        own, each = random.normal(size=2 + TOP)[[0, 1 + epoch]]
        return float(
            true[configuration] + spread * way * (1 - epoch / TOP) + (own + each) / np.sqrt(2)
        )

    return true, report, TOP


def digits(table: np.ndarray, study: int) -> tuple[np.ndarray, Report, int]:
    """Return the same of the table of digits, (configurations, seeds, epochs), in units of its
    noise.
    """
    ends = table[:, :, -1]
    scaled = table / np.sqrt(ends.var(axis=1, ddof=1).mean())
    order = np.random.default_rng([study, 1]).integers(len(table), size=1000)

    def report(configuration: int, trial: int, epoch: int) -> float:
        seed = np.random.default_rng([study, 2, trial]).integers(scaled.shape[1])
        return float(scaled[order[configuration], seed, epoch - 1])

    return scaled[order, :, -1].mean(axis=1), report, table.shape[2]


def named(
    task: tuple[Any, ...], study: int, confirm: Confirm | None, trials: int
) -> tuple[float, float, Tally]:
    """Run a study; return the true mean of what it names, the resource that it took, and its
    counts.
    """
    kind, *more = task
    true, report, top = digits(*more, study) if kind == DIGITS else toy(kind, *more, study)
    confirming = Confirming()
    training = Training(
        metrics=lambda trial, epoch: {
            "loss": report(confirming.of.get(trial, trial), trial, epoch)
        },
        seconds=lambda trial, start, target: float(target - start) * (1 + trial % 7 / 20),
    )
    ladder, scheduler = Ladder.from_above(top, 3, 9), Ash().where_rungs_are_chosen()
    tally = Tally(ladder, LOSS)
    engine = SimulatedEngine(training, workers=WORKERS)
    simulate(
        scheduler.build(ladder, trials), engine, [confirming, tally], trials=trials, confirm=confirm
    )
    best = tally.best
    assert best is not None
    return float(true[TrialId(best.trial)]), float(tally.epochs + tally.confirmations.epochs), tally


def compare(work: tuple[tuple[Any, ...], int]) -> list[list[float]]:
    """Return of one study, for each size: what it gains, over the same trials and over the same
    resource; and more.
    """
    task, study = work
    without, resource, _ = named(task, study, None, TRIALS)
    rows = []
    for confirm in SIZES:
        winner, taken, tally = named(task, study, confirm, TRIALS)
        as_much, _, _ = named(task, study, None, round(TRIALS * taken / resource))
        confirmed = tally.confirmed
        assert confirmed is not None
        holds = width = float("nan")
        if confirmed.low is not None and confirmed.high is not None:
            holds, width = (
                float(confirmed.low <= winner <= confirmed.high),
                (confirmed.high - confirmed.low) / 2,
            )
        flatters = winner - confirmed.first, winner - confirmed.mean
        rows.append([without - winner, as_much - winner, taken / resource, *flatters, holds, width])
    return rows


def made_digits(path: Path) -> np.ndarray:
    """Return the table of digits from a file, which is made if it is not there."""
    if not path.exists():
        with Pool() as pool:
            np.save(path, np.array(pool.map(_trained, range(CONFIGURATIONS), chunksize=1)))
    table: np.ndarray = np.load(path)
    return table


def _trained(number: int) -> np.ndarray:
    """Train a configuration with all seeds; return its errors, (seeds, epochs)."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    inputs, labels = load_digits(return_X_y=True)
    inputs = inputs / 16
    random = np.random.default_rng(number)
    rate, width = 10 ** random.uniform(-3.5, -0.5), int(random.integers(8, 65))
    batch, decay = int(2 ** random.integers(4, 8)), 10 ** random.uniform(-6, 0)
    curves = np.empty((SEEDS, EPOCHS))
    for seed in range(SEEDS):
        order = np.random.default_rng([number, seed]).permutation(len(inputs))
        train, valid = order[:600], order[600:1000]
        model = MLPClassifier(
            (width,), solver="sgd", learning_rate_init=rate, momentum=0.9, batch_size=batch,
            alpha=decay,
            random_state=seed,
        )  # fmt: skip
        for epoch in range(EPOCHS):
            model.partial_fit(inputs[train], labels[train], classes=np.arange(10))
            curves[seed, epoch] = 1 - model.score(inputs[valid], labels[valid])
    return curves


def main() -> int:
    """Run all and show the tables; return 1 if an interval holds clearly
    less often than it says.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--digits", type=Path, metavar="FILE")
    parser.add_argument("--json", metavar="FILE", help="write the tables as JSON too")
    given = parser.parse_args()
    chosen_on: list[tuple[Any, ...]] = [("normal", spread) for spread in SPREADS]
    reported: list[tuple[Any, ...]] = [
        (law, spread) for law in ("squares", "lognormal") for spread in SPREADS
    ]
    if given.digits is not None:
        reported.append((DIGITS, made_digits(given.digits)))
    columns = [
        "task", "spread", "confirm", "resource", "gain", "s.e.", "at equal resource", "s.e. ",
        "first flatters",
        "mean flatters", "holds", "half width",
    ]  # fmt: skip
    is_honest = True
    with Pool() as pool:
        for title, tasks in (("chosen on", chosen_on), ("reported on", reported)):
            rows = []
            for task in tasks:
                found = np.array(
                    pool.map(
                        compare, [(task, study) for study in range(given.studies)], chunksize=5
                    )
                )
                for place, confirm in enumerate(SIZES):
                    gain, at_equal, taken, first, mean, holds, width = found[:, place].T
                    held, error = float(holds.mean()), np.sqrt(LEVEL * (1 - LEVEL) / len(holds))
                    is_honest = is_honest and not held < LEVEL - TOLERATED - 3 * error
                    rows.append([
                        task[0], "-" if task[0] == DIGITS else f"{task[1]:g}",
                        f"{confirm.best}x{confirm.seeds}",
                        f"{taken.mean():.2f}", *_mean(gain), *_mean(at_equal),
                        f"{first.mean():+.2f}",
                        f"{mean.mean():+.2f}", f"{held:.3f}", f"{width.mean():.2f}",
                    ])  # fmt: skip
            show(
                f"{title}: {given.studies} studies of {TRIALS} trials, in units of the noise",
                columns,
                rows,
            )
    print("the intervals hold" if is_honest else "an interval holds too seldom")
    return 0 if is_honest else 1


def _mean(values: np.ndarray) -> tuple[str, str]:
    return f"{values.mean():+.3f}", f"{values.std(ddof=1) / np.sqrt(len(values)):.3f}"


if __name__ == "__main__":
    sys.exit(main())
