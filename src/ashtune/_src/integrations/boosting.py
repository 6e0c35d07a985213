"""The code that the integrations of XGBoost, LightGBM and CatBoost share: a trial's rounds,
reports, seeds and threads.

Rule 1: each report has the best value of the metric so far, and the round of this value. Therefore
a trial ranks by its best value, even if later rounds are worse. If the rounds after the best round
are removed from a model, the model has this best value.
Rule 2: between two rungs, a trial reports at most REPORTS times: after every n-th round and after
the last round.
Rule 3: the study decides how many rounds a trial trains. If the library ends the training earlier,
the trial fails.
"""

import math
import os
import threading
from collections.abc import Mapping
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.jobs import derived_seed
from ashtune._src.core.plaintext import shown
from ashtune._src.engines.worker_resources import available_cores
from ashtune._src.training.reports import MetricMissing, names_text
from ashtune._src.training.trial import Trial

REPORTS = 20
"""The largest number of reports for a rung. Reports are limited, because each report is written to
the journal.
"""
BEST_ROUND = "best_round"
"""The metric with the round of the best value."""

Evaluations = Mapping[str, Mapping[str, Any]]
"""Name of a data set -> name of a metric -> values."""


class Rounds:
    """The rounds of a trial during its training, and the value of the metric for the next report.

    Args:
        metric: The reported metric; by default the study's metric.
        data: The data set whose metric is reported; by default the data set that is evaluated last.

    Attributes:
        metric: The name of the reported metric.
        data: The name of the data set whose metric is reported, known after :meth:`choose`.
        has_best: Whether the trees of earlier rounds stay unchanged in later rounds. This is False
            for DART, which changes earlier trees. If ``has_best`` is False, reports have the
            present value, not the best value so far.
        number: The round that began last, counted from 1.
        best: The best value so far; None before the first value.
        best_round: The round of the best value.
        is_over: Whether the present round is the last one, because the trial is at its rung and is
            not promoted immediately, or because the study stops.

    Raises:
        ObjectiveError: If the study has several metrics.
    """

    def __init__(self, trial: Trial, *, metric: str | None = None, data: str | None = None) -> None:
        if len(trial.metrics) > 1:
            raise ObjectiveError(
                f"the study has the metrics {names_text(dict.fromkeys(trial.metrics))}, but the "
                "callback reports only one; give tune() one metric"
            )
        self.trial = trial
        self.metric = trial.metric if metric is None else metric
        self.data = data
        self.has_best = True
        self.number = 0
        self.best: float | None = None
        self.best_round = 0
        self.is_over = False
        self._epochs = trial.epochs()
        self._start = 0
        self._every = 1
        self._target = -1

    def choose(self, evaluations: Evaluations, how: str) -> None:
        """When a model is evaluated for the first time, choose the data set whose metric is
        reported.

        Raises:
            MetricMissing: If the metric is not evaluated.
        """
        if not evaluations:
            raise MetricMissing(
                f"no evaluation data were given, so nothing is reported; give {how}"
            )
        if self.data is None:
            self.data = list(evaluations)[-1]
        if self.metric not in evaluations.get(self.data, ()):
            evaluated = [
                f"{metric} of {data}" for data, metrics in evaluations.items() for metric in metrics
            ]
            raise MetricMissing(
                f"{shown(self.metric)} of {shown(self.data)} is not evaluated, only "
                f"{names_text(dict.fromkeys(evaluated))}; add it to the library's parameter for "
                "metrics, or choose an evaluated metric by callback(trial, metric=...)"
            )

    def check_direction(self, library: str, *, is_higher_better: bool) -> None:
        """Refuse a study with mode "min" if the library maximizes the metric, and vice versa.

        Raises:
            ObjectiveError: If mode and direction contradict each other.
        """
        mode = self.trial.mode
        if is_higher_better != (mode == "max"):
            better, right = ("higher", "max") if is_higher_better else ("lower", "min")
            raise ObjectiveError(
                f"mode={mode!r}, but in {library} a {better} {self.metric} is better; give tune() "
                f"mode={right!r}"
            )

    def value(self, evaluations: Evaluations) -> Any:
        """Return the library's values of the reported metric on the chosen data set."""
        assert self.data is not None, "the data set is chosen at the first round"
        return evaluations[self.data][self.metric]

    def next(self) -> bool:
        """Begin the trial's next round. Return False if the trial has no further round."""
        number = next(self._epochs, None)
        if number is None:
            self.is_over = True
            return False
        if self.trial.target != self._target:
            self._start = number - 1
            self._target = self.trial.target
            self._every = math.ceil((self._target - self._start) / REPORTS)
        self.number = number
        return True

    def report(self, value: float) -> None:
        """Record the metric's value after the current round. After every n-th round, report the
        best value so far.
        """
        self.note(self.number, value)
        if self.number == self._target or (self.number - self._start) % self._every == 0:
            self.trial.report({self.trial.metric: self.best, BEST_ROUND: self.best_round})

    def note(self, number: int, value: float) -> None:
        """Record the metric's value after a round, without a report."""
        if not self.has_best or self._improves(value):
            self.best = float(value)
            self.best_round = number

    def _improves(self, value: float) -> bool:
        if self.best is None or math.isnan(self.best):
            return True
        return value > self.best if self.trial.mode == "max" else value < self.best

    def check_over(self, how: str) -> None:
        """Raise an error if the library ended the training, although the study has more rounds for
        the trial.

        Raises:
            ObjectiveError: If the trial has further rounds to train.
        """
        if not self.is_over:
            raise ObjectiveError(
                f"training ended after {self.number - 1} of {self._target} rounds; give {how} of "
                "at least the study's max_resource, and remove the library's early stopping"
            )


def seed_of(seed: int, number: int) -> int:
    """Derive the seed of a round from a trial's seed. The result is below 2**31, because the
    libraries accept no greater seed.
    """
    return derived_seed(seed, number) >> 1


def threads() -> int:
    """Return the number of threads for training, read from OMP_NUM_THREADS. For each worker,
    ashtune sets OMP_NUM_THREADS to the number of the worker's cores. If OMP_NUM_THREADS is not set,
    the main thread gets all permitted cores, and another thread gets one core.
    """
    # OMP_NUM_THREADS may have several numbers, one for each level of nested parallel regions. The
    # first number is for the outermost level.
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if first.isdigit() and int(first):
        return int(first)
    return available_cores() if threading.current_thread() is threading.main_thread() else 1
