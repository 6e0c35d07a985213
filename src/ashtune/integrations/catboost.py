"""Trains CatBoost models in a study, with a callback in the user's training function.

Rule 1: a trial continues from CatBoost's snapshot in its checkpoint folder. The snapshot contains
all rounds and the random state. Therefore a model whose training pauses at a rung equals a model
that is trained without a pause. CatBoost's ``init_model`` is not used: after ``init_model``,
CatBoost draws the same rows and the same noise again.
Rule 2: besides the snapshot, the training function saves a model with the rounds up to the best
round. If data are evaluated, CatBoost makes this model by default (``use_best_model``). CatBoost
chooses the best round by ``eval_metric``. The default of ``eval_metric`` is the loss.
Rule 3: the user must give the learning rate, because CatBoost's default depends on the number of
rounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.integrations.boosting import Rounds, threads
from ashtune._src.training.trial import Trial

with needs_extra("catboost"):
    import catboost
    from catboost.metrics import BuiltinMetric

__all__ = ["callback", "snapshot", "threads"]

SNAPSHOT = "snapshot"
LEARN = "learn"
EVAL_SET = "eval_set=(X, y)"


def snapshot(trial: Trial) -> dict[str, Any]:
    """Return arguments for a CatBoost model's class. The arguments let the model continue from the
    trial's last rung.

    Args:
        trial: The trial.
    """
    folder = trial.checkpoint_dir.absolute()
    return {
        "save_snapshot": True, "snapshot_file": str(folder / SNAPSHOT), "train_dir": str(folder),
        "thread_count": threads(),
    }  # fmt: skip


def callback(trial: Trial, *, metric: str | None = None) -> Any:
    """Return a callback that reports the rounds of a model, and ends the model's training at the
    trial's rung.

    Give the model's class the arguments that :func:`snapshot` returns. ``iterations`` must be at
    least the study's ``max_resource``. Give a ``learning_rate``, because CatBoost's default depends
    on ``iterations``.

    Args:
        trial: The trial.
        metric: The reported metric, such as "RMSE"; by default the study's metric. With several
            evaluation data sets, the metric is reported for the last data set, by which CatBoost
            also chooses the best round.

    Example:
        >>> def train(trial):
        ...     (X, y), valid = load()
        ...     model = catboost.CatBoostRegressor(
        ...         iterations=1_000, **trial.config, **snapshot(trial)
        ...     )
        ...     model.fit(X, y, eval_set=valid, callbacks=[callback(trial)], verbose=False)
        ...     trial.save(model)
        >>> space = {"eta": (0.01, 0.5, "log")}
        >>> study = tune(
        ...     train, space, metric="RMSE", mode="min", trials=8, max_resource=27, quiet=True
        ... )
    """
    return _CatBoostCallback(trial, metric)


class _CatBoostCallback:
    def __init__(self, trial: Trial, metric: str | None) -> None:
        self._rounds = Rounds(trial, metric=metric)
        # The number of rounds trained so far; -1 before the first call.
        self._trained = -1

    def after_iteration(self, info: Any) -> bool:
        """Report a round. Return False if the training must end after this round."""
        rounds = self._rounds
        metrics = info.metrics
        if self._trained < 0:
            self._begin(metrics)
            if not rounds.next():
                return False
        else:
            self._trained += 1
        values = rounds.value(metrics)
        if len(values) != self._trained:
            raise ObjectiveError(
                f"{rounds.metric} has {len(values)} values after {self._trained} rounds; remove "
                "metric_period, because the study needs one value for each round"
            )
        # If the study stopped before the first round of a rung, CatBoost has trained one more round
        # than the trial.
        while rounds.number <= len(values):
            rounds.report(values[rounds.number - 1])
            if not rounds.next():
                return False
        return True

    def _begin(self, metrics: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Read the metric's values of all rounds so far, including the
        rounds before the last rung.
        """
        rounds = self._rounds
        start = self._rounds.trial.start
        rounds.choose({name: values for name, values in metrics.items() if name != LEARN}, EVAL_SET)
        is_higher_better = _is_higher_better(rounds.metric)
        if is_higher_better is not None:
            rounds.check_direction("CatBoost", is_higher_better=is_higher_better)
        values = rounds.value(metrics)
        self._trained = len(values)
        if len(values) <= start:
            raise ObjectiveError(
                f"the model has {len(values) - 1} rounds, but trial {rounds.trial.number} "
                f"continues from {start}; give the model's class the arguments of snapshot(trial)"
            )
        for number, value in enumerate(values[:start], 1):
            rounds.note(number, value)


class _Described(BuiltinMetric):  # type: ignore[misc]  # CatBoost's types are not followed, see pyproject.toml
    def __init__(self, description: str) -> None:
        self._description = description

    def __str__(self) -> str:
        return self._description


def _is_higher_better(metric: str) -> bool | None:
    """Return whether higher values of a metric are better. If CatBoost does not define the metric,
    return None.
    """
    described = _Described(metric)
    try:
        is_higher = described.is_max_optimal()
        is_lower = described.is_min_optimal()
    except catboost.CatBoostError:
        # CatBoost does not know a metric that the user has defined.
        return None
    # For CtrFactor, neither higher nor lower values are better.
    return bool(is_higher) if is_higher != is_lower else None
