"""Figures of the best results: the best result so far, over time and over trained resource, and the
Pareto front.
"""

import math
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ashtune._src.analysis.counts import BestResult
from ashtune._src.analysis.results import Improvement, Results
from ashtune._src.analysis.sampling import thinned
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Goal, Objective
from ashtune._src.core.numbers import digits_of, number_text, plural, shortened
from ashtune._src.figures.axes import (
    AIR,
    NAME,
    Origin,
    best_of,
    log_axis,
    metric_axis,
    no_origin,
    outside,
    points_by_rung,
    rung_names,
    significant,
    time_axis,
    view,
)
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.figures.looks import BLUE, CATEGORIES, GREY, ORANGE, RED

# A line of 300 steps looks like the line of all steps: a figure is a few hundred pixels wide.
STEPS_SHOWN = 300
# Random search improves fast and then rarely: the n-th trial is a new best trial with probability
# 1/n. On a linear axis, most steps of a long study would form one vertical line at the beginning.
EARLY = 0.1
"""An axis is logarithmic if half of the steps lie within this share of the axis, counted from its
beginning.
"""
_Place = Callable[[Improvement], float]


def best_over_time_figure(
    results: Results,
    rungs: Sequence[int],
    *,
    unit: str,
    origin: Origin = no_origin,
    ran: float = 0.0,
) -> Figure:
    """Return a figure of the best result so far over the study's running time.

    Args:
        results: All results.
        rungs: The resources of all rungs.
        unit: What the resource counts, in the singular.
        origin: Returns the origin of a trial's configuration: ``Trials.origin``.
        ran: The study's running time in seconds. Give this time if it is later than the last event.
    """
    return _figure(results, rungs, _seconds, max(ran, results.seconds), unit=unit, origin=origin)


def best_over_resource_figure(
    results: Results, rungs: Sequence[int], *, unit: str, origin: Origin = no_origin
) -> Figure:
    """Return a figure of the best result so far over the total resource trained by all trials."""
    return _figure(results, rungs, _epochs, results.epochs, unit=unit, origin=origin)


def compared_figures(
    studies: Sequence[tuple[Goal, Sequence[Improvement]]], *, unit: str
) -> list[Figure]:
    """Return figures of the best results so far of several studies: one over time, and one over
    trained resource.

    Args:
        studies: The goal and the steps of each study; a study that was not read has no metric.
            If their metrics differ, the axis and the lines have the name of each.
        unit: What the resource counts, in the singular.
    """
    figures = []
    goals = list(dict.fromkeys(own for own, _ in studies if own.metric)) or [studies[0][0]]
    for place in (_seconds, _epochs):
        series = [
            _line(own, steps, place, 0.0, color=color, name=str(own) if len(goals) > 1 else "")
            for (own, steps), color in zip(studies, CATEGORIES, strict=False)
        ]
        x = _axis(place, 0.0, max([1.0, *(at for each in series for at in each.x if at)]), unit)
        values = [value for each in series for value in each.y if value is not None]
        if len(goals) == 1:
            y = metric_axis(values, goals[0])
        else:  # of several directions, no value is the best: none is left out
            low = min(values, default=0.0)
            high = max(values, default=0.0)
            air = AIR * (high - low) or 1.0
            y = Axis(name=", ".join(map(str, goals)), low=low - air, high=high + air)
        figures.append(Figure(x=x, y=y, series=series))
    return figures


def _seconds(step: Improvement) -> float:
    return step.seconds


def _epochs(step: Improvement) -> float:
    return step.epochs


def _axis(place: _Place, low: float, high: float, unit: str, *, is_log: bool = False) -> Axis:
    if place is _seconds:
        return time_axis(low, high, is_log=is_log)
    name = f"{unit}s trained, all trials together"
    axis = Axis(name=name, low=low, high=high)
    if is_log:
        axis = log_axis(name, low, high)
    return replace(axis, written="count")


