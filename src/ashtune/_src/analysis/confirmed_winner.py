"""Names the winner among the confirmed configurations, and estimates the winner's mean over seeds.

A configuration is chosen for confirming because its first value was good. The first value is
biased, because the best of many noisy values is mostly lucky (Smith and Winkler, *The Optimizer's
Curse*, Management Science 52(3), 2006). Values of repeated trainings are unbiased, but the best
mean of several configurations is biased again. Therefore:

- The winner is the configuration with the best mean of all its values, including its first value.
  If all configurations have the same number of values and the same noise, the winner has the best
  expected value.
- The noise is estimated from the differences between repeated values of the same configuration. If
  each configuration has only one repeated value, the noise is estimated from the differences
  between first and repeated values, minus the mean difference. The variance of first values is
  assumed to be half the variance of repeated values, because only good first values were chosen.
- The winner's estimated mean uses only its repeated values. The estimated mean is shrunk towards
  the mean of all confirmed configurations, because of the noise. The interval is the empirical
  Bayes interval of Morris, *Parametric Empirical Bayes Inference*, JASA 78(381), 1983, with
  Student's t because the noise is estimated. The method of Morris needs four configurations. If
  there are only two or three configurations, Bonferroni's wider simultaneous interval is used.

The script ``benchmarks/confirm.py`` measures how often the winner's interval contains the true
mean.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec

from ashtune._src.analysis.counts import BestResult
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import Goal, TrialId

# Decision 32 (docs/decisions/0032-noise-and-enough.md).
LEVEL = 0.9
"""How often the interval of the winner's mean should contain the true mean."""
# The estimate of the spread between configurations has the factor ``count - 3``, which is 0 for
# three configurations.
FEWEST_TO_SHRINK = 4


class Repeated(msgspec.Struct, frozen=True):
    """A confirmed configuration, with its first value, its repeated values, and the mean of all
    these values.

    The list ``values`` has None for each failed training. The field ``mean`` is None if any
    training failed.
    """

    trial: TrialId
    first: float
    values: list[float | None]
    mean: float | None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """The named winner and the estimate of the winner's mean over seeds, in units of the metric.

    ``first`` is the winner's first value. ``values`` are the values of the winner's repeated
    trainings. ``mean`` estimates the winner's true mean, which lies between ``low`` and ``high``
    with probability ``level``. ``low`` and ``high`` are None if there is only one repeated value in
    total. ``noise`` is the standard deviation of one training's value over seeds, None as ``low``.
    ``all`` lists all confirmed configurations, the best mean first.
    """

    trial: TrialId
    first: float
    values: list[float]
    mean: float
    low: float | None
    high: float | None
    level: float
    noise: float | None
    all: list[Repeated]

    @property
    def is_noiseless(self) -> bool:
        """Whether every repeated value equals the configuration's first value, so that seeds make
        no difference.
        """
        return all(value == one.first for one in self.all for value in one.values)


