"""What was found: the best trials, how the best result came about, and the learning curves."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from ashtune.analysis.counts import BestResult
from ashtune.analysis.tally import Tally
from ashtune.core.jobs import Goal
from ashtune.core.numbers import number_text, plural, result_text, shortened, value_text
from ashtune.reports.figures.curves import curves_figure
from ashtune.reports.figures.progress import BestSoFar, best_over_resource_figure, best_over_time_figure
from ashtune.reports.page import html
from ashtune.reports.sections import ReportedStudy, Section
from ashtune.reports.tables import BAD, GOOD, HEADING, INDENT, QUIET, WARNING, line, trials_table

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = 15
REASON_CHARACTERS = 200


class BestSection(Section):
    """The best result and its configuration, and the trials that came farthest."""

    name, title = "best", "What was found"
    uses = ("tally", "trials", "results")
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        tally, unit, goal = self.study.tally, self.study.unit, self.study.goal
        best, anywhere = tally.best, tally.best_at_any_rung
        if best is None:
            yield html.words(no_result_sentence(tally), style="bad")
            return
        sentences = [best_sentence(tally, best, unit=unit)]
        if _is_better(anywhere, best):
            sentences.append(
                f"Best at any rung: {number_text(anywhere.metrics.get(goal.metric), 6)} at {unit} "
                f"{anywhere.resource:,}, trial {anywhere.trial}."
            )
        configuration = self.study.configuration(best.trial)
        yield html.words(*sentences)
        yield html.pairs({name: value_text(value) for name, value in configuration.items()})
        yield html.table(self._best_trials())

    def _best_trials(self) -> "Table":
        """Return the trials that came farthest, the best first."""
        trials, metrics = self.study.trials, self.study.goal.metrics
        records = [trials[trial] for _, _, trial in self.study.results.standings()[:SHOWN]]
        columns = {name: [number_text(record.metrics.get(name), 5) for record in records] for name in metrics}
        return trials_table(records, columns, [record.result_resource for record in records], unit=self.study.unit)

    def lines(self) -> "Iterator[Text]":
        tally, info, goal = self.study.tally, self.study.info, self.study.goal
        best, anywhere = tally.best, tally.best_at_any_rung
        if best is None:
            yield line(no_result_sentence(tally), BAD)
            return
        top = ", the top rung" if best.rung == tally.ladder.top else ", the highest rung reached"
        named = ", the named winner" if tally.confirmed is not None else ""
        first = line("").append("best  ", HEADING).append(result_text(goal, best.metrics, 6), GOOD)
        yield first.append(f" at {info.unit} {best.resource:,}{top} (trial {best.trial}{named}){_how_chosen(goal)}")
        if best.violation:
            yield line(INDENT + "no trial is feasible: this one violates the constraints least", WARNING)
        yield from _aligned(self.study.configuration(best.trial))
        others = {name: number_text(value) for name, value in best.metrics.items() if name not in goal.metrics}
        if others:
            yield line(INDENT + "with " + ", ".join(f"{name} = {value}" for name, value in others.items()), QUIET)
        if _is_better(anywhere, best):
            yield line("")
            value = result_text(goal, anywhere.metrics, 6)
            first = line("").append("best at any rung  ", HEADING).append(value, "")
            yield first.append(f" at {info.unit} {anywhere.resource:,} (trial {anywhere.trial})")
            if anywhere.trial != best.trial:
                yield from _aligned(self.study.configuration(anywhere.trial))


def best_sentence(tally: Tally, best: BestResult, *, unit: str) -> str:
    """Say what the best result of a study is, how far its trial was trained, and how it was chosen."""
    goal, top = tally.goal, "the top rung" if best.rung == tally.ladder.top else "the highest rung reached"
    named = ", the named winner" if tally.confirmed is not None else ""
    return (
        f"Best at {top}: {result_text(goal, best.metrics, 6)} at {unit} {best.resource:,}, trial {best.trial}"
        f"{named}{_how_chosen(goal)}{_infeasible(best)}."
    )


def no_result_sentence(tally: Tally) -> str:
    """Say that no trial has a result, and why, if that is known."""
    why = f": {why_no_result(tally)}" if tally.failures.total or tally.withdrawals.total else ""
    return f"No trial has a result{why}."


def why_no_result(tally: Tally) -> str:
    """Say how many trials came to nothing, and why most of them did."""
    reasons = max((tally.failures, tally.withdrawals), key=lambda reasons: reasons.total)
    if not reasons.total:
        return "no trial reported"
    what = "failed" if reasons is tally.failures else "withdrawn"
    most = reasons.groups()[0]
    of_them = "" if most.count == reasons.total else f", {most.count:,} of them"
    reason = shortened(most.reason, REASON_CHARACTERS)
    return f"{plural(reasons.total, 'trial')} {what}{of_them} with {reason}"


def _is_better(anywhere: BestResult | None, best: BestResult) -> TypeGuard[BestResult]:
    """Whether the best result at any rung is better than that at the highest; of several objectives nobody can say."""
    return anywhere is not None and not best.losses and anywhere.loss < best.loss


def _how_chosen(goal: Goal) -> str:
    """Return how one result of several objectives was chosen, if it was."""
    if not goal.others:
        return ""
    return ", by the weights, of the front" if goal.weights else ", the knee of the front"


def _infeasible(best: BestResult) -> str:
    return "; no trial is feasible, and this one violates the constraints least" if best.violation else ""


def _aligned(configuration: Mapping[str, Any]) -> "Iterator[Text]":
    longest = max(map(len, configuration), default=0)
    for name, value in configuration.items():
        shown = number_text(value, digits=6) if type(value) is float else value_text(value)
        yield line(f"{INDENT}{name:<{longest}}  {shown}")


class ProgressSection(Section):
    """The best result so far, over time and over epochs."""

    name, title = "progress", "Best so far"
    uses = ("trials",)
    needs_result = True

    def __init__(self, study: ReportedStudy) -> None:
        super().__init__(study)
        self._best = self.observe(BestSoFar(study.goal))

    def blocks(self) -> Iterator[html.Block]:
        best, unit, origin = self._best, self.study.unit, self.study.trials.origin
        yield html.figures(
            best_over_time=best_over_time_figure(best, unit=unit, origin=origin),
            best_over_resource=best_over_resource_figure(best, unit=unit, origin=origin),
        )


class CurvesSection(Section):
    """The learning curves."""

    name, title = "curves", "Learning curves"
    uses = ("curves", "trials")
    needs_result = True

    def blocks(self) -> Iterator[html.Block]:
        study, rungs = self.study, self.study.ladder.rungs
        figure = curves_figure(study.curves, rungs=len(rungs), unit=study.unit, origin=study.trials.origin)
        if figure.layout.xaxis.type == "log":
            figure.update_xaxes(tickvals=list(rungs))
        yield html.figures(curves=figure)
