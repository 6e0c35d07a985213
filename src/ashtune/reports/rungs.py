"""Time by rung: how many trials were trained to each, and what that cost."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune.analysis.expected import Expected
from ashtune.analysis.tally import Tally
from ashtune.analysis.timeline_times import RungTimes, TimeShares, rung_times, time_shares
from ashtune.core.numbers import plural, seconds_text, share_text
from ashtune.reports.figures.utilisation import rungs_figure
from ashtune.reports.page import html
from ashtune.reports.sections import Section
from ashtune.reports.tables import HEADING, bare_table, indented, line
from ashtune.reports.timeline_view import in_vain, rung_times_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


class RungRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One rung. ``expected`` is what was expected before any result; None where the number of trials is open.

    ``epochs`` and ``seconds`` are those trained on the way from the rung below; ``share`` is the
    rung's share of all seconds of training.
    """

    rung: int
    resource: int
    expected: Expected | None
    trials: int
    promoted: int
    failed: int
    withdrawn: int
    epochs: int
    seconds: float
    share: float


def rung_records(
    tally: Tally, expected: Sequence[Expected] | None = None, times: "Sequence[RungTimes] | None" = None
) -> list[RungRecord]:
    """Return a record for each rung, the lowest first.

    Args:
        tally: The study.
        expected: How many trials are trained to each rung: ``StudyInfo.expected``.
        times: The workers' time by rung, which knows what was lost with a worker too; by default what results and
            failures say that they took.
    """
    trained = [rung.seconds for rung in tally.rungs] if times is None else [rung.trained for rung in times]
    total = sum(trained)
    return [
        RungRecord(
            rung=number,
            resource=rung.resource,
            expected=None if expected is None else expected[number],
            trials=rung.trained,
            promoted=rung.promoted,
            failed=rung.failed,
            withdrawn=rung.withdrawn,
            epochs=rung.epochs,
            seconds=seconds,
            share=seconds / total if total > 0 else 0.0,
        )
        for number, (rung, seconds) in enumerate(zip(tally.rungs, trained, strict=True))
    ]


def rung_table(records: Sequence[RungRecord], *, unit: str) -> "Table":
    """Return the records as a table, with their sum."""
    knows_expected = any(record.expected is not None for record in records)
    table = bare_table(has_footer=True)
    failed, epochs = sum(r.failed for r in records), sum(r.epochs for r in records)
    seconds = sum(record.seconds for record in records)
    table.add_column(f"to {unit}", "in all", justify="right")
    table.add_column("trials", f"{sum(r.trials for r in records):,}", justify="right")
    if knows_expected:
        table.add_column("expected", "", justify="right")
    table.add_column("promoted", f"{sum(r.promoted for r in records):,}", justify="right")
    table.add_column("failed", f"{failed:,}", justify="right")
    table.add_column(f"{unit}s", f"{epochs:,}", justify="right")
    table.add_column("time", seconds_text(seconds), justify="right")
    table.add_column("share", share_text(1.0 if seconds > 0 else 0.0), justify="right")
    for record in records:
        row = [f"{record.resource:,}", f"{record.trials:,}"]
        if knows_expected:
            row.append("" if record.expected is None else record.expected.text)
        row += [f"{record.promoted:,}", f"{record.failed:,}", f"{record.epochs:,}"]
        row += [seconds_text(record.seconds), share_text(record.share)]
        table.add_row(*row)
    return table


def time_line(tally: Tally, shares: "TimeShares | None" = None, *, unit: str) -> str:
    """Say where the time went, on one line; how busy the workers were only where ``shares`` tells it."""
    parts = [f"{plural(tally.arrived, 'job')}, {plural(tally.epochs, unit)} in {seconds_text(tally.wall_seconds)}"]
    if shares is not None and shares.presence > 0:
        parts.append(f"workers trained {share_text(shares.utilisation)} of the time they were there{in_vain(shares)}")
    saving = tally.saving_seconds if shares is None else shares.saving
    if saving >= 0.005:
        parts.append(f"saving took {seconds_text(saving)}")
    if tally.compile_seconds:
        of = [f"{plural(lanes, 'lane')} ({count:,} x)" for lanes, count in sorted(tally.programs.items())]
        parts.append(f"compiling took {seconds_text(tally.compile_seconds)}, for programs of {', '.join(of)}")
    return "; ".join(parts)


class RungsSection(Section):
    """How many trials were trained to each rung, and what that took."""

    name, title = "rungs", "Time by rung"
    uses = ("tally", "timeline")
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        timeline, unit = self.study.timeline, self.study.unit
        table, sentence = self._table_and_line()
        yield html.words(f"{sentence}.")
        yield html.figures(rungs=rungs_figure(timeline, unit=unit))
        yield html.table(table)
        yield html.table(rung_times_table(timeline, unit=unit))

    def lines(self) -> "Iterator[RenderableType]":
        table, sentence = self._table_and_line()
        yield line("time by rung", HEADING)
        yield indented(table)
        yield line(sentence)

    def _table_and_line(self) -> "tuple[Table, str]":
        study = self.study
        shares = None if study.is_live else time_shares(study.timeline)
        times = None if study.is_live else rung_times(study.timeline)
        table = rung_table(rung_records(study.tally, study.expected, times), unit=study.unit)
        return table, time_line(study.tally, shares, unit=study.unit)
