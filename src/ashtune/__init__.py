"""Hyperparameter tuning by asynchronous sequential halving, on every core.

Here is what a script that tunes needs. A scheduler or a search without options has a name, as in ``scheduler="ash"``.
The protocols of parts are in their packages, as ``ashtune.schedulers.protocol``.
"""

from typing import TYPE_CHECKING, Any

from ashtune.core.errors import AshtuneError, InvalidConfiguration, NoResultError
from ashtune.core.version import __version__

if TYPE_CHECKING:
    from ashtune.api.open_study import NextStep, OpenStudy, open_study
    from ashtune.api.study import Study
    from ashtune.api.tuning import tune
    from ashtune.core.confirm import Confirm
    from ashtune.core.enough import NotWorthIt
    from ashtune.driver.options import Stop
    from ashtune.engines.options import MPI, Auto, Local
    from ashtune.schedulers.ash import Ash
    from ashtune.schedulers.hyperband import AsyncHyperband, Hyperband
    from ashtune.schedulers.pasha import Pasha
    from ashtune.search.gp import GP
    from ashtune.search.grid import Grid
    from ashtune.search.mutation import Mutation
    from ashtune.search.optuna_search import OptunaSearch
    from ashtune.space.parsing import Choice, Ordered, When
    from ashtune.space.priors import Prior
    from ashtune.training.fused.jax.objective import fused
    from ashtune.training.fused.torch.objective import fused_torch
    from ashtune.training.program import Program
    from ashtune.training.trial import Trial, current_trial

__all__ = [
    "GP",
    "MPI",
    "Ash",
    "AshtuneError",
    "AsyncHyperband",
    "Auto",
    "Choice",
    "Confirm",
    "Grid",
    "Hyperband",
    "InvalidConfiguration",
    "Local",
    "Mutation",
    "NextStep",
    "NoResultError",
    "NotWorthIt",
    "OpenStudy",
    "OptunaSearch",
    "Ordered",
    "Pasha",
    "Prior",
    "Program",
    "Stop",
    "Study",
    "Trial",
    "When",
    "__version__",
    "current_trial",
    "fused",
    "fused_torch",
    "open_study",
    "tune",
]

_NAMES = {
    "ashtune.api.open_study": ["NextStep", "OpenStudy", "open_study"],
    "ashtune.api.study": ["Study"],
    "ashtune.api.tuning": ["tune"],
    "ashtune.core.confirm": ["Confirm"],
    "ashtune.core.enough": ["NotWorthIt"],
    "ashtune.driver.options": ["Stop"],
    "ashtune.engines.options": ["MPI", "Auto", "Local"],
    "ashtune.schedulers.ash": ["Ash"],
    "ashtune.schedulers.hyperband": ["AsyncHyperband", "Hyperband"],
    "ashtune.schedulers.pasha": ["Pasha"],
    "ashtune.search.gp": ["GP"],
    "ashtune.search.grid": ["Grid"],
    "ashtune.search.mutation": ["Mutation"],
    "ashtune.search.optuna_search": ["OptunaSearch"],
    "ashtune.space.parsing": ["Choice", "Ordered", "When"],
    "ashtune.space.priors": ["Prior"],
    "ashtune.training.fused.jax.objective": ["fused"],
    "ashtune.training.fused.torch.objective": ["fused_torch"],
    "ashtune.training.program": ["Program"],
    "ashtune.training.trial": ["Trial", "current_trial"],
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a worker needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ashtune' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
