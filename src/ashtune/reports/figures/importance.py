"""Which hyperparameters mattered: scikit-learn's permutation importance on random forests.

A forest learns from four fifths of the trials to predict how well a configuration does; then, on the other
fifth, one hyperparameter after another is shuffled among the trials. What the prediction loses by that is
the hyperparameter's importance. Source: Breiman, *Random Forests*, Machine Learning 45, 2001, section 10.
It is measured on held-out trials because a forest finds noise important on those that it learned from.

Rule 1: like is compared with like: the results at one rung. It is the highest rung that can tell: with at least
4 trials for each hyperparameter and 20 in all, and of which a forest learns anything. Survivors are often too much
alike for that, so the next lower rungs are tried too, three rungs at most. Where no rung has so many trials, it is
the one with the most.
Rule 2: what is predicted is a trial's rank. A loss of 1e9 is no more than last, and so is a failure.
Rule 3: where the forest predicts nothing, importance means nothing, and every view says so.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.results import Results
from ashtune.analysis.sampling import sampled
from ashtune.core.errors import SettingsError
from ashtune.core.numbers import plural
from ashtune.reports.figures.axes import label, nothing, remark, significant
from ashtune.reports.figures.columns import Configuration, Numbers, numbers
from ashtune.reports.figures.plots import BLUE, GREY, blank, go

if TYPE_CHECKING:
    import numpy as np
    from plotly.graph_objects import Figure

TRIALS_EACH = 4
FEWEST = 20
"""Fewer trials say nothing at all."""
TRIES = 3
MOST = 2000
MEANINGLESS = 0.1
"""Below this R2 the forest predicts next to nothing."""
FOLDS, REPEATS, TREES = 5, 3, 40
BARS = 20


class Weight(msgspec.Struct, frozen=True):
    """A hyperparameter's importance: how much R2 is lost when it is shuffled, and the standard deviation of that."""

    name: str
    loss: float
    deviation: float


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """What mattered, the most important hyperparameter first; none where nothing can be said.

    It speaks of ``trials`` of the ``total`` that came to the rung or failed on the way there. ``r2`` is the
    share of the variance of their ranks that a forest predicts for trials it has not seen.
    """

    rung: int = 0
    resource: int = 0
    trials: int = 0
    total: int = 0
    r2: float = 0.0
    weights: Sequence[Weight] = ()

    @property
    def is_meaningful(self) -> bool:
        """Whether the forest predicts anything."""
        return bool(self.weights) and self.r2 >= MEANINGLESS

    def words(self, unit: str) -> str:
        """Say what the numbers speak of, and whether they mean anything."""
        if not self.weights:
            return f"{plural(self.total, 'trial')} to compare: too few, or too much alike, to tell what mattered"
        sample = f"{self.trials:,} of " if self.trials < self.total else ""
        base = f"{sample}{plural(self.total, 'trial')} at {unit} {self.resource:,}"
        if self.is_meaningful:
            return f"{base}; from its configuration a forest predicts a trial's rank with R2 = {self.r2:.2f}"
        return f"{base}; a forest predicts next to nothing (R2 = {self.r2:.2f}): these importances mean nothing"


def importance(
    results: Results, configuration: Configuration, space: Mapping[str, object], *, most: int = MOST
) -> Importance:
    """Measure what mattered.

    Args:
        results: The observer.
        configuration: Answers with the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        most: Of more trials a sample is taken. With 2,000 trials of 10 hyperparameters it takes seconds.

    Raises:
        SettingsError: If scikit-learn is not installed.
        SpaceError: If the record of the space cannot be read.
    """
    rungs = [rung.by_trial() for rung in results.rungs]
    fullest = max(range(len(rungs)), key=lambda number: len(rungs[number]), default=None)
    if fullest is None or not rungs[fullest]:
        return Importance()
    columns = _varying(numbers(space, configuration, sampled(list(rungs[fullest]), most)))
    enough = max(FEWEST, TRIALS_EACH * len(columns))
    high = [number for number in reversed(range(len(rungs))) if len(rungs[number]) >= enough] or [fullest]
    tried: list[Importance] = []
    for rung in high[:TRIES]:
        trials = sampled(sorted(rungs[rung]), most)
        base = Importance(rung=rung, resource=results.rungs[rung].resource, trials=len(trials), total=len(rungs[rung]))
        varying = _varying(numbers(space, configuration, trials))
        tried.append(_measured_at(base, varying, [rungs[rung][trial] for trial in trials]))
        if tried[-1].is_meaningful:
            return tried[-1]
    return next((each for each in tried if each.weights), tried[0])


