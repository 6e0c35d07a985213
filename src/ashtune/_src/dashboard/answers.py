"""The answer process computes slow answers: importance, slices, parallel, contour, front, audit,
what-if and report.

Questions and answers go through pipes (``dashboard/questions.py``). The process reads the study
with the same code as the report. No code of the study is executed.

Rule 1: if the answer process dies during a question, the page's server starts a new process for the
next question.
Rule 2: an answer has at most about 4,000 numbers, even if the study has very many trials.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.hyperparameters import hyperparameters
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.trials import Trials
from ashtune._src.core import parse
from ashtune._src.core.errors import AshtuneError, SettingsError, StudyError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.option import checked
from ashtune._src.core.plaintext import error_line, one_line, shown
from ashtune._src.dashboard.page_messages import (
    NAMES,
    BadQuestion,
    PageAnswer,
    Question,
    TrialQuestion,
    check_choice,
    check_parameters,
)
from ashtune._src.dashboard.parts.part import short
from ashtune._src.dashboard.trial_page import trial_pages
from ashtune._src.driver.study_options import WhatIfOptions
from ashtune._src.figures.best_figure import front_figure
from ashtune._src.figures.contour_figure import POINTS as CONTOUR_POINTS
from ashtune._src.figures.contour_figure import contour, contour_figure
from ashtune._src.figures.figure_columns import Configuration
from ashtune._src.figures.importance_figure import (
    importance_figure,
    importance_of,
    important,
)
from ashtune._src.figures.parallel_figure import HYPERPARAMETERS, coordinates_figure
from ashtune._src.figures.slice_figure import slices
from ashtune._src.figures.whatif_figure import whatif_figure
from ashtune._src.processes.child import serve
from ashtune._src.processes.frames import FrameWriter
from ashtune._src.reports.audit_view import audit_findings
from ashtune._src.reports.html import PageSection
from ashtune._src.reports.report import page_sections

NICE = 10
LARGE = 200_000
"""The number of trials above which a study is removed from memory after each answer."""
Parameters = Mapping[str, Sequence[str]]
"""The parameters of a question."""
MOST_NUMBERS = 4_000
POINTS = 160
"""The largest number of trials in a slice."""
MOST_LINES = 300
REPLAYED = 100_000
"""The total number of trials that a what-if replays, which takes about five seconds."""
MOST_DRAWS = 10
TRIED_BY_A_DEADLINE = 20
"""The approximate number of worker counts that a deadline question tries."""


def importance_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the importances of the hyperparameters, with their figure."""
    measured = study.computed(importance_of)
    return {
        "figure": importance_figure(measured),
        "weights": [
            {"name": each.name, "weight": short(each.share), "error": short(each.deviation)}
            for each in measured.weights
        ],
        "explained": short(measured.r2) if measured.weights else None,
        "is_meaningful": measured.is_meaningful,
        "text": measured.words(),
        "results": measured.trials,
    }


