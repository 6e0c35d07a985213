"""What a report is made of: folds over a study's events."""

from typing import Protocol

from ashtune.events import Event
from ashtune.orders import Order


class Fold(Protocol):
    """Whatever takes a study in, one event after another, in memory that stays small."""

    def saw(self, event: Event) -> None:
        """Take in an event."""

    def gave(self, order: Order) -> None:
        """Take in an order that followed from the last event; of an old journal none may be known."""
