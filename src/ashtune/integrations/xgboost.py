"""Trains XGBoost boosters in a study, with a callback in the user's training function.

Rule 1: a saved booster has all rounds of its training. As after XGBoost's own early stopping, the
booster's ``best_iteration`` and ``best_score`` belong to the best round.
Rule 2: if XGBoost draws rows or columns, each round starts with its own seed and with new updaters.
Therefore a booster that continues from a rung has the same trees as a booster that was trained
without a pause. If the callback set no seeds, XGBoost would draw the same rows again after each
rung.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.integrations.boosting import Rounds, seed_of, threads
from ashtune._src.training.trial import Trial

with needs_extra("xgboost"):
    from xgboost.callback import TrainingCallback

__all__ = ["callback", "threads"]

DRAWN = ("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode")
"""Parameters that draw randomly if they are below 1."""
HIGHER_IS_BETTER = frozenset({"auc", "aucpr", "interval-regression-accuracy", "map", "ndcg", "pre"})
LOWER_IS_BETTER = frozenset({
    "aft-nloglik", "cox-nloglik", "error", "gamma-deviance", "gamma-nloglik", "logloss", "mae",
    "mape",
    "merror", "mlogloss", "mphe", "poisson-nloglik", "quantile", "rmse", "rmsle", "tweedie-nloglik",
})  # fmt: skip
"""XGBoost's own metrics for which lower values are better, because XGBoost does not give the
direction of its metrics. The name of a metric may have a parameter, as in ``ndcg@3-``.
"""
EVALS = "evals=[(dvalid, 'valid')]"


def callback(trial: Trial, *, metric: str | None = None, data: str | None = None) -> Any:
    """Return a callback that reports the rounds of a booster, ends its training at the trial's
    rung, and saves it.

    Give the training function ``xgb_model=trial.restore()``, so that the booster continues from the
    last rung. The number of rounds must be at least the study's ``max_resource``.

    Args:
        trial: The trial.
        metric: The reported metric, such as "rmse"; by default the study's metric.
        data: The name of the data set in ``evals`` whose metric is reported; by default the last
            data set.

    Example:
        >>> def train(trial):
        ...     dtrain, dvalid = load()
        ...     xgboost.train(
        ...         trial.config, dtrain, 1_000, evals=[(dvalid, "valid")], verbose_eval=False,
        ...         xgb_model=trial.restore(), callbacks=[callback(trial)],
        ...     )
        >>> space = {"eta": (0.01, 0.5, "log")}
        >>> study = tune(
        ...     train, space, metric="rmse", mode="min", trials=8, max_resource=27, quiet=True
        ... )
    """
    return _XGBoostCallback(trial, metric, data)


class _XGBoostCallback(TrainingCallback):  # type: ignore[misc]  # its types are not followed, see pyproject.toml
    def __init__(self, trial: Trial, metric: str | None, data: str | None) -> None:
        super().__init__()
        self._trial = trial
        self._rounds = Rounds(trial, metric=metric, data=data)
        self._seed = 0
        self._has_draws = self._is_begun = self._is_chosen = False

    def before_training(self, model: Any) -> Any:
        trained = model.num_boosted_rounds()
        start = self._trial.start
        if trained != start:
            raise ObjectiveError(
                f"the booster has {trained} rounds, but trial {self._trial.number} continues from "
                f"{start}; give xgb_model=trial.restore()"
            )
        settings = json.loads(model.save_config())["learner"]
        self._seed = int(settings["generic_param"]["seed"])
        name = settings["gradient_booster"]["name"]
        self._rounds.has_best = name == "gbtree"
        self._has_draws = name == "dart" or any(
            float(value) < 1 for each in DRAWN for value in _values_of(settings, each)
        )
        score = model.attr("best_score")
        if start and self._rounds.has_best and score is not None:
            self._rounds.note(int(model.attr("best_iteration")) + 1, float(score))
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Set the seed of the round. If the study is stopping, do not begin the first round."""
        if not self._is_begun:
            self._is_begun = True
            if not self._rounds.next():
                return True
        if self._has_draws:
            # Loading the configuration creates new updaters. Their random state begins with the
            # seed below.
            model.load_config(model.save_config())
            model.set_param({"seed": seed_of(self._seed, self._rounds.number)})
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Report a round. Return True if the training must end after this round."""
        if not self._is_chosen:
            self._is_chosen = True
            self._rounds.choose(evals_log, EVALS)
            self._check_direction(model)
        self._rounds.report(self._rounds.value(evals_log)[-1])
        return not self._rounds.next()

    def after_training(self, model: Any) -> Any:
        rounds = self._rounds
        rounds.check_over("num_boost_round (or n_estimators)")
        if self._has_draws:
            model.set_param({"seed": self._seed})
        if rounds.has_best and rounds.best is not None:
            model.set_attr(best_iteration=str(rounds.best_round - 1), best_score=repr(rounds.best))
        if rounds.number or self._trial.start:
            self._trial.save(model)
        return model

    def _check_direction(self, model: Any) -> None:
        """Refuse a study with mode "min" if XGBoost maximizes the metric, and vice versa."""
        own = {
            each["name"] for each in json.loads(model.save_config())["learner"].get("metrics", ())
        }
        name = self._rounds.metric.partition("@")[0].removesuffix("-")
        if self._rounds.metric in own and name in HIGHER_IS_BETTER | LOWER_IS_BETTER:
            self._rounds.check_direction("XGBoost", is_higher_better=name in HIGHER_IS_BETTER)


def _values_of(settings: Any, name: str) -> Iterator[Any]:
    """Yield every value that a nested configuration has for a parameter name."""
    for key, value in settings.items() if isinstance(settings, Mapping) else enumerate(settings):
        if key == name:
            yield value
        elif isinstance(value, Mapping | list):
            yield from _values_of(value, name)
