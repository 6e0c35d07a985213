"""Words of Optuna, Ray Tune and scikit-learn, and what to write with ashtune."""

import sys
from opcode import opmap

from ashtune._src.core.errors import AshtuneError, StudyError

ARGUMENTS = {
    **dict.fromkeys(["n_trials", "num_samples", "n_iter", "n_candidates"], "trials="),
    **dict.fromkeys(["timeout", "time_budget_s"], "time_limit="),
    **dict.fromkeys(["direction", "directions"], "mode="),
    **dict.fromkeys(["n_jobs", "max_concurrent_trials"], "workers="),
    **dict.fromkeys(["sampler", "search_alg"], "search="),
    **dict.fromkeys(["storage", "study_name", "storage_path", "name"], "directory="),
    **dict.fromkeys(["param_distributions", "param_grid", "param_space", "config"], "space="),
    **dict.fromkeys(["load_if_exists", "aggressive_elimination"], ""),
    "pruner": "scheduler=",
    "scoring": "metric=",
    "max_t": "max_resource=",
    "grace_period": "min_resource=",
    "factor": "reduction_factor=",
    "points_to_evaluate": "enqueue=",
    "random_state": "seed=",
    "verbose": "quiet=",
    "resources_per_trial": "engine=ashtune.Auto(threads=2, gpus_per_worker=1)",
}
"""For each argument of other tools: the name of the same argument in ashtune, or "" if there is
none.
"""

_TUNE = "ashtune.tune(train, space, metric=..., mode=..., trials=..., max_resource=...)"
_SPACE = (
    'the space as {"x": (0.0, 1.0), "rate": (1e-4, 0.1, "log"), "n": (1, 8), '
    '"m": {"low": 0, "high": 100, "step": 5}, "f": ["a", "b"]}'
)
_PRUNER = 'scheduler="ash", which is the default'
NAMES = {
    **dict.fromkeys(["Tuner", "TuneConfig", "RunConfig", "run"], _TUNE),
    **dict.fromkeys(
        [
            "AshSearchCV",
            "GridSearchCV",
            "RandomizedSearchCV",
            "HalvingGridSearchCV",
            "HalvingRandomSearchCV",
        ],
        "from ashtune.integrations.scikit_learn import AshSearchCV",
    ),
    **dict.fromkeys(
        ["uniform", "loguniform", "randint", "choice", "quniform", "qrandint", "qloguniform"],
        _SPACE,
    ),
    **dict.fromkeys(
        ["distributions", "FloatDistribution", "IntDistribution", "CategoricalDistribution"], _SPACE
    ),
    **dict.fromkeys(["pruners", "ASHAScheduler", "AsyncHyperBandScheduler"], _PRUNER),
    **dict.fromkeys(
        ["get_checkpoint", "Checkpoint"], "trial.save(state) and state = trial.restore()"
    ),
    "create_study": f"{_TUNE}, or ashtune.open_study(space, ...) for study.ask() and study.tell()",
    "load_study": "ashtune.Study.load(directory)",
    "samplers": 'search="gp", which is the default, or search="optuna"',
    "grid_search": 'a list of choices, and search="grid"',
    "report": "trial.report(loss=...) in: def train(trial)",
    "Trainable": "a function: def train(trial)",
    "TrialPruned": "nothing in its place: the loop over trial.epochs() ends when the trial stops",
    "importance": "study.importance()",
    "visualization": "study.plot_importance() or another study.plot_...()",
}
"""For each name that a user of other tools may expect in ``ashtune``: what to write instead."""

RESULTS = {
    **dict.fromkeys(["best_trial", "get_best_result", "get_best_trial"], "best"),
    **dict.fromkeys(["best_config", "get_best_config", "best_params_"], "best.config"),
    **dict.fromkeys(["best_score_", "best_result"], "best.metrics"),
    **dict.fromkeys(
        ["trials_dataframe", "get_dataframe", "results_df", "cv_results_"], "dataframe()"
    ),
    "best_estimator_": "best.load()",
    "best_trials": "front",
}
"""For each attribute of other tools' studies: the attribute in ashtune."""


class NoSuchName(AshtuneError):  # noqa: N818 - the name says what is missing
    """Raised if a script takes a name of another tool from ``ashtune``."""


class NoSuchImport(NoSuchName, ImportError):  # noqa: N818
    """The error of ``from ashtune import NAME``; ``ashtune.NAME`` raises :class:`NoSuchMember`."""


class NoSuchMember(NoSuchName, AttributeError):  # noqa: N818
    """The error of ``ashtune.NAME``. ``hasattr``, pickle and Sphinx need an AttributeError."""


class NoSuchResult(StudyError, AttributeError):  # noqa: N818 - the name says what is missing
    """Raised if a script reads an attribute that a study of another tool has."""


def check_name(name: str) -> None:
    """Raise an error if a name belongs to another tool.

    Only ``__getattr__`` of ``ashtune`` may call this.

    Raises:
        NoSuchName: The message says what to write instead.
    """
    if name in NAMES:
        # An import statement replaces the message of an AttributeError by its own message, and
        # therefore needs another exception. The script called ``__getattr__``, which called this
        # function. The present instruction of the script shows whether it is an import.
        script = sys._getframe(2)
        is_import = script.f_code.co_code[script.f_lasti] == opmap["IMPORT_FROM"]
        kind = NoSuchImport if is_import else NoSuchMember
        raise kind(f"ashtune has no {name}; write {NAMES[name]}")
