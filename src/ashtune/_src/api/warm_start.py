"""Reads earlier results for a study's search from a table, a csv file, a study's directory or an
Optuna study.

Rule 1: reading earlier results executes no code from a directory or file.
Rule 2: a row that is not a configuration of the space, or has no finite metric, is skipped and
counted. A missing column of a hyperparameter or metric raises an error.
Rule 3: if a configuration has several rows at the same resource, the last row is used.
Rule 4: all sources of ``warm_start`` are the same task as the study, and the search learns from
their results.
Rule 5: each source of ``other_tasks`` is another task, such as other data. Losses of other tasks
have another scale and another order, so the search does not get these losses. The study's first
trials are the best configurations of each task.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.api.study import Study
from ashtune._src.core.checks import MOST_WHOLE, whole_number
from ashtune._src.core.errors import SettingsError, SpaceError, needs_extra
from ashtune._src.core.events import JobFinished, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import Goal, KnownResult
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import error_line, one_line, shown
from ashtune._src.space.plain import identity
from ashtune._src.space.space import Space
from ashtune._src.study.journal import MOST_LINE_BYTES

FORMS = (
    "a DataFrame, a list of dicts, a csv file, the directory of a study, a study of Optuna, Ray's "
    "results.get_dataframe(), or a list of these"
)
# Decision 37 (docs/decisions/0037-results-from-before.md).
MOST = 10_000
"""The largest number of results that a study keeps.

