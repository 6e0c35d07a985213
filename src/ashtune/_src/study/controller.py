"""The controller of a study: it receives events, and returns verdicts and orders.

The controller uses no clock, no random number, no file and no configuration. Therefore
:meth:`Controller.handle` gives the same orders in each replay of the journal. To resume a study, a
driver replays the journal.

Rule 1: a result counts as soon as a worker reports it, even if the trial's checkpoint is not saved
yet.
Rule 2: if a training function ends a trial early, the trial counts in its rung like any other
trial. A trial that ended early may use one of the places in the rung's quota, but the trial is not
trained again.
Rule 3: a limit that the user set ends only the search. The confirming trials follow after the
search (``core/confirm.py``). Any other reason to stop also stops the confirming trials.
Rule 4: in a paused study no job begins, and the study stays open. Interrupted jobs are assigned
again after the pause. If a trial reaches its rung before the pause request arrives, the trial is
released. The pause ends when a new session starts.
Rule 5: the best trials of each rung keep their checkpoints until other trials are better
(``checkpoint_index.py``).
"""

# Rule 2: decision 18 (docs/decisions/0018-what-a-function-may-do.md).
# Rule 3: decision 32 (docs/decisions/0032-noise-and-enough.md).
# Rule 4: decision 42 (docs/decisions/0042-control-from-the-page.md).

