"""Searches on real trainings: ashtune's, and other tuners by their own code.

Each run is one tuner on one task (``quality/tasks``) with one seed: two workers, for so many times
the time of a full training. All tune the same space with the same training code. What counts is the
validation loss of the configuration that the tuner would name, over time; the test loss of the same
is shown beside it.

- ``--clock wall``: two processes train, in wall time, start-up and imports included. On a quiet
  machine only.
- ``--clock training``: the same, but the time begins when the first worker begins to train. The
  trainings here are short, so that there can be many runs: imports take as long as ten of them, and
  would count as much as the search.
- ``--clock cpu``: one process; the two workers are simulated and train in turn. A stretch of
  training takes the CPU time that it took, and so does a proposal: ashtune's in a process beside
  the workers, Optuna's in a worker.
- ``--clock long``: the same, but a proposal takes no time, as beside trainings of minutes.
- ``--clock resource``: the same, but an epoch takes an epoch, whatever the configuration. The
  machine does not matter then, however busy it is, and nor does what a configuration costs.

    python benchmarks/search_quality.py DATA [--clock wall] [--tasks ...] [--tuners ...] [--seeds
    10] [--budget 16]
        [--results DIR] [--table] [--oracle] [--json FILE] [--figure FILE]

DATA holds ``tabular`` and ``mnist``. A run that is in the results' folder is not run again; --table
runs nothing. --oracle runs nothing either, and shows what a perfect model could have gained
(``quality/oracle.py``). Tasks and tuners whose library is not installed are left out and named: see
``peers/requirements-quality.txt``.

It ends with status 1 if ashtune's "gp" is behind a peer or a baseline (its own random search, "one
epoch, keep the best") by two standard errors on some task.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from quality.oracle import show_oracle
from quality.runs import Report, at, named
from quality.store import Store
from quality.tasks import MODULES
from quality.tasks import task as load
from quality.tuners import ALONE, DEFAULT, ONE_EPOCH, TUNERS, Setting, is_peer, run
from quality.virtual import rungs_of
from table import show

PARTS = (0.25, 0.5, 1.0)
FULL_TRAININGS, CALIBRATING_SEED = 9, 12345

Losses = dict[str, dict[int, dict[str, Any]]]
"""Tuner -> seed -> the run."""


def full_training(name: str, data: str) -> dict[str, Any]:
    """Return the median CPU seconds and validation loss of a task's full trainings, of random
    configurations.
    """
    task = load(name, data)
    design = Random().build(Space.parse(dict(task.space)), CALIBRATING_SEED)
    # what a first training loads or compiles
    task.train(design.configuration(FULL_TRAININGS), None, 0, 1)
    seconds, losses = [], []
    for number in range(FULL_TRAININGS):
        began = time.process_time()
        state = task.train(design.configuration(number), None, 0, task.top)
        seconds.append(time.process_time() - began)
        losses.append(task.losses(state))
    middle = np.median(np.array(losses), axis=0)
    return {
        "task": name,
        "seconds": float(np.median(seconds)),
        "validation": middle[0],
        "test": middle[1],
    }


def measured(
    given: argparse.Namespace, task: str, tuner: str, seed: int, full: float
) -> dict[str, Any]:
    """Run one tuner; return what is kept of it, times in full trainings."""
    # workers outlive a killed driver a moment
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        rungs = rungs_of(load(task, given.data).top).rungs
        unit = full / rungs[-1] if given.clock == "resource" else 0.0
        seconds, is_started = given.budget * full, given.clock == "training"
        is_free = given.clock in ("long", "resource")
        setting = Setting(
            task, given.data, seed, given.workers, seconds, folder, rungs, unit, is_started, is_free
        )
        outcome = run(tuner, given.clock, setting)
    changes = [change._replace(time=change.time / full) for change in named(outcome.reports)]
    return {
        "task": task, "tuner": tuner, "seed": seed, "clock": given.clock, "budget": given.budget,
        "named": changes, "trials": outcome.trials, "proposing": outcome.proposing / full,
    }  # fmt: skip


def main() -> int:
    """Run what is missing, and show the tables; return 1 if the default
    search is behind somewhere.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda folder: str(Path(folder).resolve()))
    parser.add_argument(
        "--clock", choices=["wall", "training", "cpu", "long", "resource"], default="wall"
    )
    parser.add_argument(
        "--tasks", nargs="+", choices=MODULES, default=list(MODULES), metavar="TASK"
    )
    parser.add_argument(
        "--tuners", nargs="+", choices=TUNERS, default=list(TUNERS), metavar="TUNER"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=16.0, help="in full trainings")
    parser.add_argument("--results", type=Path, default=Path("runs/search_quality"))
    parser.add_argument("--table", action="store_true", help="only show what there is")
    parser.add_argument(
        "--oracle", action="store_true", help="only show what a perfect model could have gained"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--figure", type=Path, help="an .html, with plotly; or .svg or .png, with kaleido too"
    )
    given = parser.parse_args()
    store = Store(given.results, "runs", ("task", "tuner", "seed", "clock", "budget"))
    times = Store(given.results, "full_trainings", ("task",))
    if not (given.table or given.oracle):
        run_missing(given, store, times)
    kept = [
        each for each in store if each["clock"] == given.clock and each["budget"] == given.budget
    ]
    by_task: dict[str, Losses] = {}
    for each in kept:
        if each["task"] in given.tasks and each["tuner"] in given.tuners:
            each["changes"] = [Report(*change) for change in each["named"]]
            by_task.setdefault(each["task"], {}).setdefault(each["tuner"], {})[each["seed"]] = each
    medians = {each["task"]: each for each in times}
    if given.oracle:
        show_oracle(
            by_task,
            {task: partial(loss_at, median=medians[task]) for task in by_task},
            given.budget,
        )
        return 0
    for task, runs in by_task.items():
        show_task(given, task, runs, medians[task])
    if given.figure:
        draw(given, by_task, medians)
    return summarise(given, by_task, medians)


