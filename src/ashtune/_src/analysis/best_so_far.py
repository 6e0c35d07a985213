"""An observer that records how the best result so far improves with the seconds and with the
trained epochs.

Rule: the seconds do not include the time between sessions. Epochs are summed over all trials. The
epochs of failed jobs are unknown and do not count.
"""

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from ashtune._src.core.events import Event, JobFinished, JobPaused, SessionStarted, TrialWithdrawn
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.observer import Observer

BEST_KEPT = 100
"""A result is dropped if its rung has this number of better results: it is a step only if all these
are withdrawn.
"""
MOST_RESULTS = 600
"""If a study has more results, only every second result is kept, later every fourth, and so on."""


class Improvement(msgspec.Struct, frozen=True, gc=False):
    """A result that is better than all earlier results. ``epochs`` counts all trials' epochs until
    this result.
    """

    seconds: float
    epochs: int
    trial: TrialId
    rung: int
    resource: int
    loss: float


class BestSoFar(Observer):
    """Records the best result so far at each rung, and the best result so far at any rung."""

    sees_confirmations = False

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._is_plain = goal.is_plain
        self.steps: list[Improvement] = []
        """Results that are better than all earlier results at any rung; ties do not count."""
        self.steps_at: list[list[Improvement]] = []
        """For each rung, the results that are better than all earlier results at that rung."""
        self.results: list[Improvement] = []
        """A sample of all finite results, including results that are no improvement."""
        self.epochs = 0
        """The epochs trained so far, summed over all trials."""
        self._now = self._away = 0.0
        self._results = 0
        self._every = 1
        # For each rung: (place among all results, a result that may become a step if other trials
        # are withdrawn).
        self._candidates: list[list[tuple[int, Improvement]]] = []
        self._best: list[list[float]] = []  # for each rung: the best losses so far, ascending

    @property
    def seconds(self) -> float:
        """The seconds that the study has run so far, summed over all sessions."""
        return self._now - self._away

    @property
    def steps_at_the_highest(self) -> Sequence[Improvement]:
        """The improvements at the highest rung that has a finite result."""
        return next((steps for steps in reversed(self.steps_at) if steps), ())

    def event(self, event: Event) -> None:
        """Process one event. O(1)."""
        if type(event) is SessionStarted:
            self._away += max(0.0, event.time - self._now)
        self._now = max(self._now, event.time)
        if type(event) is JobFinished:
            self.epochs += event.resource - event.start
            self._compare(event)
        elif type(event) is JobPaused:
            self.epochs += event.resource - event.start
        elif type(event) is TrialWithdrawn and event.rung > 0:
            self._withdraw(event.trial)

    def tick(self, now: float) -> None:
        self._now = max(self._now, now)

    def _make_room(self, rung: int) -> None:
        while len(self.steps_at) <= rung:
            for lists in (self.steps_at, self._candidates, self._best):
                lists.append([])

    def _compare(self, event: JobFinished) -> None:
        if event.rung >= len(self._best):
            self._make_room(event.rung)
        self._results += 1
        loss = self.goal.loss(event.metrics)
        best = self._best[event.rung]
        if loss == math.inf:
            return
        is_in_sample = not self._results % self._every
        is_beaten = len(best) == BEST_KEPT and loss >= best[-1]
        if is_beaten and not is_in_sample:
            return
        step = Improvement(self.seconds, self.epochs, event.trial, event.rung, event.resource, loss)
        if is_in_sample:
            self.results.append(step)
        if len(self.results) > MOST_RESULTS:
            self.results, self._every = self.results[1::2], 2 * self._every
        if is_beaten:
            return
        if not self._is_plain and self.goal.judged(event.metrics)[1]:
            return
        insort(best, loss)
        del best[BEST_KEPT:]
        self._candidates[event.rung].append((self._results, step))
        for steps in (self.steps, self.steps_at[event.rung]):
            if not steps or loss < steps[-1].loss:
                steps.append(step)

    def _withdraw(self, trial: TrialId) -> None:
        self.results = [result for result in self.results if result.trial != trial]
        if all(step.trial != trial for rung in self._candidates for _, step in rung):
            return
        self._candidates = [
            [(place, step) for place, step in rung if step.trial != trial]
            for rung in self._candidates
        ]
        self.steps_at = [_steps(step for _, step in rung) for rung in self._candidates]
        self.steps = _steps(
            step for _, step in sorted(chain(*self._candidates), key=lambda each: each[0])
        )


def _steps(results: Iterable[Improvement]) -> list[Improvement]:
    """Return the results that are better than all earlier results in the sequence."""
    steps: list[Improvement] = []
    for step in results:
        if not steps or step.loss < steps[-1].loss:
            steps.append(step)
    return steps
