"""The Gaussian processes of the search: of losses, of training time, of success and of memory.

Each process is built from arrays of the trials that the search has seen. The kernel is fitted to
the results that were known at the last refit (rule 7 of ``gp_proposer.py``). The process is
conditioned on all results that are known now.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ashtune._src.core.jobs import TrialId
from ashtune._src.search.gaussian_process import Array, GaussianProcess, Kernel
from ashtune._src.search.gp_trials import MOST_NEWEST, SeenTrials
from ashtune._src.search.scalarisation import clip_outliers, scalarise, weights_for

FEWEST_RESULTS = 3
FEWEST_PAIRS = 5
"""The losses of a rung are mapped to the next rung if at least five trials have results at both
rungs.
"""
LEAST_RATIO = 0.1
MOST_RATIO = 1.0
"""From one rung to the next, the spread of the losses is multiplied by a factor between these
numbers. The limits prevent extreme factors, since the factor is estimated from few pairs.
"""
FITS_NOISE = 0.01
"""The noise of the process "fits into memory". A fitted noise would blur the sharp boundary between
configurations that fit and those that do not.
"""


class Values(NamedTuple):
    """The data of a process: inputs, shape (n, d) or (n, d + 1), and values, shape (n,) or (n, 1 +
    m).
    """

    rows: Array
    values: Array


class Scaled(NamedTuple):
    """Values that are scaled to mean 0 and variance 1, with their original mean and scale.

    Args:
        rows: The inputs, shape (n, d) or (n, d + 1).
        values: The scaled values, shape (n,).
        mean, scale: The original values are ``values * scale + mean``.
    """

    rows: Array
    values: Array
    mean: float = 0.0
    scale: float = 1.0


class Model(NamedTuple):
    """A process of scaled values."""

    process: GaussianProcess
    scaled: Scaled

    def means(self, rows: Array) -> Array:
        """Return the predicted values at some rows, in the original unit, shape (n,)."""
        means: Array = self.process.means(rows) * self.scaled.scale + self.scaled.mean
        return means


class ShownResults:
    """The results of the trials that the model uses now, as arrays.

    Args:
        seen: All trials.

    Attributes:
        trials: The trials that are used.
        points: Their points, shape (t, d).
        losses: For each result, a row of inputs (the trial's point, and the resource scaled to [0,
            1]) and a value (the loss, or the key).
        owners: The trial of each result.
        beside: The data of the other quantities that are modelled, by name: "paces", "success" and
            "fits". A quantity with too few data is missing.
    """

    def __init__(self, seen: SeenTrials) -> None:
        self.trials = seen.shown()
        self._columns = [column.is_category for column in seen.space.columns.values()]
        self._top = seen.top
        resources = (
            resource for trial in self.trials for resource in seen.losses[trial] if resource > 0
        )
        self._least = min(resources, default=self._top)
        self.points = np.array([seen.points[trial] for trial in self.trials])
        results = [
            (trial, *result) for trial in self.trials for result in seen.losses[trial].items()
        ]
        self.owners = [trial for trial, _, _ in results]
        rows = [[*seen.points[trial], self._height(resource)] for trial, resource, _ in results]
        self.losses = Values(np.array(rows), np.array([loss for _, _, loss in results]))
        self.beside: dict[str, Scaled] = {}
        paces = {trial: seen.paces[trial] for trial in self.trials if trial in seen.paces}
        if len(paces) >= FEWEST_RESULTS:
            self._add(
                "paces",
                np.array([seen.points[trial] for trial in paces]),
                np.array(list(paces.values())),
            )
        self._add_success(seen)
        self._add_fits(seen)

    def _height(self, resource: int) -> float:
        """Scale a resource logarithmically to [0, 1]: 0 is the lowest resource with a result, and 1
        is the top rung.
        """
        if self._least >= self._top or resource <= 0:
            return 1.0
        return min(1.0, math.log(resource / self._least) / math.log(self._top / self._least))

    def _add(self, name: str, rows: Array, values: Array) -> None:
        scaled = standardised(values)
        if scaled is not None:
            self.beside[name] = Scaled(rows, scaled, float(values.mean()), float(values.std()))

    def _add_success(self, seen: SeenTrials) -> None:
        """If a trial has failed, add the data of "success": 1 for each finite result, and 0 for
        each of the newest failures.

        The resource of a failure is the resource of the rung that the trial did not reach. A trial
        that ran out of memory counts neither as success nor as failure.
        """
        failed = sorted(trial for trial in seen.failures if seen.fits.get(trial, 1.0) >= 0)[
            -MOST_NEWEST:
        ]
        is_finite = np.isfinite(self.losses.values)
        results = self.losses.rows[is_finite if self.has_one_loss else is_finite.all(axis=1)]
        if not failed or not len(results):
            return
        heights = [
            self._height(seen.resources.get(seen.failures[trial], seen.top)) for trial in failed
        ]
        rows = [
            [*seen.points[trial], height] for trial, height in zip(failed, heights, strict=True)
        ]
        values = np.repeat([1.0, 0.0], [len(results), len(failed)])
        self._add("success", np.concatenate([results, rows]), values)

    def _add_fits(self, seen: SeenTrials) -> None:
        """If a trial ran out of memory, add the data of "fits". These are the values of rule 8, for
        the newest trials that ran out of memory and for other trials.
        """
        too_large = [trial for trial, value in seen.fits.items() if value < 0][-MOST_NEWEST:]
        if too_large:
            trials = [
                *too_large,
                *(trial for trial in self.trials if seen.fits.get(trial, 1.0) >= 0),
            ]
            values = np.array([seen.fits.get(trial, 1.0) for trial in trials])
            # These values are not scaled, because 0 must stay the boundary of memory. 0 is also
            # what the process predicts far from all trials.
            self.beside["fits"] = Scaled(np.array([seen.points[trial] for trial in trials]), values)

    def plain_losses(self, seed: int, trial: int, *, is_mapped: bool) -> Array | None:
        """Return one standardised number for each result. Return None if the results give no
        information.

        Args:
            seed: The seed of the study.
            trial: The number of the trial that is proposed. With several losses, it decides the
                weights of the losses.
            is_mapped: Whether the losses of all rungs are first mapped to the scale of the highest
                rung.
        """
        losses = self.losses.values
        if not len(losses):
            return None
        if losses.ndim > 1:
            weights = weights_for(seed, trial, losses.shape[1] - 1)
            losses = scalarise(losses, weights, self.losses.rows[:, -1])
        elif is_mapped:
            losses = on_one_scale(losses, self.losses.rows[:, -1], self.owners)
        return standardised(clip_outliers(losses))

    @property
    def has_one_loss(self) -> bool:
        return self.losses.values.ndim == 1

    def fit(self, rows: Array, values: Array) -> Kernel:
        """Fit a kernel to standardised values. Each row is a point, or a point and a resource."""
        return Kernel.fit(rows, values, self.categories(rows))

    def process(self, rows: Array, values: Array, kernel: Kernel) -> GaussianProcess:
        return GaussianProcess(rows, values, self.categories(rows), kernel)

    def categories(self, rows: Array) -> NDArray[np.bool_]:
        """Return which columns of some rows are categories. If the rows have a column for the
        resource, this column is not a category.
        """
        return np.array([*self._columns, False][: rows.shape[1]])


class Kernels:
    """The kernels, fitted to the results that the model used at the last refit. Each kernel is
    fitted only when it is needed.
    """

    def __init__(self, shown: ShownResults) -> None:
        self._shown = shown
        self._fitted: dict[str, Kernel] = {}

    def of_losses(self, *, is_mapped: bool) -> Kernel | None:
        if not self._shown.has_one_loss:
            return None  # the weights of several losses differ from trial to trial
        name = "mapped losses" if is_mapped else "losses"
        if name not in self._fitted:
            values = self._shown.plain_losses(0, 0, is_mapped=is_mapped)
            if values is None:
                return None
            self._fitted[name] = self._shown.fit(self._shown.losses.rows, values)
        return self._fitted[name]

    def model_of(self, name: str, now: ShownResults) -> Model | None:
        """Return a model of a quantity, with all values known now. The quantity is not the loss,
        but for example "paces" (training times). If there are too few values, return None.
        """
        found = now.beside.get(name)
        if found is None:
            return None
        at_refit = self._shown.beside.get(name)
        if at_refit is None:
            # The first values of this quantity came after the refit. This kernel is not stored,
            # because a proposal must not depend on which proposals were made earlier.
            kernel = now.fit(found.rows, found.values)
        else:
            if name not in self._fitted:
                self._fitted[name] = now.fit(at_refit.rows, at_refit.values)
            kernel = self._fitted[name]
        if name == "fits":
            kernel = kernel._replace(noise=FITS_NOISE)
        return Model(now.process(found.rows, found.values, kernel), found)


def on_one_scale(losses: Array, heights: Array, owners: Sequence[TrialId]) -> Array:
    """Map the losses of each rung to the scale of the highest rung.

    The spread of losses at the lowest rung may be a hundred times the spread at the top rung.
    Without the mapping, one model of all losses would then have a noise larger than the differences
    at the top rung. From one rung to the next, losses are mapped linearly, by the trials that have
    results at both rungs: the median is mapped to the median, and the spread is multiplied by the
    ratio of the interquartile ranges.

    Args:
        losses: Shape (n,), infinite for a trial without enough memory.
        heights: The scaled resource of each loss, shape (n,).
        owners: The trial of each loss.
    """
    by_height: dict[float, dict[TrialId, float]] = {}
    for height, owner, loss in zip(heights.tolist(), owners, losses.tolist(), strict=True):
        if loss < math.inf:
            by_height.setdefault(height, {})[owner] = loss
    # The results of trials that ended themselves early have other resources, which are not those of
    # rungs.
    rungs = [height for height in sorted(by_height) if len(by_height[height]) >= FEWEST_PAIRS]
    mapped = losses.copy()
    for low, high in pairwise(rungs):
        both = [trial for trial in by_height[low] if trial in by_height[high]]
        if len(both) < FEWEST_PAIRS:
            continue
        before = np.array([by_height[low][trial] for trial in both])
        after = np.array([by_height[high][trial] for trial in both])
        spread = np.subtract(*np.percentile(before, [75, 25]))
        ratio = 1.0
        if spread > 0:
            ratio = np.subtract(*np.percentile(after, [75, 25])) / spread
        is_below = heights <= low
        scale = float(np.clip(ratio, LEAST_RATIO, MOST_RATIO))
        mapped[is_below] = np.median(after) + scale * (mapped[is_below] - np.median(before))
    return mapped


def at_top(points: Array) -> Array:
    """Return points with the resource of the top rung as an additional column, shape (n, d + 1)."""
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def standardised(values: Array) -> Array | None:
    """Return the values scaled to mean 0 and variance 1; None if all values are equal, or a value
    is not finite.
    """
    if not len(values) or not np.isfinite(values).all():
        return None
    deviation = values.std()
    if deviation <= 1e-12 * abs(values).max():
        return None
    scaled: Array = (values - values.mean()) / deviation
    return scaled
