"""The timeline: who trained what when, and what each worker waited for: an observer.

A worker's stay is parted without a rest into training, saving (letting go of a trial and saving it), compiling
programs (or waiting for another worker that does), waiting for the driver (an order was there, or came at
once, and had yet to reach the worker), waiting for other trials (the study had nothing for this worker, and
later had: here the barrier, whatever the scheduler) and the idle tail (it had nothing more).

Rule 1: O(log n) an event, and about 50 bytes a job.
Rule 2: a worker does one thing after another, whatever the clocks say. A job began ``seconds`` before its
event came, but not before its order, nor before the worker's last work ended. Results of jobs that waited
at a worker may come all at once; then the earlier ones ended before they were received.
Rule 3: with orders, who waited for whom is known exactly. Without, it is for new trials and for those that
go on in place. For others (``guessed`` of them) the study is taken to have given the order at the last
event before the job began: what counts as a barrier is the most that it can have been. What a worker had
in hand when its session ended is then unknown too, and counts as idle tail.
Rule 4: what a function saves before it returns its result counts as training.
Rule 5: what a worker waits while the user has paused the study counts as waiting for other trials.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Protocol, assert_never

import msgspec

from ashtune.core.events import (
    ConfigurationEnqueued,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialsExtended,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.core.observer import Observer
from ashtune.core.orders import Followed, Release, Train, Verdict

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


class RowSink(Protocol):
    """Takes rows in the order in which they ended."""

    def add(self, row: Row, worker: "PresentWorker", end: float, earlier: float) -> int:
        """Take in work that a worker has ended at ``end``; return the number of its row.

        ``earlier`` of its seconds lie in what counted as the driver's wait of the row ``worker.chain`` until now.
        """


class AllRows:
    """Keeps all rows, in columns."""

    def __init__(self) -> None:
        self.lane, self.trial, self.epochs = array("q"), array("q"), array("q")
        self.rung, self.kind, self.ending = array("h"), array("b"), array("b")
        self.barrier, self.driver, self.seconds = array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self.lane)

    def add(self, row: Row, worker: "PresentWorker", end: float, earlier: float) -> int:
        """Append a row."""
        if earlier:
            self.driver[worker.chain] -= earlier
        self.lane.append(row.lane)
        self.trial.append(row.trial)
        self.rung.append(row.rung)
        self.kind.append(row.kind)
        self.ending.append(row.ending)
        self.epochs.append(row.epochs)
        self.barrier.append(row.barrier)
        self.driver.append(row.driver)
        self.seconds.append(row.seconds)
        return len(self) - 1

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


JobEnded = JobFinished | JobPaused | JobFailed | TrialWithdrawn
_ROUNDING = 2e-6  # both times and durations are rounded to a microsecond
_ENDINGS: dict[type, int] = {JobFinished: RESULT, JobPaused: PAUSED, JobFailed: FAILED, TrialWithdrawn: WITHDRAWN}


class PresentWorker:
    """A worker that is there, and what it has in hand.

    ``free`` is when its last work ended; ``jobs`` are those that it has in hand (trial -> rung), the first of which was
    given to it at the time ``ordered``; ``chain`` is the row since which it worked without a wait. Before that row it
    waited for the driver ``waited`` seconds, until ``waited_until``.
    """

    __slots__ = (
        "chain",
        "free",
        "holds",
        "jobs",
        "joined",
        "lane",
        "ordered",
        "paused",
        "place",
        "releasing",
        "rung",
        "waited",
        "waited_until",
        "worker",
    )

    def __init__(self, worker: WorkerId, *, lane: int, place: int, paused: float, joined: float) -> None:
        self.worker, self.lane, self.place = worker, lane, place
        self.paused = paused
        self.joined = self.free = joined
        self.rung = 0
        self.chain = -1
        self.waited, self.waited_until = 0.0, joined
        self.jobs: dict[TrialId, int] = {}
        self.ordered = joined
        self.holds: TrialId | None = None
        self.releasing: TrialId | None = None

    def cut(self, time: float, ending: int) -> Row | None:
        """Return the work that is not over at ``time``, as if it ended then; None if there is none."""
        if self.releasing is not None:
            return Row(self.lane, self.releasing, self.rung, SAVING, ending, 0, 0.0, 0.0, time - self.free)
        if not self.jobs:
            return None
        begin, (trial, rung) = min(max(self.free, self.ordered), time), next(reversed(self.jobs.items()))
        return Row(self.lane, trial, rung, TRAINING, ending, 0, begin - self.free, 0.0, time - begin)

    def order(self, trial: TrialId, rung: int, time: float) -> None:
        """It was given a job."""
        if not self.jobs:
            self.ordered = time
        self.jobs.pop(trial, None)
        self.jobs[trial] = rung

    def stay(self, left: float, last: Row | None) -> WorkerLane:
        """Return the worker's stay until ``left``, when it had ``last`` in hand."""
        tail = left - self.free if last is None else 0.0
        return WorkerLane(self.worker, self.place, self.paused, self.joined, left, tail)


