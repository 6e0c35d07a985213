"""What training processes write down while a tuner runs in wall time: a file of JSON lines for each process."""

import json
import os
import time
from pathlib import Path

from quality.runs import Report


def note(folder: str, trial: int | str, resource: int, losses: tuple[float, float]) -> None:
    """Write that a trial reached a resource now."""
    with (Path(folder) / f"reports-{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps([time.time(), trial, resource, *losses]) + "\n")


def reports(folder: str, began: float, seconds: float) -> tuple[list[Report], int]:
    """Return all that was written until so many seconds after ``began``, and the number of trials."""
    found: list[Report] = []
    trials = set()
    for path in Path(folder).glob("reports-*.jsonl"):
        for line in path.read_text().splitlines():
            at, trial, resource, validation, test = json.loads(line)
            if at - began <= seconds:
                trials.add(trial)
                found.append(Report(at - began, resource, validation, test))
    return found, len(trials)
