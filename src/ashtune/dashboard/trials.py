"""Every trial in columns, to be filtered, sorted and searched: 100,000 of them in less than a tenth of a second.

A trial takes about 60 bytes, and 8 for each hyperparameter. What is shown of the few trials of an answer is read from
the journal: the columns hold where its lines begin.

Rule 1: statuses are those of :class:`ashtune.analysis.trials.Trials`.
Rule 2: a value of another type than its hyperparameter has is none.
Rule 3: a thread that asks holds the study's lock while the columns are copied, and not while they are searched.
"""

import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.core.events import JobFailed, JobFinished, JobPaused, TrialStarted, TrialWithdrawn
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import Train
from ashtune.core.plaintext import one_line, shown
from ashtune.core.verdicts import TrialFailed
from ashtune.dashboard.parts.part import short_value
from ashtune.dashboard.parts.space import Hyperparameter
from ashtune.dashboard.reading import Batch, BatchListener, Cursor, Method
from ashtune.dashboard.refusals import BadQuestion, whole
from ashtune.search.origins import ENQUEUED, Sort, sort_of
from ashtune.study.journal import events_at

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Numbers = npt.NDArray[np.int64]

STATUSES = ("running", "paused", "trained to the top", "failed", "withdrawn", "ended early")
RUNNING, PAUSED, AT_THE_TOP, FAILED, WITHDRAWN, ENDED_EARLY = range(6)
SOURCES = ("model", "mutation", "random", "enqueued", "other")
MODEL, MUTATION, RANDOM, GIVEN, OTHER = range(5)
_SOURCE_OF = {
    Sort.MODEL: MODEL, Sort.MUTATION: MUTATION, Sort.STANDING_IN: MUTATION, Sort.RANDOM: RANDOM, Sort.OTHER: OTHER,
}  # fmt: skip
ROOM = 1_024
"""Trials for which there is room at least when there is for one more."""
MOST_ROWS = 500
MOST_WORDS = 20
"""In a search, each a comparison of all trials."""
MOST_TEXTS = 10_000
"""Different texts of a column; a study that has more cannot be searched for the others."""
MOST_COLUMNS = 500
"""Hyperparameters, and metrics of a row."""
MOST_METRICS = 20
"""Metrics that trials are sorted by: the first objectives and constraints."""
REASON_CHARACTERS = 200
_NOWHERE = -1
_COMPARISON = re.compile(r"(.+?)(<=|>=|<|>|=)(.+)", re.DOTALL)


class Texts:
    """A column of texts, or of other values that are told apart: a number for each trial, which stands for one."""

    def __init__(self, known: Sequence[Any] = ()) -> None:
        self.codes = array("i")
        self.texts: list[str] = []
        self._places: dict[str | bytes, int] = {}
        for value in known:
            self.place(value)

    def place(self, value: Any) -> int:
        """Return the number that stands for a value; -1 if there are too many."""
        key = value if type(value) is str else msgspec.json.encode(value)
        if (place := self._places.get(key)) is None:
            if len(self.texts) >= MOST_TEXTS:
                return _NOWHERE
            place = self._places[key] = len(self.texts)
            self.texts.append(one_line(key if isinstance(key, str) else key.decode()))
        return place


