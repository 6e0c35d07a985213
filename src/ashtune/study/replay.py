"""Replay: a journal read back through the controller gives the study as it was left.

Orders are not written down. Each event says which order it answers, and the controller compares it
with the order it would give now; at the first difference the replay stops and says where.
"""

from collections.abc import Callable
from pathlib import Path

from ashtune.errors import JournalError
from ashtune.events import Event
from ashtune.study.controller import Controller
from ashtune.study.disk import DISK, Disk
from ashtune.study.journal import read_events


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
    for line, event in read_events(path, disk):
        try:
            controller.handle(event)
        except JournalError as error:
            raise JournalError(
                f"{path} line {line}: {error}; continue it with the ashtune that wrote it, or read it "
                f"with `ashtune report {path.parent}`"
            ) from None
        seen(event)
        time = event.time
    return time
