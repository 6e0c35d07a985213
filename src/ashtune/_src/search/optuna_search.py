"""Search by a sampler of Optuna. The sampler uses the results of only one rung, like the model of
BOHB.

Source of the rule: Falkner, Klein, Hutter, *BOHB*, ICML 2018, https://arxiv.org/abs/1807.01774,
section 4.1: the model uses the highest rung that has enough results. Alternatives: see
``docs/decisions/0033-priors-and-others-samplers.md``.

Rule 1: each proposal comes from a new sampler. A proposal depends only on the seed, the trial's
number and the earlier results.
Rule 2: a sampler sees finished trials with one loss each, and running trials. It sees no trials as
pruned. Several losses are combined into one number, with different weights for each trial
(``scalarisation.py``).
Rule 3: the process of the proposer imports Optuna. The driver also imports Optuna, to check that
the sampler can be created.
Rule 4: the journal has the class name and options of the sampler, not a pickle, so reading a
journal executes no code.
"""

# Rules 1 and 4: decision 33 (docs/decisions/0033-priors-and-others-samplers.md).

import heapq
import math
import random
import warnings
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta
from msgspec.structs import force_setattr

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.search.mutation import Mutation
from ashtune._src.search.origins import results_text
from ashtune._src.search.random import Random
from ashtune._src.search.scalarisation import scalarise, weights_for
from ashtune._src.search.search_protocol import Design, Proposal, Proposer, Search
from ashtune._src.space.coordinates import Column
from ashtune._src.space.plain import fresh, identity
from ashtune._src.space.space import Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial, TrialState

    Sampler: TypeAlias = str | type[BaseSampler]
else:
    Sampler = str  # the type of a sampler in a journal

LEAST_RESULTS = 10
MOST_BEST = 100
MOST_NEWEST = 100
"""A sampler sees at most this many of the best finished trials, of the newest finished trials, and
of the newest running trials.
"""
MOST_INTEGERS = 10
"""For integer ranges with more values, a sampler proposes floats, which are then rounded. This is
five times as fast, and the results are equally good.
"""
REDRAWS = 10
OURS = {"TPESampler": {"multivariate": True, "group": True, "constant_liar": True}}
"""The options of a sampler if the user gives no options."""


class OptunaSearch(Search, frozen=True, tag="optuna"):
    """Propose with a sampler of Optuna, which uses the results of the highest rung that has enough
    results.

    If there are ``d`` hyperparameters, a rung with at least ten and at least ``2 (d + 1)`` results
    has enough results. All trials are random until a rung has enough results. The sampler runs in a
    separate process, with a new seed for each trial.

    Args:
        sampler: The class of one of Optuna's samplers or of your own, or its name:
            ``"TPESampler"``, ``"module:Class"``. By default TPE, which models all hyperparameters
            together (``multivariate=True, group=True, constant_liar=True``).
        options: Arguments of the class, except the seed: a dict of plain values.
        random_share: Fraction of the trials that is random.
        ahead: How many proposals are made before their trials start. With 0 each trial waits for
            its own proposal.

    Raises:
        SettingsError: If the class was not found, or an option is out of its range.

    Example:
        >>> OptunaSearch("GPSampler", {"deterministic_objective": True}).most_ahead
        2
    """

    __module__ = "ashtune"

    design_origin = "random"
    is_apart = True

    sampler: Sampler = "TPESampler"
    options: dict[str, Any] | None = None
    random_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    ahead: Annotated[int, Meta(ge=0)] = 2

    def __post_init__(self) -> None:
        if isinstance(self.sampler, type):
            force_setattr(self, "sampler", _name(self.sampler))
        super().__post_init__()

    def build(self, space: Space, seed: int) -> Design:
        """Return a design of random draws, for the trials without a proposal.

        Raises:
            SettingsError: If Optuna is not installed, or the sampler cannot be made.
        """
        self.new_sampler(0)
        return Random().build(space, seed)

    def new_sampler(self, seed: int) -> "BaseSampler":
        """Return a new sampler of Optuna.

        Raises:
            SettingsError: If Optuna is not installed, or the sampler was not found, or the
                sampler's options are not valid.
        """
        name = str(self.sampler)
        kind = _class(name)
        options = self.options
        if options is None:
            options = OURS.get(name, {})
        try:
            with warnings.catch_warnings():
                # Optuna warns that many of its options are experimental
                warnings.simplefilter("ignore")
                sampler: BaseSampler = kind(**options, seed=seed)
        except Exception as error:  # noqa: BLE001 - any exception of a foreign class
            raise SettingsError(
                f"{shown(f'{name}(**{options})')} cannot be created ({error_line(error)}); give "
                f"options of {name}, which must accept a seed"
            ) from None
        return sampler

    def stand_in(self, space: Space, seed: int) -> Proposer:
        return Mutation(random_share=0.5).proposer(space, seed, 1)

    @property
    def most_ahead(self) -> int:
        return self.ahead

    @property
    def first_proposed(self) -> int:
        """The number of random trials at the start of a study, because a sampler needs results to
        propose.
        """
        return LEAST_RESULTS

    def proposer(self, space: Space, seed: int, max_resource: int) -> Proposer:
        return OptunaProposer(self, space, seed)


