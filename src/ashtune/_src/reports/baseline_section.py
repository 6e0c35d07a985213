"""Compares the computation times of the rungs, in studies with different numbers of models.

A series has one study for each number of models. Each study has one worker and the scheduler
sequential halving. A single worker never waits, so the study's wall time is the sum of two times:
the seconds of all rungs, and the seconds of the worker's start.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.timeline_times import rung_times, time_shares
from ashtune._src.core.numbers import number_text, plural, quotient, seconds_text
from ashtune._src.figures.axes import choice_axis, rung_names
from ashtune._src.figures.figure import Axis, Figure, stacked_bars
from ashtune._src.figures.looks import Look, rung_colors
from ashtune._src.reports.tables import numbers_table

if TYPE_CHECKING:
    from rich.table import Table

ALIKE = 0.25
"""The costs of rungs count as equal if each cost differs from the mean cost by at most this share.
"""


FEWEST = 3
"""The smallest number of reached rungs for a comparison. The lowest rung is compared separately."""


class RungCost(msgspec.Struct, frozen=True):
    """The costs of a rung in one study: its trained trials, its epochs, and its seconds of
    training, saving and waiting.
    """

    resource: int
    trials: int
    epochs: int
    seconds: float

    @property
    def per_epoch(self) -> float:
        """Seconds per epoch."""
        return quotient(self.seconds, self.epochs)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One study of a series of studies with different numbers of models.

    ``other_seconds`` is the workers' time that belongs to no rung: waiting at a barrier, or idle
    without a job. ``start_seconds`` is the mean time before a worker joined. ``best`` is the metric
    of the study's best trial.
    """

    models: int
    scheduler: str
    workers: int
    rungs: Sequence[RungCost]
    other_seconds: float
    start_seconds: float
    wall_seconds: float
    best: float | None

    @property
    def rung_seconds(self) -> float:
        """The total seconds of all workers for all rungs."""
        return sum(rung.seconds for rung in self.rungs)

    @property
    def epochs(self) -> int:
        """The total number of epochs of all rungs."""
        return sum(rung.epochs for rung in self.rungs)

    @property
    def accounted(self) -> float:
        """The sum of ``rung_seconds``, ``other_seconds`` and ``start_seconds``, as a share of the
        wall time.
        """
        explained = (self.rung_seconds + self.other_seconds) / self.workers + self.start_seconds
        return quotient(explained, self.wall_seconds, 1.0)


def run_of(scheduler: str, tally: Tally, timeline: Timeline) -> Run:
    """Return the costs of a study, computed from the study's tally and timeline."""
    shares = time_shares(timeline)
    costs = [
        RungCost(
            times.resource, rung.trained, rung.epochs, times.trained + times.saving + times.driver
        )
        for times, rung in zip(rung_times(timeline), tally.rungs, strict=True)
    ]
    return Run(
        models=tally.tried,
        scheduler=scheduler,
        workers=max(1, shares.places),
        rungs=costs,
        other_seconds=shares.barrier + shares.halted + shares.tail,
        start_seconds=shares.absence / max(1, shares.places),
        wall_seconds=shares.wall,
        best=tally.best_value,
    )


def baseline_table(runs: Sequence[Run], *, unit: str) -> "Table":
    """Return a table of seconds with a row for each study of the series and
    a column for each rung.
    """
    rungs = [f"to {resource:,}" for resource in _resources(runs)]
    times = (*rungs, "other\nwaits", "start", "wall\ntime")
    table = numbers_table(
        "models", "scheduler", "workers", *times, f"{unit}s", f"{unit}s\nper s", "best",
        texts="scheduler", gap=1, no_wrap=True, vertical="bottom",
    )  # fmt: skip
    for run in runs:
        seconds = {rung.resource: _seconds(rung.seconds) for rung in run.rungs if rung.trials}
        cells = [seconds.get(resource, "") for resource in _resources(runs)]
        rate = ""
        if run.wall_seconds > 0:
            rate = number_text(run.epochs / run.wall_seconds, 3)
        rest = [
            _seconds(value) for value in (run.other_seconds, run.start_seconds, run.wall_seconds)
        ]
        who = (f"{run.models:,}", run.scheduler, str(run.workers))
        table.add_row(*who, *cells, *rest, f"{run.epochs:,}", rate, number_text(run.best))
    return table


