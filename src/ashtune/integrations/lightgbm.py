"""LightGBM: a callback that lets a study train a booster to its rung, and a whole training function.

Rule 1: the saved booster has all its rounds. Its ``best_iteration`` is the best round, so that the booster predicts
with the rounds up to the best one, as after LightGBM's own early stopping.
Rule 2: if rows or columns are drawn, :func:`seeds` gives each round its own seeds, so that a booster that continues
from a rung has the same trees as a booster that never stopped. LightGBM itself would draw the same rows and columns
again. The draws of LightGBM's objective ``rank_xendcg`` get no seeds of :func:`seeds`, so they repeat.
Rule 3: a ``Dataset`` keeps predictions of a booster that continued with it. Therefore the prepared data are for new
trials, and a trial that continues gets its own data. A ``Dataset`` also keeps parameters that a later trial does not
set. Therefore a ``Dataset`` is made again for a trial whose parameters have other names.
Rule 4: a round that finds no split adds no tree, so a booster may have fewer trees than rounds. Reports and draws are
counted in rounds; ``best_iteration`` is counted in trees.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.integrations.boosting import ENDLESS, BoosterObjective, Data, Rounds, as_arguments, seed_of, threads
from ashtune._src.training.trial import Trial

with needs_extra("lightgbm"):
    import lightgbm
    from lightgbm.callback import EarlyStopException

__all__ = ["booster_objective", "callback", "seeds", "threads"]

ROWS = ("bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction")
COLUMNS = ("feature_fraction", "feature_fraction_bynode")
SEED_OF = {**dict.fromkeys(ROWS, "bagging_seed"), **dict.fromkeys(COLUMNS, "feature_fraction_seed"),
           "extra_trees": "extra_seed"}  # fmt: skip
"""Parameters for random draws, and the seed parameter of each."""
THREAD_NAMES = ("num_threads", "num_thread", "nthread", "nthreads", "n_jobs")
NEARLY = 1e-9
"""The relative change of a fraction for a moment; LightGBM reads fewer digits than a float has."""
VALID_SETS = "valid_sets=[dvalid]"
SEEDED = "_ashtune_seeds"
"""The attribute that marks a booster with seeds for each round."""
BEST = "_ashtune_best_round"
"""The attribute for a booster's best round, which may differ from its number of trees then."""
_PARAMETER = re.compile(r"^\[(\w+): (.*)\]$", re.MULTILINE)


def callback(trial: Trial, *, metric: str | None = None, data: str | None = None) -> Any:
    """Return a callback that makes a booster train to the trial's rung, reports its rounds and saves the booster.

    With ``init_model=trial.restore()``, the booster continues from the last rung. Give a number of rounds of at least
    ``max_resource``; the callback ends the training. If the parameters make the booster draw rows or columns, use
    :func:`seeds` too. The objective ``rank_xendcg`` repeats its draws after each rung.

    Args:
        trial: The trial.
        metric: The reported metric, such as "l2"; by default the study's metric.
        data: The name of the data set in ``valid_sets`` whose metric is reported; by default the last data set.

    Example:
        >>> def train(trial):
        ...     dtrain, dvalid = load()
        ...     lightgbm.train(
        ...         trial.config, dtrain, 1_000, valid_sets=[dvalid],
        ...         init_model=trial.restore(), callbacks=[callback(trial), seeds(trial)],
        ...     )
        >>> space = {"eta": (0.01, 0.5, "log")}
        >>> study = tune(train, space, metric="l2", mode="min", trials=8, max_resource=27, quiet=True)
    """
    return _LightGBMCallback(trial, metric, data)


def seeds(trial: Trial) -> Any:
    """Return a callback that sets the seeds of each round, for parameters that draw rows or columns.

    Args:
        trial: The trial.
    """
    return _Seeds(trial)