class TrialColumns(BatchListener):
    """The trials of a study.

    Args:
        ladder: The rungs.
        goal: The metrics that count.
        hyperparameters: Of its space.
        cursor: Where the reading is.
    """

    def __init__(self, ladder: Ladder, goal: Goal, hyperparameters: Sequence[Hyperparameter], cursor: Cursor) -> None:
        self._top = ladder.top
        self._cursor = cursor
        self._metrics = {name: array("d") for name in goal.metrics[:MOST_METRICS]}
        self._count = 0
        self._status, self._source = bytearray(), bytearray()
        self._rungs, self._resources, self._seconds = array("h"), array("q"), array("d")
        self._start_lines, self._result_lines = array("q"), array("q")
        self._reasons = Texts()
        self._numbers: dict[str, array[float]] = {each.name: array("d") for each in hyperparameters if each.is_number}
        self._texts = {
            each.name: Texts(each.choices) for each in hyperparameters if not (each.is_number or each.type == "unknown")
        }
        self._names = [each.name for each in hyperparameters]

    def __len__(self) -> int:
        return self._count

    def takes(self) -> Mapping[type, Method]:
        """Return what it takes."""
        return {
            TrialStarted: self._started, JobFinished: self._finished, JobPaused: self._paused, JobFailed: self._broke,
            TrialWithdrawn: self._withdrawn, TrialFailed: self._failed, Train: self._train,
        }  # fmt: skip

    def take_batch(self, batch: Batch) -> None:
        """Take in starts and results, column by column: several times as fast as trial by trial."""
        if batch.started:
            self._start_many(batch.started, batch.start_lines)
        if batch.finished:
            self._finish_many(batch.finished, batch.finish_lines)

    @property
    def running(self) -> int:
        """How many trials are on their way. Without orders a promoted trial counts as paused until it reports."""
        return self._status.count(RUNNING, 0, self._count)

    @property
    def names(self) -> list[str]:
        """The hyperparameters."""
        return self._names

    def start_line(self, trial: int) -> int:
        """Return the byte at which the line of a trial's start begins; -1 if there is none."""
        return self._start_lines[trial] if 0 <= trial < self._count else _NOWHERE

    def _grow(self, trial: int) -> None:
        """Have room for a trial. The columns grow by many at a time, which is ten times as fast as by one."""
        if trial < self._count:
            return
        self._count = trial + 1
        missing = self._count - len(self._status)
        if missing <= 0:
            return
        missing = max(missing, ROOM)
        self._status += bytes(missing)
        self._source += bytes([OTHER]) * missing
        self._rungs.extend([_NOWHERE] * missing)
        self._resources.extend([0] * missing)
        self._seconds.extend([0.0] * missing)
        self._start_lines.extend([_NOWHERE] * missing)
        self._result_lines.extend([_NOWHERE] * missing)
        self._reasons.codes.extend([_NOWHERE] * missing)
        for numbers in (*self._metrics.values(), *self._numbers.values()):
            numbers.extend([math.nan] * missing)
        for texts in self._texts.values():
            texts.codes.extend([_NOWHERE] * missing)

    def _started(self, event: TrialStarted) -> None:
        self._start(event, self._cursor.line)

    def _start(self, event: TrialStarted, line: int) -> None:
        """Note the start of a trial, whose line begins at a byte of the journal."""
        trial = event.trial
        self._grow(trial)
        self._source[trial] = _source_of(event.origin)
        self._start_lines[trial] = line
        numbers, texts = self._numbers, self._texts
        for name, value in event.configuration.items():
            if (column := numbers.get(name)) is not None:
                if type(value) is float or type(value) is int:
                    column[trial] = value
            elif (choices := texts.get(name)) is not None:
                choices.codes[trial] = choices.place(value)
            else:
                self._add_column(name, value)
                if name in numbers or name in texts:
                    self._start(event, line)
                    return

    def _start_many(self, events: Sequence[TrialStarted], lines: Sequence[int]) -> None:
        """Note the starts of trials that are numbered one after another."""
        configurations = [event.configuration for event in events]
        known = {*self._numbers, *self._texts}
        if not all(configuration.keys() <= known for configuration in configurations):
            for event, line in zip(events, lines, strict=True):
                self._start(event, line)
            return
        self._grow(events[-1].trial)
        trials = slice(events[0].trial, events[-1].trial + 1)
        self._source[trials] = bytes([_source_of(event.origin) for event in events])
        self._start_lines[trials] = array("q", lines)
        for name, numbers in self._numbers.items():
            values = [configuration.get(name) for configuration in configurations]
            numbers[trials] = array(
                "d", [value if type(value) is float or type(value) is int else math.nan for value in values]
            )
        for name, texts in self._texts.items():
            texts.codes[trials] = array(
                "i", [texts.place(each[name]) if name in each else _NOWHERE for each in configurations]
            )

    def _add_column(self, name: str, value: Any) -> None:
        """Add a column for a hyperparameter of which the space says nothing."""
        if len(self._numbers) + len(self._texts) >= MOST_COLUMNS:
            return
        if type(value) is float or type(value) is int:
            self._numbers[name] = array("d", [math.nan]) * len(self._status)
        else:
            self._texts[name] = Texts()
            self._texts[name].codes.extend([_NOWHERE] * len(self._status))
        if name not in self._names:
            self._names.append(name)

    def _finished(self, event: JobFinished) -> None:
        self._finish(event, self._cursor.line)

    def _finish(self, event: JobFinished, line: int) -> None:
        """Note a result, whose line begins at a byte of the journal."""
        trial, rung = event.trial, event.rung
        self._grow(trial)
        self._resources[trial] = event.resource
        self._seconds[trial] += event.seconds
        self._rungs[trial] = rung
        self._result_lines[trial] = line
        for name, column in self._metrics.items():
            value = event.metrics.get(name)
            column[trial] = math.nan if value is None else value
        self._status[trial] = ENDED_EARLY if event.stopped else AT_THE_TOP if rung == self._top else PAUSED

    def _finish_many(self, events: Sequence[JobFinished], lines: Sequence[int]) -> None:
        """Note results, of which a trial may have several: the last one counts."""
        import numpy as np

        trials = np.array([event.trial for event in events])
        rungs = np.array([event.rung for event in events])
        is_stopped = np.array([event.stopped for event in events])
        self._grow(int(trials.max()))
        np.add.at(np.frombuffer(self._seconds), trials, [event.seconds for event in events])
        np.frombuffer(self._resources, np.int64)[trials] = [event.resource for event in events]
        np.frombuffer(self._rungs, np.int16)[trials] = rungs
        np.frombuffer(self._result_lines, np.int64)[trials] = lines
        for name, column in self._metrics.items():
            values = [event.metrics.get(name) for event in events]
            np.frombuffer(column)[trials] = [math.nan if value is None else value for value in values]
        ended = np.where(rungs == self._top, AT_THE_TOP, PAUSED)
        np.frombuffer(self._status, np.uint8)[trials] = np.where(is_stopped, ENDED_EARLY, ended)

    def _paused(self, event: JobPaused) -> None:
        self._grow(event.trial)
        self._resources[event.trial] = event.resource
        self._seconds[event.trial] += event.seconds
        self._status[event.trial] = PAUSED

    def _broke(self, event: JobFailed) -> None:
        self._grow(event.trial)
        self._seconds[event.trial] += event.seconds

    def _withdrawn(self, event: TrialWithdrawn) -> None:
        self._end(event.trial, WITHDRAWN, event.reason)
        self._seconds[event.trial] += event.seconds

    def _failed(self, verdict: TrialFailed) -> None:
        self._end(verdict.trial, FAILED, verdict.reason)

    def _end(self, trial: TrialId, status: int, reason: str) -> None:
        self._grow(trial)
        self._status[trial] = status
        self._reasons.codes[trial] = self._reasons.place(reason[:REASON_CHARACTERS])

    def _train(self, order: Train) -> None:
        if order.trial < self._count:  # else its start is still to come
            self._status[order.trial] = RUNNING

    def copied(self, query: "Query") -> "Table":
        """Return a copy of the columns that a query compares. O(trials)."""
        import numpy as np

        def copy(column: "array[int] | array[float]") -> Any:
            return np.array(memoryview(column)[: self._count])

        first = next(iter(self._metrics.values()))
        own: dict[str, array[int] | array[float]] = {"value": first, "seconds": self._seconds}
        own |= {"rung": self._rungs, "resource": self._resources}
        columns = {**self._numbers, **self._metrics, **own}
        wanted = query.names
        return Table(
            status=np.frombuffer(bytes(self._status[: self._count]), np.uint8),
            source=np.frombuffer(bytes(self._source[: self._count]), np.uint8),
            numbers={name: copy(columns[name]) for name in wanted if name in columns},
            texts={
                name: (copy(column.codes), list(column.texts))
                for name, column in self._texts.items()
                if name in wanted or query.search
            },
            reason=(copy(self._reasons.codes), list(self._reasons.texts)) if query.search else None,
            names=list(self._names),
        )

    def facts(self, trial: int) -> "Facts":
        """Return what is known of a trial that is there. O(1)."""
        reason, rung = self._reasons.codes[trial], self._rungs[trial]
        return Facts(
            trial=trial,
            status=STATUSES[self._status[trial]],
            rung=rung if rung >= 0 else None,
            resource=self._resources[trial],
            value=next(iter(self._metrics.values()))[trial],
            seconds=round(self._seconds[trial], 3),
            reason=self._reasons.texts[reason] if reason >= 0 else "",
            start_line=self._start_lines[trial],
            result_line=self._result_lines[trial],
        )


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns have of a trial; the two lines are where it starts and has its last result, -1 for none."""

    trial: int
    status: str
    rung: int | None
    resource: int
    value: float
    seconds: float
    reason: str
    start_line: int
    result_line: int


class Where(msgspec.Struct, frozen=True):
    """A range of a hyperparameter or metric, both ends included; of a choice, of its places. None: no end."""

    name: str
    low: float | None
    high: float | None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which trials, in which order, and which of those: see :func:`read_query`."""

    search: tuple[str, ...] = ()
    sort: str = "number"
    is_descending: bool = False
    statuses: frozenset[str] = frozenset()
    rung: int | None = None
    source: str = ""
    where: tuple[Where, ...] = ()
    offset: int = 0
    count: int = 50

    @property
    def names(self) -> set[str]:
        """Hyperparameters and metrics that it compares."""
        compared = {match[1] for word in self.search if (match := _COMPARISON.fullmatch(word))}
        return {
            self.sort,
            *(each.name for each in self.where),
            *compared,
            *(("rung",) if self.rung is not None else ()),
        }


