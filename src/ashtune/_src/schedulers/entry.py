"""Two rules that let new trials of ``Ash`` enter at the top rung. The first rule applies if low
rungs take too many seconds. The second rule applies if the ranks at low rungs are misleading.

Each rule has a number ``every``: n if every n-th trial skips the lower rungs, 0 if no trial skips
them. The rules depend only on results and compare ranks in whole numbers, so in a replayed study
each trial enters at the same rung.
"""

from collections import deque
from fractions import Fraction

from ashtune._src.core.jobs import Result, TrialId, as_one
from ashtune._src.core.ladder import Ladder

# Only the newest results count, because a search that learns proposes different trials later.
# Decision 67 (docs/decisions/0067-rungs-in-seconds.md).
FEWEST_PRICES = 3
MOST_PRICES = 15
FEWEST_RUNGS = 3
# Four pairs are few, but a study of 16 full trainings has only a few trials at the top rung. A
# wrong alarm costs only about three full trainings, because the trials that enter at the top rung
# soon show that the alarm was wrong. Decision 83 (docs/decisions/0083-rungs-that-mislead.md).
FEWEST_PAIRS = 4
MOST_PAIRS = 30
FEWEST_DIRECT = 3
MOST_COMPARED = 15
PROBE_EVERY = 4
"""Every n-th new trial enters at the top rung while only the correlation of ranks indicates that
low rungs are misleading.
"""


