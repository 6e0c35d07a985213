"""Learning curves: an observer that keeps the best curves and a sample of the others.

Rule 1: at most four thirds of ``most`` curves are kept, for any number of trials. The sample has the trials with the
smallest hashes, so reading a journal again gives the same sample.
Rule 2: if a trial came among the best only at a higher rung, its earlier curve has only its results at rungs.
Rule 3: if an epoch was trained twice, for example after a kill, the last value is kept.
"""

import math
from collections.abc import Iterable, Sequence

import msgspec

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.sampling import Pool, scattered
from ashtune._src.core.events import Curve as Reports
from ashtune._src.core.events import Event, JobFinished, JobPaused
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed

MOST = 120


class Curve(msgspec.Struct, frozen=True):
    """A trial's metric over its resource; a value that is not finite is NaN.

    ``rung`` is the highest rung with a finite result, -1 if there is no such rung. ``loss`` is the result at this rung.
    """

    trial: TrialId
    rung: int
    loss: float
    resources: Sequence[int]
    values: Sequence[float]


class Curves(Observer):
    """Keeps learning curves.

    Args:
        goal: The metric, and which way is better.
        most: How many curves to show. A third of them are the best at the highest rungs, the others are sampled.
    """

    sees_confirmations = False

    def __init__(self, goal: Goal, *, most: int = MOST) -> None:
        self.goal = goal
        self.results = Results(goal)
        self.total = 0
        """Trials that have reported at least once."""
        self._most = most
        self._has_reported = bytearray()
        self._best = Pool(most // 3)
        self._sample = Pool(most)
        self._partials: dict[TrialId, _Partial] = {}

    def event(self, event: Event) -> None:
        """Take in one event. O(number of its reports)."""
        self.results.event(event)
        match event:
            case JobFinished(trial=trial, rung=rung):
                loss = self.goal.loss(event.metrics)
                if loss < math.inf:
                    self._drop(self._best.offer(trial, (rung, -loss, -trial)))
                if partial := self._find(event):
                    if loss < math.inf:
                        partial.rung, partial.loss = rung, loss
                    partial.points[event.resource] = _value(event.metrics.get(self.goal.metric))
            case JobPaused():
                self._find(event)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Take in a failure. O(1)."""
        self.results.followed(what)

    def shown(self) -> list[Curve]:
        """Return at most ``most`` curves, the best last."""
        best = list(self._best)
        others = [trial for trial in self._sample if trial not in self._best]
        trials = [*best, *others[: self._most - len(best)]]
        early = self._early_results([trial for trial in trials if self._partials[trial].since > 0])
        curves = [self._partials[trial].curve(trial, early.get(trial, {})) for trial in trials]
        return sorted(curves, key=lambda curve: (curve.rung, -curve.loss, -curve.trial))

    def _find(self, event: JobFinished | JobPaused) -> "_Partial | None":
        """Return the kept part of a trial's curve, with the event's reports added; None if the curve is not kept."""
        trial = event.trial
        if trial >= len(self._has_reported):
            self._has_reported.extend(bytes(trial + 1 - len(self._has_reported)))
        if not self._has_reported[trial]:
            self._has_reported[trial] = True
            self.total += 1
            self._drop(self._sample.offer(trial, (-scattered(trial),)))
        if trial not in self._best and trial not in self._sample:
            return None
        partial = self._partials.setdefault(trial, _Partial(event.start))
        partial.add(event.curve, event.start, event.resource, self.goal)
        return partial

    def _drop(self, trial: TrialId | None) -> None:
        if trial is not None and trial not in self._best and trial not in self._sample:
            self._partials.pop(trial, None)

    def _early_results(self, trials: Iterable[TrialId]) -> dict[TrialId, dict[int, float]]:
        """Return the results of these trials at all rungs, by trial and resource. O(results)."""
        import numpy as np

        results: dict[TrialId, dict[int, float]] = {trial: {} for trial in trials}
        for rung in self.results.rungs if results else ():
            for place in np.flatnonzero(np.isin(np.array(rung.trials), list(results))).tolist():
                trial, resource, loss = TrialId(rung.trials[place]), rung.resources[place], rung.losses[place]
                if resource > 0:
                    results[trial][resource] = self.goal.value(loss) if loss < math.inf else math.nan
        return results


class _Partial:
    """The kept part of a curve. Its reports up to the resource ``since`` were not kept."""

    __slots__ = ("loss", "points", "rung", "since")

    def __init__(self, since: int) -> None:
        self.points: dict[int, float] = {}
        self.since = since
        self.rung = -1
        self.loss = math.inf

    def add(self, reports: Reports, start: int, end: int, goal: Goal) -> None:
        """Take in the reports after the resource ``start`` up to ``end``, in place of earlier reports in this range."""
        self.since = min(self.since, start)
        if self.points and max(self.points) > start:
            self.points = {at: value for at, value in self.points.items() if not start < at <= end}
        for resource, metrics in reports:
            if goal.metric in metrics:
                self.points[resource] = _value(metrics[goal.metric])

    def curve(self, trial: TrialId, early: dict[int, float]) -> Curve:
        """Return the curve; before the kept reports it has only the results at rungs."""
        points = {at: value for at, value in early.items() if at <= self.since} | self.points
        resources = sorted(points)
        return Curve(trial, self.rung, self.loss, resources, [points[at] for at in resources])


def _value(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else value
