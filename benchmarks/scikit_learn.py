"""AshSearchCV beside scikit-learn's searches and Dask-ML's Hyperband: seconds, full fits, and test
scores.

Each run is one tuner on one model and set of real data with one seed: two processes fit, on as many
cores, and every run is a process of its own. What varies with the seed are the folds, the
candidates and the estimators' own randomness; the rows are the same. The test score is of rows that
no search sees, after a refit on all others: the share that is right, or R squared. The search's own
score is that of three folds, with Dask-ML of one share of the rows.

The same budget means the same number of full fits (``searches/tuners.py``: how they are counted),
as near as the tuners let themselves be told. "ash", which is run first, sets it for each problem
and seed:

- "ash" is ``AshSearchCV`` as it comes: 64 candidates, rungs at a ninth, a third and all of the
  epochs, iterations or trees, resumed, with a Gaussian process. "ash random" is the same without
  it.
- "random" (``RandomizedSearchCV``) fits as many candidates to the end as cost what "ash" has spent,
  rounded up.
- "same fits" (``GridSearchCV``) fits each candidate of "ash random" once, in one go, with the
  resource that it reached there: the same fits without rungs. A small estimator takes as long to
  check its data as to train for a few passes, so many short fits take longer than few long ones;
  "random" differs from ours in this too, "same fits" does not.
- "halving rows" and "halving iterations" (``HalvingRandomSearchCV``) have the same three rungs, of
  rows or of iterations, and as many candidates as cost what "ash" has spent. With 64 candidates
  they would spend 45 full fits, as nothing is resumed.
- "dask-ml hyperband" has a number of models that follows from the number of calls of
  ``partial_fit`` into which a full fit is cut: of 81, 243 and 729 the one that spends most nearly
  what "ash" has spent. With 81 calls there are 143 models, which spend 13 full fits. Calls that it
  makes ahead and throws away are not counted. Only models with ``partial_fit`` can be searched for.
  It has an environment of its own: ``peers/requirements-dask-ml.txt``
  (``make bench-scikit-learn DATA=FOLDER``). Its processes end in four seconds, which are not
  counted.

    python benchmarks/scikit_learn.py DATA [--sets ...] [--models ...] [--tuners ...] [--seeds 5]
        [--rows 2700]
        [--times 1] [--candidates 64] [--folds 3] [--results DIR] [--dask PYTHON] [--table] [--json
        FILE]

"a fit / random's" and "a fit / same's" are a tuner's seconds for each full fit and, after the
slash, its processor time, over those of "random" and of "same fits". On a busy machine, only the
processor time is right.

DATA holds ``tabular``. A run that is in the results' folder is not run again; --table runs nothing.
A minute of it: ``--sets letter --models sgd --seeds 1``. Larger: ``--rows 13500 --times 3``. On a
quiet machine only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quality.store import Store
from searches.problems import SETS, TOPS
from searches.tuners import TUNERS, WORKERS
from table import data_folder, show

HERE = Path(__file__).parent
OURS, LIMIT = "ash", 900
BY_PASSES, DASK = ("sgd", "mlp"), "dask-ml hyperband"
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}  # fmt: skip
"""Of a run: a fit has one thread, as two fit at a time."""
KEYS = ("set", "model", "tuner", "seed", "rows", "times", "candidates", "folds")
KINDS = {
    "candidates_tried": ("tried", ".0f"), "seconds": ("search, s", ".2f"),
    "refit_seconds": ("refit, s", ".2f"),
    "cpu_seconds": ("CPU of both, s", ".2f"),
    "spent": ("full fits", ".1f"), "score": ("score", ".4f"), "test": ("test", ".4f"),
}  # fmt: skip
"""What is shown of a run, how it is headed, and with how many digits."""

Run = dict[str, Any]


def main() -> int:
    """Run what is missing and show the table; return 1 if a run failed."""
    given = _options()
    store = Store(given.results, "runs", KEYS)
    failed = [] if given.table else run_missing(given, store)
    asked = list(_asked(given))
    show_table(
        [run for run in store if any(all(run[key] == each[key] for key in KEYS) for each in asked)]
    )
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda name: str(data_folder(name)))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET")
    parser.add_argument("--models", nargs="+", choices=TOPS, default=list(TOPS), metavar="MODEL")
    parser.add_argument(
        "--tuners", nargs="+", choices=TUNERS, default=list(TUNERS), metavar="TUNER"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2700, help="to search and refit on")
    parser.add_argument("--times", type=int, default=1, help="by how much a full fit is longer")
    parser.add_argument("--candidates", type=int, default=64, help="of ours")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("runs/scikit_learn"))
    parser.add_argument(
        "--dask",
        type=Path,
        default=HERE.parent / ".venv-peers-dask-ml/bin/python",
        metavar="PYTHON",
    )
    parser.add_argument("--table", action="store_true", help="only show what there is")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _asked(given: argparse.Namespace) -> Iterator[Run]:
    """Yield what is to be run: seed by seed, so that a benchmark that is broken off has whole
    seeds; ours first.
    """
    sizes = {
        "rows": given.rows,
        "times": given.times,
        "candidates": given.candidates,
        "folds": given.folds,
    }
    for seed in range(given.seeds):
        for name in given.sets:
            for model in given.models:
                for tuner in sorted(given.tuners, key=lambda tuner: tuner != OURS):
                    if tuner != DASK or model in BY_PASSES:
                        yield {"set": name, "model": model, "tuner": tuner, "seed": seed, **sizes}


def run_missing(given: argparse.Namespace, store: Store) -> list[str]:
    """Run what is not in the store, and say how far it is; return what failed."""
    missing = [run for run in _asked(given) if run not in store]
    if not given.dask.exists() and any(run["tuner"] == DASK for run in missing):
        print(
            f"{DASK} is left out: {given.dask} is not there (make bench-scikit-learn installs it)",
            file=sys.stderr,
        )
        missing = [run for run in missing if run["tuner"] != DASK]
    failed, began = [], time.monotonic()
    for number, run in enumerate(missing, 1):
        title = f"{run['set']}, {run['model']}, {run['tuner']}, seed {run['seed']}"
        try:
            found = _run(given, run, store)
        except (subprocess.SubprocessError, LookupError) as error:
            failed.append(title)
            print(
                f"[{number}/{len(missing)}] {title} failed: "
                f"{error}\n{getattr(error, 'stderr', '')}",
                file=sys.stderr,
            )
            continue
        store.add(run | found)
        left = (time.monotonic() - began) / number * (len(missing) - number) / 60
        print(
            f"[{number}/{len(missing)}] {title}: {found['seconds']:.1f} s and "
            f"{found['refit_seconds']:.1f} s for the refit, {found['spent']:.1f} full fits, score "
            f"{found['score']:.4f}, test {found['test']:.4f}; {left:.0f} minutes left",
            flush=True,
        )
    return failed


def _run(given: argparse.Namespace, run: Run, store: Store) -> Run:
    """Run one in a process of its own.

    Raises:
        SubprocessError: If it fails, or takes too long.
        LookupError: If it is to spend what ours has spent, and that was not run.
    """
    ours = next(
        (
            each["spent"]
            for each in store
            if all(each[key] == (run | {"tuner": OURS})[key] for key in KEYS)
        ),
        0,
    )
    if run["tuner"] not in (OURS, "ash random", "same fits") and not ours:
        raise LookupError(f"it is to spend what {OURS!r} has spent, which was not run")
    python = given.dask.absolute() if run["tuner"] == DASK else sys.executable
    command = [
        str(python),
        "-m",
        "searches.one",
        json.dumps(run | {"data": given.data, "spent": ours}),
    ]
    done = subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def show_table(runs: list[Run]) -> None:
    """Show the means over the seeds, and how far the test score of each tuner is from ours, seed by
    seed.
    """
    if not runs:
        print("nothing was run", file=sys.stderr)
        return
    rows = []
    for name in SETS:
        for model in TOPS:
            here = [run for run in runs if (run["set"], run["model"]) == (name, model)]
            by_tuner = {
                tuner: {run["seed"]: run for run in here if run["tuner"] == tuner}
                for tuner in TUNERS
            }
            for tuner, own in by_tuner.items():
                if own:
                    ratios = [_ratio(own, by_tuner[other]) for other in ("random", "same fits")]
                    difference = _difference(own, by_tuner[OURS])
                    rows.append([name, model, tuner, len(own), *_means(own), difference, *ratios])
    sizes = {key: runs[0][key] for key in ("rows", "times", "candidates", "folds")}
    title = (
        f"{WORKERS} processes; {sizes['rows']:,} rows, {sizes['folds']} folds, "
        f"{sizes['candidates']} candidates; a full fit is {_tops(sizes['times'])}; means over "
        "seeds, test - ours with its standard error"
    )
    ratios = ["a fit / random's", "a fit / same's"]
    header = [
        "data",
        "model",
        "tuner",
        "seeds",
        *(head for head, _ in KINDS.values()),
        "test - ours",
        *ratios,
    ]
    show(title, header, rows)


def _means(own: dict[int, Run]) -> list[str]:
    return [format(_mean(own, kind), digits) for kind, (_, digits) in KINDS.items()]


def _mean(own: dict[int, Run], kind: str) -> float:
    return float(np.mean([run.get(kind, np.nan) for run in own.values()]))


def _ratio(own: dict[int, Run], other: dict[int, Run]) -> str:
    """Return how many times as long a full fit takes as with another tuner, and how many times the
    processor time.
    """
    if not other or own is other:
        return ""
    kinds = ("seconds", "cpu_seconds")
    own_spent = _mean(own, "spent")
    other_spent = _mean(other, "spent")
    return " / ".join(
        f"{_mean(own, kind) / own_spent / (_mean(other, kind) / other_spent):.2f}" for kind in kinds
    )


def _difference(own: dict[int, Run], ours: dict[int, Run]) -> str:
    """Return by how much the test score is above ours, over the seeds that both have."""
    if own is ours:
        return ""
    gaps = np.array([run["test"] - ours[seed]["test"] for seed, run in own.items() if seed in ours])
    if not len(gaps):
        return "?"
    error = f" +- {gaps.std(ddof=1) / len(gaps) ** 0.5:.4f}" if len(gaps) > 1 else ""
    return f"{gaps.mean():+.4f}{error}"


def _tops(times: int) -> str:
    return ", ".join(f"{top * times} ({model})" for model, top in TOPS.items())


if __name__ == "__main__":
    sys.exit(main())
