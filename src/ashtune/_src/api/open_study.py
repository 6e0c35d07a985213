"""``open_study``: a study for the user's own loop, which asks for trials and tells their results.

No driver runs in the background: each ``ask`` and ``tell`` runs a turn of the driver's loop
(``Drive``) in the caller's thread. The user's loop gets a ``Trial``, as a training function does.

Rule 1: turns of the driver's loop run one at a time, under a lock. The only slow step of a turn
waits for a proposal.
Rule 2: when ``tell`` returns, the result is in the journal. If the process dies and the study is
opened again, ``ask`` returns every trial whose result was not told.
Rule 3: if Ctrl-C or a full disk interrupted a turn, the study refuses further turns until it is
opened again.
"""

# Decision 36 (docs/decisions/0036-own-loops.md): without a driver in the background, errors are
# raised in the call that causes them, and no configuration is drawn before somebody asks for a
# trial.

import atexit
import enum
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from ashtune._src.api.best import Best
from ashtune._src.api.creating import open_session, place_for, study_request
from ashtune._src.api.study import Study
from ashtune._src.core import process
from ashtune._src.core.checks import check_flag, check_seconds, check_whole
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import (
    AshtuneError,
    CannotGoOn,
    SettingsError,
    StudyError,
    all_in_one_line,
    in_one_line,
)
from ashtune._src.core.events import (
    NO_REASON,
    Event,
    JobFinished,
    JobPaused,
    Progress,
    StopRequested,
    TrialReleased,
)
from ashtune._src.core.jobs import Mode, TrialId
from ashtune._src.core.ladder import Reduction
from ashtune._src.core.numbers import seconds_text
from ashtune._src.core.observer import Observer
from ashtune._src.core.option import checked, suggesting
from ashtune._src.core.plaintext import error_line, one_line, say, shown
from ashtune._src.core.words import ARGUMENTS, RESULTS, NoSuchResult
from ashtune._src.driver.study_options import Stop, TuneOptions, flat
from ashtune._src.engines.loop import TICK_SECONDS, Drive
from ashtune._src.engines.own_loop import AskedWorkers, DirectChannel, OwnLoopEngine
from ashtune._src.engines.workload import hand_back
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.search.search_protocol import Search
from ashtune._src.training.job import RunningJob
from ashtune._src.training.outcomes import REASON_CHARACTERS, Outcomes
from ashtune._src.training.reports import as_metrics, names_text
from ashtune._src.training.runner import PreparedTrial
from ashtune._src.training.trial import Trial
from ashtune._src.training.worker_messages import Failure, JobEvent, Mailbox

CLOSED = "closed by its own loop"


class NextStep(enum.Enum):
    """The next step of a trial after its result, returned by :meth:`OpenStudy.tell`.

    Example:
        >>> with open_study(
        ...     {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=1, max_resource=1
        ... ) as study:
        ...     study.tell(study.ask(), float("nan"))
        <NextStep.STOP: 'stop'>
    """

    __module__ = "ashtune"

    GO_ON = "continue"
    """The trial is promoted, and the caller trains it further, to a higher ``trial.target``."""
    PAUSE = "pause"
    """``ask`` may return the trial again, to any caller.

    The saved state is kept, and the trial continues from this state. If nothing was saved, the
    trial starts from 0. It is possible that no ``ask`` returns the trial again.
    """
    STOP = "stop"
    """The saved state is deleted, because the trial failed, was stopped on purpose, or cannot be
    promoted any more.

    If the state was deleted because of a ``checkpoint_limit``, ``ask`` may return the trial again,
    from 0.
    """


class _AskedTrial:
    """A trial that ``ask`` returned and that has no final result yet."""

    def __init__(self, prepared: PreparedTrial, channel: DirectChannel, mailbox: Mailbox) -> None:
        self.prepared = prepared
        self.channel = channel
        self.mailbox = mailbox
        self.outcomes = Outcomes(mailbox)
        self.thread = threading.get_ident()
        self.lock = threading.RLock()
        self.is_over = False