# Theory of operation
# -------------------
# handle() is a function of the events alone. The driver calls handle(), writes and flushes the
# events that handle() accepted, and only then sends the orders. A refused event is never written. A
# resumed driver calls handle() with the same events and gets the same orders, so the journal holds
# events only. Therefore no code here may read a clock, draw a random number, or use a dictionary
# whose order does not depend on events alone. Each fact that influences an order is a field of an
# event: the size of a checkpoint, whether the worker still holds the trial, and how many jobs a
# worker takes.
#
# Four objects keep the data for the controller's decisions. Each object has one subject:
#
#   book          what it answers                                             who changes it
#   ------------  ----------------------------------------------------------  --------------------
#   _scheduler    which trial is trained next, and to which rung              results, withdrawals
#   _assignments  which worker has which job; what must be assigned again     joins, ends, losses
#   checkpoints   which checkpoints exist, which one goes first at a limit    saves, promotions
#   _bests        the best trials of each rung (they keep their checkpoints)  results, withdrawals
#
# A trial moves through these states. "Holds" means that the worker keeps the model in its memory.
#
#   state      event or order that leads to it            where it is recorded
#   ---------  -----------------------------------------  -----------------------------------------
#   running    Train                                      _assignments.running
#   held       JobFinished(held=True); ends within the    the local variable ``holding``
#              same call
#   releasing  Release; the worker saves, or forgets      _assignments.releasing
#   waiting    promoted while its worker still saves it   _assignments (wait_for_release)
#   returned   its worker died, or it was paused          _assignments (give_back)
#   saved      TrialReleased(checkpoint=size)             checkpoints
#   ended      failed, or not promoted                    nowhere, but its results stay in the
#                                                         scheduler
#   withdrawn  TrialWithdrawn                             nowhere; its results are removed
#
# A trial that was not promoted may still get a job after more trials, more rungs or a withdrawal:
# from its checkpoint if that exists, else from the beginning.
#
# What happens when
#
#   a worker reports a result     the result counts first (_arrive), then the limits are checked,
#                                 then free workers get jobs. If the next job continues the trial
#                                 that the worker holds, the worker trains on in place: nothing is
#                                 saved or loaded. Otherwise it gets a Release, as late as
#                                 possible.
#   a worker dies while saving    WorkerLost: release() ends the wait for that checkpoint. The
#                                 result counted when it was reported, so nothing of the ranking
#                                 is lost. If the trial is promoted later, it is trained from its
#                                 older checkpoint, or from the beginning if it has none.
#   a worker dies while training  the job is returned and assigned before any new job. Only the
#                                 trial that WorkerLost names counts a death. A trial that kills
#                                 two workers fails (Deaths). With is_fatal, it fails at its first
#                                 death: over its time limit; or over its memory limit, unless it is
#                                 to be trained again alone, or earlier trials had left the worker
#                                 with more than half of the limit (``local/memory_rules.py``). The
#                                 failure ranks last in its rung.
#   a message is late or doubled  the pools and the driver's distributed workers refuse what fits no
#                                 order (Workload), and give its worker up, before it comes here. A
#                                 lost worker sends nothing after its WorkerLost.
#   an order is too late          up to 100 events are handled before their orders are sent
#                                 (``engines/loop.py``), so a worker may be lost already. The engine
#                                 drops such an order; WorkerLost returns the job.
#   a checkpoint is not stored    the event has no checkpoint. The result counts. If the trial is
#                                 promoted, it is trained from its older checkpoint, or from the
#                                 beginning.
#   an event cannot follow        JournalError, for example for a result that fits no order. In a
#                                 session it ends the session; in a replay the error names the
#                                 line, and a view goes by events from there. The pool, not this
#                                 class, refuses a worker that joins twice.
#   a scheduler raises            its exception comes out of handle() and ends the session. The
#                                 event is not written. This object may then be half changed, so
#                                 nobody may use it again: the next session makes a new one.
#   a scheduler refuses a number  SettingsError. A request of the user is refused then, and nothing
#   of trials                     has changed but _nothing_to_do: the scheduler is asked once more.
#   the driver dies               nothing happens here. The next SessionStarted dismisses all
#                                 workers, and the jobs that ran are returned.
#   a limit is reached            stopping is set, and handle() asks all running jobs to pause,
#                                 except for confirming trials when only the search ends (Rule 3).
#   the user pauses the study     as a limit, but stopping stays empty: the study is open, and no
#                                 job begins.
#
# There are two numberings of trials. The scheduler numbers its trials 0, 1, 2, ... without gaps,
# since its quota counts them. The study's numbers include confirming trials, which the scheduler
# never sees. Confirming.numbering converts between them: ``place`` is the scheduler's number, and
# ``trial`` is the study's number.
#
# Only a withdrawal removes a result. Therefore each part that keeps results has a method for it:
# CheckpointIndex.remove, RungBests.withdraw (which uses best_of_rung.py, as the tally does), and
# withdraw of the scheduler's machine.
#
# Events are not kept. The memory grows with the number of trials (two bytes per trial here, the
# rest in the scheduler) and with the number of existing checkpoints (one record per checkpoint).
# With a checkpoint limit, a deleted checkpoint keeps an entry of its heap until this entry is the
# first. _bests keeps up to 1,000 results per rung (2,000 with several losses). Trials that ended
# early or killed a worker are never forgotten.
#
# A running driver does not pass TrialStarted to handle(), as it chooses the configuration itself
# when it gets the Train (``engines/loop.py``). In a replay, Replay notes the starts in arrivals.
#
# A study ends when the scheduler has no job, no job runs, and no trial is being saved.
# _nothing_to_do stores the scheduler's last answer. Any event that may change the answer resets it.

import math
from typing import assert_never

from ashtune._src.core import events
from ashtune._src.core.confirm import Confirming
from ashtune._src.core.errors import JournalError
from ashtune._src.core.jobs import Goal, Job, Losses, Result, TrialId, WorkerId, as_one
from ashtune._src.core.numbers import plural, shortened
from ashtune._src.core.order import is_as_good
from ashtune._src.core.orders import (
    Followed,
    Order,
    Pause,
    Release,
    Train,
    TrialFailed,
    TrialPromoted,
    without_numbers,
)
from ashtune._src.core.plaintext import REASON
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune._src.study.assignments import Arrivals, Assigned, Assignments, Holding
from ashtune._src.study.checkpoint_index import CheckpointIndex, RungBests
from ashtune._src.study.settings import next_ladder

