"""Shows the results of a simulated study: the times, the rungs, and how busy the workers were."""

from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.numbers import number_text, plural, quotient, seconds_text, share_text
from ashtune._src.reports.tables import HEADING, QUIET, bare_table, line
from ashtune._src.reports.times import RungRecord, rung_records, rung_table

if TYPE_CHECKING:
    from rich.console import Group

NEAR = 0.01


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a simulated study.

    Times are simulated seconds since the study's start. ``wall_seconds`` is the time of the study's
    end. ``first_seconds`` is the time of the first result at the top rung. ``near_seconds`` is the
    time of the first result at the top rung that is within 1 % of the best result. If the top rung
    has no result, ``first_seconds`` and ``near_seconds`` are None. ``real_seconds`` is the real
    duration of the simulation.
    """

    scheduler: str
    workers: int
    trials: int
    jobs: int
    epochs: int
    wall_seconds: float
    utilisation: float
    first_seconds: float | None
    near_seconds: float | None
    metric: str
    best: float | None
    best_resource: int
    rungs: list[RungRecord]
    real_seconds: float


def simulated(
    scheduler: str,
    workers: int,
    tally: Tally,
    results: Results,
    *,
    wall_seconds: float,
    real_seconds: float,
) -> Simulated:
    """Return the results of a simulated study, computed from its tally and its progress."""
    at_the_top = [step for rung in results.rungs[tally.ladder.top :] for step in rung.steps]
    first = None
    near = None
    if at_the_top:
        first = at_the_top[0].seconds
        last = at_the_top[-1].loss
        near = next(step.seconds for step in at_the_top if step.loss <= last + NEAR * abs(last))
    best = tally.best
    return Simulated(
        scheduler=scheduler,
        workers=workers,
        trials=tally.tried,
        jobs=tally.arrived,
        epochs=tally.epochs,
        wall_seconds=wall_seconds,
        utilisation=tally.utilisation or 0.0,
        first_seconds=first,
        near_seconds=near,
        metric=tally.goal.metric,
        best=tally.best_value,
        best_resource=best.resource if best else 0,
        rungs=rung_records(tally),
        real_seconds=real_seconds,
    )


def simulated_view(study: Simulated, *, unit: str) -> "Group":
    """Return the results of a simulated study as a rich group."""
    from rich.console import Group

    pairs = bare_table()
    for name, value in _pairs(study, unit):
        pairs.add_row(name, value)
    pairs.show_header = False
    title = (
        f"{study.scheduler} on {plural(study.workers, 'worker')}, "
        f"{plural(study.trials, 'trial')}, in virtual time"
    )
    rate = quotient(study.jobs, study.real_seconds)
    speed = f"simulated in {seconds_text(study.real_seconds)}: {rate:,.0f} jobs/s"
    table = rung_table(study.rungs, unit=unit)
    empty = line("")
    return Group(line(title, HEADING), empty, pairs, empty, table, empty, line(speed, QUIET))


def _pairs(study: Simulated, unit: str) -> list[tuple[str, str]]:
    top = study.rungs[-1].resource
    pairs = [
        ("wall time", seconds_text(study.wall_seconds)),
        ("workers training", share_text(study.utilisation)),
        (f"first trained to {unit} {top:,}", _when(study.first_seconds)),
        ("within 1 % of the best at the top", _when(study.near_seconds)),
    ]
    if study.best is not None:
        best = f"{number_text(study.best, 6)} at {unit} {study.best_resource:,}"
        pairs.append((f"best {study.metric}", best))
    return pairs


def _when(seconds: float | None) -> str:
    return "none was" if seconds is None else seconds_text(seconds)
