"""Synchronous and asynchronous halving under stragglers and dropped jobs, against an independent
reference's values.

The set-up is that of Li et al., arXiv 1810.05934, appendix A.1, as ``stragglers.py`` has it: 25
workers, reduction factor 4, rungs 1 to 256. (a): configurations trained to 256 by t = 2000; (b):
when the first of them was. The reference's values, mean and standard deviation of 25 repetitions,
come from a simulator written for that purpose in plain Python. Ours: as many repetitions with seeds
of its own; ``z`` is the difference of the means in standard errors of the difference.

Claims: every |z| <= 3; the exact checks exactly; ASH is never behind.

    python benchmarks/simulation_reference.py [--repeat 25] [--rows MOST] [--json FILE]
"""

import math
import statistics
import sys
import time
from multiprocessing import Pool
from typing import Any

from stragglers import run
from table import show

HORIZON = 2000
REFERENCE_REPETITIONS = 25
REFERENCE = """
0.10 0      30.28 0.46  38.64 3.86   393 14   381 15
0.10 0.0001 30.28 0.46  39.32 4.38   395 16   377 12
0.10 0.001  28.52 0.77  36.28 3.82   409 27   392 20
0.10 0.002  26.64 1.25  34.40 3.71   428 28   412 39
0.10 0.005  21.44 1.83  24.64 3.30   511 89   457 69
0.10 0.01    9.96 1.88  11.92 3.32   695 201  603 221
0.24 0      26.96 0.61  33.96 2.98   439 23   412 34
0.24 0.0001 26.64 0.57  33.92 4.42   433 32   412 18
0.24 0.001  24.72 1.06  32.48 3.47   452 41   429 28
0.24 0.002  23.16 1.68  28.44 3.75   492 67   432 36
0.24 0.005  16.80 2.10  20.24 2.45   589 114  496 88
0.24 0.01    8.16 1.40   9.08 1.87   792 172  651 188
0.56 0      20.68 0.90  28.48 3.48   532 40   454 35
0.56 0.0001 20.56 1.08  28.48 4.20   517 56   470 45
0.56 0.001  19.24 1.33  25.40 3.79   559 70   480 54
0.56 0.002  17.12 1.24  23.08 3.30   577 68   497 65
0.56 0.005  11.12 2.03  13.48 1.58   711 146  592 116
0.56 0.01    4.28 1.59   5.00 1.80  1107 253  873 293
1.33 0      12.80 0.96  17.00 3.01   700 100  578 87
1.33 0.0001 12.44 0.82  17.48 1.83   766 124  607 76
1.33 0.001  10.96 1.10  15.08 1.98   747 116  645 99
1.33 0.002   9.68 1.73  12.32 2.38   763 128  654 114
1.33 0.005   4.64 1.60   6.08 2.22  1146 320  962 280
1.33 0.01    1.64 1.04   1.72 1.21  1607 493 1610 726
"""
FIRST = {1: (1280, 1002, 105), 5: (488, 452, 27), 10: (406, 388, 15), 25: (359, 355, 4), 50: (350,
347, 2),
         100: (343, 344, 1), 256: (341, 341, 0), 1000: (341, 341, 0)}  # fmt: skip


def one(job: tuple[str, float, float, int]) -> tuple[int, float, int]:
    """Simulate one repetition; return (a), (b) and its jobs."""
    scheduler, deviation, drop, seed = job
    until = HORIZON
    while True:
        found = run(scheduler, 25, deviation=deviation, drop=drop, seed=seed, until=until)
        if found.trained:
            return sum(at <= HORIZON for at in found.trained), found.trained[0], found.jobs
        until *= 2  # the first comes late: simulate on, from the start, as seeds decide everything


def compared(mine: list[float], mean: float, deviation: float) -> list[Any]:
    """Return our mean and standard deviation, the reference's mean, and their distance in standard
    errors.
    """
    own, spread = statistics.mean(mine), statistics.stdev(mine)
    error = math.sqrt(spread**2 / len(mine) + deviation**2 / REFERENCE_REPETITIONS)
    return [own, spread, mean, f"{(own - mean) / error:+.1f}" if error else "0.0"]


def main() -> None:
    """Simulate and print."""
    repeat = int(sys.argv[sys.argv.index("--repeat") + 1]) if "--repeat" in sys.argv else 25
    most = int(sys.argv[sys.argv.index("--rows") + 1]) if "--rows" in sys.argv else None
    rows, distances, jobs, began = [], [], 0, time.perf_counter()
    with Pool() as pool:
        for line in REFERENCE.split("\n")[1:-1][:most]:
            deviation, drop, *values = map(float, line.split())
            row: list[Any] = [f"{deviation:.2f}", f"{drop:g}"]
            for scheduler, first in (("sh", 0), ("ash", 2)):
                found = pool.map(
                    one, [(scheduler, deviation, drop, seed) for seed in range(repeat)]
                )
                jobs += sum(count for _, _, count in found)
                for part, at in ((0, first), (1, first + 4)):
                    cells = compared(
                        [float(result[part]) for result in found], values[at], values[at + 1]
                    )
                    distances.append(abs(float(cells[3])))
                    row += [f"{cells[0]:.4g} +- {cells[1]:.2g}", f"{cells[2]:g}", cells[3]]
            rows.append(row)
    seconds = time.perf_counter() - began
    columns = ["sd", "p"]
    for scheduler in ("sh", "ash"):
        for part in ("a", "b"):
            columns += [f"{scheduler} ({part})", "ref", "z"]
    show(f"25 workers, {repeat} repetitions", columns, rows)
    print(
        f"{len(distances)} cells: largest |z| {max(distances):.1f}, "
        f"above 3: {sum(d > 3 for d in distances)}, above 2: {sum(d > 2 for d in distances)}; "
        f"{jobs:,} jobs in {seconds:.0f} s\n"
    )
    first = []
    for workers, (sh, ash, deviation) in list(FIRST.items())[:most]:
        own = run("sh", workers, deviation=0, drop=0, seed=0, until=1500).trained[0]
        mine = [
            run("ash", workers, deviation=0, drop=0, seed=seed, until=1500).trained[0]
            for seed in range(10)
        ]
        resumed = run(
            "ash", workers, deviation=0, drop=0, seed=0, until=1500, resumes=True
        ).trained[0]
        first.append([workers, own, sh,
        f"{statistics.mean(mine):.1f} +- {statistics.stdev(mine):.1f}",
                      f"{ash} +- {deviation}", resumed, f"{resumed / 256:.3f}"])  # fmt: skip
    columns = ["workers", "sh", "ref", "ash", "ref", "ash, resuming", "of time(R)"]
    show(
        "Time of the first configuration trained to 256; nothing straggles, nothing is dropped",
        columns,
        first,
    )


if __name__ == "__main__":
    main()
