"""Where results from before a study are read: tables, csv files, directories of studies, studies of Optuna.

Rule: reading executes nothing of a directory or a file, and imports no library: pandas and Optuna are there if an
object of theirs is given.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune.analysis.loading import StudyReader
from ashtune.api.study import Study
from ashtune.core.errors import SettingsError
from ashtune.core.events import JobFinished, TrialStarted, TrialWithdrawn
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.ladder import whole_number
from ashtune.core.plaintext import error_line, shown
from ashtune.space.space import Space

FORMS = (
    "a DataFrame, a list of dicts, a csv file, the directory of a study, or a study of Optuna (of Ray's results "
    "get_dataframe())"
)
_RAY_PREFIX, _ASHTUNE_PREFIX, _OPTUNA_PREFIX = "config/", "config.", "params_"
_PREFIXES = (_RAY_PREFIX, _ASHTUNE_PREFIX, _OPTUNA_PREFIX, "")
"""What stands before the name of a hyperparameter in the tables of Ray, ashtune (where two columns would have one name)
and Optuna; in others nothing."""
_RAY_RESOURCE, _OPTUNA_RESOURCE = "training_iteration", "user_attrs_resource"


class Row(msgspec.Struct, frozen=True):
    """A result as the source has it. ``resource`` is None where nothing says how far it was trained: to the top."""

    configuration: Mapping[str, Any]
    metrics: Mapping[str, Any]
    resource: Any = None


class Source(msgspec.Struct, frozen=True):
    """Rows, and which hyperparameters and metrics any of them has.

    ``what`` and ``columns`` are what an error calls it and them; ``left_out`` counts by reason what has no row.
    """

    what: str
    rows: Sequence[Row]
    hyperparameters: Sequence[str]
    metrics: Sequence[str]
    columns: Sequence[str]
    left_out: Mapping[str, int] = {}


def read_source(source: Any, space: Space, goal: Goal, top: int, unit: str) -> Source:
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


def _of_a_path(path: Path, space: Space, goal: Goal, unit: str) -> Source:
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
) -> Source:
    """Return the rows of a table: a column for each hyperparameter and metric, and for the resource if it has one."""
    there = set(columns)
    names = {name: column for name in space.names if (column := _column_of(name, there)) is not None}
    prefixes = {column.removesuffix(name) for name, column in names.items()}
    free = there - set(names.values())
    metrics = {}
    for place, metric in enumerate(goal.metrics):
        wanted = [f"metric.{metric}", metric]
        if _OPTUNA_PREFIX in prefixes:
            kind = "values" if goal.others else "value"
            wanted += [f"{kind}_{metric}", f"values_{place}" if goal.others else "value"]
        if (column := next((each for each in wanted if each in free), None)) is not None:
            metrics[metric] = column
    free -= set(metrics.values())
    resources = ["resource", unit, f"{unit}s"]
    if _RAY_PREFIX in prefixes:
        resources.append(_RAY_RESOURCE)
    elif _OPTUNA_PREFIX in prefixes:
        resources.append(_OPTUNA_RESOURCE)
    resource = next((name for name in resources if name in free), None)
    given = len(rows)
    if _OPTUNA_PREFIX in prefixes and resource is None and "state" in free:
        rows = [row for row in rows if str(row.get("state")) == "COMPLETE"]
    return Source(
        what,
        [
            Row(
                {name: row.get(column) for name, column in names.items()},
                {metric: row.get(column) for metric, column in metrics.items()},
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
    return next((column for prefix in _PREFIXES if (column := prefix + name) in columns), None)


def _cell(value: Any) -> Any:
    """Return a cell of the column of resources, which may be empty."""
    return "nothing" if value is None or value == "" else value


def _of_a_study(directory: Path) -> Source:
    """Return every result at every rung of a study, but for those of trials that confirm others."""
    reader = StudyReader(directory)
    configurations: dict[TrialId, dict[str, Any]] = {}
    rows: dict[TrialId, list[Row]] = {}
    for event in reader.events():
        match event:
            case TrialStarted(trial=trial, configuration=configuration, confirms=None):
                configurations[TrialId(trial)] = configuration
            case JobFinished(trial=trial, resource=resource, metrics=metrics) if trial in configurations:
                rows.setdefault(TrialId(trial), []).append(Row(configurations[TrialId(trial)], metrics, resource))
            case TrialWithdrawn(trial=trial):
                rows.pop(TrialId(trial), None)
            case _:
                pass
    listed = [row for results in rows.values() for row in results]
    names, reported = _names(listed)
    return Source(str(directory), listed, names, reported, [*names, *reported])


def _names(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return which hyperparameters and metrics any of some rows has."""
    hyperparameters = dict.fromkeys(name for row in rows for name in row.configuration)
    metrics = dict.fromkeys(name for row in rows for name, value in row.metrics.items() if value is not None)
    return list(hyperparameters), list(metrics)


def _of_optuna(study: Any, goal: Goal, top: int) -> Source:
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
            # An export has a metric that is called as one of its own attributes, as "seconds", under a longer name.
            others = {
                name: trial.user_attrs.get(f"metric.{name}", trial.user_attrs.get(name))
                for name in goal.metrics
                if name not in named
            }
            rows.append(Row(trial.params, others | named, resource))
    names, reported = _names(rows)
    return Source("the study of Optuna", rows, names, reported, [*names, *reported], left_out)
