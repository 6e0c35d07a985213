"""Paths that users give."""

from os import PathLike
from os.path import expanduser


def with_home(path: str | PathLike[str]) -> str:
    """Return a path, or an address, with the user's home in place of ``~``. ``~name`` stays if no
    user has the name.
    """
    return str(expanduser(path))  # noqa: PTH111 - that of Path refuses an unknown user, and would change an address
