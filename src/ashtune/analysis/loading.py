"""A journal read into what the views need. Nothing of the study is executed, and no lock is taken."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ashtune.analysis.tally import Tally
from ashtune.analysis.trials import Trials
from ashtune.core.events import Event
from ashtune.core.ladder import Ladder
from ashtune.study.journal import NAME, read_events, read_settings
from ashtune.study.ladders import ladder_in_force
from ashtune.study.replay import Replay
from ashtune.study.settings import Settings


class Loaded(msgspec.Struct, frozen=True):
    """A study as its journal tells it."""

    directory: Path
    settings: Settings
    ladder: Ladder
    tally: Tally
    trials: Trials


def load(path: Path) -> Loaded:
    """Read a study's journal, whether the study is done, stopped or running.

    Args:
        path: The study's directory, or the journal itself.

    Raises:
        JournalError: If there is no journal, or a line of it cannot be read.
    """
    journal = path if path.is_file() else path / NAME
    settings = read_settings(journal)
    ladder = ladder_in_force(journal)
    tally, trials = Tally(ladder, settings.goal), Trials(ladder)
    Replay().tell(events_of(journal), [tally, trials])
    return Loaded(journal.parent, settings, ladder, tally, trials)


def events_of(journal: Path) -> Iterator[Event]:
    """Yield the events of a journal.

    Raises:
        JournalError: If a line other than a torn last one cannot be read.
    """
    return (event for _, event in read_events(journal))
