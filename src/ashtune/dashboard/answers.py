"""The process that works out what takes seconds: what mattered, slices, contours, coordinates, the audit, what-if.

Questions come and answers go through pipes (:mod:`ashtune.dashboard.questions`). The study is read anew with the code
of the report. Nothing of the study is executed.

Rule 1: whatever a question does to this process, the page goes on: it starts another.
Rule 2: no answer has more than some 4,000 numbers, however many trials there are.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune.analysis.audit import Audit
from ashtune.analysis.hyperparameters import Hyperparameter, hyperparameters
from ashtune.analysis.loading import StudyReader
from ashtune.analysis.sampling import best_and_sampled
from ashtune.core import parse
from ashtune.core.errors import AshtuneError, SettingsError, StudyError
from ashtune.core.jobs import TrialId
from ashtune.core.numbers import plural
from ashtune.core.options import checked
from ashtune.core.plaintext import error_line, one_line, shown
from ashtune.dashboard.messages import (
    NAMES,
    BadQuestion,
    PageAnswer,
    Question,
    TrialQuestion,
    check_choice,
    check_parameters,
    whole,
)
from ashtune.dashboard.parts.part import short
from ashtune.dashboard.trial_page import trial_page
from ashtune.driver.options import WhatIfOptions
from ashtune.processes.child import serve
from ashtune.processes.frames import FrameWriter
from ashtune.reports.audit_view import audit_findings
from ashtune.reports.figures.columns import Numbers, numbers
from ashtune.reports.figures.contour import POINTS as CONTOUR_POINTS
from ashtune.reports.figures.contour import contour
from ashtune.reports.figures.importance import importance
from ashtune.reports.figures.slices import Slices

NICE = 10
LARGE = 200_000
"""A study of more trials leaves the memory after each answer."""
Parameters = Mapping[str, Sequence[str]]
"""The parameters of a question."""
MOST_NUMBERS = 4_000
POINTS = 160
"""Trials in a slice."""
MOST_LINES = 300
MOST_AXES = 12
CELLS = 20
"""Of a contour along an axis of numbers; along one of choices about as many, and at least one for each."""
REPLAYED = 100_000
"""Trials that a what-if replays in all, which takes some five seconds."""
MOST_DRAWS = 10
TRIED_BY_A_DEADLINE = 20
"""Numbers of workers, about."""


def importance_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return which hyperparameters mattered."""
    measured = importance(study.results, study.trials.configuration, study.settings.space)
    return {
        "weights": [
            {"name": each.name, "weight": short(each.share), "error": short(each.deviation)}
            for each in measured.weights
        ],
        "explained": short(measured.r2) if measured.weights else None,
        "is_meaningful": measured.is_meaningful,
        "text": measured.words(),
        "among_best": measured.words_of_best(),
        "results": measured.trials,
    }


