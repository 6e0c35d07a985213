"""Importance of hyperparameters: correlation with the truth of a table of 2,000 configurations.

Studies of the default search on six tasks of LCBench's surrogate, in virtual time. Truth is the
importance over the 2,000 random configurations of the table at full training, on ranks, measured in
two other ways than ashtune does: scikit-learn's permutation importance of forests; and, without any
model, the share of the variance that lies between twenty classes of a hyperparameter's values. What
is shown is Spearman's correlation of a study's importances with them, over seven hyperparameters.
"Before" is a random forest on all trials, which count equally, as until decision 90. Optuna's
evaluators get the same trials with their last results. "After" is asked even where ashtune is
silent since the forest explains less than half.

    python benchmarks/importance.py DATA [--seeds 10] [--first-seed 0] [--trials 60 150]
        [--search gp] [--results DIR] [--json FILE]

DATA holds the folders ``curves`` and ``surrogates``. The rule was chosen on the first three tasks.
A study that is in the results' folder is not run again. Needs onnxruntime, scipy, scikit-learn and
Optuna.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from scipy.stats import rankdata, spearmanr
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

from ashtune._src.analysis.results import Results
from ashtune._src.core.jobs import TrialId
from ashtune._src.figures import importance_figure as module
from ashtune._src.search.search_registry import SEARCHES
from quality.store import Store
from quality.surrogate import SPACE, TOP, Surrogate, Task
from quality.virtual import GOAL, study
from table import data_folder, show

CHOSEN_ON = 3
CLASSES = 20
EVALUATORS = {
    "Optuna's fANOVA": partial(optuna.importance.FanovaImportanceEvaluator, seed=0),
    "Optuna's PED-ANOVA": optuna.importance.PedAnovaImportanceEvaluator,
}

Configurations = Sequence[Mapping[str, Any]]


def main() -> None:
    """Run what is missing and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=data_folder)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, nargs="+", default=[60, 150])
    parser.add_argument("--search", choices=["gp", "random"], default="gp")
    parser.add_argument("--results", type=Path, default=Path("runs/importance"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if min(given.trials) < module.FEWEST:
        parser.error(f"--trials {min(given.trials)} is too few; give at least {module.FEWEST}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = np.load(given.data / "curves" / "lcbench_surrogate_2000x52.npz", allow_pickle=False)
    names = [str(name) for name in table["task_ids"]]
    surrogate = Surrogate(given.data / "surrogates" / "yahpo_lcbench")
    tasks = {name: Task(surrogate, name) for name in names}
    store = Store(given.results, "importance", ("search", "task", "trials", "seed"))
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for name in names:
            for trials in given.trials:
                key = {"search": given.search, "task": name, "trials": trials, "seed": seed}
                if key not in store:
                    store.add({**key, "said": of_study(tasks[name], given.search, trials, seed)})
    truths = {name: truth(table, place) for place, name in enumerate(names)}
    groups = {
        "tasks on which the rule was chosen": names[:CHOSEN_ON],
        "other tasks": names[CHOSEN_ON:],
    }
    for group, chosen in groups.items():
        for kind in ("permutation", "variance"):
            rows = []
            for trials in given.trials:
                runs = [
                    each
                    for each in store
                    if each["search"] == given.search
                    and each["task"] in chosen
                    and each["trials"] == trials
                ]
                for way in runs[0]["said"]:
                    near = [
                        spearmanr(each["said"][way], truths[each["task"]][kind]).statistic
                        for each in runs
                    ]
                    rows.append(
                        [
                            trials,
                            way,
                            len(near),
                            np.mean(near),
                            np.std(near, ddof=1) / len(near) ** 0.5,
                        ]
                    )
            header = ["trials", "way", "studies", "mean correlation", "standard error"]
            show(
                f"{given.search}, the {len(chosen)} {group}: correlation with the truth by {kind}",
                header,
                rows,
            )


def of_study(task: Task, search: str, trials: int, seed: int) -> dict[str, list[float]]:
    """Run a study; return the importances that each way says, in the order of the space."""
    results = Results(GOAL)
    found = study(
        SEARCHES.part(search), task.space, partial(task.train, seed),
        top=TOP, workers=8, trials=trials, seed=seed, observers=[results],
    )  # fmt: skip
    configurations = [found.configurations[TrialId(trial)] for trial in range(found.trials)]
    last: dict[TrialId, float] = {}
    for rung in results.rungs:
        last |= rung.by_trial()
    losses = [last[TrialId(trial)] for trial in range(found.trials)]
    module.LEAST_EXPLAINED = -np.inf
    measured = module.importance(results, configurations.__getitem__, task.space.to_record())
    after = {each.name: each.share for each in measured.weights}
    return {
        "before": before(results, configurations, task.space.to_record()),
        "after": [after[name] for name in SPACE],
        **{
            name: by_optuna(evaluator(), configurations, losses)
            for name, evaluator in EVALUATORS.items()
        },
    }


def before(
    results: Results, configurations: Configurations, record: Mapping[str, object]
) -> list[float]:
    """Return what was said until decision 90: the total effects over the space, of random forests
    on trials of equal weight.
    """
    values = module._values(results)
    x = np.array([[configurations[trial][name] for name in SPACE] for trial in values], dtype=float)
    y = np.array(list(values.values()))
    drawn = {column.name: column.values for column in module._points(record)}
    points = np.array([drawn[name] for name in SPACE]).T
    chance = np.random.default_rng(0)
    said = np.zeros(len(SPACE))
    for fold, (learned, _) in enumerate(KFold(5, shuffle=True, random_state=0).split(x)):
        forest = RandomForestRegressor(40, min_samples_leaf=2, random_state=fold).fit(
            x[learned], y[learned]
        )
        predicted = forest.predict(points)
        for place in range(len(SPACE)):
            exchanged = points.copy()
            exchanged[:, place] = chance.permutation(points[:, place])
            said[place] += ((forest.predict(exchanged) - predicted) ** 2).mean() / predicted.var()
    return said.tolist()


def permuted(configurations: Configurations, losses: Sequence[float]) -> tuple[float, list[float]]:
    """Return R2 of forests on held-out ranks of losses, and scikit-learn's permutation importances
    there.
    """
    x = np.array([[each[name] for name in SPACE] for each in configurations], dtype=float)
    y = rankdata(losses)
    errors, said = 0.0, []
    for fold, (learned, held_out) in enumerate(KFold(5, shuffle=True, random_state=0).split(x)):
        forest = RandomForestRegressor(40, min_samples_leaf=2, random_state=fold).fit(
            x[learned], y[learned]
        )
        errors += float(((forest.predict(x[held_out]) - y[held_out]) ** 2).sum())
        said.append(
            permutation_importance(
                forest,
                x[held_out],
                y[held_out],
                scoring="neg_mean_squared_error",
                n_repeats=3,
                random_state=fold,
            ).importances_mean
        )
    return 1 - errors / (y.var() * len(y)), (np.mean(said, axis=0) / y.var()).tolist()


def by_optuna(
    evaluator: Any, configurations: Configurations, losses: Sequence[float]
) -> list[float]:
    """Return what an evaluator of Optuna says of trials."""
    kinds = {
        int: optuna.distributions.IntDistribution,
        float: optuna.distributions.FloatDistribution,
    }
    distributions = {
        name: kinds[type(low)](low, high, log=bool(log))
        for name, (low, high, *log) in SPACE.items()
    }
    asked = optuna.create_study()
    asked.add_trials([
        optuna.trial.create_trial(params=dict(configuration), distributions=distributions,
        value=loss)
        for configuration, loss in zip(configurations, losses, strict=True)
    ])  # fmt: skip
    said = evaluator.evaluate(asked)
    return [float(said[name]) for name in SPACE]


def truth(table: Mapping[str, np.ndarray], place: int) -> dict[str, list[float]]:
    """Return the importances over all configurations of the table, in two ways."""
    losses = 100 - table["val_accuracy"][place, :, -1].astype(float)
    names = [str(name) for name in table["config_names"]]
    configurations = [
        dict(zip(names, row, strict=True)) for row in table["configs"].astype(float).tolist()
    ]
    values = {name: np.array([each[name] for each in configurations]) for name in SPACE}
    return {
        "permutation": permuted(configurations, losses.tolist())[1],
        "variance": [between(values[name], rankdata(losses)) for name in SPACE],
    }


def between(values: np.ndarray, ranks: np.ndarray) -> float:
    """Return the share of the variance of ranks that lies between classes of a hyperparameter's
    values.
    """
    seen = np.unique(values)
    classes = [ranks[values == value] for value in seen]
    if len(seen) > CLASSES:
        classes = np.array_split(ranks[np.argsort(values, kind="stable")], CLASSES)
    return float(
        sum(len(each) * (each.mean() - ranks.mean()) ** 2 for each in classes)
        / (len(ranks) * ranks.var())
    )


if __name__ == "__main__":
    main()
