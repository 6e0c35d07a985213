"""Runs a Hydra sweep as a study: reads the sweep's options, runs the study, and writes the best
result to a file.

Overrides such as ``lr=tag(log,interval(1e-4,1e-1))``, ``depth=range(1,9)``, ``batch=16,32`` and
``model=glob(*)`` form the search space. All other overrides are the same in every job.

The file ``optimization_results.yaml`` has ``name``, ``best_params`` and ``best_value``. Hydra's own
sweepers for Optuna, Ax and Nevergrad write the same file.

Rule 1: Hydra's launchers are not used, because a launcher waits for a whole batch of jobs. If the
user chose a launcher, the sweep is refused.
Rule 2: the worker composes the config of a job and runs the user's Hydra task. All jobs of a trial
use the trial's directory.
Rule 3: a worker has the same Hydra state as the program: the same stored configs, resolvers and
callbacks.
"""

import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.api.study import Study
from ashtune._src.api.tuning import run_study
from ashtune._src.core.errors import SettingsError, SpaceError
from ashtune._src.core.numbers import number_text
from ashtune._src.core.option import checked, options_of
from ashtune._src.core.plaintext import shown
from ashtune._src.driver.study_options import TuneOptions, chosen_halving
from ashtune._src.engines.engine_registry import engine_for
from ashtune._src.study.disk import DISK, write_new
from ashtune._src.study.journal import NAME
from ashtune._src.training.reports import MetricMissing
from ashtune._src.training.trial import Trial, is_asked_for

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override
    from hydra.types import HydraContext
    from omegaconf import DictConfig

MOST_VALUES = 10_000
"""The largest number of values of a range with a step, because each value is listed."""
MOST_PROBES = 100
"""At most this many values of a list are tried before a study begins, because Hydra needs up to a
tenth of a second for each value.
"""


class Dimension(msgspec.Struct, frozen=True):
    """The search dimension of one override.

    ``key`` is the override's left side, such as ``+model.depth``. ``name`` is the dimension's name
    in the study. ``values`` is a range or a list, as in :func:`~ashtune.tune`. If ``values`` is a
    list of texts in Hydra's notation, ``meanings`` maps each text to the value that it represents.
    ``examples`` are values for sample jobs.
    """

    key: str
    name: str
    values: Any
    examples: Sequence[Any]
    meanings: Mapping[str, Any] = {}

    def override(self, value: Any) -> str:
        """Return the override that gives the dimension a value."""
        return f"{self.key}={value}"

    def meaning(self, value: Any) -> Any:
        """Convert a text in Hydra's notation to its value. Any other value
        is returned unchanged.
        """
        return self.meanings.get(value, value) if isinstance(value, str) else value


