"""Observers are told what happens in a study, while it runs or later from its journal: reports, displays, trackers.

Rule 1: an observer is told an event after the event was written to the journal, and then what followed from it:
verdicts and the orders to workers. From a journal read back it is told the same in the same order, but for
``progress`` and ``tick``, which no journal holds.
Rule 2: a method that an observer does not override costs nothing.
Rule 3: an observer that is about the search (``sees_confirmations = False``) is not told of trials that confirm others.
"""

from collections.abc import Callable, Iterable, Sequence
from os import PathLike, fspath
from typing import Any, ClassVar, TypeVar

import msgspec

from ashtune._src.core.events import Event, Progress, TrialStarted, WorkerLost
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Followed, Train

T = TypeVar("T")


class ObservedStudy(msgspec.Struct, frozen=True, kw_only=True):
    """What an observer is told of its study first.

    ``directory`` is the absolute path of the study's directory, ``created`` when the study was created, in seconds
    since 1970, which tells studies apart wherever their directories are moved to. ``hyperparameters`` are the names in
    its search space. ``search`` is the name of its search: the origin of a trial whose start names none.
    ``seed`` is the study's, of which each trial has its own (``derived_seed()``); ``unit`` is what
    the resource counts, in the singular.
    """

    name: str
    directory: str
    created: float
    goal: Goal
    ladder: Ladder
    hyperparameters: tuple[str, ...] = ()
    search: str = ""
    seed: int = 0
    unit: str = "epoch"


class Observer:
    """The base class of all observers. It does nothing: override what is of interest.

    Example:
        >>> class Count(Observer):
        ...     def __init__(self):
        ...         self.events = 0
        ...     def event(self, event):
        ...         self.events += 1
    """

    sees_confirmations: ClassVar[bool] = True
    """Whether it is told of trials that confirm others, which are no part of the search."""

    def begin(self, study: ObservedStudy, position: int) -> int | None:
        """A driver begins to work on a study.

        An instance may be given to one study after another, not to two that are open at a time. What it keeps of a
        study begins here, anew. A study before may have had no ``end``, if the observer was dropped.

        Args:
            study: The study.
            position: Where this driver's events begin in the journal, in bytes; 0 if an observer is to be told all of
                a journal.

        Returns:
            The position in the journal from which this observer wants to be told: None or ``position`` for what happens
            from now on, 0 for all that ever happened, or one that it noted earlier.
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


class Exporter(Observer):
    """The base class of observers that keep a copy of a study: in a file, or in another tool.

    ``ashtune export`` makes one by its name, and tells it a journal from the beginning.

    Rule 4: told a study once more from its beginning, as after a kill at any point, an exporter holds each value once.
    For that it asks to be told all: its ``begin`` returns 0.

    Args:
        out: Where the copy goes; None for the exporter's own place, which is in the study's directory if the tool has
            none itself.
    """

    place = ""
    """Where the copy is, for a person: known from ``begin`` on."""

    def __init__(self, out: str | PathLike[str] | None = None) -> None:
        self.out = None if out is None else fspath(out)


class SearchFilter:
    """Leaves out what concerns trials that confirm others: it has to be told all that happens, in order."""

    def __init__(self) -> None:
        self._confirming: set[TrialId] = set()

    def __call__(self, what: T) -> T | None:
        """Return what an observer of the search is told in its place: None if nothing. O(1)."""
        if isinstance(what, TrialStarted | Train) and what.confirms is not None:
            self._confirming.add(what.trial)
        if not self._confirming or getattr(what, "trial", None) not in self._confirming:
            return what
        return msgspec.structs.replace(what, trial=None, rung=0) if isinstance(what, WorkerLost) else None


class Observers:
    """Several observers as one.

    Args:
        observers: Those to tell, in this order.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._filter = None if all(each.sees_confirmations for each in observers) else SearchFilter()
        self._events = _methods(observers, "event")
        self._followed = _methods(observers, "followed")
        self._progress = _methods(observers, "progress")
        self._ticks = _methods(observers, "tick")

    def tell(self, event: Event, followed: Iterable[Followed]) -> None:
        """Tell them an event, and then what followed from it."""
        self._tell(self._events, event)
        for what in followed if self._followed else ():
            self._tell(self._followed, what)

    def progress(self, progress: Progress) -> None:
        """Tell them a report between two rungs."""
        self._tell(self._progress, progress)

    def tick(self, now: float) -> None:
        """Tell them that a moment has passed."""
        for method, _ in self._ticks:
            method(now)

    def _tell(self, methods: "Sequence[_Method]", what: Any) -> None:
        """Tell those about the search only what is of it."""
        of_the_search = what if self._filter is None else self._filter(what)
        for method, sees_confirmations in methods:
            if sees_confirmations:
                method(what)
            elif of_the_search is not None:
                method(of_the_search)


_Method = tuple[Callable[[Any], None], bool]
"""A method of an observer, and whether that is told of trials that confirm others."""


def _methods(observers: Sequence[Observer], name: str) -> list[_Method]:
    """Return a method of those observers that override it."""
    return [
        (getattr(each, name), each.sees_confirmations)
        for each in observers
        if getattr(type(each), name) is not getattr(Observer, name)
    ]
