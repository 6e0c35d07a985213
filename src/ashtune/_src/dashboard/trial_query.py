"""Searches trials for a viewer: reads the query in an address, copies a table of trials, and
searches this table.

Rule 1: a table is a copy, because another thread reads the journal during a search. A thread has
the study's lock while it copies columns, but not while it searches columns. A query of 100,000
trials takes less than 0.1 seconds.
Rule 2: trials without a value are last in ascending order and in descending order.
Rule 3: if a hyperparameter has the name of another column, its column has the prefix ``config.``. A
range may use the hyperparameter's name without ``config.``.
"""

# Theory of operation
# -------------------
# A request for rows (FollowedStudy.rows, in a thread of the server) has three steps:
#
#   read_query()   text of the address to Query. Words, ranges and rows are bounded
#   table_of()     copies the columns that the query names, with the study's lock
#   Table.select() a mask for each condition, their conjunction, a stable sort, then one page of the
#                  list. Without the lock
#
# The columns are copied, because the reader appends to them during a search. Only the columns that
# a query names are copied, and the columns of texts only if the query has words: most queries sort
# by one column of a study that may have 200 hyperparameters.
#
# A column of texts is a list of different texts and a code for each trial. A search compares each
# different text once, not each trial, and the code -1 picks the last item, which is False.
#
# A word of the search such as "lr<0.1" is a comparison only if its left side is a column, because a
# text may contain these signs too. If no trial has this text, the word was meant as a comparison,
# and the user is told which columns exist. An unfinished number ("lr<1e-") matches nothing and is
# no error, because the page asks while the user types.
#
# Sorting is stable in both directions (the keys are negated, not the result reversed), so that
# trials of equal value stay in the order of their numbers, and NaN stays last (rule 2).
#
# The CSV goes to a spreadsheet, where a text that begins with = + - @ is computed. A study of
# another person could read cells or open addresses this way, hence the apostrophe.

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.analysis.trials import STATUSES, TrialRecord, Trials
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.plaintext import one_line, shown, value_without_userinfo
from ashtune._src.dashboard.page_messages import (
    BadQuestion,
    check_choice,
    check_parameters,
    is_whole,
    whole_number,
)
from ashtune._src.dashboard.parts.part import short_value
from ashtune._src.search.origins import SOURCES, source_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Numbers = npt.NDArray[np.int64]

COLUMNS = ("number", "value", "rung", "resource", "seconds", "status")
"""The columns of every study."""
OF_A_HYPERPARAMETER = "config."
"""Prefix of a hyperparameter's column if another column has its name."""
PARAMETERS = (
    "search", "sort", "order", "status", "rung", "origin", "where", "like", "offset", "count",
)  # fmt: skip
MOST_ROWS = 500
MOST_WORDS = 20
"""The largest number of words in a search; each word is compared with all trials."""
MOST_VALUES = 500
"""The largest number of hyperparameters, and of metrics, in a row."""
REASON_CHARACTERS = 200
_COMPARISON = re.compile(r"(.+?)(<=|>=|<|>|=)(.*)", re.DOTALL)
_A_TRIAL = re.compile(r"\btrial\s+#?(?=\d+\b)", re.IGNORECASE)
_FORMULAS = ("=", "+", "-", "@")
"""The beginnings of texts that a spreadsheet would compute."""


