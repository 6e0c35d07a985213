"""XGBoost on whole tables in wall time: ashtune by its integration, Optuna by its own. For
``boosters.py``.

Rule 1: both tune the same space of the same training on the same rows, one thread a worker. A
training is worth its best round, in both: that is what its validation loss is, and the test loss is
of the booster up to there. It is computed when the time is over, from a booster that is kept.
Rule 2: all processes are killed when the time is over. What counts is what ashtune's journal and
Optuna's hold then.
Rule 3: Optuna reports as often as ashtune does, at most 20 times in a training: each report is
synced to its journal.
"""

import functools
import json
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quality.tasks.data import Split, diamonds, letter, protein
from quality.tasks.scores import cross_entropy, root_mean_square
from quality.tasks.xgboosts import XGBoost

FIXED = {"nthread": 1, "verbosity": 0, "seed": 0}
MODULE = "quality.boosters"
STUDY, JOURNAL = "study", "journal.log"
ENDLESS_SECONDS = 10**6
"""A study of any number of trials wants a limit; it is killed long before."""
SHARED_NAME = "boosters"
OPTUNA = ("optuna", "optuna, early stopping", "optuna, halving")
"""Optuna with its default pruner; that with XGBoost's early stopping; and with successive halving
for a pruner.
"""
OPTUNA_MAJOR = 5
"""The version whose default sampler is multivariate, with a constant liar."""
REPORTS = 20
"""Of a training."""
PATIENCE = 20
"""Rounds of early stopping."""


class Task(NamedTuple):
    """A table to train on.

    Args:
        name: Its name.
        rows: To train on.
        rounds: Of a full training.
    """

    name: str
    rows: int
    rounds: int

    @property
    def metric(self) -> str:
        """XGBoost's name of the loss."""
        return "mlogloss" if self.name == "letter" else "rmse"

    @property
    def parameters(self) -> dict[str, Any]:
        """What is fixed."""
        labels = {"objective": "multi:softprob", "num_class": 26}
        return {**FIXED, **(labels if self.name == "letter" else {"objective": "reg:squarederror"})}

    def loss(self, booster: Any, data: str, rounds: int) -> float:
        """Return the loss of a booster's first rounds on the test rows."""
        import xgboost

        x, y = split(self, data).test
        predicted = booster.predict(xgboost.DMatrix(x, nthread=1), iteration_range=(0, rounds))
        return (
            cross_entropy(y, predicted) if self.name == "letter" else root_mean_square(y, predicted)
        )


TASKS = {
    "diamonds": Task("diamonds", 40_000, 729),
    "protein_rmsd": Task("protein_rmsd", 30_000, 729),
    "letter": Task("letter", 12_000, 81),
}


class Setting(NamedTuple):
    """What a run is about.

    Args:
        task: What is tuned.
        data: The folder with ``tabular``.
        seed: Of the tuner.
        workers: How many processes train.
        folder: Where the run may keep files.
        trials: At most so many; None for as many as the time allows.
    """

    task: Task
    data: str
    seed: int
    workers: int
    folder: str
    trials: int | None = None


class Reached(NamedTuple):
    """What a tuner would name: its losses, and after how many rounds; and how many configurations
    it has tried.
    """

    validation: float
    test: float
    best_round: int
    tried: int


@functools.cache
def split(task: Task, data: str) -> Split:
    """Return the rows of a task, the same ones for each tuner and seed."""
    read = {"diamonds": diamonds, "protein_rmsd": protein, "letter": letter}[task.name]
    return Split(*((x.astype(np.float32), y) for x, y in read(Path(data), task.rows)))


