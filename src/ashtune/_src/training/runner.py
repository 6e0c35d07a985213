"""Runs the training function for an assignment. Exceptions are reported to the driver and do not
end the worker.
"""

# The order of the steps in run() matters. The checkpoint is committed after all ranks have left the
# function, since all ranks write into the same folder. The outcome is sent after the commit,
# because another worker may get the trial as soon as the driver has the message. After an
# exception, this rank first leaves the process group, because other ranks may wait for this rank in
# a collective operation. Then it waits for the driver's answer to an earlier result, because
# otherwise this answer would be mistaken for an answer to the next job.

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable

import msgspec

from ashtune._src.core import process
from ashtune._src.core.errors import CheckpointUnread, ObjectiveError
from ashtune._src.core.plaintext import error_line
from ashtune._src.study.checkpoints import Checkpoints, CheckpointWriter
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.study.remote import Patience
from ashtune._src.training.job import RunningJob
from ashtune._src.training.objectives import Objective
from ashtune._src.training.outcomes import REASON_CHARACTERS, Outcomes
from ashtune._src.training.ranks_of_trial import OtherRanks, Ranks
from ashtune._src.training.stateful import StatefulObjects
from ashtune._src.training.trial import CURRENT_TRIAL, Trial
from ashtune._src.training.worker_messages import (
    Assignment,
    Mailbox,
    Setup,
    Shutdown,
    Unsure,
    Waiting,
)


class Runner(Protocol):
    """Runs assignments in a worker."""

    def run(self, assignment: Assignment) -> None:
        """Train a trial, and send the outcome to the driver."""


@runtime_checkable
class HasRunner(Protocol):
    """A training function that trains several trials at a time and provides its own runner."""

    def make_runner(
        self,
        setup: Setup,
        mailbox: Mailbox,
        *,
        file: str,
        profiler: AbstractContextManager[None] | None,
    ) -> Runner:
        """Return a runner for a worker."""


class PreparedTrial(NamedTuple):
    """A trial to train, with its job, its checkpoint and its objects."""

    trial: Trial
    job: RunningJob
    writer: CheckpointWriter
    objects: StatefulObjects


def patience_of(setup: Setup, mailbox: Mailbox) -> Patience:
    """Return the object that defines how a worker waits for a store. The driver tells the user
    about the wait, and can order the worker to stop.
    """
    return Patience(mailbox.is_to_end, lambda text: mailbox.send(Waiting(setup.worker, text)))


def prepare_trial(
    assignment: Assignment,
    setup: Setup,
    mailbox: Mailbox,
    checkpoints: Checkpoints,
    *,
    ranks: Ranks | None = None,
    clock: Callable[[], float] = time.perf_counter,
    saving_clock: Callable[[], float] | None = None,
) -> PreparedTrial:
    """Return the trial of an assignment, ready for the training function, and start the job's
    clock.

    ``saving_clock`` decides whether the checkpoint is synced. By default it is ``clock``.
    """
    writer = CheckpointWriter(
        checkpoints,
        assignment.trial,
        assignment.start,
        worker=setup.worker,
        size=assignment.size,
        clock=saving_clock or clock,
    )
    start = assignment.start if writer.exists else 0
    job = RunningJob(assignment, setup, mailbox, start=start, clock=clock)
    job.must_restore = start > 0
    configuration = msgspec.msgpack.decode(assignment.configuration)
    objects = StatefulObjects(job, writer)
    return PreparedTrial(
        Trial(assignment.trial, configuration, job, writer, objects, ranks=ranks),
        job,
        writer,
        objects,
    )


