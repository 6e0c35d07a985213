"""The views that are computed when the page or an assistant asks for them: importance, slices,
parallel, contour, front, audit, what-if, report and single sections.

A view is made for one question, reads the analyses that it needs, and gives the answer. Decision 87
(docs/decisions/0087-one-protocol-of-views.md) says how views differ from parts and sections.

Rule: an answer has at most about 4,000 numbers, even if the study has very many trials.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from ashtune._src.analysis.advice import advice_of
from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.hyperparameters import hyperparameters
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.option import checked, options_of
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.dashboard.page_messages import WHAT_IF, BadQuestion, check_choice
from ashtune._src.dashboard.parts.part import short
from ashtune._src.driver.study_options import WhatIfOptions
from ashtune._src.figures.best_figure import front_figure
from ashtune._src.figures.contour_figure import POINTS as CONTOUR_POINTS
from ashtune._src.figures.contour_figure import contour, contour_figure
from ashtune._src.figures.figure_columns import Configuration
from ashtune._src.figures.importance_figure import importance_figure, importance_of, important
from ashtune._src.figures.parallel_figure import HYPERPARAMETERS, coordinates_figure
from ashtune._src.figures.slice_figure import slices
from ashtune._src.figures.whatif_figure import whatif_figure
from ashtune._src.reports.audit_view import audit_findings
from ashtune._src.reports.html import PageSection
from ashtune._src.reports.report import one_section, page_sections, sections
from ashtune._src.reports.view import Parameters, View

MOST_NUMBERS = 4_000
POINTS = 160
"""The largest number of trials in a slice."""
MOST_LINES = 300
REPLAYED = 100_000
"""The total number of trials that a what-if replays. This takes about five seconds."""
MOST_DRAWS = 10
TRIED_BY_A_DEADLINE = 20
"""The approximate number of worker counts that a deadline question tries."""


class AskedView(View):
    """The base class of the views that are made for one question.

    Args:
        study: The study.
        given: The parameters of the question. The names of all parameters are in ``parameters``.
    """

    parameters: ClassVar[Sequence[str]] = ()

    def __init__(self, study: StudyReader, given: Parameters) -> None:
        super().__init__(study)
        self.given = given

    def last(self, name: str) -> str:
        """Return the last text given for a parameter, or ""."""
        return self.given.get(name, ("",))[-1]

    @property
    def hyperparameters(self) -> list[str]:
        """The names of the study's hyperparameters."""
        return [each.name for each in hyperparameters(self.study.settings.space)]

    @property
    def valued(self) -> tuple[Results, Configuration, Mapping[str, object]]:
        """The results, configurations and space of the study.

        The user may choose another objective than the first. The results of another objective need
        one more reading of the journal, without the scheduler.

        """
        results, configuration, space = self.study.configured
        name = self.last("metric")
        if not name:
            return results, configuration, space
        modes = {each.metric: each.mode for each in results.goal.objectives}
        check_choice("metric", name, modes)
        own = Results(Goal(name, modes[name], constraints=results.goal.constraints))
        self.study.read([own])
        return own, configuration, space


class ImportanceView(AskedView):
    """The importances of the hyperparameters, with their figure."""

    name = "importance"
    needs_result = True

    def value(self) -> Mapping[str, Any]:
        measured = self.study.computed(importance_of)
        return {
            "figure": importance_figure(measured),
            "weights": [
                {"name": each.name, "weight": short(each.share), "error": short(each.deviation)}
                for each in measured.weights
            ],
            "text": measured.words(),
        }


class AdviceView(AskedView):
    """Advice on what to do after the study."""

    name = "advice"
    needs_result = True

    def value(self) -> Mapping[str, Any]:
        advice = self.study.computed(advice_of)
        return {"advice": [{"title": each.title, "text": each.sentence} for each in advice]}


