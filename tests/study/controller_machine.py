"""A study driven by nobody but Hypothesis: whatever its workers do, the controller's orders are
those of the books.

The books are kept here once more from events and orders alone, as plainly as can be: who has which
job, which trials are being saved, what is saved, and which jobs must be given out again. What comes
next is asked of the scheduler's oracle, which recomputes it from the whole history.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialsExtended,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, Job, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Discard, Order, Pause, Release, Train
from ashtune._src.study.controller import PROMOTED_FAILURES, Controller
from ashtune.testing.oracles import (
    Extended,
    Fact,
    Given,
    Lengthened,
    Oracle,
    PassedOver,
    RecordedResult,
    Withdrawn,
)

SETTINGS = settings(
    stateful_step_count=50, deadline=None, report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
GOAL = Goal("loss", "min")
LADDERS = (Ladder(1, 4, 2), Ladder(1, 8, 2), Ladder(1, 9, 3), Ladder(3, 3))
MOST_WORKERS = 5
MOST_SESSIONS = 4
MOST_RUNGS = 5
_LOSSES = st.sampled_from([0.0, 0.5, 1.0, 2.0, None])
_PICK = st.integers(0, 99)
_SIZES = st.sampled_from([None, 10, 20])


def longer(ladder: Ladder) -> Ladder:
    """Return a ladder with one more rung."""
    return ladder.lengthened(ladder.rungs[-1] ** 2 // ladder.rungs[-2])


class Running(NamedTuple):
    """A job in hand."""

    worker: WorkerId
    job: Job
    start: int


class Saved(NamedTuple):
    """A checkpoint."""

    worker: WorkerId
    resource: int
    size: int


class AnyStudy(RuleBasedStateMachine):
    """A study of any number of workers and sessions."""

    make: ClassVar[Callable[[Ladder, Goal, int | None], Controller]]
    oracle: ClassVar[Oracle]

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[Event, Sequence[Order]]] = []
        self.history: list[Fact] = []
        self.running: dict[TrialId, Running] = {}
        # resource, and whether to save it
        self.releasing: dict[TrialId, tuple[WorkerId, int, bool]] = {}
        self.held: Running | None = None
        self.saved: dict[TrialId, Saved] = {}
        self.in_use: set[TrialId] = set()  # saved, and trained further from there
        self.ever_saved: dict[TrialId, int] = {}
        self.replaced: list[Discard] = []  # older checkpoints, which have to go
        self.discarded: set[TrialId] = set()  # no promotion can reach them
        self.returned: list[Job] = []
        self.waiting: dict[TrialId, Job] = {}
        self.deaths: dict[TrialId, int] = {}
        self.ended_early: set[TrialId] = set()
        self.loses_its_best = False  # a better trial was withdrawn
        self.places: dict[WorkerId, int] = {}
        self.resource_used = 0
        self.best = math.inf
        self.at_the_top: list[float] = []
        self.in_place: dict[TrialId, bool] = {}
        self.stopping = False
        self.paused = False
        self.to_pause: set[TrialId] = set()
        self.is_asked_to_pause = False  # the trial that is held
        self.sessions = 0
        self.workers = 0

    # What happens

    @initialize(
        ladder=st.sampled_from(LADDERS), trials=st.sampled_from([0, 1, 3, 8, None]),
        limit=st.sampled_from([None, None, 25]),
    )  # fmt: skip
    def a_study_begins(self, ladder: Ladder, trials: int | None, limit: int | None) -> None:
        self.first_ladder = self.ladder = ladder
        self.trials = trials
        self.limit = limit
        self.controller = type(self).make(ladder, GOAL, limit)
        highest = ladder
        while 0 < highest.top < MOST_RUNGS:
            highest = longer(highest)
        self.tally = Tally(highest, GOAL)
        self._start(trials, None, None)

    @precondition(lambda self: len(self.places) < MOST_WORKERS)
    @rule()
    def a_worker_joins(self) -> None:
        worker = WorkerId(self.workers)
        self.workers += 1
        self.places[worker] = 1
        self._take(WorkerJoined(0.0, worker))

    @precondition(lambda self: self.places)
    @rule(pick=_PICK, places=st.integers(1, 3))
    def a_worker_takes_more_or_fewer_jobs_at_a_time(self, pick: int, places: int) -> None:
        worker = self._picked(list(self.places), pick)
        self.places[worker] = places
        self._take(PlacesChanged(0.0, worker, places))

    @precondition(lambda self: self._at_work())
    @rule(pick=_PICK, loss=_LOSSES, stopped=st.sampled_from([False, False, False, True]))
    def a_worker_reports_and_waits_for_an_answer(
        self, pick: int, loss: float | None, stopped: bool
    ) -> None:
        running = self._picked(self._at_work(), pick)
        self.is_asked_to_pause = running.job.trial in self.to_pause
        event = self._result(running, loss, held=True, stopped=stopped)
        self.held = running
        self._take(event)

    @precondition(lambda self: self._at_work())
    @rule(pick=_PICK, loss=_LOSSES, size=_SIZES)
    def a_worker_reports_and_has_saved(
        self, pick: int, loss: float | None, size: int | None
    ) -> None:
        running = self._picked(self._at_work(), pick)
        event = self._result(running, loss, checkpoint=size)
        self._save(running.job.trial, running.worker, event.resource, size)
        self._take(event)

    @precondition(lambda self: self._at_work())
    @rule(reports=st.lists(st.tuples(_PICK, _LOSSES, _PICK), min_size=2, max_size=12))
    def jobs_end_as_they_should(self, reports: list[tuple[int, float | None, int]]) -> None:
        for pick, loss, saver in reports:
            if self._at_work():
                self.a_worker_reports_and_waits_for_an_answer(pick, loss, stopped=False)
            if self.releasing:
                self.a_worker_has_let_go(saver, 10)

    @precondition(lambda self: self.releasing)
    @rule(pick=_PICK, size=_SIZES)
    def a_worker_has_let_go(self, pick: int, size: int | None) -> None:
        trial = self._picked(list(self.releasing), pick)
        worker, resource, keep = self._released(trial)
        size = size if keep else None
        if size is not None:
            self._save(trial, worker, resource, size)
        event = TrialReleased(
            time=0, worker=worker, trial=trial, resource=resource, seconds=0, checkpoint=size
        )
        self._take(event)

    @precondition(lambda self: self._at_work())
    @rule(pick=_PICK)
    def a_job_fails(self, pick: int) -> None:
        running = self._ended(self._picked(self._at_work(), pick))
        self._record(running.job, math.inf, reason="no")
        job = running.job
        self._take(
            JobFailed(
                time=0,
                worker=running.worker,
                trial=job.trial,
                rung=job.rung,
                seconds=1,
                reason="no",
            )
        )

    @precondition(lambda self: self._at_work())
    @rule(pick=_PICK)
    def a_trial_is_withdrawn(self, pick: int) -> None:
        running = self._ended(self._picked(self._at_work(), pick))
        job = running.job
        self.history.append(Withdrawn(job, replace=True))
        if job.rung > 0:
            self.loses_its_best = True
            gone = {each.job.trial for each in self.history if isinstance(each, Withdrawn)}
            results = [each for each in self.history if isinstance(each, RecordedResult)]
            self.best = min(
                (each.loss for each in results if each.job.trial not in gone), default=math.inf
            )
            # its results are gone, which may bring any other within the quota
            self.discarded.clear()
        self._take(
            TrialWithdrawn(time=0, worker=running.worker, trial=job.trial, rung=job.rung, seconds=1)
        )

    @precondition(lambda self: self._to_break_off())
    @rule(pick=_PICK, part=st.floats(0, 0.9), size=_SIZES)
    def a_job_is_broken_off(self, pick: int, part: float, size: int | None) -> None:
        running = self._ended(self._picked(self._to_break_off(), pick))
        job = running.job
        resource = running.start + int(part * (self.ladder.rungs[job.rung] - running.start))
        self.resource_used += resource - running.start
        self.returned.append(job)
        if size is not None:
            self._save(job.trial, running.worker, resource, size)
        self._take(
            JobPaused(
                time=0,
                worker=running.worker,
                trial=job.trial,
                rung=job.rung,
                resource=resource,
                start=running.start,
                seconds=1,
                checkpoint=size,
            )
        )

    @precondition(lambda self: self.places)
    @rule(pick=_PICK, is_begun=st.booleans(), is_fatal=st.booleans())
    def a_worker_is_lost(self, pick: int, is_begun: bool, is_fatal: bool) -> None:
        worker = self._picked(list(self.places), pick)
        del self.places[worker]
        for trial in [trial for trial, (saver, _, _) in self.releasing.items() if saver == worker]:
            self._released(trial)
        jobs = [running.job for running in self.running.values() if running.worker == worker]
        blamed = jobs[0] if jobs and is_begun else None
        for job in jobs:
            del self.running[job.trial]
            self.to_pause.discard(job.trial)
            if job == blamed:
                self.deaths[job.trial] = self.deaths.get(job.trial, 0) + 1
                if is_fatal or self.deaths[job.trial] == 2:
                    self._record(job, math.inf, reason="worker lost: killed")
                    continue
            self.returned.append(job)
        if blamed is None:
            self._take(WorkerLost(time=0, worker=worker, reason="killed"))
        else:
            trial, rung = blamed.trial, blamed.rung
            self._take(
                WorkerLost(
                    time=0,
                    worker=worker,
                    reason="killed",
                    trial=trial,
                    rung=rung,
                    is_fatal=is_fatal,
                )
            )

    @rule()
    def somebody_asks_it_to_stop(self) -> None:
        self.stopping = True
        self._take(StopRequested(0.0, "Ctrl-C"))

    @rule()
    def the_user_pauses_it(self) -> None:
        self.paused = True
        self._take(StudyPaused(0.0))
        self.to_pause.update(self.running)

    @precondition(lambda self: self.paused)
    @rule()
    def the_user_lets_it_go_on(self) -> None:
        self.paused = False
        self._take(StudyContinued(0.0))

    @precondition(lambda self: self.trials is not None and not self.stopping)
    @rule(more=st.integers(1, 6))
    def the_user_adds_trials(self, more: int) -> None:
        self.trials += more
        self.history.append(Extended(self.trials))
        self.discarded.clear()
        self._take(TrialsExtended(0.0, self.trials))

    @precondition(lambda self: self.sessions < MOST_SESSIONS)
    @rule(
        more=st.integers(0, 6), total=st.sampled_from([None, None, 5, 40]),
        aim=st.sampled_from([None, None, 0.5]),
        limits=st.tuples(st.sampled_from([None, None, 2]), st.sampled_from([None, None, 1, 3])),
        is_higher=st.booleans(),
    )  # fmt: skip
    def another_driver_goes_on(
        self,
        more: int,
        total: int | None,
        aim: float | None,
        limits: tuple[int | None, int | None],
        is_higher: bool,
    ) -> None:
        """The driver was killed at any moment, or had ended."""
        self.returned += [running.job for running in self.running.values()]
        self.running.clear()
        for trial in list(self.releasing):
            self._released(trial)
        self.places.clear()
        if is_higher and 0 < self.ladder.top < MOST_RUNGS:
            self.ladder = longer(self.ladder)
            self.at_the_top.clear()
        if self.trials is not None:
            self.trials += more
        self._start(self.trials, total, aim, limits)

    # The books

    def _start(
        self,
        trials: int | None,
        total: int | None,
        target: float | None,
        limits: tuple[int | None, int | None] = (None, None),
    ) -> None:
        failures, patience = limits
        self.patience = math.inf if patience is None else patience
        self.sessions += 1
        self.most_resource = math.inf if total is None else total
        self.target = -math.inf if target is None else target
        self.most_failures = math.inf if failures is None else failures
        self.failures, self.has_result, self.stopping, self.paused = 0, False, False, False
        # their reasons, and whether they were in place
        self.promoted_failures: list[tuple[str, bool]] = []
        self.ways_that_work: set[bool] = set()
        self.to_pause.clear()
        self.discarded.clear()  # more trials or rungs may bring any of them within the quota
        self.history += [Lengthened(self.ladder), Extended(trials)]
        self._stop_at_limits()
        rungs, kept = self.ladder.to_record()
        self._take(
            SessionStarted(
                0.0,
                0.0,
                "",
                "",
                0,
                trials=trials,
                total_resource=total,
                target=target,
                max_failures=failures,
                patience=patience,
                rungs=rungs,
                kept=kept,
            )
        )

    def _result(
        self, running: Running, loss: float | None, *, stopped: bool = False, **more: Any
    ) -> JobFinished:
        self._ended(running)
        job, resource = running.job, self.ladder.rungs[running.job.rung]
        self.resource_used += resource - running.start
        self._record(job, math.inf if loss is None else loss, start=running.start)
        if stopped:
            self.ended_early.add(job.trial)
        return JobFinished(
            time=0, worker=running.worker, trial=job.trial, rung=job.rung, resource=resource,
            start=running.start,
            metrics={"loss": loss}, seconds=1, stopped=stopped, **more,
        )  # fmt: skip

    def _record(self, job: Job, loss: float, *, start: int = 0, reason: str = "") -> None:
        if any(
            isinstance(each, RecordedResult) and each.job.trial == job.trial
            for each in self.history
        ):
            if loss < math.inf:
                self.ways_that_work.add(self.in_place[job.trial])
            elif reason and self.in_place[job.trial] not in self.ways_that_work:
                self.promoted_failures.append((reason, self.in_place[job.trial]))
        self.history.append(RecordedResult(job, loss, seconds=1, start=start))
        self.best = min(self.best, loss)
        if job.rung == self.ladder.top:
            self.at_the_top.append(loss)
        if loss < math.inf:
            self.has_result = True
        elif not self.has_result:
            self.failures += 1
        self._stop_at_limits()

    def _stop_at_limits(self) -> None:
        has_failed = not self.has_result and self.failures >= self.most_failures
        reasons = [reason for reason, _ in self.promoted_failures]
        first = len(reasons) - next(
            (n for n, reason in enumerate(reversed(reasons)) if reason != reasons[-1]), len(reasons)
        )
        for_one_reason = [
            way for _, way in self.promoted_failures[first:] if way not in self.ways_that_work
        ]
        if self.most_failures < math.inf and len(for_one_reason) >= PROMOTED_FAILURES:
            has_failed = True
        if self.best <= self.target or self.resource_used >= self.most_resource or has_failed:
            self.stopping = True
        if self.at_the_top:  # the first of the best ones, and how many came after it
            since = len(self.at_the_top) - 1 - self.at_the_top.index(min(self.at_the_top))
            since += min(self.at_the_top) == math.inf  # failures only: there is no best one
            self.stopping = self.stopping or since >= self.patience

    def _ended(self, running: Running) -> Running:
        self.to_pause.discard(running.job.trial)
        return self.running.pop(running.job.trial)

    def _released(self, trial: TrialId) -> tuple[WorkerId, int, bool]:
        if trial in self.waiting:
            self.returned.append(self.waiting.pop(trial))
        return self.releasing.pop(trial)

    def _save(self, trial: TrialId, worker: WorkerId, resource: int, size: int | None) -> None:
        if size is not None:
            if trial in self.saved and self.saved[trial].resource != resource:
                self.replaced.append(Discard(trial, self.saved[trial].resource))
            self.saved[trial] = Saved(worker, resource, size)
            self.in_use.discard(trial)
            self.ever_saved[trial] = resource

    def _at_work(self) -> list[Running]:
        """Jobs of workers that are not just letting go of another trial."""
        saving = {worker for worker, _, _ in self.releasing.values()}
        return [running for running in self.running.values() if running.worker not in saving]

    def _to_break_off(self) -> list[Running]:
        """Jobs at work that were asked to break off."""
        return [
            running
            for running in self._at_work()
            if self.stopping or running.job.trial in self.to_pause
        ]

    def _jobs_of(self, worker: WorkerId) -> int:
        """Return how many jobs a worker has in hand, one whose answer it waits for included."""
        held = self.held is not None and self.held.worker == worker
        return held + sum(running.worker == worker for running in self.running.values())

    def _with_room(self) -> list[WorkerId]:
        return [w for w, places in self.places.items() if self._jobs_of(w) < places]

    @staticmethod
    def _picked(of: list[Any], pick: int) -> Any:
        return of[pick % len(of)]

    def _due(self) -> Job | None:
        """Take the job that has to be given out next: one that came back, else the scheduler's."""
        while True:
            if self.returned:
                job = self.returned.pop(0)
            else:
                violation = type(self).oracle(self.first_ladder, 0, self.history)
                if violation is None:
                    return None
                job = violation
                self.history.append(Given(job))
            if job.trial in self.ended_early:
                self.history.append(PassedOver(job))
            elif job.trial in self.releasing:
                self.waiting[job.trial] = job
            else:
                return job

    # What must follow

    def _take(self, event: Event) -> None:
        was_stopping = bool(self.events) and bool(self.controller.stopping)
        before = dict(self.running)
        all_that_followed = self.controller.handle(event)
        self.tally.event(event)
        for what in all_that_followed:
            self.tally.followed(what)
        followed = [what for what in all_that_followed if isinstance(what, Order)]
        self.events.append((event, followed))
        assert bool(self.controller.stopping) == self.stopping
        assert self.controller.total_resource == self.resource_used
        pauses = [order for order in followed if isinstance(order, Pause)]
        if isinstance(event, StudyPaused):
            asked = [
                Pause(running.worker, trial)
                for trial, running in before.items()
                if trial not in self.to_pause
            ]
            assert pauses == asked, "each is asked once"
        elif isinstance(event, SessionStarted) or not self.stopping or was_stopping:
            assert pauses == [], "only what runs when a study begins to stop is paused"
        else:
            at_once = isinstance(event, StopRequested) and not event.ends_search
            asked = [Pause(running.worker, trial, at_once) for trial, running in before.items()]
            if at_once:
                asked += [
                    Pause(saver, trial, True) for trial, (saver, _, _) in self.releasing.items()
                ]
            assert pauses == asked
        for order in followed:
            match order:
                case Train():
                    self._check_training(order)
                case Release():
                    self._check_release(order)
                case Discard():
                    self._check_discard(order)
        assert self.replaced == []
        assert self.held is None, "who waits for an answer gets one"
        if not (self.stopping or self.paused) and self._with_room():
            job = self._due()
            assert job is None, f"a worker is idle though {job} could be trained"

    def _check_training(self, order: Train) -> None:
        assert not (self.stopping or self.paused)
        job = Job(order.trial, order.rung)
        assert job == self._due()
        assert order.trial not in self.running
        assert order.trial not in self.discarded, (
            "its checkpoint was thrown away as if no promotion could reach it"
        )
        assert order.target == self.ladder.rungs[order.rung]
        if order.in_place:
            assert self.held is not None
            assert not self.is_asked_to_pause, "it may hear of that when it has continued"
            assert (self.held.worker, self.held.job.trial) == (order.worker, order.trial)
            assert order.start == self.ladder.rungs[self.held.job.rung]
            self.held = None
        else:
            saved = self.saved.get(order.trial)
            assert (order.start, order.size) == (
                (0, None) if saved is None else (saved.resource, saved.size)
            )
            if saved is not None:
                self.in_use.add(order.trial)
            idle = [worker for worker in self._with_room() if not self._jobs_of(worker)]
            assert order.worker in self._with_room()
            if saved is not None and saved.worker in idle:
                assert order.worker == saved.worker, "who saved it takes it up again"
            assert order.worker in idle or not idle, "an idle one comes first"
        self.running[order.trial] = Running(order.worker, job, order.start)
        self.in_place[order.trial] = order.in_place

    def _check_release(self, order: Release) -> None:
        assert self.held is not None
        held, self.held = self.held, None
        assert (held.worker, held.job.trial) == (order.worker, order.trial)
        self.releasing[order.trial] = (held.worker, self.ladder.rungs[held.job.rung], order.keep)
        if not order.keep:
            self.discarded.add(order.trial)

    def _check_discard(self, order: Discard) -> None:
        if order in self.replaced:
            self.replaced.remove(order)
            return
        assert order.trial not in self.running, "it is needed"
        assert self.saved.pop(order.trial).resource == order.resource
        self.in_use.discard(order.trial)
        if self.limit is None:  # else it may have gone to make room
            self.discarded.add(order.trial)

    @invariant()
    def what_is_saved_is_what_the_books_say(self) -> None:
        if self.events:
            books = {trial: saved.resource for trial, saved in self.saved.items()}
            assert self.controller.checkpoints.resources() == books

    @invariant()
    def above_the_limit_there_is_nothing_but_what_is_in_use(self) -> None:
        if self.events and self.limit is not None and self.saved.keys() - self.in_use:
            assert sum(saved.size for saved in self.saved.values()) <= self.limit

    @invariant()
    def the_best_trial_has_its_checkpoint_if_it_was_saved(self) -> None:
        best = (
            self.tally.best
            if self.events and self.limit is None and not self.loses_its_best
            else None
        )
        if best is not None and best.resource <= self.ever_saved.get(best.trial, 0):
            assert best.resource <= self.saved[best.trial].resource

    @invariant()
    def the_study_is_open_as_long_as_there_is_something_to_do_or_to_wait_for(self) -> None:
        if not self.events:
            return
        is_busy = bool(self.running or self.releasing)
        assert self.controller.is_open or not is_busy
        if self.controller.is_complete:
            assert not is_busy
            assert not self.returned
        if self.paused and not self.stopping:
            assert self.controller.is_open
        elif not is_busy and not self.stopping and self.places:
            assert self.controller.is_complete
            assert not self.controller.is_open

    def teardown(self) -> None:
        """Read the journal back: the same orders follow."""
        if not self.events:
            return
        again = type(self).make(self.first_ladder, GOAL, self.limit)
        for event, followed in self.events:
            assert [what for what in again.handle(event) if isinstance(what, Order)] == followed
