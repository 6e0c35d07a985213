"""Every result at every rung: an observer that needs 24 bytes for each: what is compared with what in a study.

A trial that fails on its way to a rung counts there as worst, as it does for the scheduler; a withdrawn one
has no result anywhere.
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
    """The results at one rung, in the order in which they came.

    ``resources`` are what the trials were trained to, 0 for one that failed; ``losses`` are infinite
    where there is no finite result, and of the first objective where there are several. A trial that was trained again
    is there again. ``keys`` has what results with several losses, or under constraints, are ranked by.
    """

    __slots__ = ("keys", "losses", "resources", "trials", "withdrawn")

    def __init__(self) -> None:
        self.trials = array("q")
        self.resources = array("q")
        self.losses = array("d")
        self.keys: dict[TrialId, Key] = {}
        self.withdrawn: set[TrialId] = set()

    def by_trial(self) -> dict[TrialId, float]:
        """Return each trial's loss; of one that was trained again, the last; of one that was withdrawn, none."""
        pairs = zip(self.trials, self.losses, strict=True)
        return {TrialId(trial): loss for trial, loss in pairs if trial not in self.withdrawn}

    @property
    def resource(self) -> int:
        """The rung's resource, from its results; 0 if there is none."""
        return max(self.resources, default=0)


class Results(Observer):
    """Collects the results of a study.

    Args:
        goal: The metrics that count, which way is better, and constraints.
    """

    sees_confirmations = False

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._is_plain = goal.is_plain
        self.rungs: list[RungResults] = []

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        match event:
            case JobFinished(trial=trial, rung=rung):
                self._add(rung, trial, event.resource, self.goal.loss(event.metrics))
                if not self._is_plain:
                    losses, violation = self.goal.judged(event.metrics)
                    self.rungs[rung].keys[trial] = (violation or 0.0, *losses)
            case TrialWithdrawn(trial=trial, rung=rung):
                for below in self.rungs[:rung]:
                    below.withdrawn.add(trial)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Take in a failure. O(1)."""
        if type(what) is TrialFailed:
            self._add(what.rung, what.trial, 0, math.inf)

    def standings(self) -> list[tuple[int, float, TrialId]]:
        """Return (rung, loss, trial) of each trial with a finite result, the best first. O(n log n).

        A trial stands by its result at its highest rung; those at a higher rung come first, since they
        were better before, and equal ones in the order in which they began. Those that violate constraints come last.
        Of several objectives the fronts of a rung come one after another, in each the preferred first; ``loss`` is of
        the first objective.
        """
        last: dict[TrialId, tuple[int, float]] = {}
        for rung, results in enumerate(self.rungs):
            last |= {trial: (rung, loss) for trial, loss in results.by_trial().items() if loss < math.inf}
        if not self._is_plain:
            return self._ranked(last)
        return sorted(
            ((rung, loss, trial) for trial, (rung, loss) in last.items()),
            key=lambda standing: (-standing[0], standing[1], standing[2]),
        )

    def _ranked(self, last: Mapping[TrialId, tuple[int, float]]) -> list[tuple[int, float, TrialId]]:
        """Return standings of results with several losses or under constraints, from their rungs and losses."""
        feasible: list[tuple[int, float, TrialId]] = []
        others: list[tuple[int, float, TrialId]] = []
        for rung in reversed(range(len(self.rungs))):
            keys = self.rungs[rung].keys
            entries = sorted((keys[trial], trial) for trial, (its_rung, _) in last.items() if its_rung == rung)
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
