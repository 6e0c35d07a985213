"""The timeline, an observer that records the work and the waits of each worker.

The time that a worker is present has five parts: work, waits for the driver, the barrier, pauses by
the user, and the idle tail. A worker works if it trains, saves, compiles a program, or waits until
another worker has compiled the program. A worker waits for the driver if the study has a job for
the worker, but the order has not arrived yet. A worker is at the barrier if it waits for other
trials, because the study has no job for the worker now, but has a job later. The idle tail begins
when the study has no more jobs for the worker.

Rule 1: an event takes O(log n), and a job takes about 50 bytes.
Rule 2: the rows of a worker do not overlap, even if clocks disagree. A row begins ``seconds``
before the job's event arrived, but never before the job's order or the end of the worker's previous
work. If several results arrive together, only the last job ended at the arrival; the other jobs
ended earlier.
Rule 3: if the orders are unknown, every wait counts as a wait for the driver. If the orders are
unknown, a job that is unfinished at the end of a session counts as idle tail.
Rule 4: if a training function saves a checkpoint before it returns, the saving counts as training.
Rule 5: the part of the barrier and of the idle tail in which the user had paused the study counts
as paused by the user, and not as a wait for other trials.
"""

# Theory of operation
# -------------------
# A journal has the time at which each event arrived at the driver, and how many seconds the worker
# says it worked. A journal has no times of orders, but a replay knows from which event an order
# followed, so the time of this event is used. From these times the timeline computes what each
# worker did. One row of work:
#
#   free       ordered            begin                          now
#    |  barrier   |     driver      |          seconds            |
#    |------------|-----------------|-----------------------------|
#
#   free     the end of the worker's last work
#   ordered  the arrival of the event from which the order followed
#   begin    now minus the seconds that the worker reports, but never before ``ordered`` or
#            ``free`` (Rule 2)
#   now      the arrival of the result
#
#   part     what it says about the study
#   -------  --------------------------------------------------------------------------------------
#   barrier  no job existed: the rung was not full enough, or other trials had to end first
#   halted   no job existed because the user had paused the study: nothing that a scheduler or the
#            driver could improve. Rows keep it in their barrier; the sums take it out, from the few
#            pauses of the study
#   driver   a job existed, but the order had to be computed, written and sent: what faster code of
#            ours would save
#   seconds  training, saving or compiling
#   tail     from the last work to the worker's leaving: the study had nothing left for this worker
#
# The sum of a worker's parts is exactly its stay; time_shares() relies on this. ``halted`` is the
# part of the barrier and of the tail in which the user had paused the study.
#
# Results that arrive together. A busy driver, or a worker with several jobs, hands over several
# results at one time. The ``now`` of these results is equal, though only the last job has just
# ended. For example, ten jobs of one second would give a wait of nine seconds, one row of one
# second, and nine rows of length zero. So if there is too little time for a row (``worked`` is
# below ``seconds``), the missing seconds are taken from this wait. The wait is stored in the first
# of the worker's last rows without waits between them (PresentWorker.chain, waited, waited_until).
# No other rule changes a row that was stored before; a RowSink gets the change as ``earlier``.
#
#   clocks that disagree   a worker's seconds come from its own clock. A longer claim than the
#                          room between order and result is cut to the room; a shorter one makes
#                          the wait for the driver longer.
#   a worker is lost       its unfinished work becomes a row with the ending "lost with its
#                          worker" at the time at which the driver noticed. Lost training counts
#                          as failed training, and utilisation includes it; lost saving counts as
#                          saving. Of several jobs, only the one that WorkerLost names gets the
#                          row. If it names none, the time counts as tail.
#   a session ends         The workers send nothing. The next SessionStarted ends their stays at the
#                          time of the last event before it, since nothing is known of the time
#                          after this event.
#   orders are unknown     (a scheduler that is not installed here.) There is no ``ordered``, so
#                          every wait counts as a wait for the driver (Rule 3); a report says so.
#                          From a line that older rules wrote, no order comes any more, but
#                          knows_orders stays True: a job that was ordered before it counts as
#                          training until its worker's stay ends. The page clears such jobs.
#   an event does not fit  events of unknown workers are ignored. Replay refuses the end of a job if
#                          its rung is above the ladder or its trial did not start; an observer does
#                          not hear of such events. It does not check TrialReleased: a saving counts
#                          for the last rung of its worker, whatever trial is named.
#   a worker is dismissed  it leaves without a loss: its place is not counted as empty. Jobs that it
#                          had not begun leave no row.
#   a trial is trained     (after a loss or a pause) each attempt is a row of its own. The lost one
#   twice                  counts as failed, the paused one as training.
#   no event comes         ``now`` stays the time of the last event, and work() ends there. The page
#                          gives rung_seconds() and stays() a later time (``timeline_times.py``).
#   work() is called       it copies all rows, which needs several times their memory for a moment.
#                          With a RowSink and without keep_all() it has no ended work.
#
# Rows go to a RowSink, because two readers want different things: a report keeps all rows, and the
# live page keeps sums and what is visible, since 10^6 jobs must fit into a page. Columns of
# ``array`` are used instead of lists of objects, so that a row takes about 50 bytes.

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ashtune._src.analysis.present_workers import PresentWorker, PresentWorkers
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    ProgramCompiled,
    SessionStarted,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TRAINING, SAVING, COMPILING = range(3)
