"""The ladder of a study: that of its journal's first line, until a session adds rungs above.

Rule: a rung that was there stays, with its number and what goes on from it, so whatever happened before means the same
on the longer ladder. Whoever reads a journal to its end may take the ladder in force for the whole of it.
"""

from pathlib import Path

from ashtune.core.events import SessionStarted
from ashtune.core.ladder import Ladder
from ashtune.study.controller import next_ladder
from ashtune.study.disk import DISK, Disk
from ashtune.study.journal import read_events, read_settings
from ashtune.study.settings import Settings


def first_ladder(settings: Settings) -> Ladder:
    """Return the ladder that a study began with."""
    return Ladder.from_record((settings.rungs, settings.kept))


def ladder_in_force(journal: Path, disk: Disk = DISK) -> Ladder:
    """Return the ladder as a study's last session has it.

    Raises:
        JournalError: If there is no journal, or it cannot be read.
    """
    ladder = first_ladder(read_settings(journal, disk))
    for event in read_events(journal, disk, only=(b"session_started",)):
        if isinstance(event, SessionStarted):
            ladder = next_ladder(ladder, event)
    return ladder


def continued(first: Ladder, now: Ladder, wanted: Ladder) -> Ladder | None:
    """Return the ladder with which a study goes on that is asked for again with the ``wanted`` one.

    Args:
        first: The ladder that it began with.
        now: The one in force.
        wanted: Below the first ladder's top it must have the same rungs.

    Returns:
        The one in force, with the rungs above it that are wanted, or None if it cannot be meant.
    """
    top, low = first.rungs[-1], first.top
    same = wanted.rungs[:low] == first.rungs[:low] and wanted.kept[:low] == first.kept[:low]
    if not same or wanted.rungs[-1] < top:
        return None
    if now.is_start_of(wanted):
        return wanted
    return now if wanted.rungs[-1] <= now.rungs[-1] else now.lengthened(wanted.rungs[-1])
