"""Report sections about the run: time by rung, time by state of the workers, timeline, failures, notes and settings."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.counts import Group, Reasons
from ashtune._src.analysis.expected import Expected
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.timeline_times import RungTimes, TimeShares, decision_latency, rung_times, time_shares
from ashtune._src.core.numbers import plural, seconds_text, share_text, time_text
from ashtune._src.reports import html
from ashtune._src.reports.sections import Section
from ashtune._src.reports.tables import BAD, HEADING, INDENT, QUIET, WARNING, bare_table, indented, line
from ashtune._src.study.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


class RungRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts and times of one rung. ``expected`` is None if the number of trials is unlimited.

    ``epochs`` and ``seconds`` are the amount of training from the rung below to this rung. ``share`` is the rung's
    share of all training seconds.
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
    """Return a record for each rung, the lowest rung first.

    Args:
        tally: The study's counts.
        expected: The expected number of trials at each rung: ``StudyInfo.expected``.
        times: The workers' time by rung, including jobs that were lost with a worker. By default the tally's times are
            used.
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
    """Return a table with a row for each rung, and a row of sums."""
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
    """Return one line about the use of time. If ``shares`` is given, the line has the utilisation of the workers."""
    parts = [f"{plural(tally.arrived, 'job')}, {plural(tally.epochs, unit)} in {seconds_text(tally.wall_seconds)}"]
    if shares is not None and shares.presence > 0:
        parts.append(f"workers trained {share_text(shares.utilisation)} of the time they were there{_in_vain(shares)}")
    saving = tally.saving_seconds if shares is None else shares.saving
    if saving >= 0.005:
        parts.append(f"saving took {seconds_text(saving)}")
    if tally.compile_seconds:
        of = [f"{plural(lanes, 'lane')} ({count:,} x)" for lanes, count in sorted(tally.programs.items())]
        parts.append(f"compiling took {seconds_text(tally.compile_seconds)}, for programs of {', '.join(of)}")
    return "; ".join(parts)


def _in_vain(shares: TimeShares) -> str:
    """Return a text with the share of the workers' time that failed jobs took, or "" if no job failed."""
    return f" ({share_text(shares.share(shares.failed))} for jobs that failed)" if shares.failed > 0 else ""


class RungsSection(Section):
    """The report section with the number of trials trained to each rung, and the time of their training."""

    name, title = "rungs", "Time by rung"
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
            f"From a report to the start of the worker's next job it took {time_text(latency.median)} "
            f"(median), {time_text(latency.p99)} (99th percentile), over {plural(latency.decisions, 'decision')}."
        )
    if shares.absence > 0:
        sentences.append(f"Places stood empty for {seconds_text(shares.absence)}, as until workers had started.")
    if not timeline.knows_orders:
        sentences.append("The study's orders are not known: all waiting counts as waiting for the driver.")
    return sentences


GROUPS_SHOWN = 5
TRACEBACK_LINES = 12


class TroubleSection(Section):
    """The report section with failures, withdrawals and lost workers by reason, and notes for the user."""

    name, title = "trouble", "What went wrong, and notes"
    uses = ("tally", "trials")
    shows_live = True

    def lines(self) -> "Iterator[RenderableType]":
        for reasons, noun, what, style in self._kinds():
            yield line(f"{plural(reasons.total, noun)} {what}", f"{HEADING} {style}")
            yield from self._reasons(reasons, shows_traceback=noun == "trial")
        if notes := self.study.outcome.notes_with(self.study.tally):
            yield line("notes", HEADING)
            yield from (indented(line(note, WARNING)) for note in notes)

    def _kinds(self) -> Iterator[tuple[Reasons, str, str, str]]:
        """Yield (reasons, noun, verb, style) for each kind of problem in the study."""
        tally = self.study.tally
        for reasons, noun, what, style in (
            (tally.failures, "trial", "failed", BAD),
            (tally.withdrawals, "trial", "withdrawn", WARNING),
            (tally.lost_workers, "worker", "lost", WARNING),
        ):
            if reasons.total:
                yield reasons, noun, what, style

    def _reasons(self, reasons: Reasons, *, shows_traceback: bool) -> "Iterator[RenderableType]":
        """Yield lines for each reason: its first trial, its trials' common hyperparameter values, and a traceback."""
        groups = reasons.groups()[:GROUPS_SHOWN]
        for group, shared in zip(groups, self._in_common(groups), strict=True):
            first = "" if group.trial is None else f" (first: trial {group.trial} on the way to rung {group.rung})"
            yield indented(line(f"{group.count:,} x {' '.join(group.reason.split())}{first}"))
            if shared:
                yield indented(line(shared), 3)
            if shows_traceback:
                lines = group.traceback.rstrip().splitlines()
                cut = ["..."] if len(lines) > TRACEBACK_LINES else []
                yield from (indented(line(each, QUIET), 3) for each in cut + lines[-TRACEBACK_LINES:])
        if unseen := reasons.total - sum(group.count for group in groups):
            yield line(f"{INDENT}{unseen:,} for other reasons")

    def _in_common(self, groups: Sequence[Group]) -> Sequence[str]:
        """Return the common hyperparameter values of each reason's trials, or "" while the study runs."""
        if self.study.is_live:
            return [""] * len(groups)
        return [self.study.trials.in_common(group.reason) for group in groups]


class FactsSection(Section):
    """The report section with the study's settings, machine and directory, and with the command to resume."""

    name, title = "facts", "The run"
    uses = ("tally",)
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        settings, tally = self.study.settings, self.study.tally
        named = {
            "directory": self.study.info.directory,
            "began": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(settings.created)),
            "scheduler": self.study.info.scheduler.name,
            "rungs": ", ".join(f"{resource:,}" for resource in self.study.ladder.rungs),
            "search": settings.search_name,
            **({"from before": _known(settings)} if settings.known else {}),
            "seed": str(settings.seed),
            "metric": str(settings.goal),
            "written by": f"ashtune {settings.ashtune}",
        }
        session = tally.session
        if session is not None:
            named |= {"sessions": plural(tally.sessions, "session"), "host": session.host, **session.facts}
        if missing := self.study.info.missing():
            named["missing"] = missing
        if settings.simulated:
            named["simulated"] = "yes, nothing was trained"
        yield html.pairs(named)

    def lines(self) -> "Iterator[RenderableType]":
        info = self.study.info
        yield line(f"kept in {info.directory}")
        if self.study.settings.known:
            yield line(f"the search began with {_known(self.study.settings)} from before")
        if missing := info.missing():
            yield line(missing, WARNING)
        if not self.study.outcome.is_complete and not info.is_simulated:
            is_to_be_mended = self.study.tally.best is None and self.study.tally.failures.total
            mended = " FILE:FUNCTION" if is_to_be_mended and not self.study.tally.is_program else ""
            yield line(f"go on with: ashtune resume {info.directory}{mended}", HEADING)


def _known(settings: Settings) -> str:
    """Return a text with the numbers of results and configurations that were known before the study began."""
    configurations = len({msgspec.json.encode(each.configuration, order="sorted") for each in settings.known})
    elsewhere = " of other tasks" if any(each.is_of_another_task for each in settings.known) else ""
    return f"{plural(len(settings.known), 'result')} of {plural(configurations, 'configuration')}{elsewhere}"
