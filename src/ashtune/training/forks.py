"""Which process this is. ``os.getpid()`` asks the system each time; a process that is forked here is told once."""

import os

pid = os.getpid()


def _look_again() -> None:
    global pid  # noqa: PLW0603 - a process has one number
    pid = os.getpid()


os.register_at_fork(after_in_child=_look_again)
