"""``warm_start=``: the regret of ``search="gp"`` with and without 30 known results.

``quality/toy.py`` is a task with 7 hyperparameters, of which 3 matter and whose optimum is known; each seed is another
such task. Known are 30 random configurations, fully trained, with the noise of the task. Trials are fully trained one
by one, and each proposal knows all results before it. Regret is the true loss of the best configuration of the study so
far over that of the median one; the known configurations do not count as found.

    python benchmarks/warm_start.py [--seeds 20] [--known 30] [--json FILE]
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.search.gp import GP
from ashtune._src.search.random import Random
from quality.toy import TOP, Toy
from table import show

WIDTH = 7
MARKS = (1, 3, 5, 10, 20, 30)
OTHER_SEED = 1_000
"""The known configurations are those of another study."""


def regrets(seed: int, known: int) -> tuple[list[float], float]:
    """Return the regret of a study at each mark, and that of the best known configuration by its result."""
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


def main() -> None:
    """Run all and show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--known", type=int, default=30)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    without = [regrets(seed, 0)[0] for seed in range(given.seeds)]
    both = [regrets(seed, given.known) for seed in range(given.seeds)]
    best_known = statistics.fmean(best for _, best in both)
    rows: list[list[Any]] = []
    for place, mark in enumerate(MARKS):
        cold, warm = [each[place] for each in without], [each[place] for each, _ in both]
        better = sum(one < other for one, other in zip(warm, cold, strict=True))
        rows.append([mark, statistics.fmean(cold), statistics.fmean(warm), better, best_known])
    show(
        f"Mean regret over {given.seeds} tasks by number of full trainings, without and with {given.known} results",
        ["trials", "without", "with", "seeds in which it is better with", "the best known configuration itself"],
        rows,
    )


if __name__ == "__main__":
    main()
