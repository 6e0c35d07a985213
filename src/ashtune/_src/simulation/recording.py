"""Reads the losses, times and failures of each trial from a study's journal, for a simulation.

Withdrawn and confirming trials are left out. In the simulation, a failed trial fails again after the same time. If a
part of a trial was trained twice, for example after a kill, only the last training of this part counts. A job with a
result counts as trained up to its rung, even if its last report has a smaller resource. Values between two reports are
interpolated.
"""

import math
from array import array
from collections import defaultdict, deque
from statistics import fmean, median

import msgspec

from ashtune._src.analysis.loading import StudyReader
from ashtune._src.analysis.timeline import COMPILING, FAILED, LOST, PAUSED, RESULT, SAVING, Timeline, Work
from ashtune._src.analysis.timeline_times import time_shares
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import (
    Curve,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    SessionStarted,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Release, TrialFailed
from ashtune._src.schedulers.protocol import Scheduler
from ashtune._src.schedulers.registry import SCHEDULERS
from ashtune._src.simulation.observed import ObservedJob, ObservedTrial, later_rate, take_out_warmup
from ashtune._src.simulation.traces import JobTrace, RecordedStudy, Timing, Trace, Traces

JobEnded = JobFinished | JobPaused | JobFailed | WorkerLost
MOST_VALUES = 30_000_000
"""The maximum number of losses, of all trials and units of resource, which take 240 MB."""


def traces_of(study: StudyReader) -> Traces:
    """Return the traces of a study's trials and the timing of the study, read from its journal.

    Raises:
        StudyError: If no trial was trained, or the study has several objectives or constraints.
    """
    if not study.settings.goal.is_plain:
        raise StudyError(
            f"{study.directory} has {study.settings.goal}: a simulation replays studies of one metric without "
            "constraints"
        )
    recorder, timeline = Recorder(study.settings.goal, study.ladder), Timeline(study.ladder)
    outcome = study.tell([recorder, timeline])
    scheduler = SCHEDULERS.part_or_reason(study.settings.scheduler)
    return recorder.traces(
        None if isinstance(scheduler, str) else scheduler,
        timeline,
        seed=study.settings.seed,
        is_whole=outcome.is_complete,
    )


class Recorder(Observer):
    """Collects the traces of a study's trials from its events."""

    def __init__(self, goal: Goal, ladder: Ladder) -> None:
        self._goal = goal
        self._ladder = ladder
        self._trials: list[ObservedTrial] = []
        self._lost: WorkerLost | None = None  # the last event, if a worker with a job was lost
        self._starts: list[float] = []
        self._saves: list[float] = []
        self._unsaved = 0  # how many results and orders to save gave no checkpoint
        self._saved = 0
        self._held = 0
        self._jobs = 0
        self._began = 0.0
        self._sessions = 0
        self._is_smooth = True

    def event(self, event: Event) -> None:
        """Store the data of an event for the traces."""
        self._lost = None
        match event:
            case JobFinished():
                self._finished(event)
            case JobPaused():
                self._is_smooth = False
                self._trained(event, PAUSED, event.curve)
            case JobFailed():
                self._fail(event, FAILED, event.seconds)
            case WorkerLost():
                self._lose(event)
            case TrialWithdrawn(trial=trial):
                self._is_smooth = False
                self._of(trial).is_left_out = True
            case TrialStarted(trial=trial, confirms=confirmed) if confirmed is not None:
                self._is_smooth = False
                self._of(trial).is_left_out = True
            case TrialReleased(checkpoint=checkpoint, seconds=seconds) if checkpoint is not None:
                self._saved += 1
                self._saves.append(seconds)
            case PlacesChanged():
                self._is_smooth = False
            case SessionStarted(time=time):
                self._began = time
                self._sessions += 1
            case WorkerJoined(time=time):
                self._starts.append(time - self._began)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Count the orders to save a trial, and mark a trial as failed if it failed because its worker died."""
        if type(what) is Release:
            self._unsaved += what.keep
        elif type(what) is TrialFailed and self._lost is not None:
            self._of(what.trial).jobs.pop()  # the job is not repeated
            self._jobs -= 1
            self._fail(self._lost, LOST, 0.0)  # the timeline has its time

    def traces(
        self, scheduler: Scheduler | None, timeline: Timeline, *, seed: int = 0, is_whole: bool = True
    ) -> Traces:
        """Return the traces of the study; the study's ``timeline`` has the times between jobs.

        Raises:
            StudyError: If no trial was trained, or there are too many units of resource.
        """
        work = timeline.work()
        if not timeline.knows_orders:  # then these times include waits for other trials
            work = msgspec.structs.replace(work, driver=0 * work.driver)
        self._take_waits(work)
        trials = [trial for trial in self._trials if not trial.is_left_out]
        jobs = [job for trial in trials for job in trial.jobs if not job.is_void]
        if not jobs:
            raise StudyError("no trial of this study was trained: there is nothing to predict from")
        values = sum(max(trial.reports, default=0) for trial in trials)
        if values > MOST_VALUES:
            raise StudyError(
                f"the trials of this study have {values:,} units of resource in all; a what-if holds a value for each, "
                f"at most {MOST_VALUES:,}: count the resource in larger units"
            )
        warmup = take_out_warmup(jobs)
        shares = time_shares(timeline)
        timing = Timing(
            starts=tuple(sorted(self._starts)[: max(1, shares.places)]),
            handover=(float(work.driver.sum()) + shares.compiling) / len(jobs),
            save=fmean(self._saves) if self._saves else 0.0,
            warmup=warmup,
        )
        is_smooth = is_whole and self._is_smooth and self._sessions == 1
        later, usual = later_rate(trials), median(job.rate for job in jobs)
        return Traces(
            goal=self._goal,
            trials=[self._trace(trial, later, usual, timing.handover) for trial in trials],
            timing=timing,
            recorded=RecordedStudy(scheduler, self._ladder, shares.places, is_smooth, seed),
            saves=bool(self._saved) or not self._unsaved,
            goes_on=bool(self._saved or self._held) or not self._unsaved,
        )

    def _take_waits(self, work: Work) -> None:
        """Set the exact wait before each job, so that a replay with the same choices gives the recorded study.

        The rows of a trial have the same order as the trial's jobs. Compilation before a job is part of the job's wait.
        """
        import numpy as np

        waiting = [deque(trial.jobs) for trial in self._trials]
        order = np.argsort(work.end, kind="stable")
        columns = (work.lane, work.trial, work.rung, work.kind, work.ending, work.driver, work.seconds)
        rows = zip(*(column[order].tolist() for column in columns), strict=True)
        compiling: dict[int, float] = defaultdict(float)
        for lane, trial, rung, kind, ending, driver, seconds in rows:
            if kind == COMPILING:
                compiling[lane] += driver + seconds
                continue
            if trial >= len(waiting):
                continue  # no event of this trial
            if kind == SAVING:
                self._trials[trial].releases[self._ladder.rungs[rung]] = driver + seconds
            elif waiting[trial] and waiting[trial][0].ending == ending:
                job = waiting[trial].popleft()
                if ending == LOST:
                    job.seconds = seconds
                job.wait = max(0.0, compiling.pop(lane, 0.0) + driver + seconds - job.seconds)

    def _of(self, trial: TrialId) -> ObservedTrial:
        while trial >= len(self._trials):
            self._trials.append(ObservedTrial())
        return self._trials[trial]

    def _job(self, event: JobEnded, start: int, target: int, seconds: float, ending: int) -> ObservedJob:
        self._jobs += 1
        return ObservedJob(self._jobs, event.worker, start, target, seconds, ending)

    def _finished(self, event: JobFinished) -> None:
        self._held += event.held
        if not event.held:
            self._saved += event.checkpoint is not None
            self._unsaved += event.checkpoint is None
        rung = max(event.resource, self._ladder.rungs[event.rung])
        self._trained(event, RESULT, [*event.curve, (event.resource, event.metrics), (rung, event.metrics)], rung)
        self._of(event.trial).rung_of[event.resource] = rung

    def _trained(self, event: JobFinished | JobPaused, ending: int, reports: Curve, target: int = 0) -> None:
        trial = self._of(event.trial)
        start, target = trial.rung_of.get(event.start, event.start), target or event.resource
        if target > start:
            trial.jobs.append(self._job(event, start, target, event.seconds, ending))
        trial.reports.update(reports)

    def _fail(self, event: JobFailed | WorkerLost, ending: int, seconds: float) -> None:
        assert event.trial is not None
        trial = self._of(event.trial)
        trial.fails = True
        start, target = trial.reached, self._ladder.rungs[event.rung]
        trial.jobs.append(self._job(event, min(start, target - 1), target, seconds, ending))

    def _lose(self, event: WorkerLost) -> None:
        self._is_smooth = False
        if event.trial is None:
            return
        self._lost = event
        trial = self._of(event.trial)
        void = self._job(event, trial.reached, trial.reached + 1, 0.0, LOST)
        void.is_void = True
        trial.jobs.append(void)

    def _trace(self, trial: ObservedTrial, later: float, usual: float, handover: float) -> Trace:
        pieces = trial.pieces()
        ends, clock, total = [], [], 0.0
        for piece in pieces:
            total += piece.seconds
            ends.append(piece.target)
            clock.append(total)
        rate = usual
        if trial.fails:
            rate = 0.0  # beyond its last job, it fails at once
        elif pieces:
            rate = pieces[-1].rate * (later if len(pieces) == 1 else 1.0)
        return Trace(
            losses=self._losses(trial.reports),
            ends=ends,
            clock=clock,
            rate=rate,
            fails=trial.fails,
            jobs={
                (job.start, job.target): JobTrace(job.seconds, handover if job.wait is None else job.wait)
                for job in trial.jobs
                if not job.is_void
            },
            releases=trial.releases,
        )

    def _losses(self, reports: dict[int, dict[str, float | None]]) -> "array[float]":
        """Return the loss of a trial at each resource up to the last report."""
        losses, before, low = array("d"), math.inf, 0
        for resource in sorted(reports):
            loss = self._goal.loss(reports[resource])
            for between in range(low + 1, resource):
                share = (between - low) / (resource - low)
                is_between = low > 0 and math.isfinite(before) and math.isfinite(loss)
                losses.append(before + share * (loss - before) if is_between else loss)
            losses.append(loss)
            before, low = loss, resource
        return losses
