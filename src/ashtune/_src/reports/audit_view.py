"""Shows the audit of promotions as sentences and as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ashtune._src.analysis.audit import Audit, RungAudit
from ashtune._src.analysis.expected import Expected
from ashtune._src.core.numbers import number_text, plural
from ashtune._src.figures.looks import BLUE, GREEN, GREY, ORANGE, RED
from ashtune._src.reports.plot import blank, go
from ashtune._src.schedulers.protocol import Rule

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NAMED = 5
LOW_CORRELATION = 0.3
ENOUGH_PAIRS = 20


def audit_faults(audit: Audit, *, unit: str) -> list[str]:
    """Return a sentence for each rung with unexplained promotions. The list is empty if the scheduler made no fault."""
    sentences = []
    for record in audit.records():
        if record.unexplained:
            trials = ", ".join(str(trial) for trial in record.unexplained[:NAMED])
            more = ", ..." if len(record.unexplained) > NAMED else ""
            sentences.append(
                f"FAULT at {unit} {record.resource:,}: {plural(len(record.unexplained), 'promotion')} of trials that "
                f"never were among the best {audit.ladder.kept[record.rung]} of their rung before they went on "
                f"({trials}{more})."
            )
    return sentences


def audit_findings(audit: Audit, *, unit: str) -> list[str]:
    """Return the audit's findings as sentences. Faults are first."""
    records = [record for record in audit.records() if record.rung < audit.ladder.top and record.arrived]
    sentences = audit_faults(audit, unit=unit)
    promoted = sum(record.promoted for record in records)
    if promoted and audit.scheduler.rule is Rule.UNKNOWN:
        sentences.append(f"The rule of {audit.scheduler.name} is not known here, so its promotions were not checked.")
    elif promoted and not sentences:
        sentences.append(f"All {plural(promoted, 'promotion')} followed the rule of {audit.scheduler.name}.")
    if promoted and audit.proposed and any(audit.scheduler.promotes_at_once(record.rung) for record in records):
        sentences.append(
            f"The law of early promotions is not shown: it holds for trials that come in any order, and "
            f"{audit.proposed:,} were proposed after results of others."
        )
    for record in records:
        if record.law is None or not record.promoted:
            continue
        sentences.append(
            f"At {unit} {record.resource:,} {record.promoted:,} of {record.arrived:,} went on and {record.quota:,} may "
            f"in the end: {plural(record.wrong, 'early promotion')} proved wrong, where the law for many results says "
            f"{number_text(record.law, 3)}."
        )
    sentences += [
        f"The order at {unit} {record.resource:,} says little about the next rung (rank correlation "
        f"{record.correlation:.2f} over {record.pairs:,} trials): a higher min_resource may choose better."
        for record in records
        if _says_little(record)
    ]
    return sentences


def audit_figure(audit: Audit, expected: Sequence[Expected] | None = None, *, unit: str) -> "Figure":
    """Return a figure with bars for each rung: expected and actual numbers of trials, right and wrong promotions."""
    records = audit.records()
    where = [f"{record.resource:,}" for record in records]
    figure = blank(x=f"trained to {unit}", y="trials", barmode="stack")
    bars = [
        ("expected", GREY, 0, [each.middle for each in expected or ()]),
        ("trained", BLUE, 1, [record.arrived for record in records]),
        ("went on, rightly", GREEN, 2, [max(0, record.promoted - _bad(record)) for record in records]),
        ("went on, wrong in hindsight", ORANGE, 2, [_bad(record) - len(record.unexplained) for record in records]),
        ("went on outside the quota", RED, 2, [len(record.unexplained) for record in records]),
    ]
    for name, color, group, counts in bars:
        if any(counts):
            figure.add_trace(
                go().Bar(
                    x=where, y=counts, name=name, offsetgroup=group, marker={"color": color}, hovertemplate="%{y:,}"
                )
            )
    figure.update_xaxes(type="category")
    return figure


def _bad(record: RungAudit) -> int:
    return max(record.wrong, len(record.unexplained))


def _says_little(record: RungAudit) -> bool:
    correlation, is_enough = record.correlation, record.pairs >= ENOUGH_PAIRS
    return correlation is not None and is_enough and correlation < LOW_CORRELATION
