"""Events are facts about what happened in a study.

Events are the messages that workers send, the lines of the journal, and the input of the
controller. ``time`` is in seconds since the study began. A worker sends ``time`` 0. The engine sets
the time when the event arrives.

Rule: a field of an event is never renamed or reused, because later versions must be able to read
today's journals.
"""

# The reader enforces the bounds below, because a journal may be damaged or from a stranger, and a
# reader keeps arrays with one entry for each trial, rung and worker. A trial number of 10**18 would
# use up all memory. Numbers above 2**53 lose digits in programs that read JSON numbers as floats.

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from ashtune._src.core.confirm import Confirm
from ashtune._src.core.enough import NotWorthIt
from ashtune._src.core.jobs import TrialId, WorkerId

_Trial = Annotated[TrialId, msgspec.Meta(ge=0, lt=1 << 31)]
_Worker = Annotated[WorkerId, msgspec.Meta(ge=0, lt=1 << 31)]
_Rung = Annotated[int, msgspec.Meta(ge=0, lt=1 << 15)]
_Whole = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
MOST_PLACES = 1 << 18
"""The maximum number of jobs that a worker may train at the same time."""
_Places = Annotated[int, msgspec.Meta(ge=0, le=MOST_PLACES)]
_Int = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
if TYPE_CHECKING:
    _Value: TypeAlias = Any
else:
    _Value = str | _Int | float | bool | list[Any] | None
