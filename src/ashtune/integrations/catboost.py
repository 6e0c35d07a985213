"""CatBoost: a callback that lets a study train a model to its rung, and a whole training function.

Rule 1: a trial goes on from a snapshot of CatBoost's own, in its checkpoint folder: it holds all rounds and the state
of the random numbers, so that a model that goes on from a rung is the one that never stopped. ``init_model`` would draw
the same rows and noise again.
Rule 2: what is saved beside it is the model of the best round (``use_best_model``, CatBoost's default where data are
evaluated), by the metric that CatBoost chooses it by: ``eval_metric``, or the loss.
Rule 3: CatBoost's own learning rate follows from the number of rounds, which is not known, so it has to be given.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.integrations.boosting import (
    ENDLESS,
    BoosterObjective,
    Data,
    Rounds,
    as_arguments,
    threads,
    with_synonyms,
)
from ashtune._src.training.trial import Trial

with needs_extra("catboost"):
    import catboost
    from catboost.metrics import BuiltinMetric

__all__ = ["booster_objective", "callback", "snapshot", "threads"]

SNAPSHOT = "snapshot"
THREAD_NAMES = ("thread_count",)
RATE_NAMES = ("learning_rate", "eta")
CUSTOM_NAMES = ("custom_metric", "custom_loss")
SYNONYMS = (
    RATE_NAMES, ("border_count", "max_bin"), ("depth", "max_depth"), ("rsm", "colsample_bylevel"),
    ("random_seed", "random_state"), ("l2_leaf_reg", "reg_lambda"), CUSTOM_NAMES,
    ("max_leaves", "num_leaves"), ("min_data_in_leaf", "min_child_samples"), ("loss_function", "objective"),
    ("logging_level", "verbose", "verbose_eval", "silent"),
)  # fmt: skip
"""Names of which CatBoost takes one."""
LEARNING_RATE = 0.03
"""CatBoost's, where it does not choose one by the number of rounds."""
LEARN = "learn"
EVAL_SET = "eval_set=(X, y)"
REFUSED = {
    "save_snapshot": "each trial has a snapshot of its own",
    "snapshot_file": "each trial has a snapshot of its own",
    "use_best_model": "the best round is reported, so the model is cut there",
}
"""Parameters that ``booster_objective`` does not take, and why."""


def snapshot(trial: Trial) -> dict[str, Any]:
    """Return the arguments of a model's class by which it goes on from the last rung: a snapshot in the trial's folder.

    Args:
        trial: The trial.
    """
    folder = trial.checkpoint_dir.absolute()
    return {
        "save_snapshot": True, "snapshot_file": str(folder / SNAPSHOT), "train_dir": str(folder),
        "thread_count": threads(),
    }  # fmt: skip


def callback(trial: Trial, *, metric: str | None = None) -> Any:
    """Return a callback that has a model trained to the trial's rung and reports it.

    With the arguments of :func:`snapshot` it goes on from the last rung. Give as many ``iterations`` as
    ``max_resource`` or more; the callback ends the training. Give a ``learning_rate``: CatBoost's own follows from
    ``iterations``.

    Args:
        trial: The trial.
        metric: Which metric is reported, as "RMSE"; by default the one with the name of the study's. Of several data
            to evaluate it is that of the last, by which CatBoost cuts the model.

    Example:
        >>> def train(trial):
        ...     (X, y), valid = load()
        ...     model = catboost.CatBoostRegressor(iterations=1_000, **trial.config, **snapshot(trial))
        ...     model.fit(X, y, eval_set=valid, callbacks=[callback(trial)], verbose=False)
        ...     trial.save(model)
        >>> space = {"eta": (0.01, 0.5, "log")}
        >>> study = tune(train, space, metric="RMSE", mode="min", trials=8, max_resource=27, quiet=True)
    """
    return _CatBoostCallback(trial, metric)