def read_query(given: Mapping[str, Sequence[str]]) -> Query:
    """Return the query that the parameters of an address ask for.

    Raises:
        BadQuestion: In one line, if one is none, or not what it should be.
    """
    known = ("search", "sort", "order", "status", "rung", "origin", "where", "offset", "count")
    if unknown := [name for name in given if name not in known]:
        raise BadQuestion(f"{shown(unknown[0])} is no parameter here; there are {', '.join(known)}")
    one = {name: values[-1] for name, values in given.items()}
    statuses = frozenset(each for value in given.get("status", ()) for each in value.split(",") if each)
    if statuses - set(STATUSES):
        raise BadQuestion(f"status={shown(min(statuses - set(STATUSES)))} is none; give one of {', '.join(STATUSES)}")
    if one.get("origin", "") not in ("", *SOURCES):
        raise BadQuestion(f"origin={shown(one['origin'])} is none; give one of {', '.join(SOURCES)}")
    if one.get("order", "") not in ("", "asc", "desc"):
        raise BadQuestion(f"order={shown(one['order'])} is none; give asc or desc")
    return Query(
        search=tuple(one.get("search", "").split()[:MOST_WORDS]),
        sort=one.get("sort") or "number",
        is_descending=one.get("order") == "desc",
        statuses=statuses,
        rung=whole("rung", one["rung"]) if one.get("rung") else None,
        source=one.get("origin", ""),
        where=tuple(map(_where, given.get("where", ())))[:MOST_WORDS],
        offset=whole("offset", one.get("offset") or "0"),
        count=min(MOST_ROWS, whole("count", one.get("count") or "50")),
    )


