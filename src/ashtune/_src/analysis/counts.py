"""Parts of the tally: groups of failure reasons, and the counts and best results of each rung."""

import math
from collections.abc import Sequence
from statistics import median

import msgspec

from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import Goal, Key, Losses, TrialId, as_one
from ashtune._src.core.order import preferred
from ashtune._src.core.orders import template
from ashtune._src.study.best_of_rung import BestOfRung, Entry

# A function may put a random path or a configuration into its message, so that each of 100,000
# failures has a different reason. Nobody reads more than twenty groups; ``total`` counts all
# failures. A group keeps the traceback of its first failure, or only the end of the traceback,
# where the error was raised.
GROUPS_KEPT = 20
TRACEBACK_CHARACTERS = 8_000
FEWEST_BENDS = 5
"""The noise of a rung is known from this number of kept results on."""
_OF_A_MEDIAN = 0.6745 * math.sqrt(6)
"""The median absolute second difference of normal noise, in standard deviations of the noise."""


class Group(msgspec.Struct):
    """A group of failures with the same reason: the first failure, and the number of failures."""

    reason: str
    count: int
    trial: TrialId | None
    rung: int
    traceback: str


class Reasons:
    """Counts failure reasons. Reasons of one template are in the same group: see
    :func:`~ashtune._src.core.orders.template`.

    At most ``GROUPS_KEPT`` reasons have a group; all other reasons count only in ``total``.
    """

    def __init__(self) -> None:
        self.total = 0
        self._groups: dict[str, Group] = {}

    def add(self, reason: str, trial: TrialId | None, rung: int = 0, traceback: str = "") -> None:
        """Count one more failure reason."""
        self.total += 1
        key = template(reason)
        group = self._groups.get(key)
        if group is not None:
            group.count += 1
        elif len(self._groups) < GROUPS_KEPT:
            self._groups[key] = Group(reason, 1, trial, rung, traceback[-TRACEBACK_CHARACTERS:])

    def groups(self) -> Sequence[Group]:
        """Return the groups, the largest group first; groups of equal size are in the order of the
        first failure.
        """
        return sorted(self._groups.values(), key=lambda group: -group.count)


class BestResult(msgspec.Struct, frozen=True):
    """A result: the metrics of a trial at a rung.

    ``loss`` is the number that ranks results. In a study with constraints, ``loss`` is the value of
    ``as_one()``. In a study with several objectives, ``loss`` is the first loss. ``violation`` is
    the amount by which constraints are violated; ``losses`` are the losses of several objectives.
    ``bend`` is the result of :func:`last_bend`.
    """

    trial: TrialId
    rung: int
    resource: int
    loss: float
    metrics: dict[str, float | None]
    violation: float = 0.0
    losses: Losses = ()
    bend: float | None = None

    @property
    def key(self) -> tuple[Key, TrialId]:
        """The key that ranks this result, followed by the trial's number."""
        return (self.violation, *(self.losses or (self.loss,))), self.trial


def result_of(event: JobFinished, goal: Goal) -> BestResult:
    """Return the result of a job. The loss of a failure is inf."""
    losses, violation = goal.judged(event.metrics)
    loss = losses[0]
    bend = last_bend(event, goal, loss)
    if not goal.others:
        loss = as_one(violation, loss)
        losses = ()
    return BestResult(
        event.trial, event.rung, event.resource, loss, event.metrics, violation or 0.0, losses, bend
    )


def last_bend(event: JobFinished, goal: Goal, loss: float) -> float | None:
    """Return the second difference of the losses of a job's last three reports, of which
    ``loss`` is the last; None if the reports are not evenly spaced or not finite.
    """
    if len(event.curve) < 2:
        return None
    (first, before), (second, then) = event.curve[-2:]
    bend = goal.loss(before) - 2 * goal.loss(then) + loss
    if second - first == event.resource - second and math.isfinite(bend):
        return bend
    return None


def noise_of(bends: Sequence[float]) -> float:
    """Return the standard deviation of the noise that explains the median size of some bends. Each
    training's last reports are compared with a straight line, so differences between trainings do
    not count.
    """
    return median(map(abs, bends)) / _OF_A_MEDIAN


class RungTally:
    """Counts the trials and results of one rung.

    ``arrived`` is the number of trials with a result at this rung, and ``promoted`` is the number
    of promoted trials. ``failed`` and ``withdrawn`` count the trials that failed or were withdrawn
    in a job to this rung. ``epochs`` is the resource that all jobs to this rung have trained
    together. The resource of failed jobs is unknown and does not count. ``bests`` are the best
    finite results of trials that were not withdrawn.
    """

    def __init__(self, resource: int, goal: Goal) -> None:
        self.resource = resource
        self._goal = goal
        self._leaders: list[Entry] = []
        self._front: list[BestResult] = []
        self.running = 0
        self.arrived = 0
        self.promoted = 0
        self.failed = 0
        self.withdrawn = 0
        self.epochs = 0
        self.seconds = 0.0
        self.bests: BestOfRung[BestResult] = BestOfRung()

    @property
    def best(self) -> BestResult | None:
        """The best result at this rung, without withdrawn trials. If results are equal, the earlier
        trial is the best.

        In a study with several objectives, the weights choose the best result from the Pareto
        front.
        """
        return next(iter(self.front), None)

    @property
    def front(self) -> list[BestResult]:
        """The Pareto front at this rung, the preferred result first. With one objective, the front
        is one result.
        """
        leaders = self.bests.leaders()
        if not self._goal.others:
            return [self.bests.results[trial] for _, trial in leaders]
        if leaders is not self._leaders:
            self._leaders = leaders
            order = preferred([key[1:] for key, _ in leaders], self._goal.weights)
            self._front = [self.bests.results[leaders[place][1]] for place in order]
        return self._front

    @property
    def noise(self) -> float | None:
        """The noise of the kept results, by their last reports; None with fewer than
        ``FEWEST_BENDS``. O(kept results).
        """
        bends = [each.bend for each in self.bests.results.values() if each.bend is not None]
        if len(bends) < FEWEST_BENDS:
            return None
        # Curves that all bend in the same way are smooth, not noisy.
        middle = median(bends)
        return noise_of([bend - middle for bend in bends])

    def add(self, event: JobFinished) -> None:
        """Count a result, and keep it if it is among the best: see :meth:`BestOfRung.add` for the
        cost.
        """
        self.arrived += 1
        self.seconds += event.seconds
        self.epochs += event.resource - event.start
        losses, violation = self._goal.judged(event.metrics)
        key = (violation or 0.0, *losses)
        if self.bests.wants(key):
            self.bests.add(key, event.trial, result_of(event, self._goal))

    @property
    def paused(self) -> int:
        """The number of trials that have a result at this rung and are not promoted yet."""
        return self.arrived - self.promoted

    @property
    def trained(self) -> int:
        """The number of trials whose job to this rung ended with a result or a failure."""
        return self.arrived + self.failed
