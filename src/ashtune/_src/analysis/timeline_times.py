"""What a timeline adds up to: the workers' time by state and by rung, and the decision latency."""

from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.timeline import COMPILING, CUT_OFF, IN_VAIN, LOST, SAVING, TRAINING, Timeline, Work

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class TimeShares(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of all workers by what they did; together they are ``presence``.

    ``failed`` are the seconds of jobs that failed, were withdrawn or lost with their worker.
    ``absence`` is not part of it: how long places stood empty, as at the start. ``wall`` is how long
    the study ran, all its sessions together. ``places`` is how many workers there were at a time: one that
    comes after a lost one, or in a later session, takes its place.
    """

    training: float
    failed: float
    saving: float
    compiling: float
    driver: float
    barrier: float
    tail: float
    absence: float
    wall: float
    workers: int
    places: int

    @property
    def presence(self) -> float:
        """Seconds that workers were there, all of them together."""
        return self.trained + self.saving + self.compiling + self.driver + self.barrier + self.tail

    @property
    def trained(self) -> float:
        """Seconds that workers trained, whatever came of it."""
        return self.training + self.failed

    @property
    def utilisation(self) -> float:
        """The share of the workers' presence in which they trained, whatever came of it."""
        return self.share(self.trained)

    def share(self, seconds: float) -> float:
        """Return a share of the presence; 0 if there is none."""
        return seconds / self.presence if self.presence > 0 else 0.0


class RungTimes(msgspec.Struct, frozen=True):
    """Seconds of all workers for the jobs to one rung.

    ``failed`` are the seconds of those in vain, beside ``training``. ``driver`` are the waits before these
    jobs and before saving what they had trained. Over all rungs,
    with compiling, the barrier, the tail and the absence, they are a single worker's wall time.
    """

    rung: int
    resource: int
    training: float
    failed: float
    saving: float
    driver: float

    @property
    def trained(self) -> float:
        """Seconds trained, whatever came of it."""
        return self.training + self.failed


class Latency(msgspec.Struct, frozen=True):
    """Seconds from a report to the start of the worker's next job, saving aside, where it was given at once."""

    decisions: int
    median: float
    p99: float


def time_shares(timeline: Timeline) -> TimeShares:
    """Return where the workers' time went."""
    work = timeline.work()
    training, failed = training_rows(work)
    return TimeShares(
        training=float(work.seconds[training].sum()),
        failed=float(work.seconds[failed].sum()),
        saving=float(work.seconds[work.kind == SAVING].sum()),
        compiling=float(work.seconds[work.kind == COMPILING].sum()),
        driver=float(work.driver.sum()),
        barrier=float(work.barrier.sum()),
        tail=float(work.tail.sum()),
        absence=timeline.absence,
        wall=timeline.wall_seconds,
        workers=len(work.worker),
        places=int(work.place.max()) + 1 if len(work.place) else 0,
    )


def rung_times(timeline: Timeline) -> list[RungTimes]:
    """Return where the time went by rung, the lowest first."""
    import numpy as np

    work = timeline.work()
    rungs = timeline.ladder.rungs

    def by_rung(seconds: "Floats") -> list[float]:
        return [float(x) for x in np.bincount(work.rung, weights=seconds, minlength=len(rungs))]

    training, failed = (by_rung(work.seconds * chosen) for chosen in training_rows(work))
    saving = by_rung(work.seconds * (work.kind == SAVING))
    driver = by_rung(work.driver)
    return [RungTimes(k, rung, training[k], failed[k], saving[k], driver[k]) for k, rung in enumerate(rungs)]


def decision_latency(timeline: Timeline) -> Latency | None:
    """Return how long workers waited to hear what comes next; None if no one ever did.

    Trials that went on in place are included, and so are jobs that lay waiting at their worker. Jobs
    that the study could not give at once are not: see the barrier. Without orders nobody knows which these are.
    """
    import numpy as np

    waits = _waits(timeline.work())
    if not timeline.knows_orders or not len(waits):
        return None
    median, p99 = np.percentile(waits, [50, 99])
    return Latency(len(waits), float(median), float(p99))


def _waits(work: Work) -> "Floats":
    """Return the wait between each two jobs of a worker, before and after saving, where the second came at once."""
    import numpy as np

    before = np.arange(len(work.lane)) - 1
    saved = (before >= 1) & (work.kind[before] == SAVING)
    report = before - saved
    follows = (report >= 0) & (work.lane[report] == work.lane) & (work.kind[report] == TRAINING)
    is_known = (work.kind == TRAINING) & (work.ending != LOST) & (work.ending != CUT_OFF)
    waits = work.driver + np.where(saved, work.driver[before], 0.0)
    at_once: Floats = waits[follows & is_known & (work.barrier == 0)]
    return at_once


def training_rows(work: Work) -> "tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]":
    """Return which rows are training that came to something, and which is training in vain."""
    import numpy as np

    trains, is_in_vain = work.kind == TRAINING, np.isin(work.ending, IN_VAIN)
    return trains & ~is_in_vain, trains & is_in_vain


def seconds_within(begin: "Floats", end: "Floats", edges: "Floats") -> "Floats":
    """Return how many seconds of some stretches lie between each two neighbouring edges. O(n log n)."""
    import numpy as np

    def passed(since: "Floats") -> "Floats":
        """Return at each edge the seconds that have passed since all the moments before it."""
        moments = np.sort(since)
        count = np.searchsorted(moments, edges)
        sums = np.concatenate([[0.0], np.cumsum(moments)])
        seconds: Floats = count * edges - sums[count]
        return seconds

    return np.maximum(np.diff(passed(begin) - passed(end)), 0.0)