@all_in_one_line
class OpenStudy:
    """A study for your own loop, returned by :func:`open_study`.

    ``ask`` returns the next trial, and ``tell`` takes the trial's result. Any thread of the process
    may call ``ask`` and ``tell``, and the training may run anywhere. Until the study is closed,
    other processes can only read the study.

    Example:
        >>> space = {"rate": (0.01, 0.4)}
        >>> with open_study(
        ...     space, metric="loss", mode="min", trials=8, max_resource=4, quiet=True
        ... ) as study:
        ...     while trial := study.ask():
        ...         weight = trial.restore() or 0.0
        ...         for _ in range(trial.start, trial.target):
        ...             weight -= trial["rate"] * 2 * (weight - 3)
        ...         trial.save(weight)
        ...         answer = study.tell(trial, loss=(weight - 3) ** 2)
        >>> abs(study.read().best.load() - 3) < 3
        True
    """

    __module__ = "ashtune"

    def __init__(
        self,
        directory: Path,
        drive: Drive | None,
        workers: AskedWorkers | None,
        stack: ExitStack,
        *,
        quiet: bool,
    ) -> None:
        self.directory = directory
        self._drive = drive
        self._workers = workers
        self._stack = stack
        self._quiet = quiet
        self._changed = threading.Condition()
        self._waiting = 0  # callers of ask that wait for a trial
        self._asked: dict[TrialId, _AskedTrial] = {}
        self._broken = ""  # why the study cannot continue
        self._is_closed = False
        # A forked process has a copy of the locks and of the journal's file: two processes that
        # write would damage the file.
        self._process = process.pid
        atexit.register(self.close)

    def ask(self, *, wait: bool = True) -> Trial | None:
        """Return the next trial, or None if the study has ended. Train it from ``trial.start`` to
        ``trial.target``.

        No other caller gets this trial until you call ``tell``, ``fail`` or ``give_back``, or the
        study is opened again.

        Args:
            wait: Whether to wait if no trial is available before the result of another trial is
                told. If False, ``ask`` returns None instead of waiting.

        Raises:
            StudyError: If the study is closed or cannot continue.
        """
        check_flag("wait", wait)
        self._check_process()
        with self._changed:
            self._check_usable()
            workers = self._workers
            if workers is None or not self._find_job(workers, wait=wait):
                return None
            assignment, inbox = workers.take()
        channel = DirectChannel(self._handle, inbox)
        mailbox = Mailbox(channel)
        # Restoring may take long, so it is done outside of the lock. If restoring fails, no caller
        # has the trial, and the next caller of ask gets it.
        try:
            prepared = workers.prepare(assignment, mailbox)
        except BaseException:
            self._handle(hand_back(assignment))
            raise
        with self._changed:
            self._asked[prepared.trial.number] = _AskedTrial(prepared, channel, mailbox)
        return prepared.trial

    def tell(
        self,
        trial: Trial,
        result: Mapping[str, Any] | float | None = None,
        /,
        *,
        go_on: bool = False,
        resource: int | None = None,
        busy_seconds: float | None = None,
        **metrics: Any,
    ) -> NextStep:
        """Tell the result of a trial at ``trial.target``. When ``tell`` returns, the result is in
        the journal.

        Write ``tell(trial, loss=0.3, accuracy=0.9)`` or
        ``tell(trial, {"loss": 0.3, "accuracy": 0.9})``. If the study has one metric,
        ``tell(trial, 0.3)`` is enough. If a loop over ``trial.epochs()`` has already reported the
        result, write ``tell(trial)``. Call ``trial.save(model)`` before ``tell``. A result that is
        not finite counts as a failure.

        If the trial has not reached its target, ``tell(trial, resource=3, loss=0.5)`` makes an
        intermediate report. This report is written to the journal together with the trial's result.
        The answer to an intermediate report is ``NextStep.GO_ON``, or ``NextStep.PAUSE`` if the
        study is stopping.

        Args:
            trial: The trial from :meth:`ask`.
            result: All metrics as a dict, or the study's only metric as a number.
            go_on: Whether you can continue training the trial at once, with the trial still in
                memory. If True, the answer may be ``NextStep.GO_ON``; if False, a later ``ask``
                returns a promoted trial.
            resource: The resource of this result; by default the trial's target.
            busy_seconds: Duration of the training. By default, the time since ``ask`` returned the
                trial, or since its last ``NextStep.GO_ON`` at a rung; time in your queue is
                included. Loops over ``trial.epochs()`` always use the default.
            metrics: Metrics by name; they must include all metrics of the study.

        Returns:
            The trial's next step.

        Raises:
            StudyError: If the trial is not open, its saved state was not restored, a metric of the
                study is missing, or the study is closed or cannot continue. The result is then not
                told.
            ObjectiveError: If a value is not a number, or is not a result of this rung. The result
                is then not told.
        """
        check_flag("go_on", go_on)
        with self._telling(trial) as asked:
            job = asked.prepared.job
            if job.phase == "training" and job.lacks_restore:
                raise StudyError(
                    f"trial {job.trial} continues from {job.start}, but its saved model was not "
                    "restored; after ask(), call trial.restore(), train the returned model, and "
                    "then tell the result"
                )
            told = _metrics_of(asked, result, metrics)
            if job.has_loop and not (resource is None and busy_seconds is None):
                raise StudyError(
                    f"trial {job.trial} trains in the loop over trial.epochs(), which counts the "
                    "resource and the seconds itself; leave out resource= and busy_seconds="
                )
            at = job.target if resource is None else check_whole("resource", resource)
            asked.channel.busy_seconds = _checked_seconds(job, busy_seconds)
            if told is not None and job.phase == "training" and not job.has_loop:
                with self._changed:
                    self._check_usable()
                    self._turn()
                if job.report_at(at, told) and at < job.target:
                    return NextStep.GO_ON
                told = None
            # If a trial continues in place, its model stays in memory and nothing is saved. Only
            # the caller knows whether the training will really continue, so the caller must ask for
            # this (decision 36).
            if (
                go_on
                and job.phase == "training"
                and not (job.has_loop or job.is_stopped)
                and job.goes_on()
            ):
                asked.prepared.writer.go_on()
                return NextStep.GO_ON
            return self._end(asked, told)

    def fail(self, trial: Trial, why: str | BaseException) -> None:
        """Tell that a trial failed. A failed trial ranks last and is never trained again.

        Args:
            trial: The trial from :meth:`ask`.
            why: The reason as text, or the exception. With :class:`~ashtune.InvalidConfiguration`,
                the trial is withdrawn and another trial replaces it.

        Raises:
            StudyError: As for :meth:`tell`.
            SettingsError: If the reason is neither text nor an exception, or is an exception that
                stops the study.
        """
        if isinstance(why, CannotGoOn) or not isinstance(why, str | BaseException):
            raise SettingsError(
                f"why={shown(why)} is not a reason for a failure; give a text or the caught "
                "exception, or call study.give_back(trial)"
            )
        with self._telling(trial) as asked:
            _, job, writer, _ = asked.prepared
            job.await_answer()
            if isinstance(why, BaseException):
                asked.outcomes.tell_error(job, why, writer)
            else:
                failure = Failure(one_line(why, REASON_CHARACTERS) or NO_REASON)
                asked.outcomes.tell_failure(failure, job, writer)
            self._forget(asked)

    def give_back(self, trial: Trial) -> None:
        """Give a trial back untrained, for example if its machine is lost. ``ask`` returns the
        trial before new trials.

        Raises:
            StudyError: As for :meth:`tell`.
        """
        with self._telling(trial) as asked:
            _, job, writer, _ = asked.prepared
            job.await_answer()
            writer.abandon()
            if job.phase in ("training", "pausing"):
                job.say(hand_back(job), "over")
            else:
                asked.outcomes.tell_failure(
                    Failure("study.give_back() was called before the trial was saved"), job, writer
                )
            self._forget(asked)

    if not TYPE_CHECKING:  # so that a type checker refuses unknown attributes

        def __getattr__(self, name: str) -> Any:
            ours = RESULTS.get(name, name)
            if name not in RESULTS and (name.startswith("_") or not hasattr(Study, name)):
                return self.__getattribute__(name)  # which raises the error again
            raise NoSuchResult(f"an open study has no attribute {name}; write study.read().{ours}")

    @property
    def best(self) -> Best:
        """The best trial so far, as :attr:`Study.best <ashtune.Study.best>`. O(events of the
        study).

        Raises:
            StudyError: If no trial has a result.
        """
        return self.read().best

    @property
    def best_params(self) -> dict[str, Any]:
        """The configuration of :attr:`best`, as
        :attr:`Study.best_params <ashtune.Study.best_params>`.
        """
        return self.best.config

    @property
    def best_value(self) -> float | None:
        """The metric of :attr:`best`, as :attr:`Study.best_value <ashtune.Study.best_value>`."""
        return self.read().best_value

    @property
    def space(self) -> Mapping[str, Any]:
        """The search space as you wrote it, as :attr:`Study.space <ashtune.Study.space>`."""
        return self.read().space

    def read(self) -> Study:
        """Return the results so far, as :meth:`Study.load <ashtune.Study.load>` does. The study may
        be closed.
        """
        return Study.load(self.directory)

    def close(self) -> None:
        """Close the study. If the study is opened again, ``ask`` returns every trial whose result
        was not told.

        A study is also closed at the end of a block ``with open_study(...) as study``, and when the
        process ends.

        Raises:
            JournalError: If the journal cannot be written.
        """
        if process.pid != self._process:
            return
        with self._changed:
            if self._is_closed:
                return
            atexit.unregister(self.close)
            try:
                if not self._broken and self._goes_on:
                    self._turn(StopRequested(0, CLOSED))
            finally:
                self._is_closed = True
                self._changed.notify_all()
                self._stack.close()

    def __enter__(self) -> "OpenStudy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{'closed' if self._is_closed else 'open'} study {str(self.directory)!r}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.read()._repr_mimebundle_()

    @property
    def _goes_on(self) -> bool:
        """Whether the study may still give trials to callers of ``ask``."""
        if self._drive is None:
            return False
        controller = self._drive.controller
        return controller.is_open and not controller.is_over

    def _find_job(self, workers: AskedWorkers, *, wait: bool) -> bool:
        """Prepare a job for the caller of ``ask``. Return whether there is a job. The caller holds
        ``_changed``.
        """
        self._turn()
        while not workers.has_jobs:
            if not self._goes_on:
                return False
            # Each open job takes one worker, so each further caller of ask needs one more worker.
            # If a worker without a job is free, another caller may be waiting for its job.
            if workers.idle <= self._waiting:
                workers.join()
                self._turn()
                continue
            if not wait:
                return False
            self._hint_at_waiting()
            self._waiting += 1
            try:
                self._changed.wait(TICK_SECONDS)
            finally:
                self._waiting -= 1
            if self._is_closed:
                return False
            self._check_usable()
            self._turn()
        return True

    def _hint_at_waiting(self) -> None:
        """If the waiting caller's own thread has all open trials, print a hint once."""
        thread = threading.get_ident()
        if (
            not self._quiet
            and self._asked
            and all(asked.thread == thread for asked in self._asked.values())
        ):
            self._quiet = True
            here = f"this thread has all trials without a result ({len(self._asked):,})"
            say(
                f"hint: ask() waits for a result of another thread, but {here}; use ask(wait=False)"
            )

    def _handle(self, message: JobEvent | Progress) -> None:
        with self._changed:
            self._check_usable()
            assert self._workers is not None, "somebody was given a job"
            if isinstance(message, Progress):
                self._workers.put_progress(message)
                self._turn()
            else:
                self._turn(message)

    def _turn(self, event: Event | None = None) -> None:
        """Run turns of the driver's loop for all events, and wake waiting callers. The caller holds
        ``_changed``.
        """
        drive = self._drive
        workers = self._workers
        if drive is None or workers is None or not drive.controller.is_open:
            return
        # If Ctrl-C ends this turn, the controller may know events that are not in the journal: only
        # a replay of the journal then gives the correct state.
        self._broken = "another call is under way"
        try:
            drive.turn()  # a trial past the time limit is not given any more
            if event is not None:
                workers.put(event)
            while workers.has_news:
                drive.turn()
        except BaseException as error:
            self._broken = error_line(error)
            raise
        self._broken = ""
        self._changed.notify_all()

    def _check_process(self) -> None:
        """Raise an error in a forked process, because a lock may never be released in a forked
        process.
        """
        if process.pid != self._process:
            raise StudyError(
                f"the study in {self.directory} was opened by process {self._process}, so this "
                "forked process may only read it"
            )

    def _check_usable(self) -> None:
        """Raise an error if the study is closed or cannot continue. The
        caller holds ``_changed``.
        """
        if self._is_closed:
            raise StudyError(
                f"the study in {self.directory} is closed; open it again: ask() then returns the "
                "trials that have no result"
            )
        if self._broken:
            raise StudyError(
                f"the study in {self.directory} was interrupted during ask() or tell() "
                f"({self._broken}); close the study and open it again (all told results are kept)"
            )

    @contextmanager
    def _telling(self, trial: object) -> Iterator[_AskedTrial]:
        """Yield the record of an open trial. Within the ``with`` block, no other caller can tell
        the trial's result.

        After an interruption such as Ctrl-C, the caller can tell the result again. If an
        interruption makes it unknown whether the driver got the result, the study must be opened
        again before another ``tell``.
        """
        self._check_process()
        with self._changed:
            self._check_usable()
        asked = self._asked.get(trial.number) if isinstance(trial, Trial) else None
        if asked is None or asked.prepared.trial is not trial:
            _refuse(trial)
        with asked.lock:
            if asked.is_over:
                _refuse(trial)
            try:
                yield asked
            except BaseException as error:
                # our own errors interrupt nothing
                if not (asked.mailbox.is_sure or isinstance(error, AshtuneError)):
                    with self._changed:
                        self._broken = self._broken or error_line(error)
                elif asked.prepared.job.phase != "over":
                    asked.prepared.job.reopen()
                    asked.prepared.objects.reopen()
                raise

    def _end(self, asked: _AskedTrial, told: Mapping[str, Any] | None) -> NextStep:
        """End the job of a trial, as if a training function had returned the result."""
        trial, job, writer, objects = asked.prepared
        objects.save()
        remark = job.conclude(told)
        asked.outcomes.tell_end(job, writer, remark)
        writer.abandon()  # drop the checkpoint of a failure
        self._forget(asked)
        match asked.channel.last:
            case TrialReleased():
                is_kept = job.is_kept
            case JobPaused() | JobFinished(stopped=False, checkpoint=None):
                is_kept = True
            case JobFinished(stopped=False):
                with self._changed:
                    is_kept = (
                        self._drive is not None
                        and trial.number in self._drive.controller.checkpoints
                    )
            case _:
                is_kept = False
        return NextStep.PAUSE if is_kept else NextStep.STOP

    def _forget(self, asked: _AskedTrial) -> None:
        with self._changed:
            asked.is_over = True
            # its next job may be open already
            if self._asked.get(asked.prepared.trial.number) is asked:
                del self._asked[asked.prepared.trial.number]


