"""Shows the audit of promotions as a table, as sentences, as a figure, and as a section of the report."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ashtune._src.analysis.audit import Audit, RungAudit
from ashtune._src.analysis.expected import Expected
from ashtune._src.core.numbers import number_text, plural
from ashtune._src.figures.looks import BLUE, GREEN, GREY, ORANGE, RED
from ashtune._src.reports.page import html
from ashtune._src.reports.plot import blank, go
from ashtune._src.reports.sections import ReportedStudy, Section
from ashtune._src.reports.tables import bare_table
from ashtune._src.schedulers.protocol import Rule

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from rich.table import Table

NAMED = 5
LOW_CORRELATION = 0.3
ENOUGH_PAIRS = 20


def audit_table(audit: Audit, expected: Sequence[Expected] | None = None, *, unit: str) -> "Table":
    """Return a table of the rungs: expected and actual numbers of trials, wrong promotions, and the rank correlation.

    Args:
        audit: The observer that audited the promotions.
        expected: The expected number of trials at each rung: ``StudyInfo.expected``.
        unit: What the resource counts, in the singular.
    """
    table = bare_table()
    for name in (
        f"to {unit}", "expected", "trained", "failed", "may go on", "went on", "outside quota", "wrong", "law",
        "missed", "rank correlation",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for record in audit.records():
        is_top = record.rung == audit.ladder.top
        decided = [record.quota, record.promoted, len(record.unexplained), record.wrong]
        law = "" if record.law is None else number_text(record.law, 3)
        correlation = "" if record.correlation is None else f"{record.correlation:.2f} of {record.pairs:,}"
        table.add_row(
            f"{record.resource:,}",
            "" if expected is None else expected[record.rung].text,
            f"{record.arrived:,}",
            f"{record.failed:,}",
            *([""] * 6 if is_top else [*(f"{count:,}" for count in decided), law, f"{record.missed:,}"]),
            correlation,
        )
    return table


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


class AuditSection(Section):
    """The report section of the audit: expected and actual numbers of trials by rung, and wrong promotions."""

    name, title = "audit", "Did the halving do right?"
    uses = ("tally",)
    needs_result = True

    def __init__(self, study: ReportedStudy) -> None:
        super().__init__(study)
        self._audit = self.observe(Audit(study.ladder, study.goal, study.info.scheduler))

    def blocks(self) -> Iterator[html.Block]:
        audit, expected, unit = self._audit, self.study.expected, self.study.unit
        yield html.figures(audit=audit_figure(audit, expected, unit=unit))
        yield html.table(audit_table(audit, expected, unit=unit))
        yield html.words(*audit_findings(audit, unit=unit))
