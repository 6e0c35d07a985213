"""Measures the importance of hyperparameters: how much a hyperparameter affects a random forest's
prediction.

A forest learns from the trials to predict the result of a configuration. The forest predicts the
results of random configurations of the space. The values of one hyperparameter are permuted among
these configurations, and the forest predicts again. The importance of this hyperparameter is the
share of the predictions' variance that the permutation causes. This share includes interactions
with other hyperparameters. Source of the forest: Breiman, *Random Forests*, Machine Learning 45,
2001. Source of the total effect: Homma and Saltelli, *Importance measures in global sensitivity
analysis of nonlinear models*, Reliability Engineering and System Safety 52, 1996. Source of the
estimate: Jansen, *Analysis of variance designs for model output*, Computer Physics Communications
117, 1999.

Rule 1: the forest learns from all trials, including trials at low rungs. The trials at high rungs
were selected, so they have similar values of the most important hyperparameters.
Rule 2: each trial has one value. At first this value is the trial's result at the lowest rung.
Then, at each higher rung, the trials of this rung exchange their values, so that the best trial of
the rung has the best value. See ``docs/decisions/0046-importance.md``.
Rule 3: the value of a failed trial, or a value far worse than most values, is replaced by a value
that is a little worse than most values.
Rule 4: if the forest cannot predict unseen trials, every view says that the importances mean
nothing.
Rule 5: the importance among the best trials uses only the best third of the trials.
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
#   shares             include interactions, so they may sum to more than 1. If a hyperparameter
#                      matters only together with another one, both get the whole interaction.
#   the range          is that of the space. If the user's range is narrow, a hyperparameter that
#                      everybody knows to matter has a small share, and rightly so.
#   two that vary      together, as in a search that learns: the forest may use either, and the
#   together           importance is shared between them by chance. The standard deviation over the
#                      forests shows this only in part, since they learned mostly the same trials.
#
# Importance is measured at random points of the space and not at the trials. A search that learns
# tries few different values of an important hyperparameter, and a permutation of almost equal
# values changes nothing. The importance among the best trials is the exception (rule 5): it tells a
# reader who stays near the best trials what still matters, so it is measured at these trials.
#
# scikit-learn is optional. Without it, figures show the hyperparameters in the order of the user's
# space.

# With fewer trials, a forest would be tested on fewer than four unseen ones.
FEWEST = 20
"""The smallest number of trials that are measured."""
BEST_SHARE = 3
"""The best trials are the first ``1 / BEST_SHARE`` of all trials."""
# The computation time grows with the number of trials. The importance is computed once for all
# views (``StudyReader.computed``).
MOST = 2000
MEANINGLESS = 0.1
"""If R2 is below this number, importances mean nothing."""
# Each fold of the cross-validation has its own forest. The five forests give R2 for unseen trials,
# and also the standard deviation of each importance at no further cost.
FOLDS = 5
TREES = 40
# For each hyperparameter, each forest must predict all these points once.
DRAWN = 400
"""The number of random configurations of the space."""
BARS = 20
NAMED = 3
"""The largest number of hyperparameters that the sentence about the best trials names."""


class Weight(msgspec.Struct, frozen=True):
    """The importance of a hyperparameter: a share of the variance, and its standard deviation over
    several forests.
    """

    name: str
    share: float
    deviation: float


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """The importances of all hyperparameters, the greatest first. If importance cannot be measured,
    the list is empty.

    The importances were measured with ``trials`` of the study's ``total`` trials. ``r2`` is the
    forests' coefficient of determination for unseen trials. ``best`` has the importances among the
    best trials, or is None.
    """

    trials: int = 0
    total: int = 0
    r2: float = 0.0
    weights: Sequence[Weight] = ()
    best: "Importance | None" = None

    @property
    def is_meaningful(self) -> bool:
        """Whether the forest's predictions of unseen trials are good enough for importances."""
        return bool(self.weights) and self.r2 >= MEANINGLESS

    def words(self) -> str:
        """Return a sentence about the measured trials and the quality of
        the forest's predictions.
        """
        if not self.weights:
            return (
                f"{plural(self.total, 'trial')} to compare: too few, or too similar, to tell "
                "what matters"
            )
        sample = f"{self.trials:,} of " if self.trials < self.total else ""
        base = f"{sample}{plural(self.total, 'trial')}"
        if self.is_meaningful:
            return (
                f"{base}; a forest predicts the result of a trial from its configuration with R2 = "
                f"{self.r2:.2f}"
            )
        return (
            f"{base}; a forest predicts almost nothing (R2 = {self.r2:.2f}): these importances "
            "mean nothing"
        )

    def words_of_best(self) -> str:
        """Return a sentence about the importances among the best trials, or "" if the study has too
        few trials.
        """
        if self.best is None or not self.best.weights:
            return ""
        which = f"among the best {self.best.total:,} trials"
        if not self.best.is_meaningful:
            return f"{which}, a forest predicts almost nothing (R2 = {self.best.r2:.2f})"
        named = ", ".join(
            f"{shortened(each.name, 30)} {each.share:.2f}" for each in self.best.weights[:NAMED]
        )
        return f"{which}, R2 = {self.best.r2:.2f}: {named}"


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
    if len(best) < FEWEST or not everything.is_meaningful:
        return everything
    return replace(everything, best=of(sorted(best)))


