"""Results from before a study: read from a table, a csv file, the directory of a study, or a study of Optuna.

Rule 1: reading executes nothing of a directory or a file, and imports no library: pandas and Optuna are there if an
object of theirs is given.
Rule 2: a row that is no configuration of the space, or has no finite metric, is left out and counted by the reason. A
column that is missing is an error.
Rule 3: of the same configuration at the same resource the last row counts.
"""

import csv
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune.analysis.loading import StudyReader
from ashtune.api.study import Study
from ashtune.core.errors import SettingsError, SpaceError
from ashtune.core.events import JobFinished, TrialStarted, TrialWithdrawn
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.known import KnownResult
from ashtune.core.ladder import MOST_WHOLE, whole_number
from ashtune.core.numbers import plural
from ashtune.core.plaintext import error_line, one_line, shown
from ashtune.space.columns import Column
from ashtune.space.plain import hashable, identity
from ashtune.space.space import Space
from ashtune.study.journal import MOST_LINE_BYTES

MOST = 10_000
"""Results that a study keeps; of more the best."""
FORMS = (
    "a DataFrame, a list of dicts, a csv file, the directory of a study, or a study of Optuna (of Ray's results "
    "get_dataframe())"
)
_COLUMNS_SHOWN = 200
_RAYS, _OURS, _OPTUNAS = "config/", "config.", "params_"
_PREFIXES = (_RAYS, _OURS, _OPTUNAS, "")
"""What stands before the name of a hyperparameter in the tables of Ray, ashtune (where two columns would have one name)
and Optuna; in others nothing."""
_RAYS_RESOURCE, _OPTUNAS_RESOURCE = "training_iteration", "user_attrs_resource"


class _Row(msgspec.Struct, frozen=True):
    """A result as it was found. ``resource`` is None where nothing says how far it was trained: to the top."""

    configuration: Mapping[str, Any]
    metrics: Mapping[str, Any]
    resource: Any = None


class _Source(msgspec.Struct, frozen=True):
    """Rows, and which hyperparameters and metrics any of them has.

    ``what`` and ``columns`` are what an error calls it and them; ``left_out`` counts by reason what has no row.
    """

    what: str
    rows: Sequence[_Row]
    hyperparameters: Sequence[str]
    metrics: Sequence[str]
    columns: Sequence[str]
    left_out: Mapping[str, int] = {}


class Found(msgspec.Struct, frozen=True):
    """What was found: the results that a search is to know, and what to say of them in one line."""

    results: list[KnownResult]
    line: str


def known_results(source: Any, space: Space, goal: Goal, *, top: int, unit: str) -> Found:
    """Return the results of a source that a study can use.

    Args:
        source: See ``FORMS``.
        space: The study's.
        goal: The metrics that count.
        top: The resource of the top rung: that of results of which nothing says how far they were trained.
        unit: What the resource counts, as "epoch": a name that its column may have.

    Returns:
        At most ``MOST`` results, O(n log n).

    Raises:
        SettingsError: If it is none of these, a column is missing, or nothing of it can be used.
        JournalError: If it is a directory without a study, or its journal cannot be read.
    """
    found = _source(source, space, goal, top, unit)
    every_choice = {name: column.choices or () for name, column in space.columns.items()}
    constants = {name: choices[0] for name, choices in every_choice.items() if len(choices) == 1}
    _check_columns(found, space, goal, constants)
    reasons, results = _Reasons(found.left_out), dict[object, KnownResult]()
    given = sum(found.left_out.values())
    for row in found.rows:
        given += 1
        try:
            result = _result(row, space, goal, constants, top)
        except _LeftOut as why:
            reasons.add(why)
            continue
        key = identity(result.configuration), result.resource
        if key in results:
            reasons.add(_LeftOut("given again below"))
        results[key] = result
    kept = _best(list(results.values()), goal)
    if len(kept) < len(results):
        reasons.counts[f"beyond the best {MOST:,}"] = len(results) - len(kept)
    if given and not kept:
        raise SettingsError(f"warm_start: {found.what} has no result that can be used: {reasons}")
    if (size := len(msgspec.json.encode(kept))) > MOST_LINE_BYTES // 2:
        raise SettingsError(
            f"warm_start: {len(kept):,} results take {size:,} bytes, too many for a journal; give fewer"
        )
    return Found(kept, _line(kept, given, reasons))


