"""What a study's journal tells of its trials, to be trained again in a simulation: a fold over its events.

Rule 1: withdrawn trials are left out: others took their place. Failed ones fail again, after the same time.
Rule 2: a worker's first job takes longer, for imports and data. What the first jobs took longer than the others to
their rung, if that is clearly more than jobs differ anyway, is the workers' and not the trials'.
Rule 3: a trial trained twice, as after a kill, is as it was the last time.
"""

import math
from array import array
from statistics import fmean, median

import msgspec

from ashtune.errors import StudyError
from ashtune.events import (
    Curve,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune.jobs import Goal, TrialId, WorkerId
from ashtune.ladder import Ladder
from ashtune.orders import Order
from ashtune.reports.reasons import Deaths
from ashtune.reports.timeline import Timeline
from ashtune.reports.timeline_rows import RESULT, SAVING, Work
from ashtune.reports.timeline_times import time_shares
from ashtune.simulation.traces import Timing, Trace, Traces

FEWEST = 5
"""Jobs that a median needs."""
CLEARLY = 3.0
"""So many times the median distance of jobs from their median."""


class _Told(msgspec.Struct):
    """A trial as its events told of it: what it reported, and its jobs (from, to, seconds) since the beginning."""

    reports: dict[int, dict[str, float | None]] = msgspec.field(default_factory=dict)
    jobs: list[tuple[int, int, float]] = msgspec.field(default_factory=list)
    fails: bool = False
    is_withdrawn: bool = False
    waits: dict[int, float] = msgspec.field(default_factory=dict)
    releases: dict[int, float] = msgspec.field(default_factory=dict)


class Recorder:
    """Takes in a study's events.

    Args:
        goal: Its metric, and which way is better.
        ladder: Its rungs.
    """

    def __init__(self, goal: Goal, ladder: Ladder) -> None:
        self._goal = goal
        self._ladder = ladder
        self._told: list[_Told] = []
        self._first_jobs: dict[WorkerId, tuple[TrialId, int]] = {}  # a worker's first job from nothing, and its rung
        self._seen: set[WorkerId] = set()
        self._lower_jobs: dict[int, list[float]] = {}  # rung -> seconds of jobs from nothing that were no first ones
        self._saves: list[float] = []
        self._began = 0.0
        self._starts: list[float] = []
        self._deaths = Deaths()
        self._jobs = 0

    def saw(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case JobFinished():
                self._trained(event, [*event.curve, (event.resource, event.metrics)])
            case JobPaused():
                self._trained(event, event.curve)
            case JobFailed(trial=trial, rung=rung, seconds=seconds):
                self._fail(trial, rung, seconds)
            case WorkerLost(trial=trial, rung=rung) if trial is not None and self._deaths.is_failure(event):
                self._fail(trial, rung, 0.0)
            case TrialWithdrawn(trial=trial):
                self._of(trial).is_withdrawn = True
            case TrialReleased(checkpoint=checkpoint, seconds=seconds) if checkpoint is not None:
                self._saves.append(seconds)
            case SessionStarted(time=time):
                self._began = time
            case WorkerJoined(time=time):
                self._starts.append(time - self._began)
            case _:
                pass

    def gave(self, order: Order) -> None:
        """Orders are not looked at."""

    def traces(self, scheduler: str, timeline: Timeline) -> Traces:
        """Return what was told.

        Args:
            scheduler: That of the study.
            timeline: Of the same study: it knows what passed between a report and the worker's next job.

        Raises:
            StudyError: If no trial was trained at all.
        """
        warmup = self._take_out_warmup()
        self._take_waits(timeline.work())
        told = [trial for trial in self._told if not trial.is_withdrawn]
        if not any(trial.jobs for trial in told):
            raise StudyError("no trial of this study was trained: there is nothing to predict from")
        later = _later_rate(told)
        usual = median(seconds / (target - start) for trial in told for start, target, seconds in trial.jobs)
        shares = time_shares(timeline)
        timing = Timing(
            starts=tuple(sorted(self._starts)[: max(1, shares.places)]),
            handover=shares.driver / max(1, self._jobs),
            save=fmean(self._saves) if self._saves else 0.0,
            warmup=warmup,
        )
        trials = [self._trace(trial, later, usual) for trial in told]
        recorded = (scheduler, self._ladder, shares.places)
        return Traces(goal=self._goal, trials=trials, timing=timing, recorded=recorded)

    def _take_waits(self, work: Work) -> None:
        """Note what passed around each job, to the microsecond: a replay of the same study is then the same study."""
        bottom = {rung: (self._ladder.rungs[rung - 1] if rung else 0) for rung in range(len(self._ladder.rungs))}
        rows = zip(work.trial.tolist(), work.rung.tolist(), work.kind.tolist(), work.ending.tolist(),
                   work.driver.tolist(), work.seconds.tolist(), strict=True)  # fmt: skip
        for trial, rung, kind, ending, driver, seconds in rows:
            told = self._of(TrialId(trial))
            if kind == SAVING:
                told.releases[self._ladder.rungs[rung]] = driver + seconds
            elif ending == RESULT:
                start = next((job for job in told.jobs if job[0] == bottom[rung]), None)
                if start is not None:
                    told.waits[bottom[rung]] = driver + seconds - start[2]

    def _of(self, trial: TrialId) -> _Told:
        while trial >= len(self._told):
            self._told.append(_Told())
        return self._told[trial]

    def _trained(self, event: JobFinished | JobPaused, reports: Curve) -> None:
        self._jobs += 1
        told = self._of(event.trial)
        while told.jobs and told.jobs[-1][1] > event.start:
            told.jobs.pop()
        if event.resource > event.start:
            told.jobs.append((event.start, event.resource, event.seconds))
            if event.start == 0:
                self._note_first(event)
        told.reports.update(reports)

    def _note_first(self, event: JobFinished | JobPaused) -> None:
        is_first = event.worker not in self._seen
        self._seen.add(event.worker)
        if type(event) is JobFinished:
            if is_first:
                self._first_jobs[event.worker] = (event.trial, event.rung)
            else:
                self._lower_jobs.setdefault(event.rung, []).append(event.seconds)

    def _take_out_warmup(self) -> float:
        """Take what first jobs took longer out of their trials, and return it; 0 if they did not clearly."""
        longer, firsts = [], []
        for trial, rung in self._first_jobs.values():
            jobs, others = self._told[trial].jobs, self._lower_jobs.get(rung, [])
            if len(others) >= FEWEST and jobs:
                usual = median(others)
                firsts.append((jobs, min(others)))
                longer.append((jobs[0][2] - usual, CLEARLY * median(abs(seconds - usual) for seconds in others)))
        self._first_jobs.clear()
        if not longer:
            return 0.0
        warmup = median(excess for excess, _ in longer)
        if warmup <= median(threshold for _, threshold in longer):
            return 0.0
        for jobs, shortest in firsts:
            start, target, seconds = jobs[0]
            jobs[0] = (start, target, max(seconds - warmup, min(seconds, shortest)))
        return warmup

    def _fail(self, trial: TrialId, rung: int, seconds: float) -> None:
        told = self._of(trial)
        start = told.jobs[-1][1] if told.jobs else 0
        told.fails = True
        target = self._ladder.rungs[rung]
        if target > start:
            told.jobs.append((start, target, seconds))

    def _trace(self, told: _Told, later: float, usual: float) -> Trace:
        ends, clock, total = [], [], 0.0
        for _, target, seconds in told.jobs:
            total += seconds
            ends.append(target)
            clock.append(total)
        rate = usual
        if told.jobs:
            start, target, seconds = told.jobs[-1]
            rate = seconds / (target - start) * (later if len(told.jobs) == 1 else 1.0)
        return Trace(self._losses(told.reports), ends, clock, rate, told.fails, told.waits, told.releases)

    def _losses(self, reports: dict[int, dict[str, float | None]]) -> "array[float]":
        """Return the loss at each resource up to the last report; between two reports that of the one before."""
        losses, loss = array("d"), math.inf
        for resource in range(1, max(reports, default=0) + 1):
            if (metrics := reports.get(resource)) is not None:
                loss = self._goal.loss(metrics)
            losses.append(loss)
        return losses


def _later_rate(told: list[_Told]) -> float:
    """Return how much longer a unit of resource takes after a trial's first job than in it: the median.

    The first one builds what the later ones go on with.
    """
    ratios = []
    for trial in told:
        if len(trial.jobs) > 1 and trial.jobs[0][2] > 0:
            (start, target, seconds), (low, high, later) = trial.jobs[:2]
            ratios.append(later / (high - low) / (seconds / (target - start)))
    return median(ratios) if ratios else 1.0
