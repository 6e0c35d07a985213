"""Learning curves: an observer that keeps the best curves and a sample of all other curves.

Rule 1: at most ``4/3 * most`` curves are kept, for any number of trials. The sample has the trials
with the smallest hashes, so reading a journal again gives the same sample.
Rule 2: if a trial's reports are kept only from a later job on, the curve before this job has only
the results at rungs.
Rule 3: if a trial trained an epoch twice, for example after a kill, only the last value is kept.
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

# Why not all curves. A study of 100,000 trials with 100 reports each has 10^7 reports, and no
# figure can show more than some hundred curves. Which trials are the best is known only at the end,
# so two pools are kept while the journal is read: the best so far, and the trials with the smallest
# hashes.
#
# A trial may enter the best late, after its early reports have been dropped. To have these reports,
# all reports of all curves would have to be kept. The early part of the curve then has only results
# at rungs, which are kept for all trials anyway (rule 2).
MOST = 120


class Curve(msgspec.Struct, frozen=True):
    """A learning curve: a trial's metric at each resource. A metric value that is not finite
    becomes NaN.

    ``rung`` is the trial's highest rung with a finite result; -1 if no result is finite. ``loss``
    is the loss of the result at ``rung``.
    """

    trial: TrialId
    rung: int
    loss: float
    resources: Sequence[int]
    values: Sequence[float]


class Curves(Observer):
    """Keeps the learning curves of the best trials, and a sample of other curves.

    Args:
        most: How many curves to show. A third are the best curves at the highest rungs, all others
            are a sample.
        results: The results of the study, if another observer collects them; by default this object
            collects them.
    """

    sees_confirmations = False

    def __init__(self, goal: Goal, *, most: int = MOST, results: Results | None = None) -> None:
        self.goal = goal
        self.results = results or Results(goal)
        self._collects_results = results is None
        self.total = 0
        """The number of trials that have reported at least once."""
        self._most = most
        self._has_reported = bytearray()
        self._best = Pool(most // 3)
        self._sample = Pool(most)
        self._partials: dict[TrialId, _Partial] = {}

    def event(self, event: Event) -> None:
        """Process one event. O(number of its reports)."""
        if self._collects_results:
            self.results.event(event)
        match event:
            case JobFinished(trial=trial, rung=rung):
                loss = self.goal.loss(event.metrics)
                if loss < math.inf:
                    self._drop(self._best.offer(trial, (rung, -loss, -trial)))
                partial = self._find(event)
                if partial:
                    if loss < math.inf:
                        partial.rung = rung
                        partial.loss = loss
                    partial.points[event.resource] = _value(event.metrics.get(self.goal.metric))
            case JobPaused():
                self._find(event)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Process a failure. O(1)."""
        if self._collects_results:
            self.results.followed(what)

    def shown(self) -> list[Curve]:
        """Return at most ``most`` curves, the best curve last."""
        best = list(self._best)
        others = [trial for trial in self._sample if trial not in self._best]
        trials = [*best, *others[: self._most - len(best)]]
        early = self._early_results([trial for trial in trials if self._partials[trial].since > 0])
        curves = [self._partials[trial].curve(trial, early.get(trial, {})) for trial in trials]
        return sorted(curves, key=lambda curve: (curve.rung, -curve.loss, -curve.trial))

    def _find(self, event: JobFinished | JobPaused) -> "_Partial | None":
        """Add an event's reports to the kept part of a trial's curve, and return this part; None if
        no part is kept.
        """
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
        """Return the results of some trials at all rungs, by trial and resource. O(results)."""
        import numpy as np

        results: dict[TrialId, dict[int, float]] = {trial: {} for trial in trials}
        if not results:
            return results
        for rung in self.results.rungs:
            for place in np.flatnonzero(np.isin(np.array(rung.trials), list(results))).tolist():
                trial = TrialId(rung.trials[place])
                resource = rung.resources[place]
                loss = rung.losses[place]
                if resource > 0:
                    results[trial][resource] = _value(self.goal.value(loss))
        return results


class _Partial:
    """The kept part of a learning curve. The reports up to the resource ``since`` were not kept."""

    __slots__ = ("loss", "points", "rung", "since")

    def __init__(self, since: int) -> None:
        self.points: dict[int, float] = {}
        self.since = since
        self.rung = -1
        self.loss = math.inf

    def add(self, reports: Reports, start: int, end: int, goal: Goal) -> None:
        """Replace all reports from the resource ``start + 1`` to the resource ``end`` by new
        reports.
        """
        self.since = min(self.since, start)
        if self.points and max(self.points) > start:
            self.points = {at: value for at, value in self.points.items() if not start < at <= end}
        for resource, metrics in reports:
            if goal.metric in metrics:
                self.points[resource] = _value(metrics[goal.metric])

    def curve(self, trial: TrialId, early: dict[int, float]) -> Curve:
        """Return the curve of a trial: ``early`` results at rungs, followed by the kept reports."""
        points = {at: value for at, value in early.items() if at <= self.since} | self.points
        resources = sorted(points)
        return Curve(trial, self.rung, self.loss, resources, [points[at] for at in resources])


def _value(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else value
