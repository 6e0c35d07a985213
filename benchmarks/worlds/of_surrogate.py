"""LCBench's surrogate as worlds: see ``quality/surrogate.py``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ashtune._src.core.jobs import TrialId
from quality.surrogate import TOP, Surrogate, Task

TASKS = ("3945", "167104", "168331", "189862")
"""Tasks on which no constant of the searches was chosen."""


class OfSurrogate:
    """A task of the surrogate as a world."""

    top = TOP

    def __init__(self, task: Task) -> None:
        self._task = task
        self.name, self.space = f"surrogate {task.name}", task.space

    @property
    def full_training(self) -> float:
        return self._task.full_training

    def begin(self, seed: int) -> "SurrogateRun":
        return SurrogateRun(self._task, seed)


class SurrogateRun:
    """One study of a task."""

    def __init__(self, task: Task, seed: int) -> None:
        self._task, self._seed = task, seed

    def train(
        self, trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        return self._task.train(self._seed, trial, configuration, start, target)

    def regret(self, trial: TrialId, configuration: Mapping[str, Any]) -> float:
        return self._task.regret(configuration)


def worlds(folder: Path) -> list[OfSurrogate]:
    """Return the worlds; the folder holds YAHPO's ``model.onnx`` for LCBench."""
    surrogate = Surrogate(folder)
    return [OfSurrogate(Task(surrogate, name)) for name in TASKS]
