"""A suite of tests for schedulers. In random studies, each job of a scheduler is compared with an
oracle's job.

Hypothesis chooses which worker asks for a job, reports, fails or is lost, and which trial is
withdrawn. If a test fails, Hypothesis also searches for a shorter history in which it fails.

Rule: if ``hopeless`` has returned a trial, the scheduler must not return this trial again, until
the number of trials is changed, the ladder gets longer or a trial with results is withdrawn.

Example:
    >>> from ashtune._src.schedulers.ash import Ash
    >>> from ashtune.testing import oracles
    >>> check_scheduler(Ash(), oracles.ash, options=settings(SETTINGS, max_examples=5))
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.scheduler_protocol import Machine, Scheduler
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
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

__all__ = ["SETTINGS", "check_scheduler"]

Make = Callable[[Ladder, int | None], Machine]

# Why random histories find more than examples: a scheduler is a state machine, and its mistakes
# occur only in certain orders of events. For example, a result arrives while a better trial is
# promoted, a trial within the quota is withdrawn, or the ladder grows when the top rung is full.
# The oracle has no state: it computes each job from the whole history (``oracles.py``), so
# scheduler and oracle hardly ever have the same mistake.
#
# The ladders differ in kind: rungs that are powers of the factor, a top rung that is no power of
# the factor, a factor that is no whole number, rungs without a factor, and a single rung, where no
# trial is promoted.
LADDERS = (
    Ladder(1, 64, 2),
    Ladder(1, 9, 3),
    Ladder(1, 100, 3),
    Ladder(1, 10, 1.5),
    Ladder.explicit([1, 5, 20]),
    Ladder(7, 7),
)
# The numbers of trials are: no limit, 0 trials, and small numbers for which the quota of a rung is
# 0 or 1.
BUDGETS = (None, 0, 1, 2, 5, 9, 16, 30)

SETTINGS = settings(
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

# There are only few different losses, so that ties are frequent, because the order of equal losses
# must also be the same.
_FEW = (-1.0, -0.0, 0.0, 0.5, 1.0, 2.0)
_LOSSES = st.sampled_from((*_FEW, math.inf)) | st.floats(-9, 9)
_REPORTS = st.lists(st.sampled_from((*_FEW, math.inf)), max_size=12)
_SECONDS = st.lists(
    st.sampled_from((0.0, 0.5, 1.0, 1.0, 3.0, 10.0)) | st.floats(0, 100), min_size=1, max_size=8
)
_PICKS = st.integers(0, 99)
# After the random part, the study is finished with losses worse than all earlier losses. Then each
# paused trial has its best chance of promotion. So if the scheduler wrongly returned a trial as
# hopeless, the trial is promoted now, and the mistake is found.
_WORST = 1e9
_JOBS_TO_THE_END = 200
_MOST_LADDERS = 3


def check_scheduler(
    scheduler: Scheduler | Make,
    oracle: Oracle,
    *,
    ladders: Sequence[Ladder] = LADDERS,
    budgets: Sequence[int | None] = BUDGETS,
    losses: int = 1,
    has_constraints: bool = False,
    options: settings = SETTINGS,
) -> None:
    """Search for a history in which a scheduler and its oracle differ. If there is one, fail with
    the shortest such history.

    Args:
        scheduler: The scheduler, or a function that builds its machine from a ladder and a number
            of trials.
        oracle: A function that takes the ladder, the number of trials and the whole history, and
            returns the next job.
        ladders: The ladders to try.
        budgets: The numbers of trials to try; None means no limit.
        losses: The number of losses of each result.
        has_constraints: Whether results may violate constraints.
        options: Settings of Hypothesis, as in ``settings(SETTINGS, max_examples=1000)``.

    Raises:
        AssertionError: If scheduler and oracle differ, or the scheduler breaks a rule of its
            protocol.
        Exception: Any exception of the oracle. A note of the exception has the history. This
            history is not shortened.
    """
    if isinstance(scheduler, Scheduler):
        # The journal has the scheduler's record. If the record lost an option, a resumed study
        # would continue with other rules, and its replay would differ from its journal.
        assert SCHEDULERS.read(SCHEDULERS.record(scheduler)) == scheduler, (
            "a scheduler that is read from its record differs from the original"
        )
    make = scheduler.build if isinstance(scheduler, Scheduler) else scheduler
    study = {
        "make": staticmethod(make), "oracle": staticmethod(oracle), "ladders": ladders,
        "budgets": budgets,
        "losses": losses, "has_constraints": has_constraints,
    }  # fmt: skip
    machine = type("AnyOrderOfWorkersHere", (AnyOrderOfWorkers,), study)
    try:
        run_state_machine_as_test(machine, settings=options)
    except _OracleRaised as stopped:
        raise stopped.error from None


class _OracleRaised(BaseException):
    """Stops Hypothesis immediately. After an ``Exception``, Hypothesis would search for a shorter
    history.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class AnyOrderOfWorkers(RuleBasedStateMachine):
    """A random study, in which Hypothesis chooses the actions of any number of workers."""

    make: ClassVar[Make]
    oracle: ClassVar[Oracle]
    ladders: ClassVar[Sequence[Ladder]]
    budgets: ClassVar[Sequence[int | None]]
    losses: ClassVar[int] = 1
    has_constraints: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Fact] = []
        self.running: list[Job] = []
        self.gone: set[TrialId] = set()
        self.hopeless: set[TrialId] = set()

    @initialize(data=st.data())
    def a_study_begins(self, data: st.DataObject) -> None:
        self.ladder = data.draw(st.sampled_from(self.ladders))
        self.tops = {self.ladder.top}
        self.trials = data.draw(st.sampled_from(self.budgets))
        self.reports = data.draw(_REPORTS)
        self.seconds = data.draw(_SECONDS)
        self.resumes = data.draw(st.booleans())
        self.results = 0
        self.scheduler = type(self).make(self.ladder, self.trials)

    @rule()
    def a_worker_asks(self) -> None:
        self._ask()

    @rule(losses=st.lists(_LOSSES, min_size=1, max_size=12))
    def a_worker_asks_and_reports_at_once(self, losses: list[float]) -> None:
        for loss in losses:
            job = self._ask()
            if job is not None:
                self._report(job, loss)

    @rule(workers=st.integers(2, 8))
    def many_workers_ask(self, workers: int) -> None:
        for _ in range(workers):
            self._ask()

    @precondition(lambda self: self.running)
    @rule(pick=_PICKS, loss=_LOSSES)
    def a_worker_reports(self, pick: int, loss: float) -> None:
        self._report(self._running_job(pick), loss)

    @precondition(lambda self: len(self.running) > 1)
    @rule(reports=st.lists(st.tuples(_PICKS, _LOSSES), min_size=2, max_size=8))
    def several_report_before_anybody_asks(self, reports: list[tuple[int, float]]) -> None:
        for pick, loss in reports[: len(self.running)]:
            self._report(self._running_job(pick), loss)

    @precondition(lambda self: self.running)
    @rule(pick=_PICKS)
    def a_job_fails(self, pick: int) -> None:
        self._report(self._running_job(pick), math.inf)

    @precondition(lambda self: self.running)
    @rule(pick=_PICKS, replace=st.booleans())
    def a_job_is_withdrawn(self, pick: int, replace: bool) -> None:
        job = self._running_job(pick)
        self.running.remove(job)
        self.scheduler.withdraw(job, replace=replace)
        self.history.append(Withdrawn(job, replace))
        self.gone.add(job.trial)
        if job.rung > 0:
            self.hopeless.clear()

    @precondition(lambda self: self._promoted())
    @rule(pick=_PICKS)
    def a_promotion_is_passed_over(self, pick: int) -> None:
        promoted = self._promoted()
        job = promoted[pick % len(promoted)]
        self.running.remove(job)
        self.scheduler.pass_over(job)
        self.history.append(PassedOver(job))
        self.gone.add(job.trial)

    @precondition(lambda self: self.running)
    @rule(pick=_PICKS)
    def a_worker_is_lost_and_the_study_gives_its_job_again(self, pick: int) -> None:
        job = self._running_job(pick)
        self.running.remove(job)
        # The scheduler is not told about a lost worker: the controller gives the job to another
        # worker, and the result only arrives later.
        self.running.append(job)

    @rule(data=st.data())
    def the_number_of_trials_is_changed(self, data: st.DataObject) -> None:
        trials = data.draw(st.sampled_from(self.budgets) | st.integers(0, 40))
        try:
            self.scheduler.extend(trials)
        except SettingsError:
            # The scheduler refused the change, so the oracle must not see it.
            return
        self.history.append(Extended(trials))
        self.hopeless.clear()

    @precondition(lambda self: len(self.tops) < _MOST_LADDERS)
    @rule(times=st.integers(1, 9))
    def the_ladder_gets_more_rungs(self, times: int) -> None:
        before = self.scheduler.ladder
        ladder = before.lengthened(times * before.rungs[-1])
        self.scheduler.lengthen(ladder)
        assert self.scheduler.ladder == ladder, (
            f"the ladder is {self.scheduler.ladder} after lengthen({ladder})"
        )
        self.history.append(Lengthened(ladder))
        self.tops.add(ladder.top)
        self.hopeless.clear()

    @rule()
    def checkpoints_are_freed(self) -> None:
        # The checkpoint of a hopeless trial is deleted immediately. A running trial still needs its
        # checkpoint, and a trial that is trained again later would begin from 0.
        for trial in self.scheduler.hopeless():
            assert trial not in self.hopeless, f"trial {trial} was named hopeless twice"
            assert trial not in self.gone, (
                f"trial {trial} was withdrawn or passed over, but is listed as hopeless"
            )
            assert trial not in [job.trial for job in self.running], (
                f"trial {trial} is running and named hopeless"
            )
            self.hopeless.add(trial)

    # Two jobs of one trial would write the same checkpoint.
    @invariant()
    def no_trial_has_two_jobs_at_once(self) -> None:
        trials = [job.trial for job in self.running]
        assert len(set(trials)) == len(trials), f"one trial runs twice: {self.running}"

    def teardown(self) -> None:
        """Finish the study with bad results, so that hopeless trials have a chance to get within
        the quota. Then check the history.
        """
        if not hasattr(self, "scheduler"):
            return
        self.checkpoints_are_freed()
        for _ in range(_JOBS_TO_THE_END):
            while self.running:
                self._report(self.running[0], _WORST)
            job = self.scheduler.next_job()
            if job is None:
                break
            self._give(job)
        self._check_history()
        self._check_entries()

    def _promoted(self) -> list[Job]:
        """Return the running jobs of trials that have a result at a lower rung."""
        below = {fact.job.trial for fact in self.history if isinstance(fact, RecordedResult)}
        return [job for job in self.running if job.trial in below]

    def _running_job(self, pick: int) -> Job:
        return self.running[pick % len(self.running)]

    def _ask(self) -> Job | None:
        try:
            expected = type(self).oracle(self.ladder, self.trials, self.history)
        except Exception as error:
            error.add_note(
                f"the oracle was given {self.ladder}, {self.trials} trials and {self.history}"
            )
            raise _OracleRaised(error) from error
        job = self.scheduler.next_job()
        assert job == expected, f"next_job() is {job}, but the oracle gives {expected}"
        if job is not None:
            self._give(job)
        return job

    def _give(self, job: Job) -> None:
        assert job.trial not in self.hopeless, (
            f"trial {job.trial} was listed as hopeless, but is trained again"
        )
        assert job.trial not in self.gone, (
            f"trial {job.trial} was withdrawn or passed over, but is trained again"
        )
        self.history.append(Given(job))
        self.running.append(job)

    def _report(self, job: Job, loss: float) -> None:
        self.running.remove(job)
        rungs = self.scheduler.ladder.rungs
        resource = rungs[job.rung]
        entry = self.scheduler.entry(job.trial)
        start = rungs[job.rung - 1] if job.rung > entry else 0
        self.results += 1
        seconds = self.seconds[self.results % len(self.seconds)]
        between = list(range(start + 1, resource))[:3]
        at = 3 * (self.results % 4)
        curve = tuple(zip(between, self.reports[at : at + 3], strict=False))
        more, violation = self._beside(job, loss)
        losses = (loss, *more)
        start = start if self.resumes else 0
        self.scheduler.record(
            Result(job.trial, job.rung, resource, losses, seconds, curve, violation, start)
        )
        self.history.append(RecordedResult(job, loss, curve, seconds, more, violation, start))

    def _beside(self, job: Job, loss: float) -> tuple[tuple[float, ...], float | None]:
        """Return a result's other losses and its violation, computed from its first loss and its
        job.
        """
        if loss in (math.inf, _WORST):
            return (loss,) * (self.losses - 1), loss if self.has_constraints else None
        chance = random.Random(f"{loss} {job.trial} {job.rung}")
        more = tuple(chance.choice(_FEW) for _ in range(self.losses - 1))
        return more, chance.choice((0.0, 0.0, 0.5, 2.0)) if self.has_constraints else None

    def _check_entries(self) -> None:
        """Check that the scheduler's ``entering``, ``expected``, ``entry`` and ``notes`` are
        consistent.
        """
        # The forecast uses ``entering``, and the audit uses ``entry``. If the two differ, the audit
        # mistakes an entry for a promotion that the forecast does not expect.
        rungs = len(self.scheduler.ladder.rungs)
        for trials in (0, 1, 7, 40):
            entering = self.scheduler.entering(trials)
            expected = self.scheduler.expected(trials)
            entries = [self.scheduler.entry(TrialId(trial)) for trial in range(trials)]
            assert list(entering) == [entries.count(rung) for rung in range(rungs)], (
                f"entering({trials}) is {entering}"
            )
            if expected is not None:
                assert len(expected) == rungs, f"expected({trials}) is {expected} for {rungs} rungs"
                assert all(each >= new for each, new in zip(expected, entering, strict=True)), (
                    f"expected({trials}) is {expected}, below entering({trials})"
                )
        assert "\n" not in self.scheduler.notes(), "the notes are more than one line"

    def _check_history(self) -> None:
        """Check that trials are numbered in order, and that every promotion follows a finite
        result.
        """
        seen: list[Job] = []
        losses: dict[Job, float] = {}
        for fact in self.history:
            match fact:
                case Given(job):
                    earlier = [job_before for job_before in seen if job_before.trial == job.trial]
                    if earlier:
                        # A trial that has finished the top rung may continue at any new rung above.
                        before = earlier[-1].rung
                        follows = (
                            job.rung > before if before in self.tops else job.rung == before + 1
                        )
                        assert follows, f"{job} follows {earlier}"
                        assert losses.get(earlier[-1], math.inf) < math.inf, (
                            f"{job} follows no finite result"
                        )
                    else:
                        number = len({job_before.trial for job_before in seen})
                        assert job.trial == number, f"{job} is new; its number should be {number}"
                        entry = self.scheduler.entry(job.trial)
                        enters = job.rung in self.tops if entry in self.tops else job.rung == entry
                        assert enters, f"{job} is new; it should enter at {entry}"
                    seen.append(job)
                case RecordedResult(job, loss, more=more):
                    losses[job] = max(loss, *more) if more else loss
