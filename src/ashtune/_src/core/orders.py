"""Orders tell an engine what to do.

Verdicts say which trials failed and why, and which trials were promoted.

The journal contains no orders and verdicts, because a replay of the journal's events gives the same
orders and verdicts. Observers receive orders and verdicts.
"""

import re

import msgspec

from ashtune._src.core.events import JobFailed, WorkerLost
from ashtune._src.core.jobs import Job, TrialId, WorkerId

OUT_OF_MEMORY = "out of memory"
"""The reasons of all trials that ran out of memory begin with this text."""


class Train(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order to train a trial from resource ``start`` up to resource ``target``.

    With ``in_place``, the worker continues the trial that it has in memory. Without ``in_place``,
    the worker restores the checkpoint at ``start``, which has ``size`` bytes. If ``start`` is 0,
    the worker begins a new training. If the trial confirms another trial, ``confirms`` is the
    number of the other trial. If ``alone``, no other job may run beside this job, because the trial
    ran out of memory before.
    """

    worker: WorkerId
    trial: TrialId
    rung: int
    start: int
    target: int
    in_place: bool = False
    size: int | None = None
    confirms: TrialId | None = None
    alone: bool = False


class Release(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order to remove a trial from the worker's memory. If ``keep``, the worker saves the trial
    first.
    """

    worker: WorkerId
    trial: TrialId
    keep: bool = True


class Pause(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order to interrupt the running job after the current epoch, to save the trial, and to free
    the worker.

    If ``at_once``, the study is being stopped, and the worker does not wait for a checkpoint store
    that does not answer.
    """

    worker: WorkerId
    trial: TrialId
    at_once: bool = False


class Discard(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order to delete the trial's checkpoint at ``resource``."""

    trial: TrialId
    resource: int


class TrialFailed(msgspec.Struct, frozen=True, gc=False):
    """A trial failed in its job for ``rung`` and is not trained again.

    A trial fails if its training function raises or exceeds its time limit, or if the worker dies
    because of the trial. ``traceback`` is the end of the traceback or of the worker's output, or ""
    if unknown.
    """

    trial: TrialId
    rung: int
    reason: str
    traceback: str = ""
    is_out_of_memory: bool = False

    @classmethod
    def of(cls, job: Job, event: JobFailed | WorkerLost) -> "TrialFailed":
        """Return the verdict on a job that failed with an event."""
        reason = event.reason
        if isinstance(event, WorkerLost):
            details = event.last_words
            reason = f"worker lost: {reason}"
        else:
            details = event.traceback
        if event.is_out_of_memory:
            reason = f"{OUT_OF_MEMORY}: {event.reason}"
        return cls(job.trial, job.rung, reason, details, event.is_out_of_memory)


class TrialPromoted(msgspec.Struct, frozen=True, gc=False):
    """A trial with a result at ``rung`` was promoted to the rung ``to``."""

    trial: TrialId
    rung: int
    to: int


Order = Train | Release | Pause | Discard
Verdict = TrialFailed | TrialPromoted
Followed = Order | Verdict
"""An order or a verdict."""


# A study stops if promoted trials fail for the same reason. Failures at epochs 7 and 9 must then
# have the same reason. A journal is replayed with this rule, so a changed rule would end old
# studies at another event. Views group by ``template``, which may change.
_A_DECIMAL = re.compile(r"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|(?<=\btrial )\d+")
_A_NUMBER = re.compile(r"(?<!signal )(?<!status )\b\d[\d,]*")
_OURS = re.compile(r"(?:Objective|Space|Settings|Study)Error: |.* is not finite ")
"""The beginnings of failure messages from this package."""


def without_numbers(reason: str) -> str:
    """Replace decimals and trial numbers in a failure reason by "_", so that similar reasons become
    equal.

    Other whole numbers are replaced only in messages of this package, where whole numbers count
    epochs or bytes. In messages from other code, a whole number may be an error code. Signal
    numbers and exit statuses are not replaced. All reasons of trials that ran out of memory become
    equal.
    """
    if reason.startswith(f"{OUT_OF_MEMORY}: "):
        return OUT_OF_MEMORY
    reason = _A_DECIMAL.sub("_", reason)
    if _OURS.match(reason):
        return _A_NUMBER.sub("_", reason)
    return reason


# The same time-out comes from node3 and node7, of cuda:0 and cuda:1. A number that belongs to a
# word is a name, and a number alone may be an error code. The number in the name of a type is kept:
# "expected float32, found float16" is another mistake than the reverse. The bounds of 40 keep the
# time linear in the length of a reason.
_A_PLACE = re.compile(
    r"\b[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}\b"  # a UUID
    r"|\b0[xX][\da-fA-F]+\b"
    r"|\b(?=[a-f]{0,40}\d)(?=\d{0,40}[a-f])[\da-f]{7,}\b"  # a hash
    r"|(?<=/)[^/\s'\",:;)\]]*\d[^/\s'\",:;)\]]*"  # a part of a path
    r"|\b\d+(?:\.\d+){3}(?::\d+)?\b"
    r"|\b(?!(?:b?f(?:loat|p)?|tf|u?int|[iu]|complex)\d+\b)"
    r"(?!(?i:status|signal|errno|error|code|http)\b)"
    r"[A-Za-z][\w-]{0,40}?[-_:]?\d+(?::\d+)?\b"
)


def template(reason: str) -> str:
    """If failures have the same cause, their messages may differ in details. Replace such details
    by "_": the numbers of :func:`without_numbers`, and machines, devices, addresses, hashes, UUIDs
    and parts of paths that have a number.
    """
    return without_numbers(_A_PLACE.sub("_", reason))
