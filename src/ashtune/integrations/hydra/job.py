"""A job of a Hydra sweep as a training function: the config is composed in the worker, and Hydra's task runs there.

Rule 1: all jobs of a trial have the trial's number, so they have one directory.
Rule 2: a worker has the state that Hydra has in the program: stored configs, resolvers, callbacks.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune.integrations.hydra.overrides import Swept
from ashtune.training.current import is_asked_for
from ashtune.training.reports import MetricMissing
from ashtune.training.trial import Trial

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig

ENVIRONMENT = (
    "HYDRA_DEPRECATION_WARNINGS_AS_ERRORS", "HYDRA_FULL_ERROR", "HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE",
    "HYDRA_MAIN_MODULE",
)  # fmt: skip
"""What Hydra reads. Workers begin without: MPICH's launcher, whose variables they are not to see, is a Hydra too."""


class Job:
    """Runs the task of a Hydra program, as its launchers do.

    Args:
        task: What ``@hydra.main`` decorates.
        config: Of the sweep.
        context: What composes configs, and what is called back.
        swept: The overrides of a configuration.
        composed: Configs of the sweep: a study is not continued with others.
        top: The most that a trial is trained.
    """

    def __init__(
        self, task: Callable[..., Any], config: "DictConfig", context: "HydraContext", swept: Swept,
        *, composed: Sequence["DictConfig"], top: int,
    ) -> None:  # fmt: skip
        from hydra.core.singleton import Singleton

        self.__name__ = str(config.hydra.job.name)
        self.__wrapped__ = task
        self._config, self._context, self._swept, self._top = config, context, swept, top
        self._folder = str(Path(str(config.hydra.sweep.dir)).absolute())  # a study may be resumed from elsewhere
        self._composed = _digest(composed)
        self._state = Singleton.get_state()
        self._environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}

    def version_parts(self) -> dict[str, Any]:
        """Return what makes its results what they are: the task, and the configs without Hydra's own part."""
        return {"task": self.__wrapped__, "configs": self._composed}

    def __call__(self, trial: Trial) -> Any:
        """Run the task on a trial; return what it returns.

        Raises:
            MetricMissing: If the task has not asked for the trial, so cannot know how far it is to be trained.
            Exception: What the task raises.
        """
        from hydra.core.utils import run_job
        from omegaconf import open_dict

        self._arrive()
        overrides = self._swept.overrides(trial.config)
        config = self._context.config_loader.load_sweep_config(self._config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = trial.number
            config.hydra.sweep.dir = self._folder
        done = run_job(
            task_function=self.__wrapped__, config=config, job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir", hydra_context=self._context,
        )  # fmt: skip
        returned = done.return_value
        if trial.target < self._top and not is_asked_for():
            raise MetricMissing(
                f"{self.__wrapped__.__name__}() never calls ashtune.current_trial(), so it trains all at once, and "
                f"max_resource={self._top} has rungs below; call it and report from inside, or leave max_resource out"
            )
        return returned

    def _arrive(self) -> None:
        """Give Hydra in this process the state that it has in the program, once."""
        from hydra.core.singleton import Singleton

        if self._state is not None:
            os.environ.update(self._environment)
            Singleton.set_state(self._state)
            self._state = None


def _digest(composed: Sequence["DictConfig"]) -> str:
    """Return a digest of what configs say, apart from Hydra's own part, with interpolations as they stand."""
    from omegaconf import OmegaConf

    digest = hashlib.blake2b(digest_size=12)
    for config in composed:
        own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        digest.update(OmegaConf.to_yaml(own).encode())
    return digest.hexdigest()
