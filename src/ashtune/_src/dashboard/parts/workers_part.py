"""The part ``workers`` shows the recent and current work of each worker, and each state's share
of the workers' time.

The part uses the report's timeline (``analysis/timeline.py``). A study may have millions of jobs,
so the part stores only sums and the latest spans of work.

Rule: if the driver's orders are unknown, the current jobs and the reasons for waiting are unknown,
and ``running`` is None.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.present_workers import PresentWorker
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.timeline import CUT_OFF, Timeline, WorkRow, cut
from ashtune._src.analysis.timeline_times import TimeShares, time_shares
from ashtune._src.core.events import Event, WorkerJoined
from ashtune._src.core.numbers import plural, shortened
from ashtune._src.core.orders import Followed
from ashtune._src.core.plaintext import one_line
from ashtune._src.dashboard.parts.part import PagePart
from ashtune._src.figures.axes import time_axis
from ashtune._src.figures.figure import Figure
from ashtune._src.figures.looks import STATES
from ashtune._src.figures.worker_figure import RUNNING, Span, lanes_figure, whole_shares_figure

MOST_LANES = 64
MOST_SPANS = 400
HOST_CHARACTERS = 60


class LastRows:
    """Keeps the last spans of work."""

    def __init__(self) -> None:
        self.spans: deque[Span] = deque(maxlen=MOST_SPANS)
        self.known_since = 0.0
        """The time from which all spans of all lanes are kept."""

    def add(self, row: WorkRow, worker: PresentWorker, end: float, earlier: float) -> int:
        """Add a worker's work to the spans. The work ended at ``end``. The returned number is not
        used.
        """
        if worker.place < MOST_LANES:
            if len(self.spans) == MOST_SPANS:
                self.known_since = max(self.known_since, self.spans[0].end)
            self.spans.append(span_of(row, worker, end, row.seconds - earlier))
        return 0


def span_of(
    row: WorkRow, worker: PresentWorker, end: float, seconds: float, *, is_running: bool = False
) -> Span:
    """Return a span of work that took ``seconds`` and ended at ``end``.

    The times of a span are the study's running time.
    """
    end -= worker.paused
    ending = RUNNING if is_running else row.ending
    return Span(worker.place, end - seconds, end, row.kind, ending, row.rung, row.trial)


class WorkersPart(PagePart):
    """The lanes of workers, the latest spans of work in the lanes, and the workers' time by
    state.
    """

    name = "workers"
    empty: ClassVar[Mapping[str, Any]] = {
        "lanes": 0, "timeline": Figure(), "shares": Figure(), "rest": {},
    }  # fmt: skip

    def __init__(self, study: StudyReader) -> None:
        super().__init__(study)
        self._rows = LastRows()
        self.timeline = Timeline(study.ladder, self._rows)
        # for each lane, its last worker and the worker's host
        self._lanes: list[tuple[PresentWorker, str]] = []
        self._has_lost_orders = False

    def event(self, event: Event) -> None:
        """Process one event. O(log n)."""
        self.timeline.event(event)
        if type(event) is WorkerJoined:
            self._join(event)

    def followed(self, what: Followed) -> None:
        """Process one order. O(1)."""
        self.timeline.followed(what)

    @property
    def knows_orders(self) -> bool:
        """Whether the part knows the current job of each worker."""
        return self.timeline.knows_orders and not self._has_lost_orders

    @property
    def running(self) -> list[int] | None:
        """The number of running jobs at each rung, or None if the number is unknown."""
        if not self.knows_orders:
            return None
        running = [0] * len(self.study.ladder.rungs)
        for worker in self.timeline.workers.values():
            for rung in worker.jobs.values():
                running[rung] += 1
        return running

    @property
    def busy(self) -> int | None:
        """The number of busy workers, or None if the number is unknown."""
        if not self.knows_orders:
            return None
        workers = self.timeline.workers.values()
        return sum(bool(worker.jobs) or worker.releasing is not None for worker in workers)

    @property
    def ran(self) -> float:
        """The seconds that the study had run at the last event."""
        return self.timeline.wall_seconds

    @property
    def there(self) -> int:
        """The number of workers that are present."""
        return len(self.timeline.workers)

    def lose_orders(self) -> None:
        """Forget the jobs of all workers. From now on, the driver's orders are unknown."""
        self._has_lost_orders = True
        for worker in self.timeline.workers.values():
            worker.jobs.clear()
            worker.releasing = None

    @property
    def utilisation(self) -> float | None:
        """The share of training in the workers' time, or None if no worker was present yet."""
        shares = self._times()
        return min(1.0, shares.utilisation) if shares.presence > 0 else None

    def value(self) -> Mapping[str, Any]:
        """Return figures of the latest spans, and of the workers' time by state."""
        whole = self._shares()
        return {
            "lanes": len(self._lanes),
            "timeline": self._latest(),
            "shares": whole_shares_figure(whole),
            "rest": {
                STATES[name].name: share for name, share in whole.items() if name != "training"
            },
        }

    def _latest(self) -> Figure:
        there = self.timeline.workers
        lanes = self._lanes[:MOST_LANES]
        now = [span for span in self._under_way() if span.lane < MOST_LANES]
        # One lane may be known for longer than another: before this time, a gap would look like a
        # wait.
        first = self._rows.known_since
        spans = [
            span._replace(begin=max(first, span.begin))
            for span in (*self._rows.spans, *now)
            if span.end > first
        ]
        named = [(f"worker {last.worker}", there.get(last.worker) is last) for last, _ in lanes]
        hosts = dict.fromkeys(host for _, host in lanes if host)
        left_out = len(self._lanes) - len(lanes)
        notes = [
            plural(sum(is_there for _, is_there in named), "worker"),
            f"on {plural(len(hosts), 'host')}" if len(hosts) > 1 else shortened("".join(hosts), 40),
        ]
        if left_out:
            notes.append(f"{plural(left_out, 'lane')} left out")
        names = [name if is_there else f"({name})" for name, is_there in named]
        x = time_axis(min((span.begin for span in spans), default=0.0), self.now)
        return lanes_figure(
            spans,
            names,
            self.study.ladder.rungs,
            x,
            unit=self.study.unit,
            notes=list(filter(None, notes)),
        )

    def _under_way(self) -> Iterator[Span]:
        """Yield a span for each worker's current work. The span ends now."""
        for worker in self.timeline.workers.values():
            now = max(self.now + worker.paused, self.timeline.now)
            row = cut(worker, now, CUT_OFF)
            if row is not None:
                yield span_of(row, worker, now, row.seconds, is_running=True)

    def _shares(self) -> Mapping[str, float]:
        """Return each state's share of the workers' time. If orders are unknown, all waiting is one
        state.
        """
        shares = self._times()
        seconds = {
            "training": shares.trained,
            "saving": shares.saving,
            "compiling": shares.compiling,
            "halted": shares.halted,
        }
        if self.knows_orders:
            seconds |= {"driver": shares.driver, "barrier": shares.barrier, "tail": shares.tail}
        else:
            seconds["waiting"] = shares.driver + shares.barrier + shares.tail
        return {name: round(min(1.0, shares.share(value)), 4) for name, value in seconds.items()}

    def _times(self) -> TimeShares:
        """Return the seconds of all workers by state, including running work."""
        timeline = self.timeline
        paused = timeline.now - timeline.wall_seconds
        return time_shares(timeline, max(self.now + paused, timeline.now))

    def _join(self, event: WorkerJoined) -> None:
        worker = self.timeline.workers[event.worker]
        lane = (worker, one_line(event.host, HOST_CHARACTERS))
        self._lanes[worker.place : worker.place + 1] = [lane]
