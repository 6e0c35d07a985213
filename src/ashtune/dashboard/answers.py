"""Answers that take seconds to work out: what mattered, slices, contours, coordinates, the audit, what-if.

They are computed in processes of their own (:mod:`ashtune.dashboard.questions`), from the study read anew with the
code of the report. Nothing of the study is executed.

Rule: no answer has more than some 4,000 numbers, however many trials there are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune.analysis.audit import Audit
from ashtune.analysis.hyperparameters import Hyperparameter, hyperparameters
from ashtune.analysis.loading import StudyReader
from ashtune.analysis.sampling import best_and_sampled
from ashtune.core import parse
from ashtune.core.errors import SettingsError, StudyError
from ashtune.core.jobs import TrialId
from ashtune.core.numbers import plural
from ashtune.core.options import checked
from ashtune.core.plaintext import one_line, shown
from ashtune.dashboard.messages import NAMES
from ashtune.dashboard.parts.part import short
from ashtune.dashboard.refusals import BadQuestion, whole
from ashtune.driver.options import WhatIfOptions
from ashtune.reports.audit_view import audit_findings
from ashtune.reports.figures.columns import Numbers, numbers
from ashtune.reports.figures.contour import POINTS as CONTOUR_POINTS
from ashtune.reports.figures.contour import contour
from ashtune.reports.figures.importance import importance
from ashtune.reports.figures.slices import Slices
from ashtune.reports.study_info import study_info

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
MOST_CHOICES = 40


def importance_answer(study: StudyReader, given: Parameters) -> dict[str, Any]:
    """Return which hyperparameters mattered.

    Raises:
        SettingsError: If scikit-learn is not installed.
        StudyError: If no trial has a result.
    """
    _refuse_unknown(given)
    _refuse_without_results(study)
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
    """Return the metric over each of some hyperparameters: those named, or the most important ones.

    Raises:
        StudyError: If no trial has a result.
    """
    _refuse_unknown(given, "name")
    _refuse_without_results(study)
    known = {each.name: each for each in hyperparameters(study.settings.space)}
    names = _names(given.get("name", ()), known)
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
    """Return trials as lines through their hyperparameters: the best, and a sample of the others.

    Raises:
        StudyError: If no trial has a result.
    """
    _refuse_unknown(given, "count")
    _refuse_without_results(study)
    count = whole("count", given.get("count", ("",))[-1] or str(MOST_LINES))
    goal, ranked = study.settings.goal, study.results.standings()
    known = {each.name: each for each in hyperparameters(study.settings.space)}
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
    """Return the metric over two hyperparameters: the map of the report, on a coarser grid.

    Raises:
        BadQuestion: If x and y are no two hyperparameters.
        StudyError: If no trial has a result, or there is no map of these two.
    """
    _refuse_unknown(given, "x", "y")
    _refuse_without_results(study)
    known = {each.name: each for each in hyperparameters(study.settings.space)}
    names = [given.get(end, ("",))[-1] for end in ("x", "y")]
    for end, name in zip(("x", "y"), names, strict=True):
        if name not in known:
            raise BadQuestion(f"{end}={shown(name)} is no hyperparameter; there are {', '.join(known)}")
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
    _refuse_unknown(given)
    audit = Audit(study.ladder, study.settings.goal, study.scheduler)
    outcome = study.tell([audit])
    expected = study_info(study).expected(study.tally)
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
    """Return what the study would have taken on other workers, with other reduction factors, or by a deadline.

    Raises:
        BadQuestion: If a parameter is not what it should be.
        SettingsError: If they do not fit together, or do not fit the study.
        StudyError: If no trial was trained.
    """
    from ashtune.api.whatif import WORKERS, what_if

    _refuse_unknown(given, "workers", "reduction_factor", "deadline")
    asked: dict[str, Any] = {}
    for name, read in _READ.items():
        if text := given.get(name, ("",))[-1]:
            try:
                asked[name] = read(text)
            except (ValueError, OverflowError) as error:
                raise BadQuestion(f"{name}={shown(text)}: {error}") from None
    workers = len(asked.get("workers", WORKERS)) if "deadline" not in asked else MOST_CHOICES // 2
    choices = (workers + 1) * len(asked.get("reduction_factor", (1,)))
    if choices > MOST_CHOICES * 2:
        raise BadQuestion(f"{choices} choices are too many to predict at once; ask for fewer workers or factors")
    there = len(study.trials)
    trials = min(there, max(2, 2 * REPLAYED // choices))
    draws = max(0, min(MOST_DRAWS, REPLAYED // (max(1, trials) * choices) - 1))
    if trials < there:
        asked["trials"] = trials
    answer = what_if(study, checked(WhatIfOptions, {**asked, "draws": draws}))
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
ANSWERS: Mapping[str, Callable[[StudyReader, Parameters], dict[str, Any]]] = dict(
    zip(
        NAMES,
        (importance_answer, slices_answer, parallel_answer, contour_answer, audit_answer, whatif_answer),
        strict=True,
    )
)
"""What can be asked of a study, by the last part of its address."""


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


def _refuse_unknown(given: Parameters, *known: str) -> None:
    for name in given:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there are none"
            raise BadQuestion(f"{shown(name)} is no parameter here; {there}")


def _refuse_without_results(study: StudyReader) -> None:
    if not any(rung.losses and min(rung.losses) < math.inf for rung in study.results.rungs):
        raise StudyError("no trial has a result yet")


def _names(names: Sequence[str], known: Mapping[str, Hyperparameter]) -> Sequence[str]:
    """Return the hyperparameters that are named.

    Raises:
        BadQuestion: If there is no such one.
    """
    for name in names:
        if name not in known:
            raise BadQuestion(f"name={shown(name)} is no hyperparameter; there are {', '.join(known)}")
    return names


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
