"""What workers' first jobs take longer than others: imports, data, compilation.

A first job is compared with the others between the same resources, or where there are too few of them with what an
epoch of the others takes. It is told apart only where the first jobs take clearly longer than jobs differ anyway.
"""

from collections.abc import Sequence
from statistics import median

from ashtune.core.jobs import WorkerId
from ashtune.simulation.observed import ObservedJob

FEWEST = 5
"""Jobs that a median needs."""
CLEARLY = 3.0
"""So many times the median distance of jobs from their median."""


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