class _LightGBMCallback:
    def __init__(self, trial: Trial, metric: str | None, data: str | None) -> None:
        self.order, self.before_iteration = 25, False  # after LightGBM's recording, before its early stopping
        self._trial = trial
        self._rounds = Rounds(trial, metric=metric, data=data)
        self._is_begun = False
        self._best_trees = 0

    def __call__(self, env: Any) -> None:
        """Report a round; end the training if the round was the last."""
        rounds = self._rounds
        evaluations: dict[str, dict[str, float]] = {}
        for name, metric, value, *_ in env.evaluation_result_list or ():
            evaluations.setdefault(name, {})[metric] = value
        if not self._is_begun:
            self._is_begun = True
            self._begin(env, evaluations)
            if not rounds.next():  # the study stops; this round is not used
                if (saved := self._trial.restore()) is not None:
                    self._trial.save(saved)
                raise EarlyStopException(env.iteration, env.evaluation_result_list)
        rounds.report(rounds.value(evaluations))
        if rounds.best_round == rounds.number:
            self._best_trees = env.model.current_iteration()
        if rounds.next():
            if env.iteration + 1 == env.end_iteration:
                rounds.check_over("num_boost_round, or n_estimators")
            return
        self._save(env.model)
        raise EarlyStopException(self._best_trees - 1, env.evaluation_result_list)

    def _begin(self, env: Any, evaluations: Mapping[str, Mapping[str, float]]) -> None:
        """Read the booster's progress."""
        rounds, start = self._rounds, self._trial.start
        saved = self._trial.restore() if start else None
        trees = saved.current_iteration() if saved is not None else 0
        if env.begin_iteration != trees:
            raise ObjectiveError(
                f"the booster begins with {env.begin_iteration} trees where trial {self._trial.number} goes on from "
                f"{start} with {trees}; give init_model=trial.restore()"
            )
        if not start and env.model.train_set.get_init_score() is not None:
            raise ObjectiveError(
                "the training data have an init_score, yours or what a booster that went on has left in this Dataset: "
                "a booster that goes on begins with its own predictions; leave it out, and make a Dataset for each call"
            )
        rounds.choose(evaluations, VALID_SETS)
        chosen = rounds.data, rounds.metric
        is_higher_better = next(each[3] for each in env.evaluation_result_list if (each[0], each[1]) == chosen)
        rounds.check_direction("LightGBM", is_higher_better=is_higher_better)
        settings = _settings(env.model)
        rounds.has_best = settings["boosting"] != "dart"
        drawn = _drawing(settings)
        if drawn and not hasattr(env.model, SEEDED):
            raise ObjectiveError(
                f"{drawn[0]}={settings[drawn[0]]} would draw the same again after each rung; "
                "give callbacks=[callback(trial), seeds(trial)]"
            )
        if saved is not None and rounds.has_best:
            self._best_trees = saved.best_iteration
            rounds.note(getattr(saved, BEST, saved.best_iteration), rounds.value(saved.best_score))

    def _save(self, model: Any) -> None:
        rounds = self._rounds
        booster = lightgbm.Booster(model_str=model.model_to_string(num_iteration=-1))  # without the data
        if rounds.has_best:
            booster.best_iteration = self._best_trees
            setattr(booster, BEST, rounds.best_round)
            booster.best_score = {rounds.data: {rounds.metric: rounds.best}}
        self._trial.save(booster)


