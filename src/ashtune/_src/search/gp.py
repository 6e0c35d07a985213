"""Search by a Gaussian process over all rungs, which weighs the expected improvement against the training time.

Rule 1: a proposal is a pure function of the seed, the trial's number, the earlier results and the waiting proposals. A
proposal uses no clock and no stored random state.
Rule 2: one Gaussian process models all rungs. The resource is an input of the process, and the process predicts losses
at the top rung. A model of the lowest rung alone would prefer configurations that learn fast only at the start.
Rule 3: for each trial in training, a loss is drawn from the process and used like a result. The next proposal is
therefore not close to a trial in training (Snoek, Larochelle, Adams, NeurIPS 2012, section 3.2).
Rule 4: another Gaussian process predicts the training time. The expected improvement is divided by its square root.
Without this division, the model chose the slowest configurations, and was worse than random search.
Rule 5: several losses are combined into one number, with different weights for each trial (``scalarisation.py``).
Rule 6: the first ten trials and a tenth of all other trials are random. If a configuration has results from before the
study, it replaces one of the ten random trials and is not proposed.
Rule 7: the kernels are fitted again when the number of results has grown by an eighth, at the latest after 16 new
results. Between two fits, the process uses each new result at once. A fit takes four fifths of a proposal's time. With
several losses, the kernel is fitted for each proposal, because the weights of the losses differ from trial to trial.
Rule 8: a third Gaussian process predicts whether a configuration fits into memory. Its values are -1 for trials that
ran out of memory, and for other trials the logarithm of the memory limit divided by the memory that the trial used,
from 0 to 1. A trial of unknown memory has the value 1. The expected improvement is multiplied by the squared
probability of a positive value.

The measurements of this search are in ``docs/decisions/0030-a-search-that-learns.md``.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from msgspec import Meta

from ashtune._src.core.jobs import Job, Key, Result, TrialId
from ashtune._src.core.order import ranked
from ashtune._src.search.mutation import Mutation, take_steps
from ashtune._src.search.origins import results_text
from ashtune._src.search.protocol import Design, Proposal, Proposer, Search
from ashtune._src.search.random import Random
from ashtune._src.search.scalarisation import clip_outliers, scalarise, weights_for
from ashtune._src.space.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ashtune._src.search.gaussian_process import GaussianProcess, Kernel

    Array = NDArray[np.float64]

FEWEST_RESULTS = 3
MOST_BEST, MOST_NEWEST = 40, 40
"""If a study has more trials than the sum, the process sees only these numbers of the best and of the newest trials."""
REFITS, LATEST_REFIT = 8, 16
"""The kernels are fitted again when the number of results has grown by an eighth or by 16, whichever comes first."""
DRAWS = 16
FITS_NOISE, FITS_POWER = 0.01, 2
"""The noise of "fits into memory", as a fitted noise would blur its sharp boundary, and the power of its probability,
as the best configurations are often near the boundary."""
DIGITS = 9
"""Coordinates are rounded to this many digits, as conversion to a configuration and back changes the last bits."""
MOST_PRICE = 4.0
WIDE = 1000.0
"""A range of positive numbers is modelled on a logarithmic scale if its high end is at least this multiple of its low
end. The good values of such a range are often in a thousandth of its linear scale, which the kernel cannot resolve."""
BELIEF = 1.0
"""The expected improvement is multiplied by ``density of the priors ** (BELIEF / number of trials with results)``."""
CANDIDATES, CENTRES, TRIAL_CENTRES, ROUNDS, STEPS, STEP = 512, 6, 2, 4, 128, 0.2
"""A search scores random points, then points near the best points and trials; each of these rounds halves the steps."""


class GP(Search, frozen=True):
    """Propose configurations with a large expected improvement relative to their training time.

    Args:
        first: How many of the first trials are random; configurations with results from before the study count too.
        random_share: Fraction of the later trials that is random.
        ahead: How many proposals are made in advance when the waiting time is used up. With 0 each trial waits for its
            proposal (10 to 25 ms).
        price: The expected improvement is divided by ``seconds ** price`` of a trial's training. With 0 the training
            time does not count. With ``price=0`` and ``ahead=0`` a study on one worker can be reproduced.

    Raises:
        SettingsError: If an option is out of its range.

    Example:
        >>> GP(first=20).has_proposer
        True
    """

    design_origin = "random"
    is_apart = True

    first: Annotated[int, Meta(ge=1)] = 10
    random_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    ahead: Annotated[int, Meta(ge=0)] = 2
    price: Annotated[float, Meta(ge=0, le=MOST_PRICE)] = 0.5

    def build(self, space: Space, seed: int) -> Design:
        return Random().build(space, seed)

    def stand_in(self, space: Space, seed: int) -> Proposer:
        """Return a proposer for trials without a ready proposal. Half of the stand-in's proposals are mutations."""
        return Mutation(random_share=0.5, first=self.first).proposer(space, seed, 1)

    @property
    def most_ahead(self) -> int:
        return self.ahead

    @property
    def first_proposed(self) -> int:
        return self.first

    @property
    def weighs_seconds(self) -> bool:
        return self.price > 0

    def proposer(self, space: Space, seed: int, max_resource: int) -> Proposer:
        return GPProposer(self, _with_logarithms(space), seed, max_resource)


