"""What a view needs to know of a study beside its events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ashtune.jobs import TrialId

Expected = Callable[[int], Sequence[int]]
"""``Scheduler.expected``: a number of trials -> how many of them should be trained to each rung."""


def _no_bytes() -> int:
    return 0


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A study's name and the questions a view may ask about it.

    ``workers`` is how many there should be (0: unknown), ``unit`` what the resource counts, in the
    singular, ``deadline`` the time at which the study ends, in seconds since it began. ``is_simulated``: nothing
    was trained. ``missing`` is a line about what has to be installed before the study can go on; "" for nothing.
    """

    name: str
    scheduler: str
    directory: str
    expected: Expected
    configuration: Callable[[TrialId], Mapping[str, Any]]
    checkpoint_bytes: Callable[[], int] = _no_bytes
    workers: int = 0
    unit: str = "epoch"
    deadline: float | None = None
    is_simulated: bool = False
    missing: str = ""
