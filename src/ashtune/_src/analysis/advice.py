"""Advice on the search space of the next study: which ranges to widen.

A range is worth widening if the best trials lie at its end: the best configuration may lie outside.

Rule 1: advice counts the best tenth of the trials with a result, at least ``LEAST`` and at most
``MOST`` of them. A study with fewer than ``FEWEST`` such trials gets no advice.
Rule 2: a range is widened at an end if at least half of these trials lie in the outer twentieth of
the range at this end. In a range of fewer than ``FEWEST`` whole numbers, all of these trials must
be at the end, because a random trial often is.
Rule 3: no advice crosses a natural limit: 0 of a range that begins at 0, 1 of a range that ends
between 0.9 and 1, and 1 of a range of whole numbers that begins at 1 or above.
"""

# Only advice that pays is given. ``benchmarks/advice.py`` compares a second study that follows the
# advice with a second study of the same budget that does not.
#
# Who counts as best: the highest rungs first, as for the best trial of the study. Trials at low
# rungs may be good only early.
#
# A space of 20 hyperparameters has 40 ends, so some advice is due to chance: 2 of 4 random trials
# are in a given twentieth of a range in 1 of 70 cases. A range that is wider than necessary costs
# little, and the advice names the numbers on which it rests.
#
# What was tried and left out: to narrow a range to the best trials and a margin. It helped in some
# problems of the benchmark, and in as many others the next study lost the best region, above all
# where low rungs prefer other configurations.

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ashtune._src.analysis.hyperparameters import Hyperparameter, hyperparameters
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import number_text

FEWEST = 20
SHARE = 0.1
LEAST = 4
MOST = 20
EDGE = 0.05
WIDER = 0.5
"""A range becomes longer by this share of its length, on the scale of the hyperparameter."""
NEARLY_ONE = 0.9
"""A range on a linear scale that ends between this number and 1 is a range of shares."""


class Advice(msgspec.Struct, frozen=True):
    """Advice to replace the range of one hyperparameter.

    ``range`` is written as in the space of a study: ``(low, high)`` or ``(low, high, "log")``.
    """

    name: str
    range: tuple[Any, ...]
    reason: str

    @property
    def sentence(self) -> str:
        """The reason, and the range to copy."""
        return f"{self.reason}: widen it, as in {self.name!r}: {self.range!r}"


def advice_of(study: StudyReader) -> list[Advice]:
    """Return advice on the search space of the next study; uses the tally. O(hyperparameters)."""
    tally = study.tally
    count = min(MOST, max(LEAST, round(SHARE * tally.tried)))
    configurations = [study.configuration(trial) for trial in best_trials(tally, count)]
    return advice(hyperparameters(study.settings.space), tally.tried, configurations)


def advice(
    space: Sequence[Hyperparameter], tried: int, best: Sequence[Mapping[str, Any]]
) -> list[Advice]:
    """Return advice, given how many trials have a result, and the configurations of the best
    trials.
    """
    found: list[Advice] = []
    if tried < FEWEST:
        return found
    for each in space:
        values = [configuration.get(each.name) for configuration in best]
        found += _of_range(each, [value for value in values if isinstance(value, int | float)])
    return found


def best_trials(tally: Tally, count: int) -> list[TrialId]:
    """Return the best ``count`` trials, the best trial first. Trials of higher rungs come first."""
    found: dict[TrialId, None] = {}
    for rung in reversed(tally.rungs):
        found |= dict.fromkeys(trial for _, trial in rung.bests.leaders(count))
    return list(found)[:count]


def _of_range(each: Hyperparameter, values: Sequence[float]) -> Iterator[Advice]:
    low = each.low
    high = each.high
    if len(values) < LEAST or low is None or high is None or not low < high:
        return
    if each.log and low <= 0:
        return
    places = [_place(each, low, high, value) for value in values]
    enough = len(places) / 2
    if each.type == "integer" and high - low < FEWEST:
        enough = len(places)
    bounds = [low, high]
    ends = []
    for end, beyond in enumerate((-WIDER, 1 + WIDER)):
        count = sum(abs(place - end) <= EDGE for place in places)
        wider = _value(each, low, high, beyond)
        if count >= enough and wider != bounds[end]:
            ends.append(f"{('lower', 'upper')[end]} bound {number_text(bounds[end])} in {count}")
            bounds[end] = wider
    if ends:
        reason = f"{each.name} is at its {' and '.join(ends)} of the best {len(places)} trials"
        scale = ["log"] if each.log else []
        yield Advice(each.name, (*bounds, *scale), reason)


def _place(each: Hyperparameter, low: float, high: float, value: float) -> float:
    """Return the place of a value in a range: 0 at the lower end, and 1 at the upper end."""
    if not each.log:
        return (value - low) / (high - low)
    return math.log(max(value, low) / low) / math.log(high / low)


def _value(each: Hyperparameter, low: float, high: float, place: float) -> float:
    """Return the value at a place outside of a range; an end of the range if it is a natural
    limit.
    """
    if each.log:
        value = low * math.pow(high / low, place)
    elif place < 0 and low == 0:
        return low
    elif place > 1 and low >= 0 and NEARLY_ONE <= high <= 1:
        return high
    else:
        value = low + place * (high - low)
    if each.type != "integer":
        return float(f"{value:.2g}")
    if low >= 1:
        value = max(1, value)
    return round(value)