ENDINGS = (
    "result",
    "failed",
    "paused",
    "withdrawn",
    "lost with its worker",
    "cut off",
    "saved",
    "compiled",
)
RESULT, FAILED, PAUSED, WITHDRAWN, LOST, CUT_OFF, SAVED, COMPILED = range(8)
IN_VAIN = (FAILED, WITHDRAWN, LOST)
"""The endings of jobs whose training is lost; seconds of these jobs are counted separately from
training.
"""
NO_TRIAL = TrialId(-1)
"""The trial of a row for compiling a program."""


class WorkRow(msgspec.Struct, frozen=True, gc=False):
    """A stretch of one worker's work, and the waits before this work.

    ``lane`` is the worker's number in the order of joining. The worker first waited ``barrier``
    seconds until the study had a job. After that, the worker waited ``driver`` seconds for the
    order, and worked for ``seconds``. ``epochs`` is the number of trained epochs, 0 if unknown.
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
    """A worker's stay. ``tail`` is the worker's idle time at the end of the stay.

    If a worker replaces another worker, both have the same ``place``. ``paused`` is the total time
    between sessions, in seconds, before the worker joined.
    """

    worker: WorkerId
    place: int
    paused: float
    joined: float
    left: float
    tail: float


class Work(msgspec.Struct, frozen=True):
    """All rows as numpy columns, sorted by lane and time, and all lanes as numpy columns.

    All times are in seconds since the study's beginning. The columns from ``worker`` to ``tail``
    have one entry for each lane (see :class:`WorkerLane`). All other columns have one entry for
    each row (see :class:`WorkRow`).
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
        """Return a copy of this work without the time between sessions."""
        paused = self.paused[self.lane]
        return msgspec.structs.replace(
            self,
            begin=self.begin - paused,
            end=self.end - paused,
            joined=self.joined - self.paused,
            left=self.left - self.paused,
        )


class RungSeconds(msgspec.Struct):
    """The seconds that all workers spent on the jobs to one rung. ``failed`` is the training time
    of failed, withdrawn or lost jobs, and ``training`` is the time of all other jobs. ``driver`` is
    the time that workers waited for the driver before the work. In the ``halted`` time before the
    work the study was paused by the user.
    """

    training: float = 0.0
    failed: float = 0.0
    saving: float = 0.0
    compiling: float = 0.0
    driver: float = 0.0
    barrier: float = 0.0
    halted: float = 0.0

    def add(self, row: WorkRow, halted: float) -> None:
        """Add a row of work to this rung. In ``halted`` seconds of the row's barrier the study was
        paused.
        """
        if row.kind == SAVING:
            self.saving += row.seconds
        elif row.kind == COMPILING:
            self.compiling += row.seconds
        elif row.ending in IN_VAIN:
            self.failed += row.seconds
        else:
            self.training += row.seconds
        self.driver += row.driver
        self.barrier += row.barrier - halted
        self.halted += halted


