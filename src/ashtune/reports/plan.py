"""The plan: what a study will do, before anything runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune.analysis.estimate import increments
from ashtune.core.ladder import Ladder
from ashtune.core.numbers import plural
from ashtune.reports.tables import bare_table

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table


class PlannedRung(msgspec.Struct, frozen=True):
    """``trials`` are trained to ``resource``, which takes ``epochs`` from where they stopped."""

    rung: int
    resource: int
    trials: int
    epochs: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will happen.

    ``epochs`` is the cost of it all, ``epochs_to_the_top`` what training every trial to the top costs.
    """

    scheduler: str
    trials: int
    rungs: list[PlannedRung]
    epochs: int
    epochs_to_the_top: int

    @property
    def times_less(self) -> float:
        """How many times less it costs than training every trial to the top."""
        return self.epochs_to_the_top / self.epochs if self.epochs else 1.0


def plan(
    scheduler: str, ladder: Ladder, trials: int, expected: Sequence[int], entering: Sequence[int] | None = None
) -> Plan:
    """Return what a study will do.

    Args:
        scheduler: Its name.
        ladder: The rungs.
        trials: How many trials.
        expected: How many of them are trained to each rung.
        entering: How many of them enter there, and train from the beginning; by default all at the lowest rung.
    """
    epochs = increments(expected, entering or [trials, *[0] * ladder.top], ladder.rungs)
    rungs = [
        PlannedRung(number, resource, count, cost)
        for number, (resource, count, cost) in enumerate(zip(ladder.rungs, expected, epochs, strict=True))
    ]
    return Plan(
        scheduler=scheduler,
        trials=trials,
        rungs=rungs,
        epochs=sum(epochs),
        epochs_to_the_top=trials * ladder.rungs[-1],
    )


def plan_view(planned: Plan, *, unit: str) -> "Group":
    """Return the plan as something rich can draw: its name, its table, and what it costs."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(f"{planned.scheduler}, {plural(planned.trials, 'trial')}", "bold"),
        Text(""),
        plan_table(planned, unit=unit),
        Text(""),
        Text(saving_line(planned, unit=unit)),
    ]
    if not planned.rungs[-1].trials:
        resource = planned.rungs[-1].resource
        parts.append(
            Text(f"too few trials for one to reach {unit} {resource:,}: give more, or a lower max_resource", "yellow")
        )
    return Group(*parts)


def plan_table(planned: Plan, *, unit: str) -> "Table":
    """Return the plan as a table: a row a rung, and the sum."""
    table = bare_table(has_footer=True)
    table.add_column(f"to {unit}", "in all", justify="right")
    table.add_column("trials", "", justify="right")
    table.add_column(f"{unit}s each", "", justify="right")
    table.add_column(f"{unit}s", f"{planned.epochs:,}", justify="right")
    for rung in planned.rungs:
        each = f"{rung.epochs / rung.trials:g}" if rung.trials else ""
        table.add_row(f"{rung.resource:,}", f"{rung.trials:,}", each, f"{rung.epochs:,}")
    return table


def saving_line(planned: Plan, *, unit: str) -> str:
    """Say what the plan costs compared with training every trial to the top."""
    whole = plural(planned.epochs_to_the_top, unit)
    if planned.epochs >= planned.epochs_to_the_top:
        return f"every trial is trained to the top: {whole}"
    return f"{planned.times_less:.3g} times less than training all to the top ({whole})"
