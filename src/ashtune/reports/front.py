"""What a study with several objectives found: its front. A study with one has no such section."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ashtune.core.numbers import number_text, plural, result_text
from ashtune.reports.figures.front import front_figure, in_a_row
from ashtune.reports.page import html
from ashtune.reports.sections import Section
from ashtune.reports.tables import HEADING, INDENT, QUIET, line, trials_table

if TYPE_CHECKING:
    from rich.text import Text

LINES = 8
"""Of the front in the terminal."""


class FrontSection(Section):
    """The results that no other dominates, as a figure and as a table."""

    name, title = "front", "The front"
    uses = ("tally", "trials", "results")

    def blocks(self) -> Iterator[html.Block]:
        front, goal = self.study.tally.front, self.study.goal
        if not goal.others or not front:
            return
        row = in_a_row(front)
        more = f" The figure shows the first two of {len(goal.others) + 1} metrics." if len(goal.others) > 1 else ""
        yield html.words(
            f"{plural(len(front), 'result')} at {self.study.unit} {front[0].resource:,} that no other there dominates: "
            f"none is better in one metric and worse in none.{more}"
        )
        yield html.figures(front=front_figure(front, self.study.results, unit=self.study.unit))
        columns = {name: [number_text(best.metrics.get(name), 5) for best in row] for name in goal.metrics}
        records, resources = [self.study.trials[best.trial] for best in row], [best.resource for best in row]
        yield html.table(trials_table(records, columns, resources, unit=self.study.unit))

    def lines(self) -> "Iterator[Text]":
        goal, row = self.study.goal, in_a_row(self.study.tally.front)
        if not goal.others or not row:
            return
        yield (
            line("")
            .append("front  ", HEADING)
            .append(
                f"{plural(len(row), 'result')} at {self.study.unit} {row[0].resource:,} that no other there dominates"
            )
        )
        for best in row[:LINES]:
            yield line(f"{INDENT}{result_text(goal, best.metrics)}  (trial {best.trial})")
        if len(row) > LINES:
            yield line(f"{INDENT}and {len(row) - LINES:,} more", QUIET)

    def data(self) -> Mapping[str, Any]:
        if not self.study.goal.others:
            return {}
        return {
            "front": [
                {
                    "trial": best.trial,
                    "rung": best.rung,
                    "resource": best.resource,
                    "metrics": best.metrics,
                    "configuration": dict(self.study.configuration(best.trial)),
                }
                for best in in_a_row(self.study.tally.front)
            ]
        }
