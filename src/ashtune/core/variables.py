"""The variables of this process's environment, which another thread may change at any moment."""

import os


def environment_now() -> dict[str, str]:
    """Return a copy of ``os.environ`` without what is removed meanwhile.

    ``os.environ.copy()`` lists the names and then looks each up: it raises a KeyError where a name has gone.
    """
    return {name: value for name in os.environ if (value := os.environ.get(name)) is not None}
