"""Builds the report of a study from sections: as sections of the page, as a summary for the
terminal, or as JSON data.

An installed package can add a section: the package declares an entry point in the group
``ashtune.report_sections``. The entry point refers to a class derived from
:class:`~ashtune.sections.Section`. A report shows such sections before its last section.
"""

# Theory of operation
# -------------------
# A report is a list of sections. Decision 27 (docs/decisions/0027-report-sections.md) says why, and
# decision 87 (docs/decisions/0087-one-protocol-of-views.md) how a section differs from other views.
#
#   function         asks for         asked by
#   ---------------  ---------------  ----------------------------------------------------------
#   page_sections()  blocks           the asked view "report", for the live page and the saved page
#   one_section()    lines and value  the asked view "section", for a language model (MCP)
#   summary()        lines            "ashtune report", Study.report(), and the end of a session
#   report_data()    value            "ashtune report --json"
#
# _entries() creates the sections and collects the analyses that they name in "uses". Then it reads
# the journal once for these analyses and for the sections' own observers: if ten sections each read
# the journal of 100,000 trials, it would take ten times as long. A section without the requested
# part is not created, so the terminal does not wait for a figure that only the page shows.
#
# At the end of a session the reader is live: it has the driver's tally and reads no journal. Then
# only sections with "shows_live" are shown.
#
# A section may come from another package, and the study from another person. So all code of a
# section runs in _Entry.attempt(), and an exception there costs one section, not the report:
#
#   what happens                        what is shown
#   ----------------------------------  ------------------------------------------------------------
#   its module cannot be imported       the reason, in its place
#   it, or one of its observers raises  the reason; no other method of it is called after that, as
#                                       its observers may have seen half of the journal
#   a block, line or value is of a      the reason: each is converted or drawn once as a test, since
#   wrong type                          the error would come too late where all sections are joined
#   it has the name of one of ours      ours, and a line that asks for another name
#   the journal is damaged              no report at all: the error names the line

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from ashtune._src.analysis.counts import BestResult, Reasons
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.timeline_times import rung_times, time_shares
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.errors import AshtuneError, StudyError
from ashtune._src.core.events import Event
from ashtune._src.core.numbers import plural
from ashtune._src.core.observer import ObservedStudy, Observer, Told
from ashtune._src.core.orders import Followed
from ashtune._src.core.parts import entry_points
from ashtune._src.core.plaintext import error_line, one_line, shown
from ashtune._src.reports import html
from ashtune._src.reports.best_section import (
    AdviceSection,
    BestSection,
    ConfirmedSection,
    FrontSection,
    result_data,
)
from ashtune._src.reports.cost import CostSection
from ashtune._src.reports.facts import FactsSection, TroubleSection
from ashtune._src.reports.profile import ProfileSection
from ashtune._src.reports.proposals_section import ModelSection
from ashtune._src.reports.roofline_section import RooflineSection
from ashtune._src.reports.sentences import failures_text
from ashtune._src.reports.tables import BAD, HEADING, WARNING, line
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.reports.times import RungsSection, rung_records
from ashtune._src.reports.view import ANALYSES, Section
from ashtune._src.study.factory import observed_study

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

GROUP = "ashtune.report_sections"
BUILT_IN: tuple[type[Section], ...] = (
    BestSection,
    FrontSection,
    ConfirmedSection,
    AdviceSection,
    RungsSection,
    CostSection,
    ModelSection,
    RooflineSection,
    ProfileSection,
    TroubleSection,
    FactsSection,
)

T = TypeVar("T")


def sections() -> Mapping[str, type[Section] | str]:
    """Map each section's name to the section's class, or to the reason why the section cannot be
    used.
    """
    built_in: dict[str, type[Section] | str] = {kind.name: kind for kind in BUILT_IN}
    installed: dict[str, type[Section] | str] = {}
    for entry in entry_points(GROUP):
        name = one_line(entry.name)
        try:
            kind = entry.load()
        except Exception as error:  # noqa: BLE001 - another's module may raise anything
            kind = f"it cannot be imported ({error_line(error)})"
        if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, Section)):
            kind = f"{shown(kind)} is not a section; derive its class from ashtune.sections.Section"
        if name in built_in:
            kind = f"ashtune already has a section {name}; give this section another name"
            name = one_line(f"{name} ({entry.value})")
        installed[name] = kind
    last = built_in.popitem()
    return {**built_in, **installed, last[0]: last[1]}


def page_sections(study: StudyReader) -> list[html.PageSection]:
    """Return the sections that have blocks. If a section raises, its only block is the reason."""
    sections = [entry.page_section() for entry in _entries(study, "blocks")]
    return [section for section in sections if not section.is_empty]


