"""Sums over a timeline: the workers' time in each state and for each rung, and the decision
latency.
"""

from typing import TYPE_CHECKING

import msgspec

from ashtune._src.analysis.timeline import (
    CUT_OFF,
    LOST,
    SAVING,
    TRAINING,
    RungSeconds,
    Timeline,
    Work,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class TimeShares(msgspec.Struct, frozen=True, kw_only=True):
    """The seconds that all workers spent in each state.

    The sum of all states is ``presence``. ``halted`` is the time in which workers had no job
    because the user had paused the study. ``failed`` is the time of jobs that failed, were
    withdrawn, or were lost with their worker. ``absence`` is the time that workers' places were
    empty, and ``wall`` is the running time of all sessions together. ``places`` is the largest
    number of workers at the same time.
    """

    training: float
    failed: float
    saving: float
    compiling: float
    driver: float
    barrier: float
    halted: float
    tail: float
    absence: float
    wall: float
    workers: int
    places: int

    @property
    def presence(self) -> float:
        """The seconds that workers were present, summed over all workers."""
        working = self.trained + self.saving + self.compiling
        return working + self.driver + self.barrier + self.halted + self.tail

    @property
    def trained(self) -> float:
        """The seconds that workers trained, including failed jobs."""
        return self.training + self.failed

    @property
    def utilisation(self) -> float:
        """The share of the workers' time that was used for training, including failed jobs."""
        return self.share(self.trained)

    def share(self, seconds: float) -> float:
        """Return ``seconds`` divided by the workers' total time; 0 if no worker was present."""
        return seconds / self.presence if self.presence > 0 else 0.0


class RungTimes(msgspec.Struct, frozen=True):
    """The seconds that all workers spent on the jobs to one rung.

    ``failed`` is the training time of failed, withdrawn or lost jobs, and ``training`` is the time
    of all other jobs. ``driver`` is the time that workers waited for the driver before jobs to this
    rung, and before saving their trials. If the study has one worker, the wall time is the sum of
    the times of all rungs and of compiling, barrier, tail and absence.
    """

    rung: int
    resource: int
    training: float
    failed: float
    saving: float
    driver: float

    @property
    def trained(self) -> float:
        """The seconds of training, including failed jobs."""
        return self.training + self.failed


class Latency(msgspec.Struct, frozen=True):
    """The seconds from a report to the worker's next job, without saving, if the study could give a
    job immediately.
    """

    decisions: int
    median: float
    p99: float


def time_shares(timeline: Timeline, now: float | None = None) -> TimeShares:
    """Return the workers' time in each state, summed over all workers, until ``now``; by default
    until the last event. ``absence`` and ``wall`` are those of the last event. O(workers).
    """
    if now is None:
        now = timeline.now
    rungs = timeline.rung_seconds(now)
    states = RungSeconds.__struct_fields__
    stays = timeline.stays(now)
    sums = {state: sum([getattr(rung, state) for rung in rungs]) for state in states}
    ends = [(stay.left - stay.paused, stay.tail) for stay in stays if stay.tail]
    halted = sum([timeline.halted_within(end - tail, end) for end, tail in ends])
    sums["halted"] += halted
    return TimeShares(
        **sums,
        tail=sum([tail for _, tail in ends]) - halted,
        absence=timeline.absence,
        wall=timeline.wall_seconds,
        workers=len(stays),
        places=timeline.places,
    )


def rung_times(timeline: Timeline) -> list[RungTimes]:
    """Return the workers' time for each rung, the lowest rung first."""
    return [
        RungTimes(number, resource, rung.training, rung.failed, rung.saving, rung.driver)
        for number, (resource, rung) in enumerate(
            zip(timeline.ladder.rungs, timeline.rung_seconds(timeline.now), strict=True)
        )
    ]


def decision_latency(timeline: Timeline) -> Latency | None:
    """Return the workers' waiting times between a report and the next job; None if no wait is
    known.

    Waits before jobs that the study could not give immediately are excluded (see the barrier in
    ``timeline.py``). If the timeline has no orders, the excluded jobs are unknown, so the
    result is None.
    """
    import numpy as np

    waits = _waits(timeline.work())
    if not timeline.knows_orders or not len(waits):
        return None
    median, p99 = np.percentile(waits, [50, 99])
    return Latency(len(waits), float(median), float(p99))


def _waits(work: Work) -> "Floats":
    """Return the waits between two jobs of a worker.

    The result includes waits before a trial is saved, and excludes waits at the barrier.
    """
    import numpy as np

    before = np.arange(len(work.lane)) - 1
    saved = (before >= 1) & (work.kind[before] == SAVING)
    report = before - saved
    follows = (report >= 0) & (work.lane[report] == work.lane) & (work.kind[report] == TRAINING)
    is_known = (work.kind == TRAINING) & (work.ending != LOST) & (work.ending != CUT_OFF)
    waits = work.driver + np.where(saved, work.driver[before], 0.0)
    at_once: Floats = waits[follows & is_known & (work.barrier == 0)]
    return at_once


def seconds_within(begin: "Floats", end: "Floats", edges: "Floats") -> "Floats":
    """Return, for each pair of neighbouring edges, how many seconds of all intervals lie between
    them.

    O(n log n).
    """
    import numpy as np

    # Two cumulative sums are used instead of a sum over all intervals for each edge: 10^6 jobs and
    # 160 edges would take 10^8 steps.
    def passed(since: "Floats") -> "Floats":
        """For each edge, return the sum of the seconds since every earlier moment."""
        moments = np.sort(since)
        count = np.searchsorted(moments, edges)
        sums = np.concatenate([[0.0], np.cumsum(moments)])
        seconds: Floats = count * edges - sums[count]
        return seconds

    return np.maximum(np.diff(passed(begin) - passed(end)), 0.0)
