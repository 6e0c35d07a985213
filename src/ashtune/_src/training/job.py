"""A job in a worker: it collects reports, asks the driver at the rung, and decides whether training
continues.
"""

# Theory of operation
# -------------------
# The training function is the user's code. It may report at any time, from threads, from forked
# processes, after it has returned, or not at all. But the driver needs exactly one message about
# the end of each job. This class is between the function and the driver: all calls of the function
# pass through it, under one lock. A call that makes no sense is refused with an error message.
#
#   phase      meaning                                    what may follow
#   ---------  -----------------------------------------  -----------------------------------------
#   training   the function trains toward ``target``      reported (result sent), pausing, failed,
#                                                         over
#   reported   the result is sent; the driver will        training (promoted in place), releasing
#              answer
#   releasing  the driver does not continue the trial     over (saved, or forgotten if not is_kept)
#              here
#   pausing    between two epochs, as the driver asked    over (JobPaused with its checkpoint)
#   failed     a failure at the rung is sent              nothing is sent any more
#   over       the end of the job is sent                 nothing
#
# The rung is inside of the loop. When the loop over trial.epochs() has trained to the target,
# may_go_on() sends the result and waits for the driver's answer. If the trial is promoted, the loop
# continues: the model stays in memory, and the function does not notice the rung. Otherwise the
# loop ends, and the function returns as usual. This is the purpose of this class: a function with
# one loop works at every rung and needs no code for rungs.
#
# What comes first, the result or the checkpoint? If the trial is held, the result is sent before
# the checkpoint is written, since the worker keeps the model. If the result is known only after the
# function has ended, it is sent after the checkpoint is complete, because another worker may get
# the trial as soon as the driver has the message. If the worker dies before it has sent the result,
# the driver assigns the job again. If it dies later, the result counts, and only the checkpoint is
# lost.
#
# Which resource does a report have? In a loop over trial.epochs(): the epoch. Without that loop: a
# single report is the result at the target (most functions of scikit-learn), several reports count
# one epoch each, in the user's own loop. Therefore the resource of a report can change: a report is
# first recorded at start + 1. If it is still the only report at the end, it is moved to the target.
#
# What happens when
#
#   the function returns early      conclude() fails the trial and names the remedy, trial.stop().
#                                   A break in the loop looks just like a defect, and a trial that
#                                   is ranked with too little training would mislead the search.
#   it continues without restore()  if it uses the loop or has asked for trial.start, its first
#                                   report or second epoch fails the trial: it trains a new model,
#                                   whose results are not those of epoch 27. A function that asks
#                                   for nothing and has no loop trains from 0, and ``start``
#                                   becomes 0.
#   it catches our refusal          ``refusal`` stays set (_refuse), so the trial fails at its rung
#                                   or at its end. In the phases releasing and pausing it does not
#                                   fail: the result counts, or JobPaused is sent. Other errors that
#                                   it catches, as that of a bad report, do not fail the trial.
#   it reports after its end        refused by _check_may_speak() if the function has ended. Before,
#                                   a remark (_late) in the phase releasing; in the others nothing
#                                   is said. The result has been sent and counts.
#   Ctrl-C while it waits           phase stays "reported". await_answer() waits for the answer
#                                   before anything else is sent, since the driver's next message
#                                   would otherwise be taken for another one.
#   sending is interrupted          Mailbox.is_sure stays False: nobody knows how much was sent,
#                                   so the worker ends, and the driver trains the trial again.
#   conclude() raises               TrialRunner sends the failure; a misuse that every trial would
#                                   share ends the study, unless another worker has a result.
#   several ranks train a trial     ``agree`` lets rank 0 decide alone and sends its decision to the
#                                   other ranks, which wait for it (``ranks_of_trial.py``). So no
#                                   rank begins an epoch of which the others know nothing; they
#                                   would wait for it in an all-reduce forever.
#   the driver dies                 the guardian kills the worker. Without a guardian, the wait for
#                                   the answer raises Shutdown, which no ``except Exception``
#                                   catches. The next driver assigns a job without a result again.
#   a checkpoint is not saved       the result counts; the message has ``problem`` and no checkpoint
#                                   (``outcomes.py``). A trial that is promoted later then starts
#                                   from its older checkpoint.
#   a Pause comes too late          after the last step of the loop nobody looks for it. The job
#                                   ends as usual, and the worker drops it (``worker/serve.py``).
#   a thread reports at the rung    it waits for the lock until the driver has answered. If the
#                                   trial continues in place, the report counts for the next epoch.
#
# All reports since the last rung are kept, and sent in one message. Some are also sent as Progress
# to displays and observers. The journal does not get Progress, so a job whose worker dies loses its
# reports.
#
# The lock is an RLock, because conclude() calls await_answer() while it holds the lock. A signal
# handler of the function, which runs in a thread that may hold the lock, can use the trial too.

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, TypeVar

