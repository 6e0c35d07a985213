"""What becomes of a job, told to the driver: a result, a trial let go of, a job broken off, a failure.

Rule: what goes wrong after the result was reported, as in saving, does not touch the result.
"""

import traceback

from ashtune.errors import InvalidConfiguration
from ashtune.study.checkpoints import CheckpointWriter
from ashtune.training.desk import Tray
from ashtune.training.job import RunningJob
from ashtune.training.messages import Broken
from ashtune.training.reports import MetricMissing

TRACEBACK_CHARACTERS = 8_000
NAMELESS = "<dynamic-code>"


class Outcomes:
    """Tells the driver, for one worker.

    Args:
        desk: The connection to the driver.
        file: Where the training function stands, for its tracebacks.
    """

    def __init__(self, desk: Tray, file: str = "") -> None:
        self._desk = desk
        self._file = file
        self._has_a_result = False

    def ended(self, job: RunningJob, writer: CheckpointWriter) -> None:
        """It has ended by itself: keep what was saved, and send what is still owed."""
        match job.phase:
            case "training":
                if complaint := job.reports.complaint:
                    self._desk.send(job.failed(complaint))
                else:
                    checkpoint = writer.commit(job.reports.last_resource)
                    writer.abandon()
                    self._desk.send(job.finished(checkpoint=checkpoint, problem=writer.problem))
            case "releasing":
                checkpoint = writer.commit(job.target) if job.is_kept else None
                writer.abandon()  # before anyone else may be given this trial
                self._desk.send(job.released(checkpoint=checkpoint, problem=writer.problem))
            case "pausing":
                checkpoint = writer.commit(job.epoch or job.start)
                writer.abandon()
                self._desk.send(job.paused(checkpoint=checkpoint, problem=writer.problem))
            case "failed":
                return
        self._has_a_result = True

    def failed(self, job: RunningJob, error: BaseException, writer: CheckpointWriter) -> None:
        """An exception ended it: of the training, or of letting go of a trial."""
        writer.abandon()  # before anyone else may be given this trial
        reason = _reason(error)
        match job.phase:
            case "training":
                if isinstance(error, InvalidConfiguration):
                    self._desk.send(job.withdrawn(reason.partition(": ")[2]))
                elif isinstance(error, MetricMissing) and not self._has_a_result:
                    self._desk.send(Broken(job.worker, str(error), failure=job.failed(reason)))
                else:
                    self._desk.send(job.failed(reason, _user_traceback(error, self._file)))
            case "releasing":
                self._desk.send(job.released(problem=reason))
            case "pausing":
                self._desk.send(job.paused(problem=reason))
            case "failed":
                return


def _reason(error: BaseException) -> str:
    """Return an exception on one line, in text that any encoding takes."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__
        text = "(its text cannot be shown)"
    return " ".join(_sendable(f"{type(error).__name__}: {text}").split())


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _user_traceback(error: BaseException, file: str) -> str:
    """Return the traceback from the training function on, without this package's own frames."""
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    text = "".join(traceback.format_exception(type(error), error, inner))
    if file:
        text = text.replace(NAMELESS, file)  # what cloudpickle calls the file of a function sent by value
    return _sendable(text[-TRACEBACK_CHARACTERS:])
