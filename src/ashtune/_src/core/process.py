"""Facts about this process: its process id, what it runs, and its environment variables."""

import os
from collections.abc import Mapping

Environment = Mapping[str, str]
"""Environment variables, or some of them, by their names."""

pid = os.getpid()
"""The process id, updated after a fork. ``os.getpid()`` would need a system call each time."""

is_our_command = False
"""True in the commands ``ashtune`` and ``python -m ashtune``, where ``__main__`` is not a user's
script. In commands of ashtune, a training function's script may become ``__main__``.
"""

loads_a_function = False
"""True while a user's file is executed to get its training function; ``tune`` then raises an error.
"""

STARTING = ("PYTHONPATH", "PYTHONUNBUFFERED")
"""Environment variables that ashtune sets while a worker starts. A started worker restores the
user's values.
"""
_SET_ASIDE = "ASHTUNE_USERS_"


# Without this, ``pid`` of a forked process would be the id of its parent.
def _look_again() -> None:
    global pid  # noqa: PLW0603 - a process has one id
    pid = os.getpid()


os.register_at_fork(after_in_child=_look_again)


def own_cores() -> list[int]:
    """Return the numbers of the cores that this process may use, from its affinity mask if the
    system has masks.
    """
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def environment_now() -> dict[str, str]:
    """Return a copy of ``os.environ``, even while another thread removes variables.

    ``os.environ.copy()`` would raise a KeyError for a variable that is removed during the copy.
    """
    values = {name: os.environ.get(name) for name in os.environ}
    return {name: value for name, value in values.items() if value is not None}


def variables_set_aside() -> dict[str, str]:
    """Return the user's values of the variables in ``STARTING``, under names that begin with
    ``ASHTUNE_USERS_``.
    """
    values = environment_now()
    return {f"{_SET_ASIDE}{name}": values[name] for name in STARTING if name in values}


def restore_variables() -> None:
    """Restore the user's values of the variables in ``STARTING``. Delete variables that the user
    had not set.
    """
    for name in STARTING:
        os.environ.pop(name, None)
        value = os.environ.pop(f"{_SET_ASIDE}{name}", None)
        if value is not None:
            os.environ[name] = value
