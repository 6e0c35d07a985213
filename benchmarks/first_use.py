"""A small function, 90 trials or 12 seconds: what a new user tries first.

Branin's function of two hyperparameters, with a third one that does nothing. What counts is how far
the best loss is from the optimum. First 90 trials of one training step each; then 12 seconds on two
workers, with trainings of at most 27 epochs that compute for 10 ms each and come closer to the
function's value (loss + 1 / epoch - 1 / 27). Optuna's TPE trains every trial to the end, in two
processes that share a journal where the time is limited.

First of all the start: from ``python tune.py`` to the first result of the function, which returns
at once; and the processor time of all processes until a study of six trials has ended, beside that
of ``ashtune report`` for this study.

    python benchmarks/first_use.py [--starts 10] [--seeds 10] [--trials 90] [--seconds 12] [--json
        FILE]

Wants Optuna, and a quiet machine.
"""

import argparse
import math
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.search.origins import Sort, sort_of
from ashtune._src.study.journal import NAME, read_events
from ashtune.events import JobFinished, SessionStarted
from table import show

SPACE = {"x": (-5.0, 10.0), "y": (0.0, 15.0), "idle": (0.0, 1.0)}
LOWEST = 0.39788735772973816
EPOCHS, EPOCH_SECONDS = 27, 0.010
SEARCHES: dict[str, dict[str, Any]] = {
    "default": {},
    "random": {"search": "random"},
    "GP(ahead=0)": {"search": ashtune.GP(ahead=0)},
}
OURS = """
import ashtune
def returns(trial):
    return trial["x"] ** 2 + trial["y"]
space = {"x": (-5.0, 10.0), "y": (0.0, 15.0), "idle": (0.0, 1.0)}
options = dict(trials=6, max_resource=1, workers=2, directory="study", quiet=True)
ashtune.tune(returns, space, metric="loss", mode="min", **options)
"""
OPTUNAS = """
import time, optuna
def returns(trial):
    trial.suggest_float("idle", 0.0, 1.0)
    return trial.suggest_float("x", -5.0, 10.0) ** 2 + trial.suggest_float("y", 0.0, 15.0)
optuna.logging.set_verbosity(optuna.logging.WARNING)
show = lambda study, trial: print(time.time()) if trial.number == 0 else None
optuna.create_study().optimize(returns, n_trials=6, callbacks=[show])
"""
Outcome = tuple[float, float, int, float]
"""Distance from the optimum, seconds, trials, and the part of them that the model proposed."""


def branin(x: float, y: float) -> float:
    """Return Branin's function, less its lowest value."""
    bend = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - LOWEST


def compute(seconds: float) -> None:
    """Keep a core busy."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def returns(trial: Any) -> float:
    """Return the value at once."""
    return branin(trial["x"], trial["y"])


def trains(trial: Any) -> None:
    """Compute for 10 ms an epoch."""
    trial.restore()
    for epoch in trial.epochs():
        compute(EPOCH_SECONDS)
        trial.report(loss=branin(trial["x"], trial["y"]) + 1 / epoch - 1 / EPOCHS)
    trial.save(0)


def ours(search: dict[str, Any], seed: int, trials: int, seconds: float) -> Outcome:
    """Tune by ashtune: so many trials, or so many seconds if ``trials`` is 0."""
    common: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "seed": seed,
        "quiet": True,
        "workers": 2,
    }
    ends: dict[str, Any] = {"time_limit": seconds, "max_resource": EPOCHS}
    if trials:
        ends = {"trials": trials, "max_resource": 1}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        began = time.perf_counter()
        study = ashtune.tune(
            returns if trials else trains,
            SPACE,
            directory=f"{folder}/study",
            **common,
            **ends,
            **search,
        )
        took = time.perf_counter() - began
        by_model = [sort_of(trial.origin) == Sort.MODEL for trial in study.trials]
        best = study.best.config
        return branin(best["x"], best["y"]), took, len(by_model), sum(by_model) / len(by_model)


def tpe(seed: int, trials: int, seconds: float) -> Outcome:
    """Tune by Optuna's TPE."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if trials:
            study = _optuna(seed, "")
            study.optimize(_suggested(0.0), n_trials=trials)
        else:
            journal = f"{folder}/journal.log"
            workers = [
                multiprocessing.Process(
                    target=_optimize, args=(1000 * seed + number, journal, seconds)
                )
                for number in range(2)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            study = _optuna(seed, journal)
        best = study.best_trial.params
        return branin(best["x"], best["y"]), time.perf_counter() - began, len(study.trials), 1.0


def _optuna(seed: int, journal: str) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(journal)) if journal else None
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=bool(journal))
    return optuna.create_study(
        storage=storage, study_name="branin", load_if_exists=True, sampler=sampler
    )


