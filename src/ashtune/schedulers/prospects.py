"""Which paused trials can never be promoted again, so that their checkpoints may go.

With a budget of ``N`` trials at most ``A`` can ever arrive in a rung, so a trial that ranks beyond
``floor(A / reduction_factor)`` there stays where it is. For the lowest rung ``A = N - E``, where ``E`` trials have
arrived that entered at a rung above it; for the next rung, where ``e`` of those entered,

    A' = promoted + (unpromoted that still have prospects) + (A - arrived) + e

which falls as results come in: a trial without a result counts in ``A - arrived``, wherever it will enter. Exact and
safe: what is named here, no order of results promotes. A failure has no prospects from the start. Results are looked
at only when somebody asks, since a study that saves nothing has nothing to free.

With several losses only failures are named: a result that comes may improve the rank of another, as it may dominate
what is before that one.

Rule: more trials, or a trial with results that is withdrawn, may bring back the prospects of others;
then all is counted anew.
"""

import math
from heapq import heappop, heappush

from ashtune.core.jobs import TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.ranking import OneLoss, Ranking


class _Level:
    """What is known of one rung: its reachable trials (negated, worst first) of the ``seen`` results looked at."""

    __slots__ = ("arrivals_above", "beyond", "kept", "out_of", "reachable", "rung", "seen")

    def __init__(self, rung: Ranking, kept: int, out_of: int) -> None:
        self.rung = rung
        self.kept, self.out_of = kept, out_of
        self.seen = 0
        self.beyond = 0  # trials promoted that are beyond the quota now
        self.reachable: list[tuple[float, int]] = []
        self.arrivals_above = -1.0  # how many can ever arrive in the next rung, as last counted


class Prospects:
    """The trials of each rung that a promotion may still reach.

    Args:
        ladder: The rungs.
        rungs: What arrived in each but the top one.
        entered: How many of those in each rung above the lowest entered there, the top one included; the caller counts.
    """

    def __init__(self, ladder: Ladder, rungs: list[Ranking], entered: list[int]) -> None:
        self._ladder = ladder
        self._entered = entered
        self._rungs = rungs
        self._is_one_loss = all(isinstance(rung, OneLoss) for rung in rungs)
        self.reset()

    def reset(self) -> None:
        """Count anew; what was named before is named again if it still applies."""
        kept = [fraction.as_integer_ratio() for fraction in self._ladder.kept]
        self._levels = [_Level(rung, *ratio) for rung, ratio in zip(self._rungs, kept, strict=True)]
        self.look_at_all()

    def look_at_all(self) -> None:
        """The next sweep looks at all rungs."""
        self._lowest, self._highest = 0, len(self._levels) - 1

    def arrived_in(self, number: int) -> None:
        """A result arrived in a rung; the next sweep looks at it, and at those above as far as that changes them."""
        self._lowest = min(self._lowest, number)
        self._highest = max(self._highest, number)

    def sweep(self, most_results: float) -> list[TrialId]:
        """Return the trials that lost their prospects since the last sweep.

        ``most_results`` is how many trials can ever have a result. It and ``entered`` change with :meth:`look_at_all`
        only.
        """
        hopeless: list[TrialId] = []
        number, highest, levels, entered = self._lowest, self._highest, self._levels, self._entered
        if number > highest:
            return hopeless
        self._lowest, self._highest = len(levels), -1
        if not self._is_one_loss:
            return self._failed(levels[number:])
        is_bounded = most_results < math.inf
        arrivals = levels[number - 1].arrivals_above if number else most_results - sum(entered)
        for level in levels[number:]:
            rung, reachable = level.rung, level.reachable
            arrived = len(rung.arrived)
            if arrived > level.seen:
                for loss, trial in rung.arrived[level.seen :]:
                    if loss < math.inf:
                        heappush(reachable, (-loss, -trial))
                    else:
                        hopeless.append(trial)
                level.seen = arrived
            if is_bounded:
                quota = arrivals * level.kept // level.out_of
                while len(reachable) > quota:
                    trial = TrialId(-heappop(reachable)[1])
                    if trial in rung.promoted:
                        level.beyond += 1
                    else:
                        hopeless.append(trial)
                arrivals += len(reachable) + level.beyond - arrived + entered[number + 1]
                if number >= highest and arrivals == level.arrivals_above:
                    break  # nothing is new further up
                level.arrivals_above = arrivals
            number += 1
        return hopeless

    def _failed(self, levels: list[_Level]) -> list[TrialId]:
        """Return those that failed since the last sweep, where there are several losses."""
        failed: list[TrialId] = []
        for level in levels:
            failed += [trial for losses, trial in level.rung.arrived[level.seen :] if max(losses) == math.inf]
            level.seen = len(level.rung.arrived)
        return failed
