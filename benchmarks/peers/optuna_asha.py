"""Optuna's successive halving on the digits: two processes that share a journal.

    python benchmarks/peers/optuna_asha.py [--trials 256] [--seed 0] [--reports DIR]

``SuccessiveHalvingPruner`` is the stopping form of ASHA. --defaults changes nothing here.
"""

from functools import partial
from multiprocessing import Pool
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from reports import WORKERS, Options, measure, report
from space import CHOICES, INTERVALS, MAX_EPOCHS, sample
from training import Model, load


class Listed(optuna.samplers.BaseSampler):
    """Gives trial ``number`` the configuration ``number`` of the list all tuners share."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Return that no hyperparameters are drawn together."""
        return {}

    def sample_relative(
        self, study: Any, trial: Any, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        """Return nothing, as nothing is drawn together."""
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """Return the hyperparameter's value in the list."""
        return sample(trial.number, self._seed)[param_name]


def train(trial: optuna.Trial, trials: int) -> float:
    """Train a configuration until it is pruned; a trial past the last of the list ends the
    process's search.
    """
    if trial.number >= trials:
        trial.study.stop()
        raise optuna.TrialPruned
    config: dict[str, Any] = {
        name: trial.suggest_float(name, *i[:2], log=i.log) for name, i in INTERVALS.items()
    }
    config |= {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
    model = Model(config, load())
    for epoch in range(1, MAX_EPOCHS + 1):
        model.train_epoch()
        accuracy = model.accuracy()
        report(trial.number, epoch, accuracy)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def study(options: Options) -> optuna.Study:
    """Return the study in the journal, made if it is not there."""
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(options.directory / "journal.log"))),
        study_name="digits",
        load_if_exists=True,
        direction="maximize",
        sampler=Listed(options.seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    )


def work(options: Options) -> None:
    """Take trials from the study until the list is done: one process's share."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study(options).optimize(partial(train, trials=options.trials))


def search(options: Options) -> None:
    """Run the study on all workers."""
    with Pool(WORKERS) as pool:
        pool.map(work, [options] * WORKERS, chunksize=1)


if __name__ == "__main__":
    measure("Optuna SuccessiveHalvingPruner", "optuna", search)
