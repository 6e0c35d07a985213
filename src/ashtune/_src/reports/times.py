"""The report section about the time of the workers, by rung."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.expected import Expected
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.timeline_times import (
    RungTimes,
    TimeShares,
    decision_latency,
    rung_times,
    time_shares,
)
from ashtune._src.core.numbers import plural, seconds_text, share_text, time_text
from ashtune._src.reports import html
from ashtune._src.reports.section import Section
from ashtune._src.reports.tables import HEADING, bare_table, indented, line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


class RungRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts and times of one rung. ``expected`` is None if the number of trials is unlimited.

    ``epochs`` and ``seconds`` are the amount of training from the rung below to this rung.
    ``share`` is the rung's share of all training seconds.
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
    tally: Tally,
    expected: Sequence[Expected] | None = None,
    times: "Sequence[RungTimes] | None" = None,
) -> list[RungRecord]:
    """Return a record for each rung, the lowest rung first.

    Args:
        expected: The expected number of trials at each rung: ``StudyReader.expected``.
        times: The workers' time by rung, including jobs that were lost with a worker. By default
            the tally's times are used.
    """
    trained = (
        [rung.seconds for rung in tally.rungs]
        if times is None
        else [rung.trained for rung in times]
    )
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
    """Return a table with a row for each rung, and a row of sums."""
    knows_expected = any(record.expected is not None for record in records)
    table = bare_table(has_footer=True)
    failed = sum(r.failed for r in records)
    epochs = sum(r.epochs for r in records)
    seconds = sum(record.seconds for record in records)
    table.add_column(f"to {unit}", "in all", justify="right")
    table.add_column("trials", plural(sum(r.trials for r in records), "job"), justify="right")
    if knows_expected:
        table.add_column("expected", "", justify="right")
    table.add_column("promoted", f"{sum(r.promoted for r in records):,}", justify="right")
    table.add_column("failed", f"{failed:,}", justify="right")
    table.add_column(f"{unit}s", f"{epochs:,}", justify="right")
    table.add_column("workers' time", seconds_text(seconds), justify="right")
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
    """Return one line about the use of time. If ``shares`` is given, the line has the utilisation
    of the workers.
    """
    wall = seconds_text(tally.wall_seconds)
    jobs = sum(rung.trained for rung in tally.rungs)
    parts = [f"{plural(jobs, 'job')}, {plural(tally.epochs, unit)} in {wall} of wall time"]
    if shares is not None and shares.presence > 0:
        failed = (
            f" ({share_text(shares.share(shares.failed))} for jobs that failed)"
            if shares.failed > 0
            else ""
        )
        parts.append(
            f"workers trained {share_text(shares.utilisation)} of the time they were there{failed}"
        )
    saving = tally.saving_seconds if shares is None else shares.saving
    if saving >= 0.005:
        parts.append(f"saving took {seconds_text(saving)}")
    if tally.compile_seconds:
        of = [
            f"{plural(lanes, 'lane')} ({count:,} x)"
            for lanes, count in sorted(tally.programs.items())
        ]
        parts.append(
            f"compiling took {seconds_text(tally.compile_seconds)}, for programs of {', '.join(of)}"
        )
    return "; ".join(parts)


class RungsSection(Section):
    """The report section with the number of trials trained to each rung, and the time of their
    training.
    """

    name = "rungs"
    title = "Time by rung"
    uses = ("tally", "timeline")
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        table, sentence = self._table_and_line()
        yield html.words(f"{sentence}.")
        yield html.table(table)
        yield html.words(*time_findings(self.study.timeline))

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


def time_findings(timeline: Timeline) -> list[str]:
    """Return sentences about the waiting of the workers."""
    shares = time_shares(timeline)
    if shares.presence <= 0:
        return ["No worker was there for any time."]
    sentences = []
    if (latency := decision_latency(timeline)) is not None:
        sentences.append(
            "From a report to the start of the worker's next job, the time was "
            f"{time_text(latency.median)} (median), {time_text(latency.p99)} (99th percentile), "
            f"over {plural(latency.decisions, 'decision')}."
        )
    if shares.absence > 0:
        sentences.append(
            f"Workers were missing for {seconds_text(shares.absence)} in all, for example until "
            "they had started."
        )
    if not timeline.knows_orders:
        sentences.append(
            "The scheduler's decisions are unknown, so all waiting counts as waiting for the "
            "driver."
        )
    return sentences
