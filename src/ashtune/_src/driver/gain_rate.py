"""Decides from the results at the top rung whether a search still improves the best result fast
enough.

The gain of the last hour is the best loss before the last hour minus the best loss of all results.
The gain is computed twice: for the real order of the results, and as the mean over random orders.
The larger gain counts. The real order of results matters if the search learns from results. In a
random order, the best of ``n`` results improves more slowly as ``n`` grows, so the next ``m``
results gain less on average than the last ``m`` results. The expected best of ``s`` out of ``n``
results is the unbiased estimate of Tang et al., *Showing Your Work Doesn't Always Work*, ACL 2020,
https://arxiv.org/abs/2004.13705. Tang's estimate assumes no distribution of the results.

By default, the search ends if the gain is below the metric's noise, since such a gain may be luck
(Makarova et al., *Automatic Termination for Hyperparameter Optimization*, AutoML 2022,
https://arxiv.org/abs/2104.08166). The noise is the deviation of each training's last reports from a
straight line. Differences between trainings do not count as noise.

Rule: hours are counted only while the study runs. The time between two sessions does not count.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from ashtune._src.analysis.counts import last_bend, noise_of
from ashtune._src.core import parse
from ashtune._src.core.checks import check_number, check_seconds
from ashtune._src.core.enough import HOUR, NotWorthIt
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import Event, JobFinished, SessionStarted
from ashtune._src.core.jobs import Goal
from ashtune._src.core.numbers import number_text, plural, seconds_text
from ashtune._src.core.observer import Observer, Told
from ashtune._src.core.plaintext import shown

NAME = "not_worth_it"
FEWEST = 10
"""A search is judged only if it has at least this number of results at the top rung."""
SHARE = 0.01
"""If the noise is unknown, the gain must be at least this share of the distance between the best
and median results.
"""


class Enough(Observer):
    """An observer that judges the search by its results at the top rung.

    Args:
        wanted: The gain that the search must bring; None to judge nothing.
    """

    sees_confirmations = False

    def __init__(self, goal: Goal, top: int, wanted: NotWorthIt | None = None) -> None:
        self.wanted = wanted
        self._goal = goal
        self._top = top
        self._losses: list[float] = []
        self._times: list[float] = []  # in seconds that the study ran
        self._bends: list[float] = []
        self._now = self._away = 0.0
        self._judged = 0

    def event(self, event: Event) -> None:
        """Record one event. O(1)."""
        self.batch(((event, ()),))

    def batch(self, told: Sequence[Told]) -> None:
        """Record some events. O(1) for each."""
        now = self._now
        top = self._top
        for event, _ in told:
            if type(event) is SessionStarted:
                self._away += max(0.0, event.time - now)
            if event.time > now:  # noqa: PLR1730 - max() would double the time of an event
                now = event.time
            if type(event) is JobFinished and event.rung == top:
                loss = self._goal.loss(event.metrics)
                if loss < math.inf:
                    self._losses.append(loss)
                    self._times.append(now - self._away)
                    bend = last_bend(event, self._goal, loss)
                    if bend is not None:
                        self._bends.append(bend)
        self._now = now

    def reason(self) -> str:
        """Return why the search should end, or "". The time is O(n log n) after each result at the
        top rung.
        """
        if self.wanted is None or len(self._losses) == self._judged:
            return ""
        self._judged = count = len(self._losses)
        per = float(self.wanted.per)
        worth = self.worth
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
            f"not worth it: {plural(count - before, 'result')} at the top rung in "
            f"{seconds_text(per)} gained {number_text(gain, 3)}, less than {number_text(worth, 3)}"
        )

    @property
    def worth(self) -> float:
        """The smallest gain with which the search continues. O(n log n)."""
        if self.wanted is not None and self.wanted.gain is not None:
            return self.wanted.gain
        if len(self._bends) >= FEWEST:
            return noise_of(self._bends)
        return SHARE * (median(self._losses) - min(self._losses)) if self._losses else 0.0


def expected_best(losses: Sequence[float], count: int) -> float:
    """Return the expected minimum of ``count`` losses drawn from ``losses`` without replacement.
    O(n log n).

    Example:
        >>> expected_best([1.0, 2.0, 3.0], 2)  # of 1 and 2, 1 and 3, 2 and 3
        1.3333333333333333
    """
    # the probability that no smaller loss is drawn
    expected = 0.0
    left = 1.0
    for place, loss in enumerate(sorted(losses)[: len(losses) - count + 1]):
        # the probability that ``loss`` is the smallest
        chance = left * count / (len(losses) - place)
        expected += chance * loss
        left -= chance
    return expected


def check_enough(name: str, value: object) -> NotWorthIt:
    """Check a stopping rule, and return it as a :class:`NotWorthIt`; "not_worth_it" means the
    default values.
    """
    if isinstance(value, str) and value == NAME:
        return NotWorthIt()
    if not isinstance(value, NotWorthIt):
        raise SettingsError(
            f'{name}={shown(value)} is unknown; give "{NAME}", or for example '
            'ashtune.NotWorthIt(gain=0.001, per="1h")'
        )
    gain = None if value.gain is None else check_number(f"{name}: gain", value.gain)
    return NotWorthIt(gain, check_seconds(f"{name}: per", value.per))


def read_enough(text: str) -> NotWorthIt:
    """Parse a stopping rule from the command line, such as not_worth_it or
    not_worth_it:gain=0.001:per=30m.
    """
    name, *options = text.split(":")
    given = dict(option.partition("=")[::2] for option in options)
    if name != NAME or not given.keys() <= {"gain", "per"}:
        raise ValueError(
            f"{text!r} is unknown; give {NAME}, or for example {NAME}:gain=0.001:per=30m"
        )
    gain = float(given["gain"]) if "gain" in given else None
    return NotWorthIt(gain, parse.seconds(given["per"]) if "per" in given else HOUR)
