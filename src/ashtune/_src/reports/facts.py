"""The report sections of failures and notes, and of the study's settings and machine."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.counts import Group, Reasons
from ashtune._src.core.numbers import plural
from ashtune._src.reports import html
from ashtune._src.reports.tables import BAD, HEADING, INDENT, QUIET, WARNING, indented, line
from ashtune._src.reports.view import Section
from ashtune._src.study.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

GROUPS_SHOWN = 5
TRACEBACK_LINES = 12


class TroubleSection(Section):
    """The report section with failures, withdrawals and lost workers by reason, and notes for the
    user.
    """

    name = "trouble"
    title = "What went wrong, and notes"
    uses = ("tally", "trials")
    shows_live = True

    def lines(self) -> "Iterator[RenderableType]":
        tally = self.study.tally
        for reasons, noun, what, style in (
            (tally.failures, "trial", "failed", BAD),
            (tally.withdrawals, "trial", "withdrawn", WARNING),
            (tally.lost_workers, "worker", "lost", WARNING),
        ):
            if reasons.total:
                yield line(f"{plural(reasons.total, noun)} {what}", f"{HEADING} {style}")
                yield from self._reasons(reasons, shows_traceback=noun == "trial")
        notes = self.study.outcome.notes_with(tally)
        if notes:
            yield line("notes", HEADING)
            yield from (indented(line(note, WARNING)) for note in notes)

    def _reasons(self, reasons: Reasons, *, shows_traceback: bool) -> "Iterator[RenderableType]":
        """Yield lines for each reason: the first trial with this reason, the hyperparameter values
        that most trials with this reason share, and a traceback.
        """
        groups = reasons.groups()[:GROUPS_SHOWN]
        for group, shared in zip(groups, self._in_common(groups), strict=True):
            first = ""
            if group.trial is not None:
                first = f" (first: trial {group.trial} on the way to rung {group.rung})"
            yield indented(line(f"{group.count:,} x {' '.join(group.reason.split())}{first}"))
            if shared:
                yield indented(line(shared), 3)
            if shows_traceback:
                lines = group.traceback.rstrip().splitlines()
                if len(lines) > TRACEBACK_LINES:
                    lines = ["...", *lines[-TRACEBACK_LINES:]]
                yield from (indented(line(each, QUIET), 3) for each in lines)
        unseen = reasons.total - sum(group.count for group in groups)
        if unseen:
            yield line(f"{INDENT}{unseen:,} for other reasons")

    def _in_common(self, groups: Sequence[Group]) -> Sequence[str]:
        """For each reason, return the hyperparameter values that most of its trials share. While
        the study runs, return "".
        """
        if self.study.is_live:
            return [""] * len(groups)
        return [self.study.trials.in_common(group.reason) for group in groups]


class FactsSection(Section):
    """The report section with the study's settings, machine and directory, and with the command to
    resume.
    """

    name = "facts"
    title = "The run"
    uses = ("tally",)
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        settings = self.study.settings
        tally = self.study.tally
        named = {
            "directory": str(self.study.directory),
            "began": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(settings.created)),
            "scheduler": self.study.scheduler.name,
            "rungs": ", ".join(f"{resource:,}" for resource in self.study.ladder.rungs),
            "search": settings.search_name,
        }
        if settings.known:
            named["from before"] = _known(settings)
        named |= {
            "seed": str(settings.seed),
            "metric": str(settings.goal),
            "written by": f"ashtune {settings.ashtune}",
        }
        session = tally.session
        if session is not None:
            named |= {
                "sessions": plural(tally.sessions, "session"),
                "host": session.host,
                **session.facts,
            }
        if self.study.missing:
            named["missing"] = self.study.missing
        if settings.simulated:
            named["simulated"] = "yes, nothing was trained"
        yield html.pairs(named)

    def lines(self) -> "Iterator[RenderableType]":
        study = self.study
        yield line(f"saved in {study.directory}")
        if study.settings.known:
            yield line(f"the search began with {_known(study.settings)} from before this study")
        if study.missing:
            yield line(study.missing, WARNING)
        if not study.outcome.is_complete and not study.settings.simulated:
            tally = study.tally
            argument = ""
            if tally.best is None and tally.failures.total and not tally.is_program:
                argument = " FILE:FUNCTION"
            yield line(f"continue with: ashtune resume {study.directory}{argument}", HEADING)


def _known(settings: Settings) -> str:
    """Return a text with the numbers of results and configurations that were known before the study
    began.
    """
    texts = []
    for is_of_another_task, elsewhere in ((False, ""), (True, " of other tasks")):
        known = [each for each in settings.known if each.is_of_another_task == is_of_another_task]
        configurations = len(
            {msgspec.json.encode(each.configuration, order="sorted") for each in known}
        )
        if known:
            texts.append(
                f"{plural(len(known), 'result')} of "
                f"{plural(configurations, 'configuration')}{elsewhere}"
            )
    return " and ".join(texts)