def _refuse(trial: object) -> NoReturn:
    which = f"trial {trial.number}" if isinstance(trial, Trial) else shown(trial)
    raise StudyError(
        f"{which} is not an open trial of this study; perhaps it was told, failed or given back "
        "already; ask() returns the next trial"
    )


def _metrics_of(
    asked: _AskedTrial, result: Mapping[str, Any] | float | None, named: Mapping[str, Any]
) -> Mapping[str, float | None] | None:
    """Return the told metrics as plain numbers.

    If the trial has a report, and the user told no metric after the report, return None.
    """
    job = asked.prepared.job
    number = asked.prepared.trial.number
    told = job.reports.plain(as_metrics(result, named, job.reports.needed))
    is_due = job.phase == "training" and job.reports.last_resource < 0
    missing = [name for name in job.reports.needed if name not in told]
    if missing and (told or is_due):
        right = ", ".join(f"{name}=..." for name in job.reports.needed)
        raise StudyError(
            f"tell() got {names_text(told)} for trial {number}, but the study also needs "
            f"{names_text(dict.fromkeys(missing))}; write study.tell(trial, {right})"
        )
    return told or None


def _checked_seconds(job: RunningJob, seconds: float | None) -> float | None:
    """Return the duration of a training; None if it was not given. Refuse a duration that exceeds
    the time since the training's start.
    """
    if seconds is None:
        return None
    checked = check_seconds("busy_seconds", seconds)
    most = job.seconds
    # in other phases, the result is already in the journal
    if job.phase == "training" and checked > most:
        raise StudyError(
            f"busy_seconds={shown(seconds)} is longer than the {seconds_text(most)} since trial "
            f"{job.trial} {'continued' if job.has_gone_on else 'was asked for'}; give the seconds "
            "that training took, or leave busy_seconds out"
        )
    return checked