class SlicesView(AskedView):
    """Figures of the metric over hyperparameters: the requested hyperparameters, or the most
    important.
    """

    name = "slices"
    parameters = ("name", "metric")
    needs_result = True

    def value(self) -> Mapping[str, Any]:
        study = self.study
        names = self.given.get("name", ())
        for name in names:
            check_choice("name", name, self.hyperparameters)
        points = POINTS
        most_important: Sequence[str] = ()
        if names:
            points = min(POINTS, MOST_NUMBERS // (4 * len(names)))
        else:
            most_important = important(study)
        found = slices(
            *self.valued, important=most_important, names=names, rungs=study.ladder.rungs,
            points=points, unit=study.unit,
        )  # fmt: skip
        return {"panels": found.panels, "colors": found.colors, "notes": found.notes}


class ParallelView(AskedView):
    """The figure of parallel coordinates: the best trials, and a sample of the other trials."""

    name = "parallel"
    needs_result = True

    def value(self) -> Mapping[str, Any]:
        study = self.study
        axes = len(self.hyperparameters) + 2
        names = important(study) if axes > HYPERPARAMETERS else ()
        lines = min(MOST_LINES, MOST_NUMBERS // (min(axes, HYPERPARAMETERS + 2) + 3))
        figure = coordinates_figure(
            *study.configured, important=names, unit=study.unit, lines=lines
        )
        return {"figure": figure}


class ContourView(AskedView):
    """The figure of the metric over two hyperparameters."""

    name = "contour"
    parameters = ("x", "y", "metric")
    needs_result = True

    def value(self) -> Mapping[str, Any]:
        names = [self.last("x"), self.last("y")]
        for axis, name in zip(("x", "y"), names, strict=True):
            check_choice(axis, name, self.hyperparameters)
        if names[0] == names[1]:
            raise BadQuestion(
                f"x and y are both {shown(names[0])}; give two different hyperparameters"
            )
        results, configuration, space = self.valued
        drawn = contour(results, configuration, space, *names)
        if isinstance(drawn, str):
            raise StudyError(drawn)
        cells = len(drawn.x_places) * len(drawn.y_places)
        most = MOST_NUMBERS - 4 * CONTOUR_POINTS
        if cells > most:
            raise StudyError(
                f"{' and '.join(map(shown, names))} need {cells:,} cells, but a map shows "
                f"at most {most:,}; choose other hyperparameters"
            )
        return {"figure": contour_figure(drawn, results.goal, unit=self.study.unit)}


class FrontView(AskedView):
    """The figure of the Pareto front."""

    name = "front"
    needs_result = True

    def value(self) -> Mapping[str, Any]:
        study = self.study
        others = MOST_NUMBERS // 8
        figure = front_figure(study.tally.front, study.results, unit=study.unit, others=others)
        return {"figure": figure}


class AuditView(AskedView):
    """The audit of the promotions: sentences, and the numbers of each rung."""

    name = "audit"

    def value(self) -> Mapping[str, Any]:
        study = self.study
        study.read_for([Audit, Tally, Trials])  # in one reading
        audit = study.analysis(Audit)
        expected = study.expected
        return {
            "text": audit_findings(audit, unit=study.unit),
            "rungs": [
                {
                    **msgspec.structs.asdict(record),
                    "expected": None if expected is None else expected[record.rung].text,
                    "unexplained": len(record.unexplained),
                }
                for record in audit.records()
            ],
            "notes": [one_line(note) for note in study.outcome.notes_with(study.tally)],
        }


class WhatIfView(AskedView):
    """Predicted times with other settings, or a number of workers if a deadline is given."""

    name = WHAT_IF
    parameters = ("workers", "reduction_factor", "deadline")

    def value(self) -> Mapping[str, Any]:
        from ashtune._src.dashboard.whatif_page import WORKERS, what_if

        asked = self._asked()
        workers = TRIED_BY_A_DEADLINE
        if "deadline" not in asked:
            workers = len(asked.get("workers", WORKERS))
        choices = (workers + 1) * len(asked.get("reduction_factor", (1,)))
        there = len(self.study.trials)
        # A larger study is predicted from its first trials, with fewer draws, so that an answer
        # takes seconds.
        trials = min(there, max(2, 2 * REPLAYED // choices))
        draws = max(0, min(MOST_DRAWS, REPLAYED // (max(1, trials) * choices) - 1))
        if trials < there:
            asked["trials"] = trials
        try:
            options = checked(WhatIfOptions, {**asked, "draws": draws})
        except SettingsError as error:
            raise BadQuestion(str(error)) from None
        answer = what_if(self.study, options)
        words = list(answer.words)
        if trials < there:
            words.insert(
                0,
                f"Predicted for only the first {trials:,} of {there:,} trials, so that the answer "
                "takes only seconds.",
            )
        predictions = [
            {**msgspec.to_builtins(one), "figure": whatif_figure([one])}
            for one in answer.predictions
        ]
        return {"predictions": predictions, "text": words}

    def _asked(self) -> dict[str, Any]:
        """Return the settings in the question, parsed from text."""
        asked = {}
        options = options_of(WhatIfOptions)
        for name in self.parameters:
            text = self.last(name)
            read = options[name][1].parse
            if text and read is not None:
                try:
                    asked[name] = read(text)
                except (ValueError, OverflowError) as error:
                    raise BadQuestion(f"{name}={shown(text)}: {error}") from None
        return asked


def report_sections(study: StudyReader) -> Sequence[PageSection]:
    """Return the sections of the report: see :func:`page_sections`."""
    _find_missing_parts(study)
    return page_sections(study)


class ReportView(AskedView):
    """The sections of the report that have blocks, including the sections of installed packages."""

    name = "report"

    def value(self) -> Mapping[str, Any]:
        return {"sections": self.study.computed(report_sections)}


class SectionView(AskedView):
    """One section of the report, as text and as data.

    A language model reads text and data better than blocks.
    """

    name = "section"
    parameters = ("name",)

    def value(self) -> Mapping[str, Any]:
        name = self.last("name")
        check_choice("name", name, sections())
        _find_missing_parts(self.study)
        return one_section(self.study, name)


def _find_missing_parts(study: StudyReader) -> None:
    from ashtune._src.driver.environment import missing_parts  # imports every engine

    study.missing_parts = missing_parts(study)


ASKED: Mapping[str, type[AskedView]] = {
    kind.name: kind
    for kind in (
        AdviceView,
        ImportanceView,
        SlicesView,
        ParallelView,
        ContourView,
        FrontView,
        AuditView,
        WhatIfView,
        ReportView,
        SectionView,
    )
}
"""All asked views, by name. The server takes the names from ``page_messages``, without imports."""
