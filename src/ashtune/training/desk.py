"""The worker's desk: where orders come in and events go out. Transports implement it."""

from typing import Protocol

from ashtune.training.messages import FromWorker, ToWorker


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

    def peek(self) -> ToWorker | None:
        """Return a message if one has come already; it stays to be received."""