class Where(msgspec.Struct, frozen=True):
    """A range of values of a hyperparameter or metric, including both ends. None means no end."""

    name: str
    low: float | None
    high: float | None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query: conditions for trials, the order of trials, and the page of the list. See
    :func:`read_query`.

    If ``like`` is the number of a failed trial, only trials that failed for the same reason match.
    """

    search: tuple[str, ...] = ()
    sort: str = "number"
    is_descending: bool = False
    statuses: frozenset[str] = frozenset()
    rung: int | None = None
    source: str = ""
    where: tuple[Where, ...] = ()
    like: int | None = None
    offset: int = 0
    count: int = 50

    @property
    def names(self) -> set[str]:
        """The columns that the query sorts by or compares. Columns of ranges are not included."""
        matches = map(_COMPARISON.fullmatch, self.search)
        names = {self.sort, *(match[1] for match in matches if match)}
        if self.rung is not None:
            names.add("rung")
        return names

    @property
    def numbers(self) -> list[int]:
        """The numbers in the search. Trials with these numbers come first."""
        words = [word.removeprefix("#") for word in self.search]
        return [int(word) for word in words if is_whole(word, 9)]


def read_query(given: Mapping[str, Sequence[str]]) -> Query:
    """Return the query in the parameters of an address.

    Raises:
        BadQuestion: If a parameter is unknown or has a wrong value; the message has one line.
    """
    check_parameters(given, PARAMETERS)
    one = {name: values[-1] for name, values in given.items()}
    statuses = frozenset(
        each for value in given.get("status", ()) for each in value.split(",") if each
    )
    for status in statuses:
        check_choice("status", status, STATUSES)
    check_choice("origin", one.get("origin", ""), ("", *SOURCES))
    check_choice("order", one.get("order", ""), ("", "asc", "desc"))
    return Query(
        search=tuple(_A_TRIAL.sub("#", one.get("search", "")).split()[:MOST_WORDS]),
        sort=one.get("sort") or "number",
        is_descending=one.get("order") == "desc",
        statuses=statuses,
        rung=_optional("rung", one),
        source=one.get("origin", ""),
        where=tuple(map(_where, given.get("where", ())))[:MOST_WORDS],
        like=_optional("like", one),
        offset=whole_number("offset", one.get("offset") or "0"),
        count=min(MOST_ROWS, whole_number("count", one.get("count") or "50")),
    )


def _optional(name: str, one: Mapping[str, str]) -> int | None:
    text = one.get(name)
    return whole_number(name, text) if text else None


def _where(text: str) -> Where:
    name, *ends = text.rsplit(":", 2)
    if len(ends) != 2:
        raise BadQuestion(
            f"where={shown(text)} is not a range; give NAME:LOW:HIGH, where LOW or HIGH may be "
            "empty"
        )
    low, high = (_number(end) for end in ends)
    return Where(name, low, high)


def _number(text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise BadQuestion(f"{shown(text)} is not a number that can be compared")
    return number


class Selected(msgspec.Struct, frozen=True):
    """The selected trials of a query, the number of matching trials, and numbers of trials by
    status and by source.
    """

    trials: list[int]
    matching: int
    total: int
    statuses: dict[str, int]
    sources: dict[str, int]


class Table(msgspec.Struct, frozen=True):
    """The columns of all trials at one moment.

    ``texts`` has two items for each column of texts: a list of texts, and an index into this list
    for each trial. A trial without a text has the index -1. ``reasons`` has the reason of each
    failed or withdrawn trial. ``columns`` maps each hyperparameter to the name of its column.
    ``metrics`` are the names of the metrics with a column. ``like`` has the trials that failed for
    the query's reason.
    """

    status: "npt.NDArray[np.uint8]"
    source: "npt.NDArray[np.uint8]"
    numbers: "dict[str, Any]"
    texts: "dict[str, tuple[Any, list[str]]]"
    reasons: Mapping[TrialId, str]
    columns: Mapping[str, str]
    metrics: Sequence[str]
    like: Sequence[TrialId]

    def select(self, query: Query) -> Selected:
        """Return the trials that a query selects. O(trials log trials).

        Raises:
            BadQuestion: If the query compares or sorts by an unknown name.
        """
        import numpy as np

        matching = np.flatnonzero(self._mask(query))
        ordered = matching[self._order(query, matching)]
        if query.numbers:
            is_named = np.isin(ordered, query.numbers)
            ordered = np.concatenate([ordered[is_named], ordered[~is_named]])
        statuses = np.bincount(self.status, minlength=len(STATUSES)).tolist()
        sources = np.bincount(self.source, minlength=len(SOURCES)).tolist()
        return Selected(
            trials=ordered[query.offset : query.offset + query.count].tolist(),
            matching=len(matching),
            total=len(self.status),
            statuses=dict(zip(STATUSES, statuses, strict=True)),
            sources=dict(zip(SOURCES, sources, strict=True)),
        )

    def _mask(self, query: Query) -> "Mask":
        import numpy as np

        mask = np.ones(len(self.status), dtype=bool)
        if query.statuses:
            mask &= np.isin(self.status, [STATUSES.index(status) for status in query.statuses])
        if query.rung is not None:
            mask &= self.numbers["rung"] == query.rung
        if query.source:
            mask &= self.source == SOURCES.index(query.source)
        for where in query.where:
            column = self._column(self.columns.get(where.name, where.name))
            mask &= ~np.isnan(column)
            if where.low is not None:
                mask &= column >= where.low
            if where.high is not None:
                mask &= column <= where.high
        if query.like is not None:
            mask &= np.isin(np.arange(len(mask)), self.like)
        for word in query.search:
            mask &= self._having(word)
        return mask

    def _order(self, query: Query, matching: "Numbers") -> "Numbers":
        import numpy as np

        if query.sort == "number":
            return np.arange(len(matching))[:: -1 if query.is_descending else 1]
        keys = self._column(query.sort)[matching]
        if query.is_descending:
            keys = -keys
        return np.argsort(keys, kind="stable")

    def _column(self, name: str) -> "Floats":
        """Return a column as numbers, with NaN for each trial without a value."""
        import numpy as np

        if name in self.numbers:
            column: Floats = self.numbers[name]
            return column
        if name in self.texts:
            codes = self.texts[name][0]
            return np.where(codes < 0, math.nan, codes)
        raise BadQuestion(
            f"{shown(name)} is not a column; the columns are "
            f"{', '.join((*COLUMNS, *self.columns.values()))}"
        )

    def _having(self, word: str) -> "Mask":
        """Return a mask of the trials that match one word of a search.

        Raises:
            BadQuestion: If the word compares an unknown name, and no text has the word.
        """
        import numpy as np

        match = _COMPARISON.fullmatch(word)
        if match and (match[1] in self.numbers or match[1] in self.texts):
            return self._comparing(*match.groups())
        sought = word.casefold()
        mask = np.zeros(len(self.status), dtype=bool)
        number = word.removeprefix("#")
        if is_whole(number, 9) and int(number) < len(mask):
            mask[int(number)] = True
        mask |= _with_text(self.status.astype(np.int64), STATUSES, sought)
        mask |= _with_text(self.source.astype(np.int64), SOURCES, sought)
        for codes, texts in self.texts.values():
            mask |= _with_text(codes, texts, sought)
        mask[[trial for trial, reason in self.reasons.items() if sought in reason.casefold()]] = (
            True
        )
        if match and not mask.any():
            self._column(match[1])
        return mask

    def _comparing(self, name: str, sign: str, text: str) -> "Mask":
        """Return a mask of the trials for which a comparison is true. Texts can only be compared by
        ``=``.
        """
        import numpy as np

        none = np.zeros(len(self.status), dtype=bool)
        if name in self.texts:
            if sign != "=":
                return none
            codes, texts = self.texts[name]
            return _with_text(codes, texts, text.casefold())
        column = self._column(name)
        try:
            number = float(text)
        except ValueError:  # an incomplete number, while the user is typing
            return none
        compare: dict[str, Callable[[Any, Any], Any]] = {
            "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
            "=": np.isclose,
        }  # fmt: skip
        mask: Mask = compare[sign](column, number)
        return mask


def table_of(trials: Trials, query: Query) -> Table:
    """Return a copy of the columns that a query compares. O(trials)."""
    import numpy as np

    columns = trials.columns()
    names = column_names(columns.names, trials.values)
    count = len(trials)
    statuses = np.frombuffer(bytes(trials.statuses), np.uint8)
    numbers: dict[str, Any] = {
        **{names[name]: column for name, column in columns.numbers.items()},
        **trials.values,
        "value": next(iter(trials.values.values())),
        "number": range(count), "status": statuses,
        "seconds": trials.seconds, "rung": trials.rungs, "resource": trials.resources,
    }  # fmt: skip
    reasons: Mapping[TrialId, str] = {}
    if query.search:
        reasons = dict(trials.reasons)
    like: Sequence[TrialId] = ()
    if query.like is not None:
        like = trials.ended_like(query.like)
    wanted = query.names | {names.get(each.name, each.name) for each in query.where}
    copies = {name: np.array(numbers[name], np.float64) for name in wanted if name in numbers}
    if "rung" in copies:
        copies["rung"][copies["rung"] < 0] = math.nan
    return Table(
        status=statuses,
        source=np.fromiter(map(_place, trials.origins), np.uint8, count),
        numbers=copies,
        texts={
            names[name]: (np.array(column.codes), list(column.texts))
            for name, column in columns.texts.items()
            if names[name] in wanted or query.search
        },
        reasons=reasons,
        columns=names,
        metrics=tuple(trials.values),
        like=like,
    )


@lru_cache(10_000)
def _place(origin: str) -> int:
    return SOURCES.index(source_of(origin))


def column_names(hyperparameters: Sequence[str], metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the column name of each hyperparameter, as a dict (see rule 3)."""
    taken = {*COLUMNS, *metrics}
    taken.update(name for name in hyperparameters if name.startswith(OF_A_HYPERPARAMETER))
    return {name: _free(name, OF_A_HYPERPARAMETER, taken) for name in hyperparameters}