class Places:
    """The places that workers take, one after another, and how long they stood empty."""

    def __init__(self) -> None:
        self._count = 0
        self._free: list[int] = []
        self._session_began = 0.0
        self._past_sessions = 0.0
        self._past_absence = 0.0
        self._is_staffed = False
        self._vacant_since: deque[float] = deque()

    def take(self, time: float) -> int:
        """A worker has joined: return its place, the lowest that is free."""
        since = self._vacant_since.popleft() if self._vacant_since else self._session_began
        self._past_absence += time - since
        self._is_staffed = True
        if self._free:
            return heappop(self._free)
        self._count += 1
        return self._count - 1

    def leave(self, place: int) -> None:
        """A worker is gone, as its session ended or fewer were wanted."""
        heappush(self._free, place)

    def lose(self, place: int, time: float) -> None:
        """A worker is lost; another may take its place."""
        self.leave(place)
        self._vacant_since.append(time)

    def change(self, workers: int, time: float) -> None:
        """There are to be so many places from now on; those that come on top stand empty until a worker joins."""
        taken, vacant = self._count - len(self._free), self._vacant_since
        vacant.extend([time] * (workers - taken - len(vacant)))
        while vacant and taken + len(vacant) > workers:
            vacant.pop()

    def start_session(self, end_of_the_last: float, time: float) -> None:
        """Another session begins; all workers of the last have left."""
        self._past_absence += self._vacant(end_of_the_last)
        self._past_sessions += end_of_the_last - self._session_began
        self._session_began = time
        self._is_staffed = False
        self._vacant_since.clear()

    def wall_seconds(self, now: float) -> float:
        """Return the seconds of all sessions until now."""
        return self._past_sessions + now - self._session_began

    def absence(self, now: float) -> float:
        """Return the seconds that places stood empty until now."""
        return self._past_absence + self._vacant(now)

    def _vacant(self, time: float) -> float:
        """Return how long the places that are empty at ``time`` have been so in this session."""
        if not self._is_staffed:
            return time - self._session_began
        return sum(time - since for since in self._vacant_since)