def _measured_at(base: Importance, columns: Sequence[Numbers], losses: Sequence[float]) -> Importance:
    """Return what mattered at one rung, if anything can be said."""
    if len(losses) < FEWEST or not columns or len(set(losses)) == 1:
        return base
    r2, weights = _measured(columns, losses)
    return msgspec.structs.replace(base, r2=r2, weights=weights)


def importance_figure(measured: Importance, *, unit: str) -> "Figure":
    """Return the importances as bars, in grey where they mean nothing.

    Raises:
        SettingsError: If plotly is not installed.
    """
    if not measured.weights:
        return nothing(measured.words(unit))
    shown = measured.weights[:BARS]
    figure = blank(x="loss of R2 when shuffled", height=130 + 28 * len(shown))
    figure.add_trace(
        go().Bar(
            orientation="h",
            x=[significant(weight.loss) for weight in shown],
            y=list(range(len(shown))),
            error_x={
                "type": "data",
                "array": [significant(weight.deviation) for weight in shown],
                "color": GREY,
                "thickness": 2,
            },
            customdata=[label(weight.name, 80) for weight in shown],
            marker={"color": BLUE if measured.is_meaningful else GREY},
            hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
        )
    )
    names = [label(weight.name) for weight in shown]
    # Places, not names, are the axis: two long names may be the same once they are shortened.
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(shown))), ticktext=names, showgrid=False)
    more = f"the {len(shown)} most important of {len(measured.weights)} hyperparameters"
    remark(figure, measured.words(unit), more if len(shown) < len(measured.weights) else "")
    return figure


def _varying(columns: Sequence[Numbers]) -> Sequence[Numbers]:
    return [column for column in columns if not column.is_constant]


def _measured(columns: Sequence[Numbers], losses: Sequence[float]) -> tuple[float, Sequence[Weight]]:
    """Return R2 on held-out trials, and the weights in order.

    Choices stand for themselves as numbers: a tree takes any of them apart in a few cuts. An inactive
    hyperparameter is a missing value, which trees send to the better side of a cut.
    """
    import numpy as np

    forest, split, permutation_importance = _sklearn()
    x = np.array([column.values for column in columns]).T
    y = _ranks(np.array(losses))
    variance = float(y.var())
    errors, drops = 0.0, []
    for number, (learned, held_out) in enumerate(split(n_splits=FOLDS, shuffle=True, random_state=0).split(x)):
        model = forest(n_estimators=TREES, min_samples_leaf=2, random_state=number, n_jobs=1).fit(
            x[learned], y[learned]
        )
        errors += float(((model.predict(x[held_out]) - y[held_out]) ** 2).sum())
        shuffled = permutation_importance(
            model,
            x[held_out],
            y[held_out],
            scoring="neg_mean_squared_error",
            n_repeats=REPEATS,
            random_state=number,
            n_jobs=1,
        )
        drops.append(shuffled.importances / variance)
    every = np.concatenate(drops, axis=1)
    weights = [
        Weight(column.name, float(row.mean()), float(row.std())) for column, row in zip(columns, every, strict=True)
    ]
    return 1 - errors / (variance * len(y)), sorted(weights, key=lambda weight: -weight.loss)


def _ranks(losses: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the ranks from 0 to 1, the best first; equal losses share the mean of their ranks."""
    import numpy as np

    _, inverse, counts = np.unique(losses, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - (counts + 1) / 2) / max(1, len(losses) - 1))[inverse]


def _sklearn() -> tuple[Any, Any, Any]:
    try:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.inspection import permutation_importance
        from sklearn.model_selection import KFold
    except ImportError:
        raise SettingsError(
            "hyperparameter importance needs scikit-learn, which is not installed: pip install 'ashtune[report]'"
        ) from None
    return RandomForestRegressor, KFold, permutation_importance
