"""Where in a study's directory a copy of it lies, and how a file of a copy is written.

Rule: a study's directory may be someone else's, with a link or a pipe where a copy is to lie. Nothing is written
through a link there. A place that the user names is his own: it may be a link.
"""

from contextlib import suppress
from pathlib import Path

from ashtune.core.errors import StudyError
from ashtune.study.disk import DISK, write_new

FOR_ALL = 0o666
"""Less the umask: who may read a copy is for the user to say."""

MARK = "new"
"""Behind the name that a file has until it is whole."""


def place_in(directory: str | Path, name: str, *, is_folder: bool = False) -> Path:
    """Return the place of a copy in a study's directory, or in a folder of one.

    Args:
        directory: Where it is.
        name: Of the file, or of the folder.
        is_folder: Whether it is a folder.

    Raises:
        StudyError: If something else stands there, as a link. Nothing is read or written.
    """
    path = Path(directory, name)
    try:
        status = DISK.status(str(path))
    except FileNotFoundError:
        return path
    if not (status.is_folder if is_folder else status.is_file):
        what = "a link" if status.is_link else f"no {'folder' if is_folder else 'regular file'}"
        raise StudyError(f"{path} is {what}, and no copy is written there; delete it, or name another place")
    return path


def replace_file(path: Path, data: bytes) -> None:
    """Have a file of a copy hold ``data``, whole or not at all. A link is replaced, and not followed."""
    try:
        write_new(DISK, str(path), data, mark=MARK, mode=FOR_ALL, is_synced=False)
    except OSError:
        with suppress(OSError):
            DISK.unlink(f"{path}.{MARK}")
        raise