def one_section(study: StudyReader, name: str) -> dict[str, Any]:
    """Return a section's title, its lines as a text, and its value.

    Raises:
        StudyError: If the section needs a result and the study has no result, or if the section's
            code raises.
    """
    from rich.console import Group

    entries = _entries(study, "value", only=name)
    if not entries:
        raise StudyError("no trial has a result yet")
    entry = entries[0]
    text = as_text(Group(*entry.lines()))
    value = entry.value()
    if entry.problem:
        raise StudyError(f"the section {shown(name)} cannot be shown: {entry.problem}")
    return {"title": entry.title, "text": text, "value": value}


def summary(study: StudyReader, needs: Sequence[type[Observer]] = ()) -> "Group":
    """Return the summary as a rich group. The summary has only ASCII characters, except for the
    user's texts.

    Args:
        study: The study. If it is live, only sections that need no journal are shown.
        needs: Further analyses that the caller needs. They receive the events in the same reading
            of the journal.
    """
    from rich.console import Group

    entries = _entries(study, "lines", needs)
    tally = study.tally
    outcome = study.outcome
    head = line("").append(study.name, HEADING)
    head.append(f"  {study.scheduler.name}, {plural(tally.tried, 'trial')}, ")
    head.append(outcome.text, "" if outcome.is_complete else WARNING)
    failures = failures_text(tally, outcome.text)
    if failures and tally.best is not None:  # without a result, the best section says why
        head.append(f"; {failures}", BAD)
    parts: list[RenderableType] = [head]
    for entry in entries:
        lines = entry.lines()
        if lines:
            parts += [line(""), *lines]
    return Group(*parts)


def report_data(study: StudyReader) -> dict[str, Any]:
    """Return the report as a dict for JSON. The key ``sections`` maps each section's name to the
    section's data.
    """
    entries = _entries(study, "value", (Timeline, Trials))
    tally = study.tally
    timeline = study.timeline
    outcome = study.outcome
    shares = time_shares(timeline)
    objectives = tally.goal.objectives
    by_section = {entry.name: entry.value() for entry in entries}
    return {
        "name": study.name,
        "scheduler": study.scheduler.name,
        "directory": str(study.directory),
        "metric": _one_or_all([each.metric for each in objectives]),
        "mode": _one_or_all([each.mode for each in objectives]),
        "constraints": [str(constraint) for constraint in tally.goal.constraints],
        "unit": study.unit,
        "is_complete": outcome.is_complete,
        "stopped": outcome.stopped or None,
        "best": _best_data(tally.best, study),
        "best_at_any_rung": _best_data(tally.best_at_any_rung, study),
        "rungs": msgspec.to_builtins(rung_records(tally, study.expected, rung_times(timeline))),
        "trials": {
            "allowed": tally.most_trials,
            "started": tally.started,
            "tried": tally.tried,
            "failed": tally.failures.total,
            "withdrawn": tally.withdrawn,
            "ended_early": tally.ended_early,
            "trained_again_from_the_start": tally.retrained,
        },
        "known_results": len(study.settings.known),
        "jobs": tally.arrived,
        "jobs_broken_off": tally.broken_off,
        "epochs": tally.epochs,
        "sessions": tally.sessions,
        "wall_seconds": tally.wall_seconds,
        "training_seconds": shares.trained,
        "failed_seconds": shares.failed,
        "saving_seconds": shares.saving,
        "compile_seconds": tally.compile_seconds,
        "programs_by_lanes": {str(lanes): count for lanes, count in sorted(tally.programs.items())},
        "worker_seconds": tally.presence,
        "utilisation": shares.utilisation if shares.presence > 0 else None,
        "checkpoint_bytes": study.checkpoint_bytes,
        "failures": _reasons_data(tally.failures),
        "withdrawals": _reasons_data(tally.withdrawals),
        "lost_workers": _reasons_data(tally.lost_workers),
        "missing": study.missing or None,
        "notes": outcome.notes_with(tally),
        "sections": {name: data for name, data in by_section.items() if data},
        "left_out": {entry.name: entry.problem for entry in entries if entry.problem},
    }


def _best_data(best: BestResult | None, study: StudyReader) -> dict[str, Any] | None:
    if best is None:
        return None
    return {**result_data(best, study), "origin": study.trials.origin(best.trial)}


def _one_or_all(texts: list[str]) -> str | list[str]:
    """If there is only one text, return this text, otherwise return all texts. Most studies have
    one objective, and scripts that read the JSON expect its name as a text.
    """
    return texts[0] if len(texts) == 1 else texts


def _reasons_data(reasons: Reasons) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = msgspec.to_builtins(reasons.groups())
    return groups


