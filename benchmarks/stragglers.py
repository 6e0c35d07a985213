"""Synchronous against asynchronous halving under stragglers and dropped jobs: a set-up to compare
simulators by.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, appendix A.1: reduction factor 4, rungs 1 to 256, brackets of 256
models; a job takes its rung's resource, times ``1 + |z|``, and is dropped with a probability in
each unit of time. Losses are one uniform number a configuration; nothing is resumed. A dropped job
goes back to the rule that gave it, as the paper leaves open and an independent reference has it:
synchronous halving puts it at the end of its rung's list, asynchronous halving takes the promotion
back (a study gives the same job again instead, which at high drop rates trains up to a third more
configurations to the top).
"""

import math
import random
from collections.abc import Callable, Sequence
from heapq import heappush

import msgspec

from ashtune._src.core.events import Event, JobFailed, JobFinished, JobPaused, Progress
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Order
from ashtune._src.engines.engine_protocol import Brief, Workers
from ashtune._src.engines.simulated.simulated_times import Training, half_normal
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import Bracket, BracketsMachine
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune._src.simulation.simulated_run import simulate

LADDER = Ladder(1, 256, 4)
MODELS = 256

_MACHINES: dict[str, Callable[[], AshMachine | BracketsMachine]] = {
    "ash": lambda: AshMachine(LADDER, None),
    "sh": lambda: BracketsMachine(LADDER, [Bracket(0, MODELS)]),
}


class StragglerRun(msgspec.Struct, frozen=True):
    """When configurations were trained to the top, oldest first, and how many jobs ended with a
    result.
    """

    trained: Sequence[float]
    jobs: int


def run(
    scheduler: str,
    workers: int,
    *,
    deviation: float,
    drop: float,
    seed: int,
    until: float,
    resumes: bool = False,
) -> StragglerRun:
    """Simulate once.

    Args:
        scheduler: "ash", or "sh" (brackets as many as there is work for).
        workers: How many.
        deviation: Standard deviation of ``z``.
        drop: The probability that a job is dropped in a unit of time.
        seed: Decides losses, stretches and drops.
        until: The time at which to stop.
        resumes: Whether a promoted trial pays only what it trains more.
    """
    chance = random.Random(f"losses {seed}")
    losses: list[float] = []

    def metrics(trial: TrialId, resource: int) -> dict[str, float | None]:
        while trial >= len(losses):
            losses.append(chance.random())
        return {"loss": losses[trial]}

    training = Training(
        metrics=metrics,
        seconds=lambda trial, start, target: float(target - start),
        stretch=half_normal(deviation) if deviation else None,
        drop=drop,
        resumes=resumes,
    )
    inner = _MACHINES[scheduler]()
    seen = TrainedToTheTop()
    if resumes:  # a worker that holds its trial has to hear at once whether it continues
        simulate(inner, SimulatedEngine(training, workers=workers, seed=seed), [seen], until=until)
    else:
        patient = Patient(inner, losses)
        simulate(
            patient,
            InstantsEngine(patient, training, workers=workers, seed=seed),
            [seen],
            until=until,
        )
    return StragglerRun(seen.times, seen.jobs)


class TrainedToTheTop(Observer):
    """Notes when trials were trained to the top; an observer."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.jobs = 0

    def event(self, event: Event) -> None:
        """Take in one event."""
        if type(event) is JobFinished:
            self.jobs += 1
            if event.rung == LADDER.top:
                self.times.append(event.time)


class Patient(Machine):
    """A machine that gives no job while results of the same instant are still to come.

    A dropped job, which comes as a result that is none, goes back to the one that decides.

    Args:
        inner: The one that decides.
        losses: Of each configuration, at whatever rung.
    """

    def __init__(self, inner: AshMachine | BracketsMachine, losses: Sequence[float]) -> None:
        self._inner = inner
        self._losses = losses
        self.ladder = inner.ladder
        self.to_come = 0

    def next_job(self) -> Job | None:
        """Ask the one that decides, if all of this instant is known."""
        return None if self.to_come else self._inner.next_job()

    def record(self, result: Result) -> None:
        """Take in a result."""
        self.to_come = max(0, self.to_come - 1)
        job, loss = result.job, result.losses[0]
        if loss < math.inf:
            self._inner.record(result)
        else:
            self._take_back(job)

    def _take_back(self, job: Job) -> None:
        """Put a job back that was dropped: last of its bracket; or its
        promotion is decided anew.
        """
        inner = self._inner
        if isinstance(inner, BracketsMachine):
            inner._wait(inner.bracket(job.trial), job)
        elif job.rung:  # of a dropped job in the lowest rung, a new trial takes the place
            below = inner._rungs[job.rung - 1]
            below.promoted.discard(job.trial)
            heappush(below.candidates, (self._losses[job.trial], job.trial))
            inner._highest = max(inner._highest, job.rung - 1)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Leave it to the one that decides."""
        self._inner.withdraw(job, replace=replace)

    def replaces(self, job: Job) -> bool:
        """Ask the one that decides."""
        return self._inner.replaces(job)

    def pass_over(self, job: Job) -> None:
        """Leave it to the one that decides."""
        self._inner.pass_over(job)

    def extend(self, trials: int | None) -> None:
        """Leave it to the one that decides."""
        self._inner.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        """Leave it to the one that decides."""
        self._inner.lengthen(ladder)
        self.ladder = ladder

    def hopeless(self) -> list[TrialId]:
        """Ask the one that decides."""
        return self._inner.hopeless()

    def expected(self, trials: int) -> list[int] | None:
        """Ask the one that decides."""
        return self._inner.expected(trials)


class Instants:
    """Workers whose results of one instant are all booked before any of them is given a job.

    Jobs that all take the same time end at the same instant; which of them the driver hears of
    first is then an accident that a comparison should not depend on.

    Args:
        inner: The workers.
        patient: The scheduler that has to wait.
    """

    def __init__(self, inner: Workers, patient: Patient) -> None:
        self._inner = inner
        self._patient = patient

    def wait(self, until: float) -> Sequence[Event]:
        """Return what happens next."""
        events = [
            _nothing_came_of(event) if type(event) is JobPaused else event
            for event in self._inner.wait(until)
        ]
        self._patient.to_come = sum(isinstance(event, JobFinished | JobFailed) for event in events)
        return events

    def carry_out(self, order: Order) -> None:
        """Pass an order on."""
        self._inner.carry_out(order)

    def now(self) -> float:
        """Return the virtual time."""
        return self._inner.now()

    def progress(self) -> Sequence[Progress]:
        """Return nothing, as simulated workers do."""
        return self._inner.progress()

    def close(self, *, deletes: bool = True) -> None:
        """Nobody has to be shut down."""


class InstantsEngine(SimulatedEngine):
    """The engine of :class:`Instants`.

    Args:
        patient: The scheduler that has to wait.
        training: What the workers do.
        workers: How many.
        seed: Decides stretches and drops.
    """

    def __init__(self, patient: Patient, training: Training, *, workers: int, seed: int) -> None:
        super().__init__(training, workers=workers, seed=seed)
        self._patient = patient

    def open(self, brief: Brief) -> Instants:
        """Return the workers."""
        return Instants(super().open(brief), self._patient)


def _nothing_came_of(event: JobPaused) -> JobFailed:
    return JobFailed(
        event.time,
        worker=event.worker,
        trial=event.trial,
        rung=event.rung,
        seconds=event.seconds,
        reason="dropped",
    )
