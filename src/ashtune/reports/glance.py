"""A study at a glance: what it shows of itself in a notebook, and as text at a prompt.

Rule: whatever comes from a study is text, never markup, as on a page (:mod:`ashtune.reports.page.html`). Colours are
those of the notebook, light or dark.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ashtune.core.numbers import number_text, plural, seconds_text, shortened, value_text
from ashtune.reports.best import best_sentence, no_result_sentence
from ashtune.reports.page import html
from ashtune.reports.sections import ReportedStudy
from ashtune.reports.tables import HEADING, INDENT, bare_table, line
from ashtune.reports.terminal.text import as_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_QUIET = "opacity: 0.75"


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader wants first of a study.

    ``facts`` is what it took, ``best`` a sentence about the best result, or why there is none, ``configuration`` that
    of the best trial, ``rungs`` a row for each rung. ``calls`` are what the reader may do next, each with what it does.
    """

    name: str
    state: str
    facts: str
    best: str
    configuration: Mapping[str, str]
    rungs: "Table"
    calls: Sequence[tuple[str, str]]
    directory: str


def glance(study: ReportedStudy, *, can_resume: bool) -> Glance:
    """Return a study at a glance.

    Args:
        study: Only its tally and its outcome are read.
        can_resume: Whether it holds what it takes to go on.
    """
    tally, info, unit = study.tally, study.info, study.unit
    counts = (
        info.scheduler.name,
        plural(tally.tried, "trial"),
        f"{tally.failures.total:,} failed" if tally.failures.total else "",
        f"{plural(tally.epochs, unit)} in {seconds_text(tally.wall_seconds)}",
    )
    calls = [("study.report()", "tells more"), ("study.plot_best()", "draws it")]
    if can_resume and study.outcome.is_complete:
        calls.append(("study.resume(trials=...)", "trains more trials"))
    elif can_resume:
        calls.append(("study.resume()", "goes on, if no driver is at work"))
    best = tally.best
    configuration = {} if best is None else study.configuration(best.trial)
    return Glance(
        name=info.name,
        state=study.outcome.text,
        facts=", ".join(filter(None, counts)),
        best=no_result_sentence(tally) if best is None else best_sentence(tally, best, unit=unit),
        configuration={name: value_text(value) for name, value in configuration.items()},
        rungs=_rungs(study),
        calls=calls,
        directory=info.directory,
    )


def glance_text(shown: Glance) -> str:
    """Return it as text, for a terminal."""
    from rich.console import Group

    pairs = ", ".join(f"{name} = {value}" for name, value in shown.configuration.items())
    calls = "; ".join(f"{call} {what}" for call, what in shown.calls)
    parts: list[RenderableType] = [
        line("").append(shown.name, HEADING).append(f": {shown.state}"),
        line(shown.facts),
        line(""),
        line(shown.best),
        *([line(INDENT + pairs)] if pairs else []),
        line(""),
        shown.rungs,
        line(""),
        line(f"kept in {shown.directory}"),
        line(calls),
    ]
    return as_text(Group(*parts))


def glance_html(shown: Glance) -> str:
    """Return it as HTML, for a notebook."""
    configuration = shown.configuration.items()
    pairs = ", ".join(f"{html.escaped(name)} = {html.escaped(value)}" for name, value in configuration)
    calls = "; ".join(f"<code>{html.escaped(call)}</code> {html.escaped(what)}" for call, what in shown.calls)
    lines = [
        f"<b>{html.escaped(shown.name)}</b>: {html.escaped(shown.state)}",
        f'<span style="{_QUIET}">{html.escaped(shown.facts)}</span>',
        f"<b>{html.escaped(shown.best)}</b>",
        *([f"<code>{pairs}</code>"] if pairs else []),
    ]
    above = "".join(f"<div>{each}</div>" for each in lines)
    below = f'<div style="{_QUIET}">kept in {html.escaped(shown.directory)}; {calls}</div>'
    return f'<div style="line-height: 1.6">{above}{html.table(shown.rungs).html}{below}</div>'


def _rungs(study: ReportedStudy) -> "Table":
    """Return a row for each rung, the lowest first."""
    from rich.text import Text

    tally, expected, metric = study.tally, study.expected, study.goal.metric
    wanted = ["expected"] if expected else []
    table = bare_table()
    for name in (f"to {study.unit}", "trained", *wanted, "promoted", "failed", f"best {shortened(metric, 18)}", "time"):
        table.add_column(Text(name), justify="right")
    for number, rung in enumerate(tally.rungs):
        table.add_row(
            f"{rung.resource:,}",
            f"{rung.trained:,}",
            *([expected[number].text] if expected else []),
            "" if number == tally.ladder.top else f"{rung.promoted:,}",
            f"{rung.failed:,}" if rung.failed else "",
            "" if rung.best is None else number_text(rung.best.metrics.get(metric), 5),
            seconds_text(rung.seconds),
        )
    return table
