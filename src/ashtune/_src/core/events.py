"""Events: the facts a study is made of, past tense.

They are at once the messages of workers, the lines of the journal and the input of the controller. ``time`` is in
seconds since the study began, as the engine stamps it on receipt; a worker leaves it at 0.

Rule: a field is never renamed or reused; a journal written today must be read for years.
"""

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
"""Jobs that a worker may take at a time."""
_Places = Annotated[int, msgspec.Meta(ge=0, le=MOST_PLACES)]
_Int = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
if TYPE_CHECKING:
    _Value: TypeAlias = Any
else:
    _Value = str | _Int | float | bool | list[Any] | None
_Configuration = Annotated[dict[str, _Value], msgspec.Meta(min_length=1)]
UnixSeconds = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, up to the end of the year 9999: what a calendar can show."""

Curve = list[tuple[_Whole, dict[str, float | None]]]
"""Reports before the last one of a job: (resource, metrics)."""


def _tag(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class _Fact(msgspec.Struct, frozen=True, tag_field="event", tag=_tag, omit_defaults=True, gc=False):
    time: _Seconds


NO_REASON = "no reason given"
PROGRAM = "program"
"""The fact of a session whose training function is a program: its command."""


class SessionStarted(_Fact, frozen=True):
    """A driver opened the study; whatever an earlier driver had running is to be given out again.

    ``max_failures``: the number of failures, before any result, at which it stops. ``target`` is by metric where the
    study has several objectives. ``patience``: the number of results at the top rung in a row, none of them better, at
    which the search ends; ``stop_when``: what the search has to be worth. ``facts`` says what the session runs on and
    with, for a person. ``rungs`` and ``kept`` are the record of the ladder from now on, where it got more rungs above.
    ``objective`` is the version of the training function. ``control``: the driver listens to commands.
    """

    unix_time: UnixSeconds
    version: str
    host: str
    pid: _Whole
    trials: _Whole | None = None
    total_resource: _Whole | None = None
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
    """A new trial has its configuration.

    ``origin`` says who proposed it: "enqueued" is the user, and "" the study's design. ``confirms`` is the trial whose
    configuration it has, if it confirms one: it goes to the top rung at once and ranks nowhere.
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
    """A trial was trained to its rung's resource; the result counts from here on.

    It went from resource ``start`` (0: from the beginning) to ``resource``. ``held``: the worker waits, the trial still
    in its memory, to hear whether it goes on in place. Otherwise the worker is free, and ``checkpoint`` is the size in
    bytes of what was saved, if any. ``stopped``: the training function ended the trial on purpose, for good.
    """

    metrics: dict[str, float | None]
    held: bool = False
    stopped: bool = False


class TrialReleased(_Fact, frozen=True, kw_only=True):
    """A worker forgot a trial that it held; ``checkpoint`` is the bytes saved, None for nothing.

    ``problem`` is why saving failed, or what else went wrong after the result, which stands.
    """

    worker: _Worker
    trial: _Trial
    resource: _Whole
    seconds: _Seconds
    checkpoint: _Whole | None = None
    problem: str = ""


class JobPaused(_OfTraining, frozen=True, kw_only=True):
    """A job was broken off between two epochs, at ``resource``, because the study is stopping or paused."""


class JobFailed(_OfJob, frozen=True, kw_only=True):
    """The training function raised, gave no result, or ran over its time: the trial fails."""

    reason: str
    traceback: str = ""


class TrialWithdrawn(_OfJob, frozen=True, kw_only=True):
    """The training function refused its configuration; another takes its place."""

    reason: str = NO_REASON


class WorkerLost(_Fact, frozen=True, kw_only=True):
    """A worker is gone without a word; its job (``trial``, ``rung``), if any, goes back.

    ``is_fatal``: the trial is known to be the cause, as when it ran over its time, and fails.
    ``last_words`` is the end of what the worker printed. ``is_dismissed``: it had done, and there were to be fewer.
    """

    worker: _Worker
    reason: str
    trial: _Trial | None = None
    rung: _Rung = 0
    is_fatal: bool = False
    last_words: str = ""
    is_dismissed: bool = False


class PlacesChanged(_Fact, frozen=True):
    """The number of jobs that a worker takes at a time from now on, as it trains them together; 1 at first."""

    worker: _Worker
    places: _Places


class ProgramCompiled(_Fact, frozen=True, kw_only=True):
    """A worker compiled a program of some ``lanes``, or waited for another that did, and loaded it.

    No job counts that time. ``shape`` names the static hyperparameters.
    """

    worker: _Worker
    seconds: _Seconds
    lanes: _Whole
    shape: dict[str, Any]


class StopRequested(_Fact, frozen=True):
    """Someone or something outside asked the study to stop: Ctrl-C, a signal, a time limit.

    ``ends_search``: only the search ends; what is to be confirmed is still trained.
    """

    reason: str
    ends_search: bool = False


class StudyPaused(_Fact, frozen=True):
    """The user wants no job to begin until :class:`StudyContinued`, or until the next session; what runs is paused."""


class StudyContinued(_Fact, frozen=True):
    """The user wants a study that is paused to go on."""


class TrialsExtended(_Fact, frozen=True):
    """The user wants more trials: the number that may be started in all, in later sessions too."""

    trials: _Whole


class ConfigurationEnqueued(_Fact, frozen=True):
    """The user wants a configuration tried: the next new trial has it, after those that were enqueued before."""

    configuration: _Configuration


class WorkersChanged(_Fact, frozen=True):
    """The number of workers that the user wants until the end of the session."""

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
    """A report between rungs, sent now and then: no event, and never in the journal."""

    worker: WorkerId
    trial: TrialId
    resource: int
    metrics: dict[str, float | None]


def with_time(event: Event, time: float) -> Event:
    """Return the event with the time at which the engine received it."""
    return msgspec.structs.replace(event, time=time)
