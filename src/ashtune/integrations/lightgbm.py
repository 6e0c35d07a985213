"""Trains LightGBM boosters in a study, with callbacks in the user's training function.

Rule 1: a saved booster has all rounds of its training. As after LightGBM's own early stopping, a
saved booster predicts only with the rounds up to its ``best_iteration``.
Rule 2: if LightGBM draws rows or columns, :func:`seeds` gives each round its own seeds. Therefore a
booster whose training pauses at a rung has the same trees as a booster that is trained without a
pause. If :func:`seeds` is not used, LightGBM draws the same rows and columns again after each rung.
The objective ``rank_xendcg`` is an exception: its random draws repeat after each rung.
Rule 3: a ``Dataset`` stores the predictions of a booster that continued its training. Therefore a
new trial whose ``Dataset`` has an ``init_score`` is refused.
Rule 4: a round that finds no split adds no tree, so a booster may have fewer trees than rounds.
Reports and random draws are counted in rounds, but ``best_iteration`` is counted in trees.
"""

import re
from collections.abc import Mapping
from typing import Any

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.integrations.boosting import Rounds, seed_of, threads
from ashtune._src.training.trial import Trial

with needs_extra("lightgbm"):
    import lightgbm
    from lightgbm.callback import EarlyStopException

__all__ = ["callback", "seeds", "threads"]

ROWS = ("bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction")
COLUMNS = ("feature_fraction", "feature_fraction_bynode")
SEED_OF = {**dict.fromkeys(ROWS, "bagging_seed"), **dict.fromkeys(COLUMNS, "feature_fraction_seed"),
           "extra_trees": "extra_seed"}  # fmt: skip
"""Parameters for random draws, and the seed parameter of each."""
NEARLY = 1e-9
"""A tiny relative change of a fraction of rows. It is not smaller, because LightGBM reads fewer
digits than a float has.
"""
VALID_SETS = "valid_sets=[dvalid]"
SEEDED = "_ashtune_seeds"
"""The attribute that marks a booster with seeds for each round."""
BEST = "_ashtune_best_round"
"""The attribute for a booster's best round, which may differ from the number of trees after this
round.
"""
_PARAMETER = re.compile(r"^\[(\w+): (.*)\]$", re.MULTILINE)


def callback(trial: Trial, *, metric: str | None = None, data: str | None = None) -> Any:
    """Return a callback that reports the rounds of a booster, ends its training at the trial's
    rung, and saves it.

    Give the training function ``init_model=trial.restore()``, so that the booster continues from
    the last rung. The number of rounds must be at least the study's ``max_resource``. If the
    parameters make the booster draw rows or columns, also give :func:`seeds` as a callback. The
    objective ``rank_xendcg`` repeats its draws after each rung.

    Args:
        trial: The trial.
        metric: The reported metric, such as "l2"; by default the study's metric.
        data: The name of the data set in ``valid_sets`` whose metric is reported; by default the
            last data set.

    Example:
        >>> def train(trial):
        ...     dtrain, dvalid = load()
        ...     lightgbm.train(
        ...         trial.config, dtrain, 1_000, valid_sets=[dvalid],
        ...         init_model=trial.restore(), callbacks=[callback(trial), seeds(trial)],
        ...     )
        >>> space = {"eta": (0.01, 0.5, "log")}
        >>> study = tune(
        ...     train, space, metric="l2", mode="min", trials=8, max_resource=27, quiet=True
        ... )
    """
    return _LightGBMCallback(trial, metric, data)


def seeds(trial: Trial) -> Any:
    """Return a callback that sets LightGBM's seeds for each round, if LightGBM draws rows or
    columns.

    Args:
        trial: The trial.
    """
    return _Seeds(trial)


