"""The tuners: each searches with two processes, refits the best on all known rows, and says what it
spent.

What is spent is counted in full fits: one is a fit of all known rows to the top. Cross-validating a
candidate with ``k`` folds to the top fits ``k`` times ``(k - 1) / k`` of the rows, ``k - 1`` full
fits. A part of the epochs, iterations, trees or rows is that part of it; what is resumed counts
once. Refits are not counted: each tuner has one.
"""

import json
import math
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from searches.problems import Problem, shares

WORKERS, REDUCED = 2, 3
CALLS = (81, 243, 729)
"""Of ``partial_fit`` in a full fit of Dask-ML's Hyperband: each is a pass over a part of the
training rows. From this number follows how many models it makes and what they spend, so of these
that one is taken that spends most nearly what "ash" has spent.
"""


class Setting(NamedTuple):
    """How a search is made.

    Args:
        splitter: Of the cross-validation.
        folds: Their number.
        candidates: Of ours.
        spent: Full fits that "ash" has spent on the same problem with the same seed; 0 if that is
            not known.
        seed: Of the search.
    """

    splitter: Any
    folds: int
    candidates: int
    spent: float
    seed: int


class Found(NamedTuple):
    """What came of it.

    Args:
        seconds: Of the search, with the start of its processes, without the refit.
        refit_seconds: Of the refit.
        spent: Full fits.
        score: The best score of the search, by its own validation.
        estimator: The best, refitted.
        candidates: How many were tried.
        parameters: Those of the best.
        cpu_seconds: Processor time of the search and the refit, all processes; nan if that is not
            known.
        results: ``cv_results_``, if there is one.
    """

    seconds: float
    refit_seconds: float
    spent: float
    score: float
    estimator: Any
    candidates: int
    parameters: dict[str, Any]
    cpu_seconds: float = math.nan
    results: Any = None


def run(tuner: str, problem: Problem, setting: Setting) -> Found:
    """Search with a tuner.

    Raises:
        ImportError: If its library is not installed.
    """
    return TUNERS[tuner](problem, setting)


def _ash(problem: Problem, setting: Setting, **more: Any) -> Found:
    from ashtune.integrations.scikit_learn import AshSearchCV

    search = AshSearchCV(
        problem.estimator, problem.space, n_candidates=setting.candidates, cv=setting.splitter,
        n_jobs=WORKERS,
        max_resources=problem.top, random_state=setting.seed, **more,
    )  # fmt: skip
    return _timed(
        search, problem, lambda results: sum(_deepest(results, problem)) * (setting.folds - 1)
    )


def _ash_random(problem: Problem, setting: Setting) -> Found:
    return _ash(problem, setting, search="random")


def _random(problem: Problem, setting: Setting) -> Found:
    from sklearn.model_selection import RandomizedSearchCV

    each = setting.folds - 1
    search = RandomizedSearchCV(
        problem.estimator, problem.space, n_iter=math.ceil(setting.spent / each),
        cv=setting.splitter, n_jobs=WORKERS,
        random_state=setting.seed,
    )  # fmt: skip
    return _timed(search, problem, lambda results: len(results["params"]) * each)


def _same_fits(problem: Problem, setting: Setting) -> Found:
    """Fit each candidate of "ash random" from the beginning, once, with the resource that it
    reached there.
    """
    from sklearn.model_selection import GridSearchCV

    fitted: dict[str, dict[str, list[Any]]] = {}
    # a candidate's rows are in the order of the rungs
    results = _ash_random(problem, setting).results
    for parameters, reached in zip(results["params"], results["n_resources"], strict=True):
        own = {name: [value] for name, value in parameters.items()} | {
            problem.resource: [int(reached)]
        }
        fitted[_key(parameters, problem)] = own
    search = GridSearchCV(
        problem.estimator, list(fitted.values()), cv=setting.splitter, n_jobs=WORKERS
    )
    spent = (
        sum(own[problem.resource][0] for own in fitted.values()) / problem.top * (setting.folds - 1)
    )
    return _timed(search, problem, lambda _: spent)


def _halving_rows(problem: Problem, setting: Setting) -> Found:
    return _halving(problem, setting, len(problem.known[0]), "n_samples")


def _halving_iterations(problem: Problem, setting: Setting) -> Found:
    return _halving(problem, setting, problem.top, problem.resource)


def _halving(problem: Problem, setting: Setting, top: int, growing: str) -> Found:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it puts the class there
    from sklearn.model_selection import HalvingRandomSearchCV

    each = setting.folds - 1
    search = HalvingRandomSearchCV(
        problem.estimator, problem.space, n_candidates=candidates_for(setting.spent / each),
        resource=growing,
        min_resources=top // REDUCED**2, max_resources=top, factor=REDUCED, cv=setting.splitter,
        n_jobs=WORKERS,
        random_state=setting.seed, return_train_score=False,
    )  # fmt: skip
    return _timed(search, problem, lambda results: shares(results["n_resources"], top).sum() * each)


