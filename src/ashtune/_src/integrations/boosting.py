"""What the modules for XGBoost, LightGBM and CatBoost share: the rounds of a trial, their reports, and the data.

Rule 1: what is reported is the best value so far, by the study's mode, and its round. A training that went on and got
worse ranks where it was best, and its first rounds up to there are the model with that value.
Rule 2: a rung has at most REPORTS reports: every n-th round and the last one.
Rule 3: how far a trial is trained is the study's decision. A training that ends by itself before that fails.
Rule 4: the data are read once in each worker, or in each thread of ``engine="threads"``: the libraries keep what they
have prepared for training in them.
"""

import math
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.jobs import derived_seed
from ashtune._src.core.plaintext import shown
from ashtune._src.engines.resources import available_cores
from ashtune._src.training.reports import MetricMissing, names_text
from ashtune._src.training.trial import Trial

REPORTS = 20
"""The most reports of a rung: each is written into the journal."""
BEST_ROUND = "best_round"
"""The metric that says after how many rounds the best value was reached."""
ENDLESS = 1_000_000
"""Rounds that a library is asked for where the study says when to stop."""
ROUND_NAMES = frozenset({
    "n_estimators", "num_boost_round", "num_boost_rounds", "num_iteration", "num_iterations", "n_iter", "num_tree",
    "num_trees", "num_round", "num_rounds", "nrounds", "max_iter", "iterations", "early_stopping_round",
    "early_stopping_rounds", "n_iter_no_change", "od_type", "od_pval", "od_wait",
})  # fmt: skip
"""What the libraries call the number of rounds, or when to stop: with a study the rounds are the resource."""

Evaluations = Mapping[str, Mapping[str, Any]]
"""Name of a data set -> name of a metric -> values."""
Data = Sequence[Any] | Mapping[str, Any] | Callable[[], Any]


class Rounds:
    """The rounds of a trial, while its training function runs, and which value of a round is reported.

    Args:
        trial: The trial.
        metric: Which metric is reported; by default the one with the name of the study's.
        data: Of which data set; by default of the last one that is evaluated.

    Attributes:
        metric: The name of the metric that is reported.
        data: The name of its data set, from :meth:`choose` on.
        has_best: Whether the first rounds of a model are what the model was then. Else, as with DART, which changes
            earlier trees, each value is reported as it is.
        number: The round that has begun last, from 1.
        best: The best value so far, None before any.
        best_round: Its round.
        is_over: Whether no round follows: the trial is at its rung and not promoted at once, or the study stops.

    Raises:
        ObjectiveError: If the study is after several metrics.
    """

    def __init__(self, trial: Trial, *, metric: str | None = None, data: str | None = None) -> None:
        if len(trial.metrics) > 1:
            raise ObjectiveError(
                f"the study needs {names_text(dict.fromkeys(trial.metrics))}; the callback reports one metric, so give "
                "tune one"
            )
        self.trial = trial
        self.metric = trial.metric if metric is None else metric
        self.data = data
        self.has_best = True
        self.number = 0
        self.best: float | None = None
        self.best_round = 0
        self.is_over = False
        self._epochs = trial.epochs()
        self._start, self._every, self._target = 0, 1, -1

    def choose(self, evaluations: Evaluations, how: str) -> None:
        """Settle whose values are reported, when the first evaluations are there.

        Raises:
            MetricMissing: If it is not evaluated.
        """
        if not evaluations:
            raise MetricMissing(f"no data are evaluated, so there is nothing to report; give {how}")
        self.data = list(evaluations)[-1] if self.data is None else self.data
        if self.metric not in evaluations.get(self.data, ()):
            there = [f"{metric} of {data}" for data, metrics in evaluations.items() for metric in metrics]
            found = names_text(dict.fromkeys(there))
            raise MetricMissing(
                f"{shown(self.metric)} of {shown(self.data)} is not evaluated, but {found}; give the library its "
                "parameter for metrics, or callback(trial, metric=...) the name of one that is"
            )

    def check_direction(self, library: str, *, is_higher_better: bool) -> None:
        """Refuse a study that is after the worst value of the metric, as its library sees it.

        Raises:
            ObjectiveError: If it is.
        """
        mode = self.trial.mode
        if is_higher_better != (mode == "max"):
            better, right = ("higher", "max") if is_higher_better else ("lower", "min")
            raise ObjectiveError(
                f"mode={mode!r}: {library} says that {self.metric} is better the {better} it is; "
                f"give tune mode={right!r}"
            )

    def value(self, evaluations: Evaluations) -> Any:
        """Return what has been evaluated of the metric that is reported."""
        assert self.data is not None, "it is chosen at the first round"
        return evaluations[self.data][self.metric]

    def next(self) -> bool:
        """Begin the next round, of the next rung if the trial is promoted at once; return False if none follows."""
        number = next(self._epochs, None)
        if number is None:
            self.is_over = True
            return False
        if self.trial.target != self._target:
            self._start, self._target = number - 1, self.trial.target
            self._every = math.ceil((self._target - self._start) / REPORTS)
        self.number = number
        return True

    def report(self, value: float) -> None:
        """Take in what the round has reached; report the best so far if it is time to."""
        self.note(self.number, value)
        if self.number == self._target or (self.number - self._start) % self._every == 0:
            self.trial.report({self.trial.metric: self.best, BEST_ROUND: self.best_round})

    def note(self, number: int, value: float) -> None:
        """Take in what a round has reached, one before the last rung too, and report nothing."""
        if not self.has_best or self._improves(value):
            self.best, self.best_round = float(value), number

    def _improves(self, value: float) -> bool:
        if self.best is None or math.isnan(self.best):
            return True
        return value > self.best if self.trial.mode == "max" else value < self.best

    def check_over(self, how: str) -> None:
        """Refuse a training that has ended by itself.

        Raises:
            ObjectiveError: If rounds were left.
        """
        if not self.is_over:
            raise ObjectiveError(
                f"training ended after {self.number - 1} rounds of {self._target}: give {how} of at least the study's "
                "max_resource, and no early stopping of the library's own: the study says when to stop"
            )


