"""The interface of an engine: its workers report events and carry out orders.

An engine with its own message transport only needs a :class:`~ashtune.engines.Link`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from ashtune._src.core.events import Event, Progress
from ashtune._src.core.orders import Order
from ashtune._src.engines.options import RunOptions
from ashtune._src.study.configurations import Configurations
from ashtune._src.training.messages import Setup

AUTO = "auto"
"""The engine name with which the engine is chosen by how this process was started."""


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """The information that an engine needs to open the workers of a session.

    Args:
        setup: What every worker is told. ``setup.worker`` is the first worker's number; later workers must not have
            lower numbers.
        created: When the study was created, in seconds since 1970; it identifies the study's directory.
        options: The checked options of the session, with defaults filled in.
        workers: How many workers to open, at least 1. Workers may join or leave later.
        began: The time at the start of the session, in seconds since the study began.
        objective: The training function, if this process was given it; otherwise load it from ``setup.objective``.
    """

    setup: Setup
    configurations: Configurations
    created: float
    options: RunOptions
    workers: int
    began: float = 0.0
    objective: Callable[..., Any] | None = None


class Workers(Protocol):
    """The workers of a session. The test suite ``ashtune.testing.workers`` checks implementations."""

    def wait(self, until: float) -> Sequence[Event]:
        """Block until something has happened; return the events, oldest first.

        Args:
            until: The time at which to return even without events, in seconds since the study began.
        """

    def carry_out(self, order: Order) -> None:
        """Begin to carry out an order; :meth:`wait` returns the outcome later."""

    def now(self) -> float:
        """Return the time in seconds since the study began; events use the same clock."""

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs that came since the last call."""

    def close(self, *, deletes: bool = True) -> None:
        """Shut all workers down and leave no process behind.

        Args:
            deletes: Whether to carry out waiting deletions of checkpoints. Pass False if the journal is not on disk,
                because a power loss could undo the events that led to the deletions. The next session then carries out
                the deletions.
        """


@runtime_checkable
class Resizable(Protocol):
    """Workers whose number can change while a study runs."""

    def check_size(self, workers: int) -> None:
        """Refuse a number of workers that is not possible."""

    def resize(self, workers: int) -> None:
        """Change the number of workers. A surplus worker ends its job first, then is dismissed.

        Raises:
            StudyError: If no more workers can be started.
        """


@runtime_checkable
class Engine(Protocol):
    """Opens the workers of a session.

    An engine from the entry point group ``ashtune.engines`` is made anew for each session, without arguments. An engine
    with arguments is made by the user.
    """

    name: str
    """The name of the engine, as in ``engine="local"``."""
    must_exit: bool
    """Whether the driver must end with an exit status, because a launcher treats an end by a signal as a crash."""

    def worker_count(self, wanted: int | None) -> int:
        """Return the number of workers to open: ``wanted`` if given and possible."""

    def check(self, options: RunOptions, workers: int) -> None:
        """Refuse options that are not possible, before a study is created.

        Raises:
            SettingsError: With a message of one line that names the option.
        """

    def open(self, brief: Brief) -> Workers:
        """Return the workers of a session. Each worker reports by an event that it has joined.

        Raises:
            StudyError: If no worker can be started.
            SettingsError: If something that the workers need is missing.
        """

    def leave(self, status: int) -> None:
        """End everything that outlives a session; the program is about to end with this exit status."""