def _figure(
    results: Results, rungs: Sequence[int], place: _Place, end: float, *, unit: str, origin: Origin
) -> Figure:
    steps = results.steps
    highest = results.steps_at_the_highest
    if not steps:
        return Figure(notes=["no trial has a finite result"])
    goal = results.goal
    first = place(steps[0])
    # Two lines, because a result at a low rung may look better than all results at the top rung. It
    # was trained less, so it may be noise. The line of the highest rung shows the result that the
    # user would get. This line is drawn first, so that it does not cover the line of all rungs,
    # which is never worse.
    lines = [(highest, f"at {unit} {highest[-1].resource:,}", ORANGE), (steps, "at any rung", BLUE)]
    if all(step.rung == highest[-1].rung for step in steps):
        del lines[0]  # both lines are the same
    is_log = first > 0 and place(steps[len(steps) // 2]) < EARLY * end
    sample, finite = results.sample()
    values = [goal.value(result.loss) for result in sample]
    series = points_by_rung(
        [significant(place(result)) for result in sample],
        [significant(value) for value in values],
        [result.rung for result in sample],
        [result.trial for result in sample],
        names=rung_names(rungs, unit),
    )
    digits = digits_of(values)
    for line, name, color in lines:
        last = (
            f"{best_of(goal)} {name}: {number_text(goal.value(line[-1].loss), digits)} (trial "
            f"{line[-1].trial})"
        )
        drawn = _line(goal, line, place, end, color=color, name=last, unit=unit, origin=origin)
        mark = Series(
            kind="points", x=drawn.x[-2:-1], y=drawn.y[-1:], color=color, size=9, is_silent=True
        )
        series += [drawn, mark]
    # The axis has the range of the lines, not of all points, since the figure must show how the
    # best result improves. Worse results are outside of the axis, and a note has their number.
    y = metric_axis([goal.value(step.loss) for line, _, _ in lines for step in line], goal)
    worse = sum(value != y.within(value) for value in values) - y.beyond
    notes = [
        f"{len(sample):,} of {plural(finite, 'result')} drawn" if len(sample) < finite else "",
        outside(y, "early step"),
        f"{plural(worse, 'worse result')} outside of the view" if worse > 0 else "",
        *(
            f"{STEPS_SHOWN:,} of {len(line):,} steps {name}"
            for line, name, _ in lines
            if len(line) > STEPS_SHOWN
        ),
    ]
    low = 0.0
    if is_log:
        low = first
    x = _axis(place, low, max(end, first * 1.01), unit, is_log=is_log)
    return Figure(x=x, y=y, series=series, notes=list(filter(None, notes)))


def _line(
    goal: Goal, steps: Sequence[Improvement], place: _Place, end: float, *, color: str,
    name: str = "",
    unit: str = "", origin: Origin = no_origin,
) -> Series:  # fmt: skip
    # The last point repeats the last best result at the right end of the axis, since this result is
    # still the best. If the line ended at its last improvement, the study would seem to have ended
    # there.
    shown = [steps[number] for number in thinned(len(steps), STEPS_SHOWN)]
    ends = [*shown, *shown[-1:]]
    places = [place(step) for step in ends]
    return Series(
        kind="step",
        color=color,
        name=name,
        width=2.5,
        x=[significant(at) for at in (*places[:-1], *(max(end, at) for at in places[-1:]))],
        y=[significant(goal.value(step.loss)) for step in ends],
        trials=[step.trial for step in ends],
        words=[f"at {unit} {step.resource:,}\n{origin(step.trial)}" for step in ends]
        if unit
        else (),
    )


MOST_OTHERS = 2_000
"""The largest number of dominated results to draw. If there are more, the results of the first
trials are drawn.
"""


def sorted_front(front: Sequence[BestResult]) -> list[BestResult]:
    """Sort the results of a front by the first objective, with the best result first."""
    return sorted(front, key=lambda best: (best.losses, best.trial))


def front_figure(
    front: Sequence[BestResult], results: Results, *, unit: str, others: int = MOST_OTHERS
) -> Figure:
    """Return a figure over the first two objectives: the front, and the other results at the
    front's rung.

    Args:
        others: The largest number of dominated results to draw.
        front: The results of the front, the preferred result first.
        results: All results.
        unit: What the resource counts, in the singular.

    Raises:
        SettingsError: If the study has only one objective.
    """
    goal = results.goal
    if not goal.others:
        raise SettingsError(
            f"{goal.metric} is the only metric: a front needs several; see plot_best"
        )
    if not front:
        return Figure(notes=["no trial has a finite result"])
    # A figure has two axes, so the texts of the front's points have the values of the other
    # objectives. The front is computed from all objectives, so a point of the front may seem to be
    # dominated in this figure.
    objectives = goal.objectives[:2]
    on_it = {best.trial for best in front}
    rung = results.rungs[front[0].rung]
    keys = [
        (trial, rung.keys[trial])
        for trial in rung.by_trial()
        if trial in rung.keys and trial not in on_it
    ]
    series = []
    for name, color, is_feasible in (("dominated", GREY, True), ("infeasible", RED, False)):
        # The first trials are drawn and not a random sample, so that no point disappears while the
        # study runs.
        shown = [
            (trial, key)
            for trial, key in keys
            if (not key[0]) == is_feasible and max(key) < math.inf
        ][:others]
        if shown:
            x, y = (
                [each.value(key[n]) for _, key in shown]
                for n, each in enumerate(objectives, start=1)
            )
            series.append(
                Series(
                    kind="points", x=x, y=y, trials=[trial for trial, _ in shown], name=name,
                    alpha=0.6, color=color, symbol="circle" if is_feasible else "cross",
                )
            )  # fmt: skip
    row = sorted_front(front)
    marks = _points("front", row, goal)
    if len(goal.others) == 1:  # with more than two objectives a line would mean nothing
        series.append(Series(kind="line", x=marks.x, y=marks.y, color=BLUE, is_silent=True))
    series += [
        marks,
        replace(
            _points(goal.chosen, front[:1], goal),
            color=ORANGE,
            size=14,
            symbol="star",
            is_rimmed=True,
        ),
    ]
    return Figure(
        x=_front_axis(objectives[0], [each.x for each in series]),
        y=_front_axis(objectives[1], [each.y for each in series]),
        series=series,
        notes=[f"at {unit} {front[0].resource:,}"],
    )


def _front_axis(objective: Objective, values: Sequence[Sequence[float | None]]) -> Axis:
    low, high, beyond = view(
        [value for each in values for value in each if value is not None], objective.mode
    )
    return Axis(name=shortened(objective.metric, NAME), low=low, high=high, beyond=beyond)


def _points(name: str, shown: Sequence[BestResult], goal: Goal) -> Series:
    x, y = ([best.metrics.get(each.metric) for best in shown] for each in goal.objectives[:2])
    words = []
    if len(goal.others) > 1:
        words = [
            shortened(
                ", ".join(
                    f"{name} = {number_text(best.metrics.get(name))}" for name in goal.metrics
                ),
                100,
            )
            for best in shown
        ]
    trials = [best.trial for best in shown]
    return Series(
        kind="points", x=x, y=y, name=name, color=BLUE, size=9, trials=trials, words=words
    )
