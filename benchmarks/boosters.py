"""XGBoost on three tables in equal wall time: ashtune and Optuna.

ashtune with its default search, ashtune with random draws, and Optuna 5: its default sampler
(multivariate TPE with a constant liar), with its pruning callback for XGBoost at 20 rounds of a
training, as two processes that share a journal file; with its default pruner, the median, with that
and XGBoost's early stopping (20 rounds), and with successive halving. All tune the same 8
hyperparameters of the same training: diamonds (40,000 rows, 729 rounds), protein_rmsd (30,000, 729)
and letter (12,000, 81, 26 classes).

Each has the same wall time, imports and start-up included, and may try as many configurations as it
can. How long that is: as long as ashtune with random draws takes for 128, and for 512
configurations. That is measured once for each table, by a run that does not count. Then every
process is killed. The value is the validation loss of what the tuner would name: a training counts
by its best round, in all. The test loss is of the same booster, computed afterwards.

    python benchmarks/boosters.py DATA [--tasks diamonds ...] [--configurations 128 512] [--seeds 5]
        [--table]
        [--results DIR] [--json benchmarks/results/boosters.json] [--markdown FILE]
    python benchmarks/boosters.py DATA --rounds 27 --rows 1000 --configurations 12 --seeds 1     # a
    minute

DATA holds ``tabular``. Wants xgboost, optuna and optuna-integration. On a quiet machine only. A run
that is in the results' folder is not run again.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quality.boosters import MODULE, OPTUNA, TASKS, Setting, Task, arguments, reached
from quality.store import Store
from table import data_folder, show, text

TUNERS = ("ashtune", "ashtune random", *OPTUNA)
MEASURED = "ashtune random"
"""The tuner by which the wall time of so many configurations is measured."""
MEASURING_SEED = 12345
KEYS = ("task", "rows", "rounds", "workers", "configurations")
COLUMNS = (
    "task", "configurations", "seconds", "tuner", "seeds", "validation", "+-", "test", "+- of test",
    "tried",
    "ashtune - it", "+- of that",
)  # fmt: skip


def processes(tuner: str, setting: Setting) -> list["subprocess.Popen[bytes]"]:
    """Start the processes of a tuner."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", MODULE, *each], cwd=Path(__file__).parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for each in arguments(tuner, setting)
    ]  # fmt: skip


def measured(task: Task, given: argparse.Namespace, configurations: int) -> float:
    """Return the seconds that so many configurations take.

    Raises:
        RuntimeError: If the run fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(task, given.data, MEASURING_SEED, given.workers, folder, configurations)
        began = time.perf_counter()
        if any(process.wait() for process in processes(MEASURED, setting)):
            raise RuntimeError(f"{task.name}: the run that measures the time has failed")
        return time.perf_counter() - began


def run(
    tuner: str, task: Task, given: argparse.Namespace, seed: int, seconds: float
) -> dict[str, Any]:
    """Run a tuner for so many seconds; return what it has reached."""
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(task, given.data, seed, given.workers, folder)
        began = time.perf_counter()
        running = processes(tuner, setting)
        try:
            while (left := began + seconds - time.perf_counter()) > 0:
                time.sleep(min(left, 1.0))
                ended = [process.poll() for process in running]
                if any(status is not None for status in ended):
                    raise RuntimeError(
                        f"{tuner} on {task.name} has ended before its time, with {ended}"
                    )
        finally:
            for process in running:
                process.kill()
                process.wait()
        found = reached(tuner, setting)
    if found is None:
        raise RuntimeError(
            f"{tuner} on {task.name} has no result after {seconds:.0f} s; give more configurations"
        )
    return found._asdict()


def main() -> None:
    """Run what is missing, and show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda name: str(data_folder(name)))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument(
        "--tuners", nargs="+", choices=TUNERS, default=list(TUNERS), metavar="TUNER"
    )
    parser.add_argument("--configurations", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--rounds", type=int, help="of a full training, in place of each task's own"
    )
    parser.add_argument("--rows", type=int, help="to train on, in place of each task's own")
    parser.add_argument("--results", type=Path, default=Path("runs/boosters"))
    parser.add_argument("--table", action="store_true", help="only show what there is")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    runs, times = (
        Store(given.results, "runs", (*KEYS, "tuner", "seed")),
        Store(given.results, "times", KEYS),
    )
    tasks = [
        task._replace(rows=given.rows or task.rows, rounds=given.rounds or task.rounds)
        for task in (TASKS[name] for name in given.tasks)
    ]
    if not given.table:
        run_missing(given, tasks, runs, times)
    rows = [
        row for task in tasks for configurations in given.configurations
        for row in rows_of(runs, times, key_of(task, given, configurations))
    ]  # fmt: skip
    if given.markdown:
        given.markdown.write_text(markdown(COLUMNS, rows))
    show(
        "XGBoost in equal wall time: what each tuner would name, mean over seeds and its standard "
        "error",
        COLUMNS,
        rows,
    )


