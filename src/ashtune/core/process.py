"""Which process this is: its number, whether it runs a user's script or the ``ashtune`` command, and what it loads."""

import os

pid = os.getpid()
"""``os.getpid()`` asks the system each time; a process that is forked here is told once."""

is_our_command = False
"""True in ``ashtune`` and ``python -m ashtune``: there is no user's script, so that of the training function may become
``__main__``. The command sets it, as the script that an installer writes for the command looks like a user's."""

loads_a_function = False
"""True while a file is executed for the training function in it. What such a file tunes would be a study of its own."""


def _look_again() -> None:
    global pid  # noqa: PLW0603 - a process has one number
    pid = os.getpid()


os.register_at_fork(after_in_child=_look_again)
