"""What an engine offers: workers that report events and carry out orders."""

from collections.abc import Sequence
from typing import Protocol

from ashtune.events import Event, Progress
from ashtune.orders import Order


class Workers(Protocol):
    """Whatever passes the suite of ``ashtune.testing.workers`` is one."""

    def wait(self, until: float) -> Sequence[Event]:
        """Block until something has happened; return it oldest first.

        Args:
            until: Time (seconds since the study began) at which to return at the latest, then with
                nothing.
        """

    def carry_out(self, order: Order) -> None:
        """Begin to carry out an order; the outcome comes back from :meth:`wait`."""

    def now(self) -> float:
        """Return the time, in seconds since the study began, as events are stamped with it."""

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs that came since the last call."""

    def close(self) -> None:
        """Dismiss all workers and leave no process behind."""
