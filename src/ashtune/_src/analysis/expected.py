"""Forecasts the final number of trials at each rung, and the time left, before and during a study.

A trial is promoted as soon as it is within the quota, and may leave the quota later. Therefore,
more trials than the final quota are promoted by the end, especially if late trials are better than
early trials. If a rung has ``n`` trials, about ``quota / exponent + c (sqrt(n) - 1)`` of these
trials are promoted. The first term is a sum of probabilities: a randomly drawn trial ``i`` is, at
its arrival, within the quota with probability ``quota(i) / i``. The constant ``c`` is 0.6 for
random draws; for a search that learns, ``c`` is 2.3 times the share of trials outside the quota.
The forecast of a running study also uses the study's past promotions. The constants come from
recorded studies of 30 to 300 trials; ``benchmarks/expected.py`` tests the forecasts on other
studies.

A future job is assumed to take the mean time of jobs to the same rung. If no job to a rung has
ended yet, the time is computed from the number of epochs. The time left is the bound of Graham,
*Bounds on Multiprocessing Timing Anomalies*, SIAM J. Appl. Math. 17(2), 1969. The bound is the work
divided by the number of workers, plus the remaining time of the last trial.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from ashtune._src.analysis.counts import RungTally
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import plural, seconds_text
from ashtune._src.schedulers.ranking import QuotaRule
from ashtune._src.schedulers.scheduler_protocol import Rule
from ashtune._src.schedulers.scheduler_registry import SchedulerView

MORE_WHERE_LEARNT = 2.3
MORE_OF_RANDOM = 0.6
"""The constant ``c``; for a search that learns, it is multiplied by the share of trials outside the
quota.
"""
SPREAD_WHERE_LEARNT = 1.25
SPREAD_OF_RANDOM = 0.45
POWER = 0.65
"""Half of the range's width is one of these factors times (number of trials that have not come yet)
** POWER.
"""
CORRELATION = 0.5
"""The correlation between the forecast errors of neighbouring rungs."""
RECORDED = 100
"""At a rung with this many trials, the study itself and the recorded studies have equal weight."""
# The first job often includes the imports, so a forecast from one job alone would be much too long.
JOBS_TO_JUDGE_BY = 3
AS_PLANNED = (Rule.WHEN_PROMOTED, Rule.ALWAYS)
"""Rules that promote only trials within the final quota."""


class Expected(msgspec.Struct, frozen=True):
    """The final number of trials at a rung. In nine of ten studies, this number is between ``low``
    and ``high``.
    """

    low: int
    middle: int
    high: int

    @property
    def text(self) -> str:
        """The range of the forecast as text: ``20 to 30``, or one number."""
        if self.low == self.high:
            return f"{self.low:,}"
        return f"{self.low:,} to {self.high:,}"


def expected(
    scheduler: SchedulerView,
    ladder: Ladder,
    trials: int,
    *,
    learns: bool,
    rungs: Sequence[RungTally] = (),
    entering: Sequence[int] | None = None,
) -> list[Expected] | None:
    """Return the number of trials that each rung will have at the end of the study; None if
    unknown. O(rungs).

    Args:
        learns: Whether the search learns from results, so that late trials are better than early
            ones.
        rungs: The counts of each rung so far; by default all are zero, as before a study begins.
        entering: How many trials enter at each rung; by default computed from ``rungs``.
    """
    counts = scheduler.expected(trials)
    planned = scheduler.entering(trials)
    if entering is None:
        entering = _entering(scheduler, trials, rungs)
    if counts is None or planned is None or entering is None:
        return None
    if scheduler.rule in AS_PLANNED:
        return [Expected(count, count, count) for count in counts]
    middle = float(entering[0])
    reach = 0.0
    ranges = [Expected(entering[0], entering[0], entering[0])]
    for number, new in enumerate(entering[1:]):
        trained = 0
        promoted = 0
        if rungs:
            trained = rungs[number].trained
            promoted = rungs[number].promoted
        quota = scheduler.quota_rule(ladder, number)
        forecast = _PromotionForecast(trained, promoted, quota, learns=learns)
        here = max(middle, trained)
        most = max(here, min(here + reach, ranges[-1].high))
        middle = 0.0
        if counts[number + 1] > planned[number + 1] or promoted:
            middle = forecast.of(here)
        # If more trials reach a rung than forecast, more trials are promoted to the next rung, so
        # the errors of neighbouring rungs are correlated. The range of a rung therefore combines
        # the range of the rung below with this rung's own error, with the correlation CORRELATION.
        further = forecast.of(most) - middle
        spread = (SPREAD_WHERE_LEARNT if learns else SPREAD_OF_RANDOM) * (here - trained) ** POWER
        reach = math.sqrt(further**2 + spread**2 + 2 * CORRELATION * further * spread)
        # Under this rule, each trial of the final quota is promoted in the end.
        at_least = promoted
        if scheduler.rule is Rule.SINCE_ITS_RESULT:
            at_least = max(promoted, quota.of(ranges[-1].low))
        low = min(middle, max(at_least, middle - reach))
        high: float = promoted
        if quota.of(round(most)):
            high = min(most, middle + reach)
        ranges.append(Expected(math.floor(low) + new, round(middle) + new, math.ceil(high) + new))
        middle += new
    return ranges


def expected_at_start(
    tally: Tally, scheduler: SchedulerView, *, learns: bool
) -> list[Expected] | None:
    """Return the number of trials at each rung, as forecast before the first result; None if
    unknown.

    Each view shows these numbers beside the counts. The study's promotions do not change them. If
    the scheduler chooses from results the rung where a trial enters, the numbers depend on the
    entries so far.
    """
    trials = tally.most_trials
    if not trials:
        return None
    entering = _entering(scheduler, trials, tally.rungs)
    return expected(scheduler, tally.ladder, trials, learns=learns, entering=entering)


def _entering(
    scheduler: SchedulerView, trials: int, rungs: Sequence[RungTally]
) -> Sequence[int] | None:
    """Return how many trials enter at each rung.

    If entries depend on results, the scheduler's machine knows from the results which further
    trials enter above the lowest rung. Without this machine, all further trials are assumed to
    enter at the top rung as soon as one trial has entered there.
    """
    machine = scheduler.machine
    if machine is None or not machine.entries_follow_results or not rungs:
        return scheduler.entering(trials)
    if scheduler.told is not None:
        return scheduler.told.entering(trials)
    above = [
        max(0, rung.trained + rung.running - below.promoted) for below, rung in pairwise(rungs)
    ]
    at_lowest = rungs[0].trained + rungs[0].running
    if above and above[-1]:
        above[-1] += max(0, trials - at_lowest - sum(above))
    return [max(0, trials - sum(above)), *above]


class _PromotionForecast:
    """Forecasts the number of trials that are promoted from a rung by the end of a study."""

    def __init__(self, trained: int, promoted: int, quota: QuotaRule, *, learns: bool) -> None:
        self._quota = quota
        self._trained = trained
        self._promoted = promoted
        self._learns = learns

    def of(self, total: float) -> float:
        """Return the final number of promoted trials if ``total`` trials
        are trained to the rung.
        """
        left = total - self._trained
        quota = self._quota.of(round(total))
        if left <= 0 or not quota:
            return self._promoted
        exponent = float(self._quota.exponent)
        more = MORE_OF_RANDOM
        if self._learns:
            more = MORE_WHERE_LEARNT * (1 - quota / total)
        more *= math.sqrt(total) - 1
        # The study's own promotions beyond the plan are scaled up to all trials. The weight of
        # these promotions grows with the number of trained trials.
        before = self._quota.of(self._trained) / exponent
        more = (RECORDED * more + total * (self._promoted - before)) / (RECORDED + self._trained)
        return self._promoted + min(left, max(0.0, quota / exponent - before + more * left / total))


class Estimate(msgspec.Struct, frozen=True):
    """The finished ``share`` of a study's work, and the ``seconds_left`` until its end; each is
    None if unknown.
    """

    share: float | None
    seconds_left: float | None
    done: str
    """The finished work as text: ``143 of 256 trials``."""

    @property
    def left(self) -> str:
        """The time left as text; empty if the time left is unknown."""
        if self.seconds_left is None:
            return ""
        if self.seconds_left < 1:
            return "under 1 s left"
        return f"{seconds_text(self.seconds_left)} left"


def estimate(
    tally: Tally,
    scheduler: SchedulerView,
    *,
    learns: bool,
    unit: str,
    deadline: float | None = None,
) -> Estimate:
    """Return the finished share of a study, and the time left until its first limit is reached.
    O(rungs).
    """
    trials = tally.most_trials
    # A study ends at the limit that it reaches first. So the share is the largest of all limits,
    # and the time left is the shortest.
    resource = None
    budget = None
    if tally.session:
        resource = tally.session.total_resource
        budget = tally.session.budget
    known: list[tuple[float, float | None]] = []
    done = plural(tally.tried, "trial")
    if resource:
        share = min(1.0, tally.epochs / resource)
        known.append((share, _at_this_pace(tally, resource - tally.epochs)))
        done = f"{tally.epochs:,} of {resource:,} {unit}s"
    if budget:
        left = max(0.0, budget - tally.presence)
        known.append((1 - left / budget, left / len(tally.workers) if tally.workers else None))
    if trials:
        known.append(_towards(tally, scheduler, trials, learns=learns))
        done = f"{tally.tried:,} of {plural(trials, 'trial')}"
    count = len(tally.confirmations.of)
    if count:
        done += f", {tally.confirmations.ended:,} of {plural(count, 'training')} to confirm"
    if deadline:
        left = max(0.0, deadline - tally.now)
        known.append((1 - left / max(left, deadline - tally.session_began, 1e-9), left))
    if not known:
        return Estimate(None, None, done)
    waits = [seconds for _, seconds in known if seconds is not None]
    share = max(share for share, _ in known)
    if tally.running:
        share = min(share, 0.99)  # more trials than expected may be promoted
    return Estimate(share, min(waits, default=None), done)


def increments(
    trained: Sequence[int], entering: Sequence[int], resources: Sequence[int]
) -> list[int]:
    """Return, for each rung, the epochs of all jobs to this rung together. A promoted trial begins
    at the rung below.

    Args:
        entering: How many trials start at each rung, from epoch 0.
    """
    epochs = []
    before = 0
    for trials, new, resource in zip(trained, entering, resources, strict=True):
        epochs.append(trials * resource - max(0, trials - new) * before)
        before = resource
    return epochs


def _towards(
    tally: Tally, scheduler: SchedulerView, trials: int, *, learns: bool
) -> tuple[float, float | None]:
    found = expected(scheduler, tally.ladder, trials, learns=learns, rungs=tally.rungs)
    entering = _entering(scheduler, trials, tally.rungs)
    if found is None or entering is None:
        return min(1.0, tally.tried / trials), None
    wanted = [rung.middle for rung in found]
    epochs = increments(wanted, entering, tally.ladder.rungs)
    whole = sum(epochs)
    done = [min(1.0, rung.trained / max(1, n)) for n, rung in zip(wanted, tally.rungs, strict=True)]
    share = (
        sum(part * each for part, each in zip(done, epochs, strict=True)) / whole if whole else 1.0
    )
    return share, _seconds_left(tally, wanted, epochs)


def _seconds_left(tally: Tally, trained: Sequence[int], epochs: Sequence[int]) -> float | None:
    if tally.arrived < JOBS_TO_JUDGE_BY:
        return None
    per_epoch = _seconds_per_epoch(tally.rungs)
    jobs = 0
    total = 0.0
    chain = 0.0
    for wanted, to_train, rung in zip(trained, epochs, tally.rungs, strict=True):
        missing = max(wanted - rung.trained, rung.running)
        if missing <= 0:
            continue
        seconds = (
            rung.seconds / rung.trained if rung.trained else per_epoch * to_train / max(1, wanted)
        )
        jobs += missing
        total += missing * seconds
        chain += seconds  # the last trial passes the remaining rungs one after another
    if not jobs:
        return 0.0
    under_way = tally.seconds_under_way
    workers = max(1, len(tally.workers))
    shared_out = (total - under_way) / (workers * (tally.utilisation or 1.0))
    tail = max(0.0, chain - under_way / max(1, tally.busy))
    return max(0.0, shared_out + tail * (1 - 1 / workers))


def _seconds_per_epoch(rungs: Sequence[RungTally]) -> float:
    return sum(rung.seconds for rung in rungs) / max(1, sum(rung.epochs for rung in rungs))


def _at_this_pace(tally: Tally, epochs: int) -> float | None:
    if tally.arrived < JOBS_TO_JUDGE_BY:
        return None
    workers = max(1, len(tally.workers)) * (tally.utilisation or 1.0)
    return max(0.0, epochs * _seconds_per_epoch(tally.rungs) / workers)