def candidates_for(fits: float) -> int:
    """Return the fewest candidates of which halving from a ninth on, by thirds, spends so many fits
    to the top.

    Source: ``HalvingRandomSearchCV`` keeps a third of the candidates, rounded up.
    """
    candidates = REDUCED**2
    while _spent_by(candidates) < fits:
        candidates += 1
    return candidates


def _spent_by(candidates: int) -> float:
    third = math.ceil(candidates / REDUCED)
    return candidates / REDUCED**2 + third / REDUCED + math.ceil(third / REDUCED)


def _timed(search: Any, problem: Problem, spent: Callable[[Any], float]) -> Found:
    from joblib.externals.loky import get_reusable_executor

    began, began_cpu = time.perf_counter(), _cpu_seconds()
    search.fit(*problem.known)
    seconds = time.perf_counter() - began - search.refit_time_
    get_reusable_executor().shutdown(wait=True)  # a process is counted once it has ended
    return Found(
        seconds, search.refit_time_, float(spent(search.cv_results_)), float(search.best_score_),
        search.best_estimator_, len(_deepest(search.cv_results_, problem)), search.best_params_,
        _cpu_seconds() - began_cpu, search.cv_results_,
    )  # fmt: skip


def _cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    return sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def _deepest(results: Any, problem: Problem) -> list[float]:
    """Return how far each candidate was trained, in full fits: one that is resumed counts once."""
    deepest: dict[str, float] = {}
    resources = results.get("n_resources", [problem.top] * len(results["params"]))
    for parameters, share in zip(results["params"], shares(resources, problem.top), strict=True):
        key = _key(parameters, problem)
        deepest[key] = max(share, deepest.get(key, 0.0))
    return list(deepest.values())


def _key(parameters: dict[str, Any], problem: Problem) -> str:
    """Return what tells a candidate from others."""
    own = {name: value for name, value in parameters.items() if name != problem.resource}
    return json.dumps(own, sort_keys=True, default=str)


def _dask_hyperband(problem: Problem, setting: Setting) -> Found:
    """It validates by one share of the rows, as large as a fold."""
    import dask.array
    from dask_ml.model_selection import HyperbandSearchCV
    from distributed import Client, LocalCluster
    from sklearn.base import is_classifier

    (x, y), validation = problem.known, 1 / setting.folds
    space = {name: _without_tuples(values) for name, values in problem.space.items()}
    searches = [
        HyperbandSearchCV(
            problem.estimator,
            space,
            max_iter=calls,
            test_size=validation,
            random_state=setting.seed,
        )
        for calls in CALLS
    ]
    spent = [
        search.metadata["partial_fit_calls"] / search.max_iter * (1 - validation)
        for search in searches
    ]
    search = min(zip(searches, spent, strict=True), key=lambda each: abs(each[1] - setting.spent))[
        0
    ]
    calls = search.max_iter
    rows = math.ceil(len(x) * problem.top / calls)
    began = time.perf_counter()
    with (
        LocalCluster(WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        classes = {"classes": np.unique(y)} if is_classifier(problem.estimator) else {}
        search.fit(dask.array.from_array(x, (rows, -1)), dask.array.from_array(y, rows), **classes)
        # its processes take four seconds to end, with nothing to do
        seconds = time.perf_counter() - began
        best, score = search.best_params_, float(search.best_score_)
        made = search.cv_results_["partial_fit_calls"]
    estimator, began = problem.estimator.set_params(**best), time.perf_counter()
    estimator.fit(x, y)
    return Found(
        seconds, time.perf_counter() - began, float(sum(made) / calls * (1 - validation)), score,
        estimator, len(made),
        dict(best),
    )  # fmt: skip


class OneValue:
    """A tuple that NumPy does not take apart.

    Dask-ML 2025.1 makes an array of a hyperparameter's values, which NumPy 2 refuses for tuples of
    several lengths.
    """

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


def _without_tuples(values: Any) -> Any:
    is_listed = isinstance(values, list)
    return (
        [OneValue(value) if isinstance(value, tuple) else value for value in values]
        if is_listed
        else values
    )


TUNERS: dict[str, Callable[[Problem, Setting], Found]] = {
    "ash": _ash,
    "ash random": _ash_random,
    "random": _random,
    "same fits": _same_fits,
    "halving rows": _halving_rows,
    "halving iterations": _halving_iterations,
    "dask-ml hyperband": _dask_hyperband,
}
