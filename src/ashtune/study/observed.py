"""What observers are told of a study before anything else."""

from pathlib import Path

from ashtune.core.ladder import Ladder
from ashtune.core.observer import ObservedStudy
from ashtune.study.course import names_of
from ashtune.study.settings import Settings


def observed_study(settings: Settings, ladder: Ladder, directory: Path) -> ObservedStudy:
    """Return what observers are told of a study first.

    Args:
        settings: The first line of its journal.
        ladder: The ladder in force.
        directory: The study's.
    """
    return ObservedStudy(
        name=settings.name,
        directory=str(directory.absolute()),
        created=settings.created,
        goal=settings.goal,
        ladder=ladder,
        hyperparameters=tuple(names_of(settings.space)),
        search=settings.search_name,
        seed=settings.seed,
        unit=settings.resource,
    )
