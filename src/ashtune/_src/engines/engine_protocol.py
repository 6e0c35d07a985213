"""The interface of an engine, whose workers report events and carry out orders.

If an engine needs only another transport for its messages, a new :class:`~ashtune.engines.Link` is
enough.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from ashtune._src.core.events import Event, Progress
from ashtune._src.core.orders import Order
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.study.configurations import Configurations
from ashtune._src.training.worker_messages import Setup

EXPECTED_WORKERS = 8
"""The number of workers for which a session prepares if workers come by themselves and the user
gives no number.
"""
AUTO = "auto"
"""The engine name for a choice that depends on how this process was started."""


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """The information that an engine needs to open the workers of a session.

    Args:
        setup: The first message to every worker. ``setup.worker`` is the first worker's number;
            later workers must not have lower numbers.
        created: The creation time of the study in seconds since 1970, which identifies the study's
            directory.
        options: The checked options of the session, with defaults filled in.
        workers: How many workers to open; 0 if workers come by themselves. Workers may join or
            leave later.
        began: The time at the start of the session, in seconds since the study began.
        objective: The training function, if this process has it; None if it must be loaded from
            ``setup.objective``.
    """

    setup: Setup
    configurations: Configurations
    created: float
    options: RunOptions
    workers: int
    began: float = 0.0
    objective: Callable[..., Any] | None = None


class Workers(Protocol):
    """The workers of a session. The test suite ``ashtune.testing.engine_suite`` checks an
    implementation.
    """

    def wait(self, until: float) -> Sequence[Event]:
        """Wait until at least one event has happened. Return the new events, the oldest first.

        Args:
            until: The time at which to return even without events, in seconds since the study
                began.
        """

    def carry_out(self, order: Order) -> None:
        """Begin to carry out an order. Later, :meth:`wait` returns the resulting event."""

    def now(self) -> float:
        """Return the time in seconds since the study began. The clock of :meth:`now` also gives the
        times of events.
        """

    def progress(self) -> Sequence[Progress]:
        """Return the trials' reports between rungs that have arrived since the last call: by
        default, none.
        """
        return ()

    def close(self, *, deletes: bool = True) -> None:
        """End all workers and all their processes: by default, there are no processes.

        Args:
            deletes: Whether to carry out queued deletions of checkpoints. Pass False if the journal
                is not on disk, because a power loss could undo the events that led to the
                deletions. The next session then carries out the deletions.
        """
        del deletes


@runtime_checkable
class Resizable(Protocol):
    """Workers whose number can change while a study runs."""

    def check_size(self, workers: int) -> None:
        """Raise SettingsError if this number of workers is not possible."""

    def resize(self, workers: int) -> None:
        """Change the number of workers. A surplus worker may end its job before it is dismissed.

        Raises:
            StudyError: If no more workers can be started.
        """


@runtime_checkable
class Engine(Protocol):
    """Opens the workers of a session.

    An engine from the entry point group ``ashtune.engines`` is created without arguments, again for
    each session. If an engine needs arguments, the user creates the engine. An engine may inherit
    the defaults from this class.
    """

    name: str
    """The name of the engine, as in ``engine="local"``."""
    must_exit: bool = False
    """Whether the driver must exit with a status, because a launcher treats an end by a signal as a
    crash.
    """

    def worker_count(self, wanted: int | None) -> int:
        """Return the number of workers to open: ``wanted``, if this number is given and possible.

        If workers come by themselves and ``wanted`` is None, return 0.
        """

    def check(self, options: RunOptions, workers: int) -> None:
        """Before a study is created, raise SettingsError if the engine's options are not possible.
        By default, do nothing.

        Raises:
            SettingsError: With a message of one line that names the option.
        """
        del options, workers

    def open(self, brief: Brief) -> Workers:
        """Return the workers of a session. A worker sends an event when it joins.

        Raises:
            StudyError: If no worker can be started.
            SettingsError: If something that the workers need is missing.
        """

    def leave(self, status: int) -> None:
        """End the processes that outlive a session, before this program ends with ``status``. By
        default, no process outlives a session.
        """
        del status