_Configuration = Annotated[dict[str, _Value], msgspec.Meta(min_length=1)]
UnixSeconds = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, up to the end of the year 9999."""

Curve = list[tuple[_Whole, dict[str, float | None]]]
"""All reports of a job before its last report: (resource, metrics)."""


def _tag(name: str) -> str:
    return re.sub(r"\B(?=[A-Z])", "_", name).lower()


# Python's garbage collector need not visit events (``gc=False``), as they form no cycles.
class _Fact(msgspec.Struct, frozen=True, tag_field="event", tag=_tag, omit_defaults=True, gc=False):
    time: _Seconds


NO_REASON = "no reason given"
PROGRAM = "program"
"""The key in ``facts`` under which a session stores the command of its
external training program.
"""


class SessionStarted(_Fact, frozen=True):
    """A driver opened the study. Jobs that ran under an earlier driver are started again.

    ``target`` has a value for each metric if the study has several objectives. The study stops
    after ``max_failures`` failures before its first result in a session. The study also stops if
    promoted trials fail in a row for the same reason: at least five, and at least a quarter of
    ``max_failures``. These failures count only until a trial that continued in the same way (in
    memory, or from its checkpoint) has a result. The search ends after ``patience`` results in a
    row at the top rung without an improvement, when the rule ``stop_when`` is met, or when workers
    were present for ``budget`` seconds, summed over workers and sessions. ``facts`` describes the
    machine and the settings of the session for a human reader. If the user added rungs at the top,
    ``rungs`` and ``kept`` are the record of the longer ladder. ``objective`` identifies the version
    of the training function. ``control`` means that the driver accepts commands.
    """

    unix_time: UnixSeconds
    version: str
    host: str
    pid: _Whole
    trials: _Whole | None = None
    total_resource: _Whole | None = None
    budget: _Seconds | None = None
    target: float | dict[str, float] | None = None
    max_failures: _Whole | None = None
    patience: _Whole | None = None
    stop_when: NotWorthIt | None = None
    confirm: Confirm | None = None
    facts: dict[str, str] = msgspec.field(default_factory=dict)
    rungs: tuple[int, ...] = ()
    kept: tuple[tuple[int, int], ...] = ()
    objective: dict[str, str] = msgspec.field(default_factory=dict)
    control: bool = False


class WorkerJoined(_Fact, frozen=True):
    """A worker is ready for its first job."""

    worker: _Worker
    pid: _Whole = 0
    host: str = ""


class TrialStarted(_Fact, frozen=True):
    """A new trial has got its configuration.

    ``origin`` says who proposed the configuration: "enqueued" means the user, and "" means the
    study's design. If ``confirms`` is set, the new trial confirms the trial ``confirms`` with the
    same configuration, and is not ranked.
    """

    trial: _Trial
    configuration: _Configuration
    origin: str = ""
    confirms: _Trial | None = None


class _OfJob(_Fact, frozen=True, kw_only=True):
    worker: _Worker
    trial: _Trial
    rung: _Rung
    seconds: _Seconds


class _OfTraining(_OfJob, frozen=True, kw_only=True):
    resource: _Whole
    start: _Whole = 0
    curve: Curve = msgspec.field(default_factory=list)
    checkpoint: _Whole | None = None
    problem: str = ""


class JobFinished(_OfTraining, frozen=True, kw_only=True):
    """A trial was trained up to the resource of its rung, and has a result at this rung.

    The job trained from resource ``start`` (0: from the beginning) to ``resource``. If ``held``,
    the worker has the trial in memory and waits for the next order. If not ``held``, the worker is
    free, and ``checkpoint`` is the checkpoint's size in bytes or None. If ``stopped``, the training
    function ended the trial early. ``memory_share`` is the most memory that the worker held during
    the job, as a fraction of its ``memory_limit``; 0 if unknown.
    """

    metrics: dict[str, float | None]
    held: bool = False
    stopped: bool = False
    memory_share: Annotated[float, msgspec.Meta(ge=0, le=1e18)] = 0.0


class TrialReleased(_Fact, frozen=True, kw_only=True):
    """A worker removed a trial from its memory. ``checkpoint`` is the number of saved bytes, None
    if nothing was saved.

    ``problem`` says what failed after the trial's result, such as the saving of a checkpoint. The
    result stays valid.
    """

    worker: _Worker
    trial: _Trial
    resource: _Whole
    seconds: _Seconds
    checkpoint: _Whole | None = None
    problem: str = ""


class JobPaused(_OfTraining, frozen=True, kw_only=True):
    """A job was interrupted between two epochs, at ``resource``, because the study or the worker
    stops or pauses.
    """


class JobFailed(_OfJob, frozen=True, kw_only=True):
    """A trial failed: the training function raised, returned no result, or
    exceeded its time limit.
    """

    reason: str
    traceback: str = ""
    is_out_of_memory: bool = False


class TrialWithdrawn(_OfJob, frozen=True, kw_only=True):
    """The training function refused the configuration of its trial, and a new trial will replace
    this trial.
    """

    reason: str = NO_REASON


class WorkerLost(_Fact, frozen=True, kw_only=True):
    """A worker ended. If the worker had a job (``trial``, ``rung``), the job is started again.

    If ``is_fatal``, the trial ended the worker, for example by exceeding its time limit, and the
    trial therefore fails. ``last_words`` is the last part of the worker's output. If
    ``is_dismissed``, the worker was asked to end, or ended as planned. If ``is_out_of_memory``, the
    worker exceeded its memory limit, or was killed because no memory was left.
    """

    worker: _Worker
    reason: str
    trial: _Trial | None = None
    rung: _Rung = 0
    is_fatal: bool = False
    last_words: str = ""
    is_dismissed: bool = False
    is_out_of_memory: bool = False


class PlacesChanged(_Fact, frozen=True):
    """A worker now trains up to ``places`` jobs at the same time. A new worker trains one job."""

    worker: _Worker
    places: _Places


class ProgramCompiled(_Fact, frozen=True, kw_only=True):
    """A worker compiled a program for ``lanes`` lanes.

    A program that is loaded from a cache has no event.

    The compile time ``seconds`` belongs to no job. ``shape`` has the values of the static
    hyperparameters.
    """

    worker: _Worker
    seconds: _Seconds
    lanes: _Whole
    shape: dict[str, Any]


class StopRequested(_Fact, frozen=True):
    """Ctrl-C, a signal, a time limit or a command asked the study to stop.

    If ``ends_search``, only the search ends, and the best configurations are still confirmed.
    """

    reason: str
    ends_search: bool = False


class StudyPaused(_Fact, frozen=True):
    """The user paused the study: running jobs are paused, and no job begins until
    :class:`StudyContinued`.

    A new session also ends the pause.
    """


class StudyContinued(_Fact, frozen=True):
    """The user continued a paused study."""


class TrialsExtended(_Fact, frozen=True):
    """The user raised the total number of trials to ``trials``, for this and all later sessions."""

    trials: _Whole


class ConfigurationEnqueued(_Fact, frozen=True):
    """The user enqueued a configuration. New trials get enqueued configurations first, in the order
    of enqueueing.
    """

    configuration: _Configuration


class WorkersChanged(_Fact, frozen=True):
    """The user changed the number of workers until the end of the session."""

    workers: _Places


Event = (
    SessionStarted
    | WorkerJoined
    | TrialStarted
    | JobFinished
    | TrialReleased
    | JobPaused
    | JobFailed
    | TrialWithdrawn
    | WorkerLost
    | PlacesChanged
    | ProgramCompiled
    | StopRequested
    | StudyPaused
    | StudyContinued
    | TrialsExtended
    | ConfigurationEnqueued
    | WorkersChanged
)


class Progress(msgspec.Struct, frozen=True, tag_field="event", tag="progress"):
    """A worker's report between two rungs. A report is not an event, is not in the journal, and is
    not always sent.
    """

    worker: WorkerId
    trial: TrialId
    resource: int
    metrics: dict[str, float | None]