def _line(kept: Sequence[KnownResult], given: int, reasons: "_Reasons") -> str:
    if not given:
        return "warm start: there are no results, so the search begins without"
    configurations = len({identity(result.configuration) for result in kept})
    line = f"warm start: {plural(len(kept), 'result')} of {plural(configurations, 'configuration')}"
    if reasons.counts:
        line += f"; {reasons.counts.total():,} of {given:,} left out: {reasons}"
    return one_line(line)


class _LeftOut(Exception):  # noqa: N818 - it says what becomes of a row
    """A row cannot be used: why, in words that are the same for many, and what was wrong with this one."""

    def __init__(self, reason: str, example: str = "") -> None:
        super().__init__(reason, example)
        self.reason = reason
        self.example = example


class _Reasons:
    """Why rows are left out, each with how many are and what was wrong with the first."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = Counter({reason: count for reason, count in counts.items() if count})
        self._examples: dict[str, str] = {}

    def add(self, why: _LeftOut) -> None:
        """Count one more."""
        self.counts[why.reason] += 1
        self._examples.setdefault(why.reason, why.example)

    def __str__(self) -> str:
        def text(reason: str) -> str:
            example = self._examples.get(reason, "")
            return f"{self.counts[reason]:,} {reason}" + (f" ({example})" if example else "")

        return ", ".join(map(text, self.counts))


def _check_columns(found: _Source, space: Space, goal: Goal, constants: Mapping[str, object]) -> None:
    """Refuse a source that lacks a hyperparameter which is always active, or a metric.

    Raises:
        SettingsError: If it does.
    """
    conditional = {name for name in space.names if space.configuration_space.parent_conditions_of[name]}
    needed = [name for name in space.names if name not in constants and name not in conditional]
    columns = one_line(", ".join(found.columns), _COLUMNS_SHOWN)
    for name in needed if found.rows else ():
        if name not in found.hyperparameters:
            raise SettingsError(
                f"warm_start: {found.what} has no column for the hyperparameter {shown(name)}; it has {columns}; name "
                "it as in the space, also with config/ or params_ in front; of a new one give the value that it had"
            )
    for name in goal.metrics if found.rows else ():
        if name not in found.metrics:
            raise SettingsError(
                f"warm_start: {found.what} has no column for the metric {shown(name)}; it has {columns}; name it so"
            )


def _result(row: _Row, space: Space, goal: Goal, constants: Mapping[str, object], top: int) -> KnownResult:
    """Return a row as a result.

    Raises:
        _LeftOut: If it is none.
    """
    metrics = {name: _number(row.metrics.get(name)) for name in goal.metrics}
    if lacking := [name for name, value in metrics.items() if not math.isfinite(value)]:
        raise _LeftOut(f"without a value of {one_line(lacking[0], 60)}")
    values = dict(constants)
    for name, column in space.columns.items():
        value = _value(column, row.configuration.get(name))
        if value is not _MISSING:
            values[name] = value
    try:
        checked_values = {name: value for name, value in values.items() if name not in space.rules.inactive(values)}
        configuration = space.check(checked_values)
    except (SpaceError, TypeError, ValueError) as error:  # a condition may compare a text with a number
        raise _LeftOut("outside of the space", _short(error)) from None
    return KnownResult(configuration, top if row.resource is None else _resource(row.resource), metrics)


def _short(error: Exception) -> str:
    """Return an error's first clause: what is wrong, without what would do."""
    return one_line((str(error) or type(error).__name__).partition(";")[0], 80)


def _resource(value: Any) -> int:
    number = _number(value)
    if not math.isfinite(number) or number != math.floor(number) or not 1 <= number <= MOST_WHOLE:
        raise _LeftOut("without a whole resource of at least 1", shown(value, 20))
    return int(number)


def _number(value: Any) -> float:
    """Return a value of a table as a number; NaN for what is none."""
    if value is None or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


class _Missing:
    pass


_MISSING = _Missing()


def _value(column: Column, value: Any) -> Any:
    """Return a value of a table as one of a hyperparameter, or as it is if it is none; ``_MISSING`` for an empty cell.

    A table may hold text for a number (a csv file), a float for a whole number (pandas, where cells are empty), NaN for
    None, and text for a list (an export).
    """
    if hasattr(value, "tolist"):  # of numpy, a scalar or an array
        value = value.tolist()
    if type(value).__name__ in ("NAType", "NaTType"):  # of pandas; nothing is equal to them
        value = None
    is_empty = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    if column.choices is not None:
        return _choice(column.choices, value, is_empty=is_empty)
    if is_empty:
        return _MISSING
    if isinstance(value, str):
        number = _number(value)
        if column.is_integer and number.is_integer():
            return int(number)
        return value if math.isnan(number) else number
    return value


