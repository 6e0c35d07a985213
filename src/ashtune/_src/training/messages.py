"""What a driver and a worker say to each other, over any transport, and the worker's end of the connection.

A worker gets :class:`Setup` once, then jobs (:class:`Assignment`) and orders. It sends events as they go into the
journal, and three things that do not: :class:`~ashtune.events.Progress`, :class:`Alone` and :class:`Broken`.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeGuard

import msgspec

from ashtune._src.core.events import (
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
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release


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


class Shutdown(BaseException):
    """The driver is gone or has no more work. No ``except Exception`` of a user's holds it up."""


class Unsure(BaseException):
    """Something broke in between two words to the driver: what it heard is not known, and the worker leaves."""


class Channel(Protocol):
    """One worker's end of its connection to the driver."""

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""

    def wait(self) -> None:
        """Block until something has come. It takes nothing: whatever breaks in loses no message.

        Raises:
            Shutdown: When the driver is gone or has no more work; :meth:`poll` may say it in its place.
            Unsure: When something broke in and a message may be lost.
        """

    def poll(self) -> ToWorker | None:
        """Return the next message if one has come whole."""


class Mailbox:
    """A channel, and what has come from it and is not due yet: jobs ahead of their time wait here.

    A training function's signal handlers and threads may raise an exception anywhere, here too. It breaks in safely
    while nothing is under way between the driver and the worker, above all while an answer is waited for.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.send = channel.send
        self._waiting: deque[ToWorker] = deque()
        self.is_sure = True
        """False while a message is sent or taken in: what breaks in then leaves open what the driver has heard."""

    def wait(self) -> None:
        """Wait until there is a message; it stays here until :meth:`next` takes it."""
        while not self._waiting:
            self._channel.wait()
            self._collect()

    def next(self) -> ToWorker:
        """Wait for the next message, or return the one that has waited longest."""
        self.wait()
        return self._waiting.popleft()

    def poll(self) -> ToWorker | None:
        """Return the message that has waited longest, or one that has come already."""
        return self._waiting.popleft() if self._waiting else self._channel.poll()

    def answer(self, trial: TrialId, hear: Callable[[Assignment | Release], bool]) -> bool:
        """Wait to hear whether a trial goes on in place or is released, and return what ``hear`` makes of it."""
        while (message := self._answer_to(trial)) is None:
            self._channel.wait()
            self._collect()
        self.is_sure = False
        goes_on = hear(message)
        self._waiting.remove(message)
        self.is_sure = True
        return goes_on

    def is_to_pause(self, trial: TrialId) -> bool:
        """Whether a trial is to be broken off."""
        self._collect()
        for message in self._waiting:
            if isinstance(message, Pause) and message.trial == trial:
                self._waiting.remove(message)
                return True
        return False

    def _collect(self) -> None:
        self.is_sure = False
        while (message := self._channel.poll()) is not None:
            self._waiting.append(message)
        self.is_sure = True

    def _answer_to(self, trial: TrialId) -> Assignment | Release | None:
        for message in self._waiting:
            if _is_answer(message, trial):
                return message
        return None


def _is_answer(message: ToWorker, trial: TrialId) -> TypeGuard[Assignment | Release]:
    if isinstance(message, Release):
        return message.trial == trial
    return isinstance(message, Assignment) and message.in_place and message.trial == trial
