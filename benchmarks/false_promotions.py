"""How many promotions are false in hindsight: measured, beside the law and papers.md 1.5.

Rung 0 gets ``n`` results that are independent and equally distributed, one by one, each followed by
a question. A promotion is false if its trial is not among the best ``floor(n / eta)`` at the end.
The law is

    E[false] -> sqrt(pi n p (1 - p) / 2),   p = 1 / eta

All of it takes about a minute.

    python benchmarks/false_promotions.py [--quick] [--repeat N] [--json FILE]
"""

import argparse
import json
import math
import random
import statistics
from pathlib import Path

from ashtune._src.core.jobs import Result
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import AshMachine

PAPERS = {  # (eta, n): mean and standard error of papers.md 1.5
    (2, 100): (4.28, 0.05),
    (2, 1000): (17.26, 0.23),
    (2, 10000): (58.14, 1.31),
    (3, 100): (4.24, 0.05),
    (3, 1000): (16.21, 0.21),
    (3, 10000): (58.15, 1.24),
    (4, 100): (3.43, 0.04),
    (4, 1000): (15.30, 0.20),
    (4, 10000): (51.26, 1.16),
}
REPETITIONS = {100: 4000, 1000: 2000, 10000: 600}


def promotions(losses: list[float], eta: int) -> tuple[int, int]:
    """Return how many trials of one rung were promoted, and how many of them falsely."""
    scheduler = AshMachine(Ladder(1, eta, eta), len(losses))
    promoted = []
    while (job := scheduler.next_job()) is not None:
        if job.rung == 0:
            scheduler.record(Result.of(job, losses[job.trial]))
        else:
            promoted.append(job.trial)
    ranked = sorted((loss, trial) for trial, loss in enumerate(losses))
    best = {trial for _, trial in ranked[: len(losses) // eta]}
    return len(promoted), sum(trial not in best for trial in promoted)


def law(n: int, eta: int) -> float:
    """Return the expected number of false promotions of a large rung."""
    p = 1 / eta
    return math.sqrt(math.pi * n * p * (1 - p) / 2)


def measure(eta: int, n: int, repetitions: int) -> dict[str, float]:
    """Return the mean number of false promotions with its standard error,
    beside what it should be.
    """
    draw = random.Random(1000 * eta + n).random
    false = [promotions([draw() for _ in range(n)], eta)[1] for _ in range(repetitions)]
    deviation = statistics.stdev(false)
    papers, papers_error = PAPERS[eta, n]
    error = deviation / math.sqrt(repetitions)
    return {
        "eta": eta,
        "n": n,
        "repetitions": repetitions,
        "mean": statistics.mean(false),
        "standard_error": error,
        "standard_deviation": deviation,
        "papers": papers,
        "sigmas_apart": (statistics.mean(false) - papers) / math.hypot(error, papers_error),
        "law": law(n, eta),
    }


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description="False promotions of Ash beside the law.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table here too")
    parser.add_argument("--repeat", type=int, help="of each row, in place of its own number")
    options = parser.parse_args()
    rows = []
    print("eta      n  reps   mean false       sd   papers  apart     law  mean/law")
    for eta, n in PAPERS:
        row = measure(eta, n, options.repeat or REPETITIONS[n] // (10 if options.quick else 1))
        rows.append(row)
        print(
            f"{eta:3d} {n:6d} {row['repetitions']:5d} {row['mean']:6.2f} ± "
            f"{row['standard_error']:4.2f} {row['standard_deviation']:8.1f} {row['papers']:8.2f} "
            f"{row['sigmas_apart']:+5.1f}s {row['law']:7.2f} {row['mean'] / row['law']:9.3f}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
