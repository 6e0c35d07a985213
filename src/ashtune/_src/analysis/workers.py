"""The workers of a study: who is there, what each has in hand, how long it was there.

The counts (``Tally``) and the timeline (``Timeline``) rest
on it, and so do all views.
"""

from collections import deque
from heapq import heappop, heappush

from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Followed, Release, Train


class PresentWorker:
    """A worker that is there, and what it has in hand.

    ``lane`` is its number in the order of joining. ``place``: a worker that comes after another is gone takes its
    place. ``paused`` are the seconds before it joined in which the study did not run: between sessions. ``free`` is
    when its last work ended; ``jobs`` are those that it has in hand (trial -> rung), the first of which was given to it
    at the time ``ordered``. ``job`` is the last order to train, of which it has trained up to ``resource``;
    ``releasing`` the trial that it saves.

    Of the timeline: ``rung`` is that of its last work, and ``chain`` the row since which it worked without a wait.
    Before that row it waited for the driver ``waited`` seconds, until ``waited_until``.
    """

    __slots__ = (
        "chain", "free", "job", "jobs", "joined", "lane", "ordered", "paused", "place", "releasing", "resource", "rung",
        "waited", "waited_until", "worker",
    )  # fmt: skip

    def __init__(self, worker: WorkerId, *, lane: int, place: int, paused: float, joined: float) -> None:
        self.worker, self.lane, self.place = worker, lane, place
        self.paused = paused
        self.joined = self.free = self.ordered = joined
        self.jobs: dict[TrialId, int] = {}
        self.job: Train | None = None
        self.resource = 0
        self.releasing: TrialId | None = None
        self.rung, self.chain = 0, -1
        self.waited, self.waited_until = 0.0, joined

    def order(self, trial: TrialId, rung: int, time: float) -> None:
        """It was given a job."""
        if not self.jobs:
            self.ordered = time
        self.jobs.pop(trial, None)
        self.jobs[trial] = rung

    @property
    def since(self) -> float:
        """When it began what it does now."""
        return max(self.free, self.ordered) if self.jobs else self.free

    @property
    def state(self) -> str:
        """``saving``, ``training`` or ``idle``. One that saves takes its next job after that."""
        return "saving" if self.releasing is not None else "training" if self.jobs else "idle"


class PresentWorkers:
    """All workers, the places that they take one after another, and how long these stood empty."""

    def __init__(self) -> None:
        self.present: dict[WorkerId, PresentWorker] = {}
        self.joined = 0
        """How many have joined."""
        self._past_presence = 0.0
        self._places = 0
        self._free_places: list[int] = []
        self.pauses: list[tuple[float, float]] = []
        """When each session began, and how many seconds the study had not run by then."""
        self._session_began = 0.0
        self._away = 0.0
        self._past_absence = 0.0
        self._is_staffed = False
        self._vacant_since: deque[float] = deque()

    def join(self, worker: WorkerId, time: float) -> None:
        """A worker is there; it takes the lowest place that is free."""
        since = self._vacant_since.popleft() if self._vacant_since else self._session_began
        self._past_absence += time - since
        self._is_staffed = True
        if self._free_places:
            place = heappop(self._free_places)
        else:
            place, self._places = self._places, self._places + 1
        self.present[worker] = PresentWorker(worker, lane=self.joined, place=place, paused=self._away, joined=time)
        self.joined += 1

    def leave(self, worker: WorkerId, time: float, *, is_lost: bool = False) -> PresentWorker | None:
        """A worker is gone; return it. Of one that is lost another may take the place."""
        gone = self.present.pop(worker, None)
        if gone is not None:
            self._past_presence += time - gone.joined
            heappush(self._free_places, gone.place)
            if is_lost:
                self._vacant_since.append(time)
        return gone

    def change(self, workers: int, time: float) -> None:
        """The number of wanted places changes; those that come on top stand empty until a worker joins."""
        taken, vacant = self._places - len(self._free_places), self._vacant_since
        vacant.extend([time] * (workers - taken - len(vacant)))
        while vacant and taken + len(vacant) > workers:
            vacant.pop()

    def start_session(self, end_of_the_last: float, time: float) -> None:
        """Another session begins; all workers of the last have left."""
        self._past_absence += self._vacant(end_of_the_last)
        self._away += time - end_of_the_last
        self.pauses.append((time, self._away))
        self._session_began = time
        self._is_staffed = False
        self._vacant_since.clear()

    def followed(self, order: Followed, time: float) -> None:
        """Take in an order. A worker that died a moment ago is not there: its job is given out again."""
        if type(order) is Train:
            if (worker := self.present.get(order.worker)) is not None:
                worker.order(order.trial, order.rung, time)
                worker.job, worker.resource = order, order.start
        elif type(order) is Release and (worker := self.present.get(order.worker)) is not None:
            worker.releasing = order.trial

    def wall_seconds(self, now: float) -> float:
        """Return the seconds of all sessions until now."""
        return now - self._away

    def presence(self, now: float) -> float:
        """Return the seconds that workers were there, all of them together. O(workers)."""
        return self._past_presence + sum(now - worker.joined for worker in self.present.values())

    def absence(self, now: float) -> float:
        """Return the seconds that places stood empty: until a worker joined, or its session ended.

        That is from the session's start, or from the loss of the worker before. A session that no worker joined counts
        as one empty place.
        """
        return self._past_absence + self._vacant(now)

    def _vacant(self, time: float) -> float:
        """Return how long the places that are empty at ``time`` have been so in this session."""
        if not self._is_staffed:
            return time - self._session_began
        return sum(time - since for since in self._vacant_since)