def _choice(choices: Sequence[object], value: Any, *, is_empty: bool) -> Any:
    """Return the choice that a value of a table stands for: one that is equal, or has the same text or number."""
    if isinstance(value, tuple):
        value = list(value)
    if (equal := next((choice for choice in choices if hashable(choice) == hashable(value)), _MISSING)) is not _MISSING:
        return equal
    if is_empty:
        return None if None in choices else _MISSING
    text, number = str(value), _number(value)
    alike = [choice for choice in choices if str(choice) == text]
    alike = alike or [choice for choice in choices if not isinstance(choice, str) and _number(choice) == number]
    return alike[0] if len(alike) == 1 else value


def _best(results: list[KnownResult], goal: Goal) -> list[KnownResult]:
    """Return the best results by the first metric, feasible ones before others, in the order in which they were."""
    if len(results) <= MOST:
        return results

    def key(place: int) -> tuple[float, float]:
        losses, violation = goal.judged(results[place].metrics)
        return violation or 0.0, losses[0]

    return [results[place] for place in sorted(sorted(range(len(results)), key=key)[:MOST])]


def _source(source: Any, space: Space, goal: Goal, top: int, unit: str) -> _Source:
    """Return what a user gave as rows.

    Raises:
        SettingsError: If it is nothing that can be read.
        JournalError: If it is a directory without a study.
    """
    if isinstance(source, Study):
        return _of_a_study(source.directory)
    if isinstance(source, str | os.PathLike):
        return _of_a_path(Path(source), space, goal, unit)
    if type(source).__module__.partition(".")[0] == "optuna" and hasattr(source, "directions"):
        return _of_optuna(source, goal, top)
    if hasattr(source, "columns") and (hasattr(source, "to_dicts") or hasattr(source, "to_dict")):
        rows = source.to_dicts() if hasattr(source, "to_dicts") else source.to_dict("records")  # polars, pandas
        columns = [str(name) for name in source.columns]
        return _of_a_table("the table", rows, columns, space=space, goal=goal, unit=unit)
    if isinstance(source, Iterable) and not isinstance(source, bytes | Mapping):
        listed = list(source)
        if all(isinstance(row, Mapping) for row in listed):
            rows = [dict(_flat(row)) for row in listed]
            columns = list(dict.fromkeys(name for row in rows for name in row))
            return _of_a_table("the list", rows, columns, space=space, goal=goal, unit=unit)
    raise SettingsError(f"warm_start={shown(source)} cannot be read; give {FORMS}")


def _flat(row: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the cells of a dict, those of dicts in it as Ray names them: ``config/rate``."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}/")
        else:
            yield f"{before}{name}", value


