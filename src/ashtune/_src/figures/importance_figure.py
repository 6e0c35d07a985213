"""Measures the importance of hyperparameters: how much a hyperparameter affects a random forest's
prediction.

A forest learns from the trials to predict the result of a configuration. The forest predicts the
results of random configurations of the space. The values of one hyperparameter are permuted among
these configurations, and the forest predicts again. The effect of this hyperparameter is the mean
squared change of the predictions, with its interactions with other hyperparameters. The importance
is this effect's share of the sum of all effects. Source of the forest: Geurts, Ernst and Wehenkel,
*Extremely randomized trees*, Machine Learning 63, 2006. Source of the total effect: Homma and
Saltelli, *Importance measures in global sensitivity analysis of nonlinear models*, Reliability
Engineering and System Safety 52, 1996. Source of the estimate: Jansen, *Analysis of variance
designs for model output*, Computer Physics Communications 117, 1999.

Rule 1: the forest learns from all trials, including trials at low rungs. The trials at high rungs
were selected, so they have similar values of the most important hyperparameters.
Rule 2: each trial has one value. At first this value is the trial's result at the lowest rung.
Then, at each higher rung, the trials of this rung exchange their values, so that the best trial of
the rung has the best value. See ``docs/decisions/0046-importance.md``.
Rule 3: failed trials are left out. ``Trials.in_common`` says what makes trials fail. A value far
worse than most values is replaced by a value that is a little worse than most values.
Rule 4: trials count equally for equal parts of the space. See
``docs/decisions/0090-importance-without-failures.md``.
Rule 5: if the forest explains less than half of the differences between unseen trials, no
importance is shown.
Rule 6: the importance among the best trials uses only the best third of the trials.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.sampling import sampled
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import plural, shortened
from ashtune._src.figures.axes import choice_axis, significant, view
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.figures.figure_columns import Configuration, Numbers, numbers
from ashtune._src.figures.looks import BLUE, GREY
from ashtune._src.space.space import Space

# What the importance can and cannot say
# --------------------------------------
# Decision 46 (docs/decisions/0046-importance.md) has the measurements.
#
#   it answers         how much do the forest's predictions vary over the space because of this
#                      hyperparameter, alone or together with others?
#   it cannot answer   which value is good (the slices and the contour show that), or whether a
#                      hyperparameter causes what the forest attributes to it
#   shares             sum to 1, and include interactions. If a hyperparameter matters only together
#                      with another one, both get the whole interaction before the sum is taken.
#   the range          is that of the space. If the user's range is narrow, a hyperparameter that
#                      everybody knows to matter has a small share, and rightly so.
#   two that vary      together, as in a search that learns: the forest may use either, and the
#   together           importance is shared between them by chance. The standard deviation over the
#                      forests shows this only in part, since they learned mostly the same trials.
#
# Importance is measured at random points of the space and not at the trials. A search that learns
# tries few different values of an important hyperparameter, and a permutation of almost equal
# values changes nothing. The importance among the best trials is the exception (rule 6): it tells a
# reader who stays near the best trials what still matters, so it is measured at these trials.
#
# scikit-learn is optional. Without it, figures show the hyperparameters in the order of the user's
# space.

# With fewer trials, a forest would be tested on fewer than ten unseen ones.
FEWEST = 50
"""The smallest number of trials without failure that are measured."""
BEST_SHARE = 3
"""The best trials are the first ``1 / BEST_SHARE`` of all trials."""
# The computation time grows with the number of trials. The importance is computed once for all
# views (``StudyReader.computed``).
MOST = 2000
LEAST_EXPLAINED = 0.5
"""If R2 is below this number, no importance is shown."""
# Each fold of the cross-validation has its own forest. The five forests give R2 for unseen trials,
# and also the standard deviation of each importance at no further cost.
FOLDS = 5
TREES = 40
# For each hyperparameter, each forest must predict all these points once.
DRAWN = 400
"""The number of random configurations of the space."""
# With 1, 10 or 20 the measured correlations are .02 to .04 lower, which is within the errors.
NEIGHBOURS = 5
"""The number of nearby trials to whose sample weights each random configuration adds."""
BARS = 20
NAMED = 3
"""The largest number of hyperparameters that the sentence about the best trials names."""


class Weight(msgspec.Struct, frozen=True):
    """The importance of a hyperparameter: a share of all effects, and its standard deviation over
    several forests.
    """

    name: str
    share: float
    deviation: float


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """The importances of all hyperparameters, the greatest first. If importance cannot be measured,
    or the forest explains less than half, the list is empty.

    The importances were measured with ``trials`` of the study's ``total`` trials without failure.
    ``r2`` is the forests' coefficient of determination for unseen trials, None if it was not
    measured. ``best`` has the importances among the best trials, or is None.
    """

    trials: int = 0
    total: int = 0
    r2: float | None = None
    weights: Sequence[Weight] = ()
    best: "Importance | None" = None

    def words(self) -> str:
        """Return a sentence about the measured trials and the quality of
        the forest's predictions.
        """
        trials = plural(self.total, "trial")
        if self.r2 is None:
            return (
                f"{trials} without failure are too few (below {FEWEST}) or too similar to show "
                "which hyperparameters matter"
            )
        sample = f"{self.trials:,} of " if self.trials < self.total else ""
        return f"{sample}{trials} without failure; {self._explained(self.r2)}"

    def words_of_best(self) -> str:
        """Return a sentence about the importances among the best trials, or "" if the study has too
        few trials.
        """
        if self.best is None or self.best.r2 is None:
            return ""
        named = ", ".join(
            f"{shortened(each.name, 30)} {each.share:.2f}" for each in self.best.weights[:NAMED]
        )
        which = f"among the best {self.best.total:,} trials, {self._explained(self.best.r2)}"
        return f"{which}: {named}" if named else which

    @staticmethod
    def _explained(r2: float) -> str:
        if r2 < LEAST_EXPLAINED:
            return f"a random forest explains less than half of the differences (R2 = {r2:.2f})"
        return f"a random forest explains {r2:.0%} of the differences between unseen trials"


def importance(
    results: Results, configuration: Configuration, space: Mapping[str, object], *, most: int = MOST
) -> Importance:
    """Measure the importance of hyperparameters.

    Args:
        results: The observer of all results.
        configuration: Returns the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        most: The largest number of measured trials. If the study has more trials, a sample is
            measured. 2,000 trials of 10 hyperparameters take seconds.

    Raises:
        SettingsError: If scikit-learn is not installed.
        SpaceError: If the record of the space cannot be read.
    """
    values = _values(results)

    def of(all_trials: Sequence[TrialId], points: Sequence[Numbers] | None = None) -> Importance:
        trials = sampled(all_trials, most)
        base = Importance(trials=len(trials), total=len(all_trials))
        columns = numbers(space, configuration, trials)
        seen = [values[trial] for trial in trials]
        if (
            len(trials) < FEWEST
            or all(column.is_constant for column in columns)
            or len(set(seen)) == 1
        ):
            return base
        r2, weights = _measured(columns, seen, points or columns)
        return replace(base, r2=r2, weights=weights)

    # The order of the trials decides which trials a fold holds out. The trials are sorted by
    # number, so their order does not depend on the arrival of results, and a live page and a report
    # show the same importances.
    trials = sorted(values)
    everything = of(trials, _points(space))
    best = sorted(trials, key=values.__getitem__)[: len(trials) // BEST_SHARE]
    if len(best) < FEWEST or not everything.weights:
        return everything
    return replace(everything, best=of(sorted(best)))


def _values(results: Results) -> dict[TrialId, float]:
    """Return a value for each trial that did not fail (rules 2 and 3). Lower values are better."""
    by_rung = [rung.by_trial() for rung in results.rungs]
    failed = {trial for losses in by_rung for trial, loss in losses.items() if loss == math.inf}
    values: dict[TrialId, float] = {}
    # Losses of different rungs cannot be compared: longer training makes most losses smaller, so a
    # forest would learn how long trials were trained. Ranks within a rung can be compared.
    # Therefore the trials of a rung exchange the values that they have from the rung below. All
    # values keep the scale of the lowest rung, and trials with the same highest rung have the order
    # of this rung.
    for losses in by_rung:
        ordered = sorted(losses.keys() - failed, key=lambda trial: (losses[trial], trial))
        known = sorted(values[trial] for trial in ordered if trial in values) or [
            losses[trial] for trial in ordered
        ]
        for place, trial in enumerate(ordered):
            values[trial] = known[place * len(known) // len(ordered)]
    high = view([*values.values()], "min")[1]
    return {trial: min(value, high) for trial, value in values.items()}


def _points(space: Mapping[str, object]) -> Sequence[Numbers]:
    import numpy as np

    # The seed is fixed: two reports of one study must not differ.
    parsed = Space.from_record(space)
    configurations = parsed.at(np.random.default_rng(0).random((DRAWN, len(parsed.names))))
    return numbers(space, configurations.__getitem__, map(TrialId, range(DRAWN)))


def importance_of(study: StudyReader) -> Importance:
    """Measure the importance of a study's hyperparameters: see :func:`importance`.

    Call ``study.computed(importance_of)`` instead, since several views need the importance and a
    forest takes long.
    """
    return importance(*study.configured)


def important(study: StudyReader) -> list[str]:
    """Return a study's hyperparameters, the most important first. If scikit-learn is missing, the
    list is empty.
    """
    try:
        return [weight.name for weight in study.computed(importance_of).weights]
    except SettingsError:  # scikit-learn is not installed
        return []


def importance_figure(measured: Importance) -> Figure:
    """Return a figure with bars of the importances and their standard deviations."""
    if not measured.weights:
        return Figure(notes=[measured.words()])
    shown = measured.weights[:BARS]
    shares = [significant(weight.share) for weight in shown]
    places = list(range(len(shown)))
    low, high = (
        [max(0.0, weight.share + sign * weight.deviation) for weight in shown] for sign in (-1, 1)
    )
    notes = [measured.words(), measured.words_of_best()]
    if len(shown) < len(measured.weights):
        notes.append(f"the {len(shown)} most important of {len(measured.weights)} hyperparameters")
    return Figure(
        x=Axis(name="share of all effects, with interactions", high=1.08 * max(high)),
        y=choice_axis("", [shortened(weight.name, 30) for weight in shown], is_downward=True),
        series=[
            Series(kind="bars", x=[0] * len(shown), end=shares, y=places, color=BLUE),
            Series(kind="ranges", x=low, end=high, y=places, color=GREY, is_silent=True),
        ],
        notes=list(filter(None, notes)),
        height=60 + 28 * len(shown),
    )


def _measured(
    columns: Sequence[Numbers], values: Sequence[float], points: Sequence[Numbers]
) -> tuple[float, Sequence[Weight]]:
    """Return R2 on held-out trials, and the weights of varying hyperparameters, the largest weight
    first. If R2 is too low, there are no weights.

    Choices are coded as numbers, since a tree can separate numbers with a few cuts. An inactive
    hyperparameter is a missing value. Missing values are not permuted.
    """
    import numpy as np

    forest, split = _sklearn()
    varying = [place for place, column in enumerate(columns) if not column.is_constant]
    # The trees draw their cuts evenly over the range of values.
    x, known = (
        np.array(
            [
                np.log(each[place].values) if each[place].is_log else each[place].values
                for place in varying
            ]
        ).T
        for each in (columns, points)
    )
    y = np.array(values)
    chance = np.random.default_rng(0)
    unseen = np.zeros(len(y))
    effects = np.zeros((len(varying), FOLDS))
    sample_weights = _sample_weights(x, known)
    for fold, (learned, held_out) in enumerate(
        split(n_splits=FOLDS, shuffle=True, random_state=0).split(x)
    ):
        model = forest(n_estimators=TREES, min_samples_leaf=2, random_state=fold, n_jobs=1).fit(
            x[learned], y[learned], sample_weight=sample_weights[learned]
        )
        unseen[held_out] = model.predict(x[held_out])
        predicted = model.predict(known)
        for place in range(len(varying)):
            # Values are permuted only among the configurations in which the hyperparameter is
            # active. Otherwise the permutation would also change whether the hyperparameter is
            # active, and would measure the importance of its condition.
            exchanged = known.copy()
            is_active = ~np.isnan(known[:, place])
            exchanged[is_active, place] = chance.permutation(known[is_active, place])
            # Jansen's estimate: the variance due to this hyperparameter is half of the mean squared
            # difference. The half has no effect on shares.
            effects[place, fold] = ((model.predict(exchanged) - predicted) ** 2).mean()
    r2 = float(1 - ((unseen - y) ** 2).mean() / y.var())
    if r2 < LEAST_EXPLAINED:
        return r2, ()
    shares = effects / effects.sum(axis=0)
    weights = [
        Weight(columns[place].name, float(each.mean()), float(each.std()))
        for place, each in zip(varying, shares, strict=True)
    ]
    return r2, sorted(weights, key=lambda weight: -weight.share)


def _sample_weights(x: Any, points: Any) -> Any:
    """Return a weight for each trial: 1 plus the number of points that have the trial among their
    nearest trials (rule 4).

    Args:
        x: The values of the hyperparameters, an array of shape (trials, hyperparameters).
        points: The same for random configurations, shape (points, hyperparameters).
    """
    import numpy as np

    # A search that learns crowds trials around good values. A value that the search happens to
    # prefer would then seem to be good itself. The distance is in ranks among the points. A missing
    # value has the last rank.
    distances: Any = 0
    for drawn, tried in zip(points.T, x.T, strict=True):
        ordered = np.sort(drawn)
        ranks = np.searchsorted(ordered, drawn)[:, None]
        distances += abs(ranks - np.searchsorted(ordered, tried))
    nearest = np.argsort(distances)[:, :NEIGHBOURS]
    return 1 + np.bincount(nearest.ravel(), minlength=len(x))


def _sklearn() -> tuple[Any, Any]:
    try:
        from sklearn.ensemble import ExtraTreesRegressor
        from sklearn.model_selection import KFold
    except ImportError:
        raise SettingsError(
            "hyperparameter importance needs scikit-learn, which is not installed: pip install "
            "'ashtune[report]'"
        ) from None
    return ExtraTreesRegressor, KFold
