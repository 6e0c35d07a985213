"""Hyperband: brackets whose trials enter at different rungs, because early results may be
unreliable.

Source: Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar, *Hyperband*, JMLR 18, 2018,
https://arxiv.org/abs/1603.06560, Algorithm 1: bracket ``s`` starts ``ceil((s_max + 1) / (s + 1) *
eta ** s)`` trials, ``s`` rungs below the top rung. The asynchronous form draws the bracket of each
trial at random, and the probability of a bracket is proportional to its size, as in Syne Tune. All
asynchronous brackets use the same rungs. In contrast, Li et al. (https://arxiv.org/abs/1810.05934,
section 3.2) run ASHA's brackets one after another.

Rule: the brackets depend on the ladder at the beginning of the study. New rungs at the top make
each bracket longer.
"""

import math
from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate, pairwise
from operator import mul
from typing import Annotated

from msgspec import Meta

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.mixing import mix
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import Bracket, BracketsMachine
from ashtune._src.schedulers.scheduler_protocol import Rule, Scheduler


def hyperband_brackets(ladder: Ladder, brackets: int | None = None) -> list[Bracket]:
    """Return the brackets of one round of Hyperband, from the lowest entry rung to the highest.

    Args:
        brackets: The number of brackets with the lowest entry rungs; by default one for each rung.

    Example:
        >>> [bracket.trials for bracket in hyperband_brackets(Ladder(1, 81, 3))]
        [81, 34, 15, 8, 5]
    """
    rungs = len(ladder.rungs)
    to_the_top = list(accumulate(reversed(ladder.kept), mul, initial=Fraction(1)))[::-1]
    return [
        Bracket(entry, math.ceil(Fraction(rungs, rungs - entry) / to_the_top[entry]))
        for entry in range(min(brackets or rungs, rungs))
    ]


# To count the trials of each bracket, the bracket of each trial must be drawn. 100,000 draws take
# less than a second, and in each bracket the count differs from the expected number by less than 3
# %.
MOST_COUNTED = 100_000


class Hyperband(Scheduler, frozen=True):
    """Fill synchronous brackets in order. The next bracket opens when no open bracket has a job for
    a free worker.

    Args:
        brackets: The number of brackets in a round, with the lowest entry rungs; by default one for
            each rung.

    Raises:
        SettingsError: If ``brackets`` is below 1.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=11, max_resource=4,
        ...     scheduler=Hyperband(brackets=2), quiet=True,
        ... )
        >>> len(study.trials), study.best.resource
        (11, 4)
    """

    __module__ = "ashtune"

    rule = Rule.WHEN_PROMOTED

    brackets: Annotated[int, Meta(ge=1)] | None = None

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> BracketsMachine:
        return BracketsMachine(ladder, hyperband_brackets(ladder, self.brackets), trials)


class AsyncHyperband(Scheduler, frozen=True, tag="async_hyperband"):
    """Asynchronous halving whose trials enter at different rungs. The shares of trials at these
    rungs are the same as in Hyperband.

    Args:
        brackets: The number of brackets, with the lowest entry rungs; by default one for each rung.

    Raises:
        SettingsError: If ``brackets`` is below 1.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4,
        ...     scheduler=AsyncHyperband(brackets=2), quiet=True,
        ... )
        >>> {trial.resource for trial in study.trials} <= {1, 3, 4}
        True
    """

    __module__ = "ashtune"

    default_reduction_factor = 3

    brackets: Annotated[int, Meta(ge=1)] | None = None

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "AsyncHyperbandMachine":
        """Return a new machine. The seed decides at which rung each trial enters."""
        return AsyncHyperbandMachine(
            ladder, hyperband_brackets(ladder, self.brackets), trials, seed
        )


class AsyncHyperbandMachine(AshMachine):
    """The machine of ``AsyncHyperband`` promotes trials as ``Ash`` does, and draws the entry rung
    of each trial.
    """

    def __init__(
        self, ladder: Ladder, brackets: list[Bracket], trials: int | None, seed: int
    ) -> None:
        super().__init__(ladder, trials)
        self._enters_above = True
        self._ends = list(accumulate(bracket.trials for bracket in brackets))
        self._seed = seed
        self._counted = (0, [0])

    def entry(self, trial: TrialId) -> int:
        return bisect_right(self._ends, mix(self._seed, trial) * self._ends[-1] >> 64)

    def entering(self, trials: int) -> list[int]:
        """Return how many of the first ``trials`` trials enter at each rung. The first call with a
        number ``trials`` takes O(trials) time.

        If ``trials`` is above ``MOST_COUNTED``, the expected numbers are returned.
        """
        if self._counted[0] != trials:
            if trials > MOST_COUNTED:
                ends = [trials * end // self._ends[-1] for end in self._ends]
                counts = [end - before for before, end in pairwise([0, *ends])]
            else:
                counts = [0] * len(self._ends)
                for trial in range(trials):
                    counts[self.entry(TrialId(trial))] += 1
            self._counted = (trials, counts)
        counts = self._counted[1]
        return counts + [0] * (len(self.ladder.rungs) - len(counts))