class Swept:
    """The overrides of a Hydra sweep. Some overrides are searched, and the others are the same in
    every job.
    """

    def __init__(self, overrides: Sequence[str | Dimension]) -> None:
        self._overrides = overrides
        self._dimensions = [each for each in overrides if isinstance(each, Dimension)]

    @property
    def space(self) -> dict[str, Any]:
        """The search space."""
        return {dimension.name: dimension.values for dimension in self._dimensions}

    def overrides(self, configuration: Mapping[str, Any]) -> list[str]:
        """Return all overrides of a job, computed from the trial's configuration."""
        return [
            each.override(configuration[each.name]) if isinstance(each, Dimension) else each
            for each in self._overrides
        ]

    def parameters(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of each searched override, computed from a trial's configuration."""
        return {each.key: each.meaning(configuration[each.name]) for each in self._dimensions}

    def probes(self) -> Iterator[list[str]]:
        """Yield the overrides of sample jobs, which together contain each listed value and both
        ends of each range.
        """
        most = max(len(dimension.examples) for dimension in self._dimensions)
        for place in range(min(most, MOST_PROBES)):
            yield self.overrides(
                {each.name: each.examples[place % len(each.examples)] for each in self._dimensions}
            )


def read(arguments: Sequence[str], params: Mapping[str, Any], loader: "ConfigLoader") -> Swept:
    """Read the overrides of a Hydra sweep.

    Args:
        arguments: The overrides of the command line.
        params: The overrides of the config, by key. A key that is also on the command line is
            ignored.
        loader: Hydra's loader, which knows the options of config groups for ``glob``.

    Raises:
        SpaceError: If nothing is searched, a key occurs twice, or a range is empty.
        HydraException: If an override cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=loader)
    given = parser.parse_overrides(list(arguments))
    keys = {_key(override) for override in given}
    lines = [f"{key}={'null' if value is None else value}" for key, value in params.items()]
    overrides = [
        override for override in parser.parse_overrides(lines) if _key(override) not in keys
    ] + given
    swept = [_key(override) for override in overrides if override.is_sweep_override()]
    if not swept:
        raise SpaceError(
            "no override has a range or a list of values; give one, such as lr=interval(1e-4,1e-1) "
            "or batch=16,32"
        )
    for key in swept:
        lines = [str(override.input_line) for override in overrides if _key(override) == key]
        if len(lines) > 1:
            raise SpaceError(
                f"{len(lines)} overrides set {key}: {' and '.join(lines)}; give one of them"
            )
    return Swept(
        [
            _dimension(each) if each.is_sweep_override() else str(each.input_line)
            for each in overrides
        ]
    )


def _key(override: "Override") -> str:
    return str(override.key_or_group) + (f"@{override.package}" if override.package else "")


def _dimension(override: "Override") -> Dimension:
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep

    key = override.get_key_element()
    name = _key(override).replace("@", ":")
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        bounds = (sweep.start, sweep.end)
        if bounds[0] == bounds[1]:
            return Dimension(key, name, [bounds[0]], [bounds[0]])
        return Dimension(key, name, _ranged(*bounds, sweep.tags), bounds)
    if isinstance(sweep, RangeSweep):
        return _of_range(key, name, sweep, str(override.input_line))
    # The list of a ChoiceSweep is used and not its iterator, because the iterator would shuffle
    # values that have the tag shuffle.
    elements = list(sweep.list if isinstance(sweep, ChoiceSweep) else override.sweep_iterator())
    if not elements:
        raise SpaceError(
            f"{override.input_line} has no values; give at least one, as in {key}=sgd,adam; "
            "`python main.py --help` lists the options of config groups"
        )
    return _of_choices(key, name, elements)


def _ranged(low: Any, high: Any, tags: set[str]) -> tuple[Any, ...]:
    return (low, high, "log") if "log" in tags else (low, high)


def _of_range(key: str, name: str, sweep: Any, line: str) -> Dimension:
    """Return the dimension of ``range(start,stop,step)``: a range of whole numbers, or a list of
    numbers.
    """
    numbers = sweep.range() if sweep.step else ()
    if isinstance(numbers, range) and len(numbers) > 1 and abs(numbers.step) == 1:
        low, high = sorted((numbers[0], numbers[-1]))
        return Dimension(key, name, _ranged(low, high, sweep.tags), (low, high))
    if "log" in sweep.tags:
        raise SpaceError(
            f"{line}: log needs a step of 1; give tag(log,interval(low,high)), or remove log"
        )
    values = sorted(islice(numbers, MOST_VALUES + 1))
    if not 0 < len(values) <= MOST_VALUES:
        how_many = f"more than {MOST_VALUES:,}" if values else "no"
        raise SpaceError(
            f"{line} has {how_many} values; give range(1,9) for 1 to 8, or interval(low,high)"
        )
    return Dimension(key, name, values, (values[0], values[-1]))


def _of_choices(key: str, name: str, elements: Sequence[Any]) -> Dimension:
    """Return the dimension of a list. If an element is not a number, all elements become texts in
    Hydra's notation.
    """
    from hydra.core.override_parser.types import Transformer

    if all(type(element) in (int, float) and math.isfinite(element) for element in elements):
        return Dimension(key, name, list(elements), list(elements))
    meanings = {
        text: _meaning(element, text)
        for element in elements
        if (text := str(Transformer.str(element)))
    }
    texts = list(meanings)
    return Dimension(key, name, texts, texts, meanings)


def _meaning(element: Any, text: str) -> Any:
    """Return the value of a list element for the file with the best result."""
    if element is None or isinstance(element, str | int | float):
        return element
    # A quoted text has its content in the attribute text.
    return getattr(element, "text", text)


ENVIRONMENT = (
    "HYDRA_DEPRECATION_WARNINGS_AS_ERRORS", "HYDRA_FULL_ERROR",
    "HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE",
    "HYDRA_MAIN_MODULE",
)  # fmt: skip
"""Environment variables that Hydra reads. Workers start without them, because the launcher of
MPICH, which is also called Hydra, would read them too.
"""


class HydraJob:
    """A training function that runs the task of a Hydra program, as Hydra's launchers do."""

    def __init__(
        self, task: Callable[..., Any], config: "DictConfig", context: "HydraContext", swept: Swept,
        *, composed: Sequence["DictConfig"], top: int,
    ) -> None:  # fmt: skip
        from hydra.core.singleton import Singleton

        self.__name__ = str(config.hydra.job.name)
        self.__wrapped__ = task
        self._config = config
        self._context = context
        self._swept = swept
        self._top = top
        # The path is absolute, because a study may be resumed from another folder.
        self._folder = str(Path(str(config.hydra.sweep.dir)).absolute())
        self._composed = _digest(composed)
        self._state = Singleton.get_state()
        self._environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}

    def version_parts(self) -> dict[str, Any]:
        """Return the task and a digest of the configs, because results
        depend on task and configs.
        """
        return {"task": self.__wrapped__, "configs": self._composed}

    def __call__(self, trial: Trial) -> Any:
        """Run the user's Hydra task for a trial, and return the task's result.

        Raises:
            MetricMissing: If the task has not requested the trial. Such a task cannot know how long
                it must train.
            Exception: Any exception that the task raises.
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
                f"{self.__wrapped__.__name__}() never calls ashtune.current_trial(), so trials "
                f"cannot stop at the rungs below max_resource={self._top}; call "
                "ashtune.current_trial() and report each epoch, or remove max_resource"
            )
        return returned

    def _arrive(self) -> None:
        """At the first call, set Hydra's state in this process to the state
        of the user's program.
        """
        from hydra.core.singleton import Singleton

        if self._state is not None:
            os.environ.update(self._environment)
            Singleton.set_state(self._state)
            self._state = None


def _digest(composed: Sequence["DictConfig"]) -> str:
    """Return a digest of configs without the key ``hydra``. Interpolations are not resolved."""
    from omegaconf import OmegaConf

    digest = hashlib.blake2b(digest_size=12)
    for config in composed:
        own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        digest.update(OmegaConf.to_yaml(own).encode())
    return digest.hexdigest()


RESULTS = "optimization_results.yaml"
MULTIRUN = "multirun.yaml"
BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
OF_THE_SWEEP = ("params", "options", "directory", "metric", "mode")
"""Settings of the sweeper that are not options of ``tune``, or that must be converted for ``tune``.
"""

log = logging.getLogger(__name__)


class Sweep:
    """One sweep."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        task: Callable[..., Any],
        config: "DictConfig",
        context: "HydraContext",
    ) -> None:
        from omegaconf import OmegaConf

        given: Any = OmegaConf.to_container(OmegaConf.create(dict(settings)), resolve=True)
        self._settings: dict[str, Any] = {**given, **given["options"]}
        self._task = task
        self._config = config
        self._context = context

    def run(self, arguments: Sequence[str]) -> Study:
        """Run or continue the sweep's study, and write the file with the best result.

        If the sweep runs under MPI, only rank 0 returns from ``run``.

        Raises:
            AshtuneError: If the sweep or an option is invalid; the message has one line.
            OSError: If the folder of the sweep cannot be written.
        """
        options = self._options()
        self._refuse_launcher()
        if options.get("engine") == "threads":
            raise SettingsError(
                "engine='threads' cannot be used, because Hydra has only one config per process; "
                "remove engine"
            )
        options["engine"] = engine_for(options)
        _, ladder = chosen_halving(checked(TuneOptions, options))
        metric = self._named("metric", "loss")
        swept, composed = self._composed(arguments)
        job = HydraJob(
            self._task, self._config, self._context, swept, composed=composed, top=ladder.rungs[-1]
        )
        folder = Path(str(self._config.hydra.sweep.dir))
        # The path is absolute, because a job may change the current folder.
        directory = folder.absolute() / self._named("directory", "study")
        self._keep_config(folder, directory)
        mode = self._named("mode", "min")
        study = run_study(
            job, swept.space, metric=metric, mode=mode, directory=directory, **options
        )
        self._write_best(folder / RESULTS, study, swept)
        return study

    def _options(self) -> dict[str, Any]:
        """Return the sweep's options for ``tune``. The function reads texts such as ``2h`` as the
        command line does.
        """
        given = {name: value for name, value in self._settings.items() if name not in OF_THE_SWEEP}
        for name, (_, option) in options_of(TuneOptions).items():
            value = given.get(name)
            if isinstance(value, str) and option.parse is not None:
                try:
                    given[name] = option.parse(value)
                except ValueError as error:
                    raise SettingsError(f"hydra.sweeper.{name}: {error}") from None
        options = {name: value for name, value in given.items() if value is not None}
        return options if "rungs" in options else {"max_resource": 1, **options}

    def _named(self, name: str, example: str) -> Any:
        if self._settings[name] is None:
            raise SettingsError(
                f"hydra.sweeper.{name} is missing; give hydra.sweeper.{name}={example}"
            )
        return self._settings[name]

    def _refuse_launcher(self) -> None:
        launcher = self._config.hydra.launcher
        target = BASIC_LAUNCHER if launcher is None else launcher.get("_target_", "")
        if target != BASIC_LAUNCHER:
            raise SettingsError(
                f"hydra/launcher={shown(target)} cannot be used: hydra/sweeper=ashtune runs jobs "
                "in its own workers (hydra.sweeper.workers=4, or the ranks of an MPI launch); "
                "remove hydra/launcher"
            )

    def _composed(self, arguments: Sequence[str]) -> tuple[Swept, list["DictConfig"]]:
        """Return the sweep's overrides, and the configs that Hydra composed for sample jobs."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        loader = self._context.config_loader
        try:
            swept = read(arguments, self._settings["params"], loader)
            return swept, [
                loader.load_sweep_config(self._config, overrides) for overrides in swept.probes()
            ]
        except (HydraException, OmegaConfBaseException) as error:
            # If Hydra cannot read an override, only this attribute of the exception names it.
            texts = (getattr(error, "override", ""), error, error.__cause__ or "")
            reason = "; ".join(filter(None, map(str, texts)))
            raise SettingsError(reason or type(error).__name__) from None

    def _keep_config(self, folder: Path, study: Path) -> None:
        """If the sweep is new, write its config to a file, as Hydra's own sweepers do."""
        from omegaconf import OmegaConf

        folder.mkdir(parents=True, exist_ok=True)
        if not (study / NAME).exists():
            OmegaConf.save(self._config, folder / MULTIRUN)

    def _write_best(self, path: Path, study: Study, swept: Swept) -> None:
        from omegaconf import OmegaConf

        best = study.best
        parameters = swept.parameters(best.config)
        value = best.metrics[study.metric]
        results = {
            "name": "ashtune", "best_params": parameters, "best_value": value,
            "best_trial": best.trial, "best_resource": best.resource,
        }  # fmt: skip
        pairs = " ".join(f"{key}={value}" for key, value in parameters.items())
        result = (
            f"{study.metric}={number_text(value, 6)} of trial {best.trial} at {study.unit} "
            f"{best.resource}"
        )
        log.info(f"Best: {result}: {pairs}")
        text = OmegaConf.to_yaml(OmegaConf.create(results))
        write_new(DISK, str(path), text.encode(), is_synced=False)