def baseline_figure(runs: Sequence[Run], *, unit: str) -> Figure:
    """Return a figure with a stacked bar for each study of the series. The parts of a bar are the
    times of the rungs.
    """
    resources = _resources(runs)
    places = list(range(len(runs)))
    seconds = [{rung.resource: rung.seconds for rung in run.rungs} for run in runs]
    looks = map(Look, rung_names(resources, unit), rung_colors(len(resources)))
    parts = [
        (look, [of.get(at, 0.0) for of in seconds])
        for look, at in zip(looks, resources, strict=True)
    ]
    names = [f"{run.models:,} by {run.scheduler}, {plural(run.workers, 'worker')}" for run in runs]
    longest = max((sum(of.values()) for of in seconds), default=0.0)
    return Figure(
        x=Axis(name="seconds of all workers", high=1.05 * longest or 1.0),
        y=choice_axis("models", names, is_downward=True),
        series=stacked_bars(parts, places),
        height=90 + 40 * len(runs),
    )


def baseline_words(run: Run, *, unit: str) -> list[str]:
    """Return a sentence that compares the costs of the rungs. If the costs differ, the sentence
    gives the reason.
    """
    rungs = [rung for rung in run.rungs if rung.trials]
    sentences = [
        f"{plural(run.models, 'model')}: the rungs took {seconds_text(run.rung_seconds)}; the "
        f"rungs and the start are {100 * run.accounted:.1f} % of the wall time of "
        f"{seconds_text(run.wall_seconds)}."
    ]
    if len(rungs) < FEWEST:
        return [*sentences, "Too few rungs were reached to compare what they cost."]
    first = rungs[0]
    later = rungs[1:]
    mean = sum(rung.seconds for rung in later) / len(later)
    low = min(rung.seconds for rung in later)
    high = max(rung.seconds for rung in later)
    spread = quotient(max(high - mean, mean - low), mean)
    span = f"{later[0].resource:,} to {later[-1].resource:,}"
    cost = f"{_seconds(low)} to {_seconds(high)} s"
    if spread <= ALIKE:
        steps = list(pairwise(rungs))
        fewer = sum(low.trials / high.trials for low, high in steps) / len(steps)
        longer = sum(high.resource / low.resource for low, high in steps) / len(steps)
        sentences.append(
            f"Rungs {span} cost about the same each, {cost}: on average, a rung trains "
            f"{number_text(fewer, 2)} times fewer models than the rung below, but each for "
            f"{number_text(longer, 2)} times as many {unit}s."
        )
    else:
        sentences.append(
            f"Rungs {span} cost {cost}, which is not about the same. {_why(later, unit)}"
        )
    ratio = quotient(first.seconds, mean, 1.0)
    if abs(ratio - 1) > ALIKE:
        average = number_text(sum(rung.epochs for rung in later) / len(later), 3)
        sentences.append(
            f"The lowest rung cost {ratio:.1f} times the mean of the higher rungs: it trains every "
            f"model for {first.epochs:,} {unit}s from the start, but a higher rung trains only "
            f"{average} on average, as its models continue."
        )
    return sentences


def _why(rungs: Sequence[RungCost], unit: str) -> str:
    epochs = [rung.epochs for rung in rungs]
    costs = [rung.per_epoch for rung in rungs]
    reasons = []
    if max(epochs) > (1 + ALIKE) * min(epochs):
        reasons.append(
            f"they train {min(epochs):,} to {max(epochs):,} {unit}s, as an odd number of trials "
            "has no exact half"
        )
    if min(costs) > 0 and max(costs) > (1 + ALIKE) * min(costs):
        dear = max(rungs, key=lambda rung: rung.per_epoch)
        reasons.append(
            f"one {unit} cost {1000 * min(costs):.3g} to {1000 * max(costs):.3g} ms, and the "
            f"most in rung {dear.resource:,}: configurations differ in cost, and each rung trains "
            "different ones"
        )
    text = (
        "; ".join(reasons) or "no single reason stands out in the numbers of trials and their cost"
    )
    return text[0].upper() + text[1:] + "."


def _resources(runs: Sequence[Run]) -> list[int]:
    return sorted({rung.resource for run in runs for rung in run.rungs if rung.trials})


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 100 else f"{seconds:,.0f}"
