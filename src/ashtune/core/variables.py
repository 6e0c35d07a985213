"""The variables of this process's environment, which another thread may change at any moment.

Some are a worker's own while it starts, and the user's again for what training starts.
"""

import os

STARTING = ("PYTHONPATH", "PYTHONUNBUFFERED")
_SET_ASIDE = "ASHTUNE_USERS_"


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
