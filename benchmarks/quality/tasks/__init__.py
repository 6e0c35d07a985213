"""Real trainings to tune, one module a kind of learner. A task is found by its name; its module is
imported then.
"""

from functools import cache
from importlib import import_module
from pathlib import Path

from quality.tasks.protocol import Task

MODULES = {
    "letter_xgboost": "xgboosts",
    "diamonds_xgboost": "xgboosts",
    "protein_xgboost": "xgboosts",
    "letter_forest": "forests",
    "digits_boosting": "boosting",
    "digits_network": "networks",
    "protein_network": "networks",
    "mnist_network": "jax_networks",
    "mnist_convolutions": "convolutions",
}


@cache
def task(name: str, data: str) -> Task:
    """Return a task, its data read once in each process.

    Args:
        name: One of ``MODULES``.
        data: The folder with ``tabular`` and ``mnist``.

    Raises:
        ImportError: If its library is not installed.
    """
    made: Task = import_module(f"quality.tasks.{MODULES[name]}").make(name, Path(data))
    return made
