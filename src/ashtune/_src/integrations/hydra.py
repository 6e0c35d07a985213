"""Runs a Hydra sweep as a study: reads the sweep's options, runs the study, and writes the best result to a file.

Source of ``optimization_results.yaml`` (``name``, ``best_params``, ``best_value``): Hydra's own sweepers for Optuna, Ax
and Nevergrad write such a file.

Rule: Hydra's launchers are not used, because a launcher waits for a whole batch of jobs. A sweep for which the user
chose a launcher is refused.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune._src.api.study import Study
from ashtune._src.api.tuning import run_study
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.numbers import number_text
from ashtune._src.core.options import checked, options_of
from ashtune._src.core.plaintext import shown
from ashtune._src.driver.options import TuneOptions, chosen_halving
from ashtune._src.engines.protocol import AUTO
from ashtune._src.engines.registry import choose_engine
from ashtune._src.integrations.hydra_job import HydraJob, Swept, read
from ashtune._src.study.disk import DISK, write_new
from ashtune._src.study.journal import NAME

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig

RESULTS, MULTIRUN = "optimization_results.yaml", "multirun.yaml"
BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
OF_THE_SWEEP = ("params", "options", "directory", "metric", "mode")
"""Settings of the sweeper that are not options of ``tune``, or need a conversion."""

log = logging.getLogger(__name__)


class Sweep:
    """One sweep."""

    def __init__(
        self, settings: Mapping[str, Any], task: Callable[..., Any], config: "DictConfig", context: "HydraContext"
    ) -> None:
        from omegaconf import OmegaConf

        given: Any = OmegaConf.to_container(OmegaConf.create(dict(settings)), resolve=True)
        self._settings: dict[str, Any] = {**given, **given["options"]}
        self._task, self._config, self._context = task, config, context

    def run(self, arguments: Sequence[str]) -> Study:
        """Run or continue the sweep's study, and write the file with the best result.

        Under MPI, ``run`` returns only on rank 0.

        Raises:
            AshtuneError: If the sweep or an option is invalid; the message has one line.
            OSError: If the folder of the sweep cannot be written.
        """
        options = self._options()
        self._refuse_launcher()
        if options.get("engine") == "threads":
            raise SettingsError("engine='threads': Hydra has one config for a process; leave engine out")
        engine = choose_engine(options.get("engine", AUTO), workers_given=options.get("workers") is not None)
        options["engine"] = engine
        _, ladder = chosen_halving(checked(TuneOptions, options))
        metric = self._named("metric", "loss")
        swept, composed = self._composed(arguments)
        job = HydraJob(self._task, self._config, self._context, swept, composed=composed, top=ladder.rungs[-1])
        folder = Path(str(self._config.hydra.sweep.dir))
        directory = folder.absolute() / self._named("directory", "study")  # a job may change the current folder
        self._keep_config(folder, directory)
        mode = self._named("mode", "min")
        study = run_study(job, swept.space, metric=metric, mode=mode, directory=directory, **options)
        self._write_best(folder / RESULTS, study, swept)
        return study

    def _options(self) -> dict[str, Any]:
        """Return the sweep's options for ``tune``; texts such as ``2h`` are read as on the command line."""
        given = {name: value for name, value in self._settings.items() if name not in OF_THE_SWEEP}
        known = options_of(TuneOptions)
        for name, value in given.items():
            parse = known[name][1].parse if name in known else None
            if isinstance(value, str) and parse is not None:
                try:
                    given[name] = parse(value)
                except ValueError as error:
                    raise SettingsError(f"hydra.sweeper.{name}: {error}") from None
        options = {name: value for name, value in given.items() if value is not None}
        return options if "rungs" in options else {"max_resource": 1, **options}

    def _named(self, name: str, example: str) -> Any:
        if self._settings[name] is None:
            raise SettingsError(f"hydra.sweeper.{name} is missing; give it, as in hydra.sweeper.{name}={example}")
        return self._settings[name]

    def _refuse_launcher(self) -> None:
        launcher = self._config.hydra.launcher
        target = BASIC_LAUNCHER if launcher is None else launcher.get("_target_", "")
        if target != BASIC_LAUNCHER:
            raise SettingsError(
                f"hydra/launcher {shown(target)} is not used: jobs of hydra/sweeper=ashtune run in its own workers "
                "(hydra.sweeper.workers=4, or the ranks of an MPI launch); leave hydra/launcher out"
            )

    def _composed(self, arguments: Sequence[str]) -> tuple[Swept, list["DictConfig"]]:
        """Return the sweep's overrides, and configs of sample jobs, to check that Hydra can compose the configs."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        loader = self._context.config_loader
        try:
            swept = read(arguments, self._settings["params"], loader)
            return swept, [loader.load_sweep_config(self._config, overrides) for overrides in swept.probes()]
        except (HydraException, OmegaConfBaseException) as error:
            texts = (getattr(error, "override", ""), error, error.__cause__ or "")  # the override, if it cannot be read
            reason = "; ".join(filter(None, map(str, texts)))
            raise SettingsError(reason or type(error).__name__) from None

    def _keep_config(self, folder: Path, study: Path) -> None:
        """Write the config of a new sweep to a file, as Hydra's own sweepers do."""
        from omegaconf import OmegaConf

        folder.mkdir(parents=True, exist_ok=True)
        if not (study / NAME).exists():
            OmegaConf.save(self._config, folder / MULTIRUN)

    def _write_best(self, path: Path, study: Study, swept: Swept) -> None:
        from omegaconf import OmegaConf

        best = study.best
        parameters, value = swept.parameters(best.config), best.metrics[study.metric]
        results = {
            "name": "ashtune", "best_params": parameters, "best_value": value,
            "best_trial": best.trial, "best_resource": best.resource,
        }  # fmt: skip
        pairs = " ".join(f"{key}={value}" for key, value in parameters.items())
        result = f"{study.metric}={number_text(value, 6)} of trial {best.trial} at {study.unit} {best.resource}"
        log.info(f"Best: {result}: {pairs}")
        text = OmegaConf.to_yaml(OmegaConf.create(results))
        write_new(DISK, str(path), text.encode(), is_synced=False)