def _where(text: str) -> Where:
    name, *ends = text.rsplit(":", 2)
    if len(ends) != 2:
        raise BadQuestion(f"where={shown(text)} is no range; give NAME:LOW:HIGH, one of both ends may be empty")
    low, high = (_number(end) for end in ends)
    return Where(name, low, high)


def _number(text: str) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        raise BadQuestion(f"{shown(text)} is not a number") from None
    if number is not None and math.isnan(number):
        raise BadQuestion(f"{shown(text)} is not a number that can be compared")
    return number


class Selected(msgspec.Struct, frozen=True):
    """Which trials a query asks for, how many fit it, and how many there are by status and by source."""

    trials: list[int]
    matching: int
    total: int
    statuses: dict[str, int]
    sources: dict[str, int]


class Table(msgspec.Struct, frozen=True):
    """Columns of all trials at a moment. ``texts`` and ``reason`` are numbers and what these stand for, -1 for none."""

    status: "npt.NDArray[np.uint8]"
    source: "npt.NDArray[np.uint8]"
    numbers: "dict[str, Any]"
    texts: "dict[str, tuple[Any, list[str]]]"
    reason: "tuple[Any, list[str]] | None"
    names: list[str]

    def selected(self, query: Query) -> Selected:
        """Return which trials a query asks for. O(trials log trials).

        Raises:
            BadQuestion: If there is nothing of a name that is compared or sorted by.
        """
        import numpy as np

        matching = np.flatnonzero(self._mask(query))
        ordered = matching[self._order(query, matching)]
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
            column = self._column(where.name)
            low = -math.inf if where.low is None else where.low
            high = math.inf if where.high is None else where.high
            mask &= (column >= low) & (column <= high)
        for word in query.search:
            mask &= self._having(word)
        return mask

    def _order(self, query: Query, matching: "Numbers") -> "Numbers":
        import numpy as np

        if query.sort == "number":
            return np.arange(len(matching))[:: -1 if query.is_descending else 1]
        keys = self._column(query.sort)[matching]
        return np.argsort(-keys if query.is_descending else keys, kind="stable")

    def _column(self, name: str) -> "Floats":
        """Return a column as numbers, NaN where a trial has none."""
        import numpy as np

        if name == "number":
            return np.arange(len(self.status), dtype=np.float64)
        if name == "status":
            return self.status.astype(np.float64)
        if name in self.numbers:
            column: Floats = self.numbers[name]
            return _floats(column) if name in ("rung", "resource") else column
        if name in self.texts:
            return _floats(self.texts[name][0])
        raise BadQuestion(
            f"{shown(name)} is no column; there are number, value, rung, resource, seconds, status"
            f"{''.join(f', {each}' for each in self.names)}"
        )

    def _having(self, word: str) -> "Mask":
        """Return which trials a word of a search fits."""
        import numpy as np

        if (match := _COMPARISON.fullmatch(word)) and (match[1] in self.numbers or match[1] in self.texts):
            return self._comparing(*match.groups())
        sought = word.casefold()
        mask = np.zeros(len(self.status), dtype=bool)
        number = word.removeprefix("#")
        if number.isdecimal() and number.isascii() and len(number) < 10 and int(number) < len(mask):
            mask[int(number)] = True
        mask |= _with_text(self.status.astype(np.int64), STATUSES, sought)
        mask |= _with_text(self.source.astype(np.int64), SOURCES, sought)
        for codes, texts in (*self.texts.values(), *((self.reason,) if self.reason else ())):
            mask |= _with_text(codes, texts, sought)
        return mask

    def _comparing(self, name: str, sign: str, text: str) -> "Mask":
        """Return for which trials a comparison holds; of texts there is only the one with ``=``."""
        import numpy as np

        if name in self.texts and name not in self.numbers:
            codes, texts = self.texts[name]
            return _with_text(codes, texts, text.casefold()) if sign == "=" else np.zeros(len(codes), dtype=bool)
        column = self.numbers[name]
        try:
            number = float(text)
        except ValueError:  # as while it is being typed
            return np.zeros(len(column), dtype=bool)
        compare: dict[str, Callable[[Any, Any], Any]] = {
            "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "=": np.isclose,
        }  # fmt: skip
        mask: Mask = compare[sign](column, number)
        return mask


