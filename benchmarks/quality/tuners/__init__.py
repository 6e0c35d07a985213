"""The tuners that are compared: ashtune's searches, and peers by their own code. A peer is imported
when it is run.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from quality.runs import Report


class Setting(NamedTuple):
    """What a run is about.

    Args:
        task: The task's name.
        data: The folder of the tasks' data.
        seed: Of the tuner.
        workers: How many train.
        seconds: How long, of wall time or of virtual time.
        folder: Where the run may keep files.
        rungs: At which resources ashtune compares trials.
        unit: Of virtual time: seconds that a unit of resource takes, whatever the configuration; 0:
            the CPU time that training takes counts, and that of proposals if they are not free.
        is_started: Whether the time begins when the first worker begins to train, start-up and
            imports left out.
        is_free: Whether a proposal takes no virtual time.
    """

    task: str
    data: str
    seed: int
    workers: int
    seconds: float
    folder: str
    rungs: tuple[int, ...]
    unit: float = 0.0
    is_started: bool = False
    is_free: bool = False


class Outcome(NamedTuple):
    """What came of a run: all reports, the number of trials, and the
    seconds that proposing took.
    """

    reports: list[Report]
    trials: int
    proposing: float


Tuner = Callable[[str, Setting], Outcome]

TUNERS = {
    "ashtune gp": ("ashtune_searches", "gp"),
    "ashtune random": ("ashtune_searches", "random"),
    "ashtune mutation": ("ashtune_searches", "mutation"),
    "one epoch, keep the best": ("one_epoch", ""),
    "optuna tpe": ("optuna_studies", "tpe"),
    "optuna tpe halving": ("optuna_studies", "tpe halving"),
    "optuna tpe hyperband": ("optuna_studies", "tpe hyperband"),
    "optuna gp": ("optuna_studies", "gp"),
    "neps asha": ("neps_runs", "asha"),
    "neps bo": ("neps_runs", "bayesian_optimization"),
}
DEFAULT, ALONE, ONE_EPOCH = "ashtune gp", "ashtune random", "one epoch, keep the best"
"""The search that is to be the best, and the two baselines that it must never be behind."""


def is_peer(tuner: str) -> bool:
    """Say whether a tuner is another's."""
    return tuner != ONE_EPOCH and not tuner.startswith("ashtune")


def run(tuner: str, clock: str, setting: Setting) -> Outcome:
    """Run a tuner.

    Args:
        tuner: Its name.
        clock: "wall" or "training" for processes in wall time, else virtual time in one process.
        setting: What it tunes, and how long.

    Raises:
        ImportError: If it is not installed.
    """
    module, variant = TUNERS[tuner]
    found: Any = import_module(f"quality.tuners.{module}")
    tune: Tuner = found.in_wall_time if clock in ("wall", "training") else found.in_virtual_time
    return tune(variant, setting)
