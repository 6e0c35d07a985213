"""An observer that keeps every result at every rung. Each result takes 24 bytes.

A trial that fails in a job to a rung counts as the worst trial at this rung. A withdrawn trial has
no result at any rung.
"""

import math
from array import array
from collections.abc import Mapping

from ashtune._src.core.events import Event, JobFinished, TrialWithdrawn
from ashtune._src.core.jobs import Goal, Key, TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.core.order import fronts_of, preferred
from ashtune._src.core.orders import Followed, TrialFailed


class RungResults:
    """The results at one rung, in order of arrival.

    ``resources`` has each trial's trained resource; 0 if the trial failed. ``losses`` has each
    trial's first loss; infinity if the result is not finite. A trial that was trained again has one
    entry for each training. In a study with several losses or constraints, ``keys`` has the key
    that ranks each trial.
    """

    __slots__ = ("keys", "losses", "resources", "trials", "withdrawn")

    def __init__(self) -> None:
        self.trials = array("q")
        self.resources = array("q")
        self.losses = array("d")
        self.keys: dict[TrialId, Key] = {}
        self.withdrawn: set[TrialId] = set()

    def by_trial(self) -> dict[TrialId, float]:
        """Return the last loss of each trial at this rung, without withdrawn trials."""
        pairs = zip(self.trials, self.losses, strict=True)
        return {TrialId(trial): loss for trial, loss in pairs if trial not in self.withdrawn}

    @property
    def resource(self) -> int:
        """The rung's resource, computed from the rung's results; 0 if the rung has no results."""
        return max(self.resources, default=0)


class Results(Observer):
    """Collects all results of a study."""

    sees_confirmations = False

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._is_plain = goal.is_plain
        self.rungs: list[RungResults] = []

    def event(self, event: Event) -> None:
        """Process one event. O(1)."""
        if type(event) is JobFinished:
            self._add(event.rung, event.trial, event.resource, self.goal.loss(event.metrics))
            if not self._is_plain:
                losses, violation = self.goal.judged(event.metrics)
                self.rungs[event.rung].keys[event.trial] = (violation or 0.0, *losses)
        elif type(event) is TrialWithdrawn:
            for below in self.rungs[: event.rung]:
                below.withdrawn.add(event.trial)

    def followed(self, what: Followed) -> None:
        """Process a failure. O(1)."""
        if type(what) is TrialFailed:
            self._add(what.rung, what.trial, 0, math.inf)

    def standings(self) -> list[tuple[int, float, TrialId]]:
        """Return (rung, loss, trial) of each trial with a finite result, the best trial first. O(n
        log n).

        Each trial is ranked by its result at its highest rung. Trials of higher rungs come first.
        Equal results are ordered by trial number. Trials that violate constraints come last. In a
        study with several objectives, the trials of a rung are ordered by Pareto front. Each front
        begins with the preferred result, and ``loss`` is the first loss.
        """
        last: dict[TrialId, tuple[int, float]] = {}
        for rung, results in enumerate(self.rungs):
            last |= {
                trial: (rung, loss) for trial, loss in results.by_trial().items() if loss < math.inf
            }
        if not self._is_plain:
            return self._ranked(last)
        return sorted(
            ((rung, loss, trial) for trial, (rung, loss) in last.items()),
            key=lambda standing: (-standing[0], standing[1], standing[2]),
        )

    def _ranked(
        self, last: Mapping[TrialId, tuple[int, float]]
    ) -> list[tuple[int, float, TrialId]]:
        """Return the standings of a study with several losses or constraints, given each trial's
        highest rung.
        """
        feasible: list[tuple[int, float, TrialId]] = []
        others: list[tuple[int, float, TrialId]] = []
        for rung in reversed(range(len(self.rungs))):
            keys = self.rungs[rung].keys
            entries = sorted(
                (keys[trial], trial) for trial, (its_rung, _) in last.items() if its_rung == rung
            )
            for front in fronts_of(entries):
                standings = feasible if not front[0][0][0] else others
                order = preferred([key[1:] for key, _ in front], self.goal.weights)
                standings += [(rung, last[front[place][1]][1], front[place][1]) for place in order]
        return feasible + others

    def _add(self, rung: int, trial: TrialId, resource: int, loss: float) -> None:
        while len(self.rungs) <= rung:
            self.rungs.append(RungResults())
        results = self.rungs[rung]
        results.trials.append(trial)
        results.resources.append(resource)
        results.losses.append(loss)
