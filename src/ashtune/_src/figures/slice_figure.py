"""Draws slices: small panels that show the results over the values of a hyperparameter, in the
colours of the rungs.

Each trial is a point at the result of its highest rung, in the colour of this rung. A trial without
a finite result is a cross at the worse end of the axis.

Rule: a page can show a few thousand points. If a study has too many trials, the page shows the best
trials and a sample of the other trials. All panels show the same trials.
"""

from collections.abc import Mapping, Sequence

import msgspec

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.sampling import best_and_sampled, sampled
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import plural
from ashtune._src.figures.axes import (
    Origin,
    column_axis,
    far_note,
    metric_axis,
    no_origin,
    origins,
    points_by_rung,
    rung_names,
    sample_note,
    significant,
    with_gaps,
)
from ashtune._src.figures.figure import Figure, Series
from ashtune._src.figures.figure_columns import Configuration, Numbers, numbers, spread_places
from ashtune._src.figures.looks import GREY, rung_colors

# Six panels of 230 pixels fill two rows of three panels on a wide screen. The reader of the page
# can choose any other hyperparameter by name.
PANELS = 6
POINTS = 400
"""The largest number of trials in a panel. The largest number of crosses is a quarter of this
number.
"""


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """A panel for each hyperparameter, the most important first.

    ``colors`` has the colour of each rung, the lowest rung first. ``notes`` has sentences about the
    trials in all panels.
    """

    panels: Mapping[str, Figure]
    colors: Mapping[str, str]
    notes: Sequence[str]


def slices(
    results: Results,
    configuration: Configuration,
    space: Mapping[str, object],
    *,
    important: Sequence[str] = (),
    names: Sequence[str] = (),
    rungs: Sequence[int] = (),
    points: int = POINTS,
    unit: str,
    origin: Origin = no_origin,
) -> Slices:
    """Return panels of the most important hyperparameters. If the study has no finite result, there
    are no panels.

    Args:
        results: The observer of all results.
        configuration: Returns the configuration of a trial: ``Trials.configuration``.
        space: The record of the search space: ``settings.space``.
        important: The hyperparameters, the most important first; by default the order of the space
            is used.
        names: The hyperparameters to show. If it is empty, the most important hyperparameters are
            shown.
        rungs: The resources of all rungs. If it is empty, the rungs that trials have reached are
            used.
        points: The largest number of trials in a panel.
        unit: What the resource counts, in the singular.
        origin: Returns the origin of a trial's configuration: ``Trials.origin``.

    Raises:
        SpaceError: If the record of the space cannot be read.
    """
    ranked = results.standings()
    standing = {trial: (rung, loss) for rung, loss, trial in ranked}
    shown = best_and_sampled(list(standing), points)
    if not shown:
        return Slices(panels={}, colors={}, notes=["no trial has a finite result"])
    # Crosses show which hyperparameter causes failures, such as a learning rate that is too high.
    # But if most trials fail, crosses would cover the results. Therefore the number of crosses is
    # at most a quarter of the number of points.
    without = sorted(
        {TrialId(trial) for rung in results.rungs for trial in rung.by_trial()} - standing.keys()
    )
    lost = sampled(without, points // 4)
    order = {name: place for place, name in enumerate(important)}
    table = [column for column in numbers(space, configuration, [*shown, *lost]) if column.varies]
    columns = sorted(
        (column for column in table if not names or column.name in names),
        key=lambda column: order.get(column.name, len(order)),
    )
    if not columns:
        return Slices(panels={}, colors={}, notes=[])
    values = [results.goal.value(standing[trial][1]) for trial in shown]
    y = metric_axis(values, results.goal)
    reached = [standing[trial][0] for trial in shown]
    named = rung_names(rungs or [rung.resource for rung in results.rungs], unit)
    which = sample_note(len(shown), len(ranked), "trial")
    notes = [
        f"{which}; each trial is drawn with its result at the highest rung where that result is "
        "finite.",
        *far_note(y, "result"),
    ]
    if without:
        of = f"{len(lost):,} of " if len(lost) < len(without) else ""
        notes.append(f"Crosses mark {of}{plural(len(without), 'trial')} without a finite result.")
    heights = [significant(y.within(value)) for value in values]
    words = origins(shown, origin)
    worse = significant(y.high if results.goal.mode == "min" else y.low)

    def panel(column: Numbers) -> Figure:
        places = with_gaps(spread_places(column, [*shown, *lost]))
        series = points_by_rung(
            places[: len(shown)], heights, reached, shown, names=named, words=words
        )
        crosses = [place for place in range(len(shown), len(places)) if places[place] is not None]
        if crosses:
            series.append(_crosses(places, crosses, worse, lost, len(shown)))
        return Figure(x=column_axis(column), y=y, series=series, notes=notes, height=230)

    colors = rung_colors(len(named))
    return Slices(
        panels={column.name: panel(column) for column in columns[: len(names) or PANELS]},
        colors={named[rung]: colors[rung] for rung in sorted(set(reached))},
        notes=notes,
    )


def slice_figure(found: Slices, name: str | None = None) -> Figure:
    """Return the first panel. If there is no panel, return a figure that says why. ``name`` is the
    requested hyperparameter.
    """
    if found.panels:
        return next(iter(found.panels.values()))
    if not found.colors and found.notes:
        return Figure(notes=found.notes)
    return Figure(
        notes=[
            f"{'all hyperparameters are' if name is None else f'{name} is'} the same in all trials"
        ]
    )


def _crosses(
    places: Sequence[float | None],
    chosen: Sequence[int],
    worse: float,
    lost: Sequence[TrialId],
    first: int,
) -> Series:
    """Return a series of crosses for the trials without a finite result, at the worse end of the
    axis.
    """
    return Series(
        kind="points", x=[places[at] for at in chosen], y=[worse] * len(chosen), color=GREY,
        symbol="cross",
        name="without a finite result", trials=[lost[at - first] for at in chosen],
    )  # fmt: skip
