"""Observed trials: the reports and jobs of each trial, computed from a study's events.

The first job of a worker may take longer, because of imports, data or compilation. The extra time of a first job is
subtracted if it is much larger than the usual deviation of job times.
"""

from collections.abc import Sequence
from statistics import median

import msgspec

from ashtune._src.core.jobs import WorkerId


class ObservedJob(msgspec.Struct):
    """One job of a trial, with its worker, its resources, its time and its ending.

    ``serial`` is the job's number, in the order in which jobs ended. ``ending`` is the timeline's code for the end of
    the job. ``wait`` is the number of seconds between the order and the start of the job; None if unknown. ``is_void``
    means that the job does not count, because its worker died.
    """

    serial: int
    worker: WorkerId
    start: int
    target: int
    seconds: float
    ending: int
    wait: float | None = None
    is_void: bool = False

    @property
    def rate(self) -> float:
        """The job's seconds per unit of resource."""
        return self.seconds / (self.target - self.start)


class ObservedTrial(msgspec.Struct):
    """One trial of a recorded study.

    ``releases`` has the seconds of each release, by resource. ``rung_of`` maps the resource of a job's last report to
    the resource of the job's rung. ``is_left_out`` means that the trial was withdrawn, or confirms another trial.
    """

    reports: dict[int, dict[str, float | None]] = msgspec.field(default_factory=dict)
    jobs: list[ObservedJob] = msgspec.field(default_factory=list)
    releases: dict[int, float] = msgspec.field(default_factory=dict)
    rung_of: dict[int, int] = msgspec.field(default_factory=dict)
    fails: bool = False
    is_left_out: bool = False

    @property
    def reached(self) -> int:
        """The resource up to which the trial is trained."""
        pieces = self.pieces()
        return pieces[-1].target if pieces else 0

    def pieces(self) -> list[ObservedJob]:
        """Return the jobs that led to the trial's final state, without jobs whose epochs were trained again later."""
        pieces: list[ObservedJob] = []
        for job in self.jobs:
            if job.is_void:
                continue
            while pieces and pieces[-1].target > job.start:
                pieces.pop()
            pieces.append(job)
        return pieces


def later_rate(trials: Sequence[ObservedTrial]) -> float:
    """Return the median ratio of the second job's ``rate`` to the first job's ``rate``, over all trials.

    The first job of a trial may have extra work, such as building the model.
    """
    ratios = []
    for trial in trials:
        pieces = trial.pieces()
        if len(pieces) > 1 and pieces[0].seconds > 0:
            first, second = pieces[:2]
            ratios.append(second.rate / first.rate)
    return median(ratios) if ratios else 1.0


FEWEST = 5
"""The least number of jobs for a median."""
CLEARLY = 3.0
"""The extra time is clear if it is more than this multiple of the median absolute deviation of other jobs' times."""


def take_out_warmup(jobs: Sequence[ObservedJob]) -> float:
    """Subtract the extra time from each worker's first job, and return the extra time; return 0 if it is too small."""
    firsts: dict[WorkerId, ObservedJob] = {}
    others: list[ObservedJob] = []
    for job in sorted(jobs, key=lambda job: job.serial):
        if job.worker in firsts:
            others.append(job)
        else:
            firsts[job.worker] = job
    compared = [(job, usual) for job in firsts.values() if (usual := _usual(job, others))]
    if not compared:
        return 0.0
    warmup = median(job.seconds - median(usual) for job, usual in compared)
    if warmup <= CLEARLY * median(_spread(usual) for _, usual in compared):
        return 0.0
    for job, usual in compared:
        job.seconds = max(job.seconds - warmup, min(job.seconds, *usual))
    return warmup


def _usual(job: ObservedJob, others: Sequence[ObservedJob]) -> list[float]:
    """Return the seconds of jobs that are similar to ``job``; [] if the study has too few similar jobs."""
    same = [other.seconds for other in others if (other.start, other.target) == (job.start, job.target)]
    if len(same) >= FEWEST:
        return same
    units = job.target - job.start
    rates = [units * other.rate for other in others]
    return rates if len(rates) >= FEWEST else []


def _spread(seconds: Sequence[float]) -> float:
    middle = median(seconds)
    return median(abs(one - middle) for one in seconds)
