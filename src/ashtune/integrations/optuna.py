"""Writes a study as an Optuna journal file, for ``optuna.load_study`` and ``optuna-dashboard``.

Source of the format: ``optuna.storages.JournalStorage`` of Optuna 5. Each line of the file is a
JSON object that describes one operation. One operation can create a trial that has already ended.
This module does not import Optuna.

Rule 1: Optuna searches for the best trial among the complete trials. A trial is written as complete
if it has a result at or above the best trial's rung, even if it still trains or failed later. A
trial that ended at a lower rung is written as pruned. A withdrawn trial is written as failed.
Rule 2: as in Optuna, a categorical hyperparameter is written as an index in the list of choices,
and a number is not converted. Inactive hyperparameters are not written.
Rule 3: only the best trials are written, at most ``MOST``, because the dashboard fetches all trials
in one request. Trials that confirm other trials are not part of the search, and are not written.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ashtune._src.analysis.trials import TrialRecord
from ashtune._src.core.errors import StudyError, instead_of_os_error
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.parts import as_text
from ashtune._src.core.version import __version__
from ashtune._src.integrations.tracking import StudySummary, TrackedTrial, Tracker
from ashtune._src.space.coordinates import Column
from ashtune._src.space.space import Space
from ashtune._src.study.folders import place_in, replace_file
from ashtune._src.study.journal import NAME, read_settings
from ashtune._src.study.settings import Settings

__all__ = ["OptunaLog"]

MOST = 10_000
"""The largest number of trials in the file; the dashboard takes 5 s to
fetch this number of trials.
"""
LATEST = 253_402_300_799.0
"""The end of the year 9999, in seconds since 1970. Later times, which only an altered journal can
have, are replaced by this time.
"""
WRITER = {"worker_id": "ashtune"}
"""A part of each record, in which Optuna's own records have a process identifier."""
_CREATE_STUDY = 0
_STUDY_USER_ATTRIBUTE = 2
_STUDY_SYSTEM_ATTRIBUTE = 3
_CREATE_TRIAL = 4
_RUNNING = 0
_COMPLETE = 1
_PRUNED = 2
_FAILED = 3
_DIRECTIONS = {"min": 1, "max": 2}
_ATTRIBUTES = ("trial", "status", "rung", "resource", "seconds", "origin", "reason")


class OptunaLog(Tracker):
    """Copies a study to an Optuna journal file. The default is ``optuna.log`` in the study's
    directory.

    The journal file is written at the end of the session. The file of a very large study contains
    only the best trials.

    Args:
        out: The path of the file. An existing file is replaced only if it has this study and no
            other program wrote to it.
    """

    def open(self) -> None:
        """Raise an error if the file belongs to another program or another study. At this time,
        nothing has been written.
        """
        self.place = self.out or str(place_in(self.study.directory, "optuna.log"))
        _refuse_others(Path(self.place), self.study.created)

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        """Write nothing, because the journal file is written at the end."""

    def close(self, summary: StudySummary) -> None:
        """Write the file. O(trials and reports).

        Raises:
            StudyError: If the file cannot be written.
        """
        with instead_of_os_error(StudyError, self.place, "give a file that can be written"):
            replace_file(Path(self.place), b"".join(map(_line, self._records())))

    def _records(self) -> Iterator[dict[str, Any]]:
        settings = read_settings(Path(self.study.directory, NAME))
        goal = settings.goal
        directions = [_DIRECTIONS[each.mode] for each in goal.objectives]
        yield {"op_code": _CREATE_STUDY, "study_name": settings.name, "directions": directions}
        metrics = [each.metric for each in goal.objectives]
        yield {
            "op_code": _STUDY_SYSTEM_ATTRIBUTE,
            "study_id": 0,
            "system_attr": {"study:metric_names": metrics},
        }
        chosen = self._choose()
        for attribute, value in self._attributes(settings, len(chosen)).items():
            yield _attribute_of_the_study(attribute, value)
        axes = {
            name: StoredAxis(column)
            for name, column in Space.from_record(settings.space).columns.items()
        }
        best = self._tally.best
        complete_from = math.inf if best is None else best.rung
        for number in chosen:
            record = self._trials[number]
            trial = self._trial(number)
            is_complete = record.rung is not None and record.rung >= complete_from
            outcome = _outcome(record, goal, is_complete=is_complete)
            times = {"datetime_start": _moment(trial.began)}
            if outcome["state"] != _RUNNING:
                times["datetime_complete"] = _moment(trial.ended)
            # Optuna has no reports in a study with several objectives.
            reports = [
                point for point in trial.points if goal.metric in point.metrics and not goal.others
            ]
            yield {
                "op_code": _CREATE_TRIAL,
                "study_id": 0,
                **times,
                **outcome,
                "distributions": {each: axes[each].distribution for each in record.configuration},
                "params": {
                    each: axes[each].internal(value) for each, value in record.configuration.items()
                },
                "user_attrs": _attributes(record, goal),
                "system_attrs": _constraints(record, goal),
                "intermediate_values": {
                    str(each.resource): each.metrics[goal.metric] for each in reports
                },
            }

    def _choose(self) -> list[TrialId]:
        """Return the numbers of the trials to write. If there are too many trials, choose the best
        trials.
        """
        begun = [record for record in self._trials if record.number in self._reports_of]
        searched = [record.number for record in begun if record.confirms is None]
        if len(searched) > MOST:
            best = [trial for _, _, trial in self._results.standings()[:MOST]]
            has_place = set(best)
            best += [trial for trial in searched if trial not in has_place][: MOST - len(best)]
            searched = sorted(best)
        return searched

    def _attributes(self, settings: Settings, written: int) -> dict[str, Any]:
        """Return the user attributes of the study: data such as search and seed, for which Optuna
        has no field.
        """
        attributes: dict[str, Any] = {
            "written by": f"ashtune {__version__}",
            "created": settings.created,
            "search": settings.search_name,
            "scheduler": as_text(settings.scheduler),
            "resource": settings.resource,
            "rungs": list(self.study.ladder.rungs),
            "seed": settings.seed,
            "trials": len(self._trials),
        }
        if written < len(self._trials):
            attributes["trials written"] = written
        if settings.known:
            attributes["results from before"] = len(settings.known)
        if self._tally.best is not None:
            attributes["best trial"] = self._tally.best.trial
        confirmed = self._tally.confirmed
        if confirmed is not None:
            attributes["confirmed"] = {"trial": confirmed.trial, "mean": confirmed.mean}
        return attributes


