"""Reads the losses, times and failures of each trial from a study's journal, for a simulation.

Withdrawn and confirming trials are left out. In the simulation, a failed trial fails again after
the same time. If a part of a trial was trained twice, for example after a kill, only the second
training of this part counts. A job counts as trained up to its rung, even if its last report came
before the rung. Values between two reports are interpolated.

The first job of a worker may take longer, because of imports, data or compilation. The extra time
of a first job is subtracted if it is much larger than the usual deviation of job times.
"""

import math
from array import array
from collections import defaultdict, deque
from collections.abc import Sequence
from statistics import fmean, median

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.timeline import (
    COMPILING,
    FAILED,
    LOST,
    PAUSED,
    RESULT,
    SAVING,
    Timeline,
    Work,
)
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
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Release, TrialFailed
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.simulation.traces import JobTrace, RecordedStudy, Timing, Trace, Traces


class ObservedJob(msgspec.Struct):
    """One job of a trial, with its worker, its resources, its time and its ending.

    ``serial`` numbers the jobs of a study in the order of their ends. ``ending`` is an ending code
    of the timeline. ``wait`` is the number of seconds between the driver's order and the start of
    the job; None if unknown. If ``is_void`` is True, the job does not count, because its worker
    died.
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

    ``releases`` has the seconds of each release, by resource. ``rung_of`` maps the resource of a
    job's last report to the resource of the job's rung. If ``is_left_out`` is True, the trial was
    withdrawn or confirms another trial.
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
        """Return the jobs that led to the trial's final state. Jobs whose epochs were trained again
        later are left out.
        """
        pieces: list[ObservedJob] = []
        for job in self.jobs:
            if job.is_void:
                continue
            while pieces and pieces[-1].target > job.start:
                pieces.pop()
            pieces.append(job)
        return pieces


def later_rate(trials: Sequence[ObservedTrial]) -> float:
    """Return the median ratio of the second job's ``rate`` to the first job's ``rate``, over all
    trials.

    The first job of a trial may have extra work, such as building the model.
    """
    ratios = []
    for trial in trials:
        pieces = trial.pieces()
        if len(pieces) > 1 and pieces[0].seconds > 0:
            first, second = pieces[:2]
            ratios.append(second.rate / first.rate)
    return median(ratios or [1.0])


# What a recording can know and what it cannot
# --------------------------------------------
# A journal has seconds of jobs, and the times at which messages arrived. It has no times of orders
# (decision 3, docs/decisions/0003-journal.md). Therefore the controller is replayed to distinguish
# a wait for the driver from a wait for other trials. If the scheduler is not installed, these waits
# cannot be distinguished, and the simulation uses no wait of the study (decision 68,
# docs/decisions/0068-one-fold-of-workers.md).
#
#   taken from the journal       losses, seconds of jobs and of saving, waits, start of workers
#   assumed                      a trial has the same curve and the same speed on any worker
#   not known, so not replayed   how much faster a worker would be alone: workers that share memory
#                                buses, GPUs or disks slow each other down, and a job's seconds do
#                                not say by how much. The guide asks for a record on a full node.
#
# Why the first job of a worker is corrected. Imports, data and compilation happen once for each
# worker, not for each trial. If two recorded jobs kept the extra time of their two workers, a
# replay with 64 workers would have two slow jobs and not 64. But a first job may also be slow by
# chance. If chance were removed, a replay with the same choices would differ from the study.
# Therefore extra time is subtracted only if it is clear.

FEWEST = 5
"""The least number of jobs for a median."""
CLEARLY = 3.0
"""The extra time is clear if it is more than this many times the median absolute deviation of other
jobs' times.
"""


def take_out_warmup(jobs: Sequence[ObservedJob]) -> float:
    """Subtract the extra time from each worker's first job, and return the extra time. If it is too
    small, change nothing and return 0.
    """
    firsts: dict[WorkerId, ObservedJob] = {}
    others: list[ObservedJob] = []
    for job in sorted(jobs, key=lambda job: job.serial):
        if job.worker in firsts:
            others.append(job)
        else:
            firsts[job.worker] = job
    pairs = ((job, _usual(job, others)) for job in firsts.values())
    compared = [(job, usual) for job, usual in pairs if usual]
    if not compared:
        return 0.0
    warmup = median(job.seconds - median(usual) for job, usual in compared)
    if warmup <= CLEARLY * median(_spread(usual) for _, usual in compared):
        return 0.0
    # No job becomes faster than the fastest similar job, because the median extra time is too much
    # for some workers.
    for job, usual in compared:
        job.seconds = max(job.seconds - warmup, min(job.seconds, *usual))
    return warmup


def _usual(job: ObservedJob, others: Sequence[ObservedJob]) -> list[float]:
    """Return the seconds of jobs that are similar to ``job``; [] if the study has too few similar
    jobs.
    """
    same = [
        other.seconds for other in others if (other.start, other.target) == (job.start, job.target)
    ]
    if len(same) >= FEWEST:
        return same
    units = job.target - job.start
    rates = [units * other.rate for other in others]
    return rates if len(rates) >= FEWEST else []


def _spread(seconds: Sequence[float]) -> float:
    middle = median(seconds)
    return median(abs(one - middle) for one in seconds)


JobEnded = JobFinished | JobPaused | JobFailed | WorkerLost
# If the resource counts samples, one trial can have 10^9 units of resource, and a list of its
# losses would fill the memory of the machine. If the user counts in thousands of samples instead,
# the prediction is the same.
MOST_VALUES = 30_000_000
"""The maximum total number of losses: one for each trial and unit of resource. They take 240 MB."""


def traces_of(study: StudyReader) -> Traces:
    """Return the traces of a study's trials and the timing of the study, read from the journal. Get
    this value from ``study.computed`` and do not call this function twice: each call subtracts the
    extra time of first jobs.

    Raises:
        StudyError: If no trial was trained, or the study has several objectives or constraints.
    """
    if not study.settings.goal.is_plain:
        raise StudyError(
            f"the study in {study.directory} has {study.settings.goal}, but a simulation can "
            "replay only studies of one metric without constraints"
        )
    study.read_for([Recorder, Timeline])
    scheduler = SCHEDULERS.part_or_reason(study.settings.scheduler)
    return study.analysis(Recorder).traces(
        None if isinstance(scheduler, str) else scheduler,
        study.timeline,
        seed=study.settings.seed,
        is_whole=study.outcome.is_complete,
    )


class Recorder(Observer):
    """An analysis that collects the traces of a study's trials from the study's events."""

    @classmethod
    def of(cls, study: StudyReader) -> "Recorder":
        """Return a recorder of a study, which has received no events yet."""
        return cls(study.goal, study.ladder)

    def __init__(self, goal: Goal, ladder: Ladder) -> None:
        self._goal = goal
        self._ladder = ladder
        self._trials: list[ObservedTrial] = []
        self._lost: WorkerLost | None = None  # the last event, if a worker with a job was lost
        self._starts: list[float] = []
        self._saves: list[float] = []
        self._unsaved = 0  # how many results and how many orders to save led to no checkpoint
        self._saved = 0
        self._held = 0
        self._jobs = 0
        self._began = 0.0
        self._sessions = 0
        # Whether a replay with the same choices can give the same study. This is False if the study
        # had an event that a simulation leaves out, such as a lost worker or a pause. Then the
        # prediction is a median over several replays, as for other choices.
        self._is_smooth = True

    def event(self, event: Event) -> None:
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
        """Count the orders to save a trial. If a trial failed because its worker died, mark the
        trial as failed.
        """
        if type(what) is Release:
            self._unsaved += what.keep
        elif type(what) is TrialFailed and self._lost is not None:
            self._of(what.trial).jobs.pop()  # the simulation does not repeat this job
            self._jobs -= 1
            self._fail(self._lost, LOST, 0.0)  # the timeline has the time of this job

    def traces(
        self,
        scheduler: Scheduler | None,
        timeline: Timeline,
        *,
        seed: int = 0,
        is_whole: bool = True,
    ) -> Traces:
        """Return the traces of the study. The times between jobs are read from the study's
        ``timeline``.

        Raises:
            StudyError: If no trial was trained, or there are too many units of resource.
        """
        work = timeline.work()
        if not timeline.knows_orders:  # without orders, these times include waits for other trials
            work = msgspec.structs.replace(work, driver=0 * work.driver)
        self._take_waits(work)
        trials = [trial for trial in self._trials if not trial.is_left_out]
        jobs = [job for trial in trials for job in trial.jobs if not job.is_void]
        if not jobs:
            raise StudyError(
                "no trial of this study was trained, so nothing can be predicted from it"
            )
        values = sum(max(trial.reports, default=0) for trial in trials)
        if values > MOST_VALUES:
            raise StudyError(
                f"the trials of this study have {values:,} units of resource in all, but a "
                f"prediction can use at most {MOST_VALUES:,}; count the resource in larger units"
            )
        warmup = take_out_warmup(jobs)
        shares = time_shares(timeline)
        timing = Timing(
            starts=tuple(sorted(self._starts)[: max(1, shares.places)]),
            handover=(float(work.driver.sum()) + shares.compiling) / len(jobs),
            save=fmean(self._saves or [0.0]),
            warmup=warmup,
        )
        is_smooth = is_whole and self._is_smooth and self._sessions == 1
        later = later_rate(trials)
        usual = median(job.rate for job in jobs)
        return Traces(
            goal=self._goal,
            trials=[self._trace(trial, later, usual, timing.handover) for trial in trials],
            timing=timing,
            recorded=RecordedStudy(scheduler, self._ladder, shares.places, is_smooth, seed),
            saves=bool(self._saved) or not self._unsaved,
            goes_on=bool(self._saved or self._held) or not self._unsaved,
        )

    def _take_waits(self, work: Work) -> None:
        """Set the exact wait before each job, so that a replay with the same choices gives the
        recorded study.

        The rows of a trial have the same order as the trial's jobs. Compilation before a job is
        part of the job's wait.
        """
        import numpy as np

        waiting = [deque(trial.jobs) for trial in self._trials]
        order = np.argsort(work.end, kind="stable")
        columns = (
            work.lane,
            work.trial,
            work.rung,
            work.kind,
            work.ending,
            work.driver,
            work.seconds,
        )
        rows = zip(*(column[order].tolist() for column in columns), strict=True)
        compiling: dict[int, float] = defaultdict(float)
        for lane, trial, rung, kind, ending, driver, seconds in rows:
            if kind == COMPILING:
                compiling[lane] += driver + seconds
                continue
            if trial >= len(waiting):
                continue  # the trial has no event
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

    def _job(
        self, event: JobEnded, start: int, target: int, seconds: float, ending: int
    ) -> ObservedJob:
        self._jobs += 1
        return ObservedJob(self._jobs, event.worker, start, target, seconds, ending)

    def _finished(self, event: JobFinished) -> None:
        self._held += event.held
        if not event.held:
            self._saved += event.checkpoint is not None
            self._unsaved += event.checkpoint is None
        rung = max(event.resource, self._ladder.rungs[event.rung])
        self._trained(
            event,
            RESULT,
            [*event.curve, (event.resource, event.metrics), (rung, event.metrics)],
            rung,
        )
        self._of(event.trial).rung_of[event.resource] = rung

    def _trained(
        self, event: JobFinished | JobPaused, ending: int, reports: Curve, target: int = 0
    ) -> None:
        trial = self._of(event.trial)
        start = trial.rung_of.get(event.start, event.start)
        target = target or event.resource
        if target > start:
            trial.jobs.append(self._job(event, start, target, event.seconds, ending))
        trial.reports.update(reports)

    def _fail(self, event: JobFailed | WorkerLost, ending: int, seconds: float) -> None:
        assert event.trial is not None
        trial = self._of(event.trial)
        trial.fails = True
        start = trial.reached
        target = self._ladder.rungs[event.rung]
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
        ends = []
        clock = []
        total = 0.0
        for piece in pieces:
            total += piece.seconds
            ends.append(piece.target)
            clock.append(total)
        rate = usual
        if trial.fails:
            rate = 0.0  # after its last job, the trial fails immediately
        elif pieces:
            # The first job of a trial also builds the model, so its time per epoch is too long for
            # the next job.
            rate = pieces[-1].rate
            if len(pieces) == 1:
                rate *= later
        return Trace(
            losses=self._losses(trial.reports),
            ends=ends,
            clock=clock,
            rate=rate,
            fails=trial.fails,
            jobs={
                (job.start, job.target): JobTrace(
                    job.seconds, handover if job.wait is None else job.wait
                )
                for job in trial.jobs
                if not job.is_void
            },
            releases=trial.releases,
        )

    def _losses(self, reports: dict[int, dict[str, float | None]]) -> "array[float]":
        """Return the loss of a trial at each resource up to the last report."""
        # Reports may be rare, and a rung of the prediction may lie between two reports. The
        # simplest assumption is a straight line between them. Before the first report, and next to
        # a report that is not finite, there is no such line, so the value of the next report is
        # used.
        losses = array("d")
        before = math.inf
        low = 0
        for resource in sorted(reports):
            loss = self._goal.loss(reports[resource])
            for between in range(low + 1, resource):
                share = (between - low) / (resource - low)
                is_between = low > 0 and math.isfinite(before) and math.isfinite(loss)
                losses.append(before + share * (loss - before) if is_between else loss)
            losses.append(loss)
            before = loss
            low = resource
        return losses
