"""Observers to give to :func:`~ashtune.tune` and :meth:`Study.resume <ashtune.Study.resume>`, and their base class.

An observer is told what happens in a study while it runs. Each has a thread of its own, so a slow one never holds up
the study; one that raises is dropped with a line on stderr.

Example:
    >>> from ashtune.observers import CsvLog
    >>> study = ashtune.tune(train, space, ..., observers=[CsvLog()])  # doctest: +SKIP
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ashtune.core.errors import StudyError
from ashtune.core.events import Event, JobFinished, Progress, TrialStarted
from ashtune.core.jobs import TrialId
from ashtune.core.observer import ObservedStudy, Observer
from ashtune.core.orders import Order
from ashtune.core.plaintext import visible
from ashtune.core.verdicts import TrialFailed, TrialPromoted, Verdict

__all__ = [
    "CsvLog",
    "Event",
    "ObservedStudy",
    "Observer",
    "Order",
    "Progress",
    "TrialFailed",
    "TrialPromoted",
    "Verdict",
]

COLUMNS = ("trial", "rung", "resource", "time", "seconds")


class CsvLog(Observer):
    """Writes a table while a study runs: a row for each result, as comma-separated values.

    The columns are ``trial``, ``rung``, ``resource``, ``time`` (seconds since the study began), ``seconds`` (of
    training, since the trial's rung before), the hyperparameters, and the metrics. A column whose name is taken
    already has ``metric.`` or ``config.`` in front. A resumed study goes on with the same file: each result is in it
    once, also after a kill.

    Args:
        path: The file; by default ``results.csv`` in the study's directory.

    Raises:
        StudyError: In its thread, if the file holds another table.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path).absolute()
        self._columns: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._written: set[tuple[int, int]] = set()
        self._configurations: dict[TrialId, Mapping[str, Any]] = {}
        self._rows: list[dict[str, Any]] = []

    def begin(self, study: ObservedStudy, position: int) -> int:
        """Read what an earlier session has written, and ask to be told all from the beginning."""
        if self._path is None:
            self._path = Path(study.directory, "results.csv")
        for name in study.hyperparameters:
            self._column("config", name)
        self._take_up(self._path)
        return 0

    def event(self, event: Event) -> None:
        """Take in a result. O(columns)."""
        if isinstance(event, TrialStarted):
            self._configurations[event.trial] = event.configuration
        elif isinstance(event, JobFinished) and (event.trial, event.rung) not in self._written:
            self._written.add((event.trial, event.rung))
            self._rows.append(self._row(event))

    def tick(self, now: float) -> None:
        """Write the rows since the last tick."""
        self._flush()

    def end(self) -> None:
        """Write the rest."""
        self._flush()

    def _row(self, event: JobFinished) -> dict[str, Any]:
        row: dict[str, Any] = {name: getattr(event, name) for name in COLUMNS}
        for name, value in event.metrics.items():
            row[self._column("metric", name)] = value
        for name, value in self._configurations.get(event.trial, {}).items():
            row[self._column("config", name)] = value
        return row

    def _column(self, kind: str, name: str) -> str:
        """Return the column of a metric or a hyperparameter; a name that two of them have gets its kind in front."""
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
        rows, self._rows = self._rows, []
        missing = [name for name in (*COLUMNS, *self._names.values()) if name not in self._columns]
        if missing:
            self._widen(self._path, missing)
        with self._path.open("ab") as file:
            file.write(_lines([_cell(row.get(name)) for name in self._columns] for row in rows))

    def _take_up(self, path: Path) -> None:
        """Read which results are there. A last line that a kill has torn is cut off. O(file)."""
        if not path.exists():
            return
        whole, end, _ = path.read_bytes().rpartition(b"\n")
        rows = list(csv.reader((whole + end).decode("utf-8").splitlines()))
        if not rows:
            path.unlink()
            return
        if rows[0][: len(COLUMNS)] != list(COLUMNS):
            raise StudyError(f"{path} holds another table; give CsvLog another file")
        with path.open("r+b") as file:
            file.truncate(len(whole) + len(end))
        self._columns = rows[0]
        self._written = {(int(row[0]), int(row[1])) for row in rows[1:]}

    def _widen(self, path: Path, missing: list[str]) -> None:
        """Write the file anew with more columns, whole or not at all. O(file)."""
        rows = list(csv.reader(path.read_text("utf-8").splitlines())) if self._columns else []
        self._columns = [*self._columns, *missing]
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(_lines([self._columns, *([*row, *[""] * len(missing)] for row in rows[1:])]))
        new.replace(path)


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def _cell(value: Any) -> str:
    """Return a value as text without a line break."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) else json.dumps(value)
