"""The guard of searches that learn (ashtune.search.guard) in simulated studies: false alarms, and what it saves.

A configuration is its place among random draws, from 0 (the best) to 1; a result is that place and noise, less at
higher rungs. A model that is "random" draws as the design does, a "bad" one proposes from the worst third, a "poor" one
from all but the best tenth, a "good" one from the best third, one that "recovers" is bad for its first 200 trials. A
tenth of the trials is random throughout, as with the Gaussian process.

Run: python benchmarks/held_back.py [--studies N] [--json FILE]; 1,000 studies take some minutes.
"""

import argparse
import heapq
import random
import statistics
from typing import Any

from ashtune.core.events import JobFinished, TrialStarted
from ashtune.core.jobs import Result
from ashtune.core.ladder import Ladder
from ashtune.core.verdicts import TrialPromoted
from ashtune.schedulers.ash import Ash
from ashtune.search.guard import Guard
from table import show

LADDER = Ladder(3, 27, 3)
NOISE = (0.2, 0.1, 0.05)
WORKERS, FIRST, RANDOM_SHARE, RECOVERS_AT = 8, 10, 0.1, 200


class SimulatedStudy:
    """One study in virtual time: asynchronous halving as by default, eight workers.

    Args:
        seed: Of all that is drawn.
        model: What its proposals are like.
        is_guarded: Whether the guard is obeyed. It looks in any case.
        fulls: How many full trainings each worker has the time for.
        scheduler: With its options.
    """

    def __init__(
        self,
        seed: int,
        model: str,
        *,
        is_guarded: bool = True,
        fulls: int = 16,
        scheduler: Any = Ash(),  # noqa: B008
    ) -> None:
        self._chance = random.Random(f"{seed} {model}")
        self._model = model
        self.guard = Guard(seed)
        self._is_guarded = is_guarded
        self.places: list[float] = []
        self.proposed: list[bool] = []
        self.best: tuple[int, float, float] = (0, 0.0, 1.0)  # minus the rung, the loss, the place of what is named
        self._machine = scheduler.build(LADDER, None, seed)
        self._run(fulls * LADDER.rungs[-1])

    def _run(self, end: float) -> None:
        busy: list[tuple[float, int, int]] = []
        for _ in range(WORKERS):
            self._employ(0.0, busy)
        while busy[0][0] <= end:
            now, trial, rung = heapq.heappop(busy)
            loss = self.places[trial] + NOISE[rung] * self._chance.gauss(0, 1)
            self._machine.record(Result(trial, rung, LADDER.rungs[rung], (loss,), 1.0))  # type: ignore[arg-type]
            self.best = min(self.best, (-rung, loss, self.places[trial]))
            self.guard.event(
                JobFinished(now, worker=0, trial=trial, rung=rung, resource=1, metrics={}, seconds=1.0)  # type: ignore[arg-type]
            )
            self._employ(now, busy)

    def _employ(self, now: float, busy: list[tuple[float, int, int]]) -> None:
        job = self._machine.next_job()
        start = LADDER.rungs[job.rung - 1] if job.rung else 0
        if job.rung:
            self.guard.followed(TrialPromoted(job.trial, job.rung - 1, job.rung))
        else:
            self._start(job.trial)
        seconds = (LADDER.rungs[job.rung] - start) * self._chance.lognormvariate(0, 0.3)
        heapq.heappush(busy, (now + seconds, job.trial, job.rung))

    def _start(self, trial: Any) -> None:
        chance = self._chance
        is_random = trial < FIRST or chance.random() < RANDOM_SHARE
        is_random |= self._is_guarded and self.guard.holds_back(trial)
        place = chance.random()
        if not is_random:
            match self._model:
                case "bad":
                    place = 1 - place / 3
                case "recovers":
                    place = 1 - place / 3 if trial < RECOVERS_AT else place / 3
                case "poor":
                    place = 0.1 + 0.9 * place
                case "good":
                    place /= 3
        self.places.append(place)
        self.proposed.append(not is_random)
        self.guard.event(TrialStarted(0.0, trial, {}, "random" if is_random else "model"))


def main() -> None:
    """Print the tables, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description="False alarms of the guard, and what it saves.")
    parser.add_argument("--studies", type=int, default=1000, metavar="N", help="of each kind; by default 1,000")
    parser.add_argument("--json", metavar="FILE", help="write the tables here too")
    studies = range(parser.parse_args().studies)
    rows: list[list[Any]] = []
    for name, scheduler in (("default", Ash(ahead=1, exponent=0.8)), ("paper's quota", Ash())):
        for model in ("random", "good", "poor", "bad", "recovers"):
            done = [SimulatedStudy(seed, model, scheduler=scheduler) for seed in studies]
            alarmed = [study.guard.alarms for study in done if study.guard.alarms]
            rows.append([
                name, model, statistics.mean(len(study.places) for study in done), len(alarmed) / len(done),
                statistics.median([alarms[0][0] for alarms in alarmed]) if alarmed else "-",
                sum(alarms[-1][1] is not None for alarms in alarmed) / max(1, len(alarmed)),
            ])  # fmt: skip
    show(
        f"Alarms in {len(studies):,} studies",
        ("quota", "model", "trials", "studies with an alarm", "first at trial (median)", "of them ended"),
        rows,
    )
    rows = []
    for fulls in (4, 8, 16, 32):
        for model in ("random", "bad", "poor", "good", "recovers"):
            ends = {
                is_guarded: [
                    SimulatedStudy(seed, model, is_guarded=is_guarded, fulls=fulls).best[2] for seed in studies
                ]
                for is_guarded in (False, True)
            }
            means = [statistics.mean(ends[is_guarded]) for is_guarded in (False, True)]
            errors = [statistics.stdev(ends[is_guarded]) / len(studies) ** 0.5 for is_guarded in (False, True)]
            rows.append([fulls, model, means[0], errors[0], means[1], errors[1]])
    show(
        "The place of the configuration that is named at the end, 0 is the best, means and standard errors",
        ("full trainings a worker", "model", "unguarded", "s.e.", "guarded", "s.e. "),
        rows,
    )


if __name__ == "__main__":
    main()
