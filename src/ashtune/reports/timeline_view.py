"""The timeline in words and tables, and as a section of the report."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ashtune.analysis.timeline import Timeline
from ashtune.analysis.timeline_times import TimeShares, decision_latency, rung_times, time_shares, worker_times
from ashtune.core.numbers import number_text, plural, seconds_text, share_text
from ashtune.reports.figures.timeline import timeline_figure
from ashtune.reports.figures.utilisation import utilisation_figure
from ashtune.reports.looks import STATES
from ashtune.reports.page import html
from ashtune.reports.sections import Section
from ashtune.reports.tables import bare_table

if TYPE_CHECKING:
    from rich.table import Table


def time_shares_table(timeline: Timeline) -> "Table":
    """Return what the workers' time went into, in seconds and as a share of their presence."""
    shares = time_shares(timeline)
    table = bare_table(has_footer=True)
    table.add_column("workers' time", f"{plural(shares.workers, 'worker')}, in all")
    table.add_column("time", _short_text(shares.presence), justify="right")
    table.add_column("share", share_text(1.0 if shares.presence > 0 else 0.0), justify="right")
    for name, look in STATES.items():
        seconds = getattr(shares, name, 0.0)
        if name in ("compiling", "failed", "waiting") and not seconds:
            continue  # of no concern where nothing is compiled, or fails
        table.add_row(look.name, _short_text(seconds), share_text(shares.share(seconds)))
    return table


def rung_times_table(timeline: Timeline, *, unit: str) -> "Table":
    """Return the workers' time by rung: training, what of it failed, saving and waiting for the driver."""
    records = rung_times(timeline)
    columns = {"training": "training", "that failed": "failed", "saving": "saving", "waiting for the driver": "driver"}
    if not any(record.failed for record in records):
        del columns["that failed"]
    table = bare_table(has_footer=True)
    table.add_column(f"to {unit}", "in all", justify="right")
    for title, name in columns.items():
        table.add_column(title, _short_text(sum(getattr(r, name) for r in records)), justify="right")
    for record in records:
        table.add_row(f"{record.resource:,}", *(_short_text(getattr(record, name)) for name in columns.values()))
    return table


def time_findings(timeline: Timeline) -> list[str]:
    """Say in plain sentences where the workers' time went."""
    shares = time_shares(timeline)
    if shares.presence <= 0:
        return ["no worker was there for any time"]
    sentences = [
        f"workers trained {share_text(shares.utilisation)} of the {seconds_text(shares.presence)} that "
        f"they were there{in_vain(shares)}; the study ran for {seconds_text(shares.wall)}"
    ]
    busy = [worker for worker in worker_times(timeline) if worker.presence > 0]
    if len(busy) > 1:
        least, most = min(busy, key=lambda w: w.utilisation), max(busy, key=lambda w: w.utilisation)
        sentences.append(
            f"the busiest, worker {most.worker}, trained {share_text(most.utilisation)} of its time; "
            f"the least busy, worker {least.worker}, {share_text(least.utilisation)}"
        )
    if (latency := decision_latency(timeline)) is not None:
        sentences.append(
            f"from a report to the start of the worker's next job it took {_short_text(latency.median)} "
            f"(median), {_short_text(latency.p99)} (99th percentile), over {plural(latency.decisions, 'decision')}"
        )
    if shares.absence > 0:
        sentences.append(f"places stood empty for {seconds_text(shares.absence)}, as until workers had started")
    if shares.guessed:
        sentences.append(
            f"the study's orders are not known: {plural(shares.guessed, 'wait')} may have been for the driver, though "
            "all of it counts as waiting for other trials"
        )
    return sentences


def in_vain(shares: TimeShares) -> str:
    """Say how much of the workers' presence went into jobs that failed, in brackets; nothing where none did."""
    return f" ({share_text(shares.share(shares.failed))} for jobs that failed)" if shares.failed > 0 else ""


def _short_text(seconds: float) -> str:
    """Return a time that may be far below a second."""
    if seconds >= 0.1:
        return seconds_text(seconds)
    if seconds < 1e-6:
        return "< 1 us" if seconds > 0 else "0 s"
    return f"{number_text(seconds * 1e3, 3)} ms" if seconds >= 1e-3 else f"{number_text(seconds * 1e6, 3)} us"


class TimelineSection(Section):
    """Who trained what when, and where the workers' time went."""

    name, title = "timeline", "Timeline"
    uses = ("timeline",)

    def blocks(self) -> Iterator[html.Block]:
        timeline = self.study.timeline
        yield html.figures(timeline=timeline_figure(timeline, unit=self.study.unit))
        yield html.figures(utilisation=utilisation_figure(timeline))
        yield html.table(time_shares_table(timeline))
        yield html.words(*(f"{sentence[0].upper()}{sentence[1:]}." for sentence in time_findings(timeline)))
