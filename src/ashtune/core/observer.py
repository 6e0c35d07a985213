"""Observers: whatever is told what happens in a study, while it runs or later from its journal.

A report, a display and a tracker are observers. An observer keeps what it wants of what it is told; the study does not
depend on it.

Rule 1: an observer is told an event after the event was written to the journal, and then what followed from it:
verdicts and the orders to workers. From a journal read back it is told the same in the same order, but for
``progress`` and ``tick``, which no journal holds.
Rule 2: a method that an observer does not override costs nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ashtune.core.events import Event, Progress
from ashtune.core.jobs import Goal
from ashtune.core.ladder import Ladder
from ashtune.core.verdicts import Followed


class ObservedStudy(msgspec.Struct, frozen=True, kw_only=True):
    """What an observer is told of its study first.

    ``directory`` is the absolute path of the study's directory, ``created`` when the study was created, in seconds
    since 1970, which tells studies apart wherever their directories are moved to. ``hyperparameters`` are the names in
    its search space. ``search`` is the name of its search: the origin of a trial whose start names none.
    """

    name: str
    directory: str
    created: float
    goal: Goal
    ladder: Ladder
    hyperparameters: tuple[str, ...] = ()
    search: str = ""


class Observer:
    """The base class of all observers. It does nothing: override what is of interest.

    Example:
        >>> class Count(Observer):
        ...     def __init__(self):
        ...         self.events = 0
        ...     def event(self, event):
        ...         self.events += 1
    """

    def begin(self, study: ObservedStudy, position: int) -> int | None:
        """A driver begins to work on a study.

        An instance may be given to one study after another: what it keeps of a study begins here, anew. A study before
        may have come to no ``end``, if the observer was dropped.

        Args:
            study: The study.
            position: Where this driver's events begin in the journal, in bytes; 0 if an observer is to be told all of
                a journal. In a new study only the first line, which says what the study is, comes before.

        Returns:
            The position from which this observer wants to be told: None or ``position`` for what happens from now on,
            0 for all that ever happened, or whatever position it noted earlier. What was written before ``position``
            is read from the journal.
        """

    def event(self, event: Event) -> None:
        """Something happened, and is in the journal."""

    def followed(self, what: Followed) -> None:
        """This followed from the last event: a verdict on a trial, or an order to a worker."""

    def progress(self, progress: Progress) -> None:
        """A worker reported between two rungs. Not every report is told, and no journal holds them."""

    def tick(self, now: float) -> None:
        """A moment has passed: it is ``now`` seconds since the study began. Told a few times a second."""

    def end(self) -> None:
        """The driver has ended. Nothing follows."""


class Observers:
    """Several observers as one.

    Args:
        observers: Those to tell, in this order.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._events = _methods(observers, "event")
        self._followed = _methods(observers, "followed")
        self._progress = _methods(observers, "progress")
        self._ticks = _methods(observers, "tick")

    def tell(self, event: Event, followed: Iterable[Followed]) -> None:
        """Tell them an event, and then what followed from it."""
        for method in self._events:
            method(event)
        if self._followed:
            for what in followed:
                for method in self._followed:
                    method(what)

    def progress(self, progress: Progress) -> None:
        """Tell them a report between two rungs."""
        for method in self._progress:
            method(progress)

    def tick(self, now: float) -> None:
        """Tell them that a moment has passed."""
        for method in self._ticks:
            method(now)


def _methods(observers: Sequence[Observer], name: str) -> list[Callable[[Any], None]]:
    """Return a method of those observers that override it."""
    return [getattr(each, name) for each in observers if getattr(type(each), name) is not getattr(Observer, name)]
