"""How a learning curve may go on where a study cut it short: simple laws, and how much they leave open.

The law is a power law with an offset, ``offset + scale * resource ** -power``, a usual shape of learning curves
(Domhan, Springenberg, Hutter, IJCAI 2015, *pow3*). Nobody should be fooled: besides the best fit there are others
that fit nearly as well, and a prediction is made for several of them.

Rule 1: what is known is never changed; a law holds beyond it only.
Rule 2: a law has to earn its place: fitted to the first half of a curve it must foretell the second half better than
the last value of the first does. Else, and where too little is known, the last value stands. On curves known in full
(``benchmarks/whatif_honesty.py``) laws without this test were off further than no law at all.
Rule 3: the likeliest course never beats the best result that the study has; a plausible one may.
Rule 4: a metric that was never outside of 0 to 1 is taken for a share, and stays there.
Rule 5: a plausible other course of a trial without a law is that of a trial of the same study known for longer.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from ashtune.simulation.traces import Trace, Traces

LARGEST = 1e150
"""Larger losses have no law: their squares are no numbers."""
FEWEST = 4
"""Reports that a fit needs: a law has three parameters. To be tested as well it takes half as many again."""
POWERS = tuple(2.0 ** (step / 4) for step in range(-8, 9))  # 1/4 to 4: smaller ones hardly ever end
NEARLY = 2.0
"""A fit whose squared error is at most so many times that of the best is plausible too."""
CACHED_FITS = 65_536

Course = Callable[[int], float]
"""Resource -> loss, beyond what is known."""


class PowerLaw(msgspec.Struct, frozen=True):
    """``offset + scale * resource ** -power``, falling for a scale above 0."""

    offset: float
    scale: float
    power: float

    def __call__(self, resource: int) -> float:
        """Return the loss at a resource."""
        return self.offset + self.scale * math.pow(resource, -self.power)


def fits(losses: Sequence[float], resources: Sequence[int] | None = None) -> list[PowerLaw]:
    """Return the laws that a curve supports, best first; nothing where the last value foretells as well.

    Args:
        losses: Those reported.
        resources: At which they were; from 1 on if not given.
    """
    known = len(losses)
    at = range(1, known + 1) if resources is None else resources
    half = max(FEWEST, known // 2)
    if known < FEWEST * 3 // 2 or not (tried := fitted(losses[:half], at[:half])):
        return []
    law, last = tried[0], losses[half - 1]
    held_out = [(law(at[number]), losses[number]) for number in range(half, known)]
    by_law = sum((foretold - loss) ** 2 for foretold, loss in held_out)
    by_last = sum((last - loss) ** 2 for _, loss in held_out)
    return fitted(losses, at) if by_law < by_last else []


def fitted(losses: Sequence[float], resources: Sequence[int] | None = None) -> list[PowerLaw]:
    """Return the falling laws that fit a curve about as well as the best of them, best first. O(reports).

    Later reports weigh more, as these laws describe the late course of a curve.
    """
    import numpy as np

    known = len(losses)
    y = np.asarray(losses, dtype=np.float64)
    if known < FEWEST or not (np.abs(y) < LARGEST).all():
        return []
    at = range(1, known + 1) if resources is None else resources
    resource = np.asarray(at, dtype=np.float64)
    weight = resource / resource.sum()
    basis = resource ** -np.asarray(POWERS)[:, None]
    mean_basis, mean = basis @ weight, float(y @ weight)
    spread = ((basis - mean_basis[:, None]) ** 2) @ weight
    scale = ((basis - mean_basis[:, None]) * (y - mean)) @ weight / spread
    offset = mean - scale * mean_basis
    error = ((offset[:, None] + scale[:, None] * basis - y) ** 2) @ weight
    ranked = [int(place) for place in np.argsort(error) if scale[place] > 0]
    if not ranked:
        return []
    most = NEARLY * float(error[ranked[0]])
    return [PowerLaw(float(offset[i]), float(scale[i]), POWERS[i]) for i in ranked if error[i] <= most]


class Continuations:
    """The courses of all trials beyond what is known.

    Args:
        traces: The trials.
        seed: Decides which plausible courses are drawn.
    """

    def __init__(self, traces: Traces, seed: int = 0) -> None:
        self._trials = traces.trials
        self._best_loss = traces.best_loss
        self._bounds = _bounds(traces)
        self._seed = seed
        self._fits = lru_cache(maxsize=CACHED_FITS)(self._laws)
        by_length = sorted(range(len(self._trials)), key=lambda trial: self._trials[trial].known)
        self._by_length = [trial for trial in by_length if not self._trials[trial].fails]

    def courses(self, draw: int) -> Callable[[int, int], float]:
        """Return (trial, resource) -> loss: what is known, and beyond it one continuation a trial.

        Args:
            draw: 0 for the best fits; others are plausible, each drawn anew for every trial.
        """
        trials, (low, high) = self._trials, self._bounds

        @lru_cache(maxsize=CACHED_FITS)
        def course(trial: int) -> Course:
            return self._best(trial) if draw == 0 else self._plausible(trial, draw)

        def loss(trial: int, resource: int) -> float:
            trace = trials[trial]
            if resource <= trace.known:
                return trace.losses[resource - 1]
            return math.inf if trace.fails else min(max(course(trial)(resource), low), high)

        return loss

    def _laws(self, trial: int) -> list[PowerLaw]:
        resources, losses = self._trials[trial].reports()
        return fits(losses, resources)

    def _best(self, trial: int) -> Course:
        if not (laws := self._fits(trial)):
            return _level(self._trials[trial])
        law, best = laws[0], self._best_loss
        return lambda resource: max(law(resource), best)

    def _plausible(self, trial: int, draw: int) -> Course:
        chance = random.Random(f"{self._seed} {draw} {trial}")
        if laws := self._fits(trial):
            return chance.choice(laws)
        return self._like_another(trial, chance)

    def _like_another(self, trial: int, chance: random.Random) -> Course:
        """Go on as a trial did that is known for longer, from where this one is."""
        known = self._trials[trial].known
        longer = bisect_right(self._by_length, known, key=lambda number: self._trials[number].known)
        if longer == len(self._by_length) or known == 0:
            return _level(self._trials[trial])
        other = chance.choice(self._by_length[longer:])
        return _following(self._trials[other], self._best(other), _level(self._trials[trial])(0), known)


def _bounds(traces: Traces) -> tuple[float, float]:
    """Return between which losses a course stays: those of a share where the metric looks like one."""
    share = (0.0, 1.0) if traces.goal.mode == "min" else (-1.0, 0.0)
    known = (loss for trace in traces.trials for loss in trace.losses if math.isfinite(loss))
    return share if all(share[0] <= loss <= share[1] for loss in known) else (-math.inf, math.inf)


def _level(trace: Trace) -> Course:
    last = trace.losses[-1] if trace.known else math.inf
    return lambda _: last


def _following(other: Trace, beyond: Course, last: float, known: int) -> Course:
    def loss(resource: int) -> float:
        there = other.losses[resource - 1] if resource <= other.known else beyond(resource)
        change = there - other.losses[known - 1]
        return last + change if math.isfinite(change) else last

    return loss
