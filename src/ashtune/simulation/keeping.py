"""A simulated study's journal, as any study's: every report can be made of it."""

import time
from pathlib import Path

from ashtune import __version__
from ashtune.errors import SettingsError
from ashtune.jobs import Goal
from ashtune.ladder import Ladder
from ashtune.search.space import Space
from ashtune.study import journal as journals
from ashtune.study.journal import Journal, Settings


def new_journal(
    directory: Path, name: str, goal: Goal, scheduler: str, ladder: Ladder, *, trials: int, seed: int
) -> Journal:
    """Create a study's directory and open its journal for writing.

    Its trials have their own number as their only hyperparameter.

    Raises:
        SettingsError: If the directory cannot be made, or there are fewer than two trials.
    """
    if trials < 2:
        raise SettingsError(f"trials={trials}: a study of one trial is not kept; give --trials of at least 2")
    rungs, kept = ladder.to_record()
    settings = Settings(
        ashtune=__version__,
        created=time.time(),
        name=name,
        goal=goal,
        scheduler=scheduler,
        rungs=rungs,
        kept=kept,
        space=Space.parse({"trial": (0, trials - 1)}).to_record(),
        search={"kind": "grid"},
        seed=seed,
    )
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(f"{directory}: {error.strerror}; give a directory that can be made") from None
    journals.create(directory / journals.NAME, settings)
    return Journal(directory / journals.NAME)
