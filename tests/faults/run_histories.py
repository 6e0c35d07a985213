"""Run many histories, say what was injected how often, and of one that fails the shortest command
that shows it.

python -m tests.faults.run_histories --histories 100000          # all cores
python -m tests.faults.run_histories --seed 4711                 # one of them, with its traceback
python -m tests.faults.run_histories --seed 4711 --without "no space" --trials 3
"""

import argparse
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.faults import histories

BLOCK = 50
FAILURES_SHOWN = 5


def main() -> int:
    """Run what the command line says; return 1 if a history failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--histories", type=int, default=1_000, metavar="N", help="how many")
    parser.add_argument(
        "--first", type=int, default=0, metavar="SEED", help="the seed of the first"
    )
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--workers", type=int, help="the most workers of a session")
    parser.add_argument("--trials", type=int)
    parser.add_argument(
        "--without", action="append", default=[], choices=histories.FAULTS, metavar="FAULT"
    )
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if options.seed is not None:
        given = {
            name: getattr(options, name)
            for name in ("workers", "trials")
            if getattr(options, name) is not None
        }
        return show(options.seed, without=tuple(options.without), **given)
    return run_all(options.first, options.histories, options.cores)


def show(seed: int, **narrowed: Any) -> int:
    """Run one history and print what there is to see."""
    print(histories.plan_of(seed, **narrowed))
    try:
        injected, ends = histories.run(seed, **narrowed)
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        traceback.print_exc()
        return 1
    print(dict(injected), dict(ends), sep="\n")
    return 0


def run_all(first: int, number: int, cores: int) -> int:
    """Run histories on several cores, and print a table."""
    began = time.monotonic()
    injected: Counter[str] = Counter()
    reached: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    with ProcessPoolExecutor(cores) as pool:
        for done in as_completed(
            [pool.submit(run_block, block) for block in blocks(first, number)]
        ):
            block = done.result()
            injected += block[0]
            reached += block[1]
            ends += block[2]
            failures += block[3]
            if len(failures) >= FAILURES_SHOWN:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    seconds = time.monotonic() - began
    print(f"{'what was injected':34} {'times':>10} {'histories':>10}")
    for name, times in sorted(injected.items()):
        print(f"{name:34} {times:10,} {reached[name]:10,}")
    print(f"\n{'how sessions ended':34} {'times':>10}")
    for name, times in ends.most_common():
        print(f"{name:34} {times:10,}")
    finished = number if not failures else min(number, ends["complete"] + len(failures))
    print(
        f"\n{finished:,} histories in {seconds:.0f} s: {finished / seconds * 60:,.0f} a minute on "
        f"{cores} cores"
    )
    for seed, error in sorted(failures)[:FAILURES_SHOWN]:
        print(f"\nseed {seed}: {error}\n  show it again: {command(shrunk(seed))}")
    print(f"{number - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


def blocks(first: int, number: int) -> Iterator[range]:
    for start in range(first, first + number, BLOCK):
        yield range(start, min(start + BLOCK, first + number))


def run_block(
    seeds: range,
) -> tuple[Counter[str], Counter[str], Counter[str], list[tuple[int, str]]]:
    """Run some histories; return what was injected, in how many of them, how sessions ended, and
    what failed.
    """
    injected: Counter[str] = Counter()
    reached: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    for seed in seeds:
        if (error := error_of(seed, counts := [])) is not None:
            failures.append((seed, error))
            continue
        injected += counts[0]
        reached += Counter(counts[0].keys())
        ends += counts[1]
    return injected, reached, ends, failures


def error_of(seed: int, counts: list[Counter[str]] | None = None, **narrowed: Any) -> str | None:
    """Return in one line what is wrong with a history; None if nothing is."""
    try:
        injected = histories.run(seed, **narrowed)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"[:600]
    if counts is not None:
        counts += injected
    return None


def shrunk(seed: int) -> dict[str, Any]:
    """Return what may be left out of a history so that it still fails."""
    plan = histories.plan_of(seed)
    narrowed: dict[str, Any] = {"without": ()}

    def still_fails(**more: Any) -> bool:
        return error_of(seed, **{**narrowed, **more}) is not None

    for fault in plan.faults:
        if still_fails(without=(*narrowed["without"], fault)):
            narrowed["without"] = (*narrowed["without"], fault)
    for name in ("workers", "trials"):
        for value in range(1, getattr(plan, name)):
            if still_fails(**{name: value}):
                narrowed[name] = value
                break
    return {"seed": seed, **narrowed}


def command(narrowed: dict[str, Any]) -> str:
    """Return the command that runs a history so narrowed."""
    words = ["python", "-m", "tests.faults.run_histories"]
    for name, value in narrowed.items():
        for one in value if isinstance(value, tuple) else (value,):
            words += [f"--{name}", f'"{one}"' if isinstance(one, str) else str(one)]
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