If there are more results, the study keeps the best.
"""
# Decision 71 (docs/decisions/0071-the-best-of-other-tasks-come-first.md).
MOST_OF_TASKS = 10
"""The largest number of first trials that come from other tasks: the default search begins with ten
random draws.
"""
COLUMNS_SHOWN = 200
"""The largest number of characters of column names in a message."""
_RAY_PREFIX = "config/"
_ASHTUNE_PREFIX = "config."
_OPTUNA_PREFIX = "params_"
_PREFIXES = (_RAY_PREFIX, _ASHTUNE_PREFIX, _OPTUNA_PREFIX, "")
"""Prefixes of a hyperparameter's column name in the tables of Ray, ashtune (if two columns would
have the same name) and Optuna; other tables have none.
"""
_RAY_RESOURCE = "training_iteration"
_OPTUNA_RESOURCE = "user_attrs_resource"
_UNKNOWN_RESOURCE = "not complete, of unknown resource"


class WarmStart(msgspec.Struct, frozen=True):
    """The earlier results for a search, and one line about them for the user."""

    results: list[KnownResult]
    line: str


class _ReadResult(NamedTuple):
    """A result from the source that is not checked yet."""

    configuration: Mapping[str, Any]
    metrics: Mapping[str, Any]
    resource: Any


class _Source(NamedTuple):
    """The results of a source, the source's name and columns for messages, and the number of
    skipped results.
    """

    name: str
    results: Sequence[_ReadResult]
    columns: Sequence[str]
    left_out: Mapping[str, int] = {}


class _LeftOut(Exception):  # noqa: N818 - no error
    """Raised with a reason and details if a result cannot be used."""


def known_results(given: Any, space: Space, goal: Goal, *, top: int, unit: str) -> WarmStart:
    """Return the results that the study can use, from one source or several sources. All sources
    are of the study's own task.

    Args:
        given: See ``FORMS``. If several sources have a configuration at the same resource, the last
            source counts.
        top: The resource of the top rung, which is used for results without a resource.
        unit: The unit of the resource, such as "epoch"; the column of resources may have this name.

    Returns:
        At most ``MOST`` results, O(n log n).

    Raises:
        SettingsError: If a source has an unknown form, a column is missing, or no result is usable.
        ExtraMissing: If a source is a csv file, and pandas is not installed.
        JournalError: If a source is a directory without a study, or its journal cannot be read.
    """
    sources = _results_of_each("warm_start", given, space, goal, top=top, unit=unit)
    results = {
        (identity(each.configuration), each.resource): each
        for source in sources
        for each in source.results
    }
    # All results are in the first line of the journal, and a reader refuses a longer line.
    best = _best(list(results.values()), goal)
    size = len(msgspec.json.encode(best))
    if size > MOST_LINE_BYTES // 2:
        raise SettingsError(
            f"warm_start has {size:,} bytes of results, which are too many; give fewer results, or "
            "fewer columns"
        )
    line = f"warm start: {_lines(sources)}"
    if len(best) < len(results):
        line += f"; only the best {MOST:,} results are used"
    return WarmStart(best, one_line(line))


def best_of_other_tasks(given: Any, space: Space, goal: Goal, *, top: int, unit: str) -> WarmStart:
    """Return the best results of other tasks for the first ``MOST_OF_TASKS`` trials; each source is
    a task. First comes the best result of each task, then the second-best result of each task, and
    so on. Feasible results come first, then results at higher resources, because a search trains
    its good configurations longer. Several metrics are compared by the first one. The arguments and
    errors are those of :func:`known_results`.
    """

    def key(result: KnownResult) -> tuple[bool, int, tuple[float, float]]:
        violation, _ = standing = _key(result, goal)
        return violation > 0, -result.resource, standing

    tasks = _results_of_each("other_tasks", given, space, goal, top=top, unit=unit)
    ranked = [sorted(task.results, key=key) for task in tasks]
    in_turn = (each for place in zip_longest(*ranked) for each in place if each is not None)
    first = dict[object, KnownResult]()
    for each in in_turn:
        first.setdefault(identity(each.configuration), each)
    best = [
        msgspec.structs.replace(each, is_of_another_task=True)
        for each in list(first.values())[:MOST_OF_TASKS]
    ]
    line = _lines(tasks)
    if best:
        line = (
            f"the study first tries the best configurations of {plural(len(tasks), 'task')}, "
            f"{len(best)} at most: {line}"
        )
    return WarmStart(best, one_line(f"other tasks: {line}"))


def _lines(sources: Sequence[WarmStart]) -> str:
    if not any(source.results for source in sources):
        return "no earlier results were found, so the search begins without them"
    return "; ".join(source.line for source in sources)


def _results_of_each(
    option: str, given: Any, space: Space, goal: Goal, **more: Any
) -> list[WarmStart]:
    """Return the results of each source of an option."""
    # A list of rows is one source; a list of anything else is several sources. For earlier results
    # of the same task, ``["a"]`` and ``"a"`` mean the same. Results of other tasks have their own
    # option, where each source is another task (decision 71).
    is_list = (
        isinstance(given, list | tuple)
        and given
        and not any(isinstance(each, Mapping) for each in given)
    )
    sources = given if is_list else [given]
    name = option
    if len(sources) > 1:
        name += "[{}]"
    return [
        _results_of(name.format(at), source, space, goal, **more)
        for at, source in enumerate(sources)
    ]


def _results_of(
    which: str, source: Any, space: Space, goal: Goal, *, top: int, unit: str
) -> WarmStart:
    """Return the results of one source. ``which`` is the source's name in error messages, such as
    "warm_start[1]".
    """
    read = _read(which, source, space, goal, top=top, unit=unit)
    choices = {name: each.choices or [] for name, each in space.columns.items()}
    constants = {name: values[0] for name, values in choices.items() if len(values) == 1}
    _check_columns(which, read, space, goal, constants)
    left_out = Counter(dict(read.left_out))
    examples = dict[str, str]()
    given = left_out.total() + len(read.results)
    results = dict[object, KnownResult]()
    for each in read.results:
        try:
            result = _known_result(each, space, goal, constants)
        except _LeftOut as why:
            reason, example = why.args
            left_out[reason] += 1
            examples.setdefault(reason, example)
            continue
        key = identity(result.configuration), result.resource
        if key in results:
            left_out["repeated below"] += 1
        results[key] = result
    best = _best(list(results.values()), goal)
    left_out[f"not among the best {MOST:,}"] = len(results) - len(best)
    reasons = ", ".join(
        f"{count:,} {reason}{examples.get(reason, '')}" for reason, count in (+left_out).items()
    )
    if given and not best:
        raise SettingsError(f"{which}: {read.name} has no usable results ({reasons})")
    configurations = len({identity(result.configuration) for result in best})
    line = f"{plural(len(best), 'result')} of {plural(configurations, 'configuration')}"
    # A source whose rows are mostly skipped is usually a mistake in a column, and the search would
    # then silently begin with little. So the user is told how many rows were skipped, and why.
    if reasons:
        line += f"; {left_out.total():,} of {given:,} left out: {reasons}"
    return WarmStart(best, line)


def _read(which: str, source: Any, space: Space, goal: Goal, *, top: int, unit: str) -> _Source:
    name = "the list"
    if isinstance(source, Study):
        source = source.directory
    if isinstance(source, str | os.PathLike):
        path = Path(os.path.expanduser(source))
        if path.is_dir():
            return _read_study(path)
        name = str(source)
        rows = _rows_of(_csv(which, path))
    elif type(source).__module__.partition(".")[0] == "optuna" and hasattr(source, "directions"):
        return _read_optuna(which, source, goal, top)
    elif hasattr(source, "to_dict"):
        name = "the table"
        rows = _rows_of(source)
    elif isinstance(source, Iterable) and not isinstance(source, bytes | Mapping):
        rows = list(source)
    else:
        rows = [source]
    if not all(isinstance(row, Mapping) for row in rows) or isinstance(source, Mapping):
        raise SettingsError(f"{which}={shown(source)} cannot be read; give {FORMS}")
    return _read_table(name, [dict(_flat(row)) for row in rows], space, goal, top=top, unit=unit)


def _flat(row: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values of a row. A value in a nested dict has a name like ``config/rate``, as
    in Ray.
    """
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}/")
        else:
            yield f"{before}{name}", value