def _free(name: str, prefix: str, taken: Set[str]) -> str:
    return prefix + name if name in taken else name


def row_of(record: TrialRecord, metric: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return a trial's row in the page's table. ``columns`` has the column name of each
    hyperparameter.
    """
    return {
        "trial": record.number,
        "status": record.status,
        "rung": record.rung,
        "resource": record.resource,
        "value": record.metrics.get(metric),
        "metrics": dict(islice(record.metrics.items(), MOST_VALUES)),
        "seconds": round(record.seconds, 3),
        "origin": one_line(record.origin, REASON_CHARACTERS),
        "reason": one_line(record.reason, REASON_CHARACTERS),
        "configuration": {
            columns.get(name, name): short_value(value)
            for name, value in islice(record.configuration.items(), MOST_VALUES)
        },
    }


def csv_of(records: Iterable[TrialRecord], table: Table) -> bytes:
    """Return trials as a CSV file in UTF-8. Texts that a spreadsheet would compute begin with an
    apostrophe.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    own = {*COLUMNS, "trial", "origin", "reason"}
    metrics = [_free(name, "metric.", own) for name in table.metrics]
    values = [_free(name, OF_A_HYPERPARAMETER, own) for name in table.columns.values()]
    writer.writerow(
        ["trial", "status", "rung", "resource", *metrics, "seconds", "origin", "reason", *values]
    )
    for each in records:
        row: list[Any] = [each.number, each.status, each.rung, each.resource]
        row += [each.metrics.get(name) for name in table.metrics]
        row += [each.seconds, each.origin, each.reason, *map(each.configuration.get, table.columns)]
        row = value_without_userinfo(row)
        writer.writerow(
            [
                f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell
                for cell in row
            ]
        )
    return file.getvalue().encode(errors="replace")


def _with_text(codes: "Numbers", texts: Sequence[str], sought: str) -> "Mask":
    import numpy as np

    fits: Mask = np.array([*(sought in text.casefold() for text in texts), False])
    return fits[codes]