def slices_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the metric over each of some hyperparameters: those named, or the most important ones."""
    known, names = _known(study), given.get("name", ())
    for name in names:
        check_choice("name", name, known)
    important = () if names else _important(study)
    points = min(POINTS, MOST_NUMBERS // (4 * len(names))) if names else POINTS
    slices = Slices(
        study.results, study.trials.configuration, study.settings.space,
        important=important, names=names, points=points, unit=study.settings.resource,
    )  # fmt: skip
    panels = slices.panels()
    return {
        "metric": study.settings.goal.metric,
        "mode": study.settings.goal.mode,
        "text": slices.words(),
        "panels": [
            {
                **_axis(panel.column, known),
                "x": [short(x) for x in panel.x],
                "y": [short(y) for y in panel.y],
                "rung": panel.rungs,
                "trial": panel.trials,
            }
            for panel in panels
        ],
    }


def parallel_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return trials as lines through their hyperparameters: the best, and a sample of the others."""
    count = whole("count", given.get("count", ("",))[-1] or str(MOST_LINES))
    goal, ranked = study.settings.goal, study.results.standings()
    known = _known(study)
    standings = {trial: (rung, loss) for rung, loss, trial in ranked}
    trials = best_and_sampled(list(standings), max(1, min(count, MOST_LINES)))
    table = [column for column in _numbers(study, trials) if not column.is_constant]
    important = _important(study) if len(table) > MOST_AXES else ()
    order = {name: place for place, name in enumerate(important)}
    columns = sorted(table, key=lambda column: order.get(column.name, len(order)))[:MOST_AXES]
    places = {trial: place for place, trial in enumerate(trials)}
    kept = best_and_sampled(trials, MOST_NUMBERS // (len(columns) + 3))
    return {
        "axes": [_axis(column, known) for column in columns],
        "lines": [[short(column.values[places[trial]]) for column in columns] for trial in kept],
        "values": [short(goal.value(standings[trial][1])) for trial in kept],
        "trials": kept,
        "rungs": [standings[trial][0] for trial in kept],
        "metric": goal.metric,
        "mode": goal.mode,
        "total": len(ranked),
    }


def contour_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return the metric over two hyperparameters: the map of the report, on a coarser grid."""
    known = _known(study)
    names = [given.get(end, ("",))[-1] for end in ("x", "y")]
    for end, name in zip(("x", "y"), names, strict=True):
        check_choice(end, name, known)
    if names[0] == names[1]:
        raise BadQuestion(f"x and y are both {shown(names[0])}; give two hyperparameters")
    drawn = contour(study.results, study.trials.configuration, study.settings.space, *names, steps=CELLS)
    if isinstance(drawn, str):
        raise StudyError(drawn)
    columns, rows = (_repeats(column) for column in (drawn.x, drawn.y))
    cells, most = len(drawn.x_places) * columns * len(drawn.y_places) * rows, MOST_NUMBERS - 4 * CONTOUR_POINTS
    if cells > most:
        raise StudyError(
            f"{' and '.join(map(shown, names))} have {cells:,} cells, and a map shows {most:,}; choose others"
        )
    goal, numbered = study.settings.goal, {trial: place for place, trial in enumerate(drawn.trials)}
    points = [numbered[trial] for trial in best_and_sampled(drawn.trials, CONTOUR_POINTS)]
    return {
        "x": {**_axis(drawn.x, known), **_ends(drawn.x, drawn.x_places)},
        "y": {**_axis(drawn.y, known), **_ends(drawn.y, drawn.y_places)},
        "grid": [[value for value in row for _ in range(columns)] for row in drawn.grid for _ in range(rows)],
        "points": {
            "x": [short(drawn.x.values[place]) for place in points],
            "y": [short(drawn.y.values[place]) for place in points],
            "value": [short(drawn.values[place]) for place in points],
            "trial": [drawn.trials[place] for place in points],
        },
        "metric": goal.metric,
        "mode": goal.mode,
        "rung": drawn.rung,
        "resource": drawn.resource,
        "text": f"{plural(len(drawn.trials), 'trial')} at {study.settings.resource} {drawn.resource:,}, smoothed",
    }


def audit_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return whether every promotion followed the rule, and what proved wrong."""
    audit = Audit(study.ladder, study.settings.goal, study.scheduler)
    outcome = study.tell([audit])
    expected = study.info().expected(study.tally)
    return {
        "text": audit_findings(audit, unit=study.settings.resource),
        "rungs": [
            {
                **msgspec.structs.asdict(record),
                "expected": None if expected is None else expected[record.rung].text,
                "unexplained": len(record.unexplained),
                "trials": record.unexplained[:20],
            }
            for record in audit.records()
        ],
        "notes": [one_line(note) for note in outcome.notes_with(study.tally)],
    }


def whatif_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return what the study would have taken on other workers, with other reduction factors, or by a deadline."""
    from ashtune.api.whatif import WORKERS, what_if

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
        words.insert(0, f"Predicted for the first {trials:,} of {there:,} trials, which is what seconds suffice for.")
    return {
        "title": answer.title,
        "predictions": [
            {**msgspec.to_builtins(one), "is_as_recorded": one.is_as_recorded} for one in answer.predictions
        ],
        "text": words,
        "recorded": msgspec.to_builtins(answer.recorded),
    }


_READ: Mapping[str, Callable[[str], Any]] = {
    "workers": parse.whole_numbers, "reduction_factor": parse.factors, "deadline": parse.seconds,
}  # fmt: skip


class _Kind(msgspec.Struct, frozen=True):
    """How a question is answered, which parameters it has, and whether it needs a result."""

    answer: Callable[[StudyReader, Parameters], dict[str, Any]]
    parameters: Sequence[str] = ()
    needs_result: bool = True


_KINDS = dict(
    zip(
        NAMES,
        (
            _Kind(importance_answer),
            _Kind(slices_answer, ("name",)),
            _Kind(parallel_answer, ("count",)),
            _Kind(contour_answer, ("x", "y")),
            _Kind(audit_answer, needs_result=False),
            _Kind(whatif_answer, tuple(_READ), needs_result=False),
        ),
        strict=True,
    )
)


class StudyCache:
    """Holds the study that was read last, so that several questions about it read it once."""

    def __init__(self) -> None:
        self._known: tuple[str, int] | None = None
        self._reader: StudyReader | None = None

    def reader(self, directory: str, position: int) -> StudyReader:
        """Return a study read when its journal had grown to a position.

        Raises:
            JournalError: If there is no journal.
        """
        if self._reader is None or self._known != (directory, position):
            self._reader = None  # two of a large study would not fit into memory
            self._reader = StudyReader(Path(directory))
            self._known = (directory, position)
        return self._reader

    def clear(self) -> None:
        """Free the memory."""
        self._known = self._reader = None


def answer(question: Question | TrialQuestion, cache: StudyCache) -> PageAnswer:
    """Return the answer to a question; whatever goes wrong is a refusal."""
    try:
        data = trial_page(question) if isinstance(question, TrialQuestion) else _of_study(question, cache)
        return PageAnswer(msgspec.json.encode({**data, "position": question.position}))
    except AshtuneError as error:
        return PageAnswer(refusal=str(error), is_bad=isinstance(error, BadQuestion))
    except MemoryError:
        return PageAnswer(refusal="the answer needs more memory than there is")
    except Exception as error:  # noqa: BLE001 - a study may be made to break what reads it
        return PageAnswer(refusal=f"this cannot be worked out: {error_line(error)}")


def _of_study(question: Question, cache: StudyCache) -> dict[str, Any]:
    kind, study = _KINDS[question.name], cache.reader(question.directory, question.position)
    check_parameters(question.given, kind.parameters)
    if kind.needs_result and not any(min(rung.losses, default=math.inf) < math.inf for rung in study.results.rungs):
        raise StudyError("no trial has a result yet")
    data = kind.answer(study, question.given)
    if len(study.trials) > LARGE:
        cache.clear()
    return data


def main() -> None:
    """Answer until nobody asks."""
    os.nice(NICE)
    cache, write, decoder = StudyCache(), FrameWriter(), msgspec.msgpack.Decoder(Question | TrialQuestion)
    serve(lambda body: write.frame(answer(decoder.decode(body), cache)))


def _known(study: StudyReader) -> dict[str, Hyperparameter]:
    return {each.name: each for each in hyperparameters(study.settings.space)}


def _important(study: StudyReader) -> list[str]:
    """Return the hyperparameters, the most important first; none where that cannot be measured."""
    try:
        measured = importance(study.results, study.trials.configuration, study.settings.space)
    except SettingsError:  # scikit-learn is not installed
        return []
    return [weight.name for weight in measured.weights]


def _numbers(study: StudyReader, trials: Sequence[TrialId]) -> Sequence[Numbers]:
    return numbers(study.settings.space, study.trials.configuration, trials)


def _axis(column: Numbers, known: Mapping[str, Hyperparameter]) -> dict[str, Any]:
    """Return what an axis needs: the range of the space, or the choices by place."""
    described = known.get(column.name, Hyperparameter(column.name, "unknown"))
    active = [value for value in column.values if not math.isnan(value)]
    low, high = (0.0, max(0.0, len(column.labels) - 1.0)) if column.labels else (described.low, described.high)
    return {
        "name": column.name,
        "type": described.type,
        "log": column.is_log,
        "choices": list(column.labels),
        "low": min(active, default=0.0) if low is None else low,
        "high": max(active, default=1.0) if high is None else high,
    }


def _repeats(column: Numbers) -> int:
    """Return how many cells of a map each place along a hyperparameter has: between choices nothing is smoothed."""
    return max(1, CELLS // len(column.labels)) if column.labels else 1


def _ends(column: Numbers, places: Sequence[float]) -> dict[str, float]:
    """Return where the cells around evenly spread places begin and end on an axis of numbers."""
    if column.labels:
        return {}
    first, last, steps = places[0], places[-1], 2 * (len(places) - 1)
    if column.is_log and first > 0:
        half = (last / first) ** (1 / steps)
        return {"low": first / half, "high": last * half}
    half = (last - first) / steps
    return {"low": first - half, "high": last + half}
