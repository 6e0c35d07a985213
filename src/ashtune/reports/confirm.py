"""What was confirmed: the best configurations trained once more, and the named winner with its mean."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.confirm import Confirmed
from ashtune.core.numbers import number_text, plural, seconds_text
from ashtune.reports.page import html
from ashtune.reports.sections import Section
from ashtune.reports.tables import GOOD, HEADING, WARNING, bare_table, indented, line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

DIGITS = 5
NOISELESS = "Every repeated value is the first one again: "


class ConfirmedSection(Section):
    """The named winner, and every value that it was named by."""

    name, title = "confirmed", "What was confirmed"
    uses = ("tally",)
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        if (confirmed := self.study.tally.confirmed) is not None:
            yield html.words(*self._sentences(confirmed))
            yield html.table(_table(confirmed))
        elif left := self._left():
            yield html.words(left)

    def lines(self) -> "Iterator[RenderableType]":
        if (confirmed := self.study.tally.confirmed) is not None:
            first, *others = self._sentences(confirmed)
            yield line("").append("confirmed  ", HEADING).append(first, GOOD)
            yield from (indented(line(other, WARNING if other.startswith(NOISELESS) else "")) for other in others)
            yield indented(_table(confirmed))
        elif left := self._left():
            yield line(left)

    def data(self) -> dict[str, Any]:
        if (confirmed := self.study.tally.confirmed) is None:
            return {}
        named: dict[str, Any] = msgspec.to_builtins(confirmed)
        return named

    def _left(self) -> str:
        """Say that some were confirmed, and no winner can be named yet."""
        count = len(self.study.tally.confirmations)
        return f"{plural(count, 'training')} to confirm the best, no winner is named yet" if count else ""

    def _sentences(self, confirmed: Confirmed) -> Iterator[str]:
        metric, times = self.study.goal.metric, len(confirmed.values)
        mean = f"{metric} {number_text(confirmed.mean, DIGITS)} on average over seeds"
        if confirmed.low is not None and confirmed.high is not None:
            low, high = number_text(confirmed.low, DIGITS), number_text(confirmed.high, DIGITS)
            mean += f", with {confirmed.level:.0%} confidence from {low} to {high}"
        yield f"The named winner is trial {confirmed.trial}: {mean}."
        yield (
            f"{plural(len(confirmed.all), 'configuration')} trained once more with {plural(times, 'other seed')} each; "
            "first values flatter, as the configurations were chosen for them."
        )
        trainings = self.study.tally.confirmations
        yield (
            f"These trainings took {seconds_text(trainings.seconds)} and {trainings.epochs:,} {self.study.unit}s, "
            "which no count of the search includes; the time of their rung does."
        )
        if confirmed.low is None:
            yield "One more value says nothing of the noise: more seeds give an interval."
        if confirmed.is_noiseless:
            is_program = self.study.tally.is_program
            unused = "program does not use {seed}" if is_program else "training function does not use trial.seed"
            yield f"{NOISELESS}the {unused}."


def _table(confirmed: Confirmed) -> "Table":
    from rich.text import Text

    table = bare_table()
    for name in ("trial", "first", "repeated", "mean"):
        table.add_column(Text(name), justify="left" if name == "repeated" else "right")
    for one in confirmed.all:
        values = ", ".join("failed" if value is None else number_text(value, DIGITS) for value in one.values)
        mean = "-" if one.mean is None else number_text(one.mean, DIGITS)
        table.add_row(*map(Text, (str(one.trial), number_text(one.first, DIGITS), values, mean)))
    return table
