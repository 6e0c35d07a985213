"""How many trials will have been trained to each rung in the end: one rule, before a study begins and while it runs.

A trial is promoted as soon as it is within the quota, and stays promoted. So in the end more trials than the quota are
promoted, and the more so, the better late trials are than early ones. Of ``n`` trials at a rung it is about
``quota / exponent + c (sqrt(n) - 1)``. The first part is the law of random draws: trial ``i`` is within the quota when
it comes with the chance ``quota(i) / i``. ``c`` is 0.6 for random draws; where a search learns it is 2.3 times the
share that the quota leaves out. In a running study the promotions so far count too. The constants are from recorded
studies of 30 to 300 trials; ``benchmarks/expected.py`` says how often the range holds on others.
"""

import math
from collections.abc import Sequence

import msgspec

from ashtune.analysis.counts import RungTally
from ashtune.core.ladder import Ladder
from ashtune.schedulers.protocol import Rule
from ashtune.schedulers.ranking import QuotaRule
from ashtune.schedulers.registry import SchedulerView

MORE_WHERE_LEARNT, MORE_OF_RANDOM = 2.3, 0.6
"""``c``, the first of the share that is beyond the quota."""
SPREAD_WHERE_LEARNT, SPREAD_OF_RANDOM, POWER = 1.25, 0.45, 0.65
"""How far the range goes to each side, over this power of the trials that are still to come."""
CORRELATION = 0.5
"""Where more go on from a rung, more do from the next one too."""
RECORDED = 100
"""How many trials at a rung say as much as the recorded studies do."""
AS_PLANNED = (Rule.WHEN_PROMOTED, Rule.ALWAYS)
"""Rules by which no trial goes on that is beyond the quota in the end."""


class Expected(msgspec.Struct, frozen=True):
    """How many trials are trained to a rung in the end: in nine of ten studies from ``low`` to ``high``."""

    low: int
    middle: int
    high: int

    @property
    def text(self) -> str:
        """The same in words: ``20 to 30``, or one number."""
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


def expected(
    scheduler: SchedulerView, ladder: Ladder, trials: int, *, learns: bool, rungs: Sequence[RungTally] = ()
) -> list[Expected] | None:
    """Return how many trials will have been trained to each rung in the end; None where nobody knows. O(rungs).

    Args:
        scheduler: Decides which go on.
        ladder: The rungs.
        trials: How many are started.
        learns: Whether the search learns from results, so that late trials are better than early ones.
        rungs: What is counted so far; by default nothing, as before the study begins.
    """
    counts, entering = scheduler.expected(trials), scheduler.entering(trials)
    if counts is None or entering is None:
        return None
    if scheduler.rule in AS_PLANNED:
        return [Expected(count, count, count) for count in counts]
    middle, reach = float(entering[0]), 0.0
    ranges = [Expected(entering[0], entering[0], entering[0])]
    for number, new in enumerate(entering[1:]):
        trained, promoted = (rungs[number].trained, rungs[number].promoted) if rungs else (0, 0)
        quota = scheduler.quota_rule(ladder, number)
        forecast = _PromotionForecast(trained, promoted, quota, learns=learns)
        here = max(middle, trained)
        most = max(here, min(here + reach, ranges[-1].high))
        middle = forecast.of(here) if counts[number + 1] > new or promoted else 0.0
        further = forecast.of(most) - middle
        spread = (SPREAD_WHERE_LEARNT if learns else SPREAD_OF_RANDOM) * (here - trained) ** POWER
        reach = math.sqrt(further**2 + spread**2 + 2 * CORRELATION * further * spread)
        at_least = quota.of(ranges[-1].low) if scheduler.rule is Rule.SINCE_ITS_RESULT else promoted
        low = min(middle, max(promoted, at_least, middle - reach))
        high = min(most, middle + reach) if quota.of(round(most)) else promoted
        ranges.append(Expected(math.floor(low) + new, round(middle) + new, math.ceil(high) + new))
        middle += new
    return ranges


class _PromotionForecast:
    """How many trials are promoted from a rung in the end.

    Args:
        trained: How many were trained to it so far.
        promoted: How many of these went on.
        quota: Its quota.
        learns: Whether the search does.
    """

    def __init__(self, trained: int, promoted: int, quota: QuotaRule, *, learns: bool) -> None:
        self._quota = quota
        self._trained, self._promoted, self._learns = trained, promoted, learns

    def of(self, total: float) -> float:
        """Return how many are promoted if ``total`` trials are trained there in the end."""
        left, quota = total - self._trained, self._quota.of(round(total))
        if left <= 0 or not quota:
            return self._promoted
        exponent = float(self._quota.exponent)
        more = (MORE_WHERE_LEARNT * (1 - quota / total) if self._learns else MORE_OF_RANDOM) * (math.sqrt(total) - 1)
        before = self._quota.of(self._trained) / exponent
        more = (RECORDED * more + total * (self._promoted - before)) / (RECORDED + self._trained)
        return self._promoted + min(left, max(0.0, quota / exponent - before + more * left / total))
