"""Every trial in columns, from which the trials that a viewer asks for are found: see ``trial_query.py``.

A trial takes about 60 bytes, and 8 for each hyperparameter. What is shown of the few trials of an answer is read from
the journal: the columns hold where its lines begin.

Rule 1: statuses are those of :class:`ashtune.analysis.trials.Trials`.
Rule 2: a value of another type than its hyperparameter has is none.
Rule 3: a thread that asks holds the study's lock while it copies columns, and not while it searches them. A query of
100,000 trials takes less than a tenth of a second.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from ashtune.analysis.counts import without_numbers
from ashtune.analysis.in_common import in_common
from ashtune.core.events import JobFailed, JobFinished, JobPaused, TrialStarted, TrialWithdrawn
from ashtune.core.jobs import Goal, TrialId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import Train
from ashtune.core.plaintext import one_line
from ashtune.core.verdicts import TrialFailed
from ashtune.dashboard.parts.part import short_value
from ashtune.dashboard.parts.space import Hyperparameter
from ashtune.dashboard.reading import Batch, BatchListener, Cursor, Method
from ashtune.dashboard.trial_query import COLUMNS, OF_A_HYPERPARAMETER, STATUSES, Query, Table
from ashtune.dashboard.trial_sources import SOURCES, source_of
from ashtune.study.journal import events_at

RUNNING, PAUSED, AT_THE_TOP, FAILED, WITHDRAWN, ENDED_EARLY = range(len(STATUSES))
_SOURCES = {source: place for place, source in enumerate(SOURCES)}
ROOM = 1_024
"""Trials for which there is room at least when there is for one more."""
MOST_TEXTS = 10_000
"""Different texts of a column; a study that has more cannot be searched for the others."""
MOST_COLUMNS = 500
"""Hyperparameters, and metrics of a row."""
MOST_METRICS = 20
"""Metrics that trials are sorted by: the first objectives and constraints."""
REASON_CHARACTERS = 200
_NOWHERE = -1


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
        self._reason_keys: list[str] = []  # without their decimal numbers, as far as anybody asked
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
    def columns(self) -> dict[str, str]:
        """The names of the columns of all hyperparameters."""
        return {name: self._column_of(name) for name in self._names}

    def _column_of(self, hyperparameter: str) -> str:
        """Return the name of a hyperparameter's column: its own, unless another column has that name."""
        bare = hyperparameter
        while True:
            if bare in COLUMNS or bare in self._metrics:
                return OF_A_HYPERPARAMETER + hyperparameter
            if not bare.startswith(OF_A_HYPERPARAMETER):  # else ``config.value`` may be the column of ``value``
                return hyperparameter
            bare = bare.removeprefix(OF_A_HYPERPARAMETER)

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
        self._source += bytes([_SOURCES["other"]]) * missing
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
        self._source[trial] = _SOURCES[source_of(event.origin)]
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
        self._source[trials] = bytes([_SOURCES[source_of(event.origin)] for event in events])
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

    def copied(self, query: Query) -> Table:
        """Return a copy of the columns that a query compares. O(trials)."""
        import numpy as np

        def copy(column: "array[int] | array[float]") -> Any:
            return np.array(memoryview(column)[: self._count])

        names, first = self.columns, next(iter(self._metrics.values()))
        columns: dict[str, array[int] | array[float]] = {
            **{names[name]: numbers for name, numbers in self._numbers.items()},
            **self._metrics,
            "value": first, "seconds": self._seconds, "rung": self._rungs, "resource": self._resources,
        }  # fmt: skip
        texts = {names[name]: column for name, column in self._texts.items()}
        wanted = query.names | {names.get(each.name, each.name) for each in query.where}
        return Table(
            status=np.frombuffer(bytes(self._status[: self._count]), np.uint8),
            source=np.frombuffer(bytes(self._source[: self._count]), np.uint8),
            numbers={name: copy(columns[name]) for name in wanted if name in columns},
            texts={
                name: (copy(column.codes), list(column.texts))
                for name, column in texts.items()
                if name in wanted or query.search
            },
            reason=(copy(self._reasons.codes), list(self._reasons.texts)) if query.search else None,
            columns=names,
        )

    def in_common(self, reason: str) -> str:
        """Return in words what the trials that failed or were withdrawn for a reason have in common, "" for nothing."""
        import numpy as np

        def of(column: "array[int] | array[float]", kind: Any) -> Any:
            return np.frombuffer(column, kind)[: self._count]

        sought = without_numbers(one_line(reason[:REASON_CHARACTERS]))
        known = self._reason_keys
        known += map(without_numbers, self._reasons.texts[len(known) :])
        fits = np.array([*(key == sought for key in known), False])
        reasons = of(self._reasons.codes, np.int32)
        return in_common(
            fits[reasons],
            (of(self._result_lines, np.int64) >= 0) & (reasons < 0),
            {name: of(column, np.float64) for name, column in self._numbers.items()},
            {name: (of(column.codes, np.int32), column.texts) for name, column in self._texts.items()},
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


def rows_of(trials: Sequence[Facts], journal: Path, search: str, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what is shown of trials: their configurations and metrics are read from the journal.

    Args:
        trials: What the columns have of them.
        journal: The study's.
        search: The name of its search, which is the origin of a trial that names none.
        columns: The names of the columns of the hyperparameters.

    Raises:
        JournalError: If the journal cannot be read.
    """
    lines = [line for facts in trials for line in (facts.start_line, facts.result_line) if line >= 0]
    events = dict(zip(lines, events_at(journal, lines) if lines else [], strict=True))
    return [
        _row(facts, events.get(facts.start_line), events.get(facts.result_line), search, columns) for facts in trials
    ]


def _row(facts: Facts, start: object, result: object, search: str, columns: Mapping[str, str]) -> dict[str, Any]:
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
        "configuration": {
            columns.get(name, name): short_value(value) for name, value in islice(configuration.items(), MOST_COLUMNS)
        },
    }