REMARKS = (
    events.TrialStarted,
    events.ProgramCompiled,
    events.ConfigurationEnqueued,
    events.WorkersChanged,
)
"""Events after which no worker needs a new job."""
# Decision 4 (docs/decisions/0004-what-a-result-is.md).
WITHDRAWN_IN_A_ROW = 1_000
"""A study stops after this many withdrawn trials in a row: probably, all its configurations are
invalid.
"""
PROMOTED_WITHDRAWN = 100
"""A study stops after this many withdrawn promoted trials in a row. Results of new trials do not
end this row.

New trials replace the withdrawn trials, so without this limit a study with an endless search might
never end.
"""
# Decision 19 (docs/decisions/0019-refusals-and-giving-up.md).
PROMOTED_FAILURES = 5
"""A study stops after this many failures in a row of promoted trials for the same reason: probably,
all promoted trials will fail.

If the user allows more than four times as many failures before the first result, a quarter of the
user's number is used instead. A trial continues either in place or from its checkpoint. A failure
counts only if no trial that continued in the same way has a result in this session. The two ways
are separate, because a training function that never restores can still have results of trials that
continued in place.
"""


def _limit(given: int | None) -> float:
    return math.inf if given is None else given


class Controller:
    """Turns the events of a study into orders for its workers.

    Args:
        configurations: How many configurations the search has; None for no limit.
        checkpoint_limit: Maximum total size of all checkpoints in bytes; None for no limit.
    """

    def __init__(
        self,
        scheduler: Machine,
        goal: Goal,
        *,
        configurations: int | None = None,
        checkpoint_limit: int | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._rungs = scheduler.ladder.rungs
        self._goal = goal
        self._is_plain = goal.is_plain
        self._failed = goal.failed
        self._configurations = _limit(configurations)
        self._assignments = Assignments()
        self._allowed = 0.0  # how many trials the scheduler may start, not counting replacements
        self._replaced = 0  # how many withdrawn trials another trial may replace
        self._not_replaced = 0  # withdrawn trials for which no unused configuration was left
        self._ended_early: set[TrialId] = set()
        self.arrivals = Arrivals()
        self.deaths = self._assignments.deaths
        self._withdrawn_in_a_row = [0, 0]  # new trials, promoted trials
        self._failures_at_first = 0  # failures before this session's first result
        self._has_result = False  # whether this session has a result
        # whether promoted trials with a result in this session were in place
        self._ways_that_work: set[bool] = set()
        # failures in a row for one reason, of trials from a checkpoint and of trials in place
        self._promoted_failures = [0, 0]
        self._why_promoted_fail = ""
        self._failures_allowed = math.inf
        self._resource_allowed = math.inf
        self._targets: Losses = ()  # the target of an objective; inf if it has no target
        self._is_at_target = False
        self._patience = math.inf
        self._since_better = 0  # how many results the top rung got since its best result
        self._best_at_top = math.inf
        self._nothing_to_do = False
        self._started = 0  # trials that the scheduler has started
        self._bests = RungBests()
        # the checkpoints of these trials are kept until other trials are better
        self._kept_as_best: set[TrialId] = set()
        self._confirmations = Confirming(lambda: self._bests.highest)
        self._ends_search_only = False  # whether the reason to stop ends only the search
        self._is_searched = False  # the scheduler has no more jobs, and none of its jobs runs
        self.is_paused = False
        """Whether the study is paused: no job begins until the user continues the study."""
        self.checkpoints = CheckpointIndex(checkpoint_limit, self._bests)
        self.total_resource = 0
        self.stopping = ""
        self.gave_up = False
        """Whether the study stops because its first trials or its promoted trials failed, or
        because its configurations were invalid.
        """

    @property
    def is_open(self) -> bool:
        """Whether the study still has jobs to assign or to wait for."""
        return self._assignments.is_busy or not (self.is_over or self._nothing_to_do)

    @property
    def is_over(self) -> bool:
        """Whether the study is stopping and assigns no more jobs."""
        return bool(self.stopping) and not (self._ends_search_only and self._has_to_confirm)

    @property
    def is_searching(self) -> bool:
        """Whether the search may still assign jobs."""
        return not (self.stopping or self._is_searched)

    @property
    def _has_to_confirm(self) -> bool:
        confirmations = self._confirmations
        assignments = self._assignments
        return (
            confirmations.next is not None
            or not confirmations.of.keys().isdisjoint(assignments.running)
            or self._assignments.returned_job_of(confirmations.of) is not None
        )

    @property
    def unfinished(self) -> list[Job]:
        """All jobs that are running or will be assigned again."""
        return self._assignments.unfinished

    @property
    def trials_left(self) -> float:
        """How many trials may still be started: a whole number, or infinity."""
        return max(0.0, self._allowed + self._replaced - self._started)

    @property
    def machine(self) -> Machine:
        """The machine of the study's scheduler, which gets all results."""
        return self._scheduler

    def notes(self) -> str:
        """Return the scheduler's remarks on its state as one line, or an empty string."""
        return self._scheduler.notes()

    @property
    def is_complete(self) -> bool:
        """Whether the study has ended because no job is left."""
        return self._nothing_to_do and not self._assignments.is_busy and not self.stopping

    def handle(self, event: events.Event) -> list[Followed]:
        """Record one event, and return the verdicts and orders that follow from it. O(log n).

        Raises:
            JournalError: If the event cannot follow the events before it, for example in a journal
                with other rules.
        """
        before = self.stopping, self._ends_search_only
        if type(event) not in REMARKS:
            self._nothing_to_do = False  # the state changes: ask the scheduler again
        followed = self._follow(event)
        if self.stopping and (self.stopping, self._ends_search_only) != before:
            stays = self._confirmations.of if self._ends_search_only else ()
            at_once = type(event) is events.StopRequested and not self._ends_search_only
            held: dict[TrialId, Assigned | Holding] = {**self._assignments.running}
            if at_once:
                # the workers of these trials may wait for a store
                held.update(self._assignments.releasing)
            followed += [
                Pause(one.worker, trial, at_once)
                for trial, one in held.items()
                if trial not in stays
            ]
        return followed

    def _follow(self, event: events.Event) -> list[Followed]:  # noqa: PLR0912 - one for each kind of event
        orders: list[Followed] = []
        match event:
            case events.JobFinished():  # this method assigns the next jobs itself
                return self._finish(event)
            case events.TrialReleased():
                orders = self._end_release(event)
            case (
                events.TrialStarted()
                | events.ProgramCompiled()
                | events.ConfigurationEnqueued()
                | events.WorkersChanged()
            ):
                return []
            case events.WorkerJoined(worker=worker):
                self._assignments.join(worker)
            case events.PlacesChanged(worker=worker, places=places):
                self._assignments.offer(worker, places)
            case events.JobFailed(worker=worker, trial=trial, rung=rung):
                orders = self._fail(
                    self._end_job(worker, trial, rung), event, seconds=event.seconds
                )
            case events.TrialWithdrawn(worker=worker, trial=trial, rung=rung):
                orders = self._withdraw(self._end_job(worker, trial, rung).job)
            case events.JobPaused():
                orders = self._interrupt(event)
            case events.WorkerLost():
                lost = self._assignments.lose(event)
                if lost is not None:
                    orders = self._fail(lost, event)
            case events.StopRequested(reason=reason, ends_search=ends_search):
                self._stop_at(reason, ends_search=ends_search)
            case events.StudyPaused():
                return self._pause()
            case events.StudyContinued():
                self.is_paused = False
            case events.TrialsExtended(trials=trials):
                self._allow(trials)
                # with more trials, the quota may include any trial
                self._assignments.to_discard.clear()
                self._kept_as_best.clear()
            case events.SessionStarted():
                self._start_session(event)
            case _:
                assert_never(event)
        return orders + self._assign_jobs(None)

    def _finish(self, event: events.JobFinished) -> list[Followed]:
        worker = event.worker
        trial = event.trial
        assignments = self._assignments
        assigned = self._unassign(worker, trial, event.rung)
        losses, violation = self._goal.judged(event.metrics)
        loss = as_one(violation, losses[0])
        orders: list[Followed] = []
        if trial in self._confirmations.of:
            orders += self.checkpoints.remove(trial)
        else:
            if self.arrivals[trial] >= 0 and loss < math.inf:
                self._ways_that_work.add(assigned.is_in_place)
                self._promoted_failures[assigned.is_in_place] = 0
            orders += self._arrive(event, losses, violation)
        if loss < math.inf:
            self._has_result = True
        else:
            self._count_failure()
        self._stop_at_limits()
        holding: Holding | None = None
        if event.held:
            holding = Holding(worker, trial, event.rung, loss)
            if assigned.is_to_pause:
                orders += self._release(holding)
                holding = None
        else:
            assignments.end_job(worker)
            if event.checkpoint is not None:
                orders += self._save(
                    Holding(worker, trial, event.rung, loss), event.resource, event.checkpoint
                )
        orders += self._assign_jobs(holding)
        return orders

    def _arrive(
        self, event: events.JobFinished, losses: Losses, violation: float | None
    ) -> list[Followed]:
        """Record the result of a trial of the search. Discard the checkpoints of trials that are no
        longer the best.
        """
        trial = event.trial
        rung = event.rung
        resource = event.resource
        curve: tuple[tuple[int, float], ...] = ()
        if self._scheduler.reads_curves:  # a curve has only the first objective
            curve = tuple([(at, self._goal.loss(metrics)) for at, metrics in event.curve])
        place = self._confirmations.numbering.place(trial)
        self._scheduler.record(
            Result(place, rung, resource, losses, event.seconds, curve, violation, event.start)
        )
        self._end_the_row(trial)
        self.arrivals.arrive(trial, rung)
        self.total_resource += resource - event.start
        if self._targets and not violation and is_as_good(losses, self._targets):
            self._is_at_target = True
        if self._is_plain and rung == len(self._rungs) - 1:
            self._count_since_best(losses[0])
        if event.stopped:
            self._ended_early.add(trial)
        if math.inf in losses:
            return []
        orders: list[Followed] = []
        for replaced in self._bests.arrive(trial, rung, (violation or 0.0, *losses)):
            if replaced in self._kept_as_best:
                self._kept_as_best.discard(replaced)
                orders += self._discard(replaced)
        return orders

    def _count_since_best(self, loss: float) -> None:
        """Count the results at the top rung since the best result."""
        self._since_better += 1
        if loss < self._best_at_top:
            self._since_better = 0
            self._best_at_top = loss

    def _end_release(self, event: events.TrialReleased) -> list[Followed]:
        holding = self._assignments.release(event.trial)
        if holding is None or holding.worker != event.worker:
            raise JournalError(
                f"worker {event.worker} released trial {event.trial}, which it was not training"
            )
        if event.checkpoint is None:
            self._assignments.to_discard.discard(event.trial)
            return []
        return self._save(holding, event.resource, event.checkpoint)

    def _save(self, holding: Holding, resource: int, size: int) -> list[Followed]:
        """Record a checkpoint, and discard the checkpoints of trials that cannot be promoted any
        more.
        """
        trial = holding.trial
        orders = self.checkpoints.put(
            trial,
            worker=holding.worker,
            resource=resource,
            size=size,
            rung=holding.rung,
            loss=holding.loss,
        )
        if trial in self._assignments.to_discard or trial in self._confirmations.of:
            self._assignments.to_discard.discard(trial)
            orders += self.checkpoints.remove(trial)
        return orders + self._discard_hopeless_trials()

    def _discard_hopeless_trials(self) -> list[Followed]:
        """Discard finished and unfinished checkpoints of trials that cannot
        be promoted any more.
        """
        orders: list[Followed] = []
        for place in self._scheduler.hopeless():
            orders += self._discard(self._confirmations.numbering.trial(place))
        return orders

    def _discard(self, trial: TrialId) -> list[Order]:
        """Discard the checkpoint of a trial that is not trained again, unless the trial is among
        the best of a rung.
        """
        if trial in self._bests:
            self._kept_as_best.add(trial)
            return []
        if trial in self._assignments.releasing:
            self._assignments.to_discard.add(trial)
        return self.checkpoints.remove(trial)

    def _interrupt(self, event: events.JobPaused) -> list[Followed]:
        job = self._end_job(event.worker, event.trial, event.rung).job
        if job.trial not in self._confirmations.of:
            self.total_resource += event.resource - event.start
        self._assignments.give_back(job)
        if event.checkpoint is None:
            return []
        trial = event.trial
        size = event.checkpoint
        return [
            *self.checkpoints.keep(trial, worker=event.worker, resource=event.resource, size=size)
        ]

    def _fail(
        self,
        assigned: Assigned,
        event: events.JobFailed | events.WorkerLost,
        *,
        seconds: float = 0.0,
    ) -> list[Followed]:
        """Record a failure. The trial is ranked last in its rung and is not trained again."""
        job = assigned.job
        failure = TrialFailed.of(job, event)
        if job.trial not in self._confirmations.of:
            if self.arrivals[job.trial] >= 0:
                self._count_promoted_failure(failure, is_in_place=assigned.is_in_place)
            place = self._confirmations.numbering.place(job.trial)
            losses, violation = self._failed
            resource = self._rungs[job.rung]
            self._scheduler.record(
                Result(place, job.rung, resource, losses, seconds, violation=violation)
            )
            self._end_the_row(job.trial)
            if job.rung == len(self._rungs) - 1:
                self._count_since_best(math.inf)
            self._stop_at_limits()
        self._count_failure()
        self.checkpoints.end_use(job.trial)
        return [failure, *self._discard(job.trial)]

    def _count_failure(self) -> None:
        """Count a failure before the session's first result, and stop the study after too many
        failures.
        """
        if not self._has_result:
            self._failures_at_first += 1
            if self._failures_at_first >= self._failures_allowed:
                self._give_up(
                    f"all of the session's first {self._failures_at_first:,} trials failed"
                )

    def _count_promoted_failure(self, failure: TrialFailed, *, is_in_place: bool) -> None:
        """Count a failure of a promoted trial, and stop the study if it seems that no promoted
        trial can succeed.
        """
        if is_in_place in self._ways_that_work:
            return
        if without_numbers(failure.reason) != without_numbers(self._why_promoted_fail):
            self._promoted_failures = [0, 0]
            self._why_promoted_fail = failure.reason
        self._promoted_failures[is_in_place] += 1
        count = sum(self._promoted_failures)
        if count >= max(PROMOTED_FAILURES, self._failures_allowed / 4):
            why = shortened(self._why_promoted_fail, REASON)
            self._give_up(f"{count:,} promoted trials failed for the same reason: {why}")

    def _withdraw(self, job: Job) -> list[Followed]:
        """Remove a trial from the scheduler. Another trial may replace the removed trial."""
        removed: list[Followed] = [*self.checkpoints.remove(job.trial)]
        if job.trial in self._confirmations.of:
            return removed
        is_promoted = self.arrivals[job.trial] >= 0
        self._bests.withdraw(job.trial)
        if job.rung:
            self._kept_as_best.clear()  # without this trial's results, any of them may be promoted
        job = Job(self._confirmations.numbering.place(job.trial), job.rung)
        replace = False
        if self._scheduler.replaces(job):
            # Each allowed trial, started or not, has a reserved configuration. A replacement needs
            # an additional configuration.
            replace = self._allowed + self._replaced < self._configurations
            self._replaced += replace
            self._not_replaced += not replace
        self._scheduler.withdraw(job, replace=replace)
        self._withdrawn_in_a_row[is_promoted] += 1
        count, promoted = self._withdrawn_in_a_row
        if count >= WITHDRAWN_IN_A_ROW:
            self._give_up(f"{count:,} configurations in a row were withdrawn as invalid")
        elif promoted >= PROMOTED_WITHDRAWN:
            self._give_up(f"{promoted:,} promoted trials in a row were withdrawn as invalid")
        return removed

    def _end_the_row(self, trial: TrialId) -> None:
        """Count withdrawn trials in a row from 0 again, because another trial has a result or has
        failed.
        """
        self._withdrawn_in_a_row[0] = 0
        if self.arrivals[trial] >= 0:
            self._withdrawn_in_a_row[1] = 0

    def _start_session(self, event: events.SessionStarted) -> None:
        ladder = next_ladder(self._scheduler.ladder, event)
        self._assignments.dismiss_all()
        self._scheduler.lengthen(ladder)
        if len(ladder.rungs) > len(self._rungs):
            # The new top rung has no result yet, so no result is the best.
            self._since_better = 0
            self._best_at_top = math.inf
        self._rungs = ladder.rungs
        self._patience = _limit(event.patience)
        self._allow(event.trials)
        self._resource_allowed = _limit(event.total_resource)
        self._targets = self._goal.targets(event.target)
        self._is_at_target = bool(self._targets) and self._bests.has_as_good(self._targets)
        self._ways_that_work.clear()
        self._promoted_failures = [0, 0]
        self._failures_at_first = 0
        self._withdrawn_in_a_row = [0, 0]
        self._has_result = False
        self._failures_allowed = _limit(event.max_failures)
        self._confirmations.wanted = event.confirm
        self._bests.confirm(event.confirm.best if event.confirm else 1)
        self._kept_as_best.clear()
        self.is_paused = False
        self.stopping = ""
        self._ends_search_only = self._is_searched = False
        self.gave_up = False
        self._stop_at_limits()

    def _allow(self, trials: int | None) -> None:
        """Set how many trials the scheduler may start. If ``trials`` is None, each configuration
        gets one trial.
        """
        # replacements are not among the allowed trials
        most = self._configurations - self._replaced
        # If fewer trials are allowed than before, some configurations become free. They can replace
        # trials that were withdrawn without a replacement.
        allowed = min(_limit(trials) + self._not_replaced, most)
        # The scheduler may refuse the number. The state is still unchanged then, so a replay has
        # the same state.
        self._scheduler.extend(None if math.isinf(allowed) else int(allowed))
        self._allowed = allowed
        self._is_searched = False

    def _pause(self) -> list[Followed]:
        """Assign no more jobs, and order the workers to interrupt the running jobs."""
        self.is_paused = True
        orders: list[Followed] = []
        for trial, assigned in self._assignments.running.items():
            if not assigned.is_to_pause:
                assigned.is_to_pause = True
                orders.append(Pause(assigned.worker, trial))
        return orders

    def _stop_at_limits(self) -> None:
        if self._is_at_target:
            pairs = zip(self._goal.objectives, self._targets, strict=True)
            targets = ", ".join(
                f"{each.metric}={each.value(loss):g}" for each, loss in pairs if loss < math.inf
            )
            self._stop_at(f"target {targets} reached", ends_search=True)
        if self._since_better >= self._patience:
            results = f"{plural(self._since_better, 'result')} at the top rung"
            self._stop_at(
                f"patience={self._patience}: {results} without an improvement", ends_search=True
            )
        if self.total_resource >= self._resource_allowed:
            self._stop_at(f"total_resource={self._resource_allowed} used", ends_search=True)

    def _stop_at(self, reason: str, *, ends_search: bool = False) -> None:
        """Stop the study, unless it is stopping already. A study that has ended only its search can
        still be stopped.
        """
        if not self.stopping or (self._ends_search_only and not ends_search and not self.is_over):
            self.stopping = reason
            self._ends_search_only = ends_search

    def _give_up(self, reason: str) -> None:
        self.gave_up = self.gave_up or not self.stopping
        self._stop_at(reason)

    def _end_job(self, worker: WorkerId, trial: TrialId, rung: int) -> Assigned:
        """Record that a worker has ended its job and is free. Return the job."""
        assigned = self._unassign(worker, trial, rung)
        self._assignments.end_job(worker)
        return assigned

    def _unassign(self, worker: WorkerId, trial: TrialId, rung: int) -> Assigned:
        running = self._assignments.running
        assigned = running.get(trial)
        if assigned is None or assigned.worker != worker or assigned.job.rung != rung:
            raise JournalError(
                f"the journal says that trial {trial} was trained to rung {rung}, but the replay "
                f"has the jobs: {self._assignments.orders_of(worker)}"
            )
        del running[trial]
        return assigned

    def _assign_jobs(self, holding: Holding | None) -> list[Followed]:
        """Give jobs to free workers: each job to the worker that saved its trial, or else to the
        longest idle worker.

        ``holding`` is the trial of a worker that has just reported a result. If this trial is
        promoted, this worker continues it. The worker gets another trial only if no other worker is
        free.
        """
        orders: list[Followed] = []
        assignments = self._assignments
        while not (self.is_paused or self.is_over) and assignments.has_room(holding):
            job = None if self.stopping else self._next_of_the_search(orders)
            job = job or self._next_confirmation()
            self._nothing_to_do = job is None
            if job is None:
                break
            if holding is not None and job.trial == holding.trial:
                orders.append(self._continue_in_place(holding, job))
                holding = None
            elif job.trial in assignments.releasing:
                assignments.wait_for_release(job)
            else:
                if holding is not None and not assignments.has_room():
                    orders += self._release(holding)
                    holding = None
                orders.append(self._train(job))
        if holding is not None:
            orders += self._release(holding)
        return orders

    def _next_of_the_search(self, followed: list[Followed]) -> Job | None:
        """Return a job to assign again, or the scheduler's next job. Append the trial's promotion
        to ``followed``.
        """
        returned = self._assignments.next_returned_job()
        if returned is not None:
            return returned
        while True:
            job = self._scheduler.next_job()
            if job is None:
                return None
            self._started = max(self._started, job.trial + 1)
            trial = self._confirmations.numbering.trial(job.trial)
            if trial not in self._ended_early:
                break
            self._scheduler.pass_over(job)  # the training function has ended this trial early
        # If a trial enters above the lowest rung, it has no result yet. Then this job is not a
        # promotion.
        if job.rung:
            rung = self.arrivals[trial]
            if rung >= 0:
                followed.append(TrialPromoted(trial, rung, job.rung))
        return Job(trial, job.rung)

    def _next_confirmation(self) -> Job | None:
        """Return the next job of a confirming trial. While a job of the
        search runs, return None.
        """
        confirmations = self._confirmations
        assignments = self._assignments
        job = assignments.returned_job_of(confirmations.of)
        if job is not None:
            assignments.take_returned(job)
            return job
        if not assignments.running.keys() <= confirmations.of.keys() or (
            assignments.is_waiting and not self.stopping
        ):
            return None
        self._is_searched = True
        confirmed = confirmations.next
        if confirmed is None:
            return None
        return confirmations.give(confirmed, TrialId(self._started + len(confirmations.numbering)))

    def _release(self, holding: Holding) -> list[Followed]:
        """Return the orders to release a worker's trial. A trial that may be trained again is saved
        first.
        """
        assignments = self._assignments
        trial = holding.trial
        assignments.releasing[trial] = holding
        assignments.end_job(holding.worker)
        orders = self._discard_hopeless_trials()
        keep = trial not in assignments.to_discard and trial not in self._confirmations.of
        return [*orders, Release(holding.worker, trial, keep)]

    def _train(self, job: Job) -> Train:
        """Give a job to a free worker, preferably to the worker that saved the job's trial."""
        trial = job.trial
        saved = self.checkpoints.use(trial)
        start = 0
        size = None
        saved_by = None
        if saved is not None:
            start = saved.resource
            size = saved.size
            saved_by = saved.worker
        return Train(
            self._assignments.take(job, saved_by),
            trial,
            job.rung,
            start,
            self._rungs[job.rung],
            size=size,
            confirms=self._confirmations.of.get(trial),
            alone=trial in self.deaths.out_of_memory,
        )

    def _continue_in_place(self, holding: Holding, job: Job) -> Train:
        self._assignments.continue_in_place(job, holding.worker)
        return Train(
            holding.worker,
            job.trial,
            job.rung,
            self._rungs[holding.rung],
            self._rungs[job.rung],
            True,
        )