class TrialRunner:
    """Runs assignments one after another.

    ``file`` is the training function's file, shown in tracebacks. The profiler runs during the
    training and the writing of the checkpoint.
    """

    def __init__(
        self,
        objective: Objective,
        setup: Setup,
        mailbox: Mailbox,
        *,
        file: str = "",
        profiler: AbstractContextManager[None] | None = None,
        others: OtherRanks | None = None,
        disk: Disk = DISK,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._others = others
        self._ranks = Ranks() if others is None else others.ranks
        self._objective = objective
        self._clock = clock
        self._outcomes = Outcomes(mailbox, file)
        self._setup = setup
        self._mailbox = mailbox
        self._profiler = profiler or nullcontext()
        self._checkpoints = Checkpoints(Path(setup.study), disk, patience_of(setup, mailbox))

    def run(self, assignment: Assignment) -> None:
        """Train one trial, and send the outcome to the driver."""
        prepared = prepare_trial(
            assignment,
            self._setup,
            self._mailbox,
            self._checkpoints,
            ranks=self._ranks,
            clock=self._clock,
        )
        trial, job, writer, objects = prepared
        others = self._others
        are_whole = True
        try:
            with self._profiler:
                if others is not None:
                    try:
                        folder = writer.directory()
                    except CheckpointUnread:
                        job.begin_again()
                        writer.forget_earlier()
                        folder = writer.directory()
                    others.begin(msgspec.structs.replace(assignment, start=job.start), str(folder))
                    job.agree = partial(others.agree, job)
                returned = call_objective(self._objective, trial, job, writer, objects)
                if others is not None:
                    problem = others.finish()
                    if problem:
                        writer.fail(problem)
                remark = job.conclude(returned)
                # An exception from a thread of the function may have interrupted the exchange of
                # messages.
                if not self._mailbox.is_sure:
                    raise Unsure
                self._outcomes.tell_end(job, writer, remark)
        except (Shutdown, Unsure):
            raise
        except BaseException as error:  # noqa: BLE001 - any exception of user code is this trial's failure
            self._check_sure(error)
            failed = (
                None if others is None else others.failure(error_line(error, REASON_CHARACTERS))
            )
            # Ends the process group, so that a rank that waits for this one in a collective
            # operation gets an error and does not hang.
            self._ranks.leave()
            are_whole = others is None or others.stop()
            self._hear_out(job)
            if failed is None:
                self._outcomes.tell_error(job, error, writer)
            else:
                self._outcomes.tell_failure(failed, job, writer)
        finally:
            writer.abandon()
            self._ranks.leave()
        if not are_whole:
            raise Unsure("other ranks still train after a failure")

    def _hear_out(self, job: RunningJob) -> None:
        """Wait for the driver's answer to a result, even after an exception. Until then, no other
        message may be sent.
        """
        while job.phase == "reported":
            try:
                job.await_answer()
            except (Shutdown, Unsure):
                raise
            except BaseException as error:  # noqa: BLE001 - raised by the function's handlers or threads
                self._check_sure(error)
        job.await_answer()

    def _check_sure(self, error: BaseException) -> None:
        """End the worker if it is unknown what the driver has received."""
        if self._mailbox.is_sure:
            return
        # The driver has ended, so no message can be lost any more.
        if isinstance(error, ConnectionError):
            raise error
        raise Unsure from error


def call_objective(
    objective: Objective,
    trial: Trial,
    job: RunningJob,
    writer: CheckpointWriter,
    objects: StatefulObjects,
) -> Any:
    """Call the training function, then save the objects that it passed to the trial.

    If the function has forked, a child process that returns from the function is ended.
    """
    own_pid = process.pid
    token = CURRENT_TRIAL.set(trial)
    try:
        try:
            returned = objective(trial)
        except CheckpointUnread:
            if not (job.begin_again() and writer.forget_earlier()):
                raise
            objects.forget()
            returned = objective(trial)
    except BaseException:
        if process.pid != own_pid:
            traceback.print_exc()
            _leave(1)
        raise
    finally:
        CURRENT_TRIAL.reset(token)
    if process.pid != own_pid:
        _leave(0)
    objects.save()
    return returned


def _leave(status: int) -> NoReturn:
    """End a process that the training function forked, because this process must not use the
    worker's connection.
    """
    sys.stderr.write(
        "a process that the training function forked returned from the function, and now ends\n"
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def runner_of(
    objective: Objective,
    setup: Setup,
    mailbox: Mailbox,
    *,
    file: str = "",
    profiler: AbstractContextManager[None] | None = None,
    others: OtherRanks | None = None,
) -> Runner:
    """Return the training function's own runner if it has one, otherwise a :class:`TrialRunner`.

    Raises:
        ObjectiveError: If a trial has several ranks, and the training function is a program or has
            its own runner.
    """
    if others is not None:
        from ashtune._src.training.program import Program

        if isinstance(objective, HasRunner | Program):
            raise ObjectiveError(
                "this training function works only with one process for each trial; give tune() "
                "one process for each trial, or run a program that starts several, as in: ashtune "
                "run ... -- torchrun --standalone --nproc-per-node 2 train.py"
            )
    if isinstance(objective, HasRunner):
        return objective.make_runner(setup, mailbox, file=file, profiler=profiler)
    return TrialRunner(objective, setup, mailbox, file=file, profiler=profiler, others=others)
