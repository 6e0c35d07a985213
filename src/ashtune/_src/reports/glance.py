"""A short view of a study, for a notebook and for a Python prompt.

Rule: any data of a study are shown as text, never as markup (see ``reports/html.py``). The short view uses the
notebook's colours, light or dark.
"""

from typing import TYPE_CHECKING

import msgspec

from ashtune._src.core.numbers import plural, seconds_text, value_text
from ashtune._src.reports.html import escaped, table_html
from ashtune._src.reports.sections import ReportedStudy
from ashtune._src.reports.sentences import best_sentence, no_result_sentence
from ashtune._src.reports.tables import HEADING, INDENT, line
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.reports.times import rung_records, rung_table

if TYPE_CHECKING:
    from rich.table import Table

_QUIET = "opacity: 0.75"


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """The most important facts of a study.

    ``facts`` are the study's size and duration. ``best`` is a sentence about the best result of the study.
    ``configuration`` is the configuration of the best trial. ``rungs`` is a table with a row for each rung. ``calls``
    names methods of the study that the reader can call next.
    """

    name: str
    state: str
    facts: str
    best: str
    configuration: str
    rungs: "Table"
    calls: str
    directory: str


def glance(study: ReportedStudy, *, can_resume: bool) -> Glance:
    """Return the short view of a study.

    Args:
        study: The study; only its tally and its outcome are read.
        can_resume: Whether the study object has the method ``resume``.
    """
    tally, info, unit = study.tally, study.info, study.unit
    counts = (
        info.scheduler.name,
        plural(tally.tried, "trial"),
        f"{tally.failures.total:,} failed" if tally.failures.total else "",
        f"{plural(tally.epochs, unit)} in {seconds_text(tally.wall_seconds)}",
    )
    calls = "study.report() tells more; study.plot_best() draws it"
    if can_resume and study.outcome.is_complete:
        calls += "; study.resume(trials=...) trains more trials"
    elif can_resume:
        calls += "; study.resume() goes on, if no driver is at work"
    best = tally.best
    configuration = {} if best is None else study.configuration(best.trial)
    return Glance(
        name=info.name,
        state=study.outcome.text,
        facts=", ".join(filter(None, counts)),
        best=no_result_sentence(tally) if best is None else best_sentence(tally, best, unit=unit),
        configuration=", ".join(f"{name} = {value_text(value)}" for name, value in configuration.items()),
        rungs=rung_table(rung_records(tally, study.expected), unit=unit),
        calls=calls,
        directory=info.directory,
    )


def glance_text(shown: Glance) -> str:
    """Return the short view as text for a terminal."""
    from rich.console import Group

    head = line("").append(shown.name, HEADING).append(f": {shown.state}\n{shown.facts}\n\n{shown.best}\n")
    if shown.configuration:
        head.append(f"{INDENT}{shown.configuration}\n")
    return as_text(Group(head, shown.rungs, line(f"\nkept in {shown.directory}\n{shown.calls}")))


def glance_html(shown: Glance) -> str:
    """Return the short view as HTML for a notebook."""
    lines = [
        f"<b>{escaped(shown.name)}</b>: {escaped(shown.state)}",
        f'<span style="{_QUIET}">{escaped(shown.facts)}</span>',
        f"<b>{escaped(shown.best)}</b>",
        *([f"<code>{escaped(shown.configuration)}</code>"] if shown.configuration else []),
    ]
    above = "".join(f"<div>{each}</div>" for each in lines)
    below = f'<div style="{_QUIET}">kept in {escaped(shown.directory)}; {escaped(shown.calls)}</div>'
    return f'<div style="line-height: 1.6">{above}{table_html(shown.rungs)}{below}</div>'
