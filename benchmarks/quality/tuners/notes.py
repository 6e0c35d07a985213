"""A tuner in wall time: processes that train, and what each of them writes down in a file of JSON
lines.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from quality.runs import Report
from quality.tuners import Outcome, Setting

BEGAN = "began"
LONGEST_START = 120.0
"""Seconds until the first training begins, at most; a study that times itself is given so many
more.
"""


def in_processes(module: str, arguments: Sequence[Sequence[str]], setting: Setting) -> Outcome:
    """Run a module in one process for each list of arguments; kill all when the seconds of the
    setting are over.

    Raises:
        RuntimeError: If no worker has begun to train after two minutes.
    """
    began = time.time()
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", module, *each],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for each in arguments
    ]
    if setting.is_started:
        began = first_training(setting.folder)
    time.sleep(max(0.0, began + setting.seconds - time.time()))
    for worker in workers:
        worker.kill()
        worker.wait()
    found, trials = reports(setting.folder, began, setting.seconds)
    return Outcome(found, trials, 0.0)


def begin(folder: str) -> None:
    """Write that this process begins to train, unless another has."""
    with suppress(FileExistsError), Path(folder, BEGAN).open("x") as file:
        file.write(repr(time.time()))


def first_training(folder: str) -> float:
    """Wait until a worker begins to train; return when."""
    path, end = Path(folder, BEGAN), time.time() + LONGEST_START
    while time.time() < end:
        if path.exists() and (text := path.read_text()):
            return float(text)
        time.sleep(0.01)
    raise RuntimeError(f"{folder}: no worker has begun to train")


def note(folder: str, trial: int | str, resource: int, losses: tuple[float, float]) -> None:
    """Write that a trial reached a resource now."""
    with (Path(folder) / f"reports-{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps([time.time(), trial, resource, *losses]) + "\n")


def reports(folder: str, began: float, seconds: float) -> tuple[list[Report], int]:
    """Return all that was written until so many seconds after ``began``,
    and the number of trials.
    """
    found: list[Report] = []
    trials = set()
    for path in Path(folder).glob("reports-*.jsonl"):
        for line in path.read_text().splitlines():
            at, trial, resource, validation, test = json.loads(line)
            if at - began <= seconds:
                trials.add(trial)
                found.append(Report(at - began, resource, validation, test))
    return found, len(trials)
