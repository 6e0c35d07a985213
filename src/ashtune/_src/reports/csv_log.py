"""Writes a table of results while a study runs: :class:`CsvLog`."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import Event, JobFinished, TrialStarted
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.observer import Exporter, ObservedStudy
from ashtune._src.core.plaintext import value_without_userinfo, visible
from ashtune._src.study.folders import place_in, replace_file

COLUMNS = ("trial", "rung", "resource", "time", "seconds", "study", "origin")
MOST_ROWS = 1_000
"""If this many rows wait, they are written immediately, since there are no ticks while a long
journal is replayed.
"""


class CsvLog(Exporter):
    """While a study runs, writes a row for each result to a file of comma-separated values.

    The columns are ``trial``, ``rung``, ``resource``, ``time`` (seconds since the study began),
    ``seconds`` (of training since the trial's previous rung), ``study`` (when the study was
    created, in seconds since 1970), ``origin`` (where the configuration comes from, as "random" or
    "gp, 23 results"), the hyperparameters, and the metrics. If another column already has the name
    of a metric or a hyperparameter, its column gets the prefix ``metric.`` or ``config.``.

    A file has the results of only one study. If this study is resumed or exported again, its file
    is written again. One ``CsvLog`` without a path can be used for several studies, one after
    another.

    Args:
        path: The file; by default ``results.csv`` in the study's directory.

    Raises:
        StudyError: If the file has another study's results or another kind of table, or if
            ``results.csv`` is a link. The error is raised in the exporter's thread, and the file is
            not changed.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__(path)
        if self.out is not None:
            self.out = str(Path(self.out).absolute())
        self._forget()

    def _forget(self) -> None:
        self._path: Path | None = None
        self._study = ""
        self._columns: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._search = ""
        self._written: set[tuple[int, int]] = set()
        self._starts: dict[TrialId, TrialStarted] = {}
        self._rows: list[dict[str, Any]] = []

    def begin(self, study: ObservedStudy, position: int) -> int:
        """Start a new table, and request all events of the study from the first event."""
        self._forget()
        path = Path(self.out) if self.out else place_in(study.directory, "results.csv")
        self._study = _cell(study.created)
        self._search = study.search
        for name in study.hyperparameters:
            self._column("config", name)
        self._check(path)
        self._path = path
        self.place = str(path)
        return 0

    def event(self, event: Event) -> None:
        """Record an event. A result adds a row. O(columns)."""
        if isinstance(event, TrialStarted):
            self._starts[event.trial] = event
        elif isinstance(event, JobFinished) and (event.trial, event.rung) not in self._written:
            self._written.add((event.trial, event.rung))
            self._rows.append(self._row(event))
            if len(self._rows) >= MOST_ROWS:
                self._flush()

    def tick(self, now: float) -> None:
        """Write the rows since the last tick."""
        self._flush()

    def end(self) -> None:
        """Write the remaining rows."""
        self._flush()

    def _row(self, event: JobFinished) -> dict[str, Any]:
        row: dict[str, Any] = {
            name: getattr(event, name) for name in COLUMNS if name not in ("study", "origin")
        }
        row |= {"study": self._study, "origin": self._search}
        for name, value in event.metrics.items():
            row[self._column("metric", name)] = value
        start = self._starts.get(event.trial)
        if start is not None:
            row["origin"] = start.origin or self._search
            for name, value in start.configuration.items():
                row[self._column("config", name)] = value
        return row

    def _column(self, kind: str, name: str) -> str:
        """Return the column name of a metric or hyperparameter. If another column already has this
        name, add the prefix ``kind``.
        """
        column = self._names.get((kind, name))
        if column is None:
            column = visible(name)
            if column in COLUMNS or column in self._names.values():
                column = f"{kind}.{column}"
            self._names[kind, name] = column
        return column

    def _flush(self) -> None:
        if not self._rows:
            return
        assert self._path is not None, "rows come after begin"
        rows = self._rows
        self._rows = []
        missing = [name for name in (*COLUMNS, *self._names.values()) if name not in self._columns]
        if missing:  # the old file is kept until the new file is complete
            old = []
            if self._columns:
                old = list(csv.reader(self._path.read_text("utf-8").splitlines()))
            self._columns = [*self._columns, *missing]
            replace_file(
                self._path,
                _lines([self._columns, *([*row, *[""] * len(missing)] for row in old[1:])]),
            )
        with self._path.open("ab") as file:
            file.write(_lines([_cell(row.get(name)) for name in self._columns] for row in rows))

    def _check(self, path: Path) -> None:
        """Raise StudyError if the file has another kind of table or another study's results. An
        incomplete file is accepted.
        """
        if not path.exists():
            return
        header, _, rows = path.read_bytes().partition(b"\n")
        ours = ",".join(COLUMNS).encode()
        if not header.startswith(ours) and (rows or not ours.startswith(header)):
            raise StudyError(f"{path} holds another table; give CsvLog another file")
        first = rows.partition(b"\n")[0].split(b",")
        if len(first) > len(COLUMNS) and first[COLUMNS.index("study")] != self._study.encode():
            raise StudyError(f"{path} holds the results of another study; give CsvLog another file")


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return visible(value)
    return json.dumps(value_without_userinfo(value))