def _name(kind: type) -> str:
    """Return the name by which another process can import a class."""
    if kind.__module__.startswith("optuna.samplers"):
        return kind.__name__
    if kind.__module__ == "__main__" or "<" in kind.__qualname__:
        raise SettingsError(
            f"sampler={kind.__qualname__}: a resumed study could not import this class; move it "
            "from the script to the top level of a module that can be imported"
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> Any:
    try:
        import optuna
    except ImportError:
        raise SettingsError(
            "search='optuna' needs Optuna, which is not installed: pip install 'ashtune[optuna]'"
        ) from None
    module, _, place = name.rpartition(":")
    try:
        kind: Any = import_module(module) if module else optuna.samplers
        for part in place.split("."):
            kind = getattr(kind, part)
        if not issubclass(kind, optuna.samplers.BaseSampler):
            raise TypeError("the class is not derived from BaseSampler")
    except Exception as error:  # noqa: BLE001 - any exception of a foreign module
        raise SettingsError(
            f"sampler={shown(name)} is not a sampler of Optuna ({error_line(error)}); give the "
            "name of a class in optuna.samplers, or 'module:Class'"
        ) from None
    return kind


class OptunaProposer(Proposer):
    """Asks a sampler of Optuna for proposals, based on the results of one rung.

    Attributes:
        losses: Each trial's loss by rung. The loss of a failure is infinite. With several losses or
            constraints, the key is stored instead.
        running: The trials in training.
        known: The numbers, all below 0, of the configurations with results from before the study.
    """

    def __init__(self, search: OptunaSearch, space: Space, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._search = search
        self._space = space
        self._seed = seed
        self._axes = {
            name: SampledAxis(name, space.columns[name]) for name in space.rules.parents_first
        }
        self._enough = max(
            LEAST_RESULTS, 2 * (sum(not axis.is_constant for axis in self._axes.values()) + 1)
        )
        self.losses: dict[int, dict[TrialId, Any]] = {}
        self.running: set[TrialId] = set()
        self.known: set[TrialId] = set()
        self._configurations: dict[TrialId, Mapping[str, object]] = {}
        self._tried: set[object] = set()
        # proposals that have not started
        self._proposed: deque[dict[str, object]] = deque(maxlen=max(1, search.ahead))
        # the attributes that samplers have set for their proposed trials
        self._notes: dict[object, dict[str, Any]] = {}

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        if self._is_seen(configuration):
            self.running.add(job.trial)
        self._place(job.trial, configuration)
        if configuration in self._proposed:
            self._proposed.remove(dict(configuration))

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        self.running.discard(result.trial)
        self._place(result.trial, configuration)
        if self._is_seen(configuration):
            self.losses.setdefault(result.rung, {})[result.trial] = result.loss_or_key

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        self.known.add(result.trial)
        self.observe(result, configuration)

    def propose(self, trial: int) -> Proposal | None:
        """Return the sampler's first proposal whose configuration is new. If the trial must be
        random, return None.
        """
        chance = random.Random(f"{self._seed} {trial}")
        rung = max(
            (rung for rung, losses in self.losses.items() if len(losses) >= self._enough),
            default=None,
        )
        if rung is None or chance.random() < self._search.random_share:
            return None
        trials = self._visible_trials(self._scalars(rung, trial))
        if not trials:
            return None
        for _ in range(1 + REDRAWS):
            configuration, notes = self._ask(trials, chance.getrandbits(32))
            if self._is_new(configuration):
                self._proposed.append(configuration)
                if notes:
                    self._notes[identity(configuration)] = notes
                name = str(self._search.sampler).rpartition(":")[2]
                results = self.losses[rung]
                known = len(self.known & results.keys())
                return Proposal(
                    fresh(configuration), f"{name}, {results_text(len(results), known)}"
                )
        return None

    def _place(self, trial: TrialId, configuration: Mapping[str, object]) -> None:
        self._configurations[trial] = configuration
        self._tried.add(identity(configuration))

    def _is_seen(self, configuration: Mapping[str, object]) -> bool:
        """Return whether the sampler may see a configuration. The sampler must not see a value that
        is a choice of weight 0.
        """
        return all(self._axes[name].holds(value) for name, value in configuration.items())

    def _scalars(self, rung: int, trial: int) -> Mapping[TrialId, float]:
        """Return one number for each result of a rung: the loss, or the combination of several
        losses.
        """
        import numpy as np

        losses = self.losses[rung]
        if not isinstance(next(iter(losses.values())), tuple):
            return losses
        keys = np.array(list(losses.values()))
        values = scalarise(keys, weights_for(self._seed, trial, keys.shape[1] - 1))
        return dict(zip(losses, values.tolist(), strict=True))

    def _visible_trials(self, losses: Mapping[TrialId, float]) -> "list[FrozenTrial]":
        """Return the trials that the sampler sees, finished trials first; an empty list if no trial
        succeeded.
        """
        from optuna.trial import TrialState

        best = heapq.nsmallest(MOST_BEST, losses, key=lambda trial: (losses[trial], trial))
        finished = sorted({*best, *heapq.nlargest(MOST_NEWEST, losses)})
        worst = max((losses[trial] for trial in finished if losses[trial] < math.inf), default=None)
        if worst is None:
            return []
        running = heapq.nlargest(MOST_NEWEST, self.running - losses.keys())
        unfinished = [*(self._configurations[trial] for trial in sorted(running)), *self._proposed]
        return [
            *(
                self._trial(
                    self._configurations[trial], TrialState.COMPLETE, min(losses[trial], worst)
                )
                for trial in finished
            ),
            *(self._trial(configuration, TrialState.RUNNING, None) for configuration in unfinished),
        ]

    def _trial(
        self, configuration: Mapping[str, object], state: "TrialState", loss: float | None
    ) -> "FrozenTrial":
        from optuna.trial import create_trial

        varied = {
            name: axis
            for name, axis in self._axes.items()
            if name in configuration and not axis.is_constant
        }
        return create_trial(
            state=state,
            value=loss,
            params={name: axis.to_optuna(configuration[name]) for name, axis in varied.items()},
            distributions={name: axis.distribution for name, axis in varied.items()},
            system_attrs=self._notes.get(identity(configuration)),
        )

    def _ask(
        self, trials: "list[FrozenTrial]", seed: int
    ) -> tuple[dict[str, object], dict[str, Any]]:
        """Return the proposal of a new sampler that sees some trials, and the attributes that the
        sampler has set.
        """
        import optuna

        study = optuna.create_study(sampler=self._search.new_sampler(seed))
        study.add_trials(trials)
        trial = study.ask()
        values: dict[str, object] = {}
        for name, axis in self._axes.items():  # parents come before their children
            if self._space.rules.is_active(name, values):
                values[name] = axis.ask(trial)
        notes = study.get_trials(deepcopy=False)[-1].system_attrs
        return {name: values[name] for name in self._space.names if name in values}, notes

    def _is_new(self, configuration: dict[str, object]) -> bool:
        is_known = identity(configuration) in self._tried or configuration in self._proposed
        return not (is_known or self._space.rules.forbidding(configuration))


class SampledAxis:
    """A hyperparameter in the form that samplers use. Choices become indices, and long integer
    ranges become float ranges.

    Attributes:
        is_constant: Whether the hyperparameter has only one value, so that the sampler does not see
            it.
        distribution: Optuna's distribution.
    """

    def __init__(self, name: str, column: Column) -> None:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        self._name = name
        self._choices = None if column.choices is None else list(column.every_value() or ())
        self._is_integer = column.is_integer
        self.distribution: BaseDistribution
        self.is_constant = False
        if self._choices is not None:
            count = len(self._choices)
            self.is_constant = count == 1
            if column.is_category:
                self.distribution = CategoricalDistribution(range(count))
            else:
                self.distribution = IntDistribution(0, count - 1)
            return
        self._low = column.low
        self._high = column.high
        is_log = column.is_log
        if not column.is_integer:
            self.distribution = FloatDistribution(float(self._low), float(self._high), log=is_log)
        elif self._high - self._low < MOST_INTEGERS:
            self.distribution = IntDistribution(int(self._low), int(self._high), log=is_log)
        else:
            self.distribution = FloatDistribution(self._low - 0.5, self._high + 0.5, log=is_log)

    def holds(self, value: object) -> bool:
        """Return whether the sampler could propose a value of this hyperparameter."""
        return self._choices is None or value in self._choices

    def to_optuna(self, value: Any) -> Any:
        """Convert a value of this hyperparameter to the form that the sampler uses."""
        if self._choices is not None:
            return self._choices.index(value)
        # bounds are rounded, so a value may lie outside
        return min(max(value, self._low), self._high)

    def ask(self, trial: "Trial") -> object:
        """Return the value that the sampler proposes for this hyperparameter."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        place: Any = 0
        if not self.is_constant:
            match self.distribution:
                case CategoricalDistribution(choices=choices):
                    place = trial.suggest_categorical(self._name, choices)
                case IntDistribution(low=low, high=high, log=log):
                    place = trial.suggest_int(self._name, low, high, log=log)
                case FloatDistribution(low=low, high=high, log=log):
                    place = trial.suggest_float(self._name, low, high, log=log)
        if self._choices is not None:
            return self._choices[place]
        value = min(max(round(place) if self._is_integer else place, self._low), self._high)
        return int(value) if self._is_integer else float(value)