def _csv(which: str, path: Path) -> Any:
    with needs_extra("pandas"):
        import pandas
    if not path.is_file():
        raise SettingsError(
            f"{which}={shown(str(path))} is neither a file nor a directory; give {FORMS}"
        )
    try:
        # "None" is a choice
        return pandas.read_csv(path, keep_default_na=False, na_values=["", "null", "nan", "NaN"])
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{which}: {path} is not a csv file ({error_line(error)}); give {FORMS}"
        ) from None


def _rows_of(table: Any) -> list[Any]:
    """Return the rows of a polars or pandas DataFrame as dicts, with None in empty cells."""
    if hasattr(table, "to_dicts"):
        return list(table.to_dicts())
    return list(table.astype(object).where(table.notna(), None).to_dict("records"))


def _read_table(
    what: str, rows: Sequence[Mapping[str, Any]], space: Space, goal: Goal, *, top: int, unit: str
) -> _Source:
    """Return the results in a table. The table may have no column of the resource."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    # A table may have a column for each of Optuna's, Ray's and our names. Each column is used once,
    # and the plain name is tried last: in a table of Ray, "config/lr" is the hyperparameter, and
    # "lr" may be a reported metric.
    free = set(columns)

    def take(*names: str) -> str | None:
        """Return the first name that is an unused column, or None. The returned column then counts
        as used.
        """
        name = next((name for name in names if name in free), None)
        free.discard(str(name))
        return name

    taken = {name: take(*(prefix + name for prefix in _PREFIXES)) for name in space.names}
    names = {name: column for name, column in taken.items() if column}
    prefixes = {column.removesuffix(name) for name, column in names.items()}
    is_optunas = _OPTUNA_PREFIX in prefixes
    metrics = {}
    for place, metric in enumerate(goal.metrics):
        of_optuna: tuple[str, ...] = ()
        if is_optunas and goal.others:
            of_optuna = (f"values_{metric}", f"values_{place}")
        elif is_optunas:
            of_optuna = (f"value_{metric}", "value")
        column = take(f"metric.{metric}", metric, *of_optuna)
        if column:
            metrics[metric] = column
    of_others = []
    if _RAY_PREFIX in prefixes:
        of_others = [_RAY_RESOURCE]
    elif is_optunas:
        of_others = [_OPTUNA_RESOURCE]
    resource = take("resource", unit, f"{unit}s", *of_others)
    given = len(rows)
    if is_optunas and resource is None and "state" in free:
        rows = [row for row in rows if row.get("state") == "COMPLETE"]
    unknown = given - len(rows)
    if "status" in free:  # a table of ashtune
        rows = [row for row in rows if row.get("status") != "withdrawn"]
    left_out = {_UNKNOWN_RESOURCE: unknown, "withdrawn": given - unknown - len(rows)}
    results = [
        _ReadResult(
            {name: row.get(column) for name, column in names.items()},
            {metric: row.get(column) for metric, column in metrics.items()},
            row.get(resource) if resource else top,
        )
        for row in rows
    ]
    return _Source(what, results, columns, left_out)


def _read_study(directory: Path) -> _Source:
    """Return the results of all trials of a study at all rungs, except confirming trials."""
    # Results of all rungs, because a search learns from low rungs too. Confirming trials have
    # another seed, and are the same configurations again. Only events are read: the scheduler of
    # the other study need not be installed here, and no code of it runs (rule 1).
    configurations: dict[int, dict[str, Any]] = {}
    results: dict[int, list[_ReadResult]] = {}
    for event in StudyReader(directory).events():
        match event:
            case TrialStarted(trial=trial, configuration=configuration, confirms=None):
                configurations[trial] = configuration
            case JobFinished(trial=trial, resource=resource, metrics=metrics) if (
                trial in configurations
            ):
                results.setdefault(trial, []).append(
                    _ReadResult(configurations[trial], metrics, resource)
                )
            case TrialWithdrawn(trial=trial):
                results.pop(trial, None)
            case _:
                pass
    return _source_of(str(directory), [each for listed in results.values() for each in listed])


def _source_of(
    name: str, results: Sequence[_ReadResult], left_out: Mapping[str, int] | None = None
) -> _Source:
    columns = dict.fromkeys(
        name for each in results for name in (*each.configuration, *each.metrics)
    )
    return _Source(name, results, list(columns), left_out or {})


def _read_optuna(which: str, study: Any, goal: Goal, top: int) -> _Source:
    """Return the results of an Optuna study's complete trials, and of its pruned trials if their
    steps are resources.

    If no step is above the top rung, Optuna's steps are resources. If any trial has a step 0, every
    step is increased by 1. An Optuna trial that ashtune exported has its resource as a user
    attribute.
    """
    ways = ["min" if direction.name == "MINIMIZE" else "max" for direction in study.directions]
    if ways != [objective.mode for objective in goal.objectives]:
        raise SettingsError(
            f"{which}: the study of Optuna has the directions {', '.join(ways)}, but this study "
            f"has {goal}; give a study with the same metrics, or its trials_dataframe() with "
            "renamed columns"
        )
    trials = study.get_trials(deepcopy=False)
    steps = [step for trial in trials for step in trial.intermediate_values]
    offset = int(0 in steps)
    is_resource = bool(steps) and max(steps) + offset <= top and min(steps) >= 0
    results = []
    left_out = Counter[str]()
    for trial in trials:
        state = trial.state.name
        resource = whole_number(trial.user_attrs.get("resource"))
        last = trial.last_step
        if resource is None and is_resource and last is not None:
            resource = last + offset
        values = trial.values
        if state == "PRUNED" and values is None and last is not None and not goal.others:
            values = [trial.intermediate_values[last]]
        if state not in ("COMPLETE", "PRUNED"):
            left_out[f"that {'failed' if state == 'FAIL' else 'did not end'}"] += 1
        elif state == "PRUNED" and resource is None:
            left_out[_UNKNOWN_RESOURCE] += 1
        else:
            named = dict(zip([each.metric for each in goal.objectives], values or [], strict=False))
            # An exported metric with the name of an ashtune attribute, such as "seconds", has a
            # longer name.
            attributes = trial.user_attrs
            others = {
                name: attributes.get(f"metric.{name}", attributes.get(name))
                for name in goal.metrics
            }
            results.append(
                _ReadResult(trial.params, others | named, top if resource is None else resource)
            )
    return _source_of("the study of Optuna", results, left_out)


def _check_columns(
    which: str, read: _Source, space: Space, goal: Goal, constants: Mapping[str, object]
) -> None:
    """Raise an error if a source lacks a metric of the study, or a hyperparameter that is always
    active.
    """
    if not read.results:
        return
    needed = {
        name
        for name in space.names
        if name not in constants and name not in space.rules.conditional
    }
    missing = needed.difference(*(each.configuration for each in read.results))
    reported = {
        name for each in read.results for name, value in each.metrics.items() if value is not None
    }
    names = missing or set(goal.metrics) - reported
    if names:
        kind = "hyperparameter" if missing else "metric"
        raise SettingsError(
            f"{which}: {read.name} has no column for the {kind} {shown(min(names))}; rename one to "
            f"{shown(min(names))} (a hyperparameter may have the prefix config/ or params_), or "
            "add a column with the value that these results used; the columns are "
            f"{one_line(', '.join(read.columns), COLUMNS_SHOWN)}"
        )


def _known_result(
    given: _ReadResult, space: Space, goal: Goal, constants: Mapping[str, object]
) -> KnownResult:
    """Convert a read result to a result in the study's search space, or raise ``_LeftOut``."""
    metrics = {name: _number(given.metrics.get(name)) for name in goal.metrics}
    lacking = [name for name, value in metrics.items() if not math.isfinite(value)]
    if lacking:
        raise _LeftOut(f"without a value of {one_line(lacking[0], 60)}", "")
    values = {**constants}
    for name, column in space.columns.items():
        value = given.configuration.get(name)
        # An empty cell is a missing value, unless None is a choice of this hyperparameter.
        if not _is_empty(value):
            values[name] = value
        elif column.choices is not None and None in column.choices:
            values[name] = None
    try:
        configuration = space.check(space.rules.remove_inactive(values))
    except (
        SpaceError,
        TypeError,
        LookupError,
    ) as error:  # a condition may compare a text with a number
        raise _LeftOut(
            "outside of the search space", f" ({one_line(str(error).partition(';')[0], 80)})"
        ) from None
    resource = _number(given.resource)
    if not resource.is_integer() or not 1 <= resource <= MOST_WHOLE:
        raise _LeftOut(
            "whose resource is not a whole number of at least 1", f" ({shown(given.resource, 20)})"
        )
    return KnownResult(configuration, int(resource), metrics)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float:
    """Convert a value of a table to a number, or to NaN if the value is not a number."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _best(results: list[KnownResult], goal: Goal) -> list[KnownResult]:
    """Return the ``MOST`` best results in their original order. Feasible results are better."""
    best = nsmallest(MOST, range(len(results)), key=lambda at: _key(results[at], goal))
    return [results[at] for at in sorted(best)]


def _key(result: KnownResult, goal: Goal) -> tuple[float, float]:
    losses, violation = goal.judged(result.metrics)
    return violation or 0.0, losses[0]
