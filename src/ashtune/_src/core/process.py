"""This process: its number, what it runs, and the variables of its environment."""

import os

pid = os.getpid()
"""``os.getpid()`` asks the system each time; a process that is forked here is told once."""

is_our_command = False
"""True in ``ashtune`` and ``python -m ashtune``: there is no user's script, so that of the training function may become
``__main__``. The command sets it, as the script that an installer writes for the command looks like a user's."""

loads_a_function = False
"""True while a file is executed for the training function in it. What such a file tunes would be a study of its own."""

STARTING = ("PYTHONPATH", "PYTHONUNBUFFERED")
"""Variables that are a worker's own while it starts, and the user's again for what training starts."""
_SET_ASIDE = "ASHTUNE_USERS_"


def _look_again() -> None:
    global pid  # noqa: PLW0603 - a process has one number
    pid = os.getpid()


os.register_at_fork(after_in_child=_look_again)


def environment_now() -> dict[str, str]:
    """Return a copy of ``os.environ`` without what is removed meanwhile.

    ``os.environ.copy()`` lists the names and then looks each up: it raises a KeyError where a name has gone.
    """
    return {name: value for name in os.environ if (value := os.environ.get(name)) is not None}


def variables_set_aside() -> dict[str, str]:
    """Return the user's values, under other names."""
    return {f"{_SET_ASIDE}{name}": value for name in STARTING if (value := os.environ.get(name)) is not None}


def restore_variables() -> None:
    """Give the variables the user's values again; those that the user had not set are gone."""
    for name in STARTING:
        os.environ.pop(name, None)
        if (value := os.environ.pop(f"{_SET_ASIDE}{name}", None)) is not None:
            os.environ[name] = value
