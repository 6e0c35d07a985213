"""Every result at every rung: an observer that needs 24 bytes for each: what is compared with what in a study.

A trial that fails on its way to a rung counts there as worst, as it does for the scheduler; a withdrawn one
has no result anywhere.
"""

import math
from array import array

from ashtune.core.events import Event, JobFinished, TrialWithdrawn
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.observer import Observer
from ashtune.core.verdicts import Followed, TrialFailed


class RungResults:
    """The results at one rung, in the order in which they came.

    ``resources`` are what the trials were trained to, 0 for one that failed; ``losses`` are infinite
    where there is no finite result. A trial that was trained again is there again.
    """

    __slots__ = ("losses", "resources", "trials", "withdrawn")

    def __init__(self) -> None:
        self.trials = array("q")
        self.resources = array("q")
        self.losses = array("d")
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
        goal: The metric, and which way is better.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.rungs: list[RungResults] = []

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        match event:
            case JobFinished(trial=trial, rung=rung):
                self._add(rung, trial, event.resource, self.goal.loss(event.metrics))
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
        were better before, and equal ones in the order in which they began.
        """
        last: dict[TrialId, tuple[int, float]] = {}
        for rung, results in enumerate(self.rungs):
            last |= {trial: (rung, loss) for trial, loss in results.by_trial().items() if loss < math.inf}
        return sorted(
            ((rung, loss, trial) for trial, (rung, loss) in last.items()),
            key=lambda standing: (-standing[0], standing[1], standing[2]),
        )

    def _add(self, rung: int, trial: TrialId, resource: int, loss: float) -> None:
        while len(self.rungs) <= rung:
            self.rungs.append(RungResults())
        results = self.rungs[rung]
        results.trials.append(trial)
        results.resources.append(resource)
        results.losses.append(loss)