def key_of(task: Task, given: argparse.Namespace, configurations: int) -> dict[str, Any]:
    """Return what tells runs of a task apart, but for the tuner and its seed."""
    return {
        "task": task.name, "rows": task.rows, "rounds": task.rounds, "workers": given.workers,
        "configurations": configurations,
    }  # fmt: skip


def run_missing(
    given: argparse.Namespace, tasks: Sequence[Task], runs: Store, times: Store
) -> None:
    """Run what is not in the store, seed by seed, so that a benchmark that was broken off has whole
    seeds.
    """
    cells = [
        (task, key_of(task, given, number)) for number in given.configurations for task in tasks
    ]
    for task, key in cells:
        if key not in times:
            times.add({**key, "seconds": measured(task, given, key["configurations"])})
            print(
                f"{task.name}: {key['configurations']} take {seconds_of(times, key):.0f} s",
                flush=True,
            )
    wanted = [
        (task, {**key, "tuner": tuner, "seed": seed}, seconds_of(times, key))
        for seed in range(given.first_seed, given.first_seed + given.seeds) for task, key in cells
        for tuner in given.tuners
    ]  # fmt: skip
    left = [each for each in wanted if each[1] not in runs]
    print(
        f"{len(left)} of {len(wanted)} runs to go: {sum(each[2] for each in left) / 60:.0f} "
        f"minutes",
        flush=True,
    )
    for number, (task, key, seconds) in enumerate(left, 1):
        found = run(key["tuner"], task, given, key["seed"], seconds)
        runs.add({**found, **key, "seconds": seconds})
        print(
            f"{number}/{len(left)} {task.name} {key['configurations']} seed {key['seed']} "
            f"{key['tuner']}: {found['validation']:.5g}, test {found['test']:.5g}, "
            f"{found['tried']} configurations, best after {found['best_round']} rounds, "
            f"{seconds:.0f} s",
            flush=True,
        )


def seconds_of(times: Store, key: dict[str, Any]) -> float:
    """Return the wall time of a task's runs."""
    return next(
        each["seconds"] for each in times if all(each[name] == value for name, value in key.items())
    )


def rows_of(runs: Store, times: Store, key: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of the table for one task and one number of configurations."""
    by_tuner: dict[str, dict[int, dict[str, Any]]] = {}
    for each in runs:
        if all(each[name] == key[name] for name in KEYS):
            by_tuner.setdefault(each["tuner"], {})[each["seed"]] = each
    rows = []
    for tuner in [name for name in TUNERS if name in by_tuner]:
        own, ours = by_tuner[tuner], by_tuner.get(TUNERS[0], {})
        gaps = [
            ours[seed]["validation"] - own[seed]["validation"]
            for seed in sorted(own.keys() & ours.keys())
        ]
        rows.append([
            key["task"], key["configurations"], seconds_of(times, key), tuner, len(own),
            *mean_and_error([each["validation"] for each in own.values()]),
            *mean_and_error([each["test"] for each in own.values()]),
            f"{np.mean([each['tried'] for each in own.values()]):.0f}",
            *(mean_and_error(gaps, "+") if tuner != TUNERS[0] else ("", "")),
        ])  # fmt: skip
    return rows


def mean_and_error(values: Sequence[float], sign: str = "") -> tuple[str, str]:
    """Return a mean and its standard error, as text."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return "", ""
    error = f"{array.std(ddof=1) / len(array) ** 0.5:.2g}" if len(array) > 1 else "?"
    return f"{array.mean():{sign}.5g}", error


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return the table in Markdown."""
    lines = [
        list(columns),
        ["---"] * len(columns),
        *([text(value) for value in row] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
