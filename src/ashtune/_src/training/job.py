"""One job in the worker: takes in reports, asks the driver at the rung, and says whether training goes on."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, TypeVar

from ashtune._src.core import process
from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.events import JobFailed, JobFinished, JobPaused, Progress, TrialReleased, TrialWithdrawn
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Release
from ashtune._src.core.plaintext import shown
from ashtune._src.training.messages import Assignment, FromWorker, Mailbox, Setup
from ashtune._src.training.reports import Reports, names_text

Phase = Literal["training", "reported", "releasing", "pausing", "failed", "over"]
Told = TypeVar("Told")


class RunningJob:
    """The state of a job between the training function and the driver.

    ``phase`` says how the training function is to end: still "training" when it ends by itself, "reported" while
    the driver has the result and has not answered, "releasing" when it takes the worker elsewhere, "pausing"
    when the study stops, "failed" when the driver heard of a failure at the rung, "over" when it has heard the
    last of this job. ``clock`` counts the seconds that it takes.

    Rule 1: after a result the driver hears nothing of the trial but what its answer leads to.
    Rule 2: a thread of the training function's may do all that the function may, one at a time, and nothing
    once the function has ended; a process that it forked may do nothing.
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
        """Whether this trial may be wanted again; what is not is not saved."""
        self.is_stopped = False
        """Whether the training function ended it on purpose."""
        self.has_gone_on = False
        """Whether it was promoted in place."""
        self.must_take_up = False
        """Whether there is a checkpoint to go on from that nobody has looked at."""
        self.refusal = ""
        """What the training function did that it may not; its trial fails even if it caught the exception."""
        self._asked_for_start = False
        self._late = ""  # what was reported too late
        self._is_closed = False  # to the training function, which has ended
        self._has_ended_training = False  # it has reported, rightly or not, or returned
        self._loop: object = None
        self._lock = threading.RLock()
        self._process = process.pid
        self._mailbox = mailbox
        self._clock = clock
        self._began = clock()
        self._progress_seconds = setup.progress_seconds
        self._next_progress = time.perf_counter() + setup.progress_seconds

    def begin_loop(self) -> object:
        """Begin a loop over the epochs, and return what it has to show to go on."""
        with self._lock:
            self._check_may_speak()
            is_second = self._loop is not None and self.phase == "training"
            if is_second and (self.has_gone_on or self.reports.last_resource >= 0):
                self._refuse("trial.epochs() was called a second time: one loop over it trains to the rung and beyond")
            self.epoch = 0
            self._loop = object()
            return self._loop

    def may_go_on(self, loop: object, trained: int) -> bool:
        """Say whether a loop is to train another epoch after ``trained``; at the rung, ask the driver."""
        with self._lock:
            self._check_may_speak()
            if loop is not self._loop:
                self._refuse("trial.epochs() is used in two places at a time: only one loop can train a trial")
            goes_on = self._goes_on(trained)
            if goes_on:
                self.epoch = trained + 1
            return goes_on

    def _goes_on(self, trained: int) -> bool:
        if self.phase != "training" or self.is_stopped:
            return False
        if trained > self.start:
            self._check_taken_up()
        if trained >= self.target:
            reached = self.reports.last_resource == self.target
            return reached and self.tell() and self._mailbox.answer(self.trial, self.hear)
        if self._mailbox.is_to_pause(self.trial):
            self.phase = "pausing"
            return False
        return True

    def report_from(self, metrics: Mapping[str, Any]) -> None:
        """Take in what the training function reports: of the current epoch, or outside of the loop of its target.

        Raises:
            ObjectiveError: If it cannot be counted.
        """
        with self._lock:
            self._check_may_speak()
            if self.phase == "training":
                self._has_ended_training = True
                self._check_taken_up()
                self.report(metrics, is_loop=self._loop is not None)
            elif self.phase == "releasing":
                self._late = f"{names_text(metrics)} reported after the loop had ended and the result counted: not kept"

    def report(self, metrics: Mapping[str, Any], *, is_loop: bool = True) -> None:
        """Take in the metrics of the current epoch; of one outside of the loop over epochs if not ``is_loop``."""
        resource = (self.epoch or self.target) if is_loop else self._resource_outside(metrics)
        self.reports.add(resource, metrics)
        if time.perf_counter() >= self._next_progress:
            self._next_progress = time.perf_counter() + self._progress_seconds
            self.say(Progress(self.worker, self.trial, resource, self.reports.metrics))

    @property
    def has_trained(self) -> bool:
        """Whether something may have been trained: an epoch began, a report came, or the function returned."""
        return self.epoch > 0 or self._has_ended_training

    @property
    def has_loop(self) -> bool:
        """Whether it trains in a loop over epochs, which says of which epoch a report is."""
        return self._loop is not None

    @property
    def has_trained_in_loop(self) -> bool:
        """Whether the loop that has ended is the one that trains: it has reported, or it was ended.

        One that has not may only have counted the epochs.
        """
        return self.phase != "training" or self.is_stopped or self.reports.last_resource >= 0

    def report_at(self, resource: int, metrics: Mapping[str, Any]) -> bool:
        """Take in a report at a resource, outside of the loop over epochs.

        Returns:
            Whether the training is to go on; if not, the study is stopping, and the job ends here.

        Raises:
            ObjectiveError: If it cannot be counted.
        """
        with self._lock:
            self._check_may_speak()
            self._check_taken_up()
            reached = max(self.start, self.reports.last_resource)
            if not (reached < resource <= self.target or resource == self.reports.last_resource):
                raise ObjectiveError(
                    f"trial {self.trial} is at {reached} and is to be trained to {self.target}; a report at {resource} "
                    "is not on this way"
                )
            self.epoch = resource
            self.report(metrics)
            if resource < self.target and self._mailbox.is_to_pause(self.trial):
                self.phase = "pausing"
            return self.phase == "training"

    def _resource_outside(self, metrics: Mapping[str, Any]) -> int:
        """Return what a report outside of ``trial.epochs()`` is of: the first and only one of the target.

        An own loop reports the study's metric again: that is the next epoch, as long as there are any.
        """
        before = self.reports.last_resource
        if before < 0:
            return self.start + 1
        if self.reports.metric not in metrics:
            return before
        if before >= self.target:
            self._refuse(
                f"trial.report() was called {_times(before - self.start + 1)} to train from {self.start} to "
                f"{self.target}: the study decides how far a trial is trained; {self._right_lines}"
            )
        return before + 1

    @property
    def _right_lines(self) -> str:
        return f"write: for epoch in trial.epochs(): / train one epoch / {self.reports.right}"

    def stop(self) -> None:
        """End the trial early, on purpose.

        Raises:
            ObjectiveError: If it is too late: the driver has its result.
        """
        with self._lock:
            self._check_may_speak()
            if self.phase in ("reported", "releasing"):
                raise ObjectiveError("trial.stop() comes after the loop has ended and the result counts; call it in it")
            self.is_stopped = True

    def look_up_start(self) -> int:
        """Return where the training function is to begin; one that asks does not begin anew."""
        self._asked_for_start = True
        return self.start

    def may_save(self) -> bool:
        """Say whether what the training function saves is of use."""
        self._check_may_speak()
        return self.is_kept and self.phase != "failed"

    @property
    def max_resource(self) -> int:
        """The resource of the top rung; never below the target, as where nobody said it."""
        return max(self._max_resource, self.target)

    def begin_again(self) -> bool:
        """Have the trial begin from the start, as its checkpoint cannot be read; return whether it is not too late."""
        if self.epoch or self.reports.last_resource >= 0:
            return False
        self.start, self.must_take_up, self._asked_for_start = 0, False, False
        return True

    def take_up(self) -> None:
        """Note that the training function has asked for what was saved."""
        self._check_may_speak()
        self.must_take_up = False

    @property
    def lacks_restore(self) -> bool:
        """Whether it goes on from where it was saved, and nobody has looked at what was saved."""
        return self.must_take_up and bool(self.epoch or self._asked_for_start)

    def _check_taken_up(self) -> None:
        """Refuse to go on from a checkpoint that nobody has looked at: the model is a new one.

        A function without the loop that has not asked where to start has trained all of it again.
        """
        if not self.must_take_up:
            return
        if not self.lacks_restore:
            self.start, self.must_take_up = 0, False
            return
        self._refuse(
            f"trial {self.trial} goes on from {self.start}, where it was saved, but nothing was restored: "
            "begin with: model = trial.restore() or build(trial.config)"
        )

    def _check_may_speak(self) -> None:
        """Refuse another process, and a thread or a loop that is left of a training function that has ended."""
        if process.pid != self._process:
            raise ObjectiveError("a process that the training function forked cannot use its trial: hand results back")
        if self._is_closed:
            raise ObjectiveError(f"trial {self.trial} has ended; a thread or a loop kept from it can do nothing more")

    def _refuse(self, reason: str) -> NoReturn:
        """Fail the trial, even if the training function or a thread of its takes no notice of the exception."""
        self.refusal = self.refusal or reason
        raise ObjectiveError(reason)

    def conclude(self, returned: Any) -> str:
        """The training function has ended and returned something: see what its result is.

        Returns:
            What is to be said of it besides, if anything.

        Raises:
            ObjectiveError: If it is no result, or not one of this rung.
        """
        reports = self.reports
        with self._lock:
            self._has_ended_training = True
            self.hear_out()
            number = _as_metrics(returned, reports.metric)
            if self.phase == "releasing" and (name := reports.difference(number)):
                return f"the training function returned {self._beside(name, number)}, which counts"
            if self.phase != "training":
                return self._late if self.phase == "releasing" else ""
            self._settle(returned, number)
            return ""

    def goes_on(self) -> bool:
        """Tell the result that was reported outside of the loop over epochs, with the trial still in memory.

        Returns:
            Whether it goes on in place: then its target is further now.

        Raises:
            ObjectiveError: If it is no result, or not one of this rung.
        """
        with self._lock:
            self._check_may_speak()
            self._settle(None, None)
            if not (self.tell() and self._mailbox.answer(self.trial, self.hear)):
                return False
            self.epoch = 0  # the next report may be one without a resource again
            return True

    def reopen(self) -> None:
        """Let the training go on after a conclusion that was refused."""
        with self._lock:
            self._is_closed = False

    def _settle(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        """Make the result of what was reported and what was returned."""
        if self.refusal:
            raise ObjectiveError(self.refusal)
        self._check_taken_up()
        has_reported = self.reports.last_resource >= 0
        if self.epoch:
            self._conclude_loop(returned, number)
        else:
            self._conclude_outside(returned, number)
        if has_reported and (name := self.reports.difference(number)):
            raise ObjectiveError(f"the training function returned {self._beside(name, number)}; give one of them")

    def _conclude_loop(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        epoch = self.epoch
        if epoch < self.target and not self.is_stopped:
            raise ObjectiveError(
                f"the loop over trial.epochs() ended at {epoch} of {self.target}; call trial.stop() to end a trial "
                "early on purpose, or let the loop end by itself"
            )
        if self.reports.last_resource < epoch:
            self._report_returned(returned, number)
        if self.reports.last_resource < epoch and not self.is_stopped:
            self.reports.repeat_at(epoch)  # it is trained so far, and was reported now and then

    def _conclude_outside(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        reports = self.reports
        if reports.last_resource < 0:
            self._report_returned(returned, number)
        count = reports.last_resource - self.start
        if count == 1:
            reports.move_last_to(self.target)
        elif reports.last_resource < self.target and not self.is_stopped:
            raise ObjectiveError(
                f"trial.report() was called {_times(count)} to train from {self.start} to {self.target}: "
                f"{self._right_lines}"
            )

    def _report_returned(self, returned: Any, number: Mapping[str, Any] | None) -> None:
        """Take what was returned for a report, if it says the metric or nothing was reported at all."""
        metrics = number
        if metrics is None and self.reports.last_resource < 0:
            metric = self.reports.metric
            if returned is None:
                raise ObjectiveError(f"the training function ended without reporting {metric!r}; {self._right_lines}")
            metrics = returned if isinstance(returned, Mapping) else {metric: returned}
        if metrics is not None:
            self.reports.add(self.epoch or self._resource_outside(metrics), metrics)

    def _beside(self, metric: str, returned: Mapping[str, Any] | None) -> str:
        given = None if returned is None else returned[metric]
        return f"{metric}={shown(given)} where its last report says {metric}={self.reports.metrics[metric]!r}"

    def tell(self) -> bool:
        """Send the result; return whether it is one, so that the driver answers."""
        if complaint := self.refusal or self.reports.complaint:
            self.say(self.failed(complaint), "failed")
            return False
        self.say(self.finished(held=True), "reported")
        return True

    def say(self, message: FromWorker, then: Phase | None = None) -> None:
        """Send a message. What breaks in before the phase is the one that it leads to leaves it unsure."""
        mailbox = self._mailbox
        mailbox.is_sure = False
        mailbox.send(message)
        if then is not None:
            self.phase = then
        mailbox.is_sure = True

    def hear_out(self) -> None:
        """The training function has ended: take the driver's answer to its result, if it is due."""
        with self._lock:
            self._is_closed = True
            if self.phase == "reported":  # an exception broke in while it was waited for
                self._mailbox.answer(self.trial, self.hear)

    def hear(self, answer: Assignment | Release) -> bool:
        """Take in the driver's answer to a result; return whether the trial goes on in place."""
        self._began = self._clock()
        if isinstance(answer, Release):
            self.phase = "releasing"
            self.is_kept = answer.keep
            return False
        self.rung, self.target = answer.rung, answer.target
        self.start = answer.start
        self.reports.clear()
        self.has_gone_on = True
        self.phase = "training"
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the driver's last word."""
        return round(self._clock() - self._began, 6)

    def finished(self, *, held: bool = False, checkpoint: int | None = None, problem: str = "") -> JobFinished:
        """Return the event of the result."""
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
        """Return the event of a trial that the worker no longer holds."""
        return self._event(TrialReleased, resource=self.target, checkpoint=checkpoint, problem=problem)

    def paused(self, *, checkpoint: int | None = None, problem: str = "") -> JobPaused:
        """Return the event of breaking off between two epochs."""
        return self._event(
            JobPaused,
            rung=self.rung,
            resource=self.epoch or self.start,
            start=self.start,
            curve=self.reports.all,
            checkpoint=checkpoint,
            problem=problem,
        )

    def failed(self, reason: str, traceback: str = "") -> JobFailed:
        """Return the event of a failure."""
        return self._event(JobFailed, rung=self.rung, reason=reason, traceback=traceback)

    def withdrawn(self, reason: str) -> TrialWithdrawn:
        """Return the event of a configuration that the training function refused."""
        return self._event(TrialWithdrawn, rung=self.rung, reason=reason)

    def _event(self, kind: Callable[..., Told], **more: Any) -> Told:
        return kind(time=0, worker=self.worker, trial=self.trial, seconds=self.seconds, **more)


def _times(times: int) -> str:
    """Return how often something happened."""
    return "once" if times == 1 else f"{times:,} times"


def _as_metrics(returned: Any, metric: str) -> Mapping[str, Any] | None:
    """Return what a training function returned if it says the study's metric, else None: a model is none."""
    if type(returned) is float:
        return {metric: returned}
    metrics = returned if isinstance(returned, Mapping) else {metric: returned}
    value = metrics.get(metric)
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        return None
    try:
        float(value)  # type: ignore[arg-type]  # it has __float__
    except (TypeError, ValueError):
        return None
    return metrics
