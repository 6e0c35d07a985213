"""What a driver and a worker say to each other, over any transport.

To a worker go :class:`Setup` once, then :class:`Assignment`, and the orders
:class:`~ashtune.core.orders.Release` and :class:`~ashtune.core.orders.Pause`. Back come events as they go
into the journal, and three things that do not:
:class:`~ashtune.core.events.Progress`, :class:`Alone` and :class:`Broken`.
"""

import msgspec

from ashtune.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    Progress,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
)
from ashtune.core.jobs import Goal, TrialId, WorkerId
from ashtune.core.orders import Pause, Release


class Setup(msgspec.Struct, frozen=True, tag=True):
    """Everything a worker must know before its first job.

    ``objective`` is the file that holds the training function, pickled by cloudpickle; ``path`` the
    driver's ``sys.path``, so that the same modules are found; ``progress_seconds`` the least time
    from one :class:`Progress` to the next; ``places`` the most jobs that a worker may ask for, 0 for any number, so
    that each of them gets some; ``profile`` whether training is profiled;
    ``max_resource`` the resource of the top rung, 0 if it is not known.
    """

    worker: WorkerId
    objective: str
    goal: Goal
    study: str
    seed: int
    path: list[str]
    progress_seconds: float = 0.25
    profile: bool = False
    places: int = 0
    max_resource: int = 0


class Assignment(msgspec.Struct, frozen=True, tag=True):
    """Train a trial from ``start`` to ``target``; ``in_place`` if the worker holds it already.

    ``size``: the bytes of the checkpoint of resource ``start``, None if there is none.

    ``alone``: it was in the hands of a worker that died with several at a time; no other is to suffer should it be
    to blame.
    """

    worker: WorkerId
    trial: TrialId
    rung: int
    start: int
    target: int
    in_place: bool
    configuration: msgspec.Raw
    alone: bool = False
    size: int | None = None


class Alone(msgspec.Struct, frozen=True, tag_field="event", tag="alone"):
    """A worker that trains several together trains this one alone now: it is to blame if that ends badly."""

    worker: WorkerId
    trial: TrialId


class Broken(msgspec.Struct, frozen=True, tag_field="event", tag="broken"):
    """It seems that no trial can succeed: the function cannot be loaded, says so, or does not report the metric.

    ``failure`` is what to make of it if some trial has succeeded after all.
    """

    worker: WorkerId
    reason: str
    traceback: str = ""
    failure: JobFailed | None = None


ToWorker = Setup | Assignment | Release | Pause
JobEvent = JobFinished | TrialReleased | JobPaused | JobFailed | TrialWithdrawn
FromWorker = WorkerJoined | JobEvent | PlacesChanged | ProgramCompiled | Progress | Alone | Broken