class Timeline(Observer):
    """Takes in a study's events, and its orders where they are known: each after the event it answers.

    Args:
        ladder: The rungs.
        rows: What takes the work of the workers; None to keep all of it.
    """

    def __init__(self, ladder: Ladder, rows: RowSink | None = None) -> None:
        self.ladder = ladder
        self.now = 0.0
        """Seconds since the study began, at the last event."""
        self.sessions = 0
        self.knows_orders = False
        self.guessed = 0
        """Waits of which it is not known how much was for the driver and how much at a barrier."""
        self.workers: dict[WorkerId, PresentWorker] = {}
        """Those that are there."""
        self._kept = AllRows()
        self._rows: RowSink = self._kept if rows is None else rows
        self._past: dict[int, WorkerLane] = {}
        self._joined = 0
        self._places = Places()
        self._drawn: dict[TrialId, float] = {}  # without orders: when a new trial was given out
        self._times = array("d")  # without orders: when anything happened

    @property
    def wall_seconds(self) -> float:
        """Seconds that the study ran, all its sessions together."""
        return self._places.wall_seconds(self.now)

    @property
    def absence(self) -> float:
        """Seconds that places stood empty: until a worker joined, or its session ended.

        That is from the session's start, or from the loss of the worker before. A session that no worker
        joined counts as one empty place.
        """
        return self._places.absence(self.now)

    def work(self) -> Work:
        """Return all that workers did until now. O(n log n)."""
        more = [row for worker in self.workers.values() if (row := worker.cut(self.now, CUT_OFF)) is not None]
        return self._kept.work(more, self.stays(self.now))

    def stays(self, now: float) -> list[WorkerLane]:
        """Return the stays of all workers until ``now``, in the order of joining. O(workers)."""
        stays = dict(self._past)
        for worker in self.workers.values():
            stays[worker.lane] = worker.stay(now, worker.cut(now, CUT_OFF))
        return [stays[lane] for lane in range(self._joined)]

    def event(self, event: Event) -> None:
        """Take in one event. O(log n)."""
        before = self.now
        self.now = max(before, event.time)
        match event:
            case JobFinished() | JobPaused():
                self._ended(event, epochs=event.resource - event.start)
            case TrialStarted(trial=trial):
                self._drawn[trial] = self.now
            case TrialReleased():
                self._released(event)
            case WorkerJoined(worker=worker):
                self._join(worker)
            case JobFailed() | TrialWithdrawn():
                self._ended(event)
            case WorkerLost():
                self._lose(event)
            case SessionStarted():
                self._start_session(before)
            case WorkersChanged(workers=workers):
                self._places.change(workers, self.now)
            case ProgramCompiled():
                self._compiled(event)
            case (
                PlacesChanged()
                | StopRequested()
                | StudyPaused()
                | StudyContinued()
                | TrialsExtended()
                | ConfigurationEnqueued()
            ):
                pass
            case _:
                assert_never(event)
        if self.now > before and not self.knows_orders:
            self._times.append(self.now)

    def followed(self, order: Followed) -> None:
        """Take in an order. O(1)."""
        self.knows_orders |= not isinstance(order, Verdict)
        if type(order) is Train:
            if (worker := self.workers.get(order.worker)) is not None:
                worker.order(order.trial, order.rung, self.now)
        elif type(order) is Release and (worker := self.workers.get(order.worker)) is not None:
            worker.releasing = order.trial

    def _join(self, worker: WorkerId) -> None:
        if (before := self.workers.get(worker)) is not None:  # no driver has written that
            self._depart(before, self.now, LOST)
        place = self._places.take(self.now)
        paused = self.now - self.wall_seconds
        self.workers[worker] = PresentWorker(worker, lane=self._joined, place=place, paused=paused, joined=self.now)
        self._joined += 1

    def _ended(self, event: JobEnded, *, epochs: int = 0) -> None:
        """A worker's job is over."""
        worker, trial = self.workers.get(event.worker), event.trial
        if worker is None:
            return
        ordered = self._drawn.pop(trial, None)
        if worker.jobs.pop(trial, None) is not None:
            ordered = worker.ordered
        if ordered is None and worker.holds == trial:
            ordered = worker.free  # it went on in place
        worker.rung = event.rung
        worker.holds = trial if type(event) is JobFinished and event.held else None
        self._add(worker, trial, (TRAINING, _ENDINGS[type(event)], epochs), seconds=event.seconds, ordered=ordered)

    def _released(self, event: TrialReleased) -> None:
        """A worker let go of its trial, and saved it or not."""
        worker = self.workers.get(event.worker)
        if worker is not None:
            worker.holds = worker.releasing = None
            self._add(worker, event.trial, (SAVING, SAVED, 0), seconds=event.seconds, ordered=worker.free)

    def _compiled(self, event: ProgramCompiled) -> None:
        """A worker compiled a program; what it trained with it is still to be heard of."""
        worker = self.workers.get(event.worker)
        if worker is not None:
            ordered = worker.ordered if worker.jobs else None
            self._add(worker, NO_TRIAL, (COMPILING, COMPILED, 0), seconds=event.seconds, ordered=ordered)

    def _add(
        self,
        worker: PresentWorker,
        trial: TrialId,
        what: tuple[int, int, int],
        *,
        seconds: float,
        ordered: float | None,
    ) -> None:
        """Append the work that ended now, and what the worker waited for before it."""
        now, free = self.now, worker.free
        may_have_waited_here = ordered is None or ordered < free
        if ordered is None:
            ordered = self._guess(free, now - seconds)
        earliest = min(max(free, ordered), now)
        begin = min(max(now - seconds, earliest), now)
        worked = now - begin
        has_waited_here = may_have_waited_here and worker.chain >= 0 and worked < seconds
        earlier = min(seconds - worked, worker.waited) if has_waited_here else 0.0
        row = Row(worker.lane, trial, worker.rung, *what, earliest - free, begin - earliest, worked + earlier)
        number = self._rows.add(row, worker, now, earlier)
        worker.waited -= earlier
        worker.waited_until -= earlier
        if not has_waited_here and (begin > free or worker.chain < 0):
            worker.chain, worker.waited, worker.waited_until = number, begin - earliest, begin
        worker.free = now

    def _guess(self, free: float, begin: float) -> float:
        """Return when the order for a job that began at ``begin`` was given, as far as events tell."""
        last = bisect_left(self._times, begin + _ROUNDING) - 1
        if last < 0 or self._times[last] <= free:
            return free
        self.guessed += 1
        return self._times[last]

    def _lose(self, event: WorkerLost) -> None:
        worker = self.workers.get(event.worker)
        if worker is None:
            return
        trial = event.trial
        if trial is None:  # it had begun none of its jobs
            worker.jobs.clear()
        else:
            worker.order(trial, event.rung, self._drawn.pop(trial, worker.free))
        self._depart(worker, self.now, LOST)
        if event.is_dismissed:
            self._places.leave(worker.place)
        else:
            self._places.lose(worker.place, self.now)

    def _depart(self, worker: PresentWorker, time: float, ending: int) -> None:
        row = worker.cut(time, ending)
        if row is not None:
            self._rows.add(row, worker, time, 0.0)
        self._past[worker.lane] = worker.stay(time, row)
        del self.workers[worker.worker]

    def _start_session(self, end_of_the_last: float) -> None:
        for worker in list(self.workers.values()):
            self._depart(worker, end_of_the_last, CUT_OFF)
            self._places.leave(worker.place)
        self._places.start_session(end_of_the_last, self.now)
        self.sessions += 1
        self._drawn.clear()