def run_missing(given: argparse.Namespace, store: Store, times: Store) -> None:
    """Run what is not in the store, seed by seed, so that a broken-off
    benchmark has whole seeds.
    """
    absent: set[str] = set()
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for task in given.tasks:
            for tuner in given.tuners:
                key = {
                    "task": task,
                    "tuner": tuner,
                    "seed": seed,
                    "clock": given.clock,
                    "budget": given.budget,
                }
                if key in store or task in absent or tuner in absent:
                    continue
                try:
                    if {"task": task} not in times:
                        times.add(full_training(task, given.data))
                    full = next(each["seconds"] for each in times if each["task"] == task)
                except ImportError as error:
                    absent.add(task)
                    print(f"{task} is left out: {error}", file=sys.stderr)
                    continue
                try:
                    store.add(measured(given, task, tuner, seed, full))
                except ImportError as error:
                    absent.add(tuner)
                    print(f"{tuner} is left out: {error}", file=sys.stderr)


def show_task(given: argparse.Namespace, task: str, runs: Losses, median: dict[str, Any]) -> None:
    """Show what each tuner had named after parts of the budget, and how far the default search is
    from it.
    """
    rows = []
    for tuner in [name for name in TUNERS if name in runs]:
        own = runs[tuner]
        losses = [
            np.mean([loss_at(each, part * given.budget, median) for each in own.values()])
            for part in PARTS
        ]
        test = np.mean([loss_at(each, given.budget, median, "test") for each in own.values()])
        gaps = [
            plus_minus(differences(runs, tuner, given.budget, median, kind))
            for kind in ("validation", "test")
        ]
        rows.append([
            tuner, len(own), *(f"{loss:.5g}" for loss in losses), f"{test:.5g}",
            *(gaps if tuner != DEFAULT else ("", "")),
            f"{np.mean([each['trials'] for each in own.values()]):.0f}",
        ])  # fmt: skip
    title = (
        f"{task} (a full training takes {median['seconds']:.2g} s): validation loss "
        f"({load_text(given, task)}) of the "
        f"named configuration by {given.clock} time in full trainings"
    )
    header = ["tuner", "seeds", *(f"at {part * given.budget:g}" for part in PARTS), "test"]
    show(title, [*header, f"{DEFAULT} - it", "of test", "trials"], rows)