class Confirmations:
    """Collects the results of confirming trials, which train another
    trial's configuration again.
    """

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._first: dict[TrialId, BestResult] = {}
        self.of: dict[TrialId, BestResult] = {}
        """The confirmed result of each confirming trial."""
        self._ended: set[TrialId] = set()
        self._losses: dict[TrialId, dict[TrialId, float]] = {}
        self.seconds = 0.0
        """Seconds spent training."""
        self.epochs = 0
        """Units of resource trained."""

    @property
    def ended(self) -> int:
        """The number of confirming trials that have ended."""
        return len(self._ended)

    def start(self, trial: TrialId, confirmed: BestResult) -> None:
        """Record that ``trial`` starts to confirm a result. Repeated values from another rung are
        deleted.
        """
        # A resumed study may have more rungs. Values from the old top rung are of shorter
        # trainings, so a mean of values from both rungs would have no meaning.
        before = self._first.get(confirmed.trial)
        if before is None or before.rung != confirmed.rung:
            self._losses[confirmed.trial] = {}
        self.of[trial] = self._first[confirmed.trial] = confirmed

    def finish(self, event: JobFinished) -> None:
        """Store the result of a confirming trial."""
        self.seconds += event.seconds
        self.epochs += event.resource - event.start
        self._end(event.trial, self._goal.loss(event.metrics))

    def fail(self, trial: TrialId) -> None:
        """Record that a confirming trial has failed or was withdrawn."""
        self._end(trial, math.inf)

    def _end(self, trial: TrialId, loss: float) -> None:
        self._ended.add(trial)
        confirmed = self.of[trial]
        if self._first[confirmed.trial].rung == confirmed.rung:
            self._losses[confirmed.trial][trial] = loss

    def named(
        self, wanted: Confirm | None, results: Mapping[TrialId, BestResult]
    ) -> Confirmed | None:
        """Return the winner of the confirmations, and the estimate of the winner's mean. O(k r).

        Args:
            wanted: How many configurations to confirm, and how many seeds to use for each.
            results: The best results of the search at the highest rung with a finite result, by
                trial. A confirmed result that is not in ``results`` cannot win: its trial was
                withdrawn, or the search has reached a higher rung.

        Returns:
            The winner. None if some confirmations have not ended, or if every configuration has a
                failed training.
        """
        if wanted is None:
            return None
        try:
            return self._named(wanted, results)
        except OverflowError:  # squares of losses are too large for a float
            return None

    def _named(self, wanted: Confirm, results: Mapping[TrialId, BestResult]) -> Confirmed | None:
        losses = {
            trial: list(by_trial.values())
            for trial, by_trial in self._losses.items()
            if len(by_trial) >= wanted.seeds and results.get(trial) is self._first[trial]
        }
        if not losses or len(losses) < min(wanted.best, len(results)):
            return None
        # the same number of each, so that means can be compared
        times = min(map(len, losses.values()))
        first = {trial: self._first[trial].loss for trial in losses}
        means = {trial: fmean([first[trial], *values[:times]]) for trial, values in losses.items()}
        order = sorted(losses, key=lambda trial: (means[trial], trial))
        whole = [trial for trial in order if means[trial] < math.inf]
        if not whole:
            return None
        winner = whole[0]
        value = self._goal.value
        repeated = [losses[trial][:times] for trial in whole]

        def finite(loss: float) -> float | None:
            return value(loss) if loss < math.inf else None

        firsts = [first[trial] for trial in whole]
        mean, half = interval(firsts, repeated, 0)
        variance, freedom = variance_over_seeds(firsts, repeated)
        ends = (None, None) if half is None else sorted((value(mean - half), value(mean + half)))
        return Confirmed(
            trial=winner,
            first=value(first[winner]),
            values=[value(loss) for loss in losses[winner][:times]],
            mean=value(mean),
            low=ends[0],
            high=ends[1],
            level=LEVEL,
            noise=math.sqrt(variance) if freedom else None,
            all=[
                Repeated(
                    trial,
                    value(first[trial]),
                    [finite(loss) for loss in losses[trial][:times]],
                    finite(means[trial]),
                )
                for trial in order
            ],
        )


def interval(
    first: Sequence[float], repeated: Sequence[Sequence[float]], winner: int, level: float = LEVEL
) -> tuple[float, float | None]:
    """Return the estimated mean of the winner, and half of the width of the mean's interval.

    Args:
        first: (k,), the first values, for which the configurations were chosen.
        repeated: (k, r), the values of the repeated trainings; each configuration has at least one.
        winner: The index of the winner.
        level: How often the interval should contain the true mean.

    Returns:
        The mean and half of the width; the half is None if there is only one repeated value in
            total.
    """
    from scipy.special import stdtrit

    count = len(first)
    means = [fmean(values) for values in repeated]
    of_one, freedom = variance_over_seeds(first, repeated)
    if not freedom:
        return means[winner], None
    variance = of_one / len(repeated[0])  # the variance of a mean
    if count < FEWEST_TO_SHRINK:
        return means[winner], float(stdtrit(freedom, 1 - (1 - level) / (2 * count))) * math.sqrt(
            variance
        )
    middle = fmean(means)
    spread = sum((mean - middle) ** 2 for mean in means)
    # The more the means differ, compared with the noise, the less they are shrunk. Even if noise
    # could explain all differences, the bound of Morris keeps a small part of each difference.
    share = (count - 3) / (count - 1)
    if spread > 0:
        share = min(share, (count - 3) * variance / spread)
    away = means[winner] - middle
    left = variance * (1 - (count - 1) / count * share) + 2 / (count - 3) * (share * away) ** 2
    return means[winner] - share * away, float(stdtrit(freedom, 1 - (1 - level) / 2)) * math.sqrt(
        left
    )


def variance_over_seeds(
    first: Sequence[float], repeated: Sequence[Sequence[float]]
) -> tuple[float, int]:
    """Return the variance of one training's value over seeds, and the degrees of freedom of this
    estimate. With one repeated value in total there are none, and the variance is 0.

    Args:
        first: As for :func:`interval`.
        repeated: As for :func:`interval`.
    """
    count = len(first)
    times = len(repeated[0])
    means = [fmean(values) for values in repeated]
    freedom = count * (times - 1) or count - 1
    if times > 1:
        squares = sum(
            (value - mean) ** 2
            for values, mean in zip(repeated, means, strict=True)
            for value in values
        )
    else:
        off = [one - mean for one, mean in zip(first, means, strict=True)]
        squares = sum((each - fmean(off)) ** 2 for each in off) / 1.5
    return squares / max(1, freedom), freedom
