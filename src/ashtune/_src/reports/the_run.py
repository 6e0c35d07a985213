"""Report sections about the run: failures and notes, the study's settings, and the command that resumes the study."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.counts import Group, Reasons
from ashtune._src.core.numbers import plural
from ashtune._src.reports.page import html
from ashtune._src.reports.sections import Section
from ashtune._src.reports.tables import BAD, HEADING, INDENT, QUIET, WARNING, indented, line, trials_table
from ashtune._src.study.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

GROUPS_SHOWN = 5
TRACEBACK_LINES = 12
TRIALS_SHOWN = 15


class TroubleSection(Section):
    """The report section with failures, withdrawals and lost workers by reason, and notes for the user."""

    name, title = "trouble", "What went wrong, and notes"
    uses = ("tally", "trials")
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        for reasons, noun, what, _ in self._kinds():
            groups = reasons.groups()
            named = (f"{group.count:,} x {group.reason}" for group in groups)
            shared = (f" ({words})" if words else "" for words in self._in_common(groups))
            yield html.words(f"{plural(reasons.total, noun)} {what}:", *map("".join, zip(named, shared, strict=True)))
        if ended := [trial for trial in self.study.trials if trial.reason][:TRIALS_SHOWN]:
            why = {"why": [trial.reason for trial in ended]}
            yield html.table(trials_table(ended, why, [trial.resource for trial in ended], unit=self.study.unit))
        yield html.words(*self.study.outcome.notes_with(self.study.tally), self.study.info.missing())

    def lines(self) -> "Iterator[RenderableType]":
        for reasons, noun, what, style in self._kinds():
            yield line(f"{plural(reasons.total, noun)} {what}", f"{HEADING} {style}")
            yield from self._reasons(reasons, shows_traceback=noun == "trial")
        if notes := self.study.outcome.notes_with(self.study.tally):
            yield line("notes", HEADING)
            yield from (indented(line(note, WARNING)) for note in notes)

    def _kinds(self) -> Iterator[tuple[Reasons, str, str, str]]:
        """Yield (reasons, noun, verb, style) for each kind of problem that occurred in the study."""
        tally = self.study.tally
        for reasons, noun, what, style in (
            (tally.failures, "trial", "failed", BAD),
            (tally.withdrawals, "trial", "withdrawn", WARNING),
            (tally.lost_workers, "worker", "lost", WARNING),
        ):
            if reasons.total:
                yield reasons, noun, what, style

    def _reasons(self, reasons: Reasons, *, shows_traceback: bool) -> "Iterator[RenderableType]":
        """Yield a line for each reason, with the values that its trials share, its first trial, and a traceback."""
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
        """Return, for each reason, the hyperparameter values that its trials share; "" while the study runs."""
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
    """Return a text with the numbers of results and configurations that the search had before the study began."""
    configurations = len({msgspec.json.encode(each.configuration, order="sorted") for each in settings.known})
    return f"{plural(len(settings.known), 'result')} of {plural(configurations, 'configuration')}"
