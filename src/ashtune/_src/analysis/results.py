"""The book of all results of a study, by rung: an observer that keeps every result, and tells how
the best result improved. Each result takes 40 bytes.

Rule 1: a trial that fails in a job to a rung counts as the worst trial at this rung.
Rule 2: if a trial is withdrawn, the columns keep its results, but values computed from the columns
do not include them.
Rule 3: the seconds do not include the time between sessions. Epochs are summed over all trials. The
epochs of failed jobs are unknown and do not count.
"""

# A new result is only stored, so each of 1,000,000 results takes O(1). A withdrawal adds one entry
# to a set. After a withdrawal, steps are computed again only when somebody asks for them.

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec

from ashtune._src.core.events import Event, JobFinished, JobPaused, SessionStarted, TrialWithdrawn
from ashtune._src.core.jobs import Goal, Key, TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.core.order import fronts_of, preferred
from ashtune._src.core.orders import Followed, TrialFailed

MOST_IN_SAMPLE = 600
"""If a study has more results, the sample has only every second result of each rung, later every
fourth, and so on.
"""


class Improvement(msgspec.Struct, frozen=True, gc=False, order=True):
    """A result that is better than all earlier results.

    ``epochs`` counts all trials' epochs until this result. Earlier results compare as smaller.
    """

    seconds: float
    epochs: int
    trial: TrialId
    rung: int
    resource: int
    loss: float


class RungResults:
    """The results at one rung, in order of arrival, including the results of withdrawn trials.

    ``resources`` has each trial's trained resource; 0 if the trial failed. ``losses`` has each
    trial's first loss; infinity if the result is not finite. ``seconds`` has the study's time at
    each result. ``epochs`` has the epochs that all trials had trained until this time. A trial that
    was trained again has one entry for each training. In a study with several losses or
    constraints, ``keys`` has the key that ranks each trial. ``withdrawn`` are the withdrawn trials
    of the study.
    """

    def __init__(self, rung: int, withdrawn: set[TrialId]) -> None:
        self._rung = rung
        self.withdrawn = withdrawn
        self.trials = array("q")
        self.resources = array("q")
        self.losses = array("d")
        self.seconds = array("d")
        self.epochs = array("q")
        self.keys: dict[TrialId, Key] = {}
        self._steps: list[Improvement] = []
        self._seen = 0  # the number of results that the steps take into account

    def by_trial(self) -> dict[TrialId, float]:
        """Return the last loss of each trial at this rung, without withdrawn trials."""
        pairs = zip(self.trials, self.losses, strict=True)
        return {TrialId(trial): loss for trial, loss in pairs if trial not in self.withdrawn}

    @property
    def resource(self) -> int:
        """The rung's resource, computed from the rung's results; 0 if the rung has no results."""
        return max(self.resources, default=0)

    @property
    def steps(self) -> Sequence[Improvement]:
        """The feasible results that are better than all earlier results at this rung. The cost is
        O(results since the last call), or O(results) after the withdrawal of a step.
        """
        steps = self._steps
        if self.withdrawn and any(step.trial in self.withdrawn for step in steps):
            self._steps = steps = []
            self._seen = 0
        best = steps[-1].loss if steps else math.inf
        for place in range(self._seen, len(self.losses)):
            if self.losses[place] < best and self._counts(place):
                steps.append(self._result(place))
                best = self.losses[place]
        self._seen = len(self.losses)
        return steps

    @property
    def finite(self) -> int:
        """The number of results, without failures and withdrawn trials. O(results)."""
        import numpy as np

        is_finite = np.array(self.losses) < math.inf
        if self.withdrawn:
            is_finite &= ~np.isin(np.array(self.trials), list(self.withdrawn))
        return int(np.count_nonzero(is_finite))

    def sample(self, every: int) -> list[Improvement]:
        """Return every ``every``-th result, without failures and withdrawn trials."""
        sampled = map(self._result, range(0, len(self.losses), every))
        return [
            each for each in sampled if each.loss < math.inf and each.trial not in self.withdrawn
        ]

    def _counts(self, place: int) -> bool:
        trial = TrialId(self.trials[place])
        return trial not in self.withdrawn and not self.keys.get(trial, (0.0,))[0]

    def _result(self, place: int) -> Improvement:
        return Improvement(
            self.seconds[place],
            self.epochs[place],
            TrialId(self.trials[place]),
            self._rung,
            self.resources[place],
            self.losses[place],
        )


class Results(Observer):
    """Collects all results of a study."""

    sees_confirmations = False

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._is_plain = goal.is_plain
        self.rungs: list[RungResults] = []
        self.epochs = 0
        """The epochs trained so far, summed over all trials."""
        self._withdrawn: set[TrialId] = set()
        self._now = 0.0
        self._away = 0.0

    @property
    def seconds(self) -> float:
        """The seconds that the study ran until the last event, summed over all sessions."""
        return self._now - self._away

    def event(self, event: Event) -> None:
        """Process one event. O(1)."""
        if type(event) is SessionStarted:
            self._away += max(0.0, event.time - self._now)
        self._now = max(self._now, event.time)
        if type(event) is JobFinished:
            self.epochs += event.resource - event.start
            self._add(event.rung, event.trial, event.resource, self.goal.loss(event.metrics))
            if not self._is_plain:
                losses, violation = self.goal.judged(event.metrics)
                self.rungs[event.rung].keys[event.trial] = (violation or 0.0, *losses)
        elif type(event) is JobPaused:
            self.epochs += event.resource - event.start
        elif type(event) is TrialWithdrawn and event.rung > 0:
            self._withdrawn.add(event.trial)

    def followed(self, what: Followed) -> None:
        """Process a failure. O(1)."""
        if type(what) is TrialFailed:
            self._add(what.rung, what.trial, 0, math.inf)

    @property
    def steps_at_the_highest(self) -> Sequence[Improvement]:
        """The improvements at the highest rung that has a finite result."""
        return next(filter(None, (rung.steps for rung in reversed(self.rungs))), ())

    @property
    def steps(self) -> list[Improvement]:
        """Results that are better than all earlier results at any rung; ties do not count. See
        :attr:`RungResults.steps` for the cost.
        """
        best: list[Improvement] = []
        for step in sorted(chain(*(rung.steps for rung in self.rungs))):  # it has all of them
            if not best or step.loss < best[-1].loss:
                best.append(step)
        return best

    def sample(self) -> tuple[list[Improvement], int]:
        """Return a sample of all finite results, including results that are no improvement, and
        the number of all: the sample is all if the study has at most ``MOST_IN_SAMPLE``.
        """
        count = sum(len(rung.losses) for rung in self.rungs)
        every = 1 << (count // (MOST_IN_SAMPLE + 1)).bit_length()
        finite = sum(rung.finite for rung in self.rungs)
        return list(chain(*(rung.sample(every) for rung in self.rungs))), finite

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
            self.rungs.append(RungResults(len(self.rungs), self._withdrawn))
        results = self.rungs[rung]
        results.trials.append(trial)
        results.resources.append(resource)
        results.losses.append(loss)
        results.seconds.append(self.seconds)
        results.epochs.append(self.epochs)
