"""Reports the end of a job to the driver: a result, a released trial, a pause, or a failure.

An error after the result was reported, for instance an error while saving, does not change the
result.
"""

import traceback

from ashtune._src.core.errors import (
    AshtuneError,
    CannotGoOn,
    InvalidConfiguration,
    ObjectiveError,
    ProgramFailed,
)
from ashtune._src.core.events import NO_REASON
from ashtune._src.core.plaintext import error_line, one_line, visible
from ashtune._src.core.words import NoSuchName
from ashtune._src.pickles.arrival import NAMELESS
from ashtune._src.study.checkpoints import CheckpointWriter
from ashtune._src.training.job import RunningJob
from ashtune._src.training.reports import MetricMissing, NoSuchAttribute
from ashtune._src.training.worker_messages import Broken, Failure, Mailbox

TRACEBACK_CHARACTERS = 8_000
REASON_CHARACTERS = 1_000
_OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
"""The names of exception classes. Names are used, because the libraries may not be installed."""
_OUT_OF_MEMORY_WORDS = (
    "RESOURCE_EXHAUSTED",
    "CUDA error: out of memory",
    "DefaultCPUAllocator: can't allocate memory",
)
"""If no memory is left, JAX and PyTorch raise a RuntimeError, or a subclass of it, with one of
these texts.
"""


class Outcomes:
    """Reports to the driver how a worker's jobs end. ``file`` is the training function's file, for
    tracebacks.
    """

    def __init__(self, mailbox: Mailbox, file: str = "") -> None:
        self._mailbox = mailbox
        self._file = file
        self._has_a_result = False

    def tell_end(self, job: RunningJob, writer: CheckpointWriter, remark: str = "") -> None:
        """Commit the checkpoint, and report a job that ended without an error. ``remark`` is about
        the result.
        """
        match job.phase:
            case "training":
                complaint = job.reports.complaint
                if complaint:
                    job.say(job.failed(Failure(complaint)), "over")
                    return
                checkpoint = writer.commit(job.reports.last_resource)
                writer.abandon()
                job.say(job.finished(checkpoint=checkpoint, problem=_problem(writer)), "over")
            case "releasing":
                checkpoint = writer.commit(job.target) if job.is_kept else None
                # Must come before the message: after it, another worker may get this trial and its
                # folder.
                writer.abandon()
                job.say(
                    job.released(checkpoint=checkpoint, problem=_problem(writer) or remark), "over"
                )
            case "pausing":
                checkpoint = writer.commit(job.epoch or job.start)
                writer.abandon()
                job.say(job.paused(checkpoint=checkpoint, problem=_problem(writer)), "over")
            case _:
                return
        self._has_a_result = True

    def tell_error(self, job: RunningJob, error: BaseException, writer: CheckpointWriter) -> None:
        """Report an exception that ended the training or the release of a trial."""
        reason = error_line(error, REASON_CHARACTERS)
        # Must come before the message: after it, another worker may get this trial and its folder.
        writer.abandon()
        if job.phase == "training" and isinstance(error, InvalidConfiguration):
            job.say(job.withdrawn(reason.partition(": ")[2] or NO_REASON), "over")
        elif job.phase == "training" and isinstance(error, CannotGoOn):
            job.say(Broken(job.worker, one_line(str(error), REASON_CHARACTERS)), "over")
        elif job.phase == "training" and not self._has_a_result and _is_misuse(error, job):
            why = one_line(str(error), REASON_CHARACTERS)
            job.say(Broken(job.worker, why, failure=job.failed(Failure(reason))), "over")
        else:
            self.tell_failure(failure_of(error, self._file), job, writer)

    def tell_failure(self, failure: Failure, job: RunningJob, writer: CheckpointWriter) -> None:
        """Report that the training or the release of a trial failed."""
        # Must come before the message: after it, another worker may get this trial and its folder.
        writer.abandon()
        match job.phase:
            case "training":
                job.say(job.failed(failure), "over")
            case "releasing":
                job.say(job.released(problem=failure.reason), "over")
            case "pausing":
                job.say(job.paused(problem=failure.reason), "over")
            case _:
                return


def _is_misuse(error: BaseException, job: RunningJob) -> bool:
    """Return whether every trial would fail for the same reason: a metric, an attribute of the
    trial or a name of ashtune is missing, or a new trial failed before training.
    """
    if isinstance(error, MetricMissing | NoSuchAttribute | NoSuchName):
        return True
    is_ours = isinstance(error, ObjectiveError) and not isinstance(error, ProgramFailed)
    return is_ours and not (job.start or job.has_trained)


def failure_of(error: BaseException, file: str) -> Failure:
    """Convert an exception to a failure. ``file`` is the training function's file, for the
    traceback.
    """
    return Failure(
        error_line(error, REASON_CHARACTERS), _user_traceback(error, file), _is_out_of_memory(error)
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, NumPy, PyTorch, JAX, TensorFlow or CuPy says that no
    memory was left.
    """
    if any(kind.__name__ in _OUT_OF_MEMORY for kind in type(error).__mro__):
        return True
    text = error_line(error, REASON_CHARACTERS)
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY_WORDS)


def _problem(writer: CheckpointWriter) -> str:
    return one_line(writer.problem, REASON_CHARACTERS) if writer.problem else ""


def _user_traceback(error: BaseException, file: str) -> str:
    """Return the traceback without frames of this package. If no frame is left and the error is
    ashtune's own, return "".
    """
    described = traceback.TracebackException(type(error), error, error.__traceback__)
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    described.stack[:] = [
        line
        for line, frame in zip(described.stack, frames, strict=False)
        if not f"{frame.f_globals.get('__package__')}.".startswith(f"{__package__}.")
    ]
    if not described.stack and isinstance(error, AshtuneError):
        return ""
    text = "".join(described.format())
    if file:
        text = text.replace(NAMELESS, file)
    # Passwords are removed before the text is shortened. Otherwise the end of an address, with its
    # password, could be left.
    return visible(text, keeps_newlines=True)[-TRACEBACK_CHARACTERS:]
