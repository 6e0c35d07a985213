"""Report sections about results: the best trial, the Pareto front, confirmation, and advice on the
next study.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

from ashtune._src.analysis.advice import advice_of
from ashtune._src.analysis.confirmed_winner import Confirmed
from ashtune._src.analysis.counts import BestResult
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.numbers import number_text, plural, seconds_text, value_text
from ashtune._src.figures.best_figure import sorted_front
from ashtune._src.reports import html
from ashtune._src.reports.sentences import (
    compared_with_first,
    margin_text,
    no_result_sentence,
    place_of_best,
)
from ashtune._src.reports.tables import BAD, GOOD, HEADING, INDENT, QUIET, line, numbers_table
from ashtune._src.reports.view import Section

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = 15
LINES = 8
"""A terminal shows at most this many results of the front."""
DIGITS = 5
NOISELESS = "Every repetition has the same value as the first training:  "


class BestSection(Section):
    """The report section of the best result, its configuration, and the best trials."""

    name = "best"
    title = "What was found"
    uses = ("tally", "trials", "results")
    shows_live = True

    def lines(self) -> "Iterator[Text]":
        tally = self.study.tally
        goal = self.study.goal
        best = tally.best
        if best is None:
            yield line(no_result_sentence(tally), BAD)
            return
        first = line("").append("best  ", HEADING).append(tally.result_text(best.metrics), GOOD)
        yield first.append(f" {place_of_best(tally, best, unit=self.study.unit)}")
        yield from self._configuration(best)
        margin = margin_text(tally)
        if margin:
            yield line(INDENT + margin, QUIET)
        others = {
            name: number_text(value)
            for name, value in best.metrics.items()
            if name not in goal.metrics
        }
        if others:
            yield line(
                INDENT + "with " + ", ".join(f"{name} = {value}" for name, value in others.items()),
                QUIET,
            )
        anywhere = tally.best_at_any_rung
        if _is_better(anywhere, best):
            yield line("")
            where = f"at {self.study.unit} {anywhere.resource:,} (trial {anywhere.trial})"
            value = tally.result_text(anywhere.metrics)
            yield line("").append("best at any rung  ", HEADING).append(f"{value} {where}")
            if anywhere.trial != best.trial:
                yield from self._configuration(anywhere)
        compared = compared_with_first(tally, unit=self.study.unit)
        if compared:
            yield line("")
            yield line(compared)

    def value(self) -> Mapping[str, Any]:
        compared = compared_with_first(self.study.tally, unit=self.study.unit)
        return {"first_enqueued": compared} if compared else {}

    def _configuration(self, best: BestResult) -> "Iterator[Text]":
        configuration = self.study.configuration(best.trial)
        longest = max(map(len, configuration), default=0)
        for name, value in configuration.items():
            shown = number_text(value, digits=6) if type(value) is float else value_text(value)
            yield line(f"{INDENT}{name:<{longest}}  {shown}")


def _is_better(anywhere: BestResult | None, best: BestResult) -> TypeGuard[BestResult]:
    """Return whether ``anywhere``, the best result at any rung, is better than ``best``. If a study
    has several objectives, return False.
    """
    return anywhere is not None and not best.losses and anywhere.loss < best.loss


class FrontSection(Section):
    """The report section of the Pareto front. If a study has only one objective, the section is
    empty.
    """

    name = "front"
    title = "The front"
    uses = ("tally", "trials", "results")

    def lines(self) -> "Iterator[Text]":
        row = self._row
        if not row:
            return
        what = (
            f"{plural(len(row), 'result')} at {self.study.unit} {row[0].resource:,} that no other "
            "result there dominates"
        )
        yield line("").append("front  ", HEADING).append(what)
        for best in row[:LINES]:
            yield line(
                f"{INDENT}{self.study.tally.result_text(best.metrics)}  (trial {best.trial})"
            )
        if len(row) > LINES:
            yield line(f"{INDENT}and {len(row) - LINES:,} more", QUIET)

    def value(self) -> Mapping[str, Any]:
        if not self.study.goal.others:
            return {}
        return {"front": [result_data(best, self.study) for best in self._row]}

    @property
    def _row(self) -> list[BestResult]:
        if not self.study.goal.others:
            return []
        return list(sorted_front(self.study.tally.front))


def result_data(best: BestResult, study: StudyReader) -> dict[str, Any]:
    """Return a result with its configuration, for JSON."""
    return {
        "trial": best.trial,
        "rung": best.rung,
        "resource": best.resource,
        "metrics": best.metrics,
        "configuration": dict(study.configuration(best.trial)),
    }


class ConfirmedSection(Section):
    """The report section of confirmation: the winner, and all metric values of the confirmed
    configurations.
    """

    name = "confirmed"
    title = "What was confirmed"
    uses = ("tally",)
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        confirmed = self.study.tally.confirmed
        if confirmed is None:
            yield html.words(self._unfinished_confirmation())
            return
        yield html.words(*self._sentences(confirmed))
        if confirmed.is_noiseless:
            unused = "training function does not use trial.seed"
            if self.study.tally.is_program:
                unused = "program does not use {seed}"
            yield html.words(f"{NOISELESS}the {unused}.", is_bad=True)
        yield html.table(_confirmed_table(confirmed))

    def value(self) -> dict[str, Any]:
        confirmed = self.study.tally.confirmed
        named: dict[str, Any] = {}
        if confirmed is not None:
            named = msgspec.to_builtins(confirmed)
        return named

    def _unfinished_confirmation(self) -> str:
        """Return a sentence if confirmation runs and has no winner yet. If confirmation has not
        begun, return "".
        """
        count = len(self.study.tally.confirmations.of)
        if not count:
            return ""
        return f"{plural(count, 'repetition')} of the best trials began; no winner is named yet"

    def _sentences(self, confirmed: Confirmed) -> Iterator[str]:
        metric = self.study.goal.metric
        times = len(confirmed.values)
        mean = f"{metric} {number_text(confirmed.mean, DIGITS)} on average over seeds"
        if confirmed.low is not None and confirmed.high is not None:
            low = number_text(confirmed.low, DIGITS)
            high = number_text(confirmed.high, DIGITS)
            mean += f", with {confirmed.level:.0%} confidence from {low} to {high}"
        yield f"The named winner is trial {confirmed.trial}: {mean}."
        yield (
            f"{plural(len(confirmed.all), 'configuration')} trained again with "
            f"{plural(times, 'other seed')} each; the first values are too good on average, "
            "because the configurations were chosen by these values."
        )
        trainings = self.study.tally.confirmations
        yield (
            f"These trainings took {seconds_text(trainings.seconds)} and {trainings.epochs:,} "
            f"{self.study.unit}s; they count in the time of their rung, but not in the number of "
            "trials."
        )
        if confirmed.low is None:
            yield "One repetition is too few for an interval; more seeds give an interval."


def _confirmed_table(confirmed: Confirmed) -> "Table":
    from rich.text import Text

    table = numbers_table("trial", "first", "repeated", "mean", texts="repeated")
    for one in confirmed.all:
        values = ", ".join(
            "failed" if value is None else number_text(value, DIGITS) for value in one.values
        )
        mean = "-" if one.mean is None else number_text(one.mean, DIGITS)
        table.add_row(*map(Text, (str(one.trial), number_text(one.first, DIGITS), values, mean)))
    return table


class AdviceSection(Section):
    """The report section of advice: ranges to widen in the next study."""

    name = "advice"
    title = "What next?"
    uses = ("tally", "trials")
    needs_result = True

    def blocks(self) -> Iterator[html.Block]:
        yield html.words(*(each.sentence for each in self.study.computed(advice_of)))

    def value(self) -> Mapping[str, Any]:
        advice = msgspec.to_builtins(self.study.computed(advice_of))
        return {"advice": advice} if advice else {}
