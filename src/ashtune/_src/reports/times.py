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
from ashtune._src.analysis.trials import STATUSES, Trials
from ashtune._src.core.numbers import plural, quotient, seconds_text, share_text, time_text
from ashtune._src.reports import html
from ashtune._src.reports.tables import bare_table
from ashtune._src.reports.view import Section

if TYPE_CHECKING:
    from rich.table import Table


class RungRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts and times of one rung. ``expected`` is None if the number of trials is unlimited.

    ``epochs`` and ``seconds`` count the training from the rung below up to this rung. ``share`` is
    the rung's share of all training seconds.
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
    trained = [rung.seconds for rung in tally.rungs]
    if times is not None:
        trained = [rung.trained for rung in times]
    forecasts: Sequence[Expected | None] = expected or [None] * len(trained)
    rungs = zip(tally.rungs, trained, forecasts, strict=True)
    total = sum(trained)
    return [
        RungRecord(
            rung=number,
            resource=rung.resource,
            expected=forecast,
            trials=rung.trained,
            promoted=rung.promoted,
            failed=rung.failed,
            withdrawn=rung.withdrawn,
            epochs=rung.epochs,
            seconds=seconds,
            share=quotient(seconds, total),
        )
        for number, (rung, seconds, forecast) in enumerate(rungs)
    ]


def rung_table(records: Sequence[RungRecord], *, unit: str) -> "Table":
    """Return a table with a row for each rung, and a row of sums."""
    knows_expected = any(record.expected is not None for record in records)
    table = bare_table(has_footer=True)
    promoted = sum(record.promoted for record in records)
    failed = sum(record.failed for record in records)
    epochs = sum(record.epochs for record in records)
    seconds = sum(record.seconds for record in records)
    columns = [
        (f"to {unit}", "in all"),
        ("trials", plural(sum(record.trials for record in records), "job")),
        ("promoted", f"{promoted:,}"),
        ("failed", f"{failed:,}"),
        (f"{unit}s", f"{epochs:,}"),
        ("workers' time", seconds_text(seconds)),
        ("share", share_text(float(seconds > 0))),
    ]
    if knows_expected:
        columns.insert(2, ("expected", ""))
    for title, sum_of_all in columns:
        table.add_column(title, sum_of_all, justify="right")
    for record in records:
        row = [f"{record.resource:,}", f"{record.trials:,}"]
        if knows_expected:
            row.append("" if record.expected is None else record.expected.text)
        row += [f"{record.promoted:,}", f"{record.failed:,}", f"{record.epochs:,}"]
        row += [seconds_text(record.seconds), share_text(record.share)]
        table.add_row(*row)
    return table


def time_line(tally: Tally, shares: "TimeShares | None" = None, *, unit: str) -> str:
    """Return one line that says how the time was used. If ``shares`` is given, the line has the
    utilisation of the workers.
    """
    wall = seconds_text(tally.wall_seconds)
    jobs = sum(rung.trained for rung in tally.rungs)
    parts = [f"{plural(jobs, 'job')}, {plural(tally.epochs, unit)} in {wall} of wall time"]
    saving = tally.saving_seconds
    if shares is not None:
        saving = shares.saving
        if shares.presence > 0:
            used = f"workers trained {share_text(shares.utilisation)} of the time they were present"
            if shares.failed > 0:
                used += f" ({share_text(shares.share(shares.failed))} for jobs that failed)"
            parts.append(used)
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
    uses = ("tally", "timeline", "trials")
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        study = self.study
        shares = None
        times = None
        findings = list[str]()
        if not study.is_live:  # while a study runs, there is only its tally
            shares = time_shares(study.timeline)
            times = rung_times(study.timeline)
            findings = [*stopped_findings(study.trials), *time_findings(study.timeline)]
        records = rung_records(study.tally, study.expected, times)
        yield html.words(f"{time_line(study.tally, shares, unit=study.unit)}.")
        yield html.table(rung_table(records, unit=study.unit))
        yield html.words(*findings)


def stopped_findings(trials: Trials) -> Iterator[str]:
    """Yield a sentence about the cost of the trials that were not trained to the top. O(trials)."""
    total = sum(trials.seconds)
    top = STATUSES.index("trained to the top")
    stopped = sum(
        seconds
        for seconds, status in zip(trials.seconds, trials.statuses, strict=True)
        if status != top
    )
    if stopped > 0:
        yield (
            f"Trials that were not trained to the top took {seconds_text(stopped)}, "
            f"{share_text(stopped / total)} of the training time."
        )


def time_findings(timeline: Timeline) -> list[str]:
    """Return sentences about the waiting of the workers."""
    shares = time_shares(timeline)
    if shares.presence <= 0:
        return ["No worker was present at any time."]
    sentences = []
    latency = decision_latency(timeline)
    if latency is not None:
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
