"""Tells scikit-learn's callbacks about the tasks of a search: ``search.set_callbacks(ProgressBar())``.

The task "fit" contains "search" and "refit-with-best-params", as in scikit-learn's searches. "search" contains a "rung"
for each rung that is reached; a "rung" contains a "candidate-evaluation" for each candidate trained to it.

Rule: callbacks run in the process that called ``fit``. Callbacks are not passed to the fits of the candidates, which
run in other processes or on other machines. They are passed to the refit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Train, TrialFailed


class Tasks:
    """Begins the task "fit" of a search."""

    def __init__(self, search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        self._search = search
        weight = params.get("sample_weight")
        self._data = {"X": X, "y": y, "metadata": None if weight is None else {"sample_weight": weight}}
        self._fit = search._init_callback_context(max_subtasks=1 + (search.refit is not False))
        self._fit.call_on_fit_task_begin(estimator=search, **self._data)

    @contextmanager
    def search(self, candidates: int) -> Iterator[list[Observer]]:
        """Enter the task "search"; yield the observers for the study."""
        task = self._fit.subcontext("search", max_subtasks=None, sequential_subtasks=False)
        task.call_on_fit_task_begin(estimator=self._search)
        yield [_Evaluations(self._search, task, candidates)] if hasattr(self._search, "_skl_callbacks") else []
        task.call_on_fit_task_end(estimator=self._search)

    @contextmanager
    def refit(self, estimator: Any) -> Iterator[None]:
        """Enter the task of fitting the best estimator, which gets the callbacks for nested estimators."""
        task = self._fit.subcontext("refit-with-best-params")
        with task.propagate_callback_context(estimator):
            task.call_on_fit_task_begin(estimator=self._search, **self._data)
            yield
        task.call_on_fit_task_end(estimator=self._search, **self._data)

    def end(self) -> None:
        """End the task "fit"."""
        self._fit.call_on_fit_task_end(estimator=self._search, **self._data)


class _Evaluations(Observer):
    """Begins and ends the tasks inside "search", in the thread of an observer."""

    def __init__(self, search: Any, task: Any, candidates: int) -> None:
        self._search = search
        self._task = task
        self._candidates = candidates
        self._rungs: dict[int, Any] = {}
        self._evaluations: dict[tuple[int, int], Any] = {}

    def followed(self, what: Followed) -> None:
        """Record that a candidate failed, or that its training for a rung started; only the first start counts."""
        match what:
            case Train(trial=trial, rung=rung) if (rung, trial) not in self._evaluations:
                evaluation = self._rung(rung).subcontext("candidate-evaluation", task_id=trial)
                self._evaluations[rung, trial] = evaluation
                evaluation.call_on_fit_task_begin(estimator=self._search)
            case TrialFailed(trial=trial, rung=rung):
                self._evaluations[rung, trial].call_on_fit_task_end(estimator=self._search)
            case _:
                pass

    def event(self, event: Event) -> None:
        """Take in the end of a candidate's training to a rung."""
        if isinstance(event, JobFinished):
            self._evaluations[event.rung, event.trial].call_on_fit_task_end(estimator=self._search)

    def end(self) -> None:
        """Take in the end of the study."""
        for rung in self._rungs.values():
            rung.call_on_fit_task_end(estimator=self._search)

    def _rung(self, number: int) -> Any:
        if number not in self._rungs:
            rung = self._task.subcontext(
                "rung", task_id=number, max_subtasks=self._candidates, sequential_subtasks=False
            )
            self._rungs[number] = rung.call_on_fit_task_begin(estimator=self._search)
        return self._rungs[number]