def slices_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return figures of the metric over hyperparameters: the requested hyperparameters, or the most
    important.
    """
    names = given.get("name", ())
    for name in names:
        check_choice("name", name, _known(study))
    found = slices(
        *_valued(study, given), important=() if names else important(study), names=names,
        rungs=study.ladder.rungs,
        points=min(POINTS, MOST_NUMBERS // (4 * len(names))) if names else POINTS,
        unit=study.unit,
    )  # fmt: skip
    return {"panels": found.panels, "colors": found.colors, "notes": found.notes}


def parallel_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the figure of parallel coordinates: the best trials, and a
    sample of the other trials.
    """
    unit = study.unit
    axes = len(_known(study)) + 2
    names = important(study) if axes > HYPERPARAMETERS else ()
    lines = min(MOST_LINES, MOST_NUMBERS // (min(axes, HYPERPARAMETERS + 2) + 3))
    return {
        "figure": coordinates_figure(*study.configured, important=names, unit=unit, lines=lines)
    }


def contour_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the figure of the metric over two hyperparameters."""
    names = [given.get(end, ("",))[-1] for end in ("x", "y")]
    for end, name in zip(("x", "y"), names, strict=True):
        check_choice(end, name, _known(study))
    if names[0] == names[1]:
        raise BadQuestion(f"x and y are both {shown(names[0])}; give two different hyperparameters")
    results, configuration, space = _valued(study, given)
    drawn = contour(results, configuration, space, *names)
    if isinstance(drawn, str):
        raise StudyError(drawn)
    cells = len(drawn.x_places) * len(drawn.y_places)
    most = MOST_NUMBERS - 4 * CONTOUR_POINTS
    if cells > most:
        raise StudyError(
            f"{' and '.join(map(shown, names))} need {cells:,} cells, but a map shows at most "
            f"{most:,}; choose other hyperparameters"
        )
    return {"figure": contour_figure(drawn, results.goal, unit=study.unit)}


def front_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the figure of the Pareto front."""
    others = MOST_NUMBERS // 8
    return {
        "figure": front_figure(study.tally.front, study.results, unit=study.unit, others=others)
    }


def audit_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the audit of the promotions: sentences, and the numbers of each rung."""
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


def report_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the sections of the report that have blocks, among them the sections of installed
    packages.
    """
    return {"sections": study.computed(report_sections)}


def report_sections(study: StudyReader) -> Sequence[PageSection]:
    """Return the sections of the report: see :func:`page_sections`."""
    from ashtune._src.driver.environment import missing_parts  # imports every engine

    study.missing_parts = missing_parts(study)
    return page_sections(study)


def whatif_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return predicted times with other settings, or a number of workers if a deadline is given."""
    from ashtune._src.dashboard.whatif_page import WORKERS, what_if

    asked: dict[str, Any] = {}
    for name, read in _READ.items():
        if text := given.get(name, ("",))[-1]:
            try:
                asked[name] = read(text)
            except (ValueError, OverflowError) as error:
                raise BadQuestion(f"{name}={shown(text)}: {error}") from None
    workers = len(asked.get("workers", WORKERS)) if "deadline" not in asked else TRIED_BY_A_DEADLINE
    choices = (workers + 1) * len(asked.get("reduction_factor", (1,)))
    there = len(study.trials)
    trials = min(there, max(2, 2 * REPLAYED // choices))
    draws = max(0, min(MOST_DRAWS, REPLAYED // (max(1, trials) * choices) - 1))
    if trials < there:
        asked["trials"] = trials
    try:
        options = checked(WhatIfOptions, {**asked, "draws": draws})
    except SettingsError as error:
        raise BadQuestion(str(error)) from None
    answer = what_if(study, options)
    words = list(answer.words)
    if trials < there:
        words.insert(
            0,
            f"Predicted for only the first {trials:,} of {there:,} trials, so that the answer "
            "takes only seconds.",
        )
    figures = [whatif_figure([one]) for one in answer.predictions]
    predictions = [
        {**msgspec.to_builtins(one), "figure": each}
        for one, each in zip(answer.predictions, figures, strict=True)
    ]
    return {"predictions": predictions, "text": words}


_READ: Mapping[str, Callable[[str], Any]] = {
    "workers": parse.whole_numbers, "reduction_factor": parse.factors, "deadline": parse.seconds,
}  # fmt: skip


class _Kind(msgspec.Struct, frozen=True):
    """A kind of question: its answer function, its parameters, and whether the study must have a
    result.
    """

    answer: Callable[[StudyReader, Parameters], dict[str, Any]]
    parameters: Sequence[str] = ()
    needs_result: bool = True


_KINDS = dict(
    zip(
        NAMES,
        (
            _Kind(importance_answer),
            _Kind(slices_answer, ("name", "metric")),
            _Kind(parallel_answer),
            _Kind(contour_answer, ("x", "y", "metric")),
            _Kind(front_answer),
            _Kind(audit_answer, needs_result=False),
            _Kind(whatif_answer, tuple(_READ), needs_result=False),
            _Kind(report_answer, needs_result=False),
        ),
        strict=True,
    )
)


class StudyCache:
    """Keeps the last study in memory. If several questions are about the same study, the journal is
    read only once.

    If ``only`` is given, all questions are about this study.
    """

    def __init__(self, only: StudyReader | None = None) -> None:
        self._only = only
        self._known: tuple[str, int] | None = None
        self._reader: StudyReader | None = None

    def reader(self, directory: str, position: int) -> StudyReader:
        """Return the reader of a study whose journal has ``position`` bytes.

        Raises:
            JournalError: If there is no journal.
        """
        if self._only is not None:
            return self._only
        if self._reader is None or self._known != (directory, position):
            self._reader = None  # two large studies would not fit into memory
            self._reader = StudyReader(Path(directory))
            self._known = (directory, position)
        return self._reader

    def clear(self) -> None:
        """Free the memory."""
        self._known = self._reader = None


def answer(question: Question | TrialQuestion, cache: StudyCache) -> PageAnswer:
    """Return the answer to a question. If an error occurs, the answer is a refusal."""
    try:
        if isinstance(question, TrialQuestion):
            (data,) = trial_pages([question])
        else:
            data = _of_study(question, cache)
        return PageAnswer(msgspec.json.encode({**data, "position": question.position}))
    except AshtuneError as error:
        return PageAnswer(refusal=str(error), is_bad=isinstance(error, BadQuestion))
    except MemoryError:
        return PageAnswer(refusal="the answer needs more memory than this machine has")
    except Exception as error:  # noqa: BLE001 - a study may be made to break what reads it
        return PageAnswer(refusal=f"the answer cannot be computed: {error_line(error)}")


def _of_study(question: Question, cache: StudyCache) -> dict[str, Any]:
    kind = _KINDS[question.name]
    study = cache.reader(question.directory, question.position)
    check_parameters(question.given, kind.parameters)
    if kind.needs_result and not any(
        min(rung.losses, default=math.inf) < math.inf for rung in study.results.rungs
    ):
        raise StudyError("no trial has a result yet")
    data = kind.answer(study, question.given)
    if len(study.trials) > LARGE:
        cache.clear()
    return data


def main() -> None:
    """Answer questions from the process's input until the input ends."""
    os.nice(NICE)
    cache = StudyCache()
    write = FrameWriter()
    decoder = msgspec.msgpack.Decoder(Question | TrialQuestion)
    serve(lambda body: write.frame(answer(decoder.decode(body), cache)))


def _valued(
    study: StudyReader, given: Parameters
) -> tuple[Results, Configuration, Mapping[str, object]]:
    """Return the results, configurations and space of a study. The results may be of another
    objective than the first.

    The results of another objective take one more reading of the journal, without the scheduler.
    """
    results, configuration, space = study.configured
    if not (name := given.get("metric", ("",))[-1]):
        return results, configuration, space
    modes = {each.metric: each.mode for each in results.goal.objectives}
    check_choice("metric", name, modes)
    own = Results(Goal(name, modes[name], constraints=results.goal.constraints))
    study.read([own])
    return own, configuration, space


def _known(study: StudyReader) -> list[str]:
    return [each.name for each in hyperparameters(study.settings.space)]
