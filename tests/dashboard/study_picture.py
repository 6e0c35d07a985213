"""Pictures of studies, for the tests of this folder."""

from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.dashboard.liveness import Standing
from ashtune._src.dashboard.picture import Picture
from ashtune._src.study.journal import NAME, ladder_in_force, read_settings


def unread_picture(directory: Path) -> Picture:
    """Return the picture of a study, with nothing of its journal read."""
    journal = directory / NAME
    return Picture(
        journal, read_settings(journal), ladder_in_force(journal), journal.stat().st_size, "runs/a"
    )


def shown(picture: Picture, standing: Standing, now: float = 0.0) -> dict[str, Any]:
    """Return what the parts of a picture show, made anew where it is time."""
    picture.make(standing, picture.tally.wall_seconds, 0, now)
    return {name: msgspec.json.decode(part.json) for name, part in picture.shown.items()}


def picture_of(directory: Path) -> Picture:
    """Return the picture of a study, with all of its journal read."""
    picture = unread_picture(directory)
    while not picture.advance(60):
        pass
    return picture
