"""Advice on what to do after a study: which ranges to widen, and whether to confirm the best.

A range is worth widening if the best trials lie at its end: the best configuration may lie outside.

Rule 1: advice counts the best tenth of the trials with a result, at least ``LEAST`` and at most
``MOST`` of them. A study with fewer than ``FEWEST`` such trials gets no advice. Neither does a
study with several objectives, because the ends of a front are often at the ends of a range.
Rule 2: a range is widened at an end if at least half of these trials lie in the outer twentieth of
the range at this end. In a range of fewer than ``FEWEST`` whole numbers, all of these trials must
be at the end, because a random trial often is.
Rule 3: on a linear scale, no range is widened below 0 if it begins at 0 or above, and no range
within 0 and 1 is widened above 1. If the range ends at ``NEARLY_ONE`` or above, 1 is not reached
either: 0.99 is often the largest useful momentum. No range of whole numbers from 1 on is widened
below 1.
Rule 4: if trials are worse than the best by at most the noise, the advice is to train them and the
best again with other seeds. At most ``MOST_CONFIRMED`` trials are named.
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
# Why confirming is advised: the best of many noisy results is partly luck.
# ``benchmarks/confirm.py`` measures what confirming gains.
#
# What was tried and left out: to narrow a range to the best trials and a margin. It helped in some
# problems of the benchmark, and in as many others the next study lost the best region, above all
# where low rungs prefer other configurations. To fix hyperparameters of little importance gained
# nothing on average: decision 88 (docs/decisions/0088-advice-that-pays.md).

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ashtune._src.analysis.hyperparameters import Hyperparameter, hyperparameters
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import number_text, plural, shortened
from ashtune._src.study.best_of_rung import KEPT

FEWEST = 20
SHARE = 0.1
LEAST = 4
MOST = 20
EDGE = 0.05 + 1e-9  # a twentieth, and what rounding may add to the place of a whole number
WIDER = 0.5
"""A range becomes longer by this share of its length, on the scale of the hyperparameter."""
NEARLY_ONE = 0.9
"""A range on a linear scale that ends between this number and 1 is a range of shares."""


MOST_CONFIRMED = 10


class Advice(msgspec.Struct, frozen=True):
    """One piece of advice: a title of a few words, and a sentence with the range or the command to
    copy.

    If the advice is to replace the range of the hyperparameter ``name``, then ``range`` is written
    as in the space of a study: ``(low, high)`` or ``(low, high, "log")``.
    """

    title: str
    sentence: str
    name: str = ""
    range: tuple[Any, ...] = ()


def advice_of(study: StudyReader) -> list[Advice]:
    """Return advice on what to do after a study; uses the tally and configurations.
    O(kept results).
    """
    tally = study.tally
    trials = best_trials(tally)
    if tally.goal.others or len(trials) < FEWEST:
        return []
    count = min(MOST, max(LEAST, round(SHARE * len(trials))))
    configurations = [study.configuration(trial) for trial in trials[:count]]
    found = advice(hyperparameters(study.settings.space), configurations)
    near = tally.within_noise
    if near and not study.settings.simulated:
        confirmed = tally.confirmed
        already = 1 if confirmed is None else len(confirmed.all)
        together = min(MOST_CONFIRMED, near + already)
        sentence = (
            f"{plural(near, 'trial')} within the noise of the best, which is about "
            f"{number_text(tally.noise, 2)}: train the best {together} again with other seeds by "
            f"`ashtune resume {study.directory} --confirm {together}`"
        )
        found.append(Advice(f"Confirm the best {together}", sentence))
    return found


def advice(space: Sequence[Hyperparameter], best: Sequence[Mapping[str, Any]]) -> list[Advice]:
    """Return advice, given the configurations of the best trials."""
    found: list[Advice] = []
    for each in space:
        values = [configuration.get(each.name) for configuration in best]
        found += _of_range(each, [value for value in values if isinstance(value, int | float)])
    return found


def best_trials(tally: Tally) -> list[TrialId]:
    """Return the trials whose results are kept, the best trial first. Trials of higher rungs come
    first.
    """
    found: dict[TrialId, None] = {}
    for rung in reversed(tally.rungs):
        found |= dict.fromkeys(trial for _, trial in rung.bests.leaders(KEPT))
    return list(found)


def _of_range(each: Hyperparameter, values: Sequence[float]) -> Iterator[Advice]:
    low = each.low
    high = each.high
    if len(values) < LEAST or low is None or high is None or not low < high:
        return
    if each.log and low <= 0:
        return
    places = [_place(each, low, high, value) for value in values]
    enough = len(places) / 2
    if each.type == "integer" and high - low + 1 < FEWEST:
        enough = len(places)
    ends = []
    bounds = [low, high]
    at_low = sum(place <= EDGE for place in places)
    wider = _value(each, low, high, -WIDER)
    if at_low >= enough and wider < low:
        ends.append(f"lower bound {number_text(low)} in {at_low}")
        bounds[0] = wider
    at_high = sum(place >= 1 - EDGE for place in places)
    wider = _value(each, low, high, 1 + WIDER)
    is_share = not each.log and low >= 0 and NEARLY_ONE <= high <= 1
    if at_high >= enough and wider > high and not is_share:
        ends.append(f"upper bound {number_text(high)} in {at_high}")
        bounds[1] = wider
    if ends:
        reason = f"{each.name} is at its {' and '.join(ends)} of the best {len(places)} trials"
        scale = ["log"] if each.log else []
        wider_range = (*bounds, *scale)
        sentence = f"{reason}: widen it, as in {each.name!r}: {wider_range!r}"
        yield Advice(f"Widen {shortened(each.name, 28)}", sentence, each.name, wider_range)


def _place(each: Hyperparameter, low: float, high: float, value: float) -> float:
    """Return the place of a value in a range: 0 at the lower end, and 1 at the upper end."""
    if not each.log:
        return (value - low) / (high - low)
    return math.log(max(value, low) / low) / math.log(high / low)


def _value(each: Hyperparameter, low: float, high: float, place: float) -> float:
    """Return the value at a place outside of a range, or the natural limit before it (rule 3)."""
    if each.log:
        value = float(f"{low * math.pow(high / low, place):.2g}")
    else:
        # As many digits as tell the ends of the range apart, so that the rounded range is wider.
        value = round(low + place * (high - low), 1 - math.floor(math.log10(high - low)))
        if low >= 0:
            value = max(0.0, value)
        if low >= 0 and high <= 1:
            value = min(1.0, value)
    if each.type == "integer":
        value = round(value)
        if low >= 1:
            value = max(1, value)
    return value