def _refuse_others(file: Path, created: float) -> None:
    """Raise an error if a file contains another study, or if another program has written to the
    file.
    """
    mark = json.dumps(WRITER)[1:-1].encode()
    own = _line(_attribute_of_the_study("created", created))
    try:
        lines = file.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StudyError(f"{file}: {error.strerror}; give a file that can be written") from None
    if lines and not (own in lines and all(mark in line for line in lines)):
        raise StudyError(
            f"{file} belongs to another study, or it was changed by another program (for example a "
            f"dashboard that saves notes); give another file, or delete {file}"
        )


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps({**record, **WRITER}) + "\n").encode()


def _attribute_of_the_study(name: str, value: object) -> dict[str, Any]:
    return {"op_code": _STUDY_USER_ATTRIBUTE, "study_id": 0, "user_attr": {name: value}}


def _outcome(record: TrialRecord, goal: Goal, *, is_complete: bool) -> dict[str, Any]:
    """Return the state of a trial in Optuna, and its value (or values, if the study has several
    objectives).

    The value of a pruned trial in Optuna is the trial's last result. If the study has several
    objectives, a pruned trial has no values.
    """
    values = [record.metrics.get(each.metric) for each in goal.objectives]
    is_finite = math.inf not in goal.judged(record.metrics)[0]
    if is_complete and is_finite and record.status != "withdrawn":
        state = _COMPLETE
    elif record.status == "running":
        state = _RUNNING
    elif record.status in ("failed", "withdrawn") or (record.rung is not None and not is_finite):
        state = _FAILED
    else:
        state = _PRUNED
    has_value = is_finite and (state == _COMPLETE or (state == _PRUNED and not goal.others))
    return {
        "state": state,
        "value": values[0] if has_value and not goal.others else None,
        "values": values if has_value and goal.others else None,
    }


def _attributes(record: TrialRecord, goal: Goal) -> dict[str, Any]:
    """Return the user attributes of a trial: data such as origin and resource, for which Optuna has
    no field.
    """
    values = (
        record.number, record.status, record.rung, record.result_resource, round(record.seconds, 3),
        record.origin,
        record.reason,
    )  # fmt: skip
    named = zip(_ATTRIBUTES, values, strict=True)
    attributes: dict[str, Any] = {name: value for name, value in named if value not in (None, "")}
    objectives = {each.metric for each in goal.objectives}
    for metric, value in record.metrics.items():
        if metric not in objectives:
            attributes[f"metric.{metric}" if metric in _ATTRIBUTES else metric] = value
    return attributes


def _constraints(record: TrialRecord, goal: Goal) -> dict[str, Any]:
    """Return the violation of each constraint. In Optuna, a trial is feasible if no violation is
    above 0.
    """
    if not goal.constraints or record.rung is None:
        return {}
    violations = [constraint.violation(record.metrics) for constraint in goal.constraints]
    return {"constraints": violations} if math.inf not in violations else {}


class StoredAxis:
    """A hyperparameter in the format of Optuna's storage.

    Attributes:
        distribution: The distribution as JSON. Choices of a type that Optuna cannot store are
            texts.
    """

    def __init__(self, column: Column) -> None:
        self._choices = column.choices
        attributes: dict[str, Any]
        if column.choices is not None:
            kind = "CategoricalDistribution"
            attributes = {"choices": _labels(column.choices)}
        else:
            self._low = column.low
            self._high = column.high
            kind = "IntDistribution" if column.is_integer else "FloatDistribution"
            step = 1 if column.is_integer else None
            attributes = {"step": step, "low": self._low, "high": self._high, "log": column.is_log}
        self.distribution = json.dumps({"name": kind, "attributes": attributes})

    def internal(self, value: Any) -> int | float:
        """Return a value of the hyperparameter in the storage's format."""
        if self._choices is not None:
            return self._choices.index(value)
        # A bound is rounded, but a trial's value that equals the bound is not rounded, so it could
        # be outside of the range.
        number: int | float = min(max(value, self._low), self._high)
        return number


def _labels(choices: Sequence[object]) -> list[object]:
    """Convert choices to values that Optuna can store. A choice of another type becomes a unique
    text.
    """
    labels: list[object] = []
    for choice in choices:
        label = choice
        if not isinstance(choice, str | int | float | None):
            label = str(choice)
            while label in choices or label in labels:
                label = f"{label}'"
        labels.append(label)
    return labels


def _moment(unix_time: float) -> str:
    return datetime.fromtimestamp(min(unix_time, LATEST), UTC).isoformat(timespec="microseconds")
