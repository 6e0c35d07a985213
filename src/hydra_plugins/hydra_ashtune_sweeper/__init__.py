"""The Hydra sweeper ``ashtune``, chosen by ``hydra/sweeper: ashtune`` in a config's defaults or on
the command line.

Hydra imports this module at every start of every Hydra program. Therefore ashtune is imported only
when a sweep begins, from ``integrations/hydra.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Union  # noqa: UP035 - OmegaConf reads these

from hydra.core.config_store import ConfigStore
from hydra.errors import CompactHydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class AshtuneSweeperConf:
    """The options of the sweeper. Some options of ``ashtune.tune`` are fields; ``options`` takes
    all other options.
    """

    _target_: str = "hydra_plugins.hydra_ashtune_sweeper.AshtuneSweeper"
    metric: Optional[str] = None  # noqa: UP045 - as OmegaConf reads it
    mode: Optional[str] = None  # noqa: UP045
    trials: Optional[int] = None  # noqa: UP045
    max_resource: Optional[int] = None  # noqa: UP045
    min_resource: Optional[Union[int, str]] = None  # noqa: UP007, UP045
    workers: Optional[int] = None  # noqa: UP045
    search: Optional[str] = None  # noqa: UP045
    scheduler: str = "ash"
    seed: int = 0
    time_limit: Optional[Union[int, float, str]] = None  # noqa: UP007, UP045
    directory: str = "study"
    params: Dict[str, Any] = field(default_factory=dict)  # noqa: UP006
    options: Dict[str, Any] = field(default_factory=dict)  # noqa: UP006


ConfigStore.instance().store(
    group="hydra/sweeper", name="ashtune", node=AshtuneSweeperConf, provider="ashtune"
)


class AshtuneSweeper(Sweeper):  # type: ignore[misc]  # Hydra's types are not followed, see pyproject.toml
    """Tunes by asynchronous halving. Jobs run in ashtune's own workers, and Hydra's launchers are
    not used.

    Args:
        settings: The fields of :class:`AshtuneSweeperConf`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Store the objects that Hydra gives to each sweeper."""
        self.hydra_context = hydra_context
        self.config = config
        self._task = task_function

    def sweep(self, arguments: List[str]) -> Any:  # noqa: UP006 - Hydra's signature
        """Run the study of a sweep.

        Args:
            arguments: The overrides of the command line.

        Returns:
            The :class:`~ashtune.Study`.

        Raises:
            CompactHydraException: If something cannot be used; Hydra prints its message and exits
                with status 1.
        """
        from ashtune._src.core.errors import AshtuneError
        from ashtune._src.integrations.hydra import Sweep

        overrides: Sequence[str] = arguments
        try:
            return Sweep(self._settings, self._task, self.config, self.hydra_context).run(overrides)
        except (AshtuneError, OSError) as error:
            raise CompactHydraException(str(error)) from None