import msgspec

from ashtune._src.core import process
from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    Progress,
    TrialReleased,
    TrialWithdrawn,
)
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import plural
from ashtune._src.core.orders import Release
from ashtune._src.core.plaintext import shown
from ashtune._src.training.reports import Reports, is_flag_or_text, names_text
from ashtune._src.training.worker_messages import Assignment, Failure, FromWorker, Mailbox, Setup

Phase = Literal["training", "reported", "releasing", "pausing", "failed", "over"]
Told = TypeVar("Told")


class RunningJob:
    """A job in a worker, which connects the training function and the driver.

    ``phase`` is "training" while the function trains, and "reported" while the driver has not
    answered a result. ``phase`` is "releasing" if the worker must release the trial, and "pausing"
    if the job must pause. ``phase`` is "failed" after a failure at the rung was sent, and "over"
    after the end of the job was sent. ``clock`` measures the job's seconds.

    Rule 1: after a result, the worker sends the driver only messages that follow from the driver's
    answer.
    Rule 2: the training function's threads may use the trial, but only one thread at a time. After
    the function has ended, its threads may not use the trial. Processes that the function forked
    may not use the trial.
    """

    def __init__(
        self,
        assignment: Assignment,
        setup: Setup,
        mailbox: Mailbox,
        *,
        start: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.worker = setup.worker
        self.trial: TrialId = assignment.trial
        self.rung = assignment.rung
        self.start = start
        self.target = assignment.target
        self._max_resource = setup.max_resource
        self.study_seed = setup.seed
        self.reports = Reports(setup.goal)
        self.phase: Phase = "training"
        self.epoch = 0
        self.is_kept = True
        """Whether this trial may be trained further, so that a checkpoint is useful."""
        self.is_stopped = False
        """Whether the training function ended the trial on purpose."""
        self.has_gone_on = False
        """Whether the trial was promoted in place."""
        self.must_restore = False
        """Whether the trial has a checkpoint that the training function must still restore."""
        self.refusal = ""
        """The error message for a misuse of the trial; the trial fails even if the function catches
        the exception.
        """
        self.agree: Callable[[Callable[[], bool]], bool] = _decide_alone
        """A function that decides for all ranks whether they continue. Its argument is a function
        that decides for this rank.
        """
        self._asked_for_start = False
        # A remark about a report or a loop that came after the result. The result stays valid.
        self._late = ""
        # Whether the training function has ended, so that its threads may not use the trial.
        self._is_closed = False
        # Whether the training function has returned or made a report, even an invalid one. If not,
        # a failure counts as the failure of a function that never trained.
        self._has_ended_training = False
        self._loop: object = None
        self._lock = threading.RLock()
        self._process = process.pid
        self._mailbox = mailbox
        self._clock = clock
        self._began = clock()
        self._progress_seconds = setup.progress_seconds
        self._next_progress = time.perf_counter() + setup.progress_seconds

    def begin_loop(self) -> object:
        """Begin a loop over ``trial.epochs()``. Return a token that identifies this loop."""
        with self._lock:
            self._check_may_speak()
            is_second = self._loop is not None
            if self.phase == "training":
                has_reports = self.reports.last_resource >= 0
                # A loop without a report may only have counted the epochs, so another may follow.
                if is_second and (has_reports or self.has_gone_on):
                    self._refuse(
                        "trial.epochs() was called a second time; use one loop, in which "
                        "promoted trials also continue"
                    )
                if has_reports:
                    self._refuse(
                        "trial.report() was called before the loop over trial.epochs(); report "
                        "inside the loop"
                    )
                # The epoch is not reset in other phases, because the event of a pause still needs
                # it.
                self.epoch = 0
            elif is_second and self.phase == "releasing":
                self._late = (
                    "trial.epochs() was called a second time after its loop had ended; the second "
                    "loop trained nothing"
                )
            self._loop = object()
            return self._loop

    def may_go_on(self, loop: object, trained: int) -> bool:
        """Return whether a loop trains another epoch after ``trained`` epochs. At the rung, the
        driver decides.
        """
        with self._lock:
            self._check_may_speak()
            if loop is not self._loop:
                self._refuse(
                    "two loops over trial.epochs() run at the same time; use one loop for a trial"
                )
            goes_on = self.agree(lambda: self._goes_on(trained))
            if goes_on:
                self.epoch = trained + 1
            return goes_on

    def _goes_on(self, trained: int) -> bool:
        if self.phase != "training" or self.is_stopped:
            return False
        if trained > self.start:
            self._check_restored()
        if trained >= self.target:
            reached = self.reports.last_resource == self.target
            return reached and self.tell() and self._mailbox.answer(self.trial, self.hear)
        if self._mailbox.is_to_pause(self.trial):
            self.phase = "pausing"
            return False
        return True

    def report_from(self, metrics: Mapping[str, Any]) -> None:
        """Add a report of the training function, in or outside of a loop over epochs.

        Raises:
            ObjectiveError: If the report is invalid.
        """
        with self._lock:
            self._check_may_speak()
            if self.phase == "training":
                self._has_ended_training = True
                self._check_restored()
                self.report(metrics, is_loop=self._loop is not None)
            elif self.phase == "releasing":
                self._late = (
                    f"the report of {names_text(metrics)} was ignored, because it came after the "
                    "loop had ended"
                )

    def report(self, metrics: Mapping[str, Any], *, is_loop: bool = True) -> None:
        """Add the metrics of the current epoch. If ``is_loop`` is False, the report is outside of a
        loop over epochs.
        """
        resource = (self.epoch or self.target) if is_loop else self._resource_outside(metrics)
        self.reports.add(resource, metrics)
        if time.perf_counter() >= self._next_progress:
            self._next_progress = time.perf_counter() + self._progress_seconds
            self.say(Progress(self.worker, self.trial, resource, self.reports.metrics))

    @property
    def has_trained(self) -> bool:
        """Whether training may have begun: an epoch began, a report came,
        or the function returned.
        """
        return self.epoch > 0 or self._has_ended_training

    @property
    def has_loop(self) -> bool:
        """Whether the function uses a loop over epochs, so that the epoch
        of each report is known.
        """
        return self._loop is not None

    @property
    def has_trained_in_loop(self) -> bool:
        """Whether the loop that has ended was a training loop: the loop has reported, or was ended
        early.

        A loop without a report may only have counted the epochs.
        """
        return self.phase != "training" or self.is_stopped or self.reports.last_resource >= 0

    def report_at(self, resource: int, metrics: Mapping[str, Any]) -> bool:
        """Add a report at a resource, outside the loop over epochs.

        Returns:
            Whether training continues. If the study stops, the result is False, and the job ends at
                this resource.

        Raises:
            ObjectiveError: If the report is invalid.
        """
        with self._lock:
            self._check_may_speak()
            self._check_restored()
            reached = max(self.start, self.reports.last_resource)
            if not (reached < resource <= self.target or resource == self.reports.last_resource):
                raise ObjectiveError(
                    f"trial {self.trial} reported at {resource}; report above {reached} and up to "
                    f"the target {self.target}"
                )
            self.epoch = resource
            self.report(metrics)
            if resource < self.target and self._mailbox.is_to_pause(self.trial):
                self.phase = "pausing"
            return self.phase == "training"

    def _resource_outside(self, metrics: Mapping[str, Any]) -> int:
        """Return the resource of a report outside of ``trial.epochs()``. If no other report
        follows, this report is later moved to the target.

        In the user's own loop, each report of the study's metric counts as the next epoch, up to
        the target.
        """
        before = self.reports.last_resource
        if before < 0:
            return self.start + 1
        if self.reports.metric not in metrics:
            return before
        if before >= self.target:
            self._refuse(self._wrong_count(before - self.start + 1))
        return before + 1

    def _wrong_count(self, reports: int) -> str:
        return (
            f"trial.report() was called {plural(reports, 'time')}, but must be called "
            f"{plural(self.target - self.start, 'time')} from {self.start} to {self.target}; "
            f"{self._right_lines}"
        )

    @property
    def _right_lines(self) -> str:
        return f"write: for epoch in trial.epochs(): / train one epoch / {self.reports.right}"

    def stop(self) -> None:
        """End the trial early, on purpose.

        Raises:
            ObjectiveError: If the driver already has the trial's result.
        """
        with self._lock:
            self._check_may_speak()
            if self.phase in ("reported", "releasing"):
                raise ObjectiveError(
                    "trial.stop() was called after the loop had ended; call it inside the loop"
                )
            self.is_stopped = True

    def look_up_start(self) -> int:
        """Return the resource at which training begins, and record that the function has asked for
        this resource.
        """
        self._asked_for_start = True
        return self.start

    def may_save(self) -> bool:
        """Return whether a checkpoint that the training function saves now may be used later."""
        self._check_may_speak()
        return self.is_kept and self.phase != "failed"

    @property
    def max_resource(self) -> int:
        """The resource of the top rung, or the target if the top rung is unknown or lower than the
        target.
        """
        return max(self._max_resource, self.target)

    def begin_again(self) -> bool:
        """Restart the trial from 0, because its checkpoint cannot be read.

        Return False, and change nothing, if training has already begun, or if other ranks of the
        trial already know from which resource the trial starts.
        """
        has_begun = self.epoch > 0 or self.reports.last_resource >= 0
        # Other ranks have already got this start, so this rank alone cannot change it.
        if has_begun or self.agree is not _decide_alone:
            return False
        self.start = 0
        self.must_restore = False
        self._asked_for_start = False
        return True

    def mark_restored(self) -> None:
        """Record that the training function has restored the checkpoint."""
        self._check_may_speak()
        self.must_restore = False

    @property
    def lacks_restore(self) -> bool:
        """Whether the trial continues from a checkpoint that the training function has not
        restored.
        """
        return self.must_restore and bool(self.epoch or self._asked_for_start)

    def _check_restored(self) -> None:
        """Raise an error if the training function continues with a new model instead of the saved
        model.

        If the function uses no loop over epochs and has not asked for ``trial.start``, it has
        trained from 0.
        """
        if not self.must_restore:
            return
        if not self.lacks_restore:
            self.start = 0
            self.must_restore = False
            return
        self._refuse(
            f"trial {self.trial} continues from {self.start}, but the training function did not "
            "restore its checkpoint; begin with: model = trial.restore() or build(trial.config)"
        )

    def _check_may_speak(self) -> None:
        """Raise an error if the trial is used by a forked process, or by a thread or loop of a
        training function that has ended.
        """
        if process.pid != self._process:
            raise ObjectiveError(
                "a process that the training function forked cannot use the trial; return its "
                "results to the parent process"
            )
        if self._is_closed:
            raise ObjectiveError(
                f"trial {self.trial} has ended; a thread or a loop that still runs cannot use it"
            )

    def _refuse(self, reason: str) -> NoReturn:
        """Raise an error that fails the trial, even if the training
        function catches the exception.
        """
        self.refusal = self.refusal or reason
        raise ObjectiveError(reason)

    def conclude(self, returned: Any) -> str:
        """Determine the result of the job after the training function has ended and returned a
        value.

        Returns:
            A remark to send with the result, or an empty string.

        Raises:
            ObjectiveError: If this rung has no result.
        """
        reports = self.reports
        with self._lock:
            self._has_ended_training = True
            self.await_answer()
            number = _as_metrics(returned, reports.metric)
            if self.phase == "releasing" and (name := reports.difference(number)):
                return (
                    f"the training function returned {self._beside(name, number)}; the study uses "
                    "the report"
                )
            if self.phase != "training":
                return self._late if self.phase == "releasing" else ""
            self._settle(returned, number)
            return ""

    def goes_on(self) -> bool:
        """Send a result that was reported outside of a loop over epochs, while the trial is still
        in memory.

        Returns:
            Whether the trial continues in place, with a higher target.

        Raises:
            ObjectiveError: If this rung has no result.
        """
        with self._lock:
            self._check_may_speak()
            if not self.agree(self._is_promoted):
                return False
            # On the way to the next rung, the resource of a report outside of a loop is unknown
            # again.
            self.epoch = 0
            return True

    def _is_promoted(self) -> bool:
        self._settle(None, None)
        return self.tell() and self._mailbox.answer(self.trial, self.hear)

    def reopen(self) -> None:
        """Allow more training after :meth:`conclude` raised an error."""
        with self._lock:
            self._is_closed = False

    def _settle(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        if self.refusal:
            raise ObjectiveError(self.refusal)
        self._check_restored()
        has_reported = self.reports.last_resource >= 0
        if self.epoch:
            self._conclude_loop(returned, number)
        else:
            self._conclude_outside(returned, number)
        if has_reported and (name := self.reports.difference(number)):
            raise ObjectiveError(
                f"the training function returned {self._beside(name, number)}; return no metric"
            )

    def _conclude_loop(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        epoch = self.epoch
        if epoch < self.target and not self.is_stopped:
            raise ObjectiveError(
                f"the loop over trial.epochs() ended at {epoch} of {self.target}; call "
                "trial.stop() to end a trial early, or remove the break or return from the loop"
            )
        if self.reports.last_resource < epoch:
            self._report_returned(returned, number)
        if self.reports.last_resource < epoch and not self.is_stopped:
            # Not every epoch needs a report, but the rung does. If the rung has no report, the last
            # report is used.
            self.reports.repeat_at(epoch)

    def _conclude_outside(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        reports = self.reports
        if reports.last_resource < 0:
            self._report_returned(returned, number)
        count = reports.last_resource - self.start
        if count == 1:
            reports.move_last_to(self.target)
        elif reports.last_resource < self.target and not self.is_stopped:
            raise ObjectiveError(self._wrong_count(count))

    def _report_returned(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        """Treat the returned value as a report, if it has the study's metric or if there is no
        report yet.
        """
        metrics = number
        if metrics is None and self.reports.last_resource < 0:
            metric = self.reports.metric
            if returned is None:
                raise ObjectiveError(
                    f"the training function ended without reporting {metric!r}; {self._right_lines}"
                )
            metrics = returned if isinstance(returned, Mapping) else {metric: returned}
        if metrics is not None:
            self.reports.add(self.epoch or self._resource_outside(metrics), metrics)

    def _beside(self, metric: str, returned: Mapping[str, Any] | None) -> str:
        given = None if returned is None else returned[metric]
        return (
            f"{metric}={shown(given)}, but the trial's last report has "
            f"{metric}={self.reports.metrics[metric]!r}"
        )

    def tell(self) -> bool:
        """Send the job's result, or a failure if the result is invalid. Return whether the driver
        will answer.
        """
        complaint = self.refusal or self.reports.complaint
        if complaint:
            self.say(self.failed(Failure(complaint)), "failed")
            return False
        self.say(self.finished(held=True), "reported")
        return True

    def say(self, message: FromWorker, then: Phase | None = None) -> None:
        """Send a message, and then set the phase. If sending fails, the mailbox's attribute
        ``is_sure`` stays False.
        """
        mailbox = self._mailbox
        mailbox.is_sure = False
        mailbox.send(message)
        if then is not None:
            self.phase = then
        mailbox.is_sure = True

    def await_answer(self) -> None:
        """Refuse later calls by the training function, which has ended. If the driver has not
        answered yet, wait.
        """
        with self._lock:
            self._is_closed = True
            # An exception interrupted the wait for the answer, but the answer will still come.
            if self.phase == "reported":
                self._mailbox.answer(self.trial, self.hear)

    def hear(self, answer: Assignment | Release) -> bool:
        """Handle the driver's answer to a result. Return whether the trial continues in place."""
        self._began = self._clock()
        if isinstance(answer, Release):
            self.phase = "releasing"
            self.is_kept = answer.keep
            return False
        self.rung = answer.rung
        self.target = answer.target
        self.start = answer.start
        self.reports.clear()
        self.has_gone_on = True
        self.phase = "training"
        return True

    @property
    def seconds(self) -> float:
        """The seconds on the job's clock since the job began or, if later, since the driver's last
        answer.
        """
        return round(self._clock() - self._began, 6)

    def finished(
        self, *, held: bool = False, checkpoint: int | None = None, problem: str = ""
    ) -> JobFinished:
        """Return the event which says that the job has a result."""
        reports = self.reports
        return self._event(
            JobFinished,
            rung=self.rung,
            resource=reports.last_resource,
            start=self.start,
            metrics=reports.metrics,
            curve=reports.curve,
            held=held,
            checkpoint=checkpoint,
            problem=problem,
            stopped=self.is_stopped,
        )

    def released(self, *, checkpoint: int | None = None, problem: str = "") -> TrialReleased:
        """Return the event which says that the worker no longer holds the trial."""
        return self._event(
            TrialReleased, resource=self.target, checkpoint=checkpoint, problem=problem
        )

    def paused(self, *, checkpoint: int | None = None, problem: str = "") -> JobPaused:
        """Return the event which says that the job was paused between two epochs."""
        return self._event(
            JobPaused,
            rung=self.rung,
            resource=self.epoch or self.start,
            start=self.start,
            curve=self.reports.all,
            checkpoint=checkpoint,
            problem=problem,
        )

    def failed(self, failure: Failure) -> JobFailed:
        """Return the event which says that the job has failed."""
        return self._event(JobFailed, rung=self.rung, **msgspec.structs.asdict(failure))

    def withdrawn(self, reason: str) -> TrialWithdrawn:
        """Return the event which says that the training function has refused the trial's
        configuration.
        """
        return self._event(TrialWithdrawn, rung=self.rung, reason=reason)

    def _event(self, kind: Callable[..., Told], **more: Any) -> Told:
        return kind(time=0, worker=self.worker, trial=self.trial, seconds=self.seconds, **more)


def _decide_alone(decide: Callable[[], bool]) -> bool:
    """Return the decision of this rank, because there are no other ranks."""
    return decide()


def _as_metrics(returned: Any, metric: str) -> Mapping[str, Any] | None:
    """Convert the value that a training function returned to metrics. If the study's metric is
    missing, return None.
    """
    metrics = returned if isinstance(returned, Mapping) else {metric: returned}
    value = metrics.get(metric)
    if is_flag_or_text(value) or not hasattr(type(value), "__float__"):
        return None
    try:
        float(value)  # type: ignore[arg-type]  # it has __float__
    except (TypeError, ValueError):
        return None
    return metrics
