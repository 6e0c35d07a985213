"""Whether the search is still worth its time, from the results at the top rung so far.

The results of the last hour were worth what the best of all is better than the best of the others would be. That is
asked twice: of the results as they came, and of a random order of them. In a random order the best of ``n`` improves
less and less, so what the next ``m`` bring is less than what the last ``m`` have brought, on average. The expected best
of ``s`` out of ``n`` results is the unbiased estimate of Tang et al., *Showing Your Work Doesn't Always Work*, ACL
2020, https://arxiv.org/abs/2004.13705. No law of the results is assumed; a search that learns is judged by its own
order too.

What is worth it by default is the noise, as in Makarova et al., *Automatic Termination for Hyperparameter
Optimization*, AutoML 2022, https://arxiv.org/abs/2104.08166: a smaller gain cannot be told from luck. Here it is that
of the last reports of a training about a straight line, so noise between two trainings is not in it: it may be larger.

Rule: an hour is one in which the study ran. The time between two sessions does not count.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from ashtune._src.core import parse
from ashtune._src.core.checks import check_number, check_seconds
from ashtune._src.core.enough import HOUR, NotWorthIt
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import Event, JobFinished, SessionStarted
from ashtune._src.core.jobs import Goal
from ashtune._src.core.numbers import number_text, plural, seconds_text
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import shown

NAME = "not_worth_it"
FEWEST = 10
"""Results at the top rung without which nothing is judged."""
SHARE = 0.01
"""Of the distance from the best to the median result: what is worth it where the noise is not known."""
_OF_A_MEDIAN = 0.6745 * math.sqrt(6)
"""What the median of absolute second differences is, in standard deviations of normal noise."""


class Enough(Observer):
    """Looks at the results at the top rung: an observer, of the search alone.

    Args:
        wanted: What is worth it; None to look at nothing.
    """

    sees_confirmations = False

    def __init__(self, goal: Goal, top: int, wanted: NotWorthIt | None = None) -> None:
        self.wanted = wanted
        self._goal = goal
        self._top = top
        self._losses: list[float] = []
        self._times: list[float] = []  # in seconds that the study ran
        self._bends: list[float] = []  # second differences at the ends of curves
        self._now = self._away = 0.0
        self._judged = 0

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        if type(event) is SessionStarted:
            self._away += max(0.0, event.time - self._now)
        self._now = max(self._now, event.time)
        if isinstance(event, JobFinished) and event.rung == self._top:
            loss = self._goal.loss(event.metrics)
            if loss < math.inf:
                self._losses.append(loss)
                self._times.append(self._now - self._away)
                self._look_at(event, loss)

    def reason(self) -> str:
        """Say why the search is not worth going on with; nothing if it is. O(n log n) after each result at the top."""
        if self.wanted is None or len(self._losses) == self._judged:
            return ""
        self._judged = count = len(self._losses)
        per, worth = float(self.wanted.per), self.worth
        if count < FEWEST or self._times[-1] < per:
            return ""
        before = bisect_left(self._times, self._times[-1] - per)
        if not 0 < before < count:
            return ""
        best = min(self._losses)
        gain = max(min(self._losses[:before]), expected_best(self._losses, before)) - best
        if gain >= worth:
            return ""
        return (
            f"not worth it: {plural(count - before, 'result')} at the top rung in {seconds_text(per)} gained "
            f"{number_text(gain, 3)}, less than {number_text(worth, 3)}"
        )

    @property
    def worth(self) -> float:
        """What the gain has to be. O(n log n)."""
        if self.wanted is not None and self.wanted.gain is not None:
            return self.wanted.gain
        if len(self._bends) >= FEWEST:
            return median(self._bends) / _OF_A_MEDIAN
        return SHARE * (median(self._losses) - min(self._losses)) if self._losses else 0.0

    def _look_at(self, event: JobFinished, loss: float) -> None:
        """Note how far the last report but one is from the line between its neighbours, twice over."""
        if len(event.curve) < 2:
            return
        (first, before), (second, then) = event.curve[-2:]
        bend = abs(self._goal.loss(before) - 2 * self._goal.loss(then) + loss)
        if second - first == event.resource - second and bend < math.inf:
            self._bends.append(bend)


def expected_best(losses: Sequence[float], count: int) -> float:
    """Return the expected least of ``count`` losses that are drawn from these without replacement. O(n log n).

    Example:
        >>> expected_best([1.0, 2.0, 3.0], 2)  # of 1 and 2, 1 and 3, 2 and 3
        1.3333333333333333
    """
    expected, left = 0.0, 1.0  # the probability that none so far is drawn
    for place, loss in enumerate(sorted(losses)[: len(losses) - count + 1]):
        chance = left * count / (len(losses) - place)  # that this one is the first
        expected += chance * loss
        left -= chance
    return expected


def check_enough(name: str, value: object) -> NotWorthIt:
    """Return when a search is not worth going on with: "not_worth_it", or a :class:`NotWorthIt`."""
    if isinstance(value, str) and value == NAME:
        return NotWorthIt()
    if not isinstance(value, NotWorthIt):
        raise SettingsError(
            f'{name}={shown(value)} is not known; give "{NAME}", or as in ashtune.NotWorthIt(gain=0.001, per="1h")'
        )
    gain = None if value.gain is None else check_number(f"{name}: gain", value.gain)
    return NotWorthIt(gain, check_seconds(f"{name}: per", value.per))


def read_enough(text: str) -> NotWorthIt:
    """Read the same from a command line: not_worth_it, or with options, as not_worth_it:gain=0.001:per=30m."""
    name, *options = text.split(":")
    given = dict(option.partition("=")[::2] for option in options)
    if name != NAME or not given.keys() <= {"gain", "per"}:
        raise ValueError(f"{text!r} is not known; give {NAME}, or as in {NAME}:gain=0.001:per=30m")
    gain = float(given["gain"]) if "gain" in given else None
    return NotWorthIt(gain, parse.seconds(given["per"]) if "per" in given else HOUR)
