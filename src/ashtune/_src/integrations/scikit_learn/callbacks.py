"""Calls scikit-learn's callbacks, such as a progress bar, at the start and end of each task of a
search.

The task "fit" contains the tasks "search" and "refit-with-best-params", as in scikit-learn's
searches. The task "search" contains a task "rung" for each rung. A task "rung" contains a task
"candidate-evaluation" for each candidate.

Rule: callbacks run in the process that called ``fit``. Callbacks are passed to the refit, but not
to the fits of candidates, which run in other processes or on other machines.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Train, TrialFailed


class Tasks:
    """Begins and ends the task "fit" of a search, and the tasks inside "fit"."""

    def __init__(self, search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        self._search = search
        weight = params.get("sample_weight")
        self._data = {
            "X": X,
            "y": y,
            "metadata": None if weight is None else {"sample_weight": weight},
        }
        self._fit = search._init_callback_context(max_subtasks=1 + (search.refit is not False))
        self._fit.call_on_fit_task_begin(estimator=search, **self._data)

    @contextmanager
    def search(self, candidates: int) -> Iterator[list[Observer]]:
        """Run the ``with`` block as the task "search", and yield the observers for the study."""
        task = self._fit.subcontext("search", max_subtasks=None, sequential_subtasks=False)
        task.call_on_fit_task_begin(estimator=self._search)
        observers: list[Observer] = []
        if hasattr(self._search, "_skl_callbacks"):
            observers.append(_Evaluations(self._search, task, candidates))
        yield observers
        task.call_on_fit_task_end(estimator=self._search)

    @contextmanager
    def refit(self, estimator: Any) -> Iterator[None]:
        """Run the ``with`` block as the task that fits the best estimator. This estimator gets the
        callbacks.
        """
        task = self._fit.subcontext("refit-with-best-params")
        with task.propagate_callback_context(estimator):
            task.call_on_fit_task_begin(estimator=self._search, **self._data)
            yield
        task.call_on_fit_task_end(estimator=self._search, **self._data)

    def end(self) -> None:
        """End the task "fit"."""
        self._fit.call_on_fit_task_end(estimator=self._search, **self._data)


class _Evaluations(Observer):
    """An observer that begins and ends the tasks inside the task "search"."""

    def __init__(self, search: Any, task: Any, candidates: int) -> None:
        self._search = search
        self._task = task
        self._candidates = candidates
        self._rungs: dict[int, Any] = {}
        self._evaluations: dict[tuple[int, int], Any] = {}

    def followed(self, what: Followed) -> None:
        """When a candidate's training starts, begin its task for the rung. If the candidate fails,
        end the task.
        """
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
        """When a candidate has reached a rung, end the candidate's task for this rung."""
        if isinstance(event, JobFinished):
            self._evaluations[event.rung, event.trial].call_on_fit_task_end(estimator=self._search)

    def end(self) -> None:
        for rung in self._rungs.values():
            rung.call_on_fit_task_end(estimator=self._search)

    def _rung(self, number: int) -> Any:
        if number not in self._rungs:
            rung = self._task.subcontext(
                "rung", task_id=number, max_subtasks=self._candidates, sequential_subtasks=False
            )
            self._rungs[number] = rung.call_on_fit_task_begin(estimator=self._search)
        return self._rungs[number]