class _LightGBMCallback:
    def __init__(self, trial: Trial, metric: str | None, data: str | None) -> None:
        # LightGBM calls callbacks in ascending order: the recording callback has 20, early stopping
        # has 30.
        self.order = 25
        self.before_iteration = False
        self._trial = trial
        self._rounds = Rounds(trial, metric=metric, data=data)
        self._is_begun = False
        self._best_trees = 0

    def __call__(self, env: Any) -> None:
        """Report a round. If the study does not let the trial continue, end the training."""
        rounds = self._rounds
        evaluations: dict[str, dict[str, float]] = {}
        for name, metric, value, *_ in env.evaluation_result_list or ():
            evaluations.setdefault(name, {})[metric] = value
        if not self._is_begun:
            self._is_begun = True
            self._begin(env, evaluations)
            if not rounds.next():
                # The study stops. LightGBM has already trained a round, which is not used.
                saved = self._trial.restore()
                if saved is not None:
                    self._trial.save(saved)
                raise EarlyStopException(env.iteration, env.evaluation_result_list)
        rounds.report(rounds.value(evaluations))
        if rounds.best_round == rounds.number:
            self._best_trees = env.model.current_iteration()
        if rounds.next():
            if env.iteration + 1 == env.end_iteration:
                rounds.check_over("num_boost_round (or n_estimators)")
            return
        self._save(env.model)
        raise EarlyStopException(self._best_trees - 1, env.evaluation_result_list)

    def _begin(self, env: Any, evaluations: Mapping[str, Mapping[str, float]]) -> None:
        rounds = self._rounds
        start = self._trial.start
        saved = self._trial.restore() if start else None
        trees = saved.current_iteration() if saved is not None else 0
        if env.begin_iteration != trees:
            raise ObjectiveError(
                f"the booster has {env.begin_iteration} trees, but trial {self._trial.number} "
                f"continues from round {start} with {trees} trees; give init_model=trial.restore()"
            )
        if not start and env.model.train_set.get_init_score() is not None:
            raise ObjectiveError(
                "the Dataset has an init_score, which would replace the predictions of the "
                "continued booster; remove init_score, and make a new Dataset in each call (a "
                "continued booster leaves an init_score in its Dataset)"
            )
        rounds.choose(evaluations, VALID_SETS)
        chosen = rounds.data, rounds.metric
        is_higher_better = next(
            each[3] for each in env.evaluation_result_list if (each[0], each[1]) == chosen
        )
        rounds.check_direction("LightGBM", is_higher_better=is_higher_better)
        settings = _settings(env.model)
        rounds.has_best = settings["boosting"] != "dart"
        drawn = _drawing(settings)
        if drawn and not hasattr(env.model, SEEDED):
            raise ObjectiveError(
                f"{drawn[0]}={settings[drawn[0]]} would make a promoted trial repeat earlier "
                "random draws; give callbacks=[callback(trial), seeds(trial)]"
            )
        if saved is not None and rounds.has_best:
            self._best_trees = saved.best_iteration
            rounds.note(getattr(saved, BEST, saved.best_iteration), rounds.value(saved.best_score))

    def _save(self, model: Any) -> None:
        rounds = self._rounds
        # A copy without the training data, which would make the checkpoint large.
        booster = lightgbm.Booster(model_str=model.model_to_string(num_iteration=-1))
        if rounds.has_best:
            booster.best_iteration = self._best_trees
            setattr(booster, BEST, rounds.best_round)
            booster.best_score = {rounds.data: {rounds.metric: rounds.best}}
        self._trial.save(booster)


class _Seeds:
    """Sets LightGBM's seeds for each round. A booster uses a new seed for columns immediately, but
    a new seed for rows only if the fraction of rows changes. Therefore the callback changes the
    fraction of rows by a tiny amount, and then changes it back. A booster draws new rows at every
    ``bagging_freq``-th tree since the last rung. Each draw of rows gets the seed of the last round
    that is a multiple of ``bagging_freq``. Therefore the first draw after a rung repeats the rows
    of the last draw before the rung.
    """

    def __init__(self, trial: Trial) -> None:
        self.order = 0
        self.before_iteration = True
        self._start = trial.start
        self._settings: dict[str, str] = {}
        self._drawn: list[str] = []

    def __call__(self, env: Any) -> None:
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
            fraction = float(self._settings[rows])
            seed = SEED_OF[rows]
            env.model.reset_parameter({rows: fraction * (1 - NEARLY)})
            given |= {rows: fraction, seed: self._seed(seed, number // every)}
        if given:
            # All parameters are set in one call, because a second call would draw columns again and
            # undo a draw of rows.
            env.model.reset_parameter(given)

    def _seed(self, name: str, number: int) -> int:
        return seed_of(int(self._settings[name]), number)


def _settings(model: Any) -> dict[str, str]:
    """Return all parameters of a booster. LightGBM's main names replace synonyms."""
    return dict(_PARAMETER.findall(model.model_to_string(num_iteration=1)))


def _drawing(settings: Mapping[str, str]) -> list[str]:
    """Return the parameters that make a booster draw rows or columns at random."""
    has_rows = int(settings["bagging_freq"]) > 0
    drawn = [
        name
        for name in (*ROWS, *COLUMNS)
        if float(settings[name]) < 1 and (has_rows or name not in ROWS)
    ]
    return [*drawn, *(["extra_trees"] if settings["extra_trees"] == "1" else [])]