class _Seeds:
    """Sets the seeds of each round.

    A booster uses a new seed for columns at once. A new seed for rows is used only when a fraction changes, so the
    fraction is changed by a tiny amount and back. By itself, a booster draws rows at each ``bagging_freq``-th tree
    since the last rung. Such a draw gets the seed of the last round that is a multiple of ``bagging_freq``, so it gives
    the same rows again.
    """

    def __init__(self, trial: Trial) -> None:
        self.order, self.before_iteration = 0, True
        self._start = trial.start
        self._settings: dict[str, str] = {}
        self._drawn: list[str] = []

    def __call__(self, env: Any) -> None:
        """Set the seeds of a round."""
        if not self._settings:
            setattr(env.model, SEEDED, True)
            self._settings = _settings(env.model)
            self._drawn = _drawing(self._settings)
        number = self._start + env.iteration - env.begin_iteration
        trees = env.model.current_iteration() - env.begin_iteration
        names = {SEED_OF[name] for name in self._drawn if name not in ROWS}
        given: dict[str, Any] = {name: self._seed(name, number) for name in names}
        rows = next((name for name in self._drawn if name in ROWS), None)
        every = int(self._settings["bagging_freq"])
        if rows is not None and 0 in (number % every, trees % every):
            fraction, seed = float(self._settings[rows]), SEED_OF[rows]
            env.model.reset_parameter({rows: fraction * (1 - NEARLY)})
            given |= {rows: fraction, seed: self._seed(seed, number // every)}
        if given:
            env.model.reset_parameter(given)  # one call: a second one would draw columns again, and undo a draw of rows

    def _seed(self, name: str, number: int) -> int:
        return seed_of(int(self._settings[name]), number)


def _settings(model: Any) -> dict[str, str]:
    """Return all parameters of a booster by LightGBM's main names."""
    return dict(_PARAMETER.findall(model.model_to_string(num_iteration=1)))


def _drawing(settings: Mapping[str, str]) -> list[str]:
    """Return the parameters that make the booster draw randomly."""
    has_rows = int(settings["bagging_freq"]) > 0
    drawn = [name for name in (*ROWS, *COLUMNS) if float(settings[name]) < 1 and (has_rows or name not in ROWS)]
    return [*drawn, *(["extra_trees"] if settings["extra_trees"] == "1" else [])]


def booster_objective(
    params: Mapping[str, Any], dtrain: Data, dvalid: Data, *, metric: str | None = None, **options: Any
) -> BoosterObjective:
    """Return a training function for ``tune`` that trains a booster; its resource is rounds.

    ``study.best.load()`` is the booster with all its rounds; it predicts with the rounds up to the best one.

    Args:
        params: Parameters of ``lightgbm.train``; the trial's hyperparameters override them.
        dtrain: The training data: arrays ``(X, y)``, a dict of arguments of ``Dataset``, or a function that is called
            once in each worker and returns one of these.
        dvalid: The evaluation data, in the same form.
        metric: The reported metric; by default the study's metric.
        options: Arguments of ``lightgbm.train``: ``feval``.

    Raises:
        ObjectiveError: If the data have another form, or the parameters contain the number of rounds.

    Example:
        >>> objective = booster_objective({"objective": "regression"}, (X[:400], y[:400]), (X[400:], y[400:]))
        >>> study = tune(
        ...     objective, {"eta": (0.01, 0.5, "log")}, metric="l2", mode="min", trials=8, max_resource=27, quiet=True
        ... )
        >>> study.best.load().num_trees()
        27
    """
    return _LightGBM("lightgbm", params, dtrain, dvalid, metric=metric, options=options)


class _LightGBM(BoosterObjective):
    def prepare(self, train: Any, valid: Any) -> tuple[Any, Any]:
        """Return both data sets as arguments of ``Dataset``."""
        return as_arguments(train), as_arguments(valid)

    def check(self, names: Sequence[str]) -> None:
        """Refuse names in the space or among the fixed parameters that LightGBM would silently ignore.

        Raises:
            ObjectiveError: If there is an ignored name, or if the number of rounds is a hyperparameter.
        """
        super().check(names)
        from lightgbm.basic import _ConfigAliases  # the library has no public list

        every: Mapping[str, Collection[str]] = _ConfigAliases._get_all_param_aliases()
        known = set(every).union(*every.values())
        for name in (*names, *self.params):
            if name not in known:
                raise ObjectiveError(f"LightGBM has no parameter {name!r}; its documentation lists those it has")

    @staticmethod
    def same_names(names: Collection[str]) -> Collection[str]:
        from lightgbm.basic import _ConfigAliases  # the library has no public list

        aliases: set[str] = _ConfigAliases.get_by_alias(*names)
        return aliases

    def __call__(self, trial: Trial) -> None:
        parameters = self.parameters(trial, {"verbosity": -1, "feature_pre_filter": False}, THREAD_NAMES)
        before = trial.restore()
        dtrain, dvalid = self._of_new_trials(frozenset(parameters)) if before is None else self._datasets()
        lightgbm.train(
            parameters, dtrain, ENDLESS, valid_sets=[dvalid], valid_names=["valid"], init_model=before,
            callbacks=[callback(trial, metric=self.metric), seeds(trial)], **self.options,
        )  # fmt: skip

    def _of_new_trials(self, names: frozenset[str]) -> tuple[Any, Any]:
        """Return this thread's data for new trials that have parameters with these names."""
        own = self._own
        if getattr(own, "names", None) != names:
            own.names, own.datasets = names, self._datasets(free_raw_data=False)
        datasets: tuple[Any, Any] = own.datasets
        return datasets

    def _datasets(self, **more: Any) -> tuple[Any, Any]:
        train, valid = self.data()
        dtrain = lightgbm.Dataset(**train, **more)
        return dtrain, lightgbm.Dataset(**valid, reference=dtrain, **more)
