"""Hyperparameter tuning by asynchronous sequential halving, on every core.

A scheduler or a search with default options can be given by its name, as in ``scheduler="ash"``.
"""

from typing import TYPE_CHECKING, Any

from ashtune._src.core.version import __version__
from ashtune.errors import AshtuneError, InvalidConfiguration, NoResultError

if TYPE_CHECKING:
    from ashtune._src.api.open_study import NextStep, OpenStudy, open_study
    from ashtune._src.api.study import Study
    from ashtune._src.api.tuning import tune
    from ashtune._src.core.confirm import Confirm
    from ashtune._src.core.enough import NotWorthIt
    from ashtune._src.driver.study_options import Stop
    from ashtune._src.engines.cluster.cluster_driver import Cluster
    from ashtune._src.engines.cluster.executors import Executors
    from ashtune._src.engines.session_options import MPI, Auto, Local
    from ashtune._src.schedulers.ash import Ash
    from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband
    from ashtune._src.schedulers.pasha import Pasha
    from ashtune._src.search.gp import GP
    from ashtune._src.search.grid import Grid
    from ashtune._src.search.mutation import Mutation
    from ashtune._src.search.optuna_search import OptunaSearch
    from ashtune._src.space.parsing import Choice, Ordered, When
    from ashtune._src.space.priors import Prior
    from ashtune._src.training.fused.jax.jax_objective import fused
    from ashtune._src.training.fused.torch.torch_objective import fused_torch
    from ashtune._src.training.program import Program
    from ashtune._src.training.trial import Trial, current_trial

__all__ = [
    "GP",
    "MPI",
    "Ash",
    "AshtuneError",
    "AsyncHyperband",
    "Auto",
    "Choice",
    "Cluster",
    "Confirm",
    "Executors",
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
    "ashtune._src.api.open_study": ["NextStep", "OpenStudy", "open_study"],
    "ashtune._src.api.study": ["Study"],
    "ashtune._src.api.tuning": ["tune"],
    "ashtune._src.core.confirm": ["Confirm"],
    "ashtune._src.core.enough": ["NotWorthIt"],
    "ashtune._src.driver.study_options": ["Stop"],
    "ashtune._src.engines.cluster.cluster_driver": ["Cluster"],
    "ashtune._src.engines.cluster.executors": ["Executors"],
    "ashtune._src.engines.session_options": ["MPI", "Auto", "Local"],
    "ashtune._src.schedulers.ash": ["Ash"],
    "ashtune._src.schedulers.hyperband": ["AsyncHyperband", "Hyperband"],
    "ashtune._src.schedulers.pasha": ["Pasha"],
    "ashtune._src.search.gp": ["GP"],
    "ashtune._src.search.grid": ["Grid"],
    "ashtune._src.search.mutation": ["Mutation"],
    "ashtune._src.search.optuna_search": ["OptunaSearch"],
    "ashtune._src.space.parsing": ["Choice", "Ordered", "When"],
    "ashtune._src.space.priors": ["Prior"],
    "ashtune._src.training.fused.jax.jax_objective": ["fused"],
    "ashtune._src.training.fused.torch.torch_objective": ["fused_torch"],
    "ashtune._src.training.program": ["Program"],
    "ashtune._src.training.trial": ["Trial", "current_trial"],
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used. So workers do not import all public names."""
    if name not in _HOMES:
        from ashtune._src.core.words import check_name

        check_name(name)
        raise AttributeError(f"module 'ashtune' has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(_HOMES[name]), name)
    except KeyboardInterrupt:
        # after Ctrl-C during the import, the traceback shows the user's line
        raise KeyboardInterrupt from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