class DearRungs:
    """Lets new trials skip the lower rungs if the lowest rung takes a large share of a full
    training's seconds. This rule applies only if no trial is resumed from a checkpoint.

    The price of the lowest rung is its share of the seconds of a full training. The first two
    results of a trial give one price: the straight line through their seconds predicts the seconds
    of a full training. The rule uses the median of the newest 15 prices, and needs at least 3
    prices. See ``docs/decisions/0067-rungs-in-seconds.md``.

    Args:
        ladder: The rungs.
        above: The price above which trials skip the lower rungs, below 1.
    """

    def __init__(self, ladder: Ladder, above: float) -> None:
        self._above = above
        self._is_resumed = False
        self.lengthen(ladder)

    def lengthen(self, ladder: Ladder) -> None:
        """Forget the prices, because the top rung has changed."""
        self._rungs = ladder.rungs
        self._seconds: dict[TrialId, float] = {}  # the seconds of trials at the lowest rung
        self._prices: deque[float] = deque(maxlen=MOST_PRICES)
        self.every = 0

    def record(self, result: Result, *, is_direct: bool) -> None:
        del is_direct
        rungs = self._rungs
        if result.is_failure or self._is_resumed:
            return
        if result.start:
            # Trials are resumed, so a promoted trial does not train the lowest rung again.
            self._is_resumed = True
            self.every = 0
            return
        if result.resource != rungs[result.rung]:
            # the trial ended itself early, so its seconds are not the seconds of the whole rung
            pass
        elif result.rung == 0:
            self._seconds[result.trial] = result.seconds
        elif result.rung == 1 and result.trial in self._seconds:
            before = self._seconds.pop(result.trial)
            pace = max(0.0, result.seconds - before) / (rungs[1] - rungs[0])
            full = result.seconds + pace * (rungs[-1] - rungs[1])
            self._prices.append(min(1.0, before / full) if full else 0.0)
        is_known = len(rungs) >= FEWEST_RUNGS and len(self._prices) >= FEWEST_PRICES
        self.every = int(is_known and self._price > self._above)

    @property
    def _price(self) -> float:
        return sorted(self._prices)[len(self._prices) // 2]

    def notes(self) -> str:
        """Return a text that says that new trials skip the lower rungs, and why. The method is
        called only while new trials skip the lower rungs.
        """
        return (
            f"new trials are trained to {self._rungs[-1]:,} directly, because training to "
            f"{self._rungs[0]:,} takes {self._price:.0%} of the time of a full training, and no "
            "trial is resumed"
        )


class MisleadingRungs:
    """Lets some or all new trials skip the lower rungs if the ranks at the lowest rung do not
    predict the ranks at the top rung.

    Rule 1: a trial that was promoted from the lowest rung to the top rung has a rank at both rungs.
    If there are at least 4 such trials (the newest 30 count), and Kendall's correlation of their
    ranks is below ``least``, every fourth new trial enters at the top rung. Only promoted trials
    have a rank at both rungs, so the correlation is too low even where halving works well.
    Therefore a low correlation only starts a test with these few trials.
    Rule 2: rule 2 replaces rule 1 as soon as three trials that entered at the top rung have
    results. The newest 15 of these trials are compared with the newest 15 promoted trials, in all
    pairs. If the promoted trial is the worse one in most pairs, all new trials enter at the top
    rung. If the promoted trial is the better one in most pairs, no new trial enters at the top
    rung. If both numbers are equal, rule 1 decides.

    The rules need a single loss. The measurements are in
    ``docs/decisions/0083-rungs-that-mislead.md``.

    Args:
        ladder: The rungs.
        least: The correlation below which the ranks are misleading, above -1 and at most 1.
    """

    def __init__(self, ladder: Ladder, least: Fraction) -> None:
        self._least = least
        self._lows: dict[TrialId, float] = {}  # losses at the lowest rung; about 50 bytes each
        self.lengthen(ladder)

    def lengthen(self, ladder: Ladder) -> None:
        """Forget all results of the old top rung, because the top rung has changed."""
        self._rungs = ladder.rungs
        self._pairs: deque[tuple[float, float]] = deque(maxlen=MOST_PAIRS)
        self._direct: deque[float] = deque(maxlen=MOST_COMPARED)
        self._promoted: deque[float] = deque(maxlen=MOST_COMPARED)
        self._agreement = Fraction(1)
        self.every = 0

    def record(self, result: Result, *, is_direct: bool) -> None:
        top = len(self._rungs) - 1
        if len(result.losses) > 1 or not top:
            return
        loss = as_one(result.violation, result.losses[0])
        if result.rung == 0:
            self._lows[result.trial] = loss
        if result.rung < top:
            return
        if is_direct:
            self._direct.append(loss)
        else:
            self._promoted.append(loss)
        low = self._lows.get(result.trial)
        if low is not None:
            self._pairs.append((low, loss))
            self._agreement = agreement(list(self._pairs))
        self.every = self._decide()

    def _decide(self) -> int:
        # While all new trials skip the lower rungs, few promoted trials arrive at the top rung, so
        # the newest promoted trials stay the same. Therefore the decision rarely changes until the
        # ladder gets longer.
        if len(self._direct) >= FEWEST_DIRECT:
            gain = sum(
                (one < other) - (one > other) for one in self._direct for other in self._promoted
            )
            if gain:
                return int(gain > 0)
        is_misleading = len(self._pairs) >= FEWEST_PAIRS and self._agreement < self._least
        return PROBE_EVERY if is_misleading else 0

    def notes(self) -> str:
        """Return a text that says which trials skip the lower rungs, and why. The method is called
        only while some trials skip the lower rungs.
        """
        low = self._rungs[0]
        top = self._rungs[-1]
        if self.every == 1:
            return (
                f"new trials are trained to {top:,} directly, because directly trained trials "
                f"were better there than promoted trials"
            )
        return (
            f"every fourth new trial is trained to {top:,} directly, because the order of the "
            f"trials differs much between {low:,} and {top:,} (Kendall's correlation "
            f"{float(self._agreement):.2f}, {len(self._pairs)} trials)"
        )


def agreement(pairs: list[tuple[float, float]]) -> Fraction:
    """Return Kendall's correlation of pairs (tau-a, where tied pairs are left out). If all pairs
    are tied, return 1. O(n^2).

    Source:
        M. G. Kendall, *A New Measure of Rank Correlation*, Biometrika 30, 1938.
    """
    signs = [
        ((left > other_left) - (left < other_left))
        * ((right > other_right) - (right < other_right))
        for place, (left, right) in enumerate(pairs)
        for other_left, other_right in pairs[:place]
    ]
    untied = sum(map(abs, signs))
    return Fraction(sum(signs), untied) if untied else Fraction(1)
