"""The workers that the timeline follows: what each has in hand, and the places that they take."""

from collections import deque
from heapq import heappop, heappush

from ashtune.analysis.timeline_rows import SAVING, TRAINING, Row, WorkerLane
from ashtune.core.jobs import TrialId, WorkerId


class PresentWorker:
    """A worker that is there, and what it has in hand.

    ``free`` is when its last work ended; ``ordered`` the jobs given to it that are not over, oldest first,
    with the time of the order and the rung; ``chain`` the row since which it worked without a wait.
    """

    __slots__ = (
        "chain",
        "free",
        "holds",
        "joined",
        "lane",
        "ordered",
        "paused",
        "place",
        "releasing",
        "rung",
        "worker",
    )

    def __init__(self, worker: WorkerId, *, lane: int, place: int, paused: float, joined: float) -> None:
        self.worker, self.lane, self.place = worker, lane, place
        self.paused = paused
        self.joined = self.free = joined
        self.rung = 0
        self.chain = -1
        self.ordered: dict[TrialId, tuple[float, int]] = {}
        self.holds: TrialId | None = None
        self.releasing: TrialId | None = None

    def cut(self, time: float, ending: int) -> Row | None:
        """Return the work that is not over at ``time``, as if it ended then; None if there is none."""
        if self.releasing is not None:
            return Row(self.lane, self.releasing, self.rung, SAVING, ending, 0, 0.0, 0.0, time - self.free)
        for trial, (ordered, rung) in self.ordered.items():
            begin = min(max(self.free, ordered), time)
            return Row(self.lane, trial, rung, TRAINING, ending, 0, begin - self.free, 0.0, time - begin)
        return None

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
        """A worker is gone, as its session ended."""
        heappush(self._free, place)

    def lose(self, place: int, time: float) -> None:
        """A worker is lost; another may take its place."""
        self.leave(place)
        self._vacant_since.append(time)

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
