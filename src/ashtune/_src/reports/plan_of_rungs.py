"""Computes the plan of a study before the study runs: the trials and epochs of each rung."""

from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.expected import Expected, expected, increments
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import plural, quotient, seconds_text
from ashtune._src.reports.tables import HEADING, WARNING, bare_table, line
from ashtune._src.schedulers.scheduler_registry import SchedulerView

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text


class PlannedRung(msgspec.Struct, frozen=True):
    """A rung of the plan. If configurations are random, ``trials`` trials train ``epochs`` epochs
    in total for this rung.

    ``where_learnt`` is the number of trials if the search learns from results. If the search
    learns, more trials are promoted, since late trials are better than early trials.
    """

    rung: int
    resource: int
    trials: int
    epochs: int
    where_learnt: Expected


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a study.

    ``epochs`` is the cost if configurations are random. ``epochs_where_learnt`` is the approximate
    cost if the search learns. ``epochs_to_the_top`` is the cost of training every trial to the top
    rung.
    """

    scheduler: str
    trials: int
    rungs: list[PlannedRung]
    epochs: int
    epochs_where_learnt: int
    epochs_to_the_top: int

    @property
    def is_exact(self) -> bool:
        """Whether the plan's numbers are the same for random draws and for a search that learns."""
        return all(
            rung.where_learnt.low == rung.trials == rung.where_learnt.high for rung in self.rungs
        )

    @property
    def times_less(self) -> float:
        """The cost of training every trial to the top rung, divided by the cost of the plan with
        random draws.
        """
        return quotient(self.epochs_to_the_top, self.epochs, 1.0)


def plan(scheduler: SchedulerView, ladder: Ladder, trials: int) -> Plan:
    """Return the plan of a study.

    Raises:
        SettingsError: If the scheduler cannot say in advance how many trials reach each rung.
    """
    of_random = expected(scheduler, ladder, trials, learns=False)
    where_learnt = expected(scheduler, ladder, trials, learns=True)
    entering = scheduler.entering(trials)
    if of_random is None or where_learnt is None or entering is None:
        raise SettingsError(
            f"plan cannot predict the rungs of --scheduler {scheduler.name}; give another scheduler"
        )
    counts = [each.middle for each in of_random]
    epochs = increments(counts, entering, ladder.rungs)
    learnt = increments([each.middle for each in where_learnt], entering, ladder.rungs)
    rungs = zip(ladder.rungs, counts, epochs, where_learnt, strict=True)
    return Plan(
        scheduler=scheduler.name,
        trials=trials,
        rungs=[PlannedRung(number, *rung) for number, rung in enumerate(rungs)],
        epochs=sum(epochs),
        epochs_where_learnt=sum(learnt),
        epochs_to_the_top=trials * ladder.rungs[-1],
    )


def plan_view(planned: Plan, *, unit: str) -> "Group":
    """Return the plan as a rich group with a title, a table and the cost."""
    from rich.console import Group

    empty = line("")
    title = line(f"{planned.scheduler}, {plural(planned.trials, 'trial')}", HEADING)
    table = plan_table(planned, unit=unit)
    saving = line(saving_line(planned, unit=unit))
    top = planned.rungs[-1]
    if top.trials:
        return Group(title, empty, table, empty, saving)
    warning = line(too_few_trials(top.resource, unit=unit), WARNING)
    return Group(title, empty, table, empty, saving, warning)


def too_few_trials(top: int, *, unit: str) -> str:
    """Return a warning that probably no trial will reach the top rung, and advice."""
    return (
        f"too few trials: probably none reaches {unit} {top:,}; give more trials, or a lower "
        "max_resource"
    )


def plan_table(planned: Plan, *, unit: str) -> "Table":
    """Return the plan as a table of rungs. If a search that learns from results has other numbers,
    the table has additional columns for these numbers.
    """
    table = bare_table(has_footer=True)
    columns = [
        (f"to {unit}", "in all"),
        (f"{unit}s each", ""),
        ("trials" if planned.is_exact else "random draws", ""),
        (f"{unit}s", f"{planned.epochs:,}"),
    ]
    if not planned.is_exact:
        columns.append(("search that learns", f"about {planned.epochs_where_learnt:,} {unit}s"))
    for title, sum_of_all in columns:
        table.add_column(title, sum_of_all, justify="right")
    for rung in planned.rungs:
        each = ""
        if rung.trials:
            each = f"{rung.epochs / rung.trials:g}"
        row = [f"{rung.resource:,}", each, f"{rung.trials:,}", f"{rung.epochs:,}"]
        if not planned.is_exact:
            row.append(rung.where_learnt.text)
        table.add_row(*row)
    return table


def wall_seconds(planned: Plan, epoch_seconds: float, workers: int) -> tuple[float, float]:
    """Return two wall times in seconds: with random draws, and with a search that learns.

    Source: the bound of Graham (``analysis/expected.py``): the total work divided by the number of
    workers, plus the time in which the last worker trains the last trial to its end.
    """
    last = planned.rungs[-1].resource * (1 - 1 / workers)
    of_random = (planned.epochs / workers + last) * epoch_seconds
    return of_random, (planned.epochs_where_learnt / workers + last) * epoch_seconds


def wall_time_line(planned: Plan, epoch_seconds: float, workers: int, *, unit: str) -> "Text":
    """Return the wall time as a line."""
    of_random, where_learnt = map(seconds_text, wall_seconds(planned, epoch_seconds, workers))
    text = of_random
    if not planned.is_exact:
        text = f"{of_random} with random draws, {where_learnt} with a search that learns"
    condition = f"if {plural(1, unit)} takes {seconds_text(epoch_seconds)}"
    return line(f"on {plural(workers, 'worker')}, {condition}: about {text}")


def saving_line(planned: Plan, *, unit: str) -> str:
    """Return a line that compares the cost of the plan with the cost of training every trial to the
    top rung.
    """
    whole = plural(planned.epochs_to_the_top, unit)
    if planned.epochs >= planned.epochs_to_the_top:
        return f"every trial is trained to the top: {whole}"
    less = f"{planned.times_less:.3g} times less than training all trials to the top ({whole})"
    if planned.is_exact:
        return less
    return (
        f"{less}; about {planned.epochs_to_the_top / planned.epochs_where_learnt:.2g} times less "
        f"with a search that learns"
    )
