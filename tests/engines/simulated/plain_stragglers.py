"""Halving under stragglers and dropped jobs once more, to check ``benchmarks/stragglers.py``: slow and plainly right.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020, https://arxiv.org/abs/1810.05934,
appendix A.1, with what it leaves open as an independent reference settled it: a rung closes when all its jobs ended;
lives are whole units, and who dies in the unit in which it would end is dropped; all that ends in one instant is
booked before anybody is given a job.

Rule 1: nothing of ashtune is imported. Losses, stretches and lives are drawn in the same order from the same seeds,
so that both have the same luck wherever the same jobs are given in the same order.
Rule 2: lists, sorting and one heap of events.
"""

import heapq
import math
import random
from bisect import insort
from collections.abc import Iterator
from itertools import islice

ETA = 4
TOP = 4  # rungs of 1, 4, 16, 64 and 256
BRACKET = 256

Job = tuple[int, int]  # a configuration and the rung to train it to


class Asynchronous:
    """Promote the best of those in the top ``1/ETA`` of their rung, the top rung first; else start a new one."""

    def __init__(self) -> None:
        self.results: list[list[tuple[float, int]]] = [[] for _ in range(TOP + 1)]  # of each rung, best first
        self.promoted: list[set[int]] = [set() for _ in range(TOP)]
        self.configurations = 0

    def next_job(self) -> Job:
        for rung in reversed(range(TOP)):
            results = self.results[rung]
            for _, configuration in islice(results, len(results) // ETA):
                if configuration not in self.promoted[rung]:
                    self.promoted[rung].add(configuration)
                    return configuration, rung + 1
        self.configurations += 1
        return self.configurations - 1, 0

    def ended(self, job: Job, loss: float) -> None:
        configuration, rung = job
        insort(self.results[rung], (loss, configuration))

    def put_back(self, job: Job) -> None:
        """Take the promotion back. A configuration that never had a result is forgotten: a new one takes its place."""
        configuration, rung = job
        if rung > 0:
            self.promoted[rung - 1].remove(configuration)


class Synchronous:
    """Brackets of ``BRACKET`` configurations: the oldest that has a job gives it, and if none has, another opens."""

    def __init__(self) -> None:
        self.waiting: list[list[Job]] = []  # of each bracket, what its open rung has still to give
        self.issued: list[int] = []  # of each bracket, how many its open rung has in all
        self.results: list[list[tuple[float, int]]] = []  # of each bracket, those of its open rung

    def next_job(self) -> Job:
        for waiting in self.waiting:
            if waiting:
                return waiting.pop(0)
        first = BRACKET * len(self.waiting)
        self.waiting.append([(configuration, 0) for configuration in range(first, first + BRACKET)])
        self.issued.append(BRACKET)
        self.results.append([])
        return self.waiting[-1].pop(0)

    def ended(self, job: Job, loss: float) -> None:
        configuration, rung = job
        bracket = configuration // BRACKET
        self.results[bracket].append((loss, configuration))
        if len(self.results[bracket]) == self.issued[bracket] and rung < TOP:
            best = sorted(self.results[bracket])[: self.issued[bracket] // ETA]
            self.waiting[bracket] = [(configuration, rung + 1) for _, configuration in best]
            self.issued[bracket] = len(best)
            self.results[bracket] = []

    def put_back(self, job: Job) -> None:
        """Put the job back in its rung's list."""
        self.waiting[job[0] // BRACKET].append(job)


def trained(
    scheduler: str, workers: int, *, deviation: float, drop: float, seed: int, dropped: str = "again"
) -> Iterator[float]:
    """Yield when configurations are trained to the top, without end.

    Args:
        scheduler: "ash" or "sh".
        workers: How many.
        deviation: Standard deviation of ``z``; a job takes ``1 + |z|`` times its resource.
        drop: The probability that a job is dropped, in each unit of time.
        seed: Decides losses, stretches and lives.
        dropped: What becomes of a dropped job: "again", it is the next one given; or, as in the reference, "put back":
            it is for the rule that gave it to give it again, or not.
    """
    halving = Asynchronous() if scheduler == "ash" else Synchronous()
    chance, chance_of_losses = random.Random(seed), random.Random(f"losses {seed}")
    losses: list[float] = []
    again: list[Job] = []
    due: list[tuple[float, int, bool, Job]] = []
    now, free, given = 0.0, workers, 0
    while True:
        for _ in range(free):
            job = again.pop(0) if again else halving.next_job()
            seconds = ETA ** job[1] * (1 + abs(chance.gauss(0.0, deviation)) if deviation else 1.0)
            life = 1 + int(math.log(1 - chance.random()) / math.log1p(-drop)) if drop else math.inf
            heapq.heappush(due, (now + min(life, seconds), given, life <= seconds, job))
            given += 1
        now, free = due[0][0], 0
        while due and due[0][0] == now:
            _, _, is_dropped, job = heapq.heappop(due)
            free += 1
            if not is_dropped:
                losses += [chance_of_losses.random() for _ in range(len(losses), job[0] + 1)]
                halving.ended(job, losses[job[0]])
                if job[1] == TOP:
                    yield now
            elif dropped == "again":
                again.append(job)
            else:
                halving.put_back(job)