def seed_of(seed: int, number: int) -> int:
    """Return a seed below 2**31, which is what the libraries take, that follows from a seed and a round's number."""
    return derived_seed(seed, number) >> 1


def threads() -> int:
    """Return how many threads training may use: the cores that are this worker's.

    They are in OMP_NUM_THREADS, which ashtune sets in each of its processes. Without it a thread of
    ``engine="threads"`` has one, and a script all that it may use.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # of nested regions one number each
    if first.isdigit() and int(first):
        return int(first)
    return available_cores() if threading.current_thread() is threading.main_thread() else 1


class BoosterObjective:
    """A training function that trains a booster; the base class of what ``booster_objective`` returns.

    Args:
        name: Of the library, by which the study's directory is called.
        params: Fixed parameters; hyperparameters are laid over them.
        dtrain: What is trained on.
        dvalid: What is evaluated.
        metric: Which metric is reported.
        options: What the library's training is given besides.

    Raises:
        ObjectiveError: If data are of no kind that can be sent, or the number of rounds is among the parameters.
    """

    def __init__(
        self, name: str, params: Mapping[str, Any], dtrain: Data, dvalid: Data,
        *, metric: str | None, options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        if not isinstance(params, Mapping):
            raise ObjectiveError(
                f"params is {shown(params)}; give a dict of the library's parameters first, then dtrain and dvalid"
            )
        self.__name__ = name
        self.params, self.metric, self.options = dict(params), metric, dict(options)
        self._check_rounds(self.params, "params")
        self._check_rounds(self.options, "options")
        self._sources = dtrain, dvalid
        for source in self._sources:
            if not callable(source):
                as_arguments(source)
        self._own = threading.local()

    def check(self, names: Sequence[str]) -> None:
        """Refuse a space in which the number of rounds is a hyperparameter.

        Raises:
            ObjectiveError: If it is.
        """
        self._check_rounds(names, "the space")

    def version_parts(self) -> dict[str, Any]:
        """Return what makes its results what they are: what the user has given."""
        return {"params": self.params, "data": self._sources, "metric": self.metric, "options": self.options}

    @staticmethod
    def _check_rounds(names: Collection[str], where: str) -> None:
        found = sorted(ROUND_NAMES.intersection(names))
        if found:
            raise ObjectiveError(
                f"{found[0]!r} is in {where}; the rounds are what the study shares out: give max_resource= to tune"
            )

    def parameters(self, trial: Trial, defaults: Mapping[str, Any], thread_names: Collection[str]) -> dict[str, Any]:
        """Return the parameters of a trial: defaults, over them the fixed ones, over them the hyperparameters."""
        parameters: dict[str, Any] = {}
        for given in (defaults, self.params, trial.config):
            covered = self.same_names(given)  # under another name too: the library would take either, or neither
            parameters = {name: value for name, value in parameters.items() if name not in covered} | dict(given)
        if not parameters.keys() & set(thread_names):
            parameters[next(iter(thread_names))] = threads()
        return parameters

    @staticmethod
    def same_names(names: Collection[str]) -> Collection[str]:
        """Return names of parameters, and all other names that the library has for these."""
        raise NotImplementedError

    def data(self) -> tuple[Any, Any]:
        """Return what is trained on and what is evaluated, as :meth:`prepare` returns it; once in each thread."""
        if not hasattr(self._own, "data"):
            self._own.data = self.prepare(*(source() if callable(source) else source for source in self._sources))
        data: tuple[Any, Any] = self._own.data
        return data

    def prepare(self, train: Any, valid: Any) -> tuple[Any, Any]:
        """Return the data as the library trains on them."""
        raise NotImplementedError

    def __call__(self, trial: Trial) -> None:
        """Train a trial to its rung."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to the workers: not what is prepared there."""
        return {name: value for name, value in vars(self).items() if name != "_own"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _own=threading.local())


def with_synonyms(names: Collection[str], synonyms: Collection[Collection[str]]) -> set[str]:
    """Return names, and those of each group of synonyms that has one of them."""
    given = set(names)
    return given.union(*(group for group in synonyms if not given.isdisjoint(group)))


def as_arguments(data: Any) -> dict[str, Any]:
    """Return data as arguments of the library's own class: of a pair, "data" and "label".

    Raises:
        ObjectiveError: If they are no pair and no dict.
    """
    if isinstance(data, Mapping):
        return dict(data)
    if isinstance(data, tuple | list) and len(data) == 2:
        return {"data": data[0], "label": data[1]}
    raise ObjectiveError(
        f"the data are {shown(data)}; give arrays (X, y), a dict with the library's names for them, or a function that "
        "returns one of these and is called once in each worker"
    )