@in_one_line
@suggesting(ARGUMENTS)
def open_study(
    space: Any,
    *,
    metric: str | Sequence[str] | Mapping[str, float],
    mode: Mode | Sequence[Mode],
    trials: int | None = None,
    max_resource: int | None = None,
    min_resource: int | str | None = None,
    reduction_factor: Reduction | None = None,
    resource: str = "epoch",
    time_limit: float | str | timedelta | None = None,
    target: float | dict[str, float] | None = None,
    stop: Stop | None = None,
    constraints: Mapping[str, str] | None = None,
    scheduler: str | Scheduler = "ash",
    search: str | Search | None = None,
    valid: Callable[[dict[str, Any]], Any] | None = None,
    enqueue: Iterable[Mapping[str, Any]] = (),
    warm_start: Any = None,
    other_tasks: Any = None,
    seed: int = 0,
    confirm: int | Confirm | None = None,
    workers: int | None = None,
    observers: Sequence[Observer | str] = (),
    watch: bool = False,
    quiet: bool = False,
    directory: str | os.PathLike[str] | None = None,
    checkpoint_limit: int | str | None = None,
    overwrite: bool = False,
) -> OpenStudy:
    """Open a study for your own loop, which asks for trials and tells their results.

    ``open_study`` is for training that a Python function cannot do: on a robot, in a laboratory, or
    on a cluster with its own queue. If the directory already has the study, the study continues.
    Arguments without a description are the same as for :func:`~ashtune.tune`. ``trial.restore()``
    reads a pickle, so open only studies that you trust.

    Args:
        space: A dict of hyperparameters, as for :func:`~ashtune.tune`, or a ConfigurationSpace.
        workers: The number of trials that you expect to have open at a time, 1 by default; you may
            ask for more trials. This number determines how long a trial may wait for its proposal.
        quiet: Print no hints, and show no progress in a notebook.

    Returns:
        The study, which locks its directory until the study is closed.

    Raises:
        AshtuneError: If an argument is wrong.

    Example:
        >>> with open_study(
        ...     {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=9
        ... ) as study:
        ...     while trial := study.ask():
        ...         answer = study.tell(trial, loss=(trial["x"] - 0.5) ** 2 / trial.target)
        >>> study.read().is_complete
        True
    """
    check_flag("watch", watch)
    return _open(**flat(locals()))


def _open(
    space: Any,
    *,
    metric: str | Sequence[str],
    mode: Mode | Sequence[Mode],
    **given: Unpack[TuneOptions],
) -> OpenStudy:
    options = checked(TuneOptions, given)
    directory = options["directory"]
    path = place_for(directory, "study")
    name = "study" if directory is None else os.path.basename(os.path.realpath(path))  # noqa: PTH119 - it may be a loop
    request = study_request(space, metric, mode, options, path=path, name=name, given=given)
    engine = OwnLoopEngine()
    with ExitStack() as stack:
        session = stack.enter_context(open_session(path, request, options, engine))
        drive = stack.enter_context(session.open())
        return OpenStudy(
            session.directory, drive, engine.workers, stack.pop_all(), quiet=options["quiet"]
        )