def _suggested(seconds: float) -> Callable[[Any], float]:
    def objective(trial: Any) -> float:
        values = {name: trial.suggest_float(name, *bounds) for name, bounds in SPACE.items()}
        compute(seconds)
        return branin(values["x"], values["y"])

    return objective


def _optimize(seed: int, journal: str, seconds: float) -> None:
    _optuna(seed, journal).optimize(_suggested(EPOCHS * EPOCH_SECONDS), timeout=seconds)


def start(command: list[str], folder: str) -> tuple[float, float, float]:
    """Run a command, and return the seconds to its first result and to its end, and its processor
    time.
    """
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    ended, after = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    first = ended
    if command[-1] == OPTUNAS:
        first = float(done.stdout)
    elif command[-1] == OURS:
        events = list(read_events(Path(folder, "study", NAME)))
        session = next(event for event in events if isinstance(event, SessionStarted))
        result = next(event for event in events if isinstance(event, JobFinished))
        first = session.unix_time + result.time - session.time
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return first - began, ended - began, processor


def show_starts(starts: int) -> None:
    """Show the time from the start of a script to its first result, the lowest and the median of
    several runs.
    """
    commands = {
        "ashtune, two workers": ["-c", OURS],
        "Optuna's TPE": ["-c", OPTUNAS],
        "ashtune report": ["-m", "ashtune", "report", "study"],
    }
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(starts):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for name, command in commands.items():
                taken[name].append(start([sys.executable, *command], folder))
    rows = []
    for name, times in taken.items():
        firsts, ends, processors = zip(*times, strict=True)
        rows.append([name, min(firsts), statistics.median(firsts), min(ends), min(processors)])
    columns = ["command", "first result, lowest", "median", "end, lowest", "processor, lowest"]
    show(
        f"Seconds from the start of a process to its first result, {starts} starts in turns",
        columns,
        rows,
    )


def main() -> None:
    """Run all of them, and show a table for starts, one for trials and one for seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=10, help="0: leave out the table of starts")
    parser.add_argument("--seeds", type=int, default=10, help="by trials; half as many by seconds")
    parser.add_argument("--trials", type=int, default=90, help="0: leave out the table by trials")
    parser.add_argument(
        "--seconds", type=float, default=12.0, help="0: leave out the table by seconds"
    )
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    if given.starts:
        show_starts(given.starts)
    for trials, seconds in ((given.trials, 0.0), (0, given.seconds)):
        if not trials and not seconds:
            continue
        seeds = given.seeds if trials else max(1, given.seeds // 2)
        rows = []
        for name in [*SEARCHES, "Optuna's TPE"]:
            outcomes = [
                tpe(seed, trials, seconds)
                if name not in SEARCHES
                else ours(SEARCHES[name], seed, trials, seconds)
                for seed in range(seeds)
            ]
            distances, took, counts, shares = zip(*outcomes, strict=True)
            middle = [f"{statistics.median(distances):.2g}", f"{max(distances):.2g}"]
            rest = [
                f"{statistics.median(each):.3g}"
                for each in (took, counts, [100 * share for share in shares])
            ]
            rows.append([name, *middle, *rest])
        what = f"{trials} trials" if trials else f"{seconds:g} s on two workers"
        columns = ["search", "median distance", "worst", "seconds", "trials", "by the model %"]
        show(f"Branin's function, {what}, {seeds} seeds", columns, rows)


if __name__ == "__main__":
    main()
