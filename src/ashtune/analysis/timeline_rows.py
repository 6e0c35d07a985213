"""What workers did, row by row, in columns: 300,000 rows take 15 MB.

A worker's rows follow each other without a gap: a wait stands in the row of the work that comes after it.
"""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.core.jobs import TrialId, WorkerId

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TRAINING, SAVING, COMPILING = range(3)
ENDINGS = ("result", "failed", "paused", "withdrawn", "lost with its worker", "cut off", "saved", "compiled")
RESULT, FAILED, PAUSED, WITHDRAWN, LOST, CUT_OFF, SAVED, COMPILED = range(8)
IN_VAIN = (FAILED, WITHDRAWN, LOST)
"""Endings of jobs that came to nothing: their seconds are counted apart from training."""
NO_TRIAL = TrialId(-1)
"""The trial of a row in which a worker compiled a program."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One stretch of work of a worker, and the waits before it.

    ``lane`` is the worker's number in the order of joining. First it waited ``barrier`` seconds for the
    study to have something for it, then ``driver`` seconds for the order to reach it, then it worked for
    ``seconds``. ``epochs`` are those trained, 0 where that is unknown.
    """

    lane: int
    trial: TrialId
    rung: int
    kind: int
    ending: int
    epochs: int
    barrier: float
    driver: float
    seconds: float


class WorkerLane(msgspec.Struct, frozen=True, gc=False):
    """A worker's stay. ``tail`` is how long it had nothing to do before it left, or until now.

    ``place``: a worker that comes after another is gone takes its place. ``paused`` are the seconds before
    it joined in which the study did not run: between sessions.
    """

    worker: WorkerId
    place: int
    paused: float
    joined: float
    left: float
    tail: float


class Work(msgspec.Struct, frozen=True):
    """All rows as numpy columns, sorted by lane and in it by time, and a column entry for each lane.

    Times are in seconds since the study began. The columns from ``worker`` on have an entry for each lane,
    the others for each row: see :class:`Row` and :class:`Lane`.
    """

    lane: "npt.NDArray[np.int64]"
    trial: "npt.NDArray[np.int64]"
    rung: "npt.NDArray[np.int16]"
    kind: "npt.NDArray[np.int8]"
    ending: "npt.NDArray[np.int8]"
    epochs: "npt.NDArray[np.int64]"
    barrier: "npt.NDArray[np.float64]"
    driver: "npt.NDArray[np.float64]"
    seconds: "npt.NDArray[np.float64]"
    begin: "npt.NDArray[np.float64]"
    end: "npt.NDArray[np.float64]"
    worker: "npt.NDArray[np.int64]"
    place: "npt.NDArray[np.int64]"
    paused: "npt.NDArray[np.float64]"
    joined: "npt.NDArray[np.float64]"
    left: "npt.NDArray[np.float64]"
    tail: "npt.NDArray[np.float64]"

    def without_pauses(self) -> "Work":
        """Return the same in seconds that the study ran: what lies between its sessions is left out."""
        paused = self.paused[self.lane]
        return msgspec.structs.replace(
            self,
            begin=self.begin - paused,
            end=self.end - paused,
            joined=self.joined - self.paused,
            left=self.left - self.paused,
        )


class Rows:
    """Rows in the order in which they ended."""

    def __init__(self) -> None:
        self.lane, self.trial, self.epochs = array("q"), array("q"), array("q")
        self.rung, self.kind, self.ending = array("h"), array("b"), array("b")
        self.barrier, self.driver, self.seconds = array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self.lane)

    def add(self, row: Row) -> None:
        """Append a row."""
        self.lane.append(row.lane)
        self.trial.append(row.trial)
        self.rung.append(row.rung)
        self.kind.append(row.kind)
        self.ending.append(row.ending)
        self.epochs.append(row.epochs)
        self.barrier.append(row.barrier)
        self.driver.append(row.driver)
        self.seconds.append(row.seconds)

    def work(self, more: Sequence[Row], lanes: Sequence[WorkerLane]) -> Work:
        """Return all as columns. O(n log n).

        Args:
            more: Rows that have not ended, and count as if they ended now.
            lanes: The workers' stays, in the order of joining.
        """
        import numpy as np

        columns: dict[str, Any] = {}
        for name in Row.__struct_fields__:
            column = getattr(self, name)
            added = np.array([getattr(row, name) for row in more], dtype=column.typecode)
            columns[name] = np.concatenate([np.array(column, dtype=column.typecode), added])
        order = np.argsort(columns["lane"], kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
        for name in ("worker", "place"):
            columns[name] = np.array([getattr(lane, name) for lane in lanes], dtype=np.int64)
        for name in ("paused", "joined", "left", "tail"):
            columns[name] = np.array([getattr(lane, name) for lane in lanes], dtype=np.float64)
        begin, end = _times(columns)
        return Work(begin=begin, end=end, **columns)


def _times(columns: dict[str, Any]) -> tuple[Any, Any]:
    """Return when each row began and ended: its worker's joining and all that lies between."""
    import numpy as np

    lane, waited = columns["lane"], columns["barrier"] + columns["driver"]
    passed = np.concatenate([[0.0], np.cumsum(waited + columns["seconds"])])
    first = np.searchsorted(lane, lane)  # of each row, its lane's first one
    since = columns["joined"][lane]
    begin = since + (passed[:-1] + waited - passed[first])
    return begin, np.maximum(begin, since + (passed[1:] - passed[first]))
