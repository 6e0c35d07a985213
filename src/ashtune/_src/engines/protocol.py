"""What an engine offers: workers that report events and carry out orders.

An engine over a transport of its own needs no more than a :class:`~ashtune.engines.Link`.
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
"""The engine that is named so is chosen by how this process was started."""


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine must know to open the workers of a session.

    Args:
        setup: What every worker is told; the number in it is that of the first worker, and none below it may be used.
        created: When the study was created, in seconds since 1970: tells whether a directory is this study's.
        options: What the session runs on, checked, with the defaults of those that were not given.
        workers: How many workers there are to be, at least 1. More may join later, and any of them may leave.
        began: The time at the start of the session, in seconds since the study began.
        objective: The training function itself, where this process was given it; else it is in ``setup.objective``.
    """

    setup: Setup
    configurations: Configurations
    created: float
    options: RunOptions
    workers: int
    began: float = 0.0
    objective: Callable[..., Any] | None = None


class Workers(Protocol):
    """Whatever passes the suite of ``ashtune.testing.workers`` is one."""

    def wait(self, until: float) -> Sequence[Event]:
        """Block until something has happened; return it oldest first.

        Args:
            until: Time (seconds since the study began) at which to return at the latest, then with
                nothing.
        """

    def carry_out(self, order: Order) -> None:
        """Begin to carry out an order; the outcome comes back from :meth:`wait`."""

    def now(self) -> float:
        """Return the time, in seconds since the study began, as events are stamped with it."""

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs that came since the last call."""

    def close(self, *, deletes: bool = True) -> None:
        """Shut all workers down and leave no process behind.

        Args:
            deletes: Whether to delete the checkpoints whose deletion was put off. Not where the journal is not on the
                disk: a power loss might take the events from which it follows. The next session deletes them.
        """


@runtime_checkable
class Resizable(Protocol):
    """Workers of which there may be more or fewer while a study runs."""

    def check_size(self, workers: int) -> None:
        """Refuse a number of workers that cannot be had."""

    def resize(self, workers: int) -> None:
        """Have this many workers from now on. One too many ends its job first; it is lost as one that was dismissed.

        Raises:
            StudyError: If no more can be started.
        """


@runtime_checkable
class Engine(Protocol):
    """Where workers come from. One that a package names in the entry point group ``ashtune.engines`` is made anew
    for each session, without arguments; one with options is given to ``tune`` itself.
    """

    name: str
    """As in ``engine="local"``."""
    must_exit: bool
    """Whether the driver has to end by an exit status, as a launcher would take its end by a signal for a crash."""

    def worker_count(self, wanted: int | None) -> int:
        """Return how many workers there can be, or as many as are wanted if those can be had."""

    def check(self, options: RunOptions, workers: int) -> None:
        """Refuse what cannot be had, before a study is created for it.

        Raises:
            SettingsError: In one line that names the option.
        """

    def open(self, brief: Brief) -> Workers:
        """Return the workers of a session. They join by events of their own.

        Raises:
            StudyError: If none can be started.
            SettingsError: If what they need cannot be had.
        """

    def leave(self, status: int) -> None:
        """End what outlives a session, as the program ends with this exit status now."""
