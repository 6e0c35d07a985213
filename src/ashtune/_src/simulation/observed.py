"""One trial as its events tell it: what it reported, and its jobs.

Workers' first jobs may take longer, for imports, data or compilation. Where that is clear, it is taken out.
"""

from collections.abc import Sequence
from statistics import median

import msgspec

from ashtune._src.core.jobs import WorkerId


class ObservedJob(msgspec.Struct):
    """One job: who trained from which resource to which, for how many seconds, and how it ended.

    ``serial`` counts the jobs of a study in the order in which they ended.
    ``ending`` is that of its row in the timeline. ``wait`` are the seconds between its order and its beginning, where
    they are known. ``is_void``: its worker died, and nothing of it counts.
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
        """Seconds a unit of resource."""
        return self.seconds / (self.target - self.start)


class ObservedTrial(msgspec.Struct):
    """One trial.

    ``releases`` are the seconds that its releases took, by resource; ``rung_of`` is the resource of the rung that a
    job was for, by that of its last report. ``is_left_out``: it was withdrawn, or confirms another.
    """

    reports: dict[int, dict[str, float | None]] = msgspec.field(default_factory=dict)
    jobs: list[ObservedJob] = msgspec.field(default_factory=list)
    releases: dict[int, float] = msgspec.field(default_factory=dict)
    rung_of: dict[int, int] = msgspec.field(default_factory=dict)
    fails: bool = False
    is_left_out: bool = False

    @property
    def reached(self) -> int:
        """The resource that it is trained to."""
        pieces = self.pieces()
        return pieces[-1].target if pieces else 0

    def pieces(self) -> list[ObservedJob]:
        """Return the jobs that its state at the end consists of: what was trained again counts the last time."""
        pieces: list[ObservedJob] = []
        for job in self.jobs:
            if job.is_void:
                continue
            while pieces and pieces[-1].target > job.start:
                pieces.pop()
            pieces.append(job)
        return pieces


def later_rate(trials: Sequence[ObservedTrial]) -> float:
    """Return how much longer a unit of resource takes after a trial's first job than in it: the median.

    The first one builds what the later ones go on with.
    """
    ratios = []
    for trial in trials:
        pieces = trial.pieces()
        if len(pieces) > 1 and pieces[0].seconds > 0:
            first, second = pieces[:2]
            ratios.append(second.rate / first.rate)
    return median(ratios) if ratios else 1.0


FEWEST = 5
"""Jobs that a median needs."""
CLEARLY = 3.0
"""How many times the median distance of jobs from their median."""


def take_out_warmup(jobs: Sequence[ObservedJob]) -> float:
    """Take what workers' first jobs took longer out of these jobs, and return it; 0 if they did not clearly."""
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
    """Return what a job like this usually takes; nothing if that is unknown."""
    same = [other.seconds for other in others if (other.start, other.target) == (job.start, job.target)]
    if len(same) >= FEWEST:
        return same
    units = job.target - job.start
    rates = [units * other.rate for other in others]
    return rates if len(rates) >= FEWEST else []


def _spread(seconds: Sequence[float]) -> float:
    middle = median(seconds)
    return median(abs(one - middle) for one in seconds)
