"""The best result so far, over seconds and over epochs trained: an observer, and step lines.

Rule: time that passed between two sessions is not counted; epochs are those of all trials together, of
failures none, since nobody knows how many those were.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.sampling import thinned
from ashtune.core.events import Event, JobFinished, JobPaused, SessionStarted, TrialWithdrawn
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.numbers import number_text, plural
from ashtune.core.observer import Observer
from ashtune.reports.figures.axes import (
    Origin,
    metric_axis,
    metric_view,
    no_origin,
    nothing,
    remark,
    significant,
    trial_label,
)
from ashtune.reports.looks import BLUE, ORANGE, blank, go

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

STEPS_SHOWN = 1000
BEST_KEPT = 100
"""A result with so many better ones before it at its rung is not remembered: all of these would have to be withdrawn
before it became a step."""
EARLY = 0.1
"""An axis is logarithmic where half of the steps lie in this first part of it."""


class Improvement(msgspec.Struct, frozen=True, gc=False):
    """A result better than all before, after ``seconds`` and ``epochs``; the trial was trained to ``resource``."""

    seconds: float
    epochs: int
    trial: TrialId
    rung: int
    resource: int
    loss: float


class BestSoFar(Observer):
    """The best result so far at any rung, and at each.

    Args:
        goal: The metric, and which way is better.
    """

    sees_confirmations = False

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._is_plain = goal.is_plain
        self.steps: list[Improvement] = []
        """Each better than all results before it, at whatever rung; equal ones do not count."""
        self.steps_at: list[list[Improvement]] = []
        """The same at each rung: better than all results before it at that rung."""
        self.epochs = 0
        """Epochs trained so far, by all trials."""
        self._now = self._away = 0.0
        self._results = 0
        # By rung: what may become a step when others are withdrawn, with its place among all results.
        self._candidates: list[list[tuple[int, Improvement]]] = []
        self._best: list[list[float]] = []  # by rung: the best losses so far, ascending

    @property
    def seconds(self) -> float:
        """Seconds that the study ran so far, all its sessions together."""
        return self._now - self._away

    @property
    def steps_at_the_highest(self) -> Sequence[Improvement]:
        """The steps at the highest rung that has a finite result by now."""
        return next((steps for steps in reversed(self.steps_at) if steps), ())

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        if type(event) is SessionStarted:
            self._away += max(0.0, event.time - self._now)
        self._now = max(self._now, event.time)
        if isinstance(event, JobFinished | JobPaused):
            self.epochs += event.resource - event.start
        if isinstance(event, JobFinished):
            self._compare(event)
        elif isinstance(event, TrialWithdrawn) and event.rung > 0:
            self._withdraw(event.trial)

    def tick(self, now: float) -> None:
        """A moment has passed."""
        self._now = max(self._now, now)

    def _make_room(self, rung: int) -> None:
        while len(self.steps_at) <= rung:
            for lists in (self.steps_at, self._candidates, self._best):
                lists.append([])

    def _compare(self, event: JobFinished) -> None:
        self._make_room(event.rung)
        self._results += 1
        loss, best = self.goal.loss(event.metrics), self._best[event.rung]
        if loss == math.inf or (len(best) == BEST_KEPT and loss >= best[-1]):
            return
        if not self._is_plain and self.goal.judged(event.metrics)[1]:
            return
        insort(best, loss)
        del best[BEST_KEPT:]
        step = Improvement(self.seconds, self.epochs, event.trial, event.rung, event.resource, loss)
        self._candidates[event.rung].append((self._results, step))
        for steps in (self.steps, self.steps_at[event.rung]):
            if not steps or loss < steps[-1].loss:
                steps.append(step)

    def _withdraw(self, trial: TrialId) -> None:
        """Leave out a trial, as if it had had no results."""
        if all(step.trial != trial for rung in self._candidates for _, step in rung):
            return
        self._candidates = [[(place, step) for place, step in rung if step.trial != trial] for rung in self._candidates]
        self.steps_at = [_steps(step for _, step in rung) for rung in self._candidates]
        self.steps = _steps(step for _, step in sorted(chain(*self._candidates), key=lambda each: each[0]))


def _steps(results: Iterable[Improvement]) -> list[Improvement]:
    """Return those of some results that are better than all before them."""
    steps: list[Improvement] = []
    for step in results:
        if not steps or step.loss < steps[-1].loss:
            steps.append(step)
    return steps


def best_over_time_figure(best: BestSoFar, *, unit: str, origin: Origin = no_origin) -> "Figure":
    """Return the best so far over the time that the study ran.

    Args:
        best: The observer.
        unit: What the resource counts, in the singular.
        origin: Answers with where the configuration of a trial comes from: ``Trials.origin``.

    Raises:
        SettingsError: If plotly is not installed.
    """
    is_log = _is_early(best.steps, lambda step: step.seconds, best.seconds)
    middle = best.steps[len(best.steps) // 2].seconds if is_log else best.seconds
    scales = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
    scale, name = next((pair for pair in scales if middle >= 3 * pair[0]), scales[-1])
    return _figure(best, name, lambda step: step.seconds / scale, best.seconds / scale, unit=unit, origin=origin)


def best_over_resource_figure(best: BestSoFar, *, unit: str, origin: Origin = no_origin) -> "Figure":
    """Return the best so far over the epochs that all trials together were trained; see the figure over time.

    Raises:
        SettingsError: If plotly is not installed.
    """
    title = f"{unit}s trained, all trials together"
    return _figure(best, title, lambda step: step.epochs, best.epochs, unit=unit, origin=origin)


def _figure(
    best: BestSoFar, x: str, place: Callable[[Improvement], float], end: float, *, unit: str, origin: Origin
) -> "Figure":
    if not best.steps:
        return nothing("no trial has a finite result")
    highest = best.steps_at_the_highest
    lines = [(highest, f"trained to {unit} {highest[-1].resource:,}", ORANGE), (best.steps, "at any rung", BLUE)]
    if all(step.rung == highest[-1].rung for step in best.steps):
        del lines[0]  # it is the same line
    figure = blank(x=x)
    for steps, name, color in lines:
        style = {"name": name, "line": {"color": color, "width": 2.5}}
        figure.add_trace(_line(steps, best.goal, place, end, style, origin=origin))
    is_log = _is_early(best.steps, place, end)
    if is_log:
        figure.update_xaxes(type="log", dtick="D2")
    half = math.sqrt(place(best.steps[0]) * end) if is_log else end / 2
    finals = {(steps[-1].trial, steps[-1].rung): (steps[-1], color) for steps, _, color in lines}
    for number, (step, color) in enumerate(finals.values()):
        is_last = number == len(finals) - 1
        figure.add_trace(_mark(step, best.goal, place(step), color, is_late=place(step) > half, is_better_side=is_last))
    seen = metric_view([best.goal.value(step.loss) for steps, _, _ in lines for step in steps], best.goal.mode)
    outside = metric_axis(figure, seen, best.goal)
    remark(
        figure,
        f"{plural(seen.beyond, 'early step')} {outside}" if seen and outside else "",
        *(f"{STEPS_SHOWN:,} of {len(steps):,} steps {name}" for steps, name, _ in lines if len(steps) > STEPS_SHOWN),
    )
    return figure


def _is_early(steps: Sequence[Improvement], place: Callable[[Improvement], float], end: float) -> bool:
    """Whether so many steps come so early that only a logarithmic axis shows them."""
    return bool(steps) and place(steps[0]) > 0 and place(steps[len(steps) // 2]) < EARLY * end


def _line(
    steps: Sequence[Improvement], goal: Goal, place: Callable[[Improvement], float], end: float, style: dict[str, Any],
    *, origin: Origin,
) -> Any:  # fmt: skip
    """Return a step line that goes on to the end of the study."""
    shown = [steps[number] for number in thinned(len(steps), STEPS_SHOWN)]
    ends = [*shown, shown[-1]]
    return go().Scatter(
        x=[significant(x) for x in (*map(place, shown), max(end, place(shown[-1])))],
        y=[significant(goal.value(step.loss)) for step in ends],
        customdata=[[trial_label(step.trial, origin), step.rung, step.resource] for step in ends],
        mode="lines",
        line_shape="hv",
        hovertemplate="%{y}<br>%{customdata[0]}<br>rung %{customdata[1]} (%{customdata[2]:,})",
        **style,
    )


def _mark(step: Improvement, goal: Goal, x: float, color: str, *, is_late: bool, is_better_side: bool) -> Any:
    """Return a point with its value and trial, written where the lines are not."""
    value = goal.value(step.loss)
    vertical = "top" if (goal.mode == "max") == is_better_side else "bottom"
    return go().Scatter(
        x=[significant(x)],
        y=[significant(value)],
        text=[f"{number_text(value)} (trial {step.trial})"],
        textposition=f"{vertical} {'left' if is_late else 'right'}",
        mode="markers+text",
        marker={"color": color, "size": 9},
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
