"""The part ``workers``: what each worker did in the last while and does now, and how busy all were over time.

It parts a worker's stay as the report's timeline does (:mod:`ashtune.analysis.timeline`), but keeps the last spans and
sums only: the timeline keeps every job, of which a study may have millions.

Rule 1: a worker does one thing after another, whatever the clocks say. A job began ``seconds`` before its event came,
but not before its order, nor before the worker's last work ended.
Rule 2: without orders nobody knows who trains now, nor for what a worker waited: then ``running`` is None.
"""

from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any, ClassVar, NamedTuple

from ashtune.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    ProgramCompiled,
    SessionStarted,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Release, Train
from ashtune.core.plaintext import one_line
from ashtune.core.verdicts import Followed
from ashtune.dashboard.parts.part import Part, Subject, short_times

MOST_LANES = 64
MOST_SPANS = 400
STRETCHES = 120
"""Most points of the utilisation over time."""
HOST_CHARACTERS = 60
TRAINING, SAVING, COMPILING = range(3)
_ENDINGS = {JobFinished: "finished", JobPaused: "paused", JobFailed: "failed", TrialWithdrawn: "withdrawn"}
_JobEnded = JobFinished | JobPaused | JobFailed | TrialWithdrawn


class Span(NamedTuple):
    """A stretch of work of a worker, in seconds that the study ran. A program that is compiled is of no trial."""

    lane: int
    begin: float
    end: float
    kind: int
    rung: int | None
    trial: int | None
    ending: str


class Lane:
    """A worker, in its place among those that are there at a time.

    ``free`` is when its last work ended, ``jobs`` are those that it has in hand (trial -> rung), the first of which was
    ordered at the time ``ordered``. ``holds`` is the trial that it has in memory after a result. From
    ``wait_began`` to ``wait_ended`` is the wait since which it worked without another one.
    """

    __slots__ = (
        "free", "holds", "host", "is_there", "jobs", "joined", "ordered", "place", "releasing", "rung", "wait_began",
        "wait_ended", "waited_for_driver", "worker",
    )  # fmt: skip

    def __init__(self, worker: WorkerId, host: str, place: int, joined: float) -> None:
        self.worker, self.host, self.place = worker, host, place
        self.joined = self.free = self.ordered = joined
        self.is_there = True
        self.jobs: dict[TrialId, int] = {}
        self.holds: TrialId | None = None
        self.releasing: TrialId | None = None
        self.rung = 0
        self.wait_began = self.wait_ended = joined
        self.waited_for_driver = True

    def under_way(self, now: float) -> Span | None:
        """Return what it does now, as if that ended now; None for nothing."""
        if self.releasing is not None:
            return Span(self.place, min(self.free, now), now, SAVING, self.rung, self.releasing, "running")
        if not self.jobs:
            return None
        trial, rung = next(reversed(self.jobs.items()))
        return Span(self.place, min(max(self.free, self.ordered), now), now, TRAINING, rung, trial, "running")


class Shares:
    """Seconds of all workers by what they did. ``waiting`` are waits of which it is not known for what."""

    __slots__ = ("barrier", "by_kind", "driver", "tail", "waiting")

    def __init__(self) -> None:
        self.by_kind = [0.0, 0.0, 0.0]
        self.driver = self.barrier = self.tail = self.waiting = 0.0

    def copied(self) -> "Shares":
        """Return the same once more."""
        copy = Shares()
        copy.by_kind = list(self.by_kind)
        copy.driver, copy.barrier, copy.tail, copy.waiting = self.driver, self.barrier, self.tail, self.waiting
        return copy


