"""Tables, lines and sentences that several views of a study share.

Tables have bold titles and no borders. Lines have one of five styles.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ashtune._src.core.numbers import number_text, plural, result_text, shortened, value_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from ashtune._src.analysis.counts import BestResult, Reasons
    from ashtune._src.analysis.tally import Tally
    from ashtune._src.analysis.trials import TrialRecord

INDENT = "  "
HEADING, QUIET, GOOD, BAD, WARNING = "bold", "bright_black", "bold green", "red", "yellow"
REASON_CHARACTERS = 200


def bare_table(*, gap: int = 2, has_footer: bool = False) -> "Table":
    """Return an empty table without borders.

    Args:
        gap: Characters between two columns.
        has_footer: Whether the columns' footers, for example sums, are shown in bold below the last row.
    """
    from rich.table import Table

    return Table(
        box=None,
        header_style="bold",
        footer_style="bold",
        show_footer=has_footer,
        pad_edge=False,
        padding=(0, gap, 0, 0),
    )


def trials_table(
    records: "Sequence[TrialRecord]", columns: Mapping[str, Sequence[str]], resources: Sequence[int], *, unit: str
) -> "Table":
    """Return a table of trials: number, the given ``columns``, resource, seconds, configuration and origin.

    Args:
        records: The trials.
        columns: The texts of further columns, by title.
        resources: For each trial, the resource at which the values in ``columns`` were measured.
        unit: What the resource counts, in the singular.
    """
    from rich.text import Text

    names = list(dict.fromkeys(name for record in records for name in record.configuration))
    table = bare_table()
    for column in ("trial", *columns, unit, "seconds", *names, "origin"):
        table.add_column(Text(column))
    for record, resource, *texts in zip(records, resources, *columns.values(), strict=True):
        values = [value_text(record.configuration.get(name, "")) for name in names]
        cells = [str(record.number), *texts, f"{resource:,}", f"{record.seconds:.2f}", *values, record.origin]
        table.add_row(*map(Text, cells))
    return table


def line(text: str, style: str = "") -> "Text":
    """Return a line of text without markup."""
    from rich.text import Text

    return Text(text, style)


def indented(what: "RenderableType", times: int = 1) -> "RenderableType":
    """Return a rich object that shows ``what`` with all its lines indented."""
    from rich.padding import Padding

    return Padding(what, (0, 0, 0, times * len(INDENT)))


def place_of_best(tally: "Tally", best: "BestResult", *, unit: str) -> str:
    """Return a text with the best result's rung and trial: ``at epoch 81, the top rung (trial 5)``."""
    goal, top = tally.goal, "the top rung" if best.rung == tally.ladder.top else "the highest rung reached"
    named = ", the named winner" if tally.confirmed is not None else ""
    chosen = (", by the weights, of the front" if goal.weights else ", the knee of the front") if goal.others else ""
    violates = "; no trial is feasible, and this one violates the constraints least" if best.violation else ""
    return f"at {unit} {best.resource:,}, {top} (trial {best.trial}{named}){chosen}{violates}"


def compared_with_first(tally: "Tally", *, unit: str) -> str:
    """Return a sentence that compares the best trial with the first enqueued configuration at the same resource.

    If no configuration was enqueued when the study was created, or if no trial has a result, return "".
    """
    results, goal, who = tally.first_enqueued, tally.goal, "your first configuration (trial 0)"
    if (best := tally.best) is None or results is None:
        return ""
    if not results:
        return f"{who.capitalize()} has no result."
    first = results.get(best.rung) or results[max(results)]
    where = f"at {unit} {first.resource:,}"
    if first.rung != best.rung:
        rung = tally.rungs[first.rung]
        best = rung.result_of(best.trial) or rung.best or first
        where += ", the most that trial 0 has reached"
    violates = ", and violates the constraints" if first.violation else ""
    if best.trial == first.trial:
        return f"{who.capitalize()} is the best {where}: {result_text(goal, first.metrics, 6)}{violates}."
    if not goal.is_plain:
        ours, yours = (result_text(goal, each.metrics, 6) for each in (best, first))
        return f"Trial {best.trial} has {ours} {where}; {who} has {yours}{violates}."
    gain = first.loss - best.loss
    is_better = f"{'better' if gain > 0 else 'worse'} than {who} by {number_text(abs(gain), 3)}"
    ours, yours = (number_text(goal.value(each.loss), 6) for each in (best, first))
    values = f"{goal.metric} = {ours} against {yours} {where}"
    if gain < 0 and tally.confirmed is not None:
        values += ", by their first results; the repetitions chose the winner"
    return f"Trial {best.trial} is {is_better if gain else f'as good as {who}'}: {values}."


def why_no_result(tally: "Tally") -> str:
    """Return a text about failed trials, or about withdrawn trials if there are more, with the most frequent reason."""
    text = max(
        (tally.failures.total, most_frequent(tally.failures, "trial", "failed")),
        (tally.withdrawals.total, most_frequent(tally.withdrawals, "trial", "withdrawn")),
    )[1]
    return text or "no trial reported"


def most_frequent(reasons: "Reasons", noun: str, what: str) -> str:
    """Return a text with the number of cases and the most frequent reason: ``12 trials failed, 9 of them with ...``."""
    if not reasons.total:
        return ""
    most = reasons.groups()[0]
    of_them = "" if most.count == reasons.total else f", {most.count:,} of them"
    return f"{plural(reasons.total, noun)} {what}{of_them} with {shortened(most.reason, REASON_CHARACTERS)}"