def rows_of(trials: Sequence[Facts], journal: Path, search: str) -> list[dict[str, Any]]:
    """Return what is shown of trials: their configurations and metrics are read from the journal.

    Args:
        trials: What the columns have of them.
        journal: The study's.
        search: The name of its search, which is the origin of a trial that names none.

    Raises:
        JournalError: If the journal cannot be read.
    """
    lines = [line for facts in trials for line in (facts.start_line, facts.result_line) if line >= 0]
    events = dict(zip(lines, events_at(journal, lines) if lines else [], strict=True))
    return [_row(facts, events.get(facts.start_line), events.get(facts.result_line), search) for facts in trials]


def _row(facts: Facts, start: object, result: object, search: str) -> dict[str, Any]:
    started = start if isinstance(start, TrialStarted) and start.trial == facts.trial else None
    finished = result if isinstance(result, JobFinished) and result.trial == facts.trial else None
    origin, configuration = ("", {}) if started is None else (started.origin or search, started.configuration)
    return {
        "trial": facts.trial,
        "status": facts.status,
        "rung": facts.rung,
        "resource": facts.resource,
        "value": facts.value,
        "metrics": {} if finished is None else dict(islice(finished.metrics.items(), MOST_COLUMNS)),
        "seconds": facts.seconds,
        "origin": one_line(origin, REASON_CHARACTERS),
        "reason": facts.reason,
        "configuration": {name: short_value(value) for name, value in islice(configuration.items(), MOST_COLUMNS)},
    }


def _source_of(origin: str) -> int:
    """Return the number of the source that the origin of a trial stands for."""
    return GIVEN if origin == ENQUEUED else _SOURCE_OF[sort_of(origin)]


def _floats(codes: "Numbers | Floats") -> "Floats":
    """Return numbers of which -1 stands for none."""
    import numpy as np

    return np.where(codes < 0, math.nan, codes)


def _with_text(codes: "Numbers", texts: Sequence[str], sought: str) -> "Mask":
    """Return which numbers stand for texts in which another one is."""
    import numpy as np

    fits: Mask = np.array([*(sought in text.casefold() for text in texts), False])
    return fits[codes]
