"""Which name is probably meant by one that is unknown."""

from collections.abc import Iterable

_ELSEWHERE = {
    "asha": "ash", "bayesian": "gp", "bo": "gp", "callbacks": "observers", "direction": "mode", "directions": "mode",
    "eta": "reduction_factor", "factor": "reduction_factor", "grace_period": "min_resource", "max_t": "max_resource",
    "n_iter": "trials", "n_jobs": "workers", "n_trials": "trials", "num_samples": "trials", "pruner": "scheduler",
    "random_state": "seed", "sampler": "search", "search_alg": "search", "storage": "directory",
    "storage_path": "directory", "study_name": "directory", "successive_halving": "sh", "time_budget_s": "time_limit",
    "timeout": "time_limit", "tpe": "optuna",
}  # fmt: skip
"""What Optuna, Ray Tune and scikit-learn call it, and its name here."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that an unknown one probably means, if there is one."""
    from difflib import get_close_matches

    names, low = list(known), name.lower()
    if (ours := _ELSEWHERE.get(low)) in names:
        return ours
    return next(iter(get_close_matches(low, names, 1)), None)