class RowSink(Protocol):
    """Receives the rows of work, in the order in which the rows ended."""

    def add(self, row: WorkRow, worker: PresentWorker, end: float, earlier: float) -> int:
        """Store a row of work that ended at ``end``; return the number of the row.

        ``earlier`` is the part of this work, in seconds, that the row ``worker.chain`` counts as a
        wait for the driver. ``worker.chain`` is a number that this sink returned. But after
        :meth:`Timeline.keep_all` it counts the rows in the timeline, and the sink's numbers are not
        used.
        """


_CODES = ("q", "q", "h", "b", "b", "q", "d", "d", "d")  # the array type of each field of a row


class AllRows:
    """Stores all rows of work, in columns."""

    def __init__(self) -> None:
        names = WorkRow.__struct_fields__
        self._columns: dict[str, array[Any]] = {
            name: array(code) for name, code in zip(names, _CODES, strict=True)
        }

    def add(self, row: WorkRow, worker: PresentWorker, end: float, earlier: float) -> int:
        """Append a row."""
        if earlier:
            self._columns["driver"][worker.chain] -= earlier
        for column, value in zip(self._columns.values(), msgspec.structs.astuple(row), strict=True):
            column.append(value)
        return len(self._columns["lane"]) - 1

    def work(self, more: Sequence[WorkRow], lanes: Sequence[WorkerLane]) -> Work:
        """Return all rows as columns. ``more`` has unfinished work; ``lanes`` has the stays in the
        order of joining.
        """
        import numpy as np

        columns: dict[str, Any] = {}
        for name, column in self._columns.items():
            added = np.array([getattr(row, name) for row in more], dtype=column.typecode)
            columns[name] = np.concatenate([np.array(column, dtype=column.typecode), added])
        order = np.argsort(columns["lane"], kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
        for name in WorkerLane.__struct_fields__:
            kind = np.int64 if name in ("worker", "place") else np.float64
            columns[name] = np.array([getattr(lane, name) for lane in lanes], dtype=kind)
        begin, end = _times(columns)
        return Work(begin=begin, end=end, **columns)


def _times(columns: dict[str, Any]) -> tuple[Any, Any]:
    """Return the begin and the end of each row, as sums of the times since
    the row's worker joined.
    """
    import numpy as np

    lane = columns["lane"]
    waited = columns["barrier"] + columns["driver"]
    passed = np.concatenate([[0.0], np.cumsum(waited + columns["seconds"])])
    first = np.searchsorted(lane, lane)  # for each row, the first row of its lane
    since = columns["joined"][lane]
    begin = since + (passed[:-1] + waited - passed[first])
    return begin, np.maximum(begin, since + (passed[1:] - passed[first]))


JobEnded = JobFinished | JobPaused | JobFailed | TrialWithdrawn
_ENDINGS: dict[type, int] = {
    JobFinished: RESULT,
    JobPaused: PAUSED,
    JobFailed: FAILED,
    TrialWithdrawn: WITHDRAWN,
}


def cut(worker: PresentWorker, time: float, ending: int) -> WorkRow | None:
    """Return a worker's unfinished work, with ``time`` as its end; None if
    the worker has no work.
    """
    if worker.releasing is not None:
        return WorkRow(
            worker.lane,
            worker.releasing,
            worker.rung,
            SAVING,
            ending,
            0,
            0.0,
            0.0,
            time - worker.free,
        )
    if not worker.jobs:
        return None
    begin = min(worker.since, time)
    trial, rung = next(reversed(worker.jobs.items()))
    return WorkRow(
        worker.lane, trial, rung, TRAINING, ending, 0, begin - worker.free, 0.0, time - begin
    )


def _stay(worker: PresentWorker, left: float, last: WorkRow | None) -> WorkerLane:
    """Return a worker's stay until the time ``left``; ``last`` is the worker's unfinished work at
    this time.
    """
    tail = left - worker.free if last is None else 0.0
    return WorkerLane(worker.worker, worker.place, worker.paused, worker.joined, left, tail)


class Timeline(Observer):
    """Records the work and the waits of each worker. The timeline reads a study's events and, if
    known, its orders.

    Args:
        rows: The object that receives the rows of work; None to keep all rows in this object.
    """

    def __init__(self, ladder: Ladder, rows: RowSink | None = None) -> None:
        self.ladder = ladder
        self.now = 0.0
        """The seconds from the study's beginning to the last event."""
        self.sessions = 0
        self.knows_orders = False
        # The page and the report use these sums of the workers' time (timeline_times.py). No other
        # sums of the workers' time are kept. The sums stay small for any number of jobs.
        self._seconds = [RungSeconds() for _ in ladder.rungs]
        self._workers = PresentWorkers()
        self.pauses: list[tuple[float, float]] = []
        """When the user's pauses began and ended, in seconds of the study's running time; a pause
        that has not ended has no finite end.
        """
        self._kept = AllRows()
        self._rows: RowSink = self._kept if rows is None else rows
        self._keeps_too = False
        self._past: dict[int, WorkerLane] = {}
        self._work: Work | None = None

    def keep_all(self) -> None:
        """Keep all rows in this object too, for :meth:`work`. Call this before the first event."""
        self._keeps_too = self._rows is not self._kept

    @property
    def workers(self) -> dict[WorkerId, PresentWorker]:
        """The workers that are present now."""
        return self._workers.present

    @property
    def wall_seconds(self) -> float:
        """The seconds that the study has run, summed over all sessions."""
        return self._workers.wall_seconds(self.now)

    @property
    def absence(self) -> float:
        """The seconds that workers' places were empty, summed over places; see
        :meth:`PresentWorkers.absence`.
        """
        return self._workers.absence(self.now)

    def work(self) -> Work:
        """Return all work until now. A call after a new event or order takes O(n log n); a repeated
        call takes O(1).
        """
        if self._work is None:
            self._work = self._kept.work(self._unfinished(self.now), self.stays(self.now))
        return self._work

    def _unfinished(self, now: float) -> list[WorkRow]:
        rows = (cut(worker, now, CUT_OFF) for worker in self.workers.values())
        return [row for row in rows if row is not None]

    def stays(self, now: float) -> list[WorkerLane]:
        """Return the stays of all workers until ``now``, in the order of joining. O(workers)."""
        stays = dict(self._past)
        for worker in self.workers.values():
            stays[worker.lane] = _stay(worker, now, cut(worker, now, CUT_OFF))
        return [stays[lane] for lane in range(self._workers.joined)]

    @property
    def places(self) -> int:
        """The largest number of workers at the same time."""
        return self._workers.places

    def rung_seconds(self, now: float) -> list[RungSeconds]:
        """Return the seconds of all work until ``now`` for each rung, with unfinished work.
        O(workers).
        """
        sums = [msgspec.structs.replace(rung) for rung in self._seconds]
        for worker in self.workers.values():
            row = cut(worker, now, CUT_OFF)
            if row is not None:
                sums[row.rung].add(row, self._halted(row, worker))
        return sums

    def halted_within(self, begin: float, end: float) -> float:
        """Return the seconds between two times of the study's running time in which the user had
        paused the study. O(pauses).
        """
        return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in self.pauses)

    def _halted(self, row: WorkRow, worker: PresentWorker) -> float:
        free = worker.free - worker.paused
        return self.halted_within(free, free + row.barrier)

    def _pause(self, *, begins: bool) -> None:
        """End the pause by the user, if there is one, and begin another one if asked."""
        if self.pauses and self.pauses[-1][1] == math.inf:
            self.pauses[-1] = (self.pauses[-1][0], self.wall_seconds)
        if begins:
            self.pauses.append((self.wall_seconds, math.inf))

    def event(self, event: Event) -> None:
        """Process one event. O(log n)."""
        self._work = None
        before = self.now
        self.now = max(before, event.time)
        match event:
            case JobFinished() | JobPaused():
                self._ended(event, epochs=event.resource - event.start)
            case TrialReleased():
                self._released(event)
            case WorkerJoined(worker=worker):
                if worker in self.workers:  # no driver writes this
                    self._depart(worker, self.now, LOST)
                self._workers.join(worker, self.now)
            case JobFailed() | TrialWithdrawn():
                self._ended(event)
            case WorkerLost():
                self._lose(event)
            case SessionStarted():
                for worker in list(self.workers):
                    self._depart(worker, before, CUT_OFF)
                self._workers.start_session(before, self.now)
                self._pause(begins=False)
                self.sessions += 1
            case StudyPaused() | StudyContinued():
                self._pause(begins=isinstance(event, StudyPaused))
            case WorkersChanged(workers=workers):
                self._workers.change(workers, self.now)
            case ProgramCompiled():
                self._compiled(event)
            case _:
                pass

    def followed(self, order: Followed) -> None:
        """Process an order. O(1)."""
        self._work = None
        self.knows_orders = self.knows_orders or not isinstance(order, Verdict)
        self._workers.followed(order, self.now)

    def _ended(self, event: JobEnded, *, epochs: int = 0) -> None:
        worker = self.workers.get(event.worker)
        if worker is not None:
            is_known = worker.jobs.pop(event.trial, None) is not None
            worker.rung = event.rung
            what = (TRAINING, _ENDINGS[type(event)], epochs)
            self._add(
                worker,
                event.trial,
                what,
                seconds=event.seconds,
                ordered=worker.ordered if is_known else None,
            )

    def _released(self, event: TrialReleased) -> None:
        """Record that a trial was saved, or that the saving failed."""
        worker = self.workers.get(event.worker)
        if worker is not None:
            worker.releasing = None
            self._add(
                worker, event.trial, (SAVING, SAVED, 0), seconds=event.seconds, ordered=worker.free
            )

    def _compiled(self, event: ProgramCompiled) -> None:
        """Record a compilation; the training after the compilation has its own event."""
        worker = self.workers.get(event.worker)
        if worker is not None:
            ordered = worker.ordered if worker.jobs else None
            self._add(
                worker, NO_TRIAL, (COMPILING, COMPILED, 0), seconds=event.seconds, ordered=ordered
            )

    def _add(
        self,
        worker: PresentWorker,
        trial: TrialId,
        what: tuple[int, int, int],
        *,
        seconds: float,
        ordered: float | None,
    ) -> None:
        """Append a row for the work that ended now; ``ordered`` is the time of its order, None if
        unknown.
        """
        now = self.now
        free = worker.free
        may_have_waited_here = ordered is None or ordered < free
        earliest = min(max(free, ordered or free), now)
        begin = min(max(now - seconds, earliest), now)
        worked = now - begin
        has_waited_here = may_have_waited_here and worker.chain >= 0 and worked < seconds
        earlier = 0.0
        if has_waited_here:
            earlier = min(seconds - worked, worker.waited)
        row = WorkRow(
            worker.lane,
            TrialId(trial),
            worker.rung,
            *what,
            earliest - free,
            begin - earliest,
            worked + earlier,
        )
        if earlier:  # the row that waited for it may have been of another rung
            self._seconds[worker.chain_rung].driver -= earlier
        number = self._store(row, worker, now, earlier)
        worker.waited -= earlier
        worker.waited_until -= earlier
        if not has_waited_here and (begin > free or worker.chain < 0):
            worker.chain = number
            worker.chain_rung = worker.rung
            worker.waited = begin - earliest
            worker.waited_until = begin
        worker.free = now

    def _store(self, row: WorkRow, worker: PresentWorker, end: float, earlier: float) -> int:
        self._seconds[row.rung].add(row, self._halted(row, worker))
        number = self._rows.add(row, worker, end, earlier)
        if self._keeps_too:
            return self._kept.add(row, worker, end, earlier)
        return number

    def _lose(self, event: WorkerLost) -> None:
        worker = self.workers.get(event.worker)
        if worker is None:
            return
        if event.trial is None:  # the worker had begun none of its jobs
            worker.jobs.clear()
        else:
            worker.order(event.trial, event.rung, worker.free)
        self._depart(event.worker, self.now, LOST, is_lost=not event.is_dismissed)

    def _depart(self, number: WorkerId, time: float, ending: int, *, is_lost: bool = False) -> None:
        worker = self.workers[number]
        row = cut(worker, time, ending)
        if row is not None:
            self._store(row, worker, time, 0.0)
        self._past[worker.lane] = _stay(worker, time, row)
        self._workers.leave(number, time, is_lost=is_lost)