class _CatBoostCallback:
    def __init__(self, trial: Trial, metric: str | None) -> None:
        self._rounds = Rounds(trial, metric=metric)
        self._trained = -1  # rounds; -1 before the first call
        self.error: BaseException | None = None
        """What was raised here. CatBoost raises an error of its own for it, with a traceback for a text."""

    def after_iteration(self, info: Any) -> bool:
        """Report a round; return False if it was the last."""
        try:
            return self._goes_on(info.metrics)
        except BaseException as error:
            self.error = error
            raise

    def check_over(self) -> None:
        """Refuse a training that has ended by itself.

        Raises:
            ObjectiveError: If rounds were left.
        """
        if self._trained >= 0:
            self._rounds.check_over("iterations")

    def _goes_on(self, metrics: Mapping[str, Mapping[str, Sequence[float]]]) -> bool:
        rounds = self._rounds
        if self._trained < 0:
            self._begin(metrics)
            if not rounds.next():
                return False
        else:
            self._trained += 1
        values = rounds.value(metrics)
        if len(values) != self._trained:
            raise ObjectiveError(
                f"{rounds.metric} has {len(values)} values after {self._trained} rounds, and the study needs one of "
                "each: leave metric_period out"
            )
        while rounds.number <= len(values):  # one ahead where the study stopped before the first round of a rung
            rounds.report(values[rounds.number - 1])
            if not rounds.next():
                return False
        return True

    def _begin(self, metrics: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Look where the model stands: the values of all its rounds are there, of those before the last rung too."""
        rounds, start = self._rounds, self._rounds.trial.start
        rounds.choose({name: values for name, values in metrics.items() if name != LEARN}, EVAL_SET)
        if (is_higher_better := _is_higher_better(rounds.metric)) is not None:
            rounds.check_direction("CatBoost", is_higher_better=is_higher_better)
        values = rounds.value(metrics)
        self._trained = len(values)
        if len(values) <= start:
            raise ObjectiveError(
                f"the model has {len(values) - 1} rounds where trial {rounds.trial.number} goes on from {start}; "
                "give its class the arguments snapshot(trial)"
            )
        for number, value in enumerate(values[:start], 1):
            rounds.note(number, value)


class _Described(BuiltinMetric):  # type: ignore[misc]  # CatBoost's types are not followed, see pyproject.toml
    def __init__(self, description: str) -> None:
        self._description = description

    def __str__(self) -> str:
        return self._description


def _is_higher_better(metric: str) -> bool | None:
    """Return what CatBoost says of a metric, by its description, as "NDCG:top=3"; None if it has none of that name."""
    described = _Described(metric)
    try:
        is_higher, is_lower = described.is_max_optimal(), described.is_min_optimal()
    except catboost.CatBoostError:  # one of the user's own
        return None
    return bool(is_higher) if is_higher != is_lower else None  # of CtrFactor it says neither


def booster_objective(
    params: Mapping[str, Any], dtrain: Data, dvalid: Data, *, metric: str | None = None, **options: Any
) -> BoosterObjective:
    """Return a training function for ``tune`` that trains a model; its resource is rounds.

    ``study.best.load()`` is a ``CatBoost`` with the rounds up to the best.

    Args:
        params: Of ``CatBoost``; the trial's hyperparameters are laid over them. Without a ``learning_rate`` it is 0.03.
        dtrain: What is trained on: arrays ``(X, y)``, a dict of the arguments of ``Pool``, or a function that is called
            once in each worker and returns one of these or a ``Pool``.
        dvalid: The same, of what is evaluated.
        metric: Which metric is reported; by default the one with the name of the study's.
        options: Of ``fit``.

    Raises:
        ObjectiveError: If data are of no such kind, parameters say how many rounds there are,
            or the model is not to be cut at its best round.

    Example:
        >>> objective = booster_objective({"loss_function": "RMSE"}, (X[:400], y[:400]), (X[400:], y[400:]))
        >>> study = tune(
        ...     objective, {"depth": (2, 6)}, metric="RMSE", mode="min", trials=8, max_resource=27, quiet=True
        ... )
        >>> study.best.load().tree_count_ <= 27
        True
    """
    objective = _CatBoost("catboost", params, dtrain, dvalid, metric=metric, options=options)
    for name in {*params, *options} & REFUSED.keys():
        raise ObjectiveError(f"{name!r} is given; {REFUSED[name]}: leave it out")
    return objective


class _CatBoost(BoosterObjective):
    def prepare(self, train: Any, valid: Any) -> tuple[Any, Any]:
        """Return both as ``Pool``."""
        return _pool(train), _pool(valid)

    @staticmethod
    def same_names(names: Collection[str]) -> Collection[str]:
        return with_synonyms(names, SYNONYMS)

    def __call__(self, trial: Trial) -> None:
        dtrain, dvalid = self.data()
        parameters = self.parameters(trial, {"logging_level": "Silent"}, THREAD_NAMES)
        if not parameters.keys() & set(RATE_NAMES):
            parameters["learning_rate"] = LEARNING_RATE
        if (reported := self.metric or trial.metric) in _custom(parameters):
            parameters.setdefault("eval_metric", reported)  # else the model would be cut where the loss is best
        model = catboost.CatBoost({**snapshot(trial), **parameters, "iterations": ENDLESS})
        watched = callback(trial, metric=self.metric)
        try:
            model.fit(dtrain, eval_set=dvalid, callbacks=[watched], **self.options)
        except catboost.CatBoostError:
            if watched.error is not None:
                raise watched.error from None
            raise
        watched.check_over()
        trial.save(model)


def _custom(parameters: Mapping[str, Any]) -> list[str]:
    """Return the names of what is evaluated besides the loss and ``eval_metric``."""
    given = next((parameters[name] for name in CUSTOM_NAMES if name in parameters), None) or []
    return [str(each) for each in (given if isinstance(given, list | tuple) else [given])]


def _pool(data: Any) -> Any:
    if isinstance(data, catboost.Pool):
        return data
    return catboost.Pool(**{"thread_count": threads(), **as_arguments(data)})
