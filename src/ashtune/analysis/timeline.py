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
Rule 4: what a function saves before it returns its result is not told apart from training.
"""

from array import array
from bisect import bisect_left
from typing import assert_never

from ashtune.analysis.timeline_rows import (
    COMPILED,
    COMPILING,
    CUT_OFF,
    FAILED,
    LOST,
    NO_TRIAL,
    PAUSED,
    RESULT,
    SAVED,
    SAVING,
    TRAINING,
    WITHDRAWN,
    Row,
    Rows,
    Work,
    WorkerLane,
)
from ashtune.analysis.timeline_workers import Hand, Places
from ashtune.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    SessionStarted,
    StopRequested,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.core.observer import Observer
from ashtune.core.orders import Release, Train
from ashtune.core.verdicts import Followed, Verdict

JobEnded = JobFinished | JobPaused | JobFailed | TrialWithdrawn
_ROUNDING = 2e-6  # both times and durations are rounded to a microsecond
_ENDINGS: dict[type, int] = {JobFinished: RESULT, JobPaused: PAUSED, JobFailed: FAILED, TrialWithdrawn: WITHDRAWN}


class Timeline(Observer):
    """Takes in a study's events, and its orders where they are known: each after the event it answers.

    Args:
        ladder: The rungs.
    """

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.now = 0.0
        """Seconds since the study began, at the last event."""
        self.sessions = 0
        self.knows_orders = False
        self.guessed = 0
        """Waits of which it is not known how much was for the driver and how much at a barrier."""
        self._rows = Rows()
        self._hands: dict[WorkerId, Hand] = {}
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
        stays, more = dict(self._past), []
        for hand in self._hands.values():
            row = hand.cut(self.now, CUT_OFF)
            stays[hand.lane] = hand.stay(self.now, row)
            if row is not None:
                more.append(row)
        return self._rows.work(more, [stays[lane] for lane in range(self._joined)])

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
            case ProgramCompiled():
                self._compiled(event)
            case PlacesChanged() | StopRequested():
                pass
            case _:
                assert_never(event)
        if self.now > before:
            self._times.append(self.now)

    def followed(self, order: Followed) -> None:
        """Take in an order. O(1)."""
        self.knows_orders |= not isinstance(order, Verdict)
        if type(order) is Train:
            if (hand := self._hands.get(order.worker)) is not None:
                hand.ordered[order.trial] = (self.now, order.rung)
        elif type(order) is Release and (hand := self._hands.get(order.worker)) is not None:
            hand.releasing = order.trial

    def _join(self, worker: WorkerId) -> None:
        place = self._places.take(self.now)
        paused = self.now - self.wall_seconds
        self._hands[worker] = Hand(worker, lane=self._joined, place=place, paused=paused, joined=self.now)
        self._joined += 1

    def _ended(self, event: JobEnded, *, epochs: int = 0) -> None:
        """A worker's job is over."""
        hand, trial = self._hands.get(event.worker), event.trial
        if hand is None:
            return
        given, drawn = hand.ordered.pop(trial, None), self._drawn.pop(trial, None)
        ordered = drawn if given is None else given[0]
        if ordered is None and hand.holds == trial:
            ordered = hand.free  # it went on in place
        hand.rung = event.rung
        hand.holds = trial if type(event) is JobFinished and event.held else None
        self._add(hand, trial, (TRAINING, _ENDINGS[type(event)], epochs), seconds=event.seconds, ordered=ordered)

    def _released(self, event: TrialReleased) -> None:
        """A worker let go of its trial, and saved it or not."""
        hand = self._hands.get(event.worker)
        if hand is not None:
            hand.holds = hand.releasing = None
            self._add(hand, event.trial, (SAVING, SAVED, 0), seconds=event.seconds, ordered=hand.free)

    def _compiled(self, event: ProgramCompiled) -> None:
        """A worker compiled a program; what it trained with it is still to be heard of."""
        hand = self._hands.get(event.worker)
        if hand is not None:
            ordered = next((given for given, _ in hand.ordered.values()), None)
            self._add(hand, NO_TRIAL, (COMPILING, COMPILED, 0), seconds=event.seconds, ordered=ordered)

    def _add(
        self, hand: Hand, trial: TrialId, what: tuple[int, int, int], *, seconds: float, ordered: float | None
    ) -> None:
        """Append the work that ended now, and what the worker waited for before it."""
        now, free, rows = self.now, hand.free, self._rows
        may_have_waited_here = ordered is None or ordered < free
        if ordered is None:
            ordered = self._guess(free, now - seconds)
        earliest = min(max(free, ordered), now)
        begin = min(max(now - seconds, earliest), now)
        worked = now - begin
        if may_have_waited_here and hand.chain >= 0 and worked < seconds:
            earlier = min(seconds - worked, rows.driver[hand.chain])
            rows.driver[hand.chain] -= earlier
            worked += earlier
        elif begin > free or hand.chain < 0:
            hand.chain = len(rows)
        rows.add(Row(hand.lane, trial, hand.rung, *what, earliest - free, begin - earliest, worked))
        hand.free = now

    def _guess(self, free: float, begin: float) -> float:
        """Return when the order for a job that began at ``begin`` was given, as far as events tell."""
        last = bisect_left(self._times, begin + _ROUNDING) - 1
        if last < 0 or self._times[last] <= free:
            return free
        self.guessed += 1
        return self._times[last]

    def _lose(self, event: WorkerLost) -> None:
        hand = self._hands.get(event.worker)
        if hand is None:
            return
        trial = event.trial
        if trial is None:  # it had begun none of its jobs
            hand.ordered = {}
        else:
            ordered = self._drawn.pop(trial, hand.free)
            hand.ordered = {trial: hand.ordered.get(trial, (ordered, event.rung))}
        self._depart(hand, self.now, LOST)
        self._places.lose(hand.place, self.now)

    def _depart(self, hand: Hand, time: float, ending: int) -> None:
        row = hand.cut(time, ending)
        if row is not None:
            self._rows.add(row)
        self._past[hand.lane] = hand.stay(time, row)
        del self._hands[hand.worker]

    def _start_session(self, end_of_the_last: float) -> None:
        for hand in list(self._hands.values()):
            self._depart(hand, end_of_the_last, CUT_OFF)
            self._places.leave(hand.place)
        self._places.start_session(end_of_the_last, self.now)
        self.sessions += 1
        self._drawn.clear()
