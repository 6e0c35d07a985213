"""Scores configurations by expected improvement, time, success, memory and priors, and searches for
the best score.

For a trial without a result at the top rung, a loss is drawn from the model: see rule 3 of
``gp_proposer.py``.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_ndtr

from ashtune._src.core.jobs import TrialId
from ashtune._src.search.gaussian_process import Array, GaussianProcess, log_expected_improvement
from ashtune._src.search.gp_models import Kernels, ShownResults, at_top
from ashtune._src.search.gp_trials import DIGITS, MOST_NEWEST, Point, SeenTrials
from ashtune._src.search.mutation import take_steps
from ashtune._src.space.space import Space

DRAWS = 16
# Decision 82 (docs/decisions/0082-never-worse-than-chance.md).
MOST_PAUSED = 24
"""Losses are drawn only for the 24 paused trials with the lowest predicted losses. The other paused
trials do not matter, since no proposal is made near them.
"""
FEWEST_FINISHED = 3
"""Losses are drawn for paused trials only if at least this many trials have a result at the top
rung.
"""
LEAST_SUCCESS = 0.02
"""The smallest probability of success that is used, so that a region without success can still be
proposed.
"""
# Decision 72 (docs/decisions/0072-out-of-memory.md).
FITS_POWER = 2
"""The probability that a configuration fits into memory is raised to this power, because the best
configurations are often near the boundary.
"""
BELIEF = 1.0
"""The expected improvement is multiplied by
``density of the priors ** (BELIEF / number of trials with results)``.
"""
CANDIDATES = 512
CENTRES = 6
TRIAL_CENTRES = 2
ROUNDS = 4
STEPS = 128
STEP = 0.2
"""The search first scores random points. Then it scores points near the best points and trials, in
several rounds. The size of the steps starts at this value and is halved in each round.
"""


class Score:
    """Scores points for one new trial.

    Args:
        seen: All trials.
        shown: The results that the model uses now.
        values: The standardised losses of these results, shape (n,).
        is_mapped: Whether these losses were mapped to one scale.
        kernels: The kernels of the last refit.
        chance: The random generator of this trial.
        price: The exponent of the training time.
        waiting: The points of proposals that have not started.

    Attributes:
        centres: Points of the trials with the lowest predicted losses, shape (2, d).
    """

    def __init__(
        self, seen: SeenTrials, shown: ShownResults, values: Array, *, is_mapped: bool,
        kernels: Kernels,
        chance: np.random.Generator, price: float, waiting: Sequence[Point],
    ) -> None:  # fmt: skip
        self._shown = shown
        self._space = seen.space
        self._belief = BELIEF / len(seen.losses)
        kernel = kernels.of_losses(is_mapped=is_mapped) or shown.fit(shown.losses.rows, values)
        self._condition(seen, shown.process(shown.losses.rows, values, kernel), waiting, chance)
        self._price = price
        self._paces = kernels.model_of("paces", shown) if price else None
        self._success = kernels.model_of("success", shown)
        self._fits = kernels.model_of("fits", shown)

    def _condition(
        self,
        seen: SeenTrials,
        model: GaussianProcess,
        waiting: Sequence[Point],
        chance: np.random.Generator,
    ) -> None:
        """For trials without a result at the top rung, draw losses at the top rung, and find the
        best loss of each draw (rule 3).

        If paused trials were ignored, the points near them would stay promising, and the search
        would propose them again and again. If the drawn loss of a paused trial counted without a
        limit, the best loss would be the lowest of many draws. Perhaps no trial would ever reach
        this loss, because the study may never promote the paused trial. Therefore the loss of a
        paused trial is drawn, but is never below the best loss of a finished trial.
        """
        shown = self._shown
        means = model.means(at_top(shown.points))
        order = np.argsort(means, kind="stable")
        self.centres = shown.points[order[:TRIAL_CENTRES]]
        finished = [row for row, trial in enumerate(shown.trials) if seen.is_at_top(trial)]
        best = np.array([means[finished].min() if finished else means.min()])
        # With fewer finished trials, the model knows almost nothing about the top rung. With draws
        # from the first finished trial on, results after five full trainings were worse.
        paused: list[TrialId] = []
        if len(finished) >= FEWEST_FINISHED:
            paused = [
                trial for trial in (shown.trials[row] for row in order) if seen.is_paused(trial)
            ][:MOST_PAUSED]
        training = [
            trial for trial in sorted(seen.training)[-MOST_NEWEST:] if not seen.is_at_top(trial)
        ]
        places = [*(seen.points[trial] for trial in [*paused, *training]), *waiting]
        if places:
            rows = at_top(np.array(places))
            drawn = model.draw(rows, chance.standard_normal((len(rows), DRAWS)))
            drawn[: len(paused)] = np.maximum(drawn[: len(paused)], best)
            model = model.with_values(rows, drawn)
            best = np.minimum(best, drawn.min(axis=0))
        self._model = model
        self._best = best

    def of(self, points: Array) -> Array:
        """Return the logarithm of each point's score, shape (n,), for points of shape (n, d)."""
        rows = at_top(points)
        mean, deviation = self._model.predict(rows)
        mean = mean.reshape(len(points), -1)
        logs = log_expected_improvement(mean, deviation[:, None], self._best)
        most = logs.max(axis=1)
        score: Array = most + np.log(np.exp(logs - most[:, None]).sum(axis=1))
        if self._paces is not None:
            score = score - self._price * self._paces.means(points)
        score = score + self.log_success(rows)
        if self._fits is not None:
            mean, deviation = self._fits.process.predict(points)
            score = score + FITS_POWER * log_ndtr(mean / deviation)
        return score + self._belief * self._space.log_belief(points)

    def log_success(self, rows: Array) -> Array:
        """Return the log-probability of success at each row, shape (n,). A row is a point followed
        by a resource.
        """
        if self._success is None:
            return np.zeros(len(rows))
        logarithm: Array = np.log(np.clip(self._success.means(rows), LEAST_SUCCESS, 1.0))
        return logarithm


def search_points(space: Space, score: Score, chance: np.random.Generator) -> Array:
    """Search for points with a high score; return the points, the highest score first. A point may
    be repeated.
    """
    is_category = np.array([column.is_category for column in space.columns.values()])
    points = space.snap(space.random_points(chance.random((CANDIDATES, space.draws))))
    scores = score.of(points)
    for turn in range(ROUNDS):
        best = np.argsort(-scores, kind="stable")[:CENTRES]
        centres = np.concatenate([points[best], score.centres])
        new = take_steps(
            np.resize(centres, (STEPS, len(is_category))), STEP / 2**turn, is_category, chance
        )
        new = space.snap(np.clip(new, 0.0, 1.0))
        points = np.concatenate([points, new])
        scores = np.concatenate([scores, score.of(new)])
    ordered: Array = points[np.argsort(-scores, kind="stable")].round(DIGITS)
    return ordered
