"""A simulated study's journal, as any study's: every report can be made of it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import Goal
from ashtune.core.ladder import Ladder
from ashtune.schedulers.protocol import Scheduler
from ashtune.search.grid import Grid
from ashtune.space.space import Space
from ashtune.study import journal as journals
from ashtune.study.disk import FOLDER_FOR_THE_OWNER
from ashtune.study.factory import new_settings
from ashtune.study.journal_writer import Journal, create


@contextmanager
def new_journal(
    directory: Path,
    name: str,
    goal: Goal,
    scheduler: Scheduler,
    ladder: Ladder,
    *,
    trials: int,
    seed: int,
    resource: str = "epoch",
) -> Iterator[Journal]:
    """Create a study's directory and its journal, for writing. If what is then written is refused, neither is left.

    Its trials have their own number as their only hyperparameter. It can be read like any other, but not resumed.

    Raises:
        SettingsError: If the directory cannot be made, or there are fewer than two trials.
    """
    if trials < 2:
        raise SettingsError(f"trials={trials}: a study of one trial is not kept; give --trials of at least 2")
    settings = new_settings(
        name=name,
        goal=goal,
        scheduler=scheduler,
        ladder=ladder,
        space=Space.parse({"trial": (0, trials - 1)}),
        search=Grid(),
        seed=seed,
        resource=resource,
        simulated=True,
    )
    try:
        directory.mkdir(FOLDER_FOR_THE_OWNER, parents=True)
    except OSError as error:
        raise SettingsError(f"{directory}: {error.strerror}; give a directory that can be made") from None
    create(directory / journals.NAME, settings)
    try:
        with Journal(directory / journals.NAME) as journal:
            yield journal
    except SettingsError:
        shutil.rmtree(directory)
        raise