class Busyness:
    """How many seconds of workers' time fell into each stretch of the study: trained, and all.

    There are at most :data:`STRETCHES`: when the study outgrows them, two become one.
    """

    def __init__(self) -> None:
        self.width = 1.0
        self.trained = [0.0] * STRETCHES
        self.present = [0.0] * STRETCHES

    def add(self, seconds: list[float], begin: float, end: float, times: int = 1) -> None:
        """Add the time from ``begin`` to ``end``, ``times`` over, to ``trained`` or ``present``."""
        if not end > begin:
            return
        self.reach(end)
        width = self.width
        first, last = int(begin / width), min(int(end / width), STRETCHES - 1)
        if first >= last:
            seconds[last] += times * (end - begin)
            return
        seconds[first] += times * ((first + 1) * width - begin)
        for stretch in range(first + 1, last):
            seconds[stretch] += times * width
        seconds[last] += times * (end - last * width)

    def reach(self, time: float) -> None:
        """Make room for a time."""
        while time >= self.width * STRETCHES:
            self.width *= 2
            for seconds in (self.trained, self.present):
                halves = [one + other for one, other in zip(seconds[::2], seconds[1::2], strict=True)]
                seconds[:] = halves + [0.0] * (STRETCHES - len(halves))


class WorkersPart(Part):
    """Lanes, the latest spans in them, and where the workers' time went.

    Args:
        subject: The study.
    """

    name = "workers"
    empty: ClassVar[Mapping[str, Any]] = {
        "window": [0.0, 0.0], "lanes": [], "left_out": 0,
        "spans": {name: [] for name in Span._fields},
        "utilisation": {"time": [], "share": []},
        "shares": dict.fromkeys(("training", "saving", "compiling", "driver", "barrier", "tail", "waiting")),
    }  # fmt: skip

    def __init__(self, subject: Subject) -> None:
        self._clock = subject.clock
        self._rungs = len(subject.ladder.rungs)
        self._present: dict[WorkerId, Lane] = {}
        self._lanes: list[Lane] = []
        self._free_places: list[int] = []
        self._spans: deque[Span] = deque(maxlen=MOST_SPANS)
        self._shares = Shares()
        self._busyness = Busyness()
        self._past_presence = 0.0
        self._counted_until = 0.0
        self._knows_orders = False
        self._running = [0] * self._rungs

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        match event:
            case JobFinished() | JobPaused() | JobFailed() | TrialWithdrawn():
                self._ended(event)
            case TrialReleased():
                self._released(event)
            case WorkerJoined():
                self._join(event)
            case WorkerLost():
                self._lose(event)
            case SessionStarted():
                self._start_session()
            case ProgramCompiled():
                self._compiled(event)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Take in one order. O(1)."""
        if type(what) is Train:
            self._ordered(what)
        elif type(what) is Release and (lane := self._present.get(what.worker)) is not None:
            lane.releasing = what.trial

    @property
    def running(self) -> list[int] | None:
        """How many jobs run to each rung; None where nobody knows."""
        return self._running if self._knows_orders else None

    @property
    def busy(self) -> int | None:
        """How many workers have something in hand; None where nobody knows."""
        if not self._knows_orders:
            return None
        return sum(1 for lane in self._present.values() if lane.jobs or lane.releasing is not None)

    @property
    def there(self) -> int:
        """How many workers there are."""
        return len(self._present)

    def lose_orders(self) -> None:
        """From now on nobody knows who has which job."""
        self._knows_orders = False
        self._running = [0] * self._rungs
        for lane in self._present.values():
            lane.jobs.clear()
            lane.releasing = None

    def utilisation(self, ran: float) -> float | None:
        """Return the share of the workers' presence that was spent in training; None before there is any."""
        presence = self._presence(ran)
        return min(1.0, self._shares_at(ran).by_kind[TRAINING] / presence) if presence > 0 else None

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the lanes, the latest spans, and where the time went."""
        lanes = self._lanes[:MOST_LANES]
        now = [span for lane in lanes if lane.is_there and (span := lane.under_way(ran)) is not None]
        spans = [*self._spans, *now][-MOST_SPANS:]
        columns = dict(zip(Span._fields, map(list, zip(*spans, strict=True)), strict=True)) if spans else {}
        columns |= {name: short_times(columns[name]) for name in ("begin", "end") if name in columns}
        return {
            "window": short_times([min((span.begin for span in spans), default=0.0), ran]),
            "lanes": [
                {"worker": lane.worker, "host": lane.host, "place": lane.place, "is_there": lane.is_there}
                for lane in lanes
            ],
            "left_out": len(self._lanes) - len(lanes),
            "spans": {name: columns.get(name, []) for name in Span._fields},
            "utilisation": self._over_time(ran),
            "shares": self._shares_of_presence(ran),
        }

    def _over_time(self, ran: float) -> Mapping[str, Any]:
        """Return the share of the workers' presence that was spent in training, in each stretch of time."""
        past = self._busyness
        until_now = Busyness()
        until_now.width, until_now.trained, until_now.present = past.width, list(past.trained), list(past.present)
        until_now.add(until_now.present, self._counted_until, ran, len(self._present))
        for lane in self._present.values():
            if (span := lane.under_way(ran)) is not None and span.kind == TRAINING:
                until_now.add(until_now.trained, span.begin, span.end)
        pairs = zip(until_now.trained, until_now.present, strict=True)
        shares = {place: min(1.0, busy / there) for place, (busy, there) in enumerate(pairs) if there > 0}
        width = until_now.width
        times = [min((place + 0.5) * width, (place * width + ran) / 2) for place in shares]
        return {"time": short_times(times), "share": [round(share, 4) for share in shares.values()]}

    def _shares_of_presence(self, ran: float) -> Mapping[str, float | None]:
        shares, presence = self._shares_at(ran), self._presence(ran)
        seconds: dict[str, float | None] = dict(zip(("training", "saving", "compiling"), shares.by_kind, strict=True))
        seconds |= {"driver": shares.driver, "barrier": shares.barrier, "tail": shares.tail, "waiting": shares.waiting}
        if not self._knows_orders:
            seconds |= {"driver": None, "barrier": None, "tail": None}
        return {
            name: None if value is None or presence <= 0 else round(min(1.0, value / presence), 4)
            for name, value in seconds.items()
        }

    def _presence(self, ran: float) -> float:
        return self._past_presence + sum(max(0.0, ran - lane.joined) for lane in self._present.values())

    def _shares_at(self, ran: float) -> Shares:
        """Return where the time went until now, with what is under way."""
        shares = self._shares.copied()
        for lane in self._present.values():
            if (span := lane.under_way(ran)) is not None:
                shares.by_kind[span.kind] += span.end - span.begin
                shares.barrier += max(0.0, span.begin - lane.free)
            elif self._knows_orders:
                shares.tail += max(0.0, ran - lane.free)
            else:
                shares.waiting += max(0.0, ran - lane.free)
        return shares

    def _join(self, event: WorkerJoined) -> None:
        now = self._count_presence()
        place = heappop(self._free_places) if self._free_places else len(self._lanes)
        lane = Lane(event.worker, one_line(event.host, HOST_CHARACTERS), place, now)
        self._present[event.worker] = lane
        if place == len(self._lanes):
            self._lanes.append(lane)
        else:
            self._lanes[place] = lane

    def _lose(self, event: WorkerLost) -> None:
        if (lane := self._present.get(event.worker)) is None:
            return
        if event.trial is None:  # it had begun none of its jobs
            self._drop_jobs(lane)
        else:
            self._begin_lost(lane, event.trial, event.rung)
        self._depart(lane, "lost")

    def _begin_lost(self, lane: Lane, trial: TrialId, rung: int) -> None:
        """Have a worker that is lost train the trial that was lost with it, whether or not its order is known."""
        if not lane.jobs:
            lane.ordered = lane.free
        elif (given := lane.jobs.pop(trial, None)) is not None:
            self._running[given] -= 1
        lane.jobs[trial] = rung
        self._running[rung] += 1

    def _drop_jobs(self, lane: Lane) -> None:
        """A worker has no job in hand any more."""
        for rung in lane.jobs.values():
            self._running[rung] -= 1
        lane.jobs.clear()

    def _start_session(self) -> None:
        for lane in list(self._present.values()):
            self._depart(lane, "cut off")
        self._count_presence()

    def _depart(self, lane: Lane, ending: str) -> None:
        now = self._count_presence()
        if (span := lane.under_way(now)) is not None:
            if self._knows_orders:
                self._shares.barrier += span.begin - lane.free
            self._keep(span._replace(ending=ending))
        elif self._knows_orders:
            self._shares.tail += now - lane.free
        else:
            self._shares.waiting += now - lane.free
        self._drop_jobs(lane)
        lane.releasing = None
        lane.is_there = False
        self._past_presence += now - lane.joined
        del self._present[lane.worker]
        heappush(self._free_places, lane.place)

    def _ordered(self, order: Train) -> None:
        self._knows_orders = True
        if (lane := self._present.get(order.worker)) is None:
            return
        if not lane.jobs:
            lane.ordered = self._clock.ran
        lane.jobs[order.trial] = order.rung
        self._running[order.rung] += 1

    def _ended(self, event: _JobEnded) -> None:
        """A worker's job is over."""
        if (lane := self._present.get(event.worker)) is None:
            return
        trial, rung = event.trial, event.rung
        if (given := lane.jobs.pop(trial, None)) is not None:
            self._running[given] -= 1
            ordered: float | None = lane.ordered
        else:
            ordered = lane.free if lane.holds == trial else None
        lane.rung = rung
        lane.holds = trial if isinstance(event, JobFinished) and event.held else None
        self._work(lane, event.seconds, ordered, (TRAINING, rung, trial, _ENDINGS[type(event)]))

    def _released(self, event: TrialReleased) -> None:
        if (lane := self._present.get(event.worker)) is not None:
            lane.holds = lane.releasing = None
            self._work(lane, event.seconds, lane.free, (SAVING, lane.rung, event.trial, "saved"))

    def _compiled(self, event: ProgramCompiled) -> None:
        if (lane := self._present.get(event.worker)) is not None:
            ordered = lane.ordered if lane.jobs else None
            self._work(lane, event.seconds, ordered, (COMPILING, None, None, "compiled"))

    def _work(
        self, lane: Lane, seconds: float, ordered: float | None, what: tuple[int, int | None, int | None, str]
    ) -> None:
        """Keep the work that a worker has ended now, and what it waited for before."""
        now, free, shares = self._clock.ran, lane.free, self._shares
        earliest = free if ordered is None else min(max(free, ordered), now)
        begin = min(max(now - seconds, earliest), now)
        if ordered is None:
            shares.waiting += begin - free
        else:
            shares.barrier += earliest - free
            shares.driver += begin - earliest
        missing = seconds - (now - begin)
        if missing > 0 and (ordered is None or ordered < free):
            self._find_earlier(lane, missing, what[0])
        elif begin > free:
            lane.wait_began, lane.wait_ended, lane.waited_for_driver = earliest, begin, ordered is not None
        kind, rung, trial, ending = what
        self._keep(Span(lane.place, begin, now, kind, rung, trial, ending))
        lane.free = now

    def _find_earlier(self, lane: Lane, missing: float, kind: int) -> None:
        """A result lay waiting at its worker: the job was under way in what counts as the wait before the last ones."""
        end = lane.wait_ended
        earlier = min(missing, end - lane.wait_began)
        lane.wait_ended = end - earlier
        self._shares.by_kind[kind] += earlier
        if kind == TRAINING:
            self._busyness.add(self._busyness.trained, end - earlier, end)
        if lane.waited_for_driver:
            self._shares.driver -= earlier
        else:
            self._shares.waiting -= earlier

    def _keep(self, span: Span) -> None:
        """Keep a span that is over."""
        self._shares.by_kind[span.kind] += span.end - span.begin
        if span.kind == TRAINING:
            self._busyness.add(self._busyness.trained, span.begin, span.end)
        if span.lane < MOST_LANES:
            self._spans.append(span)

    def _count_presence(self) -> float:
        """Count the workers' presence until now, before their number changes; return the time."""
        now, past = self._clock.ran, self._busyness
        past.add(past.present, self._counted_until, now, len(self._present))
        self._counted_until = now
        return now