def draw(
    given: argparse.Namespace, by_task: dict[str, Losses], medians: dict[str, dict[str, Any]]
) -> None:
    """Write the figure: the default search, random draws, and of each task the peer that was best
    at the end.
    """
    from quality.figure import figure

    lines, titles = {}, {}
    for task, runs in by_task.items():
        best = min(
            filter(is_peer, runs),
            key=lambda tuner: final_loss(runs[tuner], given.budget, medians[task]),
        )
        lines[task] = {
            "ashtune": DEFAULT,
            "ashtune, random draws": ALONE,
            "the best of the others, by the end": best,
        }
        titles[task] = (
            f"{task.replace('_', ', ')}: {load_text(given, task)}<br><sup>best peer: {best}</sup>"
        )
    losses = {task: partial(loss_at, median=medians[task]) for task in by_task}
    made = figure(by_task, titles, lines, loss_at=losses, budget=given.budget)
    if given.figure.suffix == ".html":
        made.write_html(given.figure, include_plotlyjs=True, config={"displayModeBar": False})
    else:
        made.write_image(given.figure)


def final_loss(runs: dict[int, dict[str, Any]], budget: float, median: dict[str, Any]) -> float:
    """Return the mean loss over the seeds at the end."""
    return float(np.mean([loss_at(each, budget, median) for each in runs.values()]))


def load_text(given: argparse.Namespace, task: str) -> str:
    """Return what a task's losses are."""
    try:
        return load(task, given.data).loss
    except ImportError:
        return "smaller is better"


def summarise(
    given: argparse.Namespace, by_task: dict[str, Losses], medians: dict[str, dict[str, Any]]
) -> int:
    """Say how early the default search has what the best peer has at the end, and where it is
    behind, if it is.
    """
    shares, behind = [], []
    for task, runs in by_task.items():
        if DEFAULT not in runs:
            continue
        behind += [
            f"{tuner} on {task}" for tuner in runs
            if (tuner in (ALONE, ONE_EPOCH) or is_peer(tuner))
            and is_above_zero(differences(runs, tuner, given.budget, medians[task], "validation"))
        ]  # fmt: skip
        ends = {
            tuner: final_loss(own, given.budget, medians[task]) for tuner,
            own in runs.items() if is_peer(tuner)
        }  # fmt: skip
        if ends:
            shares.append(
                share_of_time(runs[DEFAULT], min(ends.values()), given.budget, medians[task])
            )
    if shares:
        text = ", ".join("not" if math.isinf(share) else f"{share:.2f}" for share in shares)
        print(
            f"{DEFAULT} has what the best peer has at the end at {np.median(shares):.2f} of its "
            f"time (median; {text})"
        )
    print(f"{DEFAULT} is behind by two standard errors: {', '.join(behind) or 'nowhere'}")
    return 1 if behind else 0


def loss_at(
    one: dict[str, Any], time: float, median: dict[str, Any], kind: str = "validation"
) -> float:
    """Return the loss of what a run had named at a time; the median configuration's before it named
    any.
    """
    report = at(one["changes"], time)
    return float(median[kind] if report is None else getattr(report, kind))


def differences(
    runs: Losses, tuner: str, time: float, median: dict[str, Any], kind: str
) -> np.ndarray:
    """Return by how much the default search is behind a tuner, of each seed that both have."""
    own, other = runs.get(DEFAULT, {}), runs[tuner]
    shared = sorted(own.keys() & other.keys())
    return np.array(
        [
            loss_at(own[seed], time, median, kind) - loss_at(other[seed], time, median, kind)
            for seed in shared
        ]
    )


def share_of_time(
    runs: dict[int, dict[str, Any]], wanted: float, budget: float, median: dict[str, Any]
) -> float:
    """Return at what part of the budget the mean over seeds is as good as wanted; infinity if it
    never is.
    """
    moments = sorted(
        {
            change.time
            for each in runs.values()
            for change in each["changes"]
            if change.time <= budget
        }
    )
    for moment in moments:
        if np.mean([loss_at(each, moment, median) for each in runs.values()]) <= wanted:
            return moment / budget
    return math.inf


def plus_minus(values: np.ndarray) -> str:
    """Return a mean with its standard error."""
    return f"{values.mean():+.3g} +- {standard_error(values):.2g}" if len(values) > 1 else "?"


def is_above_zero(values: np.ndarray) -> bool:
    """Say whether a mean is above 0 by more than two standard errors."""
    return len(values) > 2 and values.mean() > 2 * standard_error(values)


def standard_error(values: Iterable[float]) -> float:
    """Return the standard error of a mean."""
    array = np.asarray(values)
    return float(array.std(ddof=1) / len(array) ** 0.5)


if __name__ == "__main__":
    sys.exit(main())