def _with_logarithms(space: Space) -> Space:
    """Return a space with the same configurations, in which wide ranges (``WIDE``) have a logarithmic scale."""

    def scaled(given: dict[str, Any]) -> dict[str, Any]:
        is_wide = given["type"].startswith("uniform") and 0 < WIDE * given.get("lower", 0) <= given["upper"]
        return {**given, "log": True} if is_wide else given

    record = space.to_record()
    columns = [scaled(given) for given in record["space"]["hyperparameters"]]
    return Space({**record, "space": {**record["space"], "hyperparameters": columns}}, space.rules.valid)


class GPProposer(Proposer):
    """Propose the configuration with the largest expected improvement relative to its training time.

    Attributes:
        options: The options of the search.
        seed: The seed of the study.
        points: Each trial's point in the unit cube, 0.5 where a hyperparameter is inactive.
        losses: For each trial with results, the loss by resource; with several losses or constraints, the key.
        paces: For each trial, the logarithm of the seconds for a unit of resource in its first job.
        fits: The values of rule 8, for trials that ran out of memory and trials whose memory is known.
        running: The trials in training that have no result yet.
        proposed: Points of proposals that have not started.
        known: The numbers, all below 0, of the configurations with results from before the study.
    """

    def __init__(self, options: GP, space: Space, seed: int, max_resource: int) -> None:
        import scipy.linalg
        import scipy.optimize
        import scipy.special  # noqa: F401 - imported now, so that the first proposal is made at once

        self.options = options
        self.space = space
        self.seed = seed
        self._top = max_resource
        self.points: dict[TrialId, tuple[float, ...]] = {}
        self._tried: set[tuple[float, ...]] = set()  # the same points, for lookup
        self.losses: dict[TrialId, dict[int, Any]] = {}
        self._standings: dict[int, dict[TrialId, Key]] = {}  # by the highest resource with finite losses
        self._highest: dict[TrialId, int] = {}  # the same resource by trial
        self.paces: dict[TrialId, float] = {}
        self.fits: dict[TrialId, float] = {}
        self.running: set[TrialId] = set()
        self.known: set[TrialId] = set()
        self.proposed: deque[tuple[float, ...]] = deque(maxlen=max(1, options.ahead))
        self.is_category = [column.is_category for column in space.columns.values()]
        self._results, self._refit_at = 0, FEWEST_RESULTS
        self._fitted_to: _ShownResults | None = None
        self._kernels: _Kernels | None = None  # fitted to those results, at the first use

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        if job.trial not in self.losses:
            self.running.add(job.trial)
        self._place(job.trial, configuration)
        if self.points[job.trial] in self.proposed:
            self.proposed.remove(self.points[job.trial])

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        self._note(result, configuration)
        self._results += 1
        if self._results >= self._refit_at:
            self._refit_at = self._results + min(max(1, self._results // REFITS), LATEST_REFIT)
            self._fitted_to, self._kernels = _ShownResults.of(self), None

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        self.known.add(result.trial)
        self.observe(result, configuration)

    def _note(self, result: Result, configuration: Mapping[str, object]) -> None:
        trial, is_plain = result.trial, len(result.losses) == 1 and result.violation is None
        self.running.discard(trial)
        self._place(trial, configuration)
        if result.is_out_of_memory:
            self.fits[trial] = -1.0
        elif result.memory_share > 0:
            self.fits[trial] = min(self.fits.get(trial, 1.0), max(0.0, -math.log(result.memory_share)))
        if trial not in self.losses and not result.is_failure and result.seconds > 0 and result.resource > 0:
            self.paces[trial] = math.log(result.seconds / result.resource)
        self.losses.setdefault(trial, {})[result.resource] = result.losses[0] if is_plain else result.key
        if max(result.key) < math.inf and result.resource >= (before := self._highest.get(trial, 0)):
            self._standings.get(before, {}).pop(trial, None)
            self._standings.setdefault(result.resource, {})[trial] = result.key
            self._highest[trial] = result.resource

    def propose(self, trial: int) -> Proposal | None:
        """Return the configuration with the best score that a short search finds; None if the trial must be random."""
        import numpy as np

        chance = np.random.default_rng([self.seed, trial, 1])
        is_random = chance.random() < self.options.random_share
        first = self.options.first - len(self.known)
        if trial < first or len(self.losses) < FEWEST_RESULTS or is_random:
            return None
        view = _View.of(self, chance, trial)
        if view is None:
            return None
        for point in dict.fromkeys(map(tuple, _search_points(self.space, view, chance).tolist())):
            if self._is_tried(point):
                continue
            [configuration] = self.space.at(np.array([point]))
            place = self._point(configuration)  # the conversion may have changed the point
            if not self._is_tried(place) and not self.space.rules.forbidding(configuration):
                self.proposed.append(place)
                return Proposal(configuration, f"gp, {results_text(len(self.losses), len(self.known))}")
        return None

    def rows(self, trials: Sequence[TrialId]) -> "tuple[Array, Array]":
        """Return one row for each result of some trials: the trial's point, and the resource scaled to [0, 1].

        A failure has the resource of the top rung, even if the trial has results at lower rungs.

        Returns:
            The rows, shape (n, d + 1), and the losses, shape (n,), or keys, shape (n, 1 + m).
        """
        import numpy as np

        results = [(trial, *result) for trial in trials for result in self.losses[trial].items()]
        least = min((resource for _, resource, _ in results if resource > 0), default=self._top)
        span = math.log(self._top / least) if least < self._top else 0.0

        def height(resource: int) -> float:
            if not span or resource <= 0:  # a failure has resource 0
                return 1.0
            return min(1.0, math.log(resource / least) / span)

        rows = [[*self.points[trial], height(resource)] for trial, resource, _ in results]
        return np.array(rows), np.array([loss for _, _, loss in results])

    def kernels(self) -> "_Kernels":
        """Return the kernels, fitted to the results at the time of the last refit (rule 7)."""
        if self._kernels is None:
            seen, has_price = self._fitted_to, self.options.price > 0
            self._kernels = _Kernels() if seen is None else seen.kernels(self.is_category, has_price=has_price)
        return self._kernels

    def _place(self, trial: TrialId, configuration: Mapping[str, object]) -> None:
        if trial not in self.points:
            self.points[trial] = self._point(configuration)
            self._tried.add(self.points[trial])

    def _is_tried(self, place: tuple[float, ...]) -> bool:
        return place in self._tried or place in self.proposed

    def _point(self, configuration: Mapping[str, object]) -> tuple[float, ...]:
        return tuple(0.5 if place is None else round(place, DIGITS) for place in self.space.place(configuration))

    def shown_trials(self) -> list[TrialId]:
        """Return the trials that the process uses: all trials, or only the newest and the best trials. O(n log n)."""
        if len(self.losses) <= MOST_BEST + MOST_NEWEST:
            return sorted(self.losses)
        rungs = (self._standings[resource] for resource in sorted(self._standings, reverse=True))
        in_order = (ranked((key, trial) for trial, key in rung.items()) for rung in rungs)
        best = islice((trial for rung in in_order for _, trial in rung), MOST_BEST)
        return sorted({*best, *sorted(self.losses)[-MOST_NEWEST:]})


class _Kernels(NamedTuple):
    """The kernels of losses, paces and fits. A kernel is None if its values cannot be fitted before a proposal."""

    losses: "Kernel | None" = None
    paces: "Kernel | None" = None
    fits: "Kernel | None" = None


class _ShownResults(NamedTuple):
    """The results that the Gaussian processes use.

    Args:
        points: The points of the trials, shape (t, d).
        rows: The rows of the results, shape (n, d + 1).
        losses: The losses of the results, shape (n,), or the keys of several losses, shape (n, 1 + m).
        priced: The points of the trials whose pace is known, shape (p, d).
        paces: The paces of these trials, shape (p,).
        sized: The points of the newest trials that ran out of memory, and of other trials, shape (q, d); no point if no
            trial ran out of memory.
        fits: The values of rule 8 for these trials, shape (q,).
    """

    points: "Array"
    rows: "Array"
    losses: "Array"
    priced: "Array"
    paces: "Array"
    sized: "Array"
    fits: "Array"

    @classmethod
    def of(cls, known: GPProposer) -> "_ShownResults":
        """Return the results of the trials that the processes use now."""
        import numpy as np

        shown = known.shown_trials()
        priced = [trial for trial in shown if trial in known.paces]
        too_large = [trial for trial, value in known.fits.items() if value < 0][-MOST_NEWEST:]
        fitting = [trial for trial in shown if known.fits.get(trial, 1.0) >= 0] if too_large else []
        return cls(
            np.array([known.points[trial] for trial in shown]),
            *known.rows(shown),
            np.array([known.points[trial] for trial in priced]),
            np.array([known.paces[trial] for trial in priced]),
            np.array([known.points[trial] for trial in [*too_large, *fitting]]),
            np.array([known.fits.get(trial, 1.0) for trial in [*too_large, *fitting]]),
        )

    def kernels(self, is_category: list[bool], *, has_price: bool) -> _Kernels:
        """Fit the kernel of the losses and, if ``has_price`` is true, the kernel of the paces."""
        losses = _standardize(clip_outliers(self.losses)) if self.losses.ndim == 1 else None
        paces = self.standard_paces() if has_price else None
        return _Kernels(
            None if losses is None else _fit_kernel(self.rows, losses, [*is_category, False]),
            None if paces is None else _fit_kernel(self.priced, paces, is_category),
            self.fits_kernel(is_category) if len(self.fits) else None,
        )

    def fits_kernel(self, is_category: list[bool]) -> "Kernel":
        """Fit the kernel of what fits into memory."""
        return _fit_kernel(self.sized, self.fits, is_category)._replace(noise=FITS_NOISE)

    def standard_paces(self) -> "Array | None":
        """Return the standardized paces of the trials; None if the paces are too few or all equal."""
        return _standardize(self.paces) if len(self.paces) >= FEWEST_RESULTS else None


def _fit_kernel(rows: "Array", values: "Array", is_category: list[bool]) -> "Kernel":
    import numpy as np

    from ashtune._src.search.gaussian_process import Kernel

    return Kernel.fit(rows, values, np.array(is_category))


class _View:
    """Computes the expected improvement and the price of any point, based on the results so far.

    Args:
        model: Process of the standardized losses, over points and resource, with values drawn for trials in training.
        best: The smallest mean at the top rung, shape (1,), or one for each draw, shape (s,).
        price: Process of the standardized logarithm of the seconds for a unit of resource; None if the price is not
            known.
        price_scale: Weight of ``price`` in the score.
        fits: Process that is positive for configurations that fit into memory; None if all trials did.
        space: The search space, with its priors.
        belief: Weight of the priors' log density in the score.
        centres: Points of the trials with the lowest means, shape (2, d).
    """

    def __init__(
        self, model: "GaussianProcess", best: "Array", *, price: "GaussianProcess | None", price_scale: float,
        fits: "GaussianProcess | None", space: Space, belief: float, centres: "Array",
    ) -> None:  # fmt: skip
        self._model, self._best = model, best
        self._price, self._price_scale, self._fits = price, price_scale, fits
        self._space, self._belief = space, belief
        self.centres = centres

    @classmethod
    def of(cls, known: GPProposer, chance: "np.random.Generator", trial: int) -> "_View | None":
        """Return the view for a new trial; None if the losses are all equal, or no loss is finite."""
        import numpy as np

        from ashtune._src.search.gaussian_process import GaussianProcess

        seen, kernels = _ShownResults.of(known), known.kernels()
        losses = seen.losses
        if losses.ndim > 1:
            losses = scalarise(losses, weights_for(known.seed, trial, losses.shape[1] - 1), seen.rows[:, -1])
        values = _standardize(clip_outliers(losses))
        if values is None:
            return None
        is_category = [*known.is_category, False]
        kernel = kernels.losses or _fit_kernel(seen.rows, values, is_category)
        model = GaussianProcess(seen.rows, values, np.array(is_category), kernel)
        means = model.means(_at_the_top(seen.points))
        best = np.array([means.min()])
        training = [known.points[trial] for trial in sorted(known.running)[-MOST_NEWEST:]]
        if waiting := [*training, *known.proposed]:
            at = _at_the_top(np.array(waiting))
            drawn = model.draw(at, chance.standard_normal((len(at), DRAWS)))
            model, best = model.with_values(at, drawn), np.minimum(best, drawn.min(axis=0))
        price, exponent = None, known.options.price
        if exponent and (paces := seen.standard_paces()) is not None:
            kernel = kernels.paces or _fit_kernel(seen.priced, paces, known.is_category)
            price = GaussianProcess(seen.priced, paces, np.array(known.is_category), kernel)
        fits = None
        if len(seen.fits):
            kernel = kernels.fits or seen.fits_kernel(known.is_category)
            fits = GaussianProcess(seen.sized, seen.fits, np.array(known.is_category), kernel)
        return cls(
            model, best, price=price, price_scale=exponent * float(seen.paces.std()) if price else 0.0,
            fits=fits, space=known.space, belief=BELIEF / len(known.losses),
            centres=seen.points[np.argsort(means, kind="stable")[:TRIAL_CENTRES]],
        )  # fmt: skip

    def score(self, points: "Array") -> "Array":
        """Return each point's score, shape (n,).

        The score is the log expected improvement minus the price term, plus the term of the probability that the
        configuration fits into memory, plus the prior term.
        """
        import numpy as np
        from scipy.special import log_ndtr

        from ashtune._src.search.gaussian_process import log_expected_improvement

        mean, deviation = self._model.predict(_at_the_top(points))
        mean = mean.reshape(len(points), -1)
        logs = log_expected_improvement(mean, deviation[:, None], self._best)
        most = logs.max(axis=1)
        score: Array = most + np.log(np.exp(logs - most[:, None]).sum(axis=1))
        if self._price is not None:
            score = score - self._price_scale * self._price.means(points)
        if self._fits is not None:
            mean, deviation = self._fits.predict(points)
            score = score + FITS_POWER * log_ndtr(mean / deviation)
        return score + self._belief * self._space.log_belief(points)


def _search_points(space: Space, view: _View, chance: "np.random.Generator") -> "Array":
    """Search for points with a high score; return the points, the highest score first. A point may be repeated."""
    import numpy as np

    is_category = np.array([column.is_category for column in space.columns.values()])
    points = space.snap(space.random_points(chance.random((CANDIDATES, space.draws))))
    scores = view.score(points)
    for turn in range(ROUNDS):
        best = np.argsort(-scores, kind="stable")[:CENTRES]
        centres = np.concatenate([points[best], view.centres])
        new = take_steps(np.resize(centres, (STEPS, len(is_category))), STEP / 2**turn, is_category, chance)
        new = space.snap(np.clip(new, 0.0, 1.0))
        points, scores = np.concatenate([points, new]), np.concatenate([scores, view.score(new)])
    ordered: Array = points[np.argsort(-scores, kind="stable")].round(DIGITS)
    return ordered


def _at_the_top(points: "Array") -> "Array":
    import numpy as np

    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _standardize(values: "Array") -> "Array | None":
    """Return the values scaled to mean 0 and variance 1; None if all values are equal, or a value is not finite."""
    import numpy as np

    deviation = values.std() if np.isfinite(values).all() else 0.0
    return (values - values.mean()) / deviation if deviation > 1e-12 * abs(values).max() else None
