"""Two shares compared stretch by stretch: of proposals and of random draws, which are promoted more often?

Source: the exact test is that of Mantel and Haenszel's tables (*J. Natl. Cancer Inst.* 22, 1959) with the margins of
each stretch given, as Fisher's is for one table: Birch, *The detection of partial association, I*, J. R. Stat. Soc. B
26, 1964. The ratio of the shares is Mantel and Haenszel's, its interval that of Greenland and Robins, *Biometrics* 41,
1985.

Rule: within a stretch nothing is assumed but that, if it made no difference who proposed a trial, each of its trials
were as likely to be the random ones. So quotas that change with the number of trials are no matter.
"""

import math
from collections.abc import Sequence

import msgspec

NEGLIGIBLE = 1e-18
"""Probabilities below are left out of the ends of a distribution, or it would have a place for each trial."""
TWO_SIDED_95 = 1.959964


class Stretch(msgspec.Struct, frozen=True):
    """Trials that are compared with each other: how many were proposed and drawn, and promoted of each."""

    proposed: int
    proposed_promoted: int
    random: int
    random_promoted: int

    @property
    def trials(self) -> int:
        """How many there are."""
        return self.proposed + self.random


class Ratio(msgspec.Struct, frozen=True):
    """The share of proposals that is promoted, over that of random draws; and its 95 % interval, of large numbers."""

    ratio: float
    low: float
    high: float


class Chances(msgspec.Struct, frozen=True):
    """What is how likely if it makes no difference who proposed a trial.

    Args:
        as_many: That so many of the random draws are promoted, or more: small where proposals do harm.
        as_few: That so few are, or fewer: small where proposals help.
        fewest: The smallest that ``as_few`` can be with so many trials and promotions: if it is large, no model could
            have been shown to help.
    """

    as_many: float
    as_few: float
    fewest: float


def chances(stretches: Sequence[Stretch]) -> Chances:
    """Return the exact probabilities. O(s sqrt(s)) for ``s`` stretches of a given length."""
    begin, probabilities = 0, [1.0]  # of the number of random draws that are promoted, from ``begin`` on
    promoted = 0
    for stretch in stretches:
        least, one = _of_one(stretch)
        begin, probabilities = _trimmed(begin + least, _added(probabilities, one))
        promoted += stretch.random_promoted
    place = promoted - begin
    return Chances(
        as_many=min(1.0, math.fsum(probabilities[max(0, place) :])),
        as_few=min(1.0, math.fsum(probabilities[: max(0, place + 1)])),
        fewest=probabilities[0],
    )


def ratio_of(stretches: Sequence[Stretch]) -> Ratio | None:
    """Return the ratio of the shares; None where either kind was never promoted beside the other."""
    ours = theirs = spread = 0.0
    for each in stretches:
        n = each.trials
        if n:
            ours += each.proposed_promoted * each.random / n
            theirs += each.random_promoted * each.proposed / n
            both = each.proposed_promoted + each.random_promoted
            spread += (both * each.proposed * each.random - each.proposed_promoted * each.random_promoted * n) / n**2
    if ours <= 0 or theirs <= 0:
        return None
    ratio, width = ours / theirs, math.exp(TWO_SIDED_95 * math.sqrt(max(0.0, spread) / (ours * theirs)))
    return Ratio(ratio, ratio / width, ratio * width)


def is_at_least_as_often(stretches: Sequence[Stretch]) -> bool:
    """Whether proposals are promoted at least as often as random draws, no test asked."""
    return sum(
        (each.proposed_promoted * each.random - each.random_promoted * each.proposed) / each.trials
        for each in stretches
        if each.trials
    ) >= 0  # fmt: skip


def _of_one(stretch: Stretch) -> tuple[int, list[float]]:
    """Return the hypergeometric distribution of one stretch: the least number of random draws promoted, and on."""
    n, promoted = stretch.trials, stretch.proposed_promoted + stretch.random_promoted
    least, most = max(0, promoted - stretch.proposed), min(promoted, stretch.random)
    ways = math.comb(n, stretch.random)
    return least, [
        math.comb(promoted, each) * math.comb(n - promoted, stretch.random - each) / ways
        for each in range(least, most + 1)
    ]


def _added(left: Sequence[float], right: Sequence[float]) -> list[float]:
    """Return the distribution of the sum of two independent numbers."""
    summed = [0.0] * (len(left) + len(right) - 1)
    for place, one in enumerate(left):
        for more, other in enumerate(right, start=place):
            summed[more] += one * other
    return summed


def _trimmed(begin: int, probabilities: list[float]) -> tuple[int, list[float]]:
    """Leave out what is negligible at both ends."""
    first, last = 0, len(probabilities)
    while last - first > 1 and probabilities[first] < NEGLIGIBLE:
        first += 1
    while last - first > 1 and probabilities[last - 1] < NEGLIGIBLE:
        last -= 1
    return begin + first, probabilities[first:last]
