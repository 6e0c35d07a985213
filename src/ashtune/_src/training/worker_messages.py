"""Messages between a driver and a worker, over any transport, and the worker's end of the
connection.

A worker gets :class:`Setup` once, then jobs (:class:`Assignment`) and orders. A worker sends
events, which the driver writes to the journal, and four other messages:
:class:`~ashtune.events.Progress`, :class:`Alone`, :class:`Broken` and :class:`Waiting`.
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

    ``objective`` is the file with the training function, pickled by cloudpickle. ``path`` is the
    driver's ``sys.path``. ``progress_seconds`` is the least time between two :class:`Progress`
    messages. ``places`` is the largest number of jobs that a worker may ask for at the same time,
    so that every worker gets jobs. 0 means no limit. ``max_resource`` is the resource of the top
    rung, or 0 if it is unknown. ``processes`` is the number of processes that train each trial of
    the worker.
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
    processes: int = 1


class Assignment(msgspec.Struct, frozen=True, tag=True):
    """An order to train a trial from ``start`` to ``target``. If ``in_place`` is True, the trial is
    still in the worker's memory.

    ``size`` is the size in bytes of the checkpoint at ``start``, or None if there is no checkpoint.
    If ``alone`` is True, the worker trains no other trial at the same time, because a worker died
    or ran out of memory while it trained this trial.
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
    """A message: the worker now trains this trial alone. If the worker dies, this trial is the
    cause.
    """

    worker: WorkerId
    trial: TrialId


class Failure(msgspec.Struct, frozen=True):
    """Describes how a job failed: the reason in words, the traceback of the training function, and
    whether no memory was left.
    """

    reason: str
    traceback: str = ""
    is_out_of_memory: bool = False


class Broken(msgspec.Struct, frozen=True, tag_field="event", tag="broken"):
    """A message which says that probably every trial will fail, for instance because the function
    cannot be loaded.

    If another trial has already succeeded, the driver handles the event ``failure`` instead of this
    message.
    """

    worker: WorkerId
    reason: str
    traceback: str = ""
    failure: JobFailed | None = None


class Waiting(msgspec.Struct, frozen=True, tag_field="event", tag="waiting"):
    """A message which says in one line that the worker waits for a store that does not answer."""

    worker: WorkerId
    text: str


TrialOrder = Assignment | Release | Pause
"""An order about a trial that the driver sends to the worker that trains or holds the trial."""
ToWorker = Setup | TrialOrder
JobEvent = JobFinished | TrialReleased | JobPaused | JobFailed | TrialWithdrawn
FromWorker = (
    WorkerJoined | JobEvent | PlacesChanged | ProgramCompiled | Progress | Alone | Broken | Waiting
)


class Shutdown(BaseException):
    """Raised if the driver has ended or has no more work. A user's ``except Exception`` does not
    catch this exception.
    """


class Unsure(BaseException):
    """Raised if an exception has interrupted the exchange of messages with the driver.

    The worker ends, because it is unknown which messages have arrived.
    """


class Channel(Protocol):
    """The worker's end of the connection between a worker and the driver."""

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""

    def wait(self) -> None:
        """Wait until a message has arrived. The message stays in the channel, so no exception can
        lose the message.

        Raises:
            Shutdown: If the driver has ended or has no more work. In some channels, :meth:`poll`
                raises Shutdown, and this method does not.
            Unsure: If an exception interrupted this call and a message may be lost.
        """

    def poll(self) -> ToWorker | None:
        """Return the next message if the whole message has arrived, otherwise None."""


class Mailbox:
    """A channel with a queue for messages that have arrived but are not used yet, such as later
    jobs.

    Signal handlers and threads of a training function may raise an exception anywhere, also in this
    class. An exception is harmful only while a message is being sent or taken. An exception during
    a wait for an answer is harmless.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.send = channel.send
        self._waiting: deque[ToWorker] = deque()
        self.is_sure = True
        """False while a message is being sent or taken, and after an exception during that time."""

    def wait(self) -> None:
        """Wait until :meth:`next` has a message to return."""
        while not self._waiting:
            self._channel.wait()
            self._collect()

    def next(self) -> ToWorker:
        """Wait until a message has arrived, and return the oldest message."""
        self.wait()
        return self._waiting.popleft()

    def poll(self) -> ToWorker | None:
        """Return the oldest message, or None if no message has arrived."""
        return self._waiting.popleft() if self._waiting else self._channel.poll()

    def answer(self, trial: TrialId, hear: Callable[[Assignment | Release], bool]) -> bool:
        """Wait for the driver's order to continue or to release a trial. Call ``hear`` with this
        order, and return the result of ``hear``.
        """
        while (message := self._answer_to(trial)) is None:
            self._channel.wait()
            self._collect()
        self.is_sure = False
        goes_on = hear(message)
        self._waiting.remove(message)
        self.is_sure = True
        return goes_on

    def is_to_pause(self, trial: TrialId) -> bool:
        """Return whether an order to pause a trial has arrived, and remove this order."""
        self._collect()
        for message in self._waiting:
            if isinstance(message, Pause) and message.trial == trial:
                self._waiting.remove(message)
                return True
        return False

    def is_to_end(self) -> bool:
        """Return whether an order to pause immediately has arrived, and keep it in the queue."""
        self._collect()
        return any(isinstance(message, Pause) and message.at_once for message in self._waiting)

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
