"""The worker's desk: where orders come in and events go out. Transports implement it."""

from collections import deque
from typing import Protocol, TypeGuard

from ashtune.jobs import TrialId
from ashtune.orders import Pause, Release
from ashtune.training.messages import Assignment, FromWorker, ToWorker


class Dismissed(BaseException):
    """The driver is gone or has no more work. No ``except Exception`` of a user's holds it up."""


class Desk(Protocol):
    """One worker's end of its connection to the driver."""

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""

    def receive(self) -> ToWorker:
        """Wait for the next message.

        Raises:
            Dismissed: When the driver is gone or has no more work.
        """

    def poll(self) -> ToWorker | None:
        """Return the next message if one has come already."""


class Tray:
    """A desk with a tray for what has come and is not due yet: jobs ahead of their time wait there.

    Args:
        desk: Where messages come from and go to.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.send = desk.send
        self._waiting: deque[ToWorker] = deque()

    def next(self) -> ToWorker:
        """Wait for the next message, or return the one that has waited longest."""
        return self._waiting.popleft() if self._waiting else self._desk.receive()

    def poll(self) -> ToWorker | None:
        """Return the message that has waited longest, or one that has come already."""
        return self._waiting.popleft() if self._waiting else self._desk.poll()

    def answer(self, trial: TrialId) -> Assignment | Release:
        """Wait to hear whether a trial goes on in place or is let go of."""
        for message in self._waiting:
            if _is_answer(message, trial):
                self._waiting.remove(message)
                return message
        while not _is_answer(message := self._desk.receive(), trial):
            self._waiting.append(message)
        return message

    def is_to_pause(self, trial: TrialId) -> bool:
        """Whether a trial is to be broken off."""
        while (message := self._desk.poll()) is not None:
            self._waiting.append(message)
        for message in self._waiting:
            if isinstance(message, Pause) and message.trial == trial:
                self._waiting.remove(message)
                return True
        return False


def _is_answer(message: ToWorker, trial: TrialId) -> TypeGuard[Assignment | Release]:
    if isinstance(message, Release):
        return message.trial == trial
    return isinstance(message, Assignment) and message.in_place and message.trial == trial
