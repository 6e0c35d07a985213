"""Replay: a journal read back through the controller gives the study as it was left.

Orders are not written down. Each event says which order it answers, and the controller compares it
with the order it would give now; at the first difference the replay has no more to say.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from ashtune.errors import JournalError
from ashtune.events import Event
from ashtune.orders import Order
from ashtune.study.controller import Controller
from ashtune.study.disk import DISK, Disk
from ashtune.study.journal import read_events


class Replay:
    """Takes the events of a journal, one after another, and gives what followed from each.

    Args:
        controller: One that has seen no event yet.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.difference = ""
        """Where the journal differs from what would happen now, as when it was written under other rules."""

    def feed(self, event: Event) -> Sequence[Order]:
        """Take in one event; return what followed from it, nothing from the first difference on."""
        if self.difference:
            return ()
        try:
            return self._controller.handle(event)
        except JournalError as error:
            self.difference = str(error)
            return ()

    @property
    def is_complete(self) -> bool:
        """Whether all that the scheduler wanted is trained."""
        return self._controller.is_complete and not self.difference

    @property
    def stopping(self) -> str:
        """Why the study stopped, nothing if it did not or if that is not known."""
        return "" if self.difference else self._controller.stopping


def replay(path: Path, controller: Controller, seen: Callable[[Event], None], disk: Disk = DISK) -> float:
    """Take all events of a journal through a new controller.

    Args:
        path: The journal.
        controller: One that has seen no event yet.
        seen: Called with every event, for whoever else keeps a record.
        disk: The disk that the journal lies on.

    Returns:
        The time of the last event, in seconds since the study began; 0 if there is none.

    Raises:
        JournalError: If a line cannot be read, or does not follow from those before it.
    """
    time = 0.0
    replayed = Replay(controller)
    for line, event in read_events(path, disk):
        replayed.feed(event)
        if replayed.difference:
            raise JournalError(
                f"{path} line {line}: {replayed.difference}; continue it with the ashtune that wrote it, or read it "
                f"with `ashtune report {path.parent}`"
            )
        seen(event)
        time = event.time
    return time
