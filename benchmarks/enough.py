"""``patience=`` and ``stop_when=``: what they save and cost on recorded learning curves.

Whole studies in virtual time: default rungs, eight workers, as long as forty full trainings;
``curve_sets.py`` reads the curves, and a set that is used up starts again. What a rule would have
done is read from the study, as it changes nothing before it ends it. Saved is the part of the time
after that. The cost is how much better the configuration that is named at the end is than the one
that is named then, by what each ends at without noise, over what the median configuration of the
set is short of its best. "Hour" is the time of five full trainings.

    python benchmarks/enough.py FOLDER [--seeds 40] [--json FILE]
"""

import argparse
import math
from multiprocessing import Pool

import numpy as np

from ashtune._src.core.enough import NotWorthIt
from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.driver.gain_rate import Enough
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import Ash
from ashtune._src.simulation.simulated_run import simulate
from curve_sets import CurveSet, load
from table import data_folder, show

WORKERS, LENGTH, HOUR = 8, 40, 5
PATIENCE = (10, 20, 50)
GAINS = {"noise": None, "1 %": 0.01, "0.1 %": 0.001}
RULES = [*(f"patience={results}" for results in PATIENCE), *(f"not worth {gain}" for gain in GAINS)]


class Watching(Observer):
    """Notes which trial is the best at the top when, and when each rule
    would have ended the study.
    """

    def __init__(self, curves: CurveSet, top: int) -> None:
        self._goal, self._top = curves.goal, top
        self._best, self._since = math.inf, 0
        self.named: list[tuple[float, int]] = []
        self.ends: dict[str, float] = {}
        per = HOUR * curves.full_training
        self._rules = {
            f"not worth {name}": Enough(
                curves.goal,
                top,
                NotWorthIt(None if gain is None else gain * curves.median_regret, per),
            )
            for name, gain in GAINS.items()
        }

    def event(self, event: Event) -> None:
        for rule in self._rules.values():
            rule.event(event)
        if not isinstance(event, JobFinished) or event.rung != self._top:
            return
        loss, self._since = self._goal.loss(event.metrics), self._since + 1
        if loss < self._best:
            self._best, self._since = loss, 0
            self.named.append((event.time, event.trial))
        ended = [f"patience={results}" for results in PATIENCE if self._since >= results]
        ended += [
            name for name, rule in self._rules.items() if name not in self.ends and rule.reason()
        ]
        for name in ended:
            self.ends.setdefault(name, event.time)


_sets: list[CurveSet] = []


def run(work: tuple[int, int]) -> list[tuple[float, float]]:
    """Run a study; return of each rule the part of the time that it saves, and what it costs."""
    number, seed = work
    curves = _sets[number]
    order = np.random.default_rng([seed, 0]).permutation(len(curves.metric))
    reports, seconds = (
        curves.reported(seed)[order],
        np.insert(curves.seconds, 0, 0.0, axis=1)[order],
    )
    top, metric = curves.metric.shape[1], curves.goal.metric
    training = Training(
        metrics=lambda trial, resource: {metric: float(reports[trial % len(order), resource - 1])},
        seconds=lambda trial, start, target: float(
            np.diff(seconds[trial % len(order), [start, target]])[0]
        ),
        has_curves=True,
    )
    ladder = Ladder.from_above(top, 3, 9)
    watching, until = Watching(curves, ladder.top), LENGTH * curves.full_training
    machine = Ash().where_rungs_are_chosen().build(ladder, None)
    simulate(
        machine,
        SimulatedEngine(training, workers=WORKERS),
        [watching],
        until=until,
        goal=curves.goal,
    )

    def regret(time: float) -> float:
        trial = [trial for at, trial in watching.named if at <= time][-1]
        return float(curves.regret[order[trial % len(order)]] / curves.median_regret)

    ends = [min(until, watching.ends.get(name, until)) for name in RULES]
    return [(1 - end / until, regret(end) - regret(until)) for end in ends]


def main() -> None:
    """Run all and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=data_folder)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--json", metavar="FILE", help="write the tables as JSON too")
    given = parser.parse_args()
    _sets.extend(load(given.folder))
    with Pool() as pool:
        work = [(number, seed) for number in range(len(_sets)) for seed in range(given.seeds)]
        found = np.array(pool.map(run, work, chunksize=1)).reshape(
            len(_sets), given.seeds, len(RULES), 2
        )
    rows = []
    for curves, each in zip(
        [*(curves.name for curves in _sets), "all"],
        [*found, found.reshape(-1, len(RULES), 2)],
        strict=True,
    ):
        saved, cost = each.mean(axis=0).T
        error = each[:, :, 1].std(axis=0, ddof=1) / math.sqrt(len(each))
        rows.append(
            [
                curves,
                *(
                    f"{100 * s:.0f} | {c:+.3f} +- {e:.3f}"
                    for s, c, e in zip(saved, cost, error, strict=True)
                ),
            ]
        )
    show(
        f"saved, % of the time | cost, of the median regret: {given.seeds} studies a set",
        ["set", *RULES],
        rows,
    )


if __name__ == "__main__":
    main()
