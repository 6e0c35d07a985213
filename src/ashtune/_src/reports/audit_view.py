"""Shows the audit of promotions as sentences and as a figure."""

from ashtune._src.analysis.audit import Audit, RungAudit
from ashtune._src.core.numbers import number_text, plural
from ashtune._src.figures.axes import choice_axis
from ashtune._src.figures.figure import Axis, Figure, stacked_bars
from ashtune._src.figures.looks import BLUE, GREEN, ORANGE, RED, Look
from ashtune._src.schedulers.scheduler_protocol import Rule

NAMED = 5
LOW_CORRELATION = 0.3
ENOUGH_PAIRS = 20


def audit_faults(audit: Audit, *, unit: str) -> list[str]:
    """Return a sentence for each rung with promotions that the scheduler's rule does not explain.
    If there is no such promotion, the list is empty.
    """
    sentences = []
    for record in audit.records():
        if record.unexplained:
            trials = [str(trial) for trial in record.unexplained[:NAMED]]
            if len(record.unexplained) > NAMED:
                trials.append("...")
            sentences.append(
                f"FAULT at {unit} {record.resource:,}: "
                f"{plural(len(record.unexplained), 'promotion')} of trials that were never among "
                f"the best {audit.ladder.kept[record.rung]} of their rung ({', '.join(trials)})."
            )
    return sentences


def audit_findings(audit: Audit, *, unit: str) -> list[str]:
    """Return the audit's findings as sentences. Faults are first."""
    records = [
        record for record in audit.records() if record.rung < audit.ladder.top and record.arrived
    ]
    sentences = audit_faults(audit, unit=unit)
    promoted = sum(record.promoted for record in records)
    if promoted and audit.scheduler.rule is Rule.UNKNOWN:
        sentences.append(
            f"The promotion rule of {audit.scheduler.name} is unknown, so its promotions were not "
            "checked."
        )
    elif promoted and not sentences:
        sentences.append(
            f"All {plural(promoted, 'promotion')} followed the rule of {audit.scheduler.name}."
        )
    if (
        promoted
        and audit.proposed
        and any(audit.scheduler.promotes_at_once(record.rung) for record in records)
    ):
        sentences.append(
            "The expected number of early promotions is not shown: it is correct only for random "
            f"trials, but {audit.proposed:,} trials were chosen from earlier results."
        )
    for record in records:
        if record.law is None or not record.promoted:
            continue
        sentences.append(
            f"At {unit} {record.resource:,}, {record.promoted:,} of {record.arrived:,} trials "
            f"continued, and the rule keeps the best {record.quota:,} in the end: "
            f"{plural(record.wrong, 'early promotion')} proved wrong; for many random trials, "
            f"{number_text(record.law, 3)} are expected."
        )
    sentences += [
        f"The order of trials at {unit} {record.resource:,} says little about the next rung (rank "
        f"correlation {record.correlation:.2f} over {record.pairs:,} trials): a higher "
        "min_resource may choose better."
        for record in records
        if _says_little(record)
    ]
    return sentences


def audit_figure(audit: Audit, *, unit: str) -> Figure:
    """Return a figure with a bar for each rung. The parts of a bar are the rightly promoted trials,
    the wrongly promoted trials, and the other trials.
    """
    records = audit.records()
    if not any(record.arrived for record in records):
        return Figure(notes=["no trial has a result"])
    bars = [
        (
            Look("promoted, rightly", GREEN),
            [max(0, record.promoted - _bad(record)) for record in records],
        ),
        (
            Look("promoted, wrong in hindsight", ORANGE, "/"),
            [_bad(each) - len(each.unexplained) for each in records],
        ),
        (
            Look("promoted outside the quota", RED, "x"),
            [len(record.unexplained) for record in records],
        ),
        (
            Look("not promoted", BLUE),
            [max(0, record.arrived - record.promoted) for record in records],
        ),
    ]
    return Figure(
        x=Axis(
            name="trials", high=1.05 * max(record.arrived for record in records), written="count"
        ),
        y=choice_axis(f"trained to {unit}", [f"{record.resource:,}" for record in records]),
        series=stacked_bars([bar for bar in bars if any(bar[1])], range(len(records))),
    )


def _bad(record: RungAudit) -> int:
    return max(record.wrong, len(record.unexplained))


def _says_little(record: RungAudit) -> bool:
    correlation = record.correlation
    is_enough = record.pairs >= ENOUGH_PAIRS
    return correlation is not None and is_enough and correlation < LOW_CORRELATION