def rows(task: Task, data: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one part of the rows."""
    found: tuple[np.ndarray, np.ndarray] = getattr(split(task, data), part)
    return found


def arguments(tuner: str, setting: Setting) -> list[list[str]]:
    """Return the arguments of each process of a tuner."""
    processes = setting.workers if tuner in OPTUNA else 1
    return [[json.dumps([tuner, number, setting])] for number in range(processes)]


@functools.cache
def matrices(task: Task, data: str) -> tuple[Any, Any]:
    """Return the rows to train on and to validate on, which each process prepares once."""
    import xgboost

    dtrain, dvalid = (
        xgboost.DMatrix(*rows(task, data, part), nthread=1) for part in ("train", "validation")
    )
    return dtrain, dvalid


def train(task: Task, data: str, trial: Any) -> None:
    """Train a booster in ashtune's study."""
    import xgboost

    import ashtune.integrations.xgboost as integration

    dtrain, dvalid = matrices(task, data)
    xgboost.train(
        {**task.parameters, **trial.config}, dtrain, task.rounds, evals=[(dvalid, "valid")],
        verbose_eval=False,
        xgb_model=trial.restore(), callbacks=[integration.callback(trial)],
    )  # fmt: skip


def tune(search: str | None, setting: Setting) -> None:
    """Run ashtune's study."""
    import ashtune

    task = Task(*setting.task)
    objective = functools.partial(train, task, setting.data)
    ashtune.tune(
        objective, dict(XGBoost.space), metric=task.metric, mode="min", max_resource=task.rounds,
        resource="round",
        trials=setting.trials, search=search, workers=setting.workers, seed=setting.seed,
        time_limit=ENDLESS_SECONDS, directory=f"{setting.folder}/{STUDY}", quiet=True,
    )  # fmt: skip


def optimize(tuner: str, number: int, setting: Setting) -> None:
    """Be one process of Optuna's study: its default sampler, a pruner, and its callback for
    XGBoost.

    Raises:
        RuntimeError: If it is another Optuna than the one that this was written for.
    """
    import optuna
    import xgboost
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_integration import XGBoostPruningCallback

    from quality.tuners.optuna_studies import suggested

    if int(optuna.__version__.partition(".")[0]) != OPTUNA_MAJOR:
        raise RuntimeError(
            f"Optuna {optuna.__version__} is installed; this compares with Optuna {OPTUNA_MAJOR}"
        )
    task = Task(*setting.task)
    every = math.ceil(task.rounds / REPORTS)

    class Pruning(XGBoostPruningCallback):  # type: ignore[misc]  # it has no types
        """Optuna's callback, in each so-many-th round and the last."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool | None:
            if (epoch + 1) % every and epoch + 1 < task.rounds:
                return None
            result: bool | None = super().after_iteration(model, epoch, evals_log)
            return result

    pruner: Any = optuna.pruners.MedianPruner()  # the default
    if tuner == "optuna, halving":  # its lowest rung at a 27th
        pruner = optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(1, task.rounds // 27), reduction_factor=3
        )
    dtrain, dvalid = matrices(task, setting.data)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(f"{setting.folder}/{JOURNAL}")),
        study_name=SHARED_NAME,
        load_if_exists=True, direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=1000 * setting.seed + number), pruner=pruner,
    )  # fmt: skip
    lowest = math.inf

    def objective(trial: optuna.Trial) -> float:
        nonlocal lowest
        log: dict[str, dict[str, list[float]]] = {}
        booster = xgboost.train(
            {**task.parameters, **suggested(trial, XGBoost.space)}, dtrain, task.rounds,
            evals=[(dvalid, "valid")],
            evals_result=log, verbose_eval=False, callbacks=[Pruning(trial,
            f"valid-{task.metric}")],
            early_stopping_rounds=PATIENCE if tuner == "optuna, early stopping" else None,
        )  # fmt: skip
        values = log["valid"][task.metric]
        best = int(np.argmin(values))
        trial.set_user_attr("rounds", best + 1)
        value: float = values[best]
        if value < lowest:  # each process keeps its best ones: the best of all is among them
            lowest = value
            booster.save_model(_kept(setting, trial.number))
        return value

    study.optimize(objective)


def _kept(setting: Setting, number: int) -> Path:
    """Return where a booster of Optuna's is kept."""
    return Path(setting.folder, f"{number}.ubj")


def reached(tuner: str, setting: Setting) -> Reached | None:
    """Return what a tuner that was killed would name; None if it has no result."""
    return _of_optuna(setting) if tuner in OPTUNA else _of_ashtune(setting)


def _of_ashtune(setting: Setting) -> Reached | None:
    import ashtune

    task = setting.task
    study = ashtune.Study.load(f"{setting.folder}/{STUDY}")
    try:
        best = study.best
    except ashtune.AshtuneError:
        return None
    rounds = int(best.metrics["best_round"])
    try:
        booster = best.load()
    except ashtune.AshtuneError:  # of a lower rung, whose booster no promotion could reach any more
        booster = study.train(best, best.resource).model
    return Reached(
        best.metrics[task.metric], task.loss(booster, setting.data, rounds), rounds,
        len(study.trials)
    )  # fmt: skip


def _of_optuna(setting: Setting) -> Reached | None:
    import optuna
    import xgboost
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = Path(setting.folder, JOURNAL)
    if not path.exists():
        return None
    study = optuna.load_study(
        study_name=SHARED_NAME, storage=JournalStorage(JournalFileBackend(str(path)))
    )
    trials = study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not ended:
        return None
    best = min(ended, key=lambda trial: trial.value)
    booster, rounds = (
        xgboost.Booster(model_file=_kept(setting, best.number)),
        best.user_attrs["rounds"],
    )
    return Reached(
        best.value, setting.task.loss(booster, setting.data, rounds), rounds, len(trials)
    )


def main() -> None:
    """Be a process of a tuner, as ``arguments`` describes it."""
    tuner, number, given = json.loads(sys.argv[1])
    setting = Setting(Task(*given[0]), *given[1:])
    if tuner in OPTUNA:
        optimize(tuner, number, setting)
    else:
        tune("random" if tuner == "ashtune random" else None, setting)


if __name__ == "__main__":
    main()
