"""The present workers of a study, their jobs, and their times of presence, for ``Tally`` and
``Timeline``.
"""

from collections import deque
from heapq import heappop, heappush

from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Followed, Release, Train


class PresentWorker:
    """A present worker and its jobs.

    ``lane`` is the worker's number in the order of joining. If a worker replaces another worker,
    both have the same ``place``. ``paused`` is the time between sessions, in seconds, before the
    worker joined. ``free`` is the time when the worker's last work ended. ``jobs`` maps the trial
    of each job to the job's rung. ``ordered`` is the time when the worker got the first of its
    ``jobs``. ``job`` is the worker's last order to train, and ``resource`` is the progress of
    ``job``. ``releasing`` is the trial that the worker saves now.

    Only the timeline uses the fields below. ``rung`` is the rung of the worker's last work.
    ``chain`` is the first of the worker's last rows without waits between them, and ``chain_rung``
    is this row's rung. Before this row, the worker waited ``waited`` seconds, until
    ``waited_until``.
    """

    __slots__ = (
        "chain", "chain_rung", "free", "job", "jobs",
        "joined", "lane", "ordered", "paused", "place", "releasing",
        "resource", "rung",
        "waited", "waited_until", "worker",
    )  # fmt: skip

    def __init__(
        self, worker: WorkerId, *, lane: int, place: int, paused: float, joined: float
    ) -> None:
        self.worker = worker
        self.lane = lane
        self.place = place
        self.paused = paused
        self.joined = self.free = self.ordered = joined
        self.jobs: dict[TrialId, int] = {}
        self.job: Train | None = None
        self.resource = 0
        self.releasing: TrialId | None = None
        self.rung = 0
        self.chain = -1
        self.chain_rung = 0
        self.waited = 0.0
        self.waited_until = joined

    def order(self, trial: TrialId, rung: int, time: float) -> None:
        """Record that the worker got a job."""
        jobs = self.jobs
        if not jobs:
            self.ordered = time
        elif trial in jobs:
            del jobs[trial]
        jobs[trial] = rung

    def train(self, order: Train, time: float) -> None:
        """Record an order to train."""
        self.order(order.trial, order.rung, time)
        self.job = order
        self.resource = order.start

    @property
    def since(self) -> float:
        """The time when the worker's present state began."""
        return max(self.free, self.ordered) if self.jobs else self.free

    @property
    def state(self) -> str:
        """The worker's state: ``saving``, ``training`` or ``idle``. A worker starts its next job
        after saving.
        """
        if self.releasing is not None:
            return "saving"
        return "training" if self.jobs else "idle"


# Decision 68 (docs/decisions/0068-one-fold-of-workers.md): the counts and the timeline each had
# their own records of workers and sessions, and these records could differ. Sums over all workers,
# such as presence, are computed only when a view asks for them, a few times a second. An update at
# each event could be needed thousands of times a second.
class PresentWorkers:
    """The present workers of a study, the places that they occupy, and the time that places were
    empty.
    """

    def __init__(self) -> None:
        self.present: dict[WorkerId, PresentWorker] = {}
        self.joined = 0
        """The number of workers that have joined."""
        self._past_presence = 0.0
        self.places = 0
        """The largest number of workers that were present at the same time."""
        self._free_places: list[int] = []
        self.pauses: list[tuple[float, float]] = []
        """For each session: the session's beginning, and the total seconds between sessions before
        it.
        """
        self._session_began = 0.0
        self._away = 0.0
        self._past_absence = 0.0
        self._is_staffed = False
        self._vacant_since: deque[float] = deque()

    def join(self, worker: WorkerId, time: float) -> None:
        """Add a worker, and give the worker the lowest free place."""
        # The place that has been empty longest is filled first. Any other choice gives the same sum
        # of empty time.
        since = self._session_began
        if self._vacant_since:
            since = self._vacant_since.popleft()
        self._past_absence += time - since
        self._is_staffed = True
        if self._free_places:
            place = heappop(self._free_places)
        else:
            place = self.places
            self.places = self.places + 1
        self.present[worker] = PresentWorker(
            worker, lane=self.joined, place=place, paused=self._away, joined=time
        )
        self.joined += 1

    def leave(
        self, worker: WorkerId, time: float, *, is_lost: bool = False
    ) -> PresentWorker | None:
        """Remove a worker, and return it. If the worker was lost, its place is empty until another
        worker joins.
        """
        gone = self.present.pop(worker, None)
        if gone is not None:
            self._past_presence += time - gone.joined
            heappush(self._free_places, gone.place)
            if is_lost:
                self._vacant_since.append(time)
        return gone

    def change(self, workers: int, time: float) -> None:
        """Set the number of wanted places; additional places are empty until workers join."""
        taken = self.places - len(self._free_places)
        vacant = self._vacant_since
        vacant.extend([time] * (workers - taken - len(vacant)))
        while vacant and taken + len(vacant) > workers:
            vacant.pop()

    def start_session(self, end_of_the_last: float, time: float) -> None:
        """Start another session; all workers of the previous session have left."""
        self._past_absence += self._vacant(end_of_the_last)
        self._away += time - end_of_the_last
        self.pauses.append((time, self._away))
        self._session_began = time
        self._is_staffed = False
        self._vacant_since.clear()

    def followed(self, order: Followed, time: float) -> None:
        """Record an order to a worker. An order to a lost worker is ignored, because another worker
        gets the job.
        """
        if type(order) is not Train and type(order) is not Release:
            return
        worker = self.present.get(order.worker)
        if worker is None:
            return
        if type(order) is Train:
            worker.train(order, time)
        else:
            worker.releasing = order.trial

    def wall_seconds(self, now: float) -> float:
        """Return the seconds that all sessions have run until ``now``."""
        return now - self._away

    def presence(self, now: float) -> float:
        """Return the seconds that workers were present, summed over all workers. O(workers)."""
        return self._past_presence + sum(now - worker.joined for worker in self.present.values())

    def absence(self, now: float) -> float:
        """Return the seconds that places were empty, summed over all places.

        A place becomes empty when the session starts, or when its worker is lost. The place stays
        empty until another worker joins or the session ends. A session without workers counts as
        one empty place.
        """
        return self._past_absence + self._vacant(now)

    def _vacant(self, time: float) -> float:
        """Return the seconds for which the places that are empty at ``time`` have been empty,
        summed over places.
        """
        if not self._is_staffed:
            return time - self._session_began
        return sum(time - since for since in self._vacant_since)
