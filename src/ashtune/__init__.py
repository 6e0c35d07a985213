"""Hyperparameter tuning by asynchronous sequential halving, on every core."""

from typing import TYPE_CHECKING, Any

from ashtune.core.errors import AshtuneError, InvalidConfiguration, NoResultError
from ashtune.core.version import __version__

if TYPE_CHECKING:
    from ashtune.api.study import Study
    from ashtune.api.tuning import tune
    from ashtune.core.ladder import Ladder
    from ashtune.schedulers.ash import Ash
    from ashtune.schedulers.brackets import BracketedHalving
    from ashtune.schedulers.full import FullTraining
    from ashtune.schedulers.hyperband import AsyncHyperband, Hyperband
    from ashtune.schedulers.protocol import Scheduler
    from ashtune.schedulers.sh import SuccessiveHalving
    from ashtune.schedulers.stopping import StoppingAsh
    from ashtune.search.grid import Grid
    from ashtune.search.random import Random
    from ashtune.search.sobol import Sobol
    from ashtune.training.fused.jax.objective import fused
    from ashtune.training.fused.torch.objective import fused_torch
    from ashtune.training.trial import Trial

__all__ = [
    "Ash",
    "AshtuneError",
    "AsyncHyperband",
    "BracketedHalving",
    "FullTraining",
    "Grid",
    "Hyperband",
    "InvalidConfiguration",
    "Ladder",
    "NoResultError",
    "Random",
    "Scheduler",
    "Sobol",
    "StoppingAsh",
    "Study",
    "SuccessiveHalving",
    "Trial",
    "__version__",
    "fused",
    "fused_torch",
    "tune",
]

_HOMES = {
    "Ash": "ashtune.schedulers.ash",
    "AsyncHyperband": "ashtune.schedulers.hyperband",
    "BracketedHalving": "ashtune.schedulers.brackets",
    "FullTraining": "ashtune.schedulers.full",
    "Grid": "ashtune.search.grid",
    "Hyperband": "ashtune.schedulers.hyperband",
    "Ladder": "ashtune.core.ladder",
    "Random": "ashtune.search.random",
    "Scheduler": "ashtune.schedulers.protocol",
    "Sobol": "ashtune.search.sobol",
    "StoppingAsh": "ashtune.schedulers.stopping",
    "Study": "ashtune.api.study",
    "SuccessiveHalving": "ashtune.schedulers.sh",
    "Trial": "ashtune.training.trial",
    "fused": "ashtune.training.fused.jax.objective",
    "fused_torch": "ashtune.training.fused.torch.objective",
    "tune": "ashtune.api.tuning",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a worker needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ashtune' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
