"""A crowd: a study of very many trials, made up without a scheduler so that it takes a second to
make.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ConfigSpace import Float

from ashtune._src.analysis.results import Results
from ashtune._src.core.events import Event, JobFinished, SessionStarted
from ashtune._src.core.jobs import Goal
from tests.helpers.made_up import result

LOSS = Goal("loss", "min")
RUNGS = (1, 4, 16, 64)
MANY = 100_000
CROWD_SPACE: dict[str, Any] = {
    "depth": (1, 12),
    "activation": ["relu", "tanh", "gelu"],
    "momentum": (0.0, 0.99),
}
SPACE: dict[str, Any] = {
    "rate": Float("rate", (1e-4, 1.0), log=True),
    "momentum": (0.0, 1.0),
    "act": ["relu", "tanh", "gelu"],
    "k": [7],
}
THREE: list[dict[str, Any]] = [
    {"rate": 1e-3, "momentum": 0.5, "act": "tanh", "k": 7},
    {"rate": 0.1, "momentum": 0.25, "act": "relu", "k": 7},
    {"rate": 1e-2, "momentum": 0.0, "act": "gelu", "k": 7},
]


def crowd_configuration(trial: int) -> dict[str, Any]:
    """Return the configuration of a trial of the crowd."""
    chance = trial * 0.618034 % 1
    return {
        "depth": 1 + trial % 12,
        "activation": ["relu", "tanh", "gelu"][trial % 3],
        "momentum": 0.99 * chance,
    }


def crowd_loss(trial: int, resource: int) -> float:
    """Return the loss of a trial of the crowd; at each resource the trials
    are ranked another way.
    """
    return 1 / math.sqrt(resource) + (trial * 0.754877 + resource * 0.1) % 1


@lru_cache(maxsize=1)
def crowd() -> list[Event]:
    """Return the events: sequential halving of 100,000 trials, a quarter of each rung continues."""
    return [SessionStarted(0.0, 1e9, "1.0", "laptop", 1, trials=MANY), *_jobs()]


def _jobs() -> Iterator[JobFinished]:
    trials, start, time = list(range(MANY)), 0, 0.0
    for rung, resource in enumerate(RUNGS):
        for trial in trials:
            time += 0.001 * (resource - start)
            curve = [(at, {"loss": crowd_loss(trial, at)}) for at in range(start + 1, resource)]
            more = {"time": time, "start": start, "seconds": 0.001, "curve": curve}
            yield result(trial, rung, resource, {"loss": crowd_loss(trial, resource)}, **more)
        ranked = sorted(trials, key=lambda trial: crowd_loss(trial, resource))
        trials, start = sorted(ranked[: len(ranked) // 4]), resource


def results_of(losses: list[float], rungs: list[int] | None = None, goal: Goal = LOSS) -> Results:
    """Return the results of trials by their losses, each up to its rung."""
    results = Results(goal)
    for trial, loss in enumerate(losses):
        for rung in range((rungs or [0] * len(losses))[trial] + 1):
            results.event(result(trial, rung, 3**rung, {goal.metric: loss}))
    return results