def _values(results: Results) -> dict[TrialId, float]:
    """Return a value for each trial (rules 2 and 3). Lower values are better."""
    values: dict[TrialId, float] = {}
    failed: set[TrialId] = set()
    # Losses of different rungs cannot be compared: longer training makes most losses smaller, so a
    # forest would learn how long trials were trained. Ranks within a rung can be compared.
    # Therefore the trials of a rung exchange the values that they have from the rung below. All
    # values keep the scale of the lowest rung, and trials with the same highest rung have the order
    # of this rung.
    for rung in results.rungs:
        losses = rung.by_trial()
        failed |= {trial for trial, loss in losses.items() if loss == math.inf}
        ordered = sorted(losses.keys() - failed, key=lambda trial: (losses[trial], trial))
        known = sorted(values[trial] for trial in ordered if trial in values) or [
            losses[trial] for trial in ordered
        ]
        for place, trial in enumerate(ordered):
            values[trial] = known[place * len(known) // len(ordered)]
    # If all results are equal, what remains to explain is which trials failed.
    finite = {trial: value for trial, value in values.items() if trial not in failed}
    if len(set(finite.values())) < 2:
        return dict.fromkeys(finite, 0.0) | dict.fromkeys(failed, 1.0)
    _, high, _ = view(list(finite.values()), "min")
    return {trial: min(value, high) for trial, value in finite.items()} | dict.fromkeys(
        failed, high
    )


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
    """Return a figure with bars of the importances and their standard deviations. Meaningless bars
    are grey.
    """
    if not measured.weights:
        return Figure(notes=[measured.words()])
    shown = measured.weights[:BARS]
    shares = [significant(weight.share) for weight in shown]
    places = list(range(len(shown)))
    low, high = (
        [max(0.0, weight.share + sign * weight.deviation) for weight in shown] for sign in (-1, 1)
    )
    more = f"the {len(shown)} most important of {len(measured.weights)} hyperparameters"
    notes = [measured.words(), measured.words_of_best()]
    if len(shown) < len(measured.weights):
        notes.append(more)
    return Figure(
        x=Axis(name="share of the variance", high=1.08 * max(high)),
        y=choice_axis("", [shortened(weight.name, 30) for weight in shown], is_downward=True),
        series=[
            Series(
                kind="bars",
                x=[0] * len(shown),
                end=shares,
                y=places,
                color=BLUE if measured.is_meaningful else GREY,
            ),
            Series(kind="ranges", x=low, end=high, y=places, color=GREY, is_silent=True),
        ],
        notes=list(filter(None, notes)),
        height=60 + 28 * len(shown),
    )


def _measured(
    columns: Sequence[Numbers], values: Sequence[float], points: Sequence[Numbers]
) -> tuple[float, Sequence[Weight]]:
    """Return R2 on held-out trials, and the weights of varying hyperparameters, the largest weight
    first.

    Choices are coded as numbers, since a tree can separate numbers with a few cuts. An inactive
    hyperparameter is a missing value. Missing values are not permuted.
    """
    import numpy as np

    forest, split = _sklearn()
    varying = [place for place, column in enumerate(columns) if not column.is_constant]
    x = np.array([columns[place].values for place in varying]).T
    known = np.array([points[place].values for place in varying]).T
    y = np.array(values)
    chance = np.random.default_rng(0)
    errors = 0.0
    shares = np.zeros((len(varying), FOLDS))
    for fold, (learned, held_out) in enumerate(
        split(n_splits=FOLDS, shuffle=True, random_state=0).split(x)
    ):
        model = forest(n_estimators=TREES, min_samples_leaf=2, random_state=fold, n_jobs=1).fit(
            x[learned], y[learned]
        )
        errors += float(((model.predict(x[held_out]) - y[held_out]) ** 2).sum())
        predicted = model.predict(known)
        for place in range(len(varying)):
            # Values are permuted only among the configurations in which the hyperparameter is
            # active. Otherwise the permutation would also change whether the hyperparameter is
            # active, and would measure the importance of its condition.
            exchanged = known.copy()
            is_active = ~np.isnan(known[:, place])
            exchanged[is_active, place] = chance.permutation(known[is_active, place])
            # Jansen's estimate: the variance due to this hyperparameter is half of the mean squared
            # difference. The estimate is noisy, so it may exceed the whole variance.
            squares = (model.predict(exchanged) - predicted) ** 2
            shares[place, fold] = min(1.0, squares.mean() / (2 * predicted.var() or 1.0))
    names = [columns[place].name for place in varying]
    weights = [
        Weight(name, float(each.mean()), float(each.std()))
        for name, each in zip(names, shares, strict=True)
    ]
    return 1 - errors / float(y.var() * len(y)), sorted(weights, key=lambda weight: -weight.share)


def _sklearn() -> tuple[Any, Any]:
    try:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.model_selection import KFold
    except ImportError:
        raise SettingsError(
            "hyperparameter importance needs scikit-learn, which is not installed: pip install "
            "'ashtune[report]'"
        ) from None
    return RandomForestRegressor, KFold
