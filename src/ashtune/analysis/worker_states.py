"""Which workers there are and what each does: the workers' part of the tally.

Rule: O(1) an event, whatever the number of workers: sums of times are kept, not times.
"""

from collections.abc import Sequence

from ashtune.analysis.counts import NOBODY, RungTally, WorkerTally
from ashtune.core.events import Progress, TrialReleased
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Release, Train
from ashtune.core.verdicts import Followed


class WorkerStates:
    """The workers of a study.

    Args:
        rungs: The counts of each rung; how many jobs run to it is kept here.
    """

    def __init__(self, rungs: Sequence[RungTally]) -> None:
        self._rungs = rungs
        self.workers: dict[WorkerId, WorkerTally] = {}
        self.running = 0
        self._past_presence = 0.0
        self._sum_joined = 0.0
        self._sum_since = 0.0

    def presence(self, now: float) -> float:
        """Return the seconds that workers were there, all of them together."""
        return self._past_presence + len(self.workers) * now - self._sum_joined

    def seconds_under_way(self, now: float) -> float:
        """Return the seconds that the jobs running now have taken so far."""
        return max(0.0, self.running * now - self._sum_since)

    def followed(self, order: Followed, now: float) -> None:
        """Take in one order to a worker. One that died a moment ago is not there: its job is given out again."""
        match order:
            case Train() if (worker := self.workers.get(order.worker)) is not None:
                if worker.trial == NOBODY and (order.in_place or not worker.ahead):
                    self._begin(worker, order, now)
                else:
                    worker.ahead.append(order)
            case Release() if (worker := self.workers.get(order.worker)) is not None:
                worker.saving = order.trial
                if worker.trial == NOBODY:  # else it trains others meanwhile
                    worker.since = now
            case _:
                pass

    def progress(self, progress: Progress) -> None:
        """A worker told how far it is."""
        worker = self.workers.get(progress.worker)
        if worker is not None and worker.trial == progress.trial:
            worker.resource = progress.resource

    def ended(self, number: WorkerId, trial: TrialId, seconds: float, now: float, *, held: bool = False) -> None:
        """A worker's job is over; the next that waits at it begins, unless it holds its trial to hear of it."""
        worker = self.workers.get(number)
        if worker is None:
            return
        worker.busy_seconds += seconds
        if worker.trial == trial:
            self.running -= 1
            self._rungs[worker.rung].running -= 1
            self._sum_since -= worker.since
            worker.trial = NOBODY
            worker.since = now
            if worker.ahead and not held:
                self._begin(worker, worker.ahead.popleft(), now)
        elif (done := next((order for order in worker.ahead if order.trial == trial), None)) is not None:
            worker.ahead.remove(done)  # several were trained together

    def released(self, event: TrialReleased, now: float) -> None:
        """A worker has let go of a trial."""
        worker = self.workers.get(event.worker)
        if worker is None or worker.saving != event.trial:
            return
        worker.saving = NOBODY
        if worker.trial != NOBODY:  # only now does the next job begin
            self._sum_since += now - worker.since
            worker.since = now
        elif worker.ahead:
            self._begin(worker, worker.ahead.popleft(), now)
        else:
            worker.since = now

    def join(self, number: WorkerId, now: float) -> None:
        """A worker is there."""
        self.workers[number] = WorkerTally(now)
        self._sum_joined += now

    def depart(self, number: WorkerId, now: float) -> None:
        """A worker is gone."""
        worker = self.workers.get(number)
        if worker is None:
            return
        worker.ahead.clear()
        if worker.trial != NOBODY:
            self.ended(number, worker.trial, 0.0, now)
        self._past_presence += now - worker.joined
        self._sum_joined -= worker.joined
        del self.workers[number]

    def dismiss_all(self, now: float) -> None:
        """All are gone, as their session has ended."""
        for worker in list(self.workers):
            self.depart(worker, now)
        self._sum_joined = self._sum_since = 0.0

    def _begin(self, worker: WorkerTally, order: Train, now: float) -> None:
        """A worker's next job begins now."""
        worker.trial = order.trial
        worker.rung = order.rung
        worker.start = worker.resource = order.start
        worker.target = order.target
        worker.since = now
        self._sum_since += now
        self.running += 1
        self._rungs[order.rung].running += 1