def _of_a_path(path: Path, space: Space, goal: Goal, unit: str) -> _Source:
    if not path.exists():
        raise SettingsError(f"warm_start={shown(str(path))} is not there; give a csv file or the directory of a study")
    if path.is_dir():
        return _of_a_study(path)
    if not path.is_file():
        raise SettingsError(f"warm_start={shown(str(path))} is no regular file; give {FORMS}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"warm_start: {path} is no csv file ({error_line(error)}); give {FORMS}") from None
    columns = [str(name) for name in rows[0] if name is not None] if rows else []
    return _of_a_table(str(path), rows, columns, space=space, goal=goal, unit=unit)


def _of_a_table(
    what: str, rows: Sequence[Mapping[Any, Any]], columns: Sequence[str], *, space: Space, goal: Goal, unit: str
) -> _Source:
    """Return the rows of a table: a column for each hyperparameter and metric, and for the resource if it has one."""
    there = set(columns)
    names = {name: found for name in space.names if (found := _column_of(name, there)) is not None}
    prefixes = {found.removesuffix(name) for name, found in names.items()}
    free = there - set(names.values())
    metrics = {}
    for place, metric in enumerate(goal.metrics):
        wanted = [f"metric.{metric}", metric]
        if _OPTUNAS in prefixes:
            kind = "values" if goal.others else "value"
            wanted += [f"{kind}_{metric}", f"values_{place}" if goal.others else "value"]
        if (column := next((each for each in wanted if each in free), None)) is not None:
            metrics[metric] = column
    free -= set(metrics.values())
    resources = ["resource", unit, f"{unit}s"]
    resources += [_RAYS_RESOURCE] if _RAYS in prefixes else [_OPTUNAS_RESOURCE] if _OPTUNAS in prefixes else []
    resource = next((name for name in resources if name in free), None)
    given = len(rows)
    if _OPTUNAS in prefixes and resource is None and "state" in free:
        rows = [row for row in rows if str(row.get("state")) == "COMPLETE"]
    return _Source(
        what,
        [
            _Row(
                {name: row.get(found) for name, found in names.items()},
                {metric: row.get(found) for metric, found in metrics.items()},
                None if resource is None else _cell(row.get(resource)),
            )
            for row in rows
        ],
        list(names),
        list(metrics),
        columns,
        {"not complete, nobody knows at which resource": given - len(rows)},
    )


def _column_of(name: str, columns: Iterable[str]) -> str | None:
    return next((found for prefix in _PREFIXES if (found := prefix + name) in columns), None)


def _cell(value: Any) -> Any:
    """Return a cell of the column of resources, which may be empty."""
    return "nothing" if value is None or value == "" else value


def _of_a_study(directory: Path) -> _Source:
    """Return every result at every rung of a study, but for those of trials that confirm others."""
    reader = StudyReader(directory)
    configurations: dict[TrialId, dict[str, Any]] = {}
    rows: dict[TrialId, list[_Row]] = {}
    for event in reader.events():
        match event:
            case TrialStarted(trial=trial, configuration=configuration, confirms=None):
                configurations[TrialId(trial)] = configuration
            case JobFinished(trial=trial, resource=resource, metrics=metrics) if trial in configurations:
                rows.setdefault(TrialId(trial), []).append(_Row(configurations[TrialId(trial)], metrics, resource))
            case TrialWithdrawn(trial=trial):
                rows.pop(TrialId(trial), None)
            case _:
                pass
    listed = [row for results in rows.values() for row in results]
    names, reported = _names(listed)
    return _Source(str(directory), listed, names, reported, [*names, *reported])


def _names(rows: Sequence[_Row]) -> tuple[list[str], list[str]]:
    """Return which hyperparameters and metrics any of some rows has."""
    hyperparameters = dict.fromkeys(name for row in rows for name in row.configuration)
    metrics = dict.fromkeys(name for row in rows for name, value in row.metrics.items() if value is not None)
    return list(hyperparameters), list(metrics)


def _of_optuna(study: Any, goal: Goal, top: int) -> _Source:
    """Return the results of a study of Optuna: of complete trials, and of pruned ones where their steps are resources.

    A step is a resource if no trial has one above the top rung; where some trial has a step 0, they count from there. A
    trial that has its resource as a user attribute, as one that was exported from here, needs no steps.
    """
    ways = ["min" if direction.name == "MINIMIZE" else "max" for direction in study.directions]
    if ways != [objective.mode for objective in goal.objectives]:
        raise SettingsError(
            f"warm_start: the study of Optuna has the directions {', '.join(ways)}, this one {goal}; give one with the "
            "same metrics, or its trials_dataframe() with the columns renamed"
        )
    trials = study.get_trials(deepcopy=False)
    steps = [step for trial in trials for step in trial.intermediate_values]
    offset = 1 if 0 in steps else 0
    is_resource = bool(steps) and max(steps) + offset <= top and min(steps) >= 0
    rows, left_out = [], Counter[str]()
    for trial in trials:
        state, resource = trial.state.name, whole_number(trial.user_attrs.get("resource"))
        if resource is None and is_resource and trial.intermediate_values:
            resource = max(trial.intermediate_values) + offset
        values = trial.values
        if state == "PRUNED" and values is None and trial.intermediate_values and not goal.others:
            values = [trial.intermediate_values[max(trial.intermediate_values)]]
        if state not in ("COMPLETE", "PRUNED"):
            left_out[f"that {'failed' if state == 'FAIL' else 'did not end'}"] += 1
        elif state == "PRUNED" and resource is None:
            left_out["not complete, nobody knows at which resource"] += 1
        else:
            named = dict(zip([each.metric for each in goal.objectives], values or [], strict=False))
            others = {name: trial.user_attrs.get(name) for name in goal.metrics if name not in named}
            rows.append(_Row(trial.params, others | named, resource))
    names, reported = _names(rows)
    return _Source("the study of Optuna", rows, names, reported, [*names, *reported], left_out)
