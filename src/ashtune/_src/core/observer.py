"""Observers, such as reports and displays, receive the events of a running study or of a journal.

Rule 1: an observer receives an event after the event was written to the journal. After each event,
the observer receives the event's verdicts and orders. If a journal is read later, an observer
receives the same calls in the same order, except ``progress`` and ``tick``.
Rule 2: a method that an observer does not override takes no time.
Rule 3: an observer with ``sees_confirmations = False`` receives no calls about confirming trials.
"""

# Decision 21 (docs/decisions/0021-observers-verdicts-replay.md) explains rule 1.

import os
from collections.abc import Sequence
from typing import ClassVar, TypeAlias, TypeVar

import msgspec

from ashtune._src.core.events import Event, Progress, TrialStarted, WorkerLost
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Followed, Train

T = TypeVar("T")


class ObservedStudy(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a study, which an observer receives first.

    ``directory`` is the absolute path of the study's directory. ``created`` is the time at which
    the study was created, in seconds since 1970. If a study's directory was moved, ``created``
    identifies the study. ``hyperparameters`` has the names of the hyperparameters. ``search`` is
    the name of the search, which is the origin of all trials without an ``origin``. ``seed`` is the
    study's seed, from which ``derived_seed()`` computes the seed of each trial. ``unit`` is the
    unit of the resource, in the singular.
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
    """The base class of all observers. The methods of the base class do nothing. A subclass
    overrides the methods that it needs.

    Example:
        >>> class Count(Observer):
        ...     def __init__(self):
        ...         self.events = 0
        ...     def event(self, event):
        ...         self.events += 1
    """

    sees_confirmations: ClassVar[bool] = True
    """Whether the observer receives events of confirming trials, which are
    not part of the search.
    """

    def begin(self, study: ObservedStudy, position: int) -> int | None:
        """Called when a driver begins to work on a study.

        An observer may observe several studies one after another, but not two studies at the same
        time. ``begin`` must reset everything that the observer stores about a study, because
        ``end`` is not always called.

        Args:
            study: The study.
            position: Where this driver's events begin in the journal, in bytes; 0 if a whole
                journal is read.

        Returns:
            The position in the journal of the first event to receive. For new events only, it is
            None or ``position``. For all events it is 0. An observer may also return a position
            that it stored earlier.
        """

    def event(self, event: Event) -> None:
        """Called when an event has happened and was written to the journal."""

    def followed(self, what: Followed) -> None:
        """Called after each event: once for each verdict on a trial, and once for each order to a
        worker, that followed from the event.
        """

    def batch(self, told: "Sequence[Told]") -> None:
        """Several events happened. By default, ``event`` and ``followed`` are called in order for
        each event.

        An observer may override this method if handling many events in one call is faster. The
        observer's own method must have the same effect as the default method.
        """
        # Calls for each verdict and order take time, and many observers need neither verdicts nor
        # orders. Decision 60 (docs/decisions/0060-a-turn-is-the-unit.md) explains why there are
        # batches.
        hears_what_followed = _overrides(self, "followed")
        for event, followed in told:
            self.event(event)
            if hears_what_followed:
                for what in followed:
                    self.followed(what)

    def progress(self, progress: Progress) -> None:
        """Called for some of a worker's reports between two rungs. The journal has no reports
        between rungs.
        """

    def tick(self, now: float) -> None:
        """Called a few times per second. ``now`` is the number of seconds since the study began."""

    def end(self) -> None:
        """Called when the driver has ended. No method is called after ``end``."""


class Exporter(Observer):
    """The base class of observers that copy a study to a file or to another tool.

    ``ashtune export`` creates an exporter by its name, and sends a whole journal to the exporter.

    Rule 4: an exporter that receives the same study again, for example after a crash, stores each
    value only once. The ``begin`` of an exporter returns 0, so that the exporter receives all
    events.

    Args:
        out: Where the copy is written; None for the exporter's default place.
    """

    place = ""
    """The place of the exporter's copy, as text for a person; set by ``begin``."""

    def __init__(self, out: str | os.PathLike[str] | None = None) -> None:
        self.out = None if out is None else os.path.expanduser(out)


class SearchFilter:
    """Removes events, verdicts and orders of confirming trials. The filter must receive the whole
    study in order.
    """

    def __init__(self) -> None:
        self._confirming: set[TrialId] = set()

    def concerns(self, told: "Sequence[Told]") -> bool:
        """Return whether some events may concern a confirming trial."""
        if self._confirming:
            return True
        for event, followed in told:
            if type(event) is TrialStarted and event.confirms is not None:
                return True
            for what in followed:
                if type(what) is Train and what.confirms is not None:
                    return True
        return False

    def __call__(self, what: T) -> T | None:
        """Return ``what`` without confirming trials, or None if ``what`` is only about a confirming
        trial. O(1).
        """
        if isinstance(what, TrialStarted | Train) and what.confirms is not None:
            self._confirming.add(what.trial)
        if not self._confirming or getattr(what, "trial", None) not in self._confirming:
            return what
        # A lost worker concerns the search, even if the worker's trial does not.
        if isinstance(what, WorkerLost):
            return msgspec.structs.replace(what, trial=None, rung=0)
        return None


class Observers:
    """Several observers, which are called in the given order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._filter: SearchFilter | None = None
        if not all(each.sees_confirmations for each in observers):
            self._filter = SearchFilter()
        self._observers = [
            each for each in observers if _overrides(each, "event", "followed", "batch")
        ]
        self._progress = [each for each in observers if _overrides(each, "progress")]
        self._ticks = [each for each in observers if _overrides(each, "tick")]

    def tell(self, told: "Sequence[Told]") -> None:
        """Send all observers some events, each with the verdicts and orders that followed from it.

        Observers with ``sees_confirmations = False`` receive only the events of the search.
        """
        of_the_search: Sequence[tuple[Event | None, Sequence[Followed]]] = told
        # Most studies confirm nothing, so most batches are passed on as they are.
        if self._filter is not None and self._filter.concerns(told):
            of_the_search = self._of_the_search(told, self._filter)
        for observer in self._observers:
            if of_the_search is told or observer.sees_confirmations:
                observer.batch(told)
            else:
                for event, followed in of_the_search:
                    if event is not None:
                        observer.batch([(event, followed)])
                    else:
                        for what in followed:
                            observer.followed(what)

    def progress(self, progress: Progress) -> None:
        """Send all observers a report between two rungs."""
        is_of_the_search = self._filter is None or self._filter(progress) is not None
        for observer in self._progress:
            if is_of_the_search or observer.sees_confirmations:
                observer.progress(progress)

    def tick(self, now: float) -> None:
        """Call ``tick`` of all observers."""
        for observer in self._ticks:
            observer.tick(now)

    def _of_the_search(
        self, told: "Sequence[Told]", of_the_search: SearchFilter
    ) -> "Sequence[tuple[Event | None, Sequence[Followed]]]":
        """Return ``told`` without the events of confirming trials."""
        kept: list[tuple[Event | None, list[Followed]]] = []
        is_all = True
        for event, followed in told:
            kept_event = of_the_search(event)
            kept_followed = [what for what in followed if of_the_search(what) is not None]
            is_all = is_all and kept_event is event and len(kept_followed) == len(followed)
            kept.append((kept_event, kept_followed))
        return told if is_all else kept


Told: TypeAlias = tuple[Event, Sequence[Followed]]
"""An event, and the verdicts and orders that followed from it."""


def _overrides(observer: Observer, *names: str) -> bool:
    """Return whether an observer overrides any of the methods ``names``."""
    return any(getattr(type(observer), name) is not getattr(Observer, name) for name in names)
