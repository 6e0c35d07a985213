"""Messages between a driver and a worker, over any transport, and the worker's end of the connection.

A worker gets :class:`Setup` once, then jobs (:class:`Assignment`) and orders. A worker sends the events that go into
the journal, and three other messages: :class:`~ashtune.events.Progress`, :class:`Alone` and :class:`Broken`.
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
    """The information that a worker needs before its first job.

    ``objective`` is the file with the training function, pickled by cloudpickle; ``path`` is the driver's ``sys.path``.
    ``progress_seconds`` is the least time between two :class:`Progress` messages. ``places`` is the largest number of
    jobs that a worker may ask for, so that every worker gets jobs; 0 for no limit. ``max_resource`` is the resource of
    the top rung; 0 if unknown.
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
    """Train a trial from ``start`` to ``target``; ``in_place`` if the worker already holds the trial.

    ``size``: the bytes of the checkpoint at ``start``; None if there is none. ``alone`` means: train this trial alone,
    because a worker died while it trained this trial with others.
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
    """The worker now trains this trial alone, apart from others; so this trial is to blame if the worker dies."""

    worker: WorkerId
    trial: TrialId


class Broken(msgspec.Struct, frozen=True, tag_field="event", tag="broken"):
    """Probably no trial can succeed: the function cannot be loaded, raised an error that says so, or lacks the metric.

    ``failure`` is the event to use instead if some trial has already succeeded.
    """

    worker: WorkerId
    reason: str
    traceback: str = ""
    failure: JobFailed | None = None


ToWorker = Setup | Assignment | Release | Pause
JobEvent = JobFinished | TrialReleased | JobPaused | JobFailed | TrialWithdrawn
FromWorker = WorkerJoined | JobEvent | PlacesChanged | ProgramCompiled | Progress | Alone | Broken


class Shutdown(BaseException):
    """The driver is gone or has no more work. A user's ``except Exception`` does not catch this exception."""


class Unsure(BaseException):
    """An exception interrupted the exchange with the driver.

    It is unknown which messages arrived, so the worker ends.
    """


class Channel(Protocol):
    """One worker's end of its connection to the driver."""

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""

    def wait(self) -> None:
        """Block until a message has come. The message is not taken yet, so that an exception here loses no message.

        Raises:
            Shutdown: When the driver is gone or has no more work; :meth:`poll` may raise it instead.
            Unsure: When an exception interrupted this call and a message may be lost.
        """

    def poll(self) -> ToWorker | None:
        """Return the next message if all of it has come, otherwise None."""


class Mailbox:
    """A channel with a queue for messages that came but are not used yet, such as later jobs.

    Signal handlers and threads of a training function may raise an exception anywhere, also in this class. Such an
    exception is harmless unless a message is just being sent or taken. Waiting for an answer is safe.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.send = channel.send
        self._waiting: deque[ToWorker] = deque()
        self.is_sure = True
        """False while a message is sent or taken. An exception then makes it unknown what the driver has received."""

    def wait(self) -> None:
        """Wait until there is a message; :meth:`next` takes it."""
        while not self._waiting:
            self._channel.wait()
            self._collect()

    def next(self) -> ToWorker:
        """Return the oldest message; wait if there is none."""
        self.wait()
        return self._waiting.popleft()

    def poll(self) -> ToWorker | None:
        """Return the oldest message, or None if none has come."""
        return self._waiting.popleft() if self._waiting else self._channel.poll()

    def answer(self, trial: TrialId, hear: Callable[[Assignment | Release], bool]) -> bool:
        """Wait for the driver's answer about a trial: continue in place or release. Return the result of ``hear``."""
        while (message := self._answer_to(trial)) is None:
            self._channel.wait()
            self._collect()
        self.is_sure = False
        goes_on = hear(message)
        self._waiting.remove(message)
        self.is_sure = True
        return goes_on

    def is_to_pause(self, trial: TrialId) -> bool:
        """Return whether a trial is to be paused."""
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