def _entries(
    study: StudyReader,
    part: Literal["blocks", "lines", "value"],
    needs: Sequence[type[Observer]] = (),
    only: str | None = None,
) -> "list[_Entry]":
    """Create the sections that implement ``part``, or only the section named ``only``. Read the
    journal once for all of them.
    """
    known = sections()
    entries = []
    if only is not None:
        known = {only: known[only]}
    for name, kind in known.items():
        if study.is_live and (isinstance(kind, str) or not kind.shows_live):
            continue
        if isinstance(kind, str) or only is not None or _has(kind, part):
            entries.append(_Entry(name, kind, study))
    if study.is_live:
        return entries
    own = [_ObserverOfSection(observer, entry) for entry in entries for observer in entry.observers]
    observed = observed_study(study.settings, study.ladder, study.directory)
    for guarded in own:
        guarded.begin(observed, 0)
    study.read_for([Tally, *needs, *(kind for entry in entries for kind in entry.needs)], own)
    for guarded in own:
        guarded.end()
    return [entry for entry in entries if study.tally.best is not None or not entry.needs_result]


def _has(kind: type[Section], part: str) -> bool:
    """Return whether a section implements a part. A section with blocks also has lines, since its
    lines are its blocks by default.
    """
    has_part = getattr(kind, part) is not getattr(Section, part)
    return has_part or (part == "lines" and _has(kind, "blocks"))


class _Entry:
    """A section in a report. ``problem`` is the reason for leaving the section out, or "".

    Args:
        kind: The section's class, or the reason why the section cannot be used.
    """

    def __init__(self, name: str, kind: type[Section] | str, study: StudyReader) -> None:
        self.name = self.title = name
        self.problem = ""
        self.observers: Sequence[Observer] = ()
        self.needs: Sequence[type[Observer]] = ()
        self.needs_result = False
        if isinstance(kind, str):
            self.problem = kind
        else:
            self.attempt(self._make, kind, study)

    def _make(self, kind: type[Section], study: StudyReader) -> None:
        self.needs_result = kind.needs_result
        self.title = kind.title
        self.needs = [ANALYSES[name] for name in kind.uses]
        self._section = kind(study)
        self.observers = self._section.observers

    def attempt(self, call: Callable[..., T], *arguments: Any) -> T | None:
        """Return the result of a call. If this call or an earlier call for this section raises an
        exception, return None.
        """
        if self.problem:
            return None
        try:
            return call(*arguments)
        except AshtuneError as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001 - a section may come from another package
            self.problem = error_line(error)
        return None

    def page_section(self) -> html.PageSection:
        """Return the section of a page. Each block is converted as a test, since a wrong block
        would prevent the whole page.
        """
        blocks = self.attempt(self._blocks)
        if blocks is None:
            blocks = [html.words(f"Left out: {self.problem}.", is_bad=True)]
        return html.PageSection(self.title, blocks)

    def _blocks(self) -> list[html.Block]:
        blocks = list(self._section.blocks())
        return msgspec.convert(msgspec.to_builtins(blocks), list[html.Block])

    def lines(self) -> "Sequence[RenderableType]":
        """Return the section's lines. Each line is rendered once as a test, since a wrong line
        would prevent the whole summary.
        """
        lines = self.attempt(self._draw)
        if lines is None:
            return [line(f"{self.name} is left out: {self.problem}", WARNING)]
        return lines

    def _draw(self) -> "list[RenderableType]":
        from rich.console import Group

        lines: list[RenderableType] = [
            line(each) if isinstance(each, str) else each for each in self._section.lines()
        ]
        as_text(Group(*lines))
        return lines

    def value(self) -> Any:
        """Return the section's value, encoded to JSON and decoded again."""
        return self.attempt(
            lambda: msgspec.json.decode(msgspec.json.encode(dict(self._section.value())))
        )


class _ObserverOfSection(Observer):
    """Wraps an observer of a section. If the observer raises an error, the section is left out."""

    def __init__(self, observer: Observer, entry: _Entry) -> None:
        self._observer = observer
        self._entry = entry
        self.sees_confirmations = observer.sees_confirmations  # type: ignore[misc]  # as the wrapped observer

    def begin(self, study: ObservedStudy, position: int) -> None:
        self._entry.attempt(self._observer.begin, study, position)

    def event(self, event: Event) -> None:
        self._entry.attempt(self._observer.event, event)

    def followed(self, what: Followed) -> None:
        self._entry.attempt(self._observer.followed, what)

    def batch(self, told: Sequence[Told]) -> None:
        self._entry.attempt(self._observer.batch, told)

    def end(self) -> None:
        self._entry.attempt(self._observer.end)
