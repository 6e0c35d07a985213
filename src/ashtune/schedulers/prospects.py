"""Which paused trials can never be promoted again, so that their checkpoints may go.

With a budget of ``N`` trials at most ``A`` can ever arrive in a rung, so a trial that ranks beyond
``floor(A / reduction_factor)`` there stays where it is. For the lowest rung ``A = N``; for the next

    A' = promoted + (unpromoted that still have prospects) + (A - arrived)

which falls as results come in. Exact and safe: what is named here, no order of results promotes. A
failure has no prospects from the start. Results are looked at only when somebody asks, since a study
that saves nothing has nothing to free.

Rule: more trials, or a trial with results that is withdrawn, may bring back the prospects of others;
then all is counted anew.
"""

import math
from heapq import heappop, heappush

from ashtune.jobs import TrialId
from ashtune.ladder import Ladder
from ashtune.schedulers.rung import Rung


class Prospects:
    """The trials of each rung that a promotion may still reach."""

    def __init__(self, ladder: Ladder, rungs: list[Rung]) -> None:
        self._kept = [kept.as_integer_ratio() for kept in ladder.kept]
        self._rungs = rungs
        self.reset()

    def reset(self) -> None:
        """Count anew; what was named before is named again if it still applies."""
        self.is_stale = True
        self._seen = [0] * len(self._rungs)
        self._promoted_beyond = [0] * len(self._rungs)
        self._reachable: list[list[tuple[float, int]]] = [[] for _ in self._rungs]  # negated, worst first

    def sweep(self, most_results: float) -> list[TrialId]:
        """Return the trials that lost their prospects since the last sweep.

        ``most_results`` is the most that can ever arrive in the lowest rung. Whoever owns the rungs sets ``is_stale``
        with each result; without one nothing is looked at.
        """
        if not self.is_stale:
            return []
        self.is_stale = False
        hopeless: list[TrialId] = []
        arrivals = most_results
        for number, rung in enumerate(self._rungs):
            reachable, arrived = self._reachable[number], len(rung.arrived)
            if arrived > self._seen[number]:
                for loss, trial in rung.arrived[self._seen[number] :]:
                    if loss < math.inf:
                        heappush(reachable, (-loss, -trial))
                    else:
                        hopeless.append(trial)
                self._seen[number] = arrived
            if arrivals == math.inf:
                continue
            kept, out_of = self._kept[number]
            quota = int(arrivals) * kept // out_of
            while len(reachable) > quota:
                trial = TrialId(-heappop(reachable)[1])
                if trial in rung.promoted:
                    self._promoted_beyond[number] += 1
                else:
                    hopeless.append(trial)
            arrivals += len(reachable) + self._promoted_beyond[number] - arrived
        return hopeless
