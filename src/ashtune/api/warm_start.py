"""Results from before a study: which rows of a source are results that its search can use.

Rule 1: a row that is no configuration of the space, or has no finite metric, is left out and counted by the reason. A
column that is missing is an error.
Rule 2: of the same configuration at the same resource the last row counts.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ashtune.api.warm_sources import Row, Source, read_source
from ashtune.core.errors import SettingsError, SpaceError
from ashtune.core.jobs import Goal, KnownResult
from ashtune.core.ladder import MOST_WHOLE
from ashtune.core.numbers import plural
from ashtune.core.plaintext import one_line, shown
from ashtune.space.columns import Column
from ashtune.space.plain import hashable, identity
from ashtune.space.space import Space
from ashtune.study.journal import MOST_LINE_BYTES

MOST = 10_000
"""Results that a study keeps; of more the best."""
COLUMNS_SHOWN = 200
"""Characters of their names."""


class WarmStart(msgspec.Struct, frozen=True):
    """The results that a search is to know, and what to say of them in one line."""

    results: list[KnownResult]
    line: str


def known_results(source: Any, space: Space, goal: Goal, *, top: int, unit: str) -> WarmStart:
    """Return the results of a source that a study can use.

    Args:
        source: See ``FORMS`` in ``warm_sources.py``.
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
    table = read_source(source, space, goal, top, unit)
    every_choice = {name: column.choices or () for name, column in space.columns.items()}
    constants = {name: choices[0] for name, choices in every_choice.items() if len(choices) == 1}
    _check_columns(table, space, goal, constants)
    reasons, results = _Reasons(table.left_out), dict[object, KnownResult]()
    given = sum(table.left_out.values())
    for row in table.rows:
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
    best = _best(list(results.values()), goal)
    if len(best) < len(results):
        reasons.counts[f"beyond the best {MOST:,}"] = len(results) - len(best)
    if given and not best:
        raise SettingsError(f"warm_start: {table.what} has no result that can be used: {reasons}")
    if (size := len(msgspec.json.encode(best))) > MOST_LINE_BYTES // 2:
        raise SettingsError(
            f"warm_start: {len(best):,} results take {size:,} bytes, too many for a journal; give fewer"
        )
    return WarmStart(best, _line(best, given, reasons))


def _line(best: Sequence[KnownResult], given: int, reasons: "_Reasons") -> str:
    if not given:
        return "warm start: there are no results, so the search begins without"
    configurations = len({identity(result.configuration) for result in best})
    line = f"warm start: {plural(len(best), 'result')} of {plural(configurations, 'configuration')}"
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


def _check_columns(table: Source, space: Space, goal: Goal, constants: Mapping[str, object]) -> None:
    """Refuse a source that lacks a hyperparameter which is always active, or a metric.

    Raises:
        SettingsError: If it does.
    """
    needed = [name for name in space.names if name not in constants and name not in space.rules.conditional]
    columns = one_line(", ".join(table.columns), COLUMNS_SHOWN)
    for name in needed if table.rows else ():
        if name not in table.hyperparameters:
            raise SettingsError(
                f"warm_start: {table.what} has no column for the hyperparameter {shown(name)}; it has {columns}; name "
                "it as in the space, also with config/ or params_ in front; of a new one give the value that it had"
            )
    for name in goal.metrics if table.rows else ():
        if name not in table.metrics:
            raise SettingsError(
                f"warm_start: {table.what} has no column for the metric {shown(name)}; it has {columns}; name it so"
            )


def _result(row: Row, space: Space, goal: Goal, constants: Mapping[str, object], top: int) -> KnownResult:
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
        configuration = space.check(space.rules.remove_inactive(values))
    except (SpaceError, TypeError, LookupError) as error:  # a condition may compare a text with a number
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
    None, and text for a list or a bool (an export), as Python or as JSON writes it: ``CsvLog`` writes ``true``.
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
    alike = [choice for choice in choices if text in (str(choice), json.dumps(choice))]
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
